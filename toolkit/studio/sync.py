"""Push and pull: the documents to a project, the annotations back, each safe to run again.

A push lists what the project has, sends what is missing, and lists again: the server never removes
duplicates and an interrupted request may have been carried out. Our own key is the document id in
the task's data. A pull reads the raw export, checks everything, and sets aside with a reason what
cannot be accepted. Nothing is deleted on either side but a second task of ours for one document that
nobody has worked on.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from toolkit import files
from toolkit.errors import (
    Fault,
    IntegrityError,
    InvalidDataError,
    UnreachableError,
    UnusableAnswerError,
    UsageError,
)
from toolkit.schema import Schema, document_faults
from toolkit.spans import Annotation, Document
from toolkit.studio.client import Project, Studio, Task
from toolkit.studio.lock import alone
from toolkit.studio.page import TEXT, instructions, page
from toolkit.studio.people import pseudonyms
from toolkit.studio.results import from_result, to_result

__all__ = ["Pulled", "Pushed", "find", "pull", "push", "submit"]

BATCH = 200
"""Tasks per request: small enough to be asked about again."""

ATTEMPTS = 3
"""How often a batch is sent, each time less what has arrived."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push did. Documents set aside are in `faults`.

    `removed` counts second tasks of one document, left by an interrupted push, that nobody worked on.
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

    @property
    def quarantined(self) -> int:
        """How many documents were set aside."""
        return len(self.faults)


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a pull brought: one reading per document and annotator, and what was set aside.

    `superseded` counts older annotations of the same document by the same annotator.
    """

    annotations: tuple[Annotation, ...]
    quarantine: tuple[dict[str, Any], ...] = ()
    superseded: int = 0
    untouched: int = 0


@dataclass
class _Plan:
    """What a project needs to hold the documents, whose tasks' data are in `wanted`."""

    wanted: dict[str, dict[str, Any]] = field(default_factory=dict)
    create: list[dict[str, Any]] = field(default_factory=list)
    update: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    unchanged: int = 0
    faults: list[Fault] = field(default_factory=list)


def find(studio: Studio, corpus: str, project: str = "") -> list[Project]:
    """The corpus's projects, or the one of this name. Ours carry a key in their description."""
    key = f"[toolkit:{corpus}/{project}]" if project else f"[toolkit:{corpus}/"
    found = [candidate for candidate in studio.projects() if key in candidate.description]
    return sorted(found, key=lambda candidate: candidate.id)


def push(
    studio: Studio,
    corpus: str,
    project: str,
    schema: Schema,
    documents: Sequence[Document],
    *,
    dry_run: bool = False,
) -> Pushed:
    """A project with this schema and one task per document, made or brought up to date.

    A document whose text changed after somebody annotated it is set aside: its offsets would lie.
    Raises `InvalidDataError` before any request when a document is not valid, `LockedError` when
    another push to the project runs on this machine.
    """
    _refuse_invalid(documents)
    if dry_run:
        return _push(studio, corpus, project, schema, documents, dry_run=True)
    with alone(_lock_path(studio, corpus, project), f"push to {corpus}/{project}"):
        return _push(studio, corpus, project, schema, documents, dry_run=False)


def _lock_path(studio: Studio, corpus: str, project: str) -> Path:
    name = hashlib.sha256(f"{studio.url} {corpus}/{project}".encode()).hexdigest()[:16]
    return files.home() / "locks" / name


def _push(
    studio: Studio,
    corpus: str,
    project: str,
    schema: Schema,
    documents: Sequence[Document],
    *,
    dry_run: bool,
) -> Pushed:
    config = page(schema)
    found = find(studio, corpus, project)
    if not found and dry_run:
        return Pushed(project, 0, "", len(documents), 0, 0)
    description = f"Made by toolkit push; keep this key: [toolkit:{corpus}/{project}]"
    if not found:
        studio.create_project(f"{corpus} · {project}", description, config, instructions(schema))
        # Another machine may have made it at the same time: the older one counts.
        found = find(studio, corpus, project)
    made = found[0]
    outdated = made.config != config
    tasks = studio.tasks(made)
    plan = _plan(tasks, documents)
    removed = 0
    if not dry_run:
        if outdated:
            studio.update_project(made, config, instructions(schema))
        if plan.create:
            tasks = _send_missing(studio, made, plan.create)
        removed = _remove_doubles(studio, made, tasks, plan)
        for task, data in plan.update:
            studio.update_task(task, data)
    return Pushed(
        project,
        made.id,
        f"{studio.url}/projects/{made.id}",
        len(plan.create),
        len(plan.update),
        plan.unchanged,
        faults=tuple(plan.faults),
        schema_updated=outdated,
        removed=removed,
    )


def _refuse_invalid(documents: Sequence[Document]) -> None:
    faults: list[Fault] = []
    seen: set[str] = set()
    for document in documents:
        faults += document_faults(document, place="documents")
        faults += _nul_faults(document)
        if document.id in seen:
            what = f"document id {document.id!r} stands twice"
            faults.append(Fault("documents", 0, what, "give each its own id", "duplicate-id"))
        seen.add(document.id)
    if faults:
        raise InvalidDataError(faults)


def _nul_faults(document: Document) -> Iterator[Fault]:
    """A NUL character: a corpus keeps one exactly, but PostgreSQL cannot, so no server is sent one."""
    for key in ("id", "genre", "published", "text"):
        place = getattr(document, key).find("\0")
        if place >= 0:
            what = f"document {document.id!r}: its {key} holds a NUL character at position {place}"
            cure = "put another character in its place: PostgreSQL, and so Label Studio, refuses it"
            yield Fault("documents", 0, what, cure, "nul")


def _task_data(document: Document) -> dict[str, Any]:
    title = " · ".join(part for part in (document.id, document.genre, document.published) if part)
    digest = hashlib.sha256(document.text.encode()).hexdigest()
    return {"document": document.id, "title": title, TEXT: document.text, "sha256": digest}


def _plan(tasks: Sequence[Task], documents: Sequence[Document]) -> _Plan:
    present = _by_document(tasks)
    plan = _Plan()
    for document in documents:
        data, held = _task_data(document), present.get(document.id)
        plan.wanted[document.id] = data
        if held is None:
            plan.create.append(data)
        elif dict(held[0].data) == data:
            plan.unchanged += 1
        elif held[0].annotations and held[0].data.get(TEXT) != document.text:
            what = f"{document.id}: the text changed after task {held[0].id} was annotated"
            cure = "restore the text, or give the new text a new document id"
            plan.faults.append(Fault("documents", 0, what, cure, "text-changed"))
        else:
            plan.update.append((held[0].id, data))
    return plan


def _by_document(tasks: Sequence[Task]) -> dict[str, list[Task]]:
    """The tasks of each document, the one that counts first: annotated, then oldest."""
    found: dict[str, list[Task]] = defaultdict(list)
    for task in sorted(tasks, key=lambda task: (not task.annotations, task.id)):
        name = task.data.get("document")
        if isinstance(name, str):
            found[name].append(task)
    return dict(found)


def _send_missing(studio: Studio, project: Project, data: Sequence[dict[str, Any]]) -> list[Task]:
    """Import in batches. Gives the project's tasks after it, every document among them."""
    for start in range(0, len(data), BATCH):
        _send(studio, project, data[start : start + BATCH])
    tasks = studio.tasks(project)
    absent = _absent(data, tasks)
    if absent:
        names = ", ".join(str(part["document"]) for part in absent[:5])
        what = f"project {project.id}: {len(absent)} documents are missing after the push ({names})"
        raise IntegrityError(f"{what}; push again")
    return tasks


def _send(studio: Studio, project: Project, batch: Sequence[dict[str, Any]]) -> None:
    """Import one batch. After any doubt the server is asked what it has, and the rest is sent."""
    doubt: Exception | None = None
    for _ in range(ATTEMPTS):
        try:
            if studio.import_tasks(project, batch) == len(batch):
                return
        except (UnreachableError, UnusableAnswerError) as error:
            doubt = error
        batch = _absent(batch, studio.tasks(project))
        if not batch:
            return
    if doubt:
        raise doubt


def _absent(data: Sequence[dict[str, Any]], tasks: Sequence[Task]) -> list[dict[str, Any]]:
    present = {task.data.get("document") for task in tasks}
    return [part for part in data if part["document"] not in present]


def _remove_doubles(studio: Studio, project: Project, tasks: Sequence[Task], plan: _Plan) -> int:
    """Delete what an interrupted push sent twice, if nobody worked on it; report the rest."""
    extras = {
        extra.id: extra
        for name, held in _by_document(tasks).items()
        if name in plan.wanted
        for extra in held[1:]
    }
    removed = 0
    for raw in studio.export(project, list(extras)) if extras else ():
        extra = extras[int(raw["id"])]
        name = extra.data["document"]
        if raw["annotations"] or raw["drafts"] or dict(extra.data) != plan.wanted[name]:
            what = f"{name}: task {extra.id} of project {project.id} is a second one"
            cure = "delete one of the two in Label Studio"
            plan.faults.append(Fault("documents", 0, what, cure, "doubled"))
        else:
            studio.delete_task(extra.id)
            removed += 1
    return removed


def submit(
    studio: Studio,
    corpus: str,
    project: str,
    schema: Schema,
    documents: Mapping[str, Document],
    annotations: Sequence[Annotation],
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> int:
    """Submit readings as this user, one per task that the user has not annotated yet."""
    found = find(studio, corpus, project)
    if not found:
        what = f"{studio.url}: no project of '{corpus}/{project}'"
        raise UsageError(f"{what}; push it first: toolkit push")
    tasks = _by_document(studio.tasks(found[0]))
    absent = sorted({a.document for a in annotations} - tasks.keys())
    if absent:
        what = f"project {found[0].id}: no task of {', '.join(absent[:5])}"
        raise UsageError(f"{what}; push first: toolkit push")
    submitted = 0
    for start in range(0, len(annotations), BATCH):
        batch = annotations[start : start + BATCH]
        chosen = [tasks[annotation.document][0].id for annotation in batch]
        raw = {task["id"]: task["annotations"] for task in studio.export(found[0], chosen)}
        for number, (annotation, task) in enumerate(zip(batch, chosen, strict=True), start + 1):
            progress(number, len(annotations))
            if any(old["completed_by"] == studio.user for old in raw[task]):
                continue
            result = to_result(annotation, schema, documents[annotation.document])
            facts: dict[str, Any] = {"was_cancelled": annotation.skipped}
            if annotation.lead_time is not None:
                facts["lead_time"] = annotation.lead_time
            studio.annotate(task, result, **facts)
            submitted += 1
    return submitted


def pull(
    studio: Studio, project: Project, schema: Schema, documents: Mapping[str, Document]
) -> Pulled:
    """Every finished or skipped annotation of a project, checked.

    Overlaps inside a layer are kept, as annotators drew them; adjudication settles them. Who made an
    annotation is unknown when the user is gone from the server, so that it is set aside.
    """
    tasks = studio.export(project)
    emails = studio.emails()
    given = pseudonyms(emails.values())
    names = {user: given[email] for user, email in emails.items()}
    newest: dict[tuple[str, str], tuple[tuple[str, int], Annotation]] = {}
    quarantine: list[dict[str, Any]] = []
    counted = 0
    for task in sorted(tasks, key=lambda task: int(task["id"])):
        for raw in task.get("annotations") or ():
            annotator = names.get(raw.get("completed_by"), "")
            annotation, faults = _read(task, raw, annotator, schema, documents, project)
            if faults:
                quarantine.append(_set_aside(project, task, raw, annotator, faults))
                continue
            counted += 1
            age = str(raw.get("updated_at") or ""), int(raw.get("id") or 0)
            key = annotation.document, annotator
            if key not in newest or newest[key][0] < age:
                newest[key] = age, annotation
    kept = tuple(annotation for _, annotation in newest.values())
    untouched = sum(not task.get("annotations") for task in tasks)
    return Pulled(kept, tuple(quarantine), counted - len(kept), untouched)


def _read(
    task: Mapping[str, Any],
    raw: Mapping[str, Any],
    annotator: str,
    schema: Schema,
    documents: Mapping[str, Document],
    project: Project,
) -> tuple[Annotation, list[Fault]]:
    place = f"project {project.id}, task {task.get('id')}, annotation {raw.get('id')}"
    data = task.get("data") or {}
    name = str(data.get("document", ""))
    document = documents.get(name)
    refused = Annotation(name)
    if document is None:
        what, cure = f"no document {name!r} in the corpus", "add it, or remove the task"
        return refused, [Fault(place, 0, what, cure, "unknown-document")]
    if data.get(TEXT) != document.text:
        what, cure = f"{name}: the task's text is not the document's", "push before annotating"
        return refused, [Fault(place, 0, what, cure, "text-changed")]
    if not annotator:
        what, cure = f"{name}: its user is gone from the server", "have it annotated again"
        return refused, [Fault(place, 0, what, cure, "unknown-annotator")]
    lead_time = raw.get("lead_time")
    seconds = float(lead_time) if lead_time is not None else None
    if raw.get("was_cancelled"):
        # What had been drawn before the document was skipped is no reading of it.
        return Annotation(name, annotator, skipped=True, lead_time=seconds), []
    annotation, faults = from_result(raw.get("result") or (), schema, document, place=place)
    return replace(annotation, annotator=annotator, lead_time=seconds), faults


def _set_aside(
    project: Project,
    task: Mapping[str, Any],
    raw: Mapping[str, Any],
    annotator: str,
    faults: Sequence[Fault],
) -> dict[str, Any]:
    return {
        "project": project.id,
        "task": task.get("id"),
        "annotation": raw.get("id"),
        "document": (task.get("data") or {}).get("document"),
        "annotator": annotator,
        "rules": sorted({fault.rule for fault in faults}),
        "faults": [fault.what for fault in faults],
        "result": raw.get("result"),
    }
