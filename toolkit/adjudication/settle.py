"""How annotators' readings become gold.

What all annotators of a document agree on becomes gold. The rest is listed as disputed with every
reading, and settled by decisions. Every gold span and relation says where it comes from.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from toolkit.errors import Fault, InvalidDataError
from toolkit.schema import Attribute, Layer, RelationType, Schema
from toolkit.spans import GOLD, Annotation, Document, Relation, Span, Value

__all__ = ["Adjudication", "Decision", "Dispute", "adjudicate"]


@dataclass(frozen=True, slots=True)
class Dispute:
    """One thing annotators read differently, with every reading.

    `about` is `spans`, an attribute's name or a relation type's name. `item` names the dispute and
    stays the same as long as the readings do: `document/layer/start-end` for spans, and
    `document/start-end/name` for an attribute or relation of the gold span at these offsets. Where
    gold spans of two layers share their offsets and both may have it, `document/start-end:LABEL/name`
    names the one.
    """

    item: str
    document: str
    about: str
    text: str
    readings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Decision:
    """How the adjudicator settled one item, and by which rule of the guideline.

    One of: `choose`, the annotator whose reading is right; `spans`, the right spans instead (none is
    right too); `value`, the right value of an attribute, empty or False for none; `tails`, the right
    ends of a relation as `start-end` or `start-end:LABEL`, none of them for no relation. What
    annotators agree on may be decided too: an error they share, a span all of them missed, an id they
    cannot know. One that names a label goes before one on the same offsets that names none.
    """

    item: str
    choose: str = ""
    spans: tuple[Span, ...] | None = None
    value: Value | None = None
    tails: tuple[str, ...] | None = None
    rule: str = ""
    adjudicator: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Adjudication:
    """Gold, what is still disputed, and decisions that settled nothing."""

    gold: tuple[Annotation, ...]
    disputed: tuple[Dispute, ...]
    unused: tuple[str, ...] = ()


def adjudicate(
    annotations: Mapping[str, Iterable[Annotation]],
    documents: Mapping[str, Document],
    schema: Schema,
    decisions: Iterable[Decision] = (),
    *,
    spans_only: Collection[str] = (),
) -> Adjudication:
    """Gold from what the annotators of each document agree on and what decisions settle.

    A document one annotator alone has read becomes gold as it is, and says so. A span still in
    dispute is not in gold; an attribute or relation in dispute is left out until decided. Skipped
    readings do not count, and neither does what annotators in `spans_only` do not say of attributes
    and relations. Raises `InvalidDataError` when a decision leads to invalid gold.
    """
    table: dict[str, dict[str, Decision]] = defaultdict(dict)
    for decision in decisions:
        table[document_of(decision.item)][decision.item] = decision
    by_document: dict[str, dict[str, Annotation]] = defaultdict(dict)
    for annotator, found in sorted(annotations.items()):
        for annotation in found:
            if not annotation.skipped:
                by_document[annotation.document][annotator] = annotation
    gold: list[Annotation] = []
    disputed: list[Dispute] = []
    used: set[str] = set()
    for name in sorted(by_document):
        settling = _Settling(
            documents[name], by_document[name], schema, table[name], frozenset(spans_only)
        )
        gold.append(settling.settle())
        disputed += settling.disputed
        used |= settling.used
    _check(gold, documents, schema)
    canonical = tuple(a.canonical(documents[a.document].text) for a in gold)
    unused = {item for made in table.values() for item in made} - used
    return Adjudication(canonical, tuple(disputed), tuple(sorted(unused)))


def document_of(item: str) -> str:
    """The id of the document an item is about."""
    # The last two parts of an item never hold a slash; a document's id may.
    return item.rsplit("/", 2)[0]


def place_of(span: Span, *, labelled: bool) -> str:
    """How items and tails name a gold span: its offsets, and its label where these are shared."""
    return f"{span.start}-{span.end}:{span.label}" if labelled else f"{span.start}-{span.end}"


def reachable(kind: RelationType, spans: Iterable[Span]) -> dict[str, Span]:
    """The gold spans a relation may lead to, by each name a decision may give them."""
    tails = [span for span in spans if span.label in kind.tail]
    return {place_of(span, labelled=by): span for by in (False, True) for span in tails}


def is_shared(span: Span, name: str, spans: Iterable[Span], schema: Schema) -> bool:
    """Whether another gold span at the same offsets may have this attribute or relation too."""
    return any(
        name in _names(schema, other.label)
        for other in spans
        if (other.start, other.end) == (span.start, span.end) and other.label != span.label
    )


def _names(schema: Schema, label: str) -> set[str]:
    """The attributes a span of this label carries and the relations it heads."""
    carried = {attribute.name for attribute in schema.attributes_of(label)}
    return carried | {kind.name for kind in schema.relations if label in kind.head}


@dataclass
class _Settling:
    """The settling of one document: spans first, then the attributes and relations of gold spans."""

    document: Document
    readings: Mapping[str, Annotation]
    schema: Schema
    decisions: Mapping[str, Decision]
    spans_only: frozenset[str] = frozenset()
    disputed: list[Dispute] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    provenance: dict[str, str] = field(default_factory=dict)
    marked: list[Span] = field(default_factory=list)

    def settle(self) -> Annotation:
        found: list[tuple[Span, str]] = []
        for layer in self.schema.layers:
            for group in groups_of(self.readings, layer):
                found += self._spans(layer, group)
            found += self._missed_by_all(layer)
        found.sort(key=lambda pair: (pair[0].start, -pair[0].end, pair[0].label))
        self.marked = [span for span, _ in found]
        spans = []
        for number, (span, source) in enumerate(found, start=1):
            numbered = replace(span, id=f"s{number}")
            self.provenance[numbered.id] = source
            spans.append(self._with_attributes(numbered, given=span.attributes))
        relations = self._relations(spans)
        return Annotation(
            self.document.id, GOLD, tuple(spans), tuple(relations), provenance=self.provenance
        )

    @property
    def _whole(self) -> Mapping[str, Annotation]:
        """The readings that speak of attributes and relations too."""
        return {name: a for name, a in self.readings.items() if name not in self.spans_only}

    def _decision(self, item: str) -> Decision | None:
        decision = self.decisions.get(item)
        if decision is not None:
            self.used.add(item)
        return decision

    def _decision_about(self, span: Span, name: str) -> tuple[str, Decision | None]:
        """The item of an attribute or relation of a gold span, and the decision on it."""
        places = [place_of(span, labelled=labelled) for labelled in (True, False)]
        labelled, plain = (f"{self.document.id}/{place}/{name}" for place in places)
        for item in (labelled, plain):
            if decision := self._decision(item):
                return item, decision
        return labelled if is_shared(span, name, self.marked, self.schema) else plain, None

    def _dispute(self, item: str, about: str, start: int, end: int, readings: Any) -> None:
        text = self.document.text[start:end]
        self.disputed.append(Dispute(item, self.document.id, about, text, readings))

    def _shown(self, spans: Iterable[Span]) -> list[dict[str, Any]]:
        text = self.document.text
        return [
            {"start": s.start, "end": s.end, "label": s.label, "text": text[s.start : s.end]}
            for s in spans
        ]

    def _spans(self, layer: Layer, group: Mapping[str, list[Span]]) -> list[tuple[Span, str]]:
        """The gold spans of one group of overlapping spans, each with its provenance."""
        members = list(group.values())
        start, end = extent(group)
        item = spans_item(self.document, layer, start, end)
        decision = self._decision(item)
        keys = [[span.key for span in spans] for spans in members]
        if decision is None and all(key == keys[0] for key in keys) and len(keys[0]) == 1:
            return [(_bare(members[0][0]), _agreed(group))]
        if decision is None:
            shown = {name: self._shown(spans) for name, spans in group.items()}
            self._dispute(item, "spans", start, end, shown)
            return []
        if decision.spans is not None:
            chosen = decision.spans
        else:
            chosen = tuple(_bare(span) for span in self._chosen(decision, group))
        return [(span, f"decided {item}") for span in chosen]

    def _missed_by_all(self, layer: Layer) -> list[tuple[Span, str]]:
        """Spans no annotator marked and a decision adds."""
        prefix = f"{self.document.id}/{layer.name}/"
        added: list[tuple[Span, str]] = []
        for item, decision in sorted(self.decisions.items()):
            if item.startswith(prefix) and item not in self.used and decision.spans:
                self.used.add(item)
                added += [(span, f"decided {item}") for span in decision.spans]
        return added

    def _chosen(self, decision: Decision, group: Mapping[str, Any]) -> Any:
        if decision.choose not in group:
            cure = f"choose one of {', '.join(group)}" if group else "say what is right instead"
            what = f"{decision.item} chooses {decision.choose!r}"
            fault = Fault("decisions.jsonl", 0, what, cure, "unknown-annotator")
            raise InvalidDataError([fault])
        return group[decision.choose]

    def _with_attributes(self, gold: Span, *, given: Mapping[str, Value]) -> Span:
        """The gold span with the attributes its annotators agree on or a decision settles."""
        counterparts = {
            annotator: found[0]
            for annotator, annotation in self._whole.items()
            if (found := self._counterparts(gold, annotation.spans))
        }
        attributes = dict(given)
        for attribute in self.schema.attributes_of(gold.label):
            readings = {
                annotator: attribute.of(span)
                for annotator, span in counterparts.items()
                if span.label in attribute.labels
            }
            attributes.pop(attribute.name, None)
            value = self._attribute(gold, attribute, readings, given.get(attribute.name))
            if value:
                attributes[attribute.name] = value
        return replace(gold, attributes=attributes)

    def _attribute(
        self, gold: Span, attribute: Attribute, readings: dict[str, Value], given: Value | None
    ) -> Value | None:
        item, decision = self._decision_about(gold, attribute.name)
        if decision is not None:
            self.provenance[f"{gold.id}.{attribute.name}"] = f"decided {item}"
            if decision.value is not None:
                return decision.value
            chosen: Value = self._chosen(decision, readings)
            return chosen
        if given is not None:
            return given
        if len(set(readings.values())) > 1:
            self._dispute(item, attribute.name, gold.start, gold.end, readings)
            return None
        return next(iter(readings.values()), None)

    def _relations(self, spans: Sequence[Span]) -> list[Relation]:
        return [
            relation
            for head in spans
            for kind in self.schema.relations
            if head.label in kind.head
            for relation in self._relations_of(head, kind, spans)
        ]

    def _relations_of(
        self, head: Span, kind: RelationType, spans: Sequence[Span]
    ) -> list[Relation]:
        readings = {
            annotator: tails
            for annotator, annotation in self._whole.items()
            if (tails := self._linked(annotation, head, kind, spans)) is not None
        }
        item, decision = self._decision_about(head, kind.name)
        if decision is not None:
            chosen = self._tails(decision, kind, spans, readings)
            source = f"decided {item}"
        elif len({tuple(span.key for span in tails) for tails in readings.values()}) > 1:
            shown = {name: self._shown(tails) for name, tails in readings.items()}
            self._dispute(item, kind.name, head.start, head.end, shown)
            return []
        else:
            chosen, source = next(iter(readings.values()), []), _agreed(readings)
        for tail in chosen:
            self.provenance[f"{kind.name}:{head.id}:{tail.id}"] = source
        return [Relation(kind.name, head.id, tail.id) for tail in chosen]

    def _linked(
        self, annotation: Annotation, head: Span, kind: RelationType, spans: Sequence[Span]
    ) -> list[Span] | None:
        """The gold spans an annotator links to this one; None if they did not mark this one."""
        counterparts = self._counterparts(head, annotation.spans)
        heads = {span.id for span in counterparts if span.label in kind.head}
        tails = {
            tail.id: tail
            for r in annotation.relations
            if r.type == kind.name and r.head in heads
            for marked in annotation.spans
            if marked.id == r.tail
            for tail in self._counterparts(marked, spans)
            # Two linked spans that a decision merged are not linked to themselves.
            if tail.label in kind.tail and (tail.id != head.id or r.head == r.tail)
        }
        return sorted(tails.values(), key=lambda span: span.key) if heads else None

    def _tails(
        self,
        decision: Decision,
        kind: RelationType,
        spans: Sequence[Span],
        readings: Mapping[str, list[Span]],
    ) -> list[Span]:
        if decision.tails is None:
            found: list[Span] = self._chosen(decision, readings)
            return found
        places = reachable(kind, spans)
        unknown = [place for place in decision.tails if place not in places]
        if unknown:
            what = f"{decision.item}: no gold span at {unknown[0]} that {kind.name} may reach"
            cure = "name the offsets of a gold span as start-end"
            raise InvalidDataError([Fault("decisions.jsonl", 0, what, cure, "dangling-relation")])
        # Two names of one span are one tail.
        return list({span.key: span for span in map(places.__getitem__, decision.tails)}.values())

    def _counterparts(self, span: Span, others: Iterable[Span]) -> list[Span]:
        """The spans of the other side that read this one, the nearest first.

        From gold to an annotator or back, inside a layer: the very same span where there is one;
        else the nearest, and all that lie inside, since a decision may have split or merged spans.
        The same label goes before any other, so that overruling a label loses no relation.
        """
        layer = next((y.names for y in self.schema.layers if span.label in y.names), ())
        rivals = [other for other in others if other.label in layer and other.overlaps(span)]
        same = [other for other in rivals if other.key == span.key]
        if same or not rivals:
            return same
        nearest = max(rivals, key=lambda other: _likeness(other, span))
        inside = [o for o in rivals if span.start <= o.start and o.end <= span.end]
        return [nearest, *(other for other in inside if other is not nearest)]


def groups_of(readings: Mapping[str, Annotation], layer: Layer) -> list[dict[str, list[Span]]]:
    """The spans of a layer, of all annotators, in groups that are linked by overlap."""
    marked = sorted(
        ((span, annotator) for annotator, a in readings.items() for span in a.layer(layer.names)),
        key=lambda pair: (pair[0].key, pair[1]),
    )
    groups: list[dict[str, list[Span]]] = []
    reach = -1
    for span, annotator in marked:
        if span.start >= reach:
            groups.append({name: [] for name in readings})
        group = groups[-1][annotator]
        # Drawn twice is one reading, unless the two say different things.
        if all((span.key, span.attributes) != (o.key, o.attributes) for o in group):
            group.append(span)
        reach = max(reach, span.end)
    return groups


def extent(group: Mapping[str, Sequence[Span]]) -> tuple[int, int]:
    """From the first start to the last end of a group of overlapping spans."""
    spans = [span for marked in group.values() for span in marked]
    return min(span.start for span in spans), max(span.end for span in spans)


def spans_item(document: Document, layer: Layer, start: int, end: int) -> str:
    """The item of the spans of a layer between these offsets."""
    return f"{document.id}/{layer.name}/{start}-{end}"


def _agreed(readings: Iterable[str]) -> str:
    """Where something undisputed comes from: all who read it, or the only one."""
    names = list(readings)
    return f"only {names[0]}" if len(names) == 1 else "agreed"


def _bare(span: Span) -> Span:
    """An annotator's span alone; what was said of it is settled in its own turn."""
    return replace(span, attributes={}, text="")


def _likeness(a: Span, b: Span) -> tuple[bool, int, int, int, str]:
    """Same label, how much they share, how little they add; then what stands first, to be certain."""
    shared = min(a.end, b.end) - max(a.start, b.start)
    both = max(a.end, b.end) - min(a.start, b.start)
    return a.label == b.label, shared, -both, -a.start, a.label


def _check(gold: Sequence[Annotation], documents: Mapping[str, Document], schema: Schema) -> None:
    faults: list[Fault] = []
    for annotation in gold:
        document = documents[annotation.document]
        faults += schema.faults(annotation, document, place="decisions.jsonl")
        faults += schema.overlaps(annotation, place="decisions.jsonl")
    if faults:
        raise InvalidDataError(faults)
