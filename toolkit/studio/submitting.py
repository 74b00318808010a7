"""Readings handed in as a user of the server: what annotators do in the browser, done by program."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from toolkit.errors import UsageError
from toolkit.schema import Schema
from toolkit.spans import Annotation, Document
from toolkit.studio.client import Studio
from toolkit.studio.planning import by_document, find
from toolkit.studio.results import to_result

__all__ = ["submit"]

PART = 200


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
    tasks = by_document(studio.tasks(found[0]))
    absent = sorted({a.document for a in annotations} - tasks.keys())
    if absent:
        what = f"project {found[0].id}: no task of {', '.join(absent[:5])}"
        raise UsageError(f"{what}; push first: toolkit push")
    submitted = 0
    for start in range(0, len(annotations), PART):
        part = annotations[start : start + PART]
        chosen = [tasks[annotation.document][0].id for annotation in part]
        held = {task.id: task.annotations for task in studio.export(found[0], chosen)}
        for number, (annotation, task) in enumerate(zip(part, chosen, strict=True), start + 1):
            progress(number, len(annotations))
            if any(made.completed_by == studio.user for made in held[task]):
                continue
            result = to_result(annotation, schema, documents[annotation.document])
            facts: dict[str, Any] = {"was_cancelled": annotation.skipped}
            if annotation.lead_time is not None:
                facts["lead_time"] = annotation.lead_time
            studio.annotate(task, result, **facts)
            submitted += 1
    return submitted
