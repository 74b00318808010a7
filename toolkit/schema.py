"""What may be marked and what it means: layers of labels, attributes, relation types.

A schema is one YAML file. It divides its labels into flat layers; inside a layer nothing overlaps,
across layers spans may nest. Everything an annotation can get wrong against its schema and its
document is found by `Schema.faults`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from toolkit import files
from toolkit.errors import Fault, InvalidDataError
from toolkit.spans import Annotation, Document, Span, Value, is_storable, overlapping

__all__ = [
    "ZONES",
    "Attribute",
    "Choice",
    "Label",
    "Layer",
    "RelationType",
    "Schema",
    "document_faults",
]

ZONES = ("headline", "body", "boilerplate")
"""What a stretch of the page can be."""

_NAME = re.compile(r"[^\W\d_][\w]{0,63}")
_COLOUR = re.compile(r"#[0-9A-Fa-f]{6}")
_VALUE = re.compile(r"[^\x00-\x1f<>&\"']{1,64}")


@dataclass(frozen=True, slots=True)
class Label:
    """One kind of span. The description is what annotators see."""

    name: str
    description: str
    colour: str
    hotkey: str = ""


@dataclass(frozen=True, slots=True)
class Layer:
    """Labels whose spans never overlap each other; one column of IOB2 tags."""

    name: str
    labels: tuple[Label, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its labels."""
        return tuple(label.name for label in self.labels)

    @property
    def tags(self) -> tuple[str, ...]:
        """`O`, then `B-` and `I-` of each label: the classes of its tag column."""
        return ("O", *(f"{prefix}-{name}" for name in self.names for prefix in "BI"))


@dataclass(frozen=True, slots=True)
class Choice:
    """One value of an attribute."""

    value: str
    hotkey: str = ""


@dataclass(frozen=True, slots=True)
class Attribute:
    """Something said of a span: one of several choices, a flag, or free text.

    With `values` it is a choice; with `flag` it is recorded only when true; else it is free text.
    """

    name: str
    labels: tuple[str, ...]
    description: str = ""
    values: tuple[Choice, ...] = ()
    flag: bool = False
    hotkey: str = ""
    required: bool = False

    @property
    def choices(self) -> tuple[str, ...]:
        """The values it may take; empty for a flag or free text."""
        return tuple(choice.value for choice in self.values)

    def of(self, span: Span) -> Value:
        """What is said of this span; False for a flag and nothing for the rest where nothing is."""
        return span.attributes.get(self.name, False if self.flag else "")

    def accepts(self, value: Value) -> bool:
        """Whether the value is one this attribute may take."""
        if self.flag:
            return value is True
        return isinstance(value, str) and (not self.values or value in self.choices)

    @property
    def cure(self) -> str:
        """What to write instead of a value it does not accept."""
        if self.flag:
            return "write true or leave it out"
        return f"use one of: {', '.join(self.choices)}" if self.values else "write text"


@dataclass(frozen=True, slots=True)
class RelationType:
    """A directed link between spans of these labels."""

    name: str
    head: tuple[str, ...]
    tail: tuple[str, ...]
    description: str = ""


@dataclass(frozen=True, slots=True)
class Schema:
    """A named, versioned set of layers, attributes and relation types."""

    name: str
    version: str
    language: str
    layers: tuple[Layer, ...]
    attributes: tuple[Attribute, ...] = ()
    relations: tuple[RelationType, ...] = ()
    title: str = ""
    guideline: str = ""
    sha256: str = field(default="", compare=False)

    @classmethod
    def load(cls, path: Path) -> Schema:
        """The schema of a YAML file. Raises `InvalidDataError` with every fault and its line.

        `guideline` names a Markdown file beside it and is read in; `sha256` is the fingerprint of
        both files, written into the Label Studio project.
        """
        schema, lines = files.read_yaml_lines(path, cls)
        beside = path.parent / schema.guideline
        faults = [
            Fault(str(path), lines.get(place, 0), what, cure, "invalid-schema")
            for place, what, cure in _schema_faults(schema)
        ]
        if schema.guideline and not (beside.parent == path.parent and beside.is_file()):
            what = f"guideline: no such file beside it: {schema.guideline!r}"
            cure = "write it or drop the key"
            faults.append(Fault(str(path), lines["guideline",], what, cure, "invalid-schema"))
        if faults:
            raise InvalidDataError(sorted(faults))
        guideline = files.read_text(beside) if schema.guideline else ""
        fingerprint = hashlib.sha256(path.read_bytes() + guideline.encode()).hexdigest()
        return replace(schema, guideline=guideline, sha256=fingerprint)

    @property
    def labels(self) -> tuple[Label, ...]:
        """Every label, layer by layer."""
        return tuple(label for layer in self.layers for label in layer.labels)

    def layer_of(self, label: str) -> Layer:
        """The layer that holds this label. Raises `KeyError`."""
        for layer in self.layers:
            if label in layer.names:
                return layer
        raise KeyError(label)

    def attributes_of(self, label: str) -> tuple[Attribute, ...]:
        """The attributes a span with this label carries."""
        return tuple(attribute for attribute in self.attributes if label in attribute.labels)

    def faults(
        self, annotation: Annotation, document: Document | None, *, place: str, line: int = 0
    ) -> Iterator[Fault]:
        """Everything wrong with an annotation, but for overlaps: see `Schema.overlaps`.

        Without the document, what needs its text is not looked at.
        """
        seen: set[str] = set()
        for span in annotation.spans:
            for rule, what, cure in self._span_faults(span, document):
                yield Fault(place, line, f"{_where(annotation, span)} {what}", cure, rule)
            if span.id in seen:
                what = f"{_where(annotation, span)} repeats the id {span.id!r}"
                yield Fault(place, line, what, "give each span its own id", "duplicate-id")
            seen.add(span.id)
        yield from self._relation_faults(annotation, place, line)

    def gold_faults(
        self, annotation: Annotation, document: Document, *, place: str, line: int = 0
    ) -> Iterator[Fault]:
        """What finished gold must not hold: ragged edges, crossings, furniture, open questions."""
        for span in annotation.spans:
            for rule, what, cure in self._gold_span_faults(span, document):
                yield Fault(place, line, f"{_where(annotation, span)} {what}", cure, rule)
        for outer, inner in _crossings(annotation.spans):
            what = f"{_where(annotation, inner)} crosses {outer.label} {outer.start}–{outer.end}"
            yield Fault(place, line, what, "layers nest or stand apart: move an edge", "crossing")

    def _gold_span_faults(self, span: Span, document: Document) -> Iterator[tuple[str, str, str]]:
        surface = document.text[span.start : span.end]
        if surface != surface.strip():
            yield "edge", f"begins or ends with white space: {surface!r}", "move its edge"
        for zone in document.zones:
            if zone.zone == "boilerplate" and span.start < zone.end and zone.start < span.end:
                yield "boilerplate", "lies in page furniture", "remove it or mend the zone"
        for attribute in self.attributes_of(span.label):
            if attribute.required and not attribute.of(span):
                yield "missing-attribute", f"has no {attribute.name}", "decide it"

    def overlaps(self, annotation: Annotation, *, place: str, line: int = 0) -> Iterator[Fault]:
        """Spans of one layer that overlap. Allowed in what annotators drew, never in gold."""
        for layer in self.layers:
            for first, second in overlapping(annotation.layer(layer.names)):
                what = (
                    f"{_where(annotation, second)} overlaps {first.label} {first.start}–{first.end}"
                    f" in the layer {layer.name!r}"
                )
                yield Fault(place, line, what, "keep one of the two or move an edge", "overlap")

    def _span_faults(self, span: Span, document: Document | None) -> Iterator[tuple[str, str, str]]:
        if all(span.label not in layer.names for layer in self.layers):
            known = ", ".join(label.name for label in self.labels)
            yield "unknown-label", "has an unknown label", f"use one of {known}"
        if span.start == span.end:
            yield "empty", "is empty", "remove it or give it an end after its start"
        elif span.start > span.end:
            yield "reversed", "ends before it starts", "swap start and end"
        elif span.start < 0 or (document and span.end > len(document.text)):
            known = f" (0–{len(document.text)})" if document else ""
            yield "outside-text", f"lies outside the text{known}", "mend its offsets"
        elif document and span.text and span.text != document.text[span.start : span.end]:
            found = document.text[span.start : span.end]
            yield "text-mismatch", f"reads {found!r}, not {span.text!r}", "mend offsets or text"
        yield from self._attribute_faults(span)

    def _attribute_faults(self, span: Span) -> Iterator[tuple[str, str, str]]:
        known = {attribute.name: attribute for attribute in self.attributes_of(span.label)}
        for name, value in span.attributes.items():
            if name not in known:
                yield "unknown-attribute", f"has an unknown attribute {name!r}", "remove it"
            elif not known[name].accepts(value):
                yield "unknown-value", f"has {name}={value!r}", known[name].cure

    def _relation_faults(self, annotation: Annotation, place: str, line: int) -> Iterator[Fault]:
        types = {relation.name: relation for relation in self.relations}
        labels = {span.id: span.label for span in annotation.spans}
        for relation in annotation.relations:
            where = (
                f"{annotation.document}: relation {relation.type} {relation.head}→{relation.tail}"
            )
            kind = types.get(relation.type)
            if kind is None:
                known = ", ".join(types) or "none"
                what, cure, rule = "has an unknown type", f"use one of: {known}", "unknown-relation"
            elif relation.head not in labels or relation.tail not in labels:
                what, cure, rule = "names no span", "remove it or add the span", "dangling-relation"
            elif labels[relation.head] not in kind.head or labels[relation.tail] not in kind.tail:
                found = f"{labels[relation.head]}→{labels[relation.tail]}"
                what = f"links {found}"
                cure = f"it goes from {'/'.join(kind.head)} to {'/'.join(kind.tail)}"
                rule = "wrong-relation"
            else:
                continue
            yield Fault(place, line, f"{where} {what}", cure, rule)


def document_faults(document: Document, *, place: str, line: int = 0) -> Iterator[Fault]:
    """Everything wrong with a document by itself."""
    where = f"document {document.id!r}"
    if not document.id:
        yield Fault(place, line, "a document without an id", "give it one", "no-id")
    if not document.text.strip():
        yield Fault(place, line, f"{where} has no text", "remove it", "empty-text")
    if not is_storable(document.text):
        cure = "remove it: Label Studio cannot export a project that holds one"
        yield Fault(place, line, f"{where} holds a lone surrogate", cure, "lone-surrogate")
    for zone in document.zones:
        if zone.zone not in ZONES:
            what = f"{where}: zone {zone.start}–{zone.end} is called {zone.zone!r}"
            yield Fault(place, line, what, f"use one of {', '.join(ZONES)}", "unknown-zone")
        if not 0 <= zone.start < zone.end <= len(document.text):
            what = f"{where}: zone {zone.zone} {zone.start}–{zone.end} lies outside the text"
            yield Fault(place, line, what, "mend its offsets", "outside-text")


def _crossings(spans: Iterable[Span]) -> Iterator[tuple[Span, Span]]:
    """Pairs of spans that overlap without one lying inside the other."""
    open_spans: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        open_spans = [other for other in open_spans if other.end > span.start]
        yield from ((o, span) for o in open_spans if o.start < span.start and o.end < span.end)
        open_spans.append(span)


def _where(annotation: Annotation, span: Span) -> str:
    return f"{annotation.document}: {span.label} {span.start}–{span.end}"


Place = tuple[str | int, ...]
"""The keys and positions that lead to a value of the YAML file."""

_RESERVED: Mapping[str, tuple[str, ...]] = {
    "layer": (
        *("id", "event", "source", "genre", "published", "text", "zones", "relations"),
        *("tokens", "token_offsets", "canary", "data", "default"),
    ),
    "attribute": ("id", "start", "end", "label", "text"),
}
"""What a dataset calls its own columns, folder and configuration, and the fields of its spans."""


def _schema_faults(schema: Schema) -> Iterator[tuple[Place, str, str]]:
    """What a well-typed schema can still get wrong: the place, the fault, the cure."""
    yield from _name_faults("label", [(place, label.name) for place, label in _labels(schema)])
    for kind, names in (
        ("layer", [layer.name for layer in schema.layers]),
        ("attribute", [attribute.name for attribute in schema.attributes]),
        ("relation", [relation.name for relation in schema.relations]),
    ):
        yield from _name_faults(kind, [((f"{kind}s", n), name) for n, name in enumerate(names)])
    yield from _label_faults(schema)
    yield from _reference_faults(schema, sorted(label.name for label in schema.labels))
    yield from _value_faults(schema)
    yield from _hotkey_faults(schema)


def _label_faults(schema: Schema) -> Iterator[tuple[Place, str, str]]:
    if not schema.layers:
        yield ("layers",), "no labels", "declare at least one layer with one label"
    for n, layer in enumerate(schema.layers):
        if not layer.labels:
            yield ("layers", n), f"layer {layer.name!r} has no labels", "declare one or drop it"
    for place, label in _labels(schema):
        if not _COLOUR.fullmatch(label.colour):
            yield (*place, "colour"), f"{label.name}: colour {label.colour!r}", "use #RRGGBB"


def _labels(schema: Schema) -> list[tuple[Place, Label]]:
    return [
        (("layers", n, "labels", m), label)
        for n, layer in enumerate(schema.layers)
        for m, label in enumerate(layer.labels)
    ]


def _name_faults(kind: str, names: Iterable[tuple[Place, str]]) -> Iterator[tuple[Place, str, str]]:
    seen: set[str] = set()
    for place, name in names:
        if name in seen:
            yield (*place, "name"), f"{kind} {name!r} is declared twice", "keep one"
        elif not _NAME.fullmatch(name):
            cure = "use 1–64 letters, digits and _, a letter first"
            yield (*place, "name"), f"{kind} name {name!r}", cure
        elif name in _RESERVED.get(kind, ()):
            yield (*place, "name"), f"{kind} {name!r}: every dataset has that already", "rename it"
        seen.add(name)


def _reference_faults(schema: Schema, known: list[str]) -> Iterator[tuple[Place, str, str]]:
    uses: list[tuple[Place, str, tuple[str, ...]]] = [
        (("attributes", n, "labels"), f"attribute {a.name}", a.labels)
        for n, a in enumerate(schema.attributes)
    ]
    for n, relation in enumerate(schema.relations):
        uses.append((("relations", n, "head"), f"relation {relation.name}", relation.head))
        uses.append((("relations", n, "tail"), f"relation {relation.name}", relation.tail))
    for place, user, labels in uses:
        for m, label in enumerate(labels):
            if label not in known:
                cure = f"declare it in a layer or use one of {', '.join(known)}"
                yield (*place, m), f"{user}: unknown label {label!r}", cure


def _value_faults(schema: Schema) -> Iterator[tuple[Place, str, str]]:
    for n, attribute in enumerate(schema.attributes):
        seen: set[str] = set()
        for m, value in enumerate(attribute.choices):
            if not _VALUE.fullmatch(value) or value in seen:
                what = f"attribute {attribute.name}: value {value!r}"
                cure = "use 1–64 plain characters, each value once"
                yield ("attributes", n, "values", m, "value"), what, cure
            seen.add(value)
        if attribute.flag and attribute.values:
            what = f"attribute {attribute.name}: a flag has no values"
            yield ("attributes", n, "flag"), what, "drop flag or values"


def _hotkey_faults(schema: Schema) -> Iterator[tuple[Place, str, str]]:
    keys: list[tuple[Place, str]] = [(place, label.hotkey) for place, label in _labels(schema)]
    for n, attribute in enumerate(schema.attributes):
        keys.append((("attributes", n), attribute.hotkey))
        keys += [
            (("attributes", n, "values", m), choice.hotkey)
            for m, choice in enumerate(attribute.values)
        ]
    seen: set[str] = set()
    for place, key in keys:
        if key and key in seen:
            yield (*place, "hotkey"), f"hotkey {key!r} is used twice", "choose another"
        seen.add(key)
