"""Agreement and scores as the tables show them: rows of labels, layers and averages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from toolkit.adjudication import Agreement, Kappa
from toolkit.report.figures import some
from toolkit.report.styles import Styles
from toolkit.schema import Layer
from toolkit.scoring import Counts, LayerScore, Ratios, Score

__all__ = ["AgreementView", "LayerView", "agreement_view", "f1", "layer_view"]

_NOTHING = Ratios(0.0, 0.0, 0.0, 0)
_UNSCORED = LayerScore(_NOTHING, _NOTHING, {})


def f1(counts: Counts) -> float | None:
    """F1, or None when neither side has a span."""
    return counts.f1 if counts.tp + counts.fp + counts.fn else None


@dataclass(frozen=True, slots=True)
class _AgreementRow:
    """One label, layer or total: counts and F1, exact and by overlap."""

    name: str
    css: str
    exact: Counts
    overlap: Counts

    @classmethod
    def of(cls, agreement: Agreement, key: str, name: str, css: str = "") -> _AgreementRow:
        exact, overlap = agreement.exact.get(key), agreement.overlap.get(key)
        return cls(name, css, exact or Counts(), overlap or Counts())

    @property
    def exact_f1(self) -> float | None:
        return f1(self.exact)

    @property
    def overlap_f1(self) -> float | None:
        return f1(self.overlap)


@dataclass(frozen=True, slots=True)
class AgreementView:
    """An agreement as its tables show it; `groups` has one list of rows per layer."""

    first: str
    second: str
    documents: str
    groups: list[list[_AgreementRow]]
    total: _AgreementRow
    kappas: list[tuple[str, Kappa]]
    relations: Counts
    relations_f1: float | None


def agreement_view(agreement: Agreement, styles: Styles) -> AgreementView:
    """Rows for each label of the schema, each layer of several labels, and all spans."""
    first, second = agreement.annotators
    return AgreementView(
        first=first,
        second=second,
        documents=some(agreement.documents, "document"),
        groups=[_group(agreement, layer, styles) for layer in styles.schema.layers],
        total=_AgreementRow.of(agreement, "all", "all spans"),
        kappas=list(_kappas(agreement)),
        relations=agreement.relations,
        relations_f1=f1(agreement.relations),
    )


def _group(agreement: Agreement, layer: Layer, styles: Styles) -> list[_AgreementRow]:
    rows = [_AgreementRow.of(agreement, name, name, styles.css(name)) for name in layer.names]
    if len(rows) > 1:
        rows.append(_AgreementRow.of(agreement, layer.name, f"layer {layer.name}"))
    return rows


def _kappas(agreement: Agreement) -> Iterator[tuple[str, Kappa]]:
    for layer, kappa in agreement.labels.items():
        yield f"label, layer {layer}", kappa
    yield from agreement.attributes.items()


@dataclass(frozen=True, slots=True)
class _ScoreRow:
    """One label or average. The fractions are None where gold has no such span."""

    name: str
    css: str
    precision: float | None
    recall: float | None
    f1: float | None
    support: int

    @classmethod
    def of(cls, name: str, css: str, ratios: Ratios) -> _ScoreRow:
        if not ratios.support:
            return cls(name, css, None, None, None, 0)
        return cls(name, css, ratios.precision, ratios.recall, ratios.f1, ratios.support)


@dataclass(frozen=True, slots=True)
class LayerView:
    """The scores of one layer; `made_up` are labels predicted but absent from gold."""

    name: str
    rows: list[_ScoreRow]
    averages: list[_ScoreRow]
    made_up: list[str]


def layer_view(layer: Layer, score: Score, styles: Styles) -> LayerView:
    """A row for each label of the layer; averages where it has several."""
    found = score.layers.get(layer.name, _UNSCORED)
    ratios = {name: found.per_label.get(name, _NOTHING) for name in layer.names}
    averages = {"micro average": found.micro, "macro average": found.macro}
    return LayerView(
        name=layer.name,
        rows=[_ScoreRow.of(name, styles.css(name), own) for name, own in ratios.items()],
        averages=[_ScoreRow.of(name, "", own) for name, own in averages.items() if len(ratios) > 1],
        made_up=[name for name in found.seen if not ratios[name].support],
    )
