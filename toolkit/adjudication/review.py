"""How a reviewer's reading of a whole document becomes decisions.

Gold follows from readings and decisions alone, so a review leaves decisions behind and no gold of its
own. Who reviews does not learn which reading is whose.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from string import ascii_uppercase
from typing import Any

from toolkit.adjudication.settle import (
    Decision,
    adjudicate,
    document_of,
    extent,
    groups_of,
    is_shared,
    place_of,
    reachable,
    spans_item,
)
from toolkit.errors import Fault, InvalidDataError
from toolkit.schema import Attribute, Layer, RelationType, Schema
from toolkit.spans import Annotation, Document, Key, Relation, Span, Value

__all__ = ["blind", "decide"]


def decide(
    reviewed: Annotation,
    readings: Mapping[str, Annotation],
    document: Document,
    schema: Schema,
    decisions: Iterable[Decision] = (),
    *,
    spans_only: Collection[str] = (),
    rule: str = "review",
    adjudicator: str = "",
) -> tuple[Decision, ...]:
    """The decisions of this document after the review, in order of item: they replace all it had.

    With them and the same readings `adjudicate` gives the reviewed spans, attributes and relations,
    disputes nothing and leaves no decision unused. What annotators agree on and the reviewer left
    alone needs none; a dispute settled for one annotator is chosen; else it is said what is right. A
    decision that still gives what the reviewer says stays as it is, one that settles nothing is gone.

    A choice or text the reviewer leaves empty is one they did not answer: what a decision says of it
    stays as long as the very span does, and without a decision it is empty. A flag not set is an
    answer. Who skips the document has said nothing, and its decisions stay.

    Items are those of `Dispute`: `document/layer/start-end` is a group of overlapping spans of all
    annotators, or the offsets of a span all of them missed; `document/start-end/name` and, where
    layers share these offsets, `document/start-end:LABEL/name` is an attribute or relation of a
    reviewed span. Raises `InvalidDataError` when the reviewed reading is invalid, holds overlaps in a
    layer, or nobody else has read the document.
    """
    old = {d.item: d for d in decisions if document_of(d.item) == document.id}
    if reviewed.skipped:
        return _in_order(old)
    heard = {name: found for name, found in sorted(readings.items()) if not found.skipped}
    _check(reviewed, heard, document, schema)
    new = Decision("", rule=rule, adjudicator=adjudicator)
    review = _Review(reviewed, heard, document, schema, old, new, frozenset(spans_only))
    return review.decisions()


def blind(
    readings: Mapping[str, Annotation], document_id: str, secret: str
) -> list[tuple[str, Annotation]]:
    """The readings as `reading A`, `reading B`, … in an order that does not tell whose is whose.

    The order is that of a hash of document and annotator keyed with `secret`: always the same for one
    document, even over many. Names, times, ids and the order of drawing are taken off. Skipped
    readings are left out.
    """

    def place(annotator: str) -> bytes:
        return hmac.digest(secret.encode(), f"{document_id}\n{annotator}".encode(), hashlib.sha256)

    heard = sorted((name for name in readings if not readings[name].skipped), key=place)
    names = {f"reading {ascii_uppercase[n]}": whose for n, whose in enumerate(heard)}
    return [(name, _nameless(readings[whose], name)) for name, whose in names.items()]


def _nameless(annotation: Annotation, name: str) -> Annotation:
    """The same reading by nobody, its spans and relations numbered and ordered by place."""
    spans = sorted(annotation.spans, key=lambda span: (span.start, -span.end, span.label, span.id))
    order = {span.id: number for number, span in enumerate(spans, start=1)}
    links = sorted((order[r.head], r.type, order[r.tail]) for r in annotation.relations)
    return Annotation(
        annotation.document,
        name,
        tuple(replace(span, id=f"s{order[span.id]}") for span in spans),
        tuple(Relation(kind, f"s{head}", f"s{tail}") for head, kind, tail in links),
    )


def _in_order(decisions: Mapping[str, Decision]) -> tuple[Decision, ...]:
    return tuple(decisions[item] for item in sorted(decisions))


def _check(
    reviewed: Annotation, readings: Mapping[str, Annotation], document: Document, schema: Schema
) -> None:
    faults = [*schema.faults(reviewed, document, place="review")]
    faults += schema.overlaps(reviewed, place="review")
    if not readings:
        what, cure = f"{document.id}: nobody has read it", "pull a reading of it first"
        faults.append(Fault("review", 0, what, cure, "no-reading"))
    if faults:
        raise InvalidDataError(faults)


@dataclass
class _Review:
    """The review of one document: spans first, then attributes and relations of the spans it holds."""

    reviewed: Annotation
    readings: Mapping[str, Annotation]
    document: Document
    schema: Schema
    old: Mapping[str, Decision]
    new: Decision
    spans_only: frozenset[str]
    made: dict[str, Decision] = field(default_factory=dict)

    def decisions(self) -> tuple[Decision, ...]:
        for layer in self.schema.layers:
            self._decide_layer(layer)
        self._decide_rest()
        return _in_order(self.made)

    def _put(self, decision: Decision | None) -> None:
        if decision is not None:
            self.made[decision.item] = decision

    # ── spans ───────────────────────────────────────────────────────────────────────────────────

    def _decide_layer(self, layer: Layer) -> None:
        groups = {
            spans_item(self.document, layer, *extent(group)): group
            for group in groups_of(self.readings, layer)
        }
        right: dict[str, list[Span]] = {item: [] for item in groups}
        for span in self.reviewed.layer(layer.names):
            right.setdefault(self._home(span, layer, groups), []).append(span)
        for item, spans in right.items():
            self._put(self._spans_decision(item, groups.get(item), spans))

    def _home(
        self, span: Span, layer: Layer, groups: Mapping[str, Mapping[str, Sequence[Span]]]
    ) -> str:
        """The item that has to give this span.

        Where a decision gives it already; else the first group it overlaps, which is that of whoever
        marked it; else its own place.
        """
        near = [item for item, group in groups.items() if _overlaps(span, group)]
        own = spans_item(self.document, layer, span.start, span.end)
        prefix = f"{self.document.id}/{layer.name}/"
        given = [
            item
            for item, decision in sorted(self.old.items())
            if item.startswith(prefix) and span.key in {s.key for s in decision.spans or ()}
        ]
        return next(iter([*given, *near, own]))

    def _spans_decision(
        self, item: str, group: Mapping[str, Sequence[Span]] | None, right: Sequence[Span]
    ) -> Decision | None:
        """The decision that makes these spans of a group, or of a place where nobody marked any."""
        wanted = [span.key for span in right]
        read = {name: [span.key for span in spans] for name, spans in (group or {}).items()}
        old = self.old.get(item)
        if old is not None and wanted == _spans_said(old, read):
            return old
        if read and all(keys == wanted for keys in read.values()):
            return None
        said = replace(self.new, item=item, spans=tuple(map(self._given, right)))
        return self._chosen(item, wanted, read) or said

    def _chosen(self, item: str, wanted: Any, read: Mapping[str, Any]) -> Decision | None:
        """The choice of the first annotator who read this."""
        whose = next((name for name in sorted(read) if read[name] == wanted), None)
        return replace(self.new, item=item, choose=whose) if whose else None

    def _given(self, span: Span) -> Span:
        """A span as a decision gives it: with what is said of it, unless that is decided apart."""
        attributes = {
            attribute.name: value
            for attribute in self.schema.attributes_of(span.label)
            if self._old(span, attribute.name, "") is None
            and (value := attribute.of(span) or self._given_before(span, attribute))
        }
        surface = self.document.text[span.start : span.end]
        return Span(span.start, span.end, span.label, text=surface, attributes=attributes)

    def _given_before(self, span: Span, attribute: Attribute) -> Value:
        """What a decision that gave this very span said of it, unless that is the reviewer's to say."""
        spans = [other for decision in self.old.values() for other in decision.spans or ()]
        said = [attribute.of(other) for other in spans if other.key == span.key]
        return "" if attribute.flag else next((value for value in said if value), "")

    # ── attributes and relations ────────────────────────────────────────────────────────────────

    def _decide_rest(self) -> None:
        """Compare what follows from the spans alone with what the reviewer says."""
        settled = adjudicate(
            {name: [found] for name, found in self.readings.items()},
            {self.document.id: self.document},
            self.schema,
            self.made.values(),
            spans_only=self.spans_only,
        )
        (gold,) = settled.gold
        disputed = {dispute.item: dispute.readings for dispute in settled.disputed}
        for span in gold.spans:
            for attribute in self.schema.attributes_of(span.label):
                item = self._item(span, attribute.name, gold)
                self._decide_attribute(item, attribute, span, disputed.get(item))
            for kind in self.schema.relations:
                if span.label in kind.head:
                    item = self._item(span, kind.name, gold)
                    self._decide_relations(item, kind, span, gold, disputed.get(item))

    def _item(self, span: Span, name: str, gold: Annotation) -> str:
        labelled = is_shared(span, name, gold.spans, self.schema)
        return f"{self.document.id}/{place_of(span, labelled=labelled)}/{name}"

    def _old(self, span: Span, name: str, item: str) -> Decision | None:
        """The decision there was on this; one for all spans at its offsets is told for this one."""
        labelled, plain = (
            self.old.get(f"{self.document.id}/{place_of(span, labelled=by)}/{name}")
            for by in (True, False)
        )
        return labelled or (replace(plain, item=item) if plain else None)

    def _decide_attribute(
        self, item: str, attribute: Attribute, gold: Span, read: Mapping[str, Value] | None
    ) -> None:
        right = next(span for span in self.reviewed.spans if span.key == gold.key)
        nothing: Value = False if attribute.flag else ""
        default = None if read is not None else attribute.of(gold)
        old = self._old(gold, attribute.name, item)
        said = _value_said(old, read or {}, nothing) if old else None
        wanted = attribute.of(right)
        if wanted == "":
            before = self._given_before(gold, attribute) if old is None else None
            wanted = next((v for v in (before, said, default) if v is not None), nothing)
        if old is not None and said == wanted:
            self._put(old)
        elif default != wanted:
            told = replace(self.new, item=item, value=wanted)
            self._put(self._chosen(item, wanted, read or {}) or told)

    def _decide_relations(
        self,
        item: str,
        kind: RelationType,
        head: Span,
        gold: Annotation,
        shown: Mapping[str, Iterable[Mapping[str, Any]]] | None,
    ) -> None:
        read = {name: [_key(tail) for tail in tails] for name, tails in (shown or {}).items()}
        default = None if shown is not None else _tails(gold, kind, head)
        wanted = _tails(self.reviewed, kind, head)
        tails = reachable(kind, gold.spans)
        old = self._old(head, kind.name, item)
        if old is not None and wanted == _tails_said(old, read, tails):
            self._put(old)
        elif default != wanted:
            told = replace(self.new, item=item, tails=_names(wanted, tails.values()))
            self._put(self._chosen(item, wanted, read) or told)


def _overlaps(span: Span, group: Mapping[str, Sequence[Span]]) -> bool:
    return any(span.overlaps(other) for spans in group.values() for other in spans)


def _spans_said(old: Decision, read: Mapping[str, list[Key]]) -> list[Key] | None:
    """The spans a decision gives a group, in order; None if it says nothing of use any more."""
    return read.get(old.choose) if old.spans is None else sorted(span.key for span in old.spans)


def _value_said(old: Decision, read: Mapping[str, Value], nothing: Value) -> Value | None:
    """The value a decision gives an attribute; None if it chooses what is no dispute any more."""
    return read.get(old.choose) if old.value is None else old.value or nothing


def _tails_said(
    old: Decision, read: Mapping[str, list[Key]], tails: Mapping[str, Span]
) -> list[Key] | None:
    """The ends a decision gives a relation, in order; None if they are gone or no dispute any more."""
    if old.tails is None:
        return read.get(old.choose)
    if not set(old.tails) <= tails.keys():
        return None
    return sorted({tails[name].key for name in old.tails})


def _tails(annotation: Annotation, kind: RelationType, head: Span) -> list[Key]:
    """Where the relations of one kind lead from one span, in order."""
    return sorted(t for name, h, t in annotation.links() if (name, h) == (kind.name, head.key))


def _names(keys: Iterable[Key], spans: Iterable[Span]) -> tuple[str, ...]:
    """These of the spans as a decision names them: with the label where two share their offsets."""
    found = {span.key: span for span in spans}
    places = [key[:2] for key in found]
    return tuple(place_of(found[key], labelled=places.count(key[:2]) > 1) for key in keys)


def _key(shown: Mapping[str, Any]) -> Key:
    return shown["start"], shown["end"], shown["label"]
