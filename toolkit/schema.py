"""What may be marked and what it means: layers of labels, attributes, relation types.

A schema is one YAML file. It divides its labels into flat layers; inside a layer nothing overlaps,
across layers spans may nest. Everything an annotation can get wrong against its schema and its
document is found by `Schema.faults`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from toolkit import files
from toolkit.errors import Fault, InvalidDataError
from toolkit.spans import Annotation, Document, Span, Value, is_storable, overlapping

__all__ = ["Attribute", "Choice", "Label", "Layer", "RelationType", "Schema"]

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

    With `values` it is a choice. With one value that equals `true` it is a flag, recorded only when
    true. Without values it is free text.
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

    def accepts(self, value: Value) -> bool:
        """Whether the value is one this attribute may take."""
        if self.flag:
            return value is True
        return isinstance(value, str) and (not self.values or value in self.choices)


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
        import dataclasses

        schema = files.read_yaml(path, cls)
        faults = list(_schema_faults(path, schema))
        guideline = ""
        if schema.guideline:
            beside = path.parent / schema.guideline
            if beside.is_file():
                guideline = files.read_text(beside)
            else:
                what = f"guideline: no such file {schema.guideline!r}"
                faults.append(_fault(path, schema.guideline, what, "write it or drop the key"))
        if faults:
            raise InvalidDataError(sorted(faults))
        fingerprint = hashlib.sha256(path.read_bytes() + guideline.encode()).hexdigest()
        return dataclasses.replace(schema, guideline=guideline, sha256=fingerprint)

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
        self, annotation: Annotation, document: Document, *, place: str, line: int = 0
    ) -> Iterator[Fault]:
        """Everything wrong with an annotation, but for overlaps: see `Schema.overlaps`."""
        seen: set[str] = set()
        for span in annotation.spans:
            for rule, what, cure in self._span_faults(span, document):
                yield Fault(place, line, f"{_where(annotation, span)} {what}", cure, rule)
            if span.id in seen:
                what = f"{_where(annotation, span)} repeats the id {span.id!r}"
                yield Fault(place, line, what, "give each span its own id", "duplicate-id")
            seen.add(span.id)
        yield from self._relation_faults(annotation, place, line)

    def overlaps(self, annotation: Annotation, *, place: str, line: int = 0) -> Iterator[Fault]:
        """Spans of one layer that overlap. Allowed in what annotators drew, never in gold."""
        for layer in self.layers:
            for first, second in overlapping(annotation.layer(layer.names)):
                what = (
                    f"{_where(annotation, second)} overlaps {first.label} {first.start}–{first.end}"
                    f" in the layer {layer.name!r}"
                )
                yield Fault(place, line, what, "keep one of the two or move an edge", "overlap")

    def _span_faults(self, span: Span, document: Document) -> Iterator[tuple[str, str, str]]:
        if all(span.label not in layer.names for layer in self.layers):
            known = ", ".join(label.name for label in self.labels)
            yield "unknown-label", "has an unknown label", f"use one of {known}"
        if span.start == span.end:
            yield "empty", "is empty", "remove it or give it an end after its start"
        elif span.start > span.end:
            yield "reversed", "ends before it starts", "swap start and end"
        elif span.start < 0 or span.end > len(document.text):
            length = len(document.text)
            yield "outside-text", f"lies outside the text (0–{length})", "mend its offsets"
        elif span.text and span.text != document.text[span.start : span.end]:
            found = document.text[span.start : span.end]
            yield "text-mismatch", f"reads {found!r}, not {span.text!r}", "mend offsets or text"
        yield from self._attribute_faults(span)

    def _attribute_faults(self, span: Span) -> Iterator[tuple[str, str, str]]:
        known = {attribute.name: attribute for attribute in self.attributes_of(span.label)}
        for name, value in span.attributes.items():
            if name not in known:
                yield "unknown-attribute", f"has an unknown attribute {name!r}", "remove it"
            elif not known[name].accepts(value):
                allowed = ", ".join(known[name].choices) or "true" if known[name].flag else "text"
                allowed = ", ".join(known[name].choices) or allowed
                yield "unknown-value", f"has {name}={value!r}", f"use one of: {allowed}"

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
        if not 0 <= zone.start < zone.end <= len(document.text):
            what = f"{where}: zone {zone.zone} {zone.start}–{zone.end} lies outside the text"
            yield Fault(place, line, what, "mend its offsets", "outside-text")


def _where(annotation: Annotation, span: Span) -> str:
    return f"{annotation.document}: {span.label} {span.start}–{span.end}"


def _fault(path: Path, word: str, what: str, cure: str) -> Fault:
    """A fault at the first line that holds the word."""
    text = files.read_text(path)
    found = text.find(word) if word else -1
    return Fault(str(path), text.count("\n", 0, found) + 1 if found >= 0 else 0, what, cure)


def _schema_faults(path: Path, schema: Schema) -> Iterator[Fault]:
    """What a well-typed schema can still get wrong."""
    names = [label.name for label in schema.labels]
    declared = set(names)
    groups = {
        "label": names,
        "layer": [layer.name for layer in schema.layers],
        "attribute": [attribute.name for attribute in schema.attributes],
        "relation": [relation.name for relation in schema.relations],
    }
    for what, members in groups.items():
        for name in sorted(set(members)):
            if members.count(name) > 1:
                yield _fault(path, name, f"{what} {name!r} is declared twice", "keep one")
            if not _NAME.fullmatch(name):
                yield _fault(path, name, f"{what} name {name!r}", "use letters, digits and _")
    for label in schema.labels:
        if not _COLOUR.fullmatch(label.colour):
            yield _fault(
                path, label.colour, f"{label.name}: colour {label.colour!r}", "use #RRGGBB"
            )
    yield from _reference_faults(path, schema, declared)
    yield from _value_faults(path, schema)
    if not names:
        yield Fault(str(path), 1, "no labels", "declare at least one layer with one label")


def _reference_faults(path: Path, schema: Schema, declared: set[str]) -> Iterator[Fault]:
    uses = [(f"attribute {a.name}", label) for a in schema.attributes for label in a.labels]
    uses += [
        (f"relation {r.name}", label) for r in schema.relations for label in (*r.head, *r.tail)
    ]
    for user, label in uses:
        if label not in declared:
            cure = f"declare it in a layer or use one of {', '.join(sorted(declared))}"
            yield _fault(path, label, f"{user}: unknown label {label!r}", cure)


def _value_faults(path: Path, schema: Schema) -> Iterator[Fault]:
    for attribute in schema.attributes:
        for value in attribute.choices:
            if not _VALUE.fullmatch(value) or attribute.choices.count(value) > 1:
                what = f"attribute {attribute.name}: value {value!r}"
                yield _fault(path, value, what, "use 1–64 plain characters, each value once")
        if attribute.flag and attribute.values:
            what = f"attribute {attribute.name}: a flag has no values"
            yield _fault(path, attribute.name, what, "drop flag or values")
    yield from _hotkey_faults(path, schema)


def _hotkey_faults(path: Path, schema: Schema) -> Iterator[Fault]:
    keys = [label.hotkey for label in schema.labels]
    keys += [attribute.hotkey for attribute in schema.attributes]
    keys += [choice.hotkey for attribute in schema.attributes for choice in attribute.values]
    for key in sorted({key for key in keys if key and keys.count(key) > 1}):
        yield _fault(path, f'hotkey: "{key}"', f"hotkey {key!r} is used twice", "choose another")
