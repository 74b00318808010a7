"""The page as a whole: its parts gathered and handed to the template."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from toolkit import files
from toolkit.adjudication import Agreement
from toolkit.report.figures import ratio, seconds, some
from toolkit.report.readings import reading
from toolkit.report.styles import Styles
from toolkit.report.tables import agreement_view, f1, layer_view
from toolkit.schema import Schema
from toolkit.scoring import Counts, Score
from toolkit.spans import Annotation, Document

__all__ = ["Step", "demo_page"]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing the demo did: its name, what a user would type, and what came of it."""

    title: str
    command: str
    outcome: str
    seconds: float


def demo_page(
    *,
    title: str,
    intro: str,
    steps: Sequence[Step],
    agreements: Sequence[Agreement],
    score: Score,
    schema: Schema,
    documents: Sequence[Document],
    gold: Mapping[str, Annotation],
    predicted: Mapping[str, Annotation],
    facts: Mapping[str, str],
    notes: Sequence[str],
) -> str:
    """The whole page as HTML.

    `documents` are shown in this order with `gold` and `predicted` side by side, both by document
    id; a side that is absent or skipped is said to be so. `intro` may have paragraphs, parted by
    blank lines. `facts` are the lines of provenance, `notes` what a reader should bear in mind.
    """
    shown = [side[d.id] for d in documents for side in (gold, predicted) if d.id in side]
    styles = Styles.of(schema, shown)
    return files.render(
        "demo.html",
        title=title,
        intro=[paragraph for paragraph in re.split(r"\n\s*\n", intro.strip()) if paragraph],
        figures=list(_figures(steps, agreements, score)),
        steps=steps,
        agreements=[agreement_view(agreement, styles) for agreement in agreements],
        score=score,
        macro_f1=_macro_f1(score),
        layers=[layer_view(layer, score, styles) for layer in schema.layers],
        schema=schema,
        styles=styles,
        readings=[reading(d, gold.get(d.id), predicted.get(d.id), styles) for d in documents],
        facts=facts,
        notes=notes,
        ratio=ratio,
        seconds=seconds,
    )


@dataclass(frozen=True, slots=True)
class _Figure:
    """One number at the head of the page."""

    value: str
    name: str
    detail: str


def _figures(
    steps: Sequence[Step], agreements: Sequence[Agreement], score: Score
) -> Iterator[_Figure]:
    if agreements:
        yield _agreed(agreements)
    about = f"strict macro F1 on {some(score.documents, 'document')}"
    yield _Figure(ratio(_macro_f1(score)), "Model score", about)
    if steps:
        total = sum(step.seconds for step in steps)
        yield _Figure(seconds(total), "Time", some(len(steps), "step"))


def _agreed(agreements: Sequence[Agreement]) -> _Figure:
    """Exact F1 over all spans; of several pairs, from their added counts."""
    total = sum((a.exact.get("all", Counts()) for a in agreements), Counts())
    who = " and ".join(agreements[0].annotators) if len(agreements) == 1 else "all pairs"
    return _Figure(ratio(f1(total)), "Agreement", f"exact span F1, {who}")


def _macro_f1(score: Score) -> float | None:
    """The mean over labels, or None when no label was seen."""
    return score.macro_f1 if any(layer.seen for layer in score.layers.values()) else None
