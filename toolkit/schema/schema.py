"""The schema itself: one YAML file, loaded whole or refused, and what an annotation gets wrong by it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from toolkit import files
from toolkit.errors import Fault, InvalidDataError
from toolkit.schema.migration import Migration, Place, migrate, migration_faults
from toolkit.schema.parts import Attribute, Label, Layer, RelationType
from toolkit.spans import Annotation, Document, Span, overlapping

__all__ = ["Schema"]

_NAME = re.compile(r"[^\W\d_][\w]{0,63}")
_COLOUR = re.compile(r"#[0-9A-Fa-f]{6}")
_VALUE = re.compile(r"[^\x00-\x1f<>&\"'\ud800-\udfff\ufffe\uffff]{1,64}")
_HEADS = (
    (
        "name",
        r"(?=.{1,64}$)\w+([ .-]\w+)*",
        "use letters, digits and _, parted by single . - or blanks",
    ),
    ("version", r"(?=.{1,64}$)\w+([.+-]\w+)*", "use dotted numbers, such as 1.0 in quotes"),
)
"""Both stand in a comment of the labelling page, which may hold no two hyphens."""


@dataclass(frozen=True)
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
    migrations: tuple[Migration, ...] = field(default=(), hash=False)
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
        return self._layers[label]

    def attributes_of(self, label: str) -> tuple[Attribute, ...]:
        """The attributes a span with this label carries."""
        return tuple(self._attributes.get(label, {}).values())

    @cached_property
    def _layers(self) -> Mapping[str, Layer]:
        """The layer of each label."""
        return {name: layer for layer in reversed(self.layers) for name in layer.names}

    @cached_property
    def _attributes(self) -> Mapping[str, Mapping[str, Attribute]]:
        """The attributes of each label, by name."""
        labels = {label for attribute in self.attributes for label in attribute.labels}
        return {
            label: {a.name: a for a in self.attributes if label in a.labels} for label in labels
        }

    def migrate(self, annotation: Annotation) -> Annotation:
        """An annotation as written under an older version, read under this one.

        The very same annotation when nothing applies to it.
        """
        return migrate(annotation, self.migrations) if self.migrations else annotation

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
        if span.label not in self._layers:
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
        known = self._attributes.get(span.label, {})
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


def _crossings(spans: Iterable[Span]) -> Iterator[tuple[Span, Span]]:
    """Pairs of spans that overlap without one lying inside the other."""
    open_spans: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        open_spans = [other for other in open_spans if other.end > span.start]
        yield from ((o, span) for o in open_spans if o.start < span.start and o.end < span.end)
        open_spans.append(span)


def _where(annotation: Annotation, span: Span) -> str:
    return f"{annotation.document}: {span.label} {span.start}–{span.end}"


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
    for key, pattern, cure in _HEADS:
        if not re.fullmatch(pattern, getattr(schema, key)):
            yield (key,), f"{key} {getattr(schema, key)!r}", cure
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
    yield from migration_faults(
        schema.migrations,
        schema.version,
        labels=[label.name for label in schema.labels],
        attributes={attribute.name: attribute for attribute in schema.attributes},
        relations=[relation.name for relation in schema.relations],
    )


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
