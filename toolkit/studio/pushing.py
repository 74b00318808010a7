"""Push: a schema and documents to a project, brought up to date, safe to run again at any time.

A push lists what the project has, sends what is missing, and lists again whenever there is doubt: the
server never removes duplicates, and an interrupted request may have been carried out. Our own key is
the document id in the task's data. Nothing is deleted but a second task of ours for one document that
nobody has worked on, and an outdated suggestion of the same model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolkit import files
from toolkit.errors import (
    Fault,
    IntegrityError,
    InvalidDataError,
    UnreachableError,
    UnusableAnswerError,
)
from toolkit.schema import Change, Schema, Shape, Usage, changes
from toolkit.spans import Annotation, Document
from toolkit.studio.client import Project, Studio, Task
from toolkit.studio.journal import Journal
from toolkit.studio.lock import alone
from toolkit.studio.page import drift, instructions, page
from toolkit.studio.planning import (
    REVIEWS,
    Plan,
    Suggestions,
    absent_of,
    by_document,
    find,
    plan,
    refuse_invalid,
    task_data,
)
from toolkit.studio.results import as_written, to_result
from toolkit.studio.wire import Patience, RefusedError

__all__ = ["Pushed", "push"]

BATCH = 5000
"""Tasks per request. The server counts the whole project anew after each, so few are better."""

PART = 200
"""Tasks per export."""

BATCH_BYTES = 16 << 20
"""Bytes per request, about. A request is carried out whole or not at all, so none is too large."""

REFUSED = 20
"""So many tasks refused and none taken are no fault of the tasks."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push did, or would do. Documents set aside are in `faults`.

    `removed` counts second tasks of one document, left by an interrupted push, that nobody worked on;
    `suggested` the readings of models that were added; `resumed` says that an earlier push had been
    interrupted; `changes` are what the new version of the schema does to annotations.
    """

    project: str
    id: int
    url: str
    created: int
    updated: int
    unchanged: int
    skipped: int = 0
    faults: tuple[Fault, ...] = ()
    schema_updated: bool = False
    removed: int = 0
    suggested: int = 0
    resumed: bool = False
    changes: tuple[Change, ...] = ()

    @property
    def quarantined(self) -> int:
        """How many documents were set aside."""
        return len(self.faults)


def push(
    studio: Studio,
    corpus: str,
    project: str,
    schema: Schema,
    documents: Sequence[Document],
    *,
    suggestions: Suggestions | None = None,
    overlap: int = 0,
    used: Callable[[], Usage] = Usage,
    overwrite: bool = False,
    dry_run: bool = False,
    progress: Progress = lambda _done, _total: None,
) -> Pushed:
    """A project with this schema and one task per document, made or brought up to date.

    Tasks are made in the order of the documents, which is the order in which annotators get them.
    `overlap` is how many annotators each task is given to; 0 leaves it. A document whose text changed
    after somebody annotated it is set aside: its offsets would lie. A new version of the schema is
    sent when it is safe for the annotations that exist: what `used` counts of those in files, and
    those on the server. A page that somebody changed in Label Studio is not overwritten, unless
    `overwrite` says so. Raises `InvalidDataError` before anything is changed when a document or a
    suggestion is not valid, or the schema would break annotations; `LockedError` when another push to
    the project runs on this machine.
    """
    refuse_invalid(documents, suggestions or {}, schema, as_drawn=project in REVIEWS)
    key = f"{corpus}/{project}"
    job = _Push(studio, key, schema, suggestions or {}, overlap, used, overwrite, progress)
    if dry_run:
        return job.run(corpus, project, documents, dry_run=True)
    with alone(_lock_path(studio, job.key), f"push to {job.key}"):
        return job.run(corpus, project, documents, dry_run=False)


def _lock_path(studio: Studio, key: str) -> Path:
    name = hashlib.sha256(f"{studio.url} {key}".encode()).hexdigest()[:16]
    return files.home() / "locks" / name


@dataclass
class _Push:
    """One push to one project."""

    studio: Studio
    key: str
    schema: Schema
    suggestions: Suggestions
    overlap: int
    used: Callable[[], Usage]
    overwrite: bool
    progress: Progress
    changes: tuple[Change, ...] = ()
    sent: dict[str, int] = field(default_factory=dict)
    """The task of each document that was sent and of which the server told the number."""
    refused: dict[str, Fault] = field(default_factory=dict)
    """The documents that the server would not take."""

    def run(
        self, corpus: str, project: str, documents: Sequence[Document], *, dry_run: bool
    ) -> Pushed:
        found = find(self.studio, corpus, project)
        if not found and dry_run:
            return Pushed(project, 0, "", len(documents), 0, 0)
        made = found[0] if found else self._create(corpus, project)
        outdated = self._outdated(made)
        tasks = self.studio.tasks(made) if made.tasks else []
        todo = plan(tasks, documents)
        journal = Journal.of(self.studio.url, self.key)
        removed = suggested = 0
        if not dry_run:
            try:
                self._settings(made, outdated)
                tasks = self._send_missing(made, tasks, todo, journal)
                removed = self._remove_doubles(made, tasks, todo, documents)
                for task, document in todo.update:
                    self.studio.update_task(task, task_data(document))
                suggested = self._suggest(made, documents, todo)
            except BaseException:
                journal.close(done=False)
                raise
            journal.close(done=True)
        return Pushed(
            project,
            made.id,
            f"{self.studio.url}/projects/{made.id}",
            len(todo.create),
            len(todo.update),
            todo.unchanged,
            faults=tuple(todo.faults),
            schema_updated=outdated,
            removed=removed,
            suggested=suggested,
            resumed=journal.interrupted,
            changes=self.changes,
        )

    def _create(self, corpus: str, project: str) -> Project:
        description = f"Made by toolkit push; keep this key: [toolkit:{self.key}]"
        title = f"{corpus} · {project}"
        config, help_html = page(self.schema), instructions(self.schema)
        patience = Patience(self.studio.wire.max_wait)
        while True:
            doubt: Exception | None = None
            try:
                self.studio.create_project(title, description, config, help_html)
            except RefusedError:
                raise
            except (UnreachableError, UnusableAnswerError) as error:
                doubt = error
            # Another machine may have made it at the same time: the older one counts.
            if found := find(self.studio, corpus, project):
                return found[0]
            if doubt is None:
                what = f"{self.studio.url}: the project that was made is not in the list"
                raise UnusableAnswerError(f"{what}; is this a Label Studio server?")
            patience.after(doubt)

    def _outdated(self, made: Project) -> bool:
        """Whether the page has to be replaced. Refuses to where somebody's work would be lost."""
        found = drift(made.config, self.schema)
        if found.state == "same":
            return False
        place = f"{self.studio.url}/projects/{made.id}"
        if found.state != "older" and not self.overwrite:
            what = "the labelling page was changed in Label Studio"
            told = f": {'; '.join(found.differences)}" if found.differences else ""
            cure = "take the change into the schema, or push --overwrite-page"
            raise InvalidDataError([Fault(place, 0, what + told, cure, "drift")])
        if found.shape is None:
            return True
        self.changes = changes(found.shape, self.schema, self._usage(made, found.shape))
        refused = [change for change in self.changes if change.severity != "safe"]
        cure = "cover it with a migration in the schema (docs/schemas.md)"
        if refused:
            raise InvalidDataError([Fault(place, 0, str(c), cure, c.severity) for c in refused])
        return True

    def _usage(self, made: Project, shape: Shape) -> Usage:
        """What annotations use: those in files, and those on the server, which may not be in files."""
        used = self.used()
        if not made.annotations:
            return used
        tasks = [task.id for task in self.studio.tasks(made, data=False) if task.annotations]
        parts = (tasks[start : start + PART] for start in range(0, len(tasks), PART))
        there = Usage.of(
            as_written(annotation.result or [], shape)
            for part in parts
            for task in self.studio.export(made, part)
            for annotation in task.annotations
        )
        # Most of what is on the server is in files too: the greater count is nearer than the sum.
        return Usage(
            used.spans | there.spans,
            used.relations | there.relations,
            used.overlaps | there.overlaps,
        )

    def _settings(self, made: Project, outdated: bool) -> None:
        if outdated:
            self.studio.update_project(made, page(self.schema), instructions(self.schema))
        if self.overlap and made.overlap != self.overlap:
            self.studio.share(made, self.overlap)

    # ── tasks ───────────────────────────────────────────────────────────────────────────────────

    def _send_missing(
        self, made: Project, tasks: list[Task], todo: Plan, journal: Journal
    ) -> list[Task]:
        """Import in batches. Gives the project's tasks, listed anew unless all went well.

        All went well when every answer counted what was sent and the server's own count agrees.
        """
        sure = not journal.interrupted
        with ThreadPoolExecutor(1) as sender:
            sending: Future[bool] | None = None
            # While the server works on one batch, the next is made ready.
            for batch in self._batches(todo.create):
                sure = (sending is None or sending.result()) and sure
                journal.intend(list(batch))
                sending = sender.submit(self._send, made, batch)
                self.progress(len(self.sent), len(todo.create))
            sure = (sending is None or sending.result()) and sure
        self.progress(len(todo.create), len(todo.create))
        todo.create = [document for document in todo.create if document.id not in self.refused]
        todo.faults += self.refused.values()
        expected = len(tasks) + len(todo.create)
        if sure and (not todo.create or self.studio.project(made.id).tasks == expected):
            return tasks
        tasks = self.studio.tasks(made)
        absent = absent_of([document.id for document in todo.create], tasks)
        if absent:
            names = ", ".join(absent[:5])
            what = (
                f"project {made.id}: {len(absent)} documents are missing after the push ({names})"
            )
            raise IntegrityError(f"{what}; push again")
        self.sent = {name: held[0].id for name, held in by_document(tasks).items()}
        return tasks

    def _batches(self, documents: Sequence[Document]) -> Iterator[dict[str, bytes]]:
        """The tasks to send as JSON, by document."""
        batch: dict[str, bytes] = {}
        size = 0
        for document in documents:
            task = files.json_line(self._payload(document)).encode()
            if batch and (len(batch) == BATCH or size + len(task) > BATCH_BYTES):
                yield batch
                batch, size = {}, 0
            batch[document.id] = task
            size += len(task)
        if batch:
            yield batch

    def _send(self, made: Project, batch: Mapping[str, bytes]) -> bool:
        """Import one batch. After any doubt the server is asked what it has, and the rest is sent.

        Gives whether there was no doubt at all.
        """
        patience = Patience(self.studio.wire.max_wait)
        sure = True
        while batch:
            what = f"{self.studio.url}: the answer to an import does not number its tasks"
            doubt: Exception = UnusableAnswerError(f"{what}; is this a Label Studio server?")
            try:
                ids = self.studio.import_tasks(made, list(batch.values()))
                if len(ids) == len(batch):
                    self.sent |= zip(batch, ids, strict=True)
                    return sure
            except RefusedError as error:
                return self._halve(made, batch, error) and sure
            except (UnreachableError, UnusableAnswerError) as error:
                doubt = error
            sure = False
            patience.after(doubt)
            absent = absent_of(batch, self.studio.tasks(made))
            batch = {name: batch[name] for name in absent}
        return sure

    def _halve(self, made: Project, batch: Mapping[str, bytes], error: RefusedError) -> bool:
        """Send by halves what the server refused for one task of it, which is set aside alone."""
        if len(batch) > 1:
            tasks, half = list(batch.items()), len(batch) // 2
            sure = self._send(made, dict(tasks[:half]))
            return self._send(made, dict(tasks[half:])) and sure
        if len(self.refused) == REFUSED and not self.sent:
            raise error
        (document,) = batch
        what = f"{document}: Label Studio refuses its task ({error.detail})"
        fault = Fault("documents", 0, what, "mend the document, or take it out", "refused")
        self.refused[document] = fault
        return True

    def _payload(self, document: Document) -> dict[str, Any]:
        task: dict[str, Any] = {"data": task_data(document)}
        predictions = self._predictions(document)
        return task | {"predictions": predictions} if predictions else task

    def _predictions(self, document: Document) -> list[dict[str, Any]]:
        readings = self.suggestions.get(document.id, ())
        return [self._prediction(document, reading, model) for model, reading in readings]

    def _remove_doubles(
        self, made: Project, tasks: Sequence[Task], todo: Plan, documents: Sequence[Document]
    ) -> int:
        """Delete what an interrupted push sent twice, if nobody worked on it; report the rest."""
        wanted = {document.id: document for document in documents}
        extras = {
            extra.id: extra
            for name, held in by_document(tasks).items()
            if name in wanted
            for extra in held[1:]
        }
        removed = 0
        for start in range(0, len(extras), PART):
            for raw in self.studio.export(made, list(extras)[start : start + PART]):
                extra = extras[raw.id]
                name = str(extra.data["document"])
                if raw.annotations or raw.drafts or dict(extra.data) != task_data(wanted[name]):
                    what = f"{name}: task {extra.id} of project {made.id} is a second one"
                    cure = "delete one of the two in Label Studio"
                    todo.faults.append(Fault("documents", 0, what, cure, "doubled"))
                else:
                    self.studio.delete_task(extra.id)
                    removed += 1
        return removed

    # ── suggestions ─────────────────────────────────────────────────────────────────────────────

    def _suggest(self, made: Project, documents: Sequence[Document], todo: Plan) -> int:
        """Suggestions for tasks that were there already, then all of them read back and compared."""
        if not self.suggestions:
            return 0
        wanted = {
            (task, model): (document, reading)
            for document in documents
            if (task := self._task_of(document.id, todo))
            for model, reading in self.suggestions.get(document.id, ())
        }
        held = self._held(made, wanted)
        missing = [place for place in wanted if place not in held]
        for start in range(0, len(missing), BATCH):
            batch = missing[start : start + BATCH]
            self.studio.predict(
                made, [{"task": t, **self._prediction(*wanted[t, m], m)} for t, m in batch]
            )
        if missing and len(self._held(made, wanted)) < len(wanted):
            what = f"project {made.id}: suggestions came back other than they were sent"
            raise IntegrityError(f"{what}; push again")
        models = {model for _, model in wanted}
        if len(models) == 1 and made.shown not in models:
            # Only of the model that is shown the server notes that an annotator saw it.
            self.studio.show(made, *models)
        created = sum(len(self.suggestions.get(document.id, ())) for document in todo.create)
        return created + len(missing)

    def _task_of(self, document: str, todo: Plan) -> int:
        held = todo.held.get(document)
        return held[0].id if held else self.sent.get(document, 0)

    def _prediction(self, document: Document, reading: Annotation, model: str) -> dict[str, Any]:
        return {"model_version": model, "result": to_result(reading, self.schema, document)}

    def _held(
        self, made: Project, wanted: Mapping[tuple[int, str], tuple[Document, Annotation]]
    ) -> set[tuple[int, str]]:
        """Which suggestions the server has as they should be. Outdated and second ones go."""
        held: set[tuple[int, str]] = set()
        for found in self.studio.predictions(made):
            place = found.task, found.model_version or ""
            if place not in wanted:
                continue
            if place in held or found.result != self._prediction(*wanted[place], "")["result"]:
                self.studio.delete_prediction(found.id)
            else:
                held.add(place)
        return held
