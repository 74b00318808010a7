"""From the names of older versions to those of this one: renamed, merged, split, given up.

Annotations on disk and on a server stay as they were written; they are read through the migrations
of the schema, older first. No record says which version it was written under, so a name is led away
from only when this version no longer has it: then nothing is led twice, and reading again what was
read changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from toolkit.schema.parts import Attribute
from toolkit.spans import Annotation, Key, Relation, Span, Value

__all__ = [
    "FLAG",
    "Drop",
    "Migration",
    "Place",
    "Split",
    "led_attributes",
    "led_values",
    "migrate",
    "migration_faults",
    "written",
]

Place = tuple[str | int, ...]
"""The keys and positions that lead to a value of the YAML file."""

_NOTHING: Mapping[str, str] = {}

FLAG = "true"
"""How a migration writes the value of a flag."""


@dataclass(frozen=True, slots=True)
class Split:
    """One label becomes several, decided by what an attribute of the span says."""

    attribute: str
    values: Mapping[str, str]
    otherwise: str

    @property
    def targets(self) -> tuple[str, ...]:
        """Every label it can become."""
        return (*self.values.values(), self.otherwise)


@dataclass(frozen=True, slots=True)
class Drop:
    """What is given up, said out loud.

    With a label go its spans and their relations. `LABEL.attribute` gives an attribute up on the
    spans of one label only, both by their new names.
    """

    labels: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    relations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Migration:
    """How the names of one older version become those of the next.

    What stands on the left is spoken in the older version, attributes of a split and values among it.
    """

    # `from` is a word of Python's own: the file says it without the stroke.
    __pydantic_config__: ClassVar[dict[str, Any]] = {
        "alias_generator": lambda name: name.removesuffix("_")
    }

    from_: str
    labels: Mapping[str, str] = field(default_factory=dict)
    split: Mapping[str, Split] = field(default_factory=dict)
    attributes: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    relations: Mapping[str, str] = field(default_factory=dict)
    drop: Drop = field(default_factory=Drop)

    @property
    def label_targets(self) -> dict[str, tuple[str, ...]]:
        """The labels it leads away from, each with what it can become; nothing for one given up."""
        renamed = {old: (new,) for old, new in self.labels.items()}
        split = {old: split.targets for old, split in self.split.items()}
        return dict.fromkeys(self.drop.labels, ()) | renamed | split

    @property
    def touched(self) -> frozenset[str]:
        """The attributes it may do something to, but for those it only asks."""
        given_up = (name.rpartition(".")[2] for name in self.drop.attributes)
        return frozenset((*self.attributes, *self.values, *self.drop.values, *given_up))

    def apply(self, annotation: Annotation) -> Annotation:
        """The annotation in the names of the next version; itself when nothing applies."""
        labels, touched = self.label_targets.keys(), self.touched
        spans = [
            span
            if span.label not in labels and touched.isdisjoint(span.attributes)
            else self._moved(span, touched)
            for span in annotation.spans
        ]
        types = {*self.relations, *self.drop.relations}
        same_spans = all(new is old for new, old in zip(spans, annotation.spans, strict=True))
        if same_spans and types.isdisjoint(relation.type for relation in annotation.relations):
            return annotation
        kept, ids = _collapsed(annotation.spans, spans)
        return replace(
            annotation,
            spans=kept,
            relations=tuple(dict.fromkeys(self._relations(annotation.relations, ids))),
            provenance=self._provenance(annotation.provenance, ids),
        )

    def _moved(self, span: Span, touched: frozenset[str]) -> Span | None:
        """The span in new names; itself when they are the same; nothing when it is given up."""
        if span.label in self.drop.labels:
            return None
        label = self.labels.get(span.label, span.label)
        if span.label in self.split:
            split = self.split[span.label]
            told = written(span.attributes.get(split.attribute, ""))
            label = split.values.get(told, split.otherwise)
        attributes = span.attributes
        if not touched.isdisjoint(attributes):
            attributes = self._answers(label, attributes)
        if label == span.label and attributes == span.attributes:
            return span
        return Span(span.start, span.end, label, span.id, span.text, attributes)

    def _answers(self, label: str, attributes: Mapping[str, Value]) -> dict[str, Value]:
        """What is said of a span with this new label. Where two names meet, the new one's word counts."""
        stayed: dict[str, Value] = {}
        moved: dict[str, Value] = {}
        given_up = self.drop.attributes
        for name, value in attributes.items():
            new, told = self.attributes.get(name, name), written(value)
            if name in given_up or f"{label}.{new}" in given_up:
                continue
            if told in self.drop.values.get(name, ()):
                continue
            answer = self.values.get(name, _NOTHING).get(told)
            given = value if answer is None else (answer == FLAG or answer)
            (stayed if new == name else moved).setdefault(new, given)
        return moved | stayed if moved else stayed

    def _relations(
        self, relations: Iterable[Relation], ids: Mapping[str, str]
    ) -> Iterator[Relation]:
        for relation in relations:
            head, tail = relation.head, relation.tail
            if relation.type not in self.drop.relations and "" not in (
                ids.get(head),
                ids.get(tail),
            ):
                kind = self.relations.get(relation.type, relation.type)
                yield Relation(kind, ids.get(head, head), ids.get(tail, tail))

    def _provenance(self, provenance: Mapping[str, str], ids: Mapping[str, str]) -> dict[str, str]:
        """Where each span, attribute and relation comes from, by its new key; the first's word counts."""
        keys = {key: self._provenance_key(key, ids) for key in provenance}
        moved = {new: provenance[old] for old, new in reversed(keys.items()) if new}
        return moved | {old: provenance[old] for old, new in keys.items() if new == old}

    def _provenance_key(self, key: str, ids: Mapping[str, str]) -> str:
        if key in ids:
            return ""  # The span that took it in has a source of its own.
        if key.count(":") == 2:
            kind, head, tail = key.split(":")
            moved = self._relations([Relation(kind, head, tail)], ids)
            return next((f"{found.type}:{found.head}:{found.tail}" for found in moved), "")
        span, dot, name = key.rpartition(".")
        owner = ids.get(span, span)
        if not dot or not owner or name in self.drop.attributes:
            return "" if dot else key
        return f"{owner}.{self.attributes.get(name, name)}"


def written(value: Value) -> str:
    """A value as migrations write it."""
    return FLAG if value is True else str(value)


def migrate(annotation: Annotation, migrations: Iterable[Migration]) -> Annotation:
    """The annotation after every migration, older first; itself when nothing applies."""
    for migration in migrations:
        annotation = migration.apply(annotation)
    return annotation


def led_attributes(migrations: Iterable[Migration]) -> dict[str, str]:
    """The attributes of older versions, each with its name today; nothing for one given up."""
    led: dict[str, str] = {}
    for migration in migrations:
        given_up = {name for name in migration.drop.attributes if "." not in name}
        for old, name in led.items():
            led[old] = "" if name in given_up else migration.attributes.get(name, name)
        led |= dict.fromkeys(given_up, "")
        led |= migration.attributes
    return led


def led_values(migrations: Iterable[Migration]) -> dict[tuple[str, str], str]:
    """The values that are led away from, each with its next one; nothing for one given up."""
    led: dict[tuple[str, str], str] = {}
    for migration in migrations:
        for attribute, values in migration.values.items():
            led |= {(attribute, old): new for old, new in values.items()}
        for attribute, given_up in migration.drop.values.items():
            led |= dict.fromkeys(((attribute, old) for old in given_up), "")
    return led


def _collapsed(
    before: Sequence[Span], after: Sequence[Span | None]
) -> tuple[tuple[Span, ...], dict[str, str]]:
    """The spans that stay, and what became of the ids of others: the span's that took it in, or "".

    Spans that have become the same answer are one: the first, which keeps its own word and takes over
    what only the other says.
    """
    pairs = [(old, new) for old, new in zip(before, after, strict=True) if new is not None]
    merging = {new.key for old, new in pairs if new.label != old.label}
    ids = {old.id: "" for old, new in zip(before, after, strict=True) if new is None}
    first: dict[Key, int] = {}
    kept: list[Span] = []
    for _, span in pairs:
        place = first.setdefault(span.key, len(kept)) if span.key in merging else len(kept)
        if place == len(kept):
            kept.append(span)
        else:
            winner = kept[place]
            attributes = {**span.attributes, **winner.attributes}
            kept[place] = replace(winner, id=winner.id or span.id, attributes=attributes)
            ids[span.id] = kept[place].id
    staying = {span.id for span in kept}
    return tuple(kept), {old: new for old, new in ids.items() if old not in staying}


# ── what a migration can get wrong ──────────────────────────────────────────────────────────────

Found = Iterator[tuple[Place, str, str]]
Lead = tuple[int, Place, str, tuple[str, ...]]
"""The number of the migration, the place in the file, the old name, the new ones."""


def migration_faults(
    migrations: Sequence[Migration],
    version: str,
    *,
    labels: Collection[str],
    attributes: Mapping[str, Attribute],
    relations: Collection[str],
) -> Found:
    """What well-typed migrations can still get wrong: the place, the fault, the cure."""
    yield from _version_faults(migrations, version)
    yield from _lead_faults("label", list(_label_leads(migrations)), labels)
    yield from _lead_faults("attribute", list(_attribute_leads(migrations)), attributes)
    yield from _lead_faults("relation", list(_relation_leads(migrations)), relations)
    yield from _scoped_faults(migrations, labels, attributes)
    for n, migration in enumerate(migrations):
        yield from _value_faults(migrations, n, attributes)
        yield from _split_faults(migrations, n, attributes)
        if migration == Migration(migration.from_):
            what = f"the migration from {migration.from_!r} says nothing"
            yield ("migrations", n), what, "say what became of its names, or drop it"


def _order(version: str) -> tuple[int, ...]:
    """A version of dotted numbers as what it is sorted by; nothing for any other."""
    return tuple(map(int, version.split("."))) if re.fullmatch(r"\d+(\.\d+)*", version) else ()


def _version_faults(migrations: Sequence[Migration], version: str) -> Found:
    """Migrations lead from older versions to this one, older first."""
    if not migrations:
        return
    orders = [_order(migration.from_) for migration in migrations]
    if not _order(version):
        what = f"version {version!r} does not tell what is older"
        yield ("version",), what, "use dotted numbers in a schema with migrations"
    for n, (migration, order) in enumerate(zip(migrations, orders, strict=True)):
        place = ("migrations", n, "from")
        if not order:
            what = f"version {migration.from_!r} does not tell what is older"
            yield place, what, "use dotted numbers in a schema with migrations"
        elif _order(version) and order >= _order(version):
            what = f"a migration from {migration.from_!r} to {version!r}"
            yield place, what, "lead away from older versions only"
        elif n and order <= orders[n - 1]:
            what = (
                f"a migration from {migration.from_!r} after one from {migrations[n - 1].from_!r}"
            )
            yield place, what, "put each version once, older first"


def _label_leads(migrations: Sequence[Migration]) -> Iterator[Lead]:
    for n, migration in enumerate(migrations):
        place: Place = ("migrations", n)
        for old, new in migration.labels.items():
            yield n, (*place, "labels", old), old, (new,)
        for old, split in migration.split.items():
            yield n, (*place, "split", old), old, split.targets
        for m, old in enumerate(migration.drop.labels):
            yield n, (*place, "drop", "labels", m), old, ()


def _attribute_leads(migrations: Sequence[Migration]) -> Iterator[Lead]:
    for n, migration in enumerate(migrations):
        for old, new in migration.attributes.items():
            yield n, ("migrations", n, "attributes", old), old, (new,)
        for m, old in enumerate(migration.drop.attributes):
            if "." not in old:
                yield n, ("migrations", n, "drop", "attributes", m), old, ()


def _relation_leads(migrations: Sequence[Migration]) -> Iterator[Lead]:
    for n, migration in enumerate(migrations):
        for old, new in migration.relations.items():
            yield n, ("migrations", n, "relations", old), old, (new,)
        for m, old in enumerate(migration.drop.relations):
            yield n, ("migrations", n, "drop", "relations", m), old, ()


def _lead_faults(kind: str, leads: Sequence[Lead], current: Collection[str]) -> Found:
    """A name is led away from once, when it is gone, to names that are there or are led on later."""
    seen: set[str] = set()
    for n, place, old, targets in leads:
        if old in current:
            what = f"{kind} {old!r} is one of this version"
            yield place, what, "lead away only from names that are gone"
        elif old in seen:
            yield place, f"{kind} {old!r} is led away from twice", "keep one of the two"
        seen.add(old)
        later = {source for m, _, source, _ in leads if m > n}
        for new in targets:
            if new not in current and new not in later:
                yield place, f"{kind} {old!r} becomes an unknown {new!r}", _use(current)


def _use(names: Collection[str]) -> str:
    return f"use one of {', '.join(sorted(names))}" if names else "drop it instead"


def _scoped_faults(
    migrations: Sequence[Migration], labels: Collection[str], attributes: Mapping[str, Attribute]
) -> Found:
    """`LABEL.attribute` names two that are there, or are led on later, and do not go together."""
    for n, migration in enumerate(migrations):
        later = migrations[n + 1 :]
        names = {*attributes, *(old for _, _, old, _ in _attribute_leads(later))}
        kinds = {*labels, *(old for _, _, old, _ in _label_leads(later))}
        for m, scoped in enumerate(migration.drop.attributes):
            label, dot, name = scoped.rpartition(".")
            place = ("migrations", n, "drop", "attributes", m)
            if dot and (label not in kinds or name not in names):
                what = f"unknown label or attribute: {scoped!r}"
                yield place, what, "write LABEL.attribute, both by their new names"
            elif dot and name in attributes and label in attributes[name].labels:
                what = f"{scoped!r} is asked for in this version"
                yield place, what, f"take {label} out of the labels of {name}, or keep the answers"


def _value_faults(
    migrations: Sequence[Migration], n: int, attributes: Mapping[str, Attribute]
) -> Found:
    """A value is led away from once, when its attribute no longer takes it, to one that it takes."""
    migration = migrations[n]
    leads: list[tuple[Place, str, str, str]] = [
        (("migrations", n, "values", name, old), name, old, new)
        for name, values in migration.values.items()
        for old, new in values.items()
    ]
    leads += [
        (("migrations", n, "drop", "values", name, m), name, old, "")
        for name, given_up in migration.drop.values.items()
        for m, old in enumerate(given_up)
    ]
    seen = set(led_values(migrations[:n]))
    for place, name, old, new in leads:
        led = led_attributes(migrations[n:])
        final = led.get(name, name)
        if name not in attributes and name not in led:
            yield place, f"value {old!r} of an unknown attribute {name!r}", _use(attributes)
        elif name in attributes and _takes(attributes[name], old):
            what = f"{name}={old!r} is a value of this version"
            yield place, what, "lead away only from values that are gone"
        elif (name, old) in seen:
            yield place, f"{name}={old!r} is led away from twice", "keep one of the two"
        elif (
            new
            and final in attributes
            and not _reaches(migrations[n:], name, new, attributes[final])
        ):
            cure = attributes[final].cure.replace("write true", 'write "true"')
            yield place, f"{name}={old!r} becomes an unknown {new!r}", cure
        seen.add((name, old))


def _reaches(migrations: Sequence[Migration], name: str, value: str, attribute: Attribute) -> bool:
    """Whether a value written by the first of these migrations is one the attribute takes at last."""
    name = migrations[0].attributes.get(name, name)
    for migration in migrations[1:]:
        if value in migration.drop.values.get(name, ()):
            return True
        value = migration.values.get(name, {}).get(value, value)
        name = migration.attributes.get(name, name)
    return _takes(attribute, value)


def _takes(attribute: Attribute, value: str) -> bool:
    return attribute.accepts(value == FLAG or value)


def _split_faults(
    migrations: Sequence[Migration], n: int, attributes: Mapping[str, Attribute]
) -> Found:
    """A split asks an attribute that is there or was, for values that are there or were."""
    led = led_values(migrations[n:])
    names = {*attributes, *led_attributes(migrations[n:])}
    for old, split in migrations[n].split.items():
        place: Place = ("migrations", n, "split", old)
        if split.attribute not in names:
            what = f"label {old!r} is split by an unknown attribute {split.attribute!r}"
            yield (*place, "attribute"), what, _use(names)
        known = attributes.get(split.attribute)
        for value in split.values if known else ():
            if known and not _takes(known, value) and (split.attribute, value) not in led:
                what = f"label {old!r} is split by an unknown {split.attribute}={value!r}"
                yield (*place, "values", value), what, known.cure
