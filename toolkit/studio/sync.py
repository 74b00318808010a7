"""Push and pull: the documents to a project, the annotations back, each safe to run again.

A push lists what the project has, sends what is missing, and lists again: the server never removes
duplicates and an interrupted request may have been carried out. Our own key is the document id in
the task's data. A pull reads the raw export, checks everything, and sets aside with a reason what
cannot be accepted; nothing on either side is deleted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from toolkit.errors import (
    Fault,
    IntegrityError,
    InvalidDataError,
    UnreachableError,
    UnusableAnswerError,
)
from toolkit.schema import Schema, document_faults
from toolkit.spans import Annotation, Document
from toolkit.studio.client import Project, Studio, Task
from toolkit.studio.page import TEXT, instructions, page
from toolkit.studio.people import pseudonyms
from toolkit.studio.results import from_result, to_result

__all__ = ["Pulled", "Pushed", "find", "pull", "push", "submit"]

BATCH = 200
"""Tasks per request: small enough to be asked about again."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push did. Documents set aside are in `faults`."""

    project: str
    id: int
    url: str
    created: int
    updated: int
    unchanged: int
    skipped: int = 0
    faults: tuple[Fault, ...] = ()
    schema_updated: bool = False

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
    """What a project needs to hold the documents."""

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
    Raises `InvalidDataError` before any request when a document is not valid.
    """
    _refuse_invalid(documents)
    config, help_html = page(schema), instructions(schema)
    found = find(studio, corpus, project)
    if not found and dry_run:
        return Pushed(project, 0, "", len(documents), 0, 0)
    description = f"Made by toolkit push; keep this key: [toolkit:{corpus}/{project}]"
    made = found[0] if found else studio.create_project(
        f"{corpus} · {project}", description, config, help_html
    )  # fmt: skip
    outdated = made.config != config
    plan = _plan(studio.tasks(made), documents)
    if not dry_run:
        if outdated:
            studio.update_project(made, config, help_html)
        _send_missing(studio, made, plan.create)
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
    )


def _refuse_invalid(documents: Sequence[Document]) -> None:
    faults: list[Fault] = []
    seen: set[str] = set()
    for document in documents:
        faults += document_faults(document, place="documents")
        if document.id in seen:
            what = f"document id {document.id!r} stands twice"
            faults.append(Fault("documents", 0, what, "give each its own id", "duplicate-id"))
        seen.add(document.id)
    if faults:
        raise InvalidDataError(faults)


def _task_data(document: Document) -> dict[str, Any]:
    title = " · ".join(part for part in (document.id, document.genre, document.published) if part)
    digest = hashlib.sha256(document.text.encode()).hexdigest()
    return {"document": document.id, "title": title, TEXT: document.text, "sha256": digest}


def _plan(tasks: Sequence[Task], documents: Sequence[Document]) -> _Plan:
    present = {task.data.get("document"): task for task in reversed(tasks)}
    plan = _Plan()
    for document in documents:
        data, task = _task_data(document), present.get(document.id)
        if task is None:
            plan.create.append(data)
        elif dict(task.data) == data:
            plan.unchanged += 1
        elif task.annotations and task.data.get(TEXT) != document.text:
            what = f"{document.id}: the text changed after task {task.id} was annotated"
            cure = "restore the text, or give the new text a new document id"
            plan.faults.append(Fault("documents", 0, what, cure, "text-changed"))
        else:
            plan.update.append((task.id, data))
    return plan


def _send_missing(studio: Studio, project: Project, data: Sequence[dict[str, Any]]) -> None:
    """Import in batches, each sent once; whatever goes wrong, the server is asked what it has."""
    for start in range(0, len(data), BATCH):
        batch = data[start : start + BATCH]
        try:
            doubt = studio.import_tasks(project, batch) != len(batch)
        except (UnreachableError, UnusableAnswerError):
            doubt = True
        if doubt:
            _send_missing_once_more(studio, project, batch)
    if data:
        _confirm(studio, project, [part["document"] for part in data])


def _send_missing_once_more(
    studio: Studio, project: Project, batch: Sequence[dict[str, Any]]
) -> None:
    present = {task.data.get("document") for task in studio.tasks(project)}
    missing = [part for part in batch if part["document"] not in present]
    if missing:
        studio.import_tasks(project, missing)


def _confirm(studio: Studio, project: Project, sent: Sequence[str]) -> None:
    present = [task.data.get("document") for task in studio.tasks(project)]
    absent = [name for name in sent if name not in present]
    doubled = sorted({name for name in sent if present.count(name) > 1})
    if absent or doubled:
        what = f"project {project.id}: {len(absent)} documents missing, {len(doubled)} doubled"
        names = ", ".join([*absent, *doubled][:5])
        raise IntegrityError(f"{what} after the push ({names}); push again and compare")


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
    made = find(studio, corpus, project)[0]
    tasks = {task["data"]["document"]: task for task in studio.export(made)}
    submitted = 0
    for number, annotation in enumerate(annotations, start=1):
        progress(number, len(annotations))
        task = tasks[annotation.document]
        if any(old["completed_by"] == studio.user for old in task["annotations"]):
            continue
        result = to_result(annotation, schema, documents[annotation.document])
        facts: dict[str, Any] = {"was_cancelled": annotation.skipped}
        if annotation.lead_time is not None:
            facts["lead_time"] = annotation.lead_time
        studio.annotate(int(task["id"]), result, **facts)
        submitted += 1
    return submitted


def pull(
    studio: Studio, project: Project, schema: Schema, documents: Mapping[str, Document]
) -> Pulled:
    """Every finished or skipped annotation of a project, checked.

    Overlaps inside a layer are kept, as annotators drew them; adjudication settles them.
    """
    tasks = studio.export(project)
    names = {
        user: pseudonym
        for user, email in studio.emails().items()
        for pseudonym in [pseudonyms([email])[email]]
    }
    newest: dict[tuple[str, str], tuple[tuple[str, int], Annotation]] = {}
    quarantine: list[dict[str, Any]] = []
    counted = 0
    for task in sorted(tasks, key=lambda task: int(task["id"])):
        for raw in task.get("annotations") or ():
            annotator = names.get(raw.get("completed_by"), "unknown")
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
    if document is None:
        what, cure = f"no document {name!r} in the corpus", "add it, or remove the task"
        return Annotation(name), [Fault(place, 0, what, cure, "unknown-document")]
    if data.get(TEXT) != document.text:
        what = f"{name}: the task's text is not the document's"
        return Annotation(name), [
            Fault(place, 0, what, "push again before annotating", "text-changed")
        ]
    annotation, faults = from_result(raw.get("result") or (), schema, document, place=place)
    lead_time = raw.get("lead_time")
    annotation = replace(
        annotation,
        annotator=annotator,
        skipped=bool(raw.get("was_cancelled")),
        lead_time=float(lead_time) if lead_time is not None else None,
    )
    return annotation, faults


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
