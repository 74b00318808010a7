"""What a push has to do: the documents that are fit to be sent, and what their project lacks."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from toolkit.errors import Fault, InvalidDataError
from toolkit.schema import Schema, document_faults
from toolkit.spans import Annotation, Document
from toolkit.studio.client import Project, Studio, Task
from toolkit.studio.page import TEXT

__all__ = [
    "REVIEWS",
    "Plan",
    "Suggestions",
    "absent_of",
    "by_document",
    "find",
    "plan",
    "refuse_invalid",
    "task_data",
]

REVIEWS = ("review", "errors")
"""Projects of reviewers: what is submitted there settles gold, and is no annotator's reading."""

Suggestions = Mapping[str, Sequence[tuple[str, Annotation]]]
"""By document, what annotators are shown to begin with: each a model's name and its reading."""


@dataclass
class Plan:
    """What a project needs to hold the documents."""

    create: list[Document] = field(default_factory=list)
    update: list[tuple[int, Document]] = field(default_factory=list)
    held: dict[str, list[Task]] = field(default_factory=dict)
    unchanged: int = 0
    faults: list[Fault] = field(default_factory=list)


def find(studio: Studio, corpus: str, project: str = "") -> list[Project]:
    """The corpus's projects, or the one of this name. Ours carry a key in their description."""
    key = f"[toolkit:{corpus}/{project}]" if project else f"[toolkit:{corpus}/"
    found = [candidate for candidate in studio.projects() if key in candidate.description]
    return sorted(found, key=lambda candidate: candidate.id)


def refuse_invalid(
    documents: Sequence[Document], suggestions: Suggestions, schema: Schema, *, as_drawn: bool
) -> None:
    """Raises `InvalidDataError` with every fault of documents and of what is shown with them.

    With `as_drawn`, what is shown may overlap inside a layer, as annotators' readings may.
    """
    faults: list[Fault] = []
    seen: dict[str, Document] = {}
    for document in documents:
        faults += document_faults(document, place="documents")
        faults += _nul_faults(document)
        if document.id in seen:
            what = f"document id {document.id!r} stands twice"
            faults.append(Fault("documents", 0, what, "give each its own id", "duplicate-id"))
        seen[document.id] = document
    for name, readings in suggestions.items():
        for model, reading in readings if name in seen else ():
            place = f"suggestions of {model}"
            faults += schema.faults(reading, seen[name], place=place)
            if not as_drawn:
                faults += schema.overlaps(reading, place=place)
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


def task_data(document: Document) -> dict[str, Any]:
    """What a task holds of a document: our key, what people see above the text, the text."""
    title = " · ".join(part for part in (document.id, document.genre, document.published) if part)
    digest = hashlib.sha256(document.text.encode()).hexdigest()
    return {"document": document.id, "title": title, TEXT: document.text, "sha256": digest}


def plan(tasks: Sequence[Task], documents: Sequence[Document]) -> Plan:
    """What is missing, changed or cannot be changed, given the tasks that are there."""
    made = Plan(held=by_document(tasks))
    for document in documents:
        held = made.held.get(document.id)
        if held is None:
            made.create.append(document)
        elif dict(held[0].data) == task_data(document):
            made.unchanged += 1
        elif held[0].annotations and held[0].data.get(TEXT) != document.text:
            what = f"{document.id}: the text changed after task {held[0].id} was annotated"
            cure = "restore the text, or give the new text a new document id"
            made.faults.append(Fault("documents", 0, what, cure, "text-changed"))
        else:
            made.update.append((held[0].id, document))
    return made


def by_document(tasks: Sequence[Task]) -> dict[str, list[Task]]:
    """The tasks of each document, the one that counts first: annotated, then oldest."""
    found: dict[str, list[Task]] = defaultdict(list)
    for task in sorted(tasks, key=lambda task: (not task.annotations, task.id)):
        name = task.data.get("document")
        if isinstance(name, str):
            found[name].append(task)
    return dict(found)


def absent_of(documents: Iterable[str], tasks: Sequence[Task]) -> list[str]:
    """The documents that have no task."""
    present = {task.data.get("document") for task in tasks}
    return [document for document in documents if document not in present]
