"""Gold and predicted annotations to scores: seqeval's strict IOB2 figures, layer by layer.

seqeval is the reference, always called with `mode="strict"` and `scheme=IOB2` together: either one
alone is silently lenient. `Counts` hold what was found, missed and made up; ratios are derived from
counts, never stored or averaged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toolkit.errors import Fault, InvalidDataError
from toolkit.schema import Layer, Schema
from toolkit.spans import Annotation, Span, edges, overlapping, to_tags

__all__ = [
    "SIGNATURE",
    "Counts",
    "LayerScore",
    "Ratios",
    "Score",
    "count",
    "difference",
    "interval",
    "match",
    "score",
]

SIGNATURE = "seqeval|strict|IOB2|exact span and label|macro over labels seen in gold or prediction"
"""What a score means; it travels with every score."""


@dataclass(frozen=True, slots=True)
class Ratios:
    """seqeval's figures for one label or average: fractions from 0 to 1, and the gold count."""

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, slots=True)
class LayerScore:
    """The scores of one layer. `seen` are the labels that occur in gold or prediction."""

    micro: Ratios
    macro: Ratios
    per_label: Mapping[str, Ratios]
    seen: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Score:
    """The scores of all layers. `macro_f1` is the mean F1 over all labels seen in either side."""

    layers: Mapping[str, LayerScore]
    macro_f1: float
    documents: int
    signature: str = SIGNATURE


@dataclass(frozen=True, slots=True)
class Counts:
    """True positives, false positives and false negatives, and what follows from them.

    Symmetric for F1: exchanging the two sides exchanges precision and recall and leaves F1.
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)

    @property
    def total(self) -> int:
        """Everything counted: none means there is nothing to compare."""
        return self.tp + self.fp + self.fn

    @property
    def precision(self) -> float:
        """Share of the predicted that is right; 0 when nothing was predicted."""
        return self.tp / (self.tp + self.fp) if self.tp + self.fp else 0.0

    @property
    def recall(self) -> float:
        """Share of the gold that was found; 0 when there is none."""
        return self.tp / (self.tp + self.fn) if self.tp + self.fn else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of the two; 0 when there is nothing on either side."""
        both = 2 * self.tp + self.fp + self.fn
        return 2 * self.tp / both if both else 0.0


def match(
    gold: Sequence[Span], predicted: Sequence[Span], *, min_iou: float = 1.0
) -> list[tuple[Span, Span]]:
    """Pairs of spans of the same label that cover the same text, one to one.

    `min_iou` is the least intersection over union, in code points: 1 asks for equal offsets, 0.5 is
    the usual relaxed match. Best pairs are taken first, ties in order of position, so that which
    side is gold makes no difference.
    """
    if min_iou >= 1.0:
        found = {span.key: span for span in predicted}
        return [(span, found[span.key]) for span in _unique(gold) if span.key in found]
    pairs = [
        (-iou, sorted((span.key, other.key)), span, other)
        for span in gold
        for other in predicted
        if span.label == other.label and (iou := _iou(span, other)) >= min_iou
    ]
    pairs.sort(key=lambda pair: pair[:2])
    matched: list[tuple[Span, Span]] = []
    used_gold: set[int] = set()
    used_predicted: set[int] = set()
    for *_, span, other in pairs:
        if id(span) in used_gold or id(other) in used_predicted:
            continue
        used_gold.add(id(span))
        used_predicted.add(id(other))
        matched.append((span, other))
    return sorted(matched, key=lambda pair: pair[0].key)


def count(gold: Sequence[Span], predicted: Sequence[Span], *, min_iou: float = 1.0) -> Counts:
    """How many spans match, are made up, and are missed. A repeated span counts once."""
    gold, predicted = _unique(gold), _unique(predicted)
    tp = len(match(gold, predicted, min_iou=min_iou))
    return Counts(tp, len(predicted) - tp, len(gold) - tp)


LEAST_UNITS = 5
"""Fewer units give no interval worth the name."""


def interval(
    units: Sequence[Counts], *, resamples: int = 2000, seed: int = 0
) -> tuple[float, float] | None:
    """The 95 % interval of F1 when whole units, events or documents, are drawn anew.

    Percentile bootstrap (Efron & Tibshirani 1993). Spans of one event are not independent, so units
    are resampled and never spans. None for fewer than five units, or where nothing was counted.
    """
    if len(units) < LEAST_UNITS or not sum(unit.total for unit in units):
        return None
    return _middle(_drawn_f1([units], resamples, seed)[0])


def difference(
    units: Sequence[tuple[Counts, Counts]], *, resamples: int = 2000, seed: int = 0
) -> tuple[float, float] | None:
    """The 95 % interval of F1 of the first less F1 of the second counts, units drawn anew.

    A unit holds both sides' counts, either of which may be nothing. None for fewer than five units,
    or where a side has counted nothing.
    """
    sides = [[unit[side] for unit in units] for side in (0, 1)]
    if len(units) < LEAST_UNITS or not all(any(unit.total for unit in side) for side in sides):
        return None
    first, second = _drawn_f1(sides, resamples, seed)
    return _middle(first - second)


def _drawn_f1(sides: Sequence[Sequence[Counts]], resamples: int, seed: int) -> list[Any]:
    """F1 of each side in every resample; the same units are drawn for all sides."""
    import numpy

    n = len(sides[0])
    even = numpy.full(n, 1 / n)
    draws = numpy.random.default_rng(seed).multinomial(n, even, size=resamples)
    f1s = []
    for side in sides:
        table = numpy.array([(2 * unit.tp, unit.total + unit.tp) for unit in side], dtype=float)
        both, total = (draws @ table).T
        f1s.append(numpy.divide(both, total, out=numpy.zeros(resamples), where=total > 0))
    return f1s


def _middle(values: Any) -> tuple[float, float]:
    import numpy

    low, high = numpy.quantile(values, (0.025, 0.975))
    return float(low), float(high)


def score(
    gold: Iterable[Annotation],
    predicted: Iterable[Annotation],
    schema: Schema,
) -> Score:
    """seqeval's strict IOB2 scores of predictions against gold, over gold's documents.

    Tags are written over the coarsest tokens that no span of either side cuts. Strict IOB2 scores
    depend only on which spans are equal, so these are the figures of the dataset's own tag columns,
    and a prediction made with another tokenizer needs no repair. Predictions for further documents
    are left aside.

    Raises `InvalidDataError` when a document has no prediction or two, or spans of one layer
    overlap.
    """
    gold = sorted(gold, key=lambda annotation: annotation.document)
    predicted = list(predicted)
    _check_single(gold, "gold")
    _check_single(predicted, "predictions")
    readings = {annotation.document: annotation for annotation in predicted}
    _check_complete(gold, readings)
    pairs = [(annotation, readings[annotation.document]) for annotation in gold]
    layers = {layer.name: _score_layer(pairs, layer) for layer in schema.layers}
    f1s = [layer.per_label[name].f1 for layer in layers.values() for name in layer.seen]
    return Score(layers, sum(f1s) / len(f1s) if f1s else 0.0, len(gold))


def _check_single(annotations: Iterable[Annotation], side: str) -> None:
    times = Counter(annotation.document for annotation in annotations)
    faults = [
        Fault(side, 0, f"{document} stands there {n} times", "keep one", "duplicate-id")
        for document, n in times.items()
        if n > 1
    ]
    if faults:
        raise InvalidDataError(faults)


def _check_complete(gold: Sequence[Annotation], readings: Mapping[str, Annotation]) -> None:
    missing = [annotation.document for annotation in gold if annotation.document not in readings]
    if not gold:
        raise InvalidDataError([Fault("gold", 0, "no documents", "name a file that has some")])
    if missing:
        shown = ", ".join(missing[:5]) + (", …" if len(missing) > 5 else "")
        what = f"no prediction for {len(missing)} of {len(gold)} gold documents ({shown})"
        cure = "predict them too; a document without spans is a record with no spans"
        raise InvalidDataError([Fault("predictions", 0, what, cure, "missing-document")])


def _score_layer(pairs: Sequence[tuple[Annotation, Annotation]], layer: Layer) -> LayerScore:
    gold_tags: list[list[str]] = []
    predicted_tags: list[list[str]] = []
    for gold, predicted in pairs:
        sides = [_flat(side, layer) for side in (gold, predicted)]
        tokens = edges([*sides[0], *sides[1]])
        gold_tags.append(to_tags(sides[0], tokens))
        predicted_tags.append(to_tags(sides[1], tokens))
    return _report(gold_tags, predicted_tags, layer)


def _flat(annotation: Annotation, layer: Layer) -> list[Span]:
    spans = _unique(annotation.layer(layer.names))
    for first, second in overlapping(spans):
        what = (
            f"{annotation.document}: {second.label} {second.start}–{second.end} overlaps"
            f" {first.label} {first.start}–{first.end} in the layer {layer.name!r}"
        )
        cure = "a layer is flat: keep one of the two"
        raise InvalidDataError([Fault(annotation.annotator or "spans", 0, what, cure, "overlap")])
    return spans


def _report(gold: list[list[str]], predicted: list[list[str]], layer: Layer) -> LayerScore:
    """seqeval's report with plain numbers, and a row for every label of the layer.

    A label that occurs on neither side has support 0 and counts in no average, as in seqeval.
    """
    from seqeval.metrics import classification_report
    from seqeval.scheme import IOB2

    report = {}
    if any(tag != "O" for tags in (*gold, *predicted) for tag in tags):
        report = classification_report(
            gold, predicted, mode="strict", scheme=IOB2, output_dict=True, zero_division=0
        )
    nothing = Ratios(0.0, 0.0, 0.0, 0)
    rows = {name: _ratios(row) for name, row in report.items()}
    per_label = {name: rows.get(name, nothing) for name in layer.names}
    seen = tuple(name for name in layer.names if name in rows)
    return LayerScore(
        rows.get("micro avg", nothing), rows.get("macro avg", nothing), per_label, seen
    )


def _ratios(row: Mapping[str, float]) -> Ratios:
    # seqeval gives numpy numbers, which json refuses.
    return Ratios(
        float(row["precision"]), float(row["recall"]), float(row["f1-score"]), int(row["support"])
    )


def _unique(spans: Sequence[Span]) -> list[Span]:
    return list({span.key: span for span in spans}.values())


def _iou(a: Span, b: Span) -> float:
    shared = min(a.end, b.end) - max(a.start, b.start)
    return shared / (max(a.end, b.end) - min(a.start, b.start)) if shared > 0 else 0.0
