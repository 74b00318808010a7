"""What a new version of a schema does to annotations that exist: safe, lossy or breaking.

The old version is what a labelling page holds of it, so that a page on a server can be compared with
a schema in a file. The annotations are counted as they were written; what becomes of them is found
by reading each kind of span through the migrations of the new version.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Literal, TypeAlias, TypeVar

from toolkit.schema.migration import FLAG, led_attributes, led_values, written
from toolkit.schema.parts import Attribute, Choice
from toolkit.schema.schema import Schema
from toolkit.spans import Annotation, Span, Value

__all__ = ["Change", "Severity", "Shape", "Usage", "changes", "shape_of"]

K = TypeVar("K")

Severity: TypeAlias = Literal["safe", "lossy", "breaking"]

_GRAVITY = ("breaking", "lossy", "safe")

Pattern: TypeAlias = tuple[str, tuple[tuple[str, Value], ...]]
"""A label and what is said of the span, by attribute."""


@dataclass(frozen=True, slots=True)
class Change:
    """One difference, how grave it is, and how many spans or relations it concerns."""

    severity: Severity
    what: str
    affected: int = 0
    unit: str = "span"

    def __str__(self) -> str:
        if not self.affected:
            return f"{self.severity}: {self.what}"
        plural = "" if self.affected == 1 else "s"
        return f"{self.severity}: {self.what}, {self.affected} {self.unit}{plural}"


@dataclass(frozen=True, slots=True)
class Shape:
    """What a labelling page holds of a schema. Descriptions, colours and hotkeys are no part of it.

    `labels` maps each label to its layer, which is empty when the page does not tell.
    """

    name: str
    version: str
    sha256: str
    labels: Mapping[str, str]
    attributes: tuple[Attribute, ...] = ()
    relations: tuple[str, ...] = ()

    def attribute(self, name: str) -> Attribute | None:
        """The attribute of this name, if it has one."""
        return next((found for found in self.attributes if found.name == name), None)


def shape_of(schema: Schema) -> Shape:
    """What the schema's labelling page holds of it."""
    return Shape(
        schema.name,
        schema.version,
        schema.sha256,
        {name: layer.name for layer in schema.layers for name in layer.names},
        tuple(
            Attribute(a.name, a.labels, values=tuple(map(Choice, a.choices)), flag=a.flag)
            for a in schema.attributes
        ),
        tuple(relation.name for relation in schema.relations),
    )


@dataclass(frozen=True, slots=True)
class Usage:
    """How often annotations, as they were written, use what a schema offers.

    `relations` counts by type and the labels of both ends; `overlaps` counts pairs of spans with two
    labels that share text, by the labels and whether the two are of one extent.
    """

    spans: Counter[Pattern] = field(default_factory=Counter)
    relations: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    overlaps: Counter[tuple[str, str, bool]] = field(default_factory=Counter)

    @classmethod
    def of(cls, annotations: Iterable[Annotation]) -> Usage:
        """What these annotations use. Give them as written, not as `Corpus.annotations` reads them."""
        used = cls()
        for annotation in annotations:
            labels = {span.id: span.label for span in annotation.spans}
            for span in annotation.spans:
                used.spans[span.label, tuple(sorted(span.attributes.items()))] += 1
            for relation in annotation.relations:
                ends = (labels.get(relation.head, ""), labels.get(relation.tail, ""))
                used.relations[relation.type, *ends] += 1
            used.overlaps.update(_overlaps(annotation.spans))
        return used

    @property
    def labels(self) -> Counter[str]:
        """Spans by label."""
        return _summed((label, n) for (label, _), n in self.spans.items())

    @property
    def values(self) -> Counter[tuple[str, str]]:
        """Spans by attribute and value; the value of a flag is written `true`."""
        return _summed(
            ((name, written(value)), n)
            for (_, attributes), n in self.spans.items()
            for name, value in attributes
        )

    @property
    def attributes(self) -> Counter[str]:
        """Spans by attribute."""
        return _summed((name, n) for (name, _), n in self.values.items())

    @property
    def types(self) -> Counter[str]:
        """Relations by type."""
        return _summed((kind, n) for (kind, _, _), n in self.relations.items())


def _summed(counts: Iterable[tuple[K, int]]) -> Counter[K]:
    total: Counter[K] = Counter()
    for key, n in counts:
        total[key] += n
    return total


def _overlaps(spans: Iterable[Span]) -> Iterator[tuple[str, str, bool]]:
    reaching: list[Span] = []
    for span in sorted(spans, key=lambda span: span.key):
        reaching = [other for other in reaching if other.end > span.start]
        for other in reaching:
            if other.label != span.label:
                first, second = sorted((other.label, span.label))
                yield first, second, (other.start, other.end) == (span.start, span.end)
        reaching.append(span)


def changes(old: Shape, new: Schema, used: Usage) -> tuple[Change, ...]:
    """Every difference of a page and a schema, the gravest first.

    Safe: nothing that somebody annotated is refused or passed over. Lossy: answers would have to be
    given up. Breaking: spans would have to be given up, or cannot be read. What a migration covers
    is safe.
    """
    fate = _fate(new, used)
    found = [
        *_label_changes(old, new, used, fate),
        *_attribute_changes(old, new, used, fate),
        *_relation_changes(old, new, used, fate),
        *_overlap_changes(old, new, used, fate),
    ]
    return tuple(sorted(found, key=lambda change: _GRAVITY.index(change.severity)))


@dataclass(frozen=True, slots=True)
class _Fate:
    """What becomes of used spans: labels by old label, and the answers the schema would refuse.

    `narrowed` counts by attribute and new label, `refused` by attribute and value.
    """

    labels: dict[str, set[str]] = field(default_factory=dict)
    narrowed: Counter[tuple[str, str]] = field(default_factory=Counter)
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)


def _fate(new: Schema, used: Usage) -> _Fate:
    fate = _Fate()
    for (label, attributes), n in used.spans.items():
        span = Span(0, 1, label, "s", attributes=dict(attributes))
        for after in new.migrate(Annotation("", spans=(span,))).spans:
            fate.labels.setdefault(label, set()).add(after.label)
            known = {attribute.name: attribute for attribute in new.attributes_of(after.label)}
            for name, value in after.attributes.items():
                if name not in known:
                    fate.narrowed[name, after.label] += n
                elif not known[name].accepts(value):
                    fate.refused[name, written(value)] += n
    return fate


def _gone(
    kind: str, name: str, led: Mapping[str, tuple[str, ...]], affected: int, grave: Severity
) -> Change:
    """A name that is no longer there: led elsewhere, given up, unused or lost."""
    unit = "relation" if kind == "relation" else "span"
    if name not in led:
        return Change(grave if affected else "safe", f"{kind} removed: {name}", affected, unit)
    if not led[name]:
        return Change("safe", f"{kind} given up by a migration: {name}", affected, unit)
    targets = ", ".join(dict.fromkeys(led[name]))
    return Change("safe", f"{kind} migrated: {name} → {targets}", affected, unit)


def _label_changes(old: Shape, new: Schema, used: Usage, fate: _Fate) -> Iterator[Change]:
    current = {name: layer.name for layer in new.layers for name in layer.names}
    led = _led_labels(new)
    for name in dict.fromkeys((*old.labels, *used.labels)):
        if name not in current:
            if name in fate.labels and name in led:
                led[name] = tuple(label for label in current if label in fate.labels[name])
            yield _gone("label", name, led, used.labels[name], "breaking")
        elif old.labels.get(name) and old.labels[name] != current[name]:
            what = f"label moved: {name}, from the layer {old.labels[name]} to {current[name]}"
            yield Change("safe", what, used.labels[name])
    yield from (
        Change("safe", f"label added: {name}") for name in current if name not in old.labels
    )


def _led_labels(new: Schema) -> dict[str, tuple[str, ...]]:
    """The labels of older versions, each with what it can be today; nothing for one given up."""
    led: dict[str, tuple[str, ...]] = {}
    for migration in reversed(new.migrations):
        for name, targets in migration.label_targets.items():
            led[name] = tuple(last for target in targets for last in led.get(target, (target,)))
    return led


def _attribute_changes(old: Shape, new: Schema, used: Usage, fate: _Fate) -> Iterator[Change]:
    current = {attribute.name: attribute for attribute in new.attributes}
    led = {a: (b,) if b else () for a, b in led_attributes(new.migrations).items()}
    before = {attribute.name: attribute for attribute in old.attributes}
    for name in dict.fromkeys((*before, *used.attributes)):
        if name not in current:
            yield _gone("attribute", name, led, used.attributes[name], "lossy")
        elif name in before and before[name].kind != current[name].kind:
            yield _kind_change(before[name], current[name], new, used)
        elif name in before:
            yield from _choice_changes(before[name], current[name], new, used)
            yield from _label_list_changes(before[name], current[name], old, new, fate)
    yield from (
        Change("safe", f"attribute added: {name}") for name in current if name not in before
    )
    yield from _answer_losses(before, current, new, fate)


def _answer_losses(
    before: Mapping[str, Attribute], current: Mapping[str, Attribute], new: Schema, fate: _Fate
) -> Iterator[Change]:
    """Answers that a reading would refuse, where nothing graver has been said of their attribute."""
    for (name, label), n in fate.narrowed.items():
        if name in current and label in {known.name for known in new.labels}:
            yield Change("lossy", f"attribute no longer asked of {label}: {name}", n)
    for (name, value), n in fate.refused.items():
        if name in before and before[name].kind != current[name].kind:
            continue
        # A flag's answer where a word is asked for, or the other way round.
        other_kind = current[name].flag or value == FLAG
        yield Change("breaking" if other_kind else "lossy", f"value removed: {name}={value}", n)


def _kind_change(before: Attribute, now: Attribute, new: Schema, used: Usage) -> Change:
    """A choice that became a flag or text, or the other way round."""
    what, n = f"{now.name}: {before.kind} → {now.kind}", used.attributes[now.name]
    led = led_values(new.migrations)
    told = [(name, value) for name, value in used.values if name == now.name]
    if n and all(answer in led for answer in told):
        return Change("safe", f"attribute migrated: {what}", n)
    return Change("breaking" if n else "safe", f"attribute changed: {what}", n)


def _choice_changes(
    before: Attribute, now: Attribute, new: Schema, used: Usage
) -> Iterator[Change]:
    """Values that came, and those that went; of the latter those that a reading refuses are told apart."""
    led = {answer: (to,) if to else () for answer, to in led_values(new.migrations).items()}
    told = (value for name, value in used.values if name == now.name)
    for value in dict.fromkeys((*before.choices, *told)):
        answer = (now.name, value)
        if now.values and value not in now.choices and (answer in led or not used.values[answer]):
            targets = {f"{now.name}={value}": led[answer]} if answer in led else {}
            yield _gone("value", f"{now.name}={value}", targets, used.values[answer], "lossy")
    for value in now.choices:
        if value not in before.choices:
            yield Change("safe", f"value added: {now.name}={value}")


def _label_list_changes(
    before: Attribute, now: Attribute, old: Shape, new: Schema, fate: _Fate
) -> Iterator[Change]:
    """Labels of both versions that an attribute came to, or left without loss."""
    known = {label.name for label in new.labels}
    for label in before.labels:
        if label in known and label not in now.labels and not fate.narrowed[now.name, label]:
            yield Change("safe", f"attribute no longer asked of {label}: {now.name}")
    for label in now.labels:
        if label in old.labels and label not in before.labels:
            yield Change("safe", f"attribute asked of {label} as well: {now.name}")


def _relation_changes(old: Shape, new: Schema, used: Usage, fate: _Fate) -> Iterator[Change]:
    current = {relation.name: relation for relation in new.relations}
    led = _led_relations(new)
    for name in dict.fromkeys((*old.relations, *used.types)):
        if name not in current:
            yield _gone("relation", name, led, used.types[name], "lossy")
    for name in current:
        if name not in old.relations:
            yield Change("safe", f"relation added: {name}", unit="relation")
    yield from _link_losses(new, led, used, fate)


def _link_losses(
    new: Schema, led: Mapping[str, tuple[str, ...]], used: Usage, fate: _Fate
) -> Iterator[Change]:
    """Relations whose ends their type would no longer link. After a split every outcome is counted."""
    current = {relation.name: relation for relation in new.relations}
    known = {label.name for label in new.labels}
    narrowed: Counter[tuple[str, str, str]] = Counter()
    for (kind, head, tail), n in used.relations.items():
        ends = list(product(sorted(fate.labels.get(head, ())), sorted(fate.labels.get(tail, ()))))
        for name in led.get(kind, (kind,)):
            narrowed.update({(name, *pair): n for pair in ends if name in current})
    for (name, head, tail), n in narrowed.items():
        fits = head in current[name].head and tail in current[name].tail
        if not fits and {head, tail} <= known:
            yield Change(
                "lossy", f"relation no longer links {head} → {tail}: {name}", n, "relation"
            )


def _led_relations(new: Schema) -> dict[str, tuple[str, ...]]:
    led: dict[str, tuple[str, ...]] = {}
    for migration in reversed(new.migrations):
        led |= dict.fromkeys(migration.drop.relations, ())
        led |= {name: led.get(to, (to,)) for name, to in migration.relations.items()}
    return led


def _overlap_changes(old: Shape, new: Schema, used: Usage, fate: _Fate) -> Iterator[Change]:
    """Spans that stood in two layers, share text, and would stand in one."""
    layer = {name: layer.name for layer in new.layers for name in layer.names}
    clashes: Counter[tuple[str, str, str]] = Counter()
    for (first, second, alike), n in used.overlaps.items():
        before = old.labels.get(first, ""), old.labels.get(second, "")
        if before[0] and before[0] == before[1]:
            continue  # Nothing new: the two stood in one layer already.
        shared = {
            layer[one]
            for one, other in product(fate.labels.get(first, ()), fate.labels.get(second, ()))
            if one in layer and layer[one] == layer.get(other) and not (alike and one == other)
        }
        clashes.update(dict.fromkeys(((first, second, name) for name in shared), n))
    for (first, second, name), n in sorted(clashes.items()):
        what = f"{first} and {second} overlap and would share the layer {name}"
        yield Change("breaking", what, n, "pair")
