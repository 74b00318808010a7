"""Any raw JSON export of Label Studio as columns, ours or somebody else's, nothing in it judged.

Every annotation is one row, with its spans, what is said of them, and their relations as the server had
them: nested spans, several annotators, skipped documents and relations stay. What converters drop is
kept; what cannot even be read is counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from toolkit import files
from toolkit.errors import Fault, InvalidDataError

__all__ = ["KINDS", "Columns", "columns"]


@dataclass(slots=True)
class Columns:
    """An export as columns: one value per annotation, and flat lists with their ends per annotation.

    `spans`, `answers` and `relations` map a field to its values, over all annotations one after the
    other; their `ends` say where each annotation's part ends. `refused` names tasks whose JSON has
    another shape than an export's.
    """

    rows: dict[str, list[Any]]
    spans: dict[str, list[Any]]
    answers: dict[str, list[Any]]
    relations: dict[str, list[Any]]
    ends: dict[str, list[int]] = field(
        default_factory=lambda: {"spans": [], "answers": [], "relations": []}
    )
    refused: list[int] = field(default_factory=list)


@cache
def _task_type() -> Any:
    """What is read of a task. Records of this kind are made three times as fast as dataclasses."""
    value = files.structure(
        "Value",
        start=(int | str | None, None),
        end=(int | str | None, None),
        labels=(list[str], ()),
        choices=(list[Any], ()),
        text=(Any, None),
    )
    item = files.structure(
        "Item",
        id=(str, ""),
        type=(str, ""),
        from_name=(str, ""),
        value=(value | None, None),
        from_id=(str, ""),
        to_id=(str, ""),
        direction=(str, "right"),
        labels=(list[str] | None, None),
    )
    annotation = files.structure(
        "Annotation",
        id=(int, 0),
        result=(list[item] | None, None),  # type: ignore[valid-type]
        completed_by=(int | dict[str, Any] | None, None),
        was_cancelled=(bool, False),
        lead_time=(float | None, None),
        updated_at=(str, ""),
    )
    return files.structure(
        "Task",
        id=(int, 0),
        data=(dict[str, Any], {}),
        annotations=(list[annotation], ()),  # type: ignore[valid-type]
    )


_ROWS: Mapping[str, type] = {
    "task": int,
    "document": str,
    "text": str,
    "annotation": int,
    "user": int,
    "skipped": bool,
    "lead_time": float,
    "updated_at": str,
}
_SPANS: Mapping[str, type] = {"id": str, "start": int, "end": int, "label": str, "control": str}
_ANSWERS: Mapping[str, type] = {"id": str, "name": str, "value": str}
_RELATIONS: Mapping[str, type] = {"type": str, "head": str, "tail": str}

KINDS: Mapping[str, type] = {**_ROWS, **_SPANS, **_ANSWERS, **_RELATIONS}
"""The type of each field."""


def columns(path: Path, *, text: str = "text") -> Columns:
    """The columns of an export; `text` is the key of the text in a task's data.

    Users are numbers, as in the export: an address never gets in. A region with several labels is one
    span for each. Raises `InvalidDataError` when the file is no list of tasks.
    """
    made = Columns(_empty(_ROWS), _empty(_SPANS), _empty(_ANSWERS), _empty(_RELATIONS))
    for number, task in enumerate(_tasks(path), start=1):
        if task is None:
            made.refused.append(number)
            continue
        name, content = str(task.data.get("document", task.id)), task.data.get(text)
        for annotation in task.annotations:
            _add_row(made, task, annotation, name, content)
            _add_result(made, annotation.result or ())
    return made


def _empty(names: Iterable[str]) -> dict[str, list[Any]]:
    return {name: [] for name in names}


def _tasks(path: Path) -> Iterator[Any]:
    """Each task, or None for one of another shape."""
    content = files.read_bytes(path)
    try:
        for part in files.decode_parts(content):
            try:
                yield files.decode(part, _task_type())
            except ValueError:
                yield None
    except ValueError as error:
        what, cure = f"not a list of tasks: {error}", "export the project as JSON"
        raise InvalidDataError([Fault(str(path), 0, what, cure, "invalid-export")]) from error


def _add_row(made: Columns, task: Any, one: Any, name: str, content: Any) -> None:
    user = one.completed_by
    rows = made.rows
    rows["task"].append(task.id)
    rows["document"].append(name)
    rows["text"].append(content if isinstance(content, str) else None)
    rows["annotation"].append(one.id)
    rows["user"].append(user.get("id") if isinstance(user, Mapping) else user)
    rows["skipped"].append(one.was_cancelled)
    rows["lead_time"].append(one.lead_time)
    rows["updated_at"].append(one.updated_at)


def _add_result(made: Columns, result: Sequence[Any]) -> None:
    ids, starts, ends, labels, controls = made.spans.values()
    for item in result:
        value = item.value
        if item.type == "relation":
            _add_relation(made, item)
        elif value is None:
            continue
        elif value.labels and type(value.start) is int and type(value.end) is int:
            for label in value.labels:
                ids.append(item.id)
                starts.append(value.start)
                ends.append(value.end)
                labels.append(label)
                controls.append(item.from_name)
        else:
            _add_answers(made, item, value)
    for name, held in (
        ("spans", ids),
        ("answers", made.answers["id"]),
        ("relations", made.relations["type"]),
    ):
        made.ends[name].append(len(held))


def _add_relation(made: Columns, item: Any) -> None:
    ends = (item.from_id, item.to_id) if item.direction != "left" else (item.to_id, item.from_id)
    for kind in item.labels or [""]:
        for name, value in zip(_RELATIONS, (kind, *ends), strict=True):
            made.relations[name].append(value)


def _add_answers(made: Columns, item: Any, value: Any) -> None:
    said = value.choices or (value.text if isinstance(value.text, list) else [])
    for answer in said:
        for name, part in zip(_ANSWERS, (item.id, item.from_name, str(answer)), strict=True):
            made.answers[name].append(part)
