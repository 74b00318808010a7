"""Annotations as Label Studio's `result` lists and back, losing nothing.

Offsets are the truth both ways: Label Studio's text counts code points, and `value.text` of a region
drawn across lines holds a literal backslash and n instead of the line end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from toolkit.errors import Fault
from toolkit.schema import Attribute, Schema
from toolkit.spans import Annotation, Document, Relation, Span, Value
from toolkit.studio.page import LABELS, TEXT

__all__ = ["from_result", "to_result"]


def to_result(annotation: Annotation, schema: Schema, document: Document) -> list[dict[str, Any]]:
    """The annotation as Label Studio's result: regions, their attributes, relations."""
    result: list[dict[str, Any]] = []
    for span in annotation.spans:
        place: dict[str, Any] = {"start": span.start, "end": span.end}
        surface = document.text[span.start : span.end]
        value = place | {"text": surface, "labels": [span.label]}
        result.append(_item(span.id, LABELS, "labels", value))
        for attribute in schema.attributes_of(span.label):
            if attribute.name in span.attributes:
                given = span.attributes[attribute.name]
                result.append(_attribute_item(span.id, attribute, given, place, surface))
    result += [
        {
            "type": "relation",
            "from_id": relation.head,
            "to_id": relation.tail,
            "direction": "right",
            "labels": [relation.type],
        }
        for relation in annotation.relations
    ]
    return result


def _item(identifier: str, control: str, kind: str, value: Mapping[str, Any]) -> dict[str, Any]:
    names = {"id": identifier, "from_name": control, "to_name": TEXT, "type": kind}
    return {**names, "origin": "manual", "value": dict(value)}


def _attribute_item(
    identifier: str, attribute: Attribute, given: Value, place: dict[str, Any], surface: str
) -> dict[str, Any]:
    if attribute.flag:
        value = place | {"text": surface, "choices": [attribute.name]}
        return _item(identifier, attribute.name, "choices", value)
    if attribute.values:
        value = place | {"text": surface, "choices": [given]}
        return _item(identifier, attribute.name, "choices", value)
    return _item(identifier, attribute.name, "textarea", place | {"text": [given]})


def from_result(
    result: Sequence[Mapping[str, Any]], schema: Schema, document: Document, *, place: str
) -> tuple[Annotation, list[Fault]]:
    """The annotation a result holds, and everything in it that cannot be accepted.

    The same span made twice with the same label counts once: the first keeps its id, and attributes
    and relations of the other go to it.
    """
    faults: list[Fault] = []
    regions: dict[str, Span] = {}
    same: dict[str, str] = {}
    for item in result:
        if item.get("type") == "labels":
            _add_region(item, regions, same, faults, place)
    attributes: dict[str, dict[str, Value]] = {identifier: {} for identifier in regions}
    known = {attribute.name: attribute for attribute in schema.attributes}
    for item in result:
        if item.get("type") not in {"labels", "relation"}:
            found = _attribute(item, known)
            identifier = same.get(str(item.get("id")), "")
            if found is None or not identifier:
                what = f"{document.id}: an answer of the control {item.get('from_name')!r}"
                cure = "the schema has no such attribute, or its region is gone"
                faults.append(Fault(place, 0, what, cure, "unknown-control"))
            else:
                attributes[identifier].setdefault(*found)
    spans = tuple(
        Span(span.start, span.end, span.label, identifier, attributes=attributes[identifier])
        for identifier, span in regions.items()
    )
    relations = tuple(dict.fromkeys(_relations(result, same)))
    annotation = Annotation(document.id, spans=spans, relations=relations)
    faults += schema.faults(annotation, document, place=place)
    return annotation, faults


def _add_region(
    item: Mapping[str, Any],
    regions: dict[str, Span],
    same: dict[str, str],
    faults: list[Fault],
    place: str,
) -> None:
    value = item.get("value") or {}
    start, end, labels = value.get("start"), value.get("end"), value.get("labels") or []
    identifier = str(item.get("id"))
    if not isinstance(start, int) or not isinstance(end, int) or len(labels) != 1:
        what = f"region {identifier} has start {start!r}, end {end!r} and labels {labels!r}"
        cure = "give it whole-number offsets and one label"
        faults.append(Fault(place, 0, what, cure, "invalid-region"))
        return
    span = Span(start, end, str(labels[0]), identifier)
    twin = next((known for known, other in regions.items() if other.key == span.key), identifier)
    same[identifier] = twin
    regions.setdefault(twin, span)


def _attribute(item: Mapping[str, Any], known: Mapping[str, Attribute]) -> tuple[str, Value] | None:
    attribute = known.get(str(item.get("from_name")))
    value = item.get("value") or {}
    if attribute is None:
        return None
    if attribute.flag:
        return attribute.name, True
    given = value.get("choices") if attribute.values else value.get("text")
    if isinstance(given, str):
        given = [given]
    if not given or len(given) != 1:
        return None
    return attribute.name, str(given[0])


def _relations(result: Sequence[Mapping[str, Any]], same: Mapping[str, str]) -> Iterator[Relation]:
    for item in result:
        if item.get("type") != "relation":
            continue
        ends = str(item.get("from_id")), str(item.get("to_id"))
        head, tail = (same.get(end, end) for end in ends)
        if item.get("direction") == "left":
            head, tail = tail, head
        # One without a label is a fault of its own: it has no type the schema knows.
        for kind in item.get("labels") or [""]:
            yield Relation(str(kind), head, tail)
