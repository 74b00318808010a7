"""How far annotators agree.

Pairwise span F1, exact and by overlap, since the number of true negatives of a span task is undefined
(Hripcsak & Rothschild 2005); kappa only where it is defined, on spans both annotators marked.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from toolkit.schema import Layer, Schema
from toolkit.scoring import Counts, count, interval, match
from toolkit.spans import Annotation, Span, Value

__all__ = ["Agreement", "Kappa", "agreement"]

OVERLAP = 0.5
"""Least intersection over union of two spans that count as the same by overlap."""


@dataclass(frozen=True, slots=True)
class Kappa:
    """Cohen's kappa (1960) of two annotators' values for the same n spans.

    `value` is None where it is undefined, and `undefined` says why.
    """

    n: int
    agreed: int
    value: float | None
    undefined: str = ""

    @classmethod
    def of(cls, pairs: Sequence[tuple[Value, Value]]) -> Kappa:
        """Kappa of paired values."""
        agreed = sum(first == second for first, second in pairs)
        if not pairs:
            return cls(0, 0, None, "no matched spans")
        first, second = (Counter(side) for side in zip(*pairs, strict=True))
        expected = sum(first[value] * second[value] for value in first) / len(pairs) ** 2
        if expected == 1.0:
            return cls(len(pairs), agreed, None, "one value only")
        return cls(len(pairs), agreed, (agreed / len(pairs) - expected) / (1 - expected))


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two annotators agree on the documents both read.

    `exact` and `overlap` hold counts by label, layer and, under `all`, in total; `intervals` is the
    95 % interval of exact F1 under the same names when whole events are drawn anew, for want of
    events documents, and None where there are too few. `labels` is kappa of the label on spans with
    the same offsets, by layer; `attributes` kappa of each attribute on spans matched by overlap;
    `relations` counts links between matched spans.
    """

    annotators: tuple[str, str]
    documents: int
    exact: Mapping[str, Counts]
    overlap: Mapping[str, Counts]
    labels: Mapping[str, Kappa]
    attributes: Mapping[str, Kappa]
    relations: Counts
    intervals: Mapping[str, tuple[float, float] | None] = field(default_factory=dict)


def agreement(
    annotations: Mapping[str, Iterable[Annotation]],
    schema: Schema,
    *,
    spans_only: Collection[str] = (),
    stories: Mapping[str, str] | None = None,
) -> list[Agreement]:
    """The agreement of every pair of annotators that share documents, over those neither skipped.

    Annotators in `spans_only` gave no attributes and drew no relations: those are not compared.
    `stories` gives the event of each document id, which intervals resample.
    """
    readings = {
        annotator: {a.document: a for a in found if not a.skipped}
        for annotator, found in annotations.items()
    }
    result = []
    for first, second in combinations(sorted(readings), 2):
        shared = sorted(readings[first].keys() & readings[second].keys())
        pairs = [(readings[first][name], readings[second][name]) for name in shared]
        if pairs:
            whole = first not in spans_only and second not in spans_only
            result.append(_agreement((first, second), pairs, schema, stories or {}, whole=whole))
    return result


def _agreement(
    annotators: tuple[str, str],
    pairs: Sequence[tuple[Annotation, Annotation]],
    schema: Schema,
    stories: Mapping[str, str],
    *,
    whole: bool,
) -> Agreement:
    per_story: dict[str, dict[str, Counts]] = defaultdict(lambda: defaultdict(Counts))
    overlap: dict[str, Counts] = defaultdict(Counts)
    same_place: dict[str, list[tuple[Value, Value]]] = defaultdict(list)
    values: dict[str, list[tuple[Value, Value]]] = defaultdict(list)
    relations = Counts()
    for first, second in pairs:
        exact = per_story[stories.get(first.document, first.document)]
        for layer in schema.layers:
            _count_layer(first, second, layer, exact, overlap)
            same_place[layer.name] += _labels_of_same_place(first, second, layer)
        if whole:
            matched = match(first.spans, second.spans, min_iou=OVERLAP)
            for one, other in matched:
                for attribute in schema.attributes_of(one.label):
                    values[attribute.name].append((attribute.of(one), attribute.of(other)))
            relations += _relation_counts(first, second, matched)
    return Agreement(
        annotators,
        len(pairs),
        {name: sum(_per(per_story, name), Counts()) for name in overlap},
        dict(overlap),
        {layer.name: Kappa.of(same_place[layer.name]) for layer in schema.layers},
        {a.name: Kappa.of(values[a.name]) for a in schema.attributes if _is_used(values[a.name])},
        relations,
        {name: interval(_per(per_story, name)) for name in overlap},
    )


def _per(per_story: Mapping[str, Mapping[str, Counts]], name: str) -> list[Counts]:
    return [counts.get(name, Counts()) for counts in per_story.values()]


def _count_layer(
    first: Annotation,
    second: Annotation,
    layer: Layer,
    exact: dict[str, Counts],
    overlap: dict[str, Counts],
) -> None:
    for label in layer.names:
        sides = first.layer([label]), second.layer([label])
        for table, min_iou in ((exact, 1.0), (overlap, OVERLAP)):
            counts = count(*sides, min_iou=min_iou)
            for name in {label, layer.name, "all"}:
                table[name] += counts


def _is_used(pairs: Sequence[tuple[Value, Value]]) -> bool:
    """Whether anyone gave the attribute a value. Free text nobody filled in is no agreement."""
    return any(first or second for first, second in pairs)


def _labels_of_same_place(
    first: Annotation, second: Annotation, layer: Layer
) -> list[tuple[Value, Value]]:
    other = {(span.start, span.end): span.label for span in second.layer(layer.names)}
    return [
        (span.label, other[span.start, span.end])
        for span in first.layer(layer.names)
        if (span.start, span.end) in other
    ]


def _relation_counts(
    first: Annotation, second: Annotation, matched: Sequence[tuple[Span, Span]]
) -> Counts:
    """Links that both drew, that only the second drew, that only the first drew.

    Only links whose two ends both annotators marked: a missed span is counted as a span, not again.
    """
    ids = {one.id: one.id for one, _ in matched}
    translated = {other.id: one.id for one, other in matched}
    ours = {(r.type, r.head, r.tail) for r in first.relations if {r.head, r.tail} <= ids.keys()}
    theirs = {
        (r.type, translated[r.head], translated[r.tail])
        for r in second.relations
        if {r.head, r.tail} <= translated.keys()
    }
    return Counts(len(ours & theirs), len(theirs - ours), len(ours - theirs))
