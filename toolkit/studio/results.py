"""Annotations as Label Studio's `result` lists and back, losing nothing.

Offsets are the truth both ways: Label Studio's text counts code points, and `value.text` of a region
drawn across lines holds a literal backslash and n instead of the line end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from toolkit.errors import Fault
from toolkit.schema import Attribute, Choice, Schema, Shape
from toolkit.schema.migration import led_attributes, led_values
from toolkit.spans import Annotation, Document, Key, Relation, Span, Value
from toolkit.studio.page import LABELS, TEXT

__all__ = ["as_written", "from_result", "to_result"]


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
    and relations of the other go to it. Names of older versions of the schema are read as this
    version's where its migrations cover them.
    """
    reading = _Reading(schema, document, place)
    annotation = schema.migrate(reading.read(result))
    return annotation, reading.faults + list(schema.faults(annotation, document, place=place))


def as_written(result: Sequence[Mapping[str, Any]], shape: Shape) -> Annotation:
    """The annotation a result holds, as far as it can be read, in the words of its own page."""
    page = Schema(shape.name, shape.version, "", (), attributes=shape.attributes)
    return _Reading(page, Document("", ""), "").read(result)


@dataclass
class _Reading:
    """What has been read of a result: regions by id, their answers, and which id stands for which."""

    schema: Schema
    document: Document
    place: str
    regions: dict[str, Span] = field(default_factory=dict)
    answers: dict[str, dict[str, Value]] = field(default_factory=dict)
    same: dict[str, str] = field(default_factory=dict)
    known: dict[Key, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def read(self, result: Sequence[Mapping[str, Any]]) -> Annotation:
        """The regions, then what is said of them, then their relations."""
        for item in result:
            if item.get("type") == "labels":
                self.add_region(item)
        for item in result:
            if item.get("type") not in {"labels", "relation"}:
                self.add_answer(item)
        spans = tuple(
            Span(span.start, span.end, span.label, identifier, attributes=self.answers[identifier])
            for identifier, span in self.regions.items()
        )
        relations = tuple(dict.fromkeys(_relations(result, self.same)))
        return Annotation(self.document.id, spans=spans, relations=relations)

    def refuse(self, rule: str, what: str, cure: str) -> None:
        """Note what cannot be accepted."""
        self.faults.append(Fault(self.place, 0, f"{self.document.id}: {what}", cure, rule))

    def add_region(self, item: Mapping[str, Any]) -> None:
        """A region, unless it is malformed; one that is there already gives its id to the first."""
        value, identifier = _value(item), str(item.get("id"))
        start, end, labels = value.get("start"), value.get("end"), value.get("labels") or []
        if item.get("from_name") != LABELS:
            self._refuse_control(item)
        elif type(start) is not int or type(end) is not int or len(labels) != 1:
            what = f"region {identifier} has start {start!r}, end {end!r} and labels {labels!r}"
            self.refuse("invalid-region", what, "give it whole-number offsets and one label")
        elif identifier in self.same:
            what = f"two regions have the id {identifier!r}"
            self.refuse("duplicate-id", what, "delete one and draw it again")
        else:
            span = Span(start, end, str(labels[0]), identifier)
            first = self.same[identifier] = self.known.setdefault(span.key, identifier)
            self.regions.setdefault(first, span)
            self.answers.setdefault(first, {})

    def add_answer(self, item: Mapping[str, Any]) -> None:
        """An attribute's value, unless the field was emptied again."""
        attribute = _control(self.schema, item)
        region = self.same.get(str(item.get("id")))
        if attribute is None or region is None:
            self._refuse_control(item)
            return
        given = _value(item).get("text" if attribute.kind == "text" else "choices")
        answers = [given] if isinstance(given, str) else given or []
        if not isinstance(answers, list) or len(answers) > 1:
            what = f"region {region} has {attribute.name}={given!r}"
            self.refuse("several-values", what, "choose one")
        elif answers and answers != [""]:
            value = _attribute_value(attribute, str(answers[0]))
            self.answers[region].setdefault(attribute.name, value)

    def _refuse_control(self, item: Mapping[str, Any]) -> None:
        what = f"an answer of the control {item.get('from_name')!r}"
        cure = "the schema has no such control, or its region is gone"
        self.refuse("unknown-control", what, cure)


def _value(item: Mapping[str, Any]) -> Mapping[str, Any]:
    value = item.get("value")
    return value if isinstance(value, Mapping) else {}


def _control(schema: Schema, item: Mapping[str, Any]) -> Attribute | None:
    """The attribute that a control answers; one that migrations lead on, in the kind it had."""
    name = str(item.get("from_name"))
    now = {attribute.name: attribute for attribute in schema.attributes}
    led = led_attributes(schema.migrations)
    values = {value for attribute, value in led_values(schema.migrations) if attribute == name}
    if name not in led and not (name in now and values):
        return now.get(name)
    if item.get("type") == "textarea":
        return Attribute(name, ())
    final = now.get(led.get(name, name))
    choices = tuple(sorted(values.union(final.choices if final else ())))
    # A flag's one choice is called as the flag itself.
    return Attribute(name, (), values=tuple(map(Choice, choices)), flag=name not in choices)


def _attribute_value(attribute: Attribute, answer: str) -> Value:
    return True if attribute.flag and answer == attribute.name else answer


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
