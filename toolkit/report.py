"""The page `toolkit demo` writes: what happened, agreement, scores and annotated documents.

One HTML file that needs nothing else: no script, no network, no fonts. Everything on it, from the
text of documents to the names of labels, is untrusted and is escaped by the template. The text of a
document is on the page whole and unaltered; labels are attributes that CSS shows, so that copying
a passage copies the document and nothing more.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeGuard

from toolkit.adjudication import Agreement, Kappa
from toolkit.schema import Layer, Schema
from toolkit.scoring import Counts, Ratios, Score
from toolkit.spans import Annotation, Document, Key, Span

if TYPE_CHECKING:
    from jinja2 import Template

__all__ = ["Step", "demo_page"]

_TEMPLATES = Path(__file__).parent / "data" / "templates"
_DASH = "–"


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
    styles = _Styles(schema, _holding(schema, shown))
    return _template("demo.html").render(
        title=title,
        intro=[paragraph for paragraph in re.split(r"\n\s*\n", intro.strip()) if paragraph],
        figures=list(_figures(steps, agreements, score)),
        steps=steps,
        total=sum(step.seconds for step in steps),
        agreements=[_agreement_view(agreement, styles) for agreement in agreements],
        score=score,
        layers=[_layer_view(layer, score, styles) for layer in schema.layers],
        schema=schema,
        styles=styles,
        readings=[_reading(d, gold.get(d.id), predicted.get(d.id), styles) for d in documents],
        facts=facts,
        notes=notes,
    )


def _template(name: str) -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["two"] = _two
    environment.filters["seconds"] = _seconds
    return environment.get_template(name)


def _two(value: float | None) -> str:
    """A fraction with two decimals and a true minus; a dash where there is none."""
    return _DASH if value is None else f"{value:.2f}".replace("-", "−")


def _seconds(value: float) -> str:
    return "< 0.1 s" if value < 0.05 else f"{value:.1f} s"


# ── colours ─────────────────────────────────────────────────────────────────────────────────────

_Colour: TypeAlias = tuple[int, int, int]

_HEX = re.compile(r"#[0-9A-Fa-f]{6}")
_NEUTRAL = "#6B7280"
_PAPER = {"light": "#FDFCFA", "dark": "#17181B"}
_INK = {"light": "#1E1D1B", "dark": "#E9E6E0"}
_TINT = 0.14
_CONTRAST = 4.5
"""The least contrast WCAG 2 (1.4.3, AA) asks of small text."""


@dataclass(frozen=True, slots=True)
class _Tone:
    """A label's colour made legible on a background of its own tint."""

    text: str
    tint: str


def _tone(colour: str, mode: str) -> _Tone:
    """The colour, darkened (or lightened, in dark mode) no more than legibility asks.

    Anything but #RRGGBB would be a way into the style sheet and is shown in grey.
    """
    own = _rgb(colour if _HEX.fullmatch(colour) else _NEUTRAL)
    paper, ink = _rgb(_PAPER[mode]), _rgb(_INK[mode])
    for share in range(0, 101, 5):
        text = _mix(own, ink, share / 100)
        tint = _mix(paper, text, _TINT)
        if _contrast(text, tint) >= _CONTRAST:
            break
    return _Tone(_hex(text), _hex(tint))


def _rgb(colour: str) -> _Colour:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _hex(colour: _Colour) -> str:
    return "#{:02X}{:02X}{:02X}".format(*colour)


def _mix(one: _Colour, other: _Colour, share: float) -> _Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def _contrast(one: _Colour, other: _Colour) -> float:
    """The contrast ratio of two colours, from 1 to 21, as WCAG 2 defines it."""
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: _Colour) -> float:
    shares = (value / 255 for value in colour)
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@dataclass(frozen=True, slots=True)
class _Styles:
    """How each label is drawn. `blocks` are the layers drawn as bands around other spans."""

    schema: Schema
    blocks: frozenset[str]

    @property
    def papers(self) -> Mapping[str, str]:
        """The page's background in light and dark."""
        return _PAPER

    @property
    def inks(self) -> Mapping[str, str]:
        """The page's text colour in light and dark."""
        return _INK

    def tones(self, mode: str) -> list[tuple[str, _Tone]]:
        """Class and tone of every label, and of labels the schema does not have."""
        known = [(self.css(label.name), _tone(label.colour, mode)) for label in self.schema.labels]
        return [*known, ("label-other", _tone(_NEUTRAL, mode))]

    def css(self, label: str) -> str:
        """The class that gives a label its colour. Names are too free to be class names."""
        names = [known.name for known in self.schema.labels]
        return f"label-{names.index(label)}" if label in names else "label-other"

    def shape(self, label: str) -> str:
        """`block` for a span that holds others, `chip` for one that does not."""
        held = any(label in lay.names for lay in self.schema.layers if lay.name in self.blocks)
        return "block" if held else "chip"


def _holding(schema: Schema, annotations: Iterable[Annotation]) -> frozenset[str]:
    """The layers whose spans more often hold spans of other layers than lie in them."""
    layers = {name: layer.name for layer in schema.layers for name in layer.names}
    balance: Counter[str] = Counter()
    for annotation in annotations:
        for outer, inner in _nested(annotation.spans):
            one, other = layers.get(outer.label, ""), layers.get(inner.label, "")
            if one != other:
                balance[one] += 1
                balance[other] -= 1
    return frozenset(name for name, count in balance.items() if count > 0)


def _nested(spans: Sequence[Span]) -> Iterator[tuple[Span, Span]]:
    """Pairs of a span and a shorter one inside it."""
    ordered = sorted(spans, key=lambda span: (span.start, -span.end))
    for number, outer in enumerate(ordered):
        for inner in ordered[number + 1 :]:
            if inner.start >= outer.end:
                break
            if inner.end <= outer.end and (inner.start, inner.end) != (outer.start, outer.end):
                yield outer, inner


# ── figures, agreement, scores ──────────────────────────────────────────────────────────────────


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
        total = sum((a.exact.get("all", Counts()) for a in agreements), Counts())
        who = " and ".join(agreements[0].annotators) if len(agreements) == 1 else "all pairs"
        yield _Figure(_two(_f1(total)), "Agreement", f"exact span F1, {who}")
    seen = any(layer.seen for layer in score.layers.values())
    about = f"strict macro F1 on {_some(score.documents, 'document')}"
    yield _Figure(_two(score.macro_f1 if seen else None), "Model score", about)
    if steps:
        total_seconds = _seconds(sum(step.seconds for step in steps))
        yield _Figure(total_seconds, "Time", _some(len(steps), "step"))


def _some(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _f1(counts: Counts) -> float | None:
    """F1, or None when neither side has a span."""
    return counts.f1 if counts.tp + counts.fp + counts.fn else None


@dataclass(frozen=True, slots=True)
class _AgreementRow:
    """One label, layer or total: counts and F1, exact and by overlap."""

    name: str
    css: str
    exact: Counts
    overlap: Counts

    @property
    def exact_f1(self) -> float | None:
        return _f1(self.exact)

    @property
    def overlap_f1(self) -> float | None:
        return _f1(self.overlap)


@dataclass(frozen=True, slots=True)
class _AgreementView:
    """An agreement as its tables show it; `groups` has one list of rows per layer."""

    first: str
    second: str
    documents: str
    groups: list[list[_AgreementRow]]
    total: _AgreementRow
    kappas: list[tuple[str, Kappa]]
    relations: Counts
    relations_f1: float | None


def _agreement_view(agreement: Agreement, styles: _Styles) -> _AgreementView:
    def row(key: str, name: str, css: str) -> _AgreementRow:
        counts = agreement.exact.get(key, Counts()), agreement.overlap.get(key, Counts())
        return _AgreementRow(name, css, *counts)

    groups = []
    for layer in styles.schema.layers:
        rows = [row(name, name, styles.css(name)) for name in layer.names]
        if len(rows) > 1:
            rows.append(row(layer.name, f"layer {layer.name}", ""))
        groups.append(rows)
    first, second = agreement.annotators
    return _AgreementView(
        first=first,
        second=second,
        documents=_some(agreement.documents, "document"),
        groups=groups,
        total=row("all", "all spans", ""),
        kappas=list(_kappas(agreement)),
        relations=agreement.relations,
        relations_f1=_f1(agreement.relations),
    )


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
class _LayerView:
    """The scores of one layer; `made_up` are labels predicted but absent from gold."""

    name: str
    rows: list[_ScoreRow]
    averages: list[_ScoreRow]
    made_up: list[str]


def _layer_view(layer: Layer, score: Score, styles: _Styles) -> _LayerView:
    found = score.layers.get(layer.name)
    nothing = Ratios(0.0, 0.0, 0.0, 0)
    per_label = {
        name: found.per_label.get(name, nothing) if found else nothing for name in layer.names
    }
    averages = []
    if found and len(per_label) > 1:
        averages = [("micro average", found.micro), ("macro average", found.macro)]
    return _LayerView(
        name=layer.name,
        rows=[_ScoreRow.of(name, styles.css(name), ratios) for name, ratios in per_label.items()],
        averages=[_ScoreRow.of(name, "", ratios) for name, ratios in averages],
        made_up=[name for name in (found.seen if found else ()) if not per_label[name].support],
    )


# ── annotated text ──────────────────────────────────────────────────────────────────────────────

_SYMBOLS = {"missed": "○", "spurious": "×"}
_ZONES = ("headline", "boilerplate")
_GAP = re.compile(r"(?:\r?\n){2,}")


@dataclass(frozen=True, slots=True)
class _Mark:
    """Something drawn over a stretch of text: a zone or a span."""

    start: int
    end: int
    css: str
    tag: str = ""
    note: str = ""
    title: str = ""


@dataclass(slots=True)
class _Node:
    """A stretch of text: plain, or a mark around further nodes. One mark may come as several."""

    end: int
    text: str = ""
    mark: _Mark | None = None
    children: list[_Node] = field(default_factory=list)

    @property
    def is_last(self) -> bool:
        """Whether the mark ends here, so that its tag is due."""
        return self.mark is not None and self.end == self.mark.end


@dataclass(frozen=True, slots=True)
class _Paragraph:
    """Marked-up text up to a blank line, and the line ends that follow."""

    nodes: list[_Node]
    gap: str
    is_headline: bool


@dataclass(frozen=True, slots=True)
class _Row:
    """One span of a document in the table below it."""

    span: Span
    text: str
    css: str
    verdict: str
    note: str


@dataclass(frozen=True, slots=True)
class _Side:
    """One column: gold or predicted. Without paragraphs, `summary` says why."""

    name: str
    summary: str
    paragraphs: list[_Paragraph]


@dataclass(frozen=True, slots=True)
class _Reading:
    """A document with its two columns and its table of spans."""

    document: Document
    about: list[str]
    sides: list[_Side]
    rows: list[_Row]


def _reading(
    document: Document, gold: Annotation | None, predicted: Annotation | None, styles: _Styles
) -> _Reading:
    found = _verdicts(gold, predicted, "found", "missed")
    right = _verdicts(predicted, gold, "right", "spurious")
    sides = [
        _side("Gold", document, gold, found, styles, wrong="missed"),
        _side("Predicted", document, predicted, right, styles, wrong="spurious"),
    ]
    about = [document.source, document.genre, document.published, document.event]
    rows = _rows(document, gold, predicted, styles)
    return _Reading(document, [fact for fact in about if fact], sides, rows)


def _verdicts(
    one: Annotation | None, other: Annotation | None, same: str, alone: str
) -> dict[Key, str] | None:
    """What becomes of each span of one side; None when there is no other to compare with."""
    if not _is_read(one) or not _is_read(other):
        return None
    keys = {span.key for span in other.spans}
    return {span.key: same if span.key in keys else alone for span in one.spans}


def _is_read(annotation: Annotation | None) -> TypeGuard[Annotation]:
    return annotation is not None and not annotation.skipped


def _side(
    name: str,
    document: Document,
    annotation: Annotation | None,
    verdicts: Mapping[Key, str] | None,
    styles: _Styles,
    *,
    wrong: str,
) -> _Side:
    if not _is_read(annotation):
        return _Side(name, "skipped" if annotation else "none", [])
    marks = _zone_marks(document)
    marks += _span_marks(document.text, annotation, verdicts or {}, styles)
    summary = _some(len({span.key for span in annotation.spans}), "span")
    if verdicts is not None:
        summary += f", {list(verdicts.values()).count(wrong)} {wrong}"
    return _Side(name, summary, list(_paragraphs(document.text, marks)))


def _zone_marks(document: Document) -> list[_Mark]:
    zones = sorted(document.zones, key=lambda zone: zone.start)
    return [_Mark(zone.start, zone.end, zone.zone) for zone in zones if zone.zone in _ZONES]


def _span_marks(
    text: str, annotation: Annotation, verdicts: Mapping[Key, str], styles: _Styles
) -> list[_Mark]:
    """A mark for each span, outermost first: bands before chips, then longer ones first."""
    spans = {span.key: span for span in annotation.spans}.values()
    shapes = ("block", "chip")
    ordered = sorted(
        spans, key=lambda s: (shapes.index(styles.shape(s.label)), s.start, -s.end, s.label)
    )
    return [
        _mark(span, text, verdicts.get(span.key, ""), _said(annotation, span), styles)
        for span in ordered
    ]


def _mark(span: Span, text: str, verdict: str, said: Sequence[str], styles: _Styles) -> _Mark:
    return _Mark(
        start=max(span.start, 0),
        # A tag behind a line end would stand in the next paragraph or nowhere.
        end=len(text[: span.end].rstrip("\r\n")),
        css=" ".join(["span", styles.shape(span.label), styles.css(span.label), verdict]).strip(),
        tag=f"{span.label} {_SYMBOLS.get(verdict, '')}".strip(),
        note=_compact(span, styles.schema),
        title="; ".join([f"{span.label}, {verdict}" if verdict else span.label, *said]),
    )


def _compact(span: Span, schema: Schema) -> str:
    """The span's choices and flags in a few words; free text would be too long."""
    known = {a.name: a for a in schema.attributes_of(span.label) if a.flag or a.values}
    given = [name for name in known if span.attributes.get(name)]
    return " · ".join(name if known[name].flag else str(span.attributes[name]) for name in given)


def _said(annotation: Annotation, span: Span) -> list[str]:
    """All that is said of a span: its attributes and the relations that start from it."""
    said = [
        name if value is True else f"{name}: {value}"
        for name, value in span.attributes.items()
        if value
    ]
    surfaces = {other.id: other.text or other.label for other in annotation.spans}
    links = [r for r in annotation.relations if span.id and r.head == span.id]
    return said + [f"{r.type} → {surfaces.get(r.tail, r.tail)}" for r in links]


def _paragraphs(text: str, marks: Sequence[_Mark]) -> Iterator[_Paragraph]:
    """The text cut at blank lines; joined together, its pieces are the text again."""
    start = 0
    for gap in [*_GAP.finditer(text), None]:
        end = gap.start() if gap else len(text)
        nodes = _nest(text, start, end, marks)
        headline = bool(nodes) and all(n.mark and n.mark.css == "headline" for n in nodes)
        yield _Paragraph(nodes, gap.group() if gap else "", headline)
        start = gap.end() if gap else end


def _nest(text: str, start: int, end: int, marks: Sequence[_Mark]) -> list[_Node]:
    """The stretch as a tree of marks. One that crosses an earlier one is cut where they cross."""
    here = [mark for mark in marks if mark.start < end and start < mark.end]
    edges = {edge for mark in here for edge in (mark.start, mark.end) if start < edge < end}
    root = _Node(end)
    opened = [root]
    for first, last in pairwise(sorted({start, end, *edges})):
        cover = [mark for mark in here if mark.start <= first and last <= mark.end]
        kept = 0
        while kept < min(len(cover), len(opened) - 1) and opened[kept + 1].mark is cover[kept]:
            kept += 1
        del opened[kept + 1 :]
        for mark in cover[kept:]:
            node = _Node(last, mark=mark)
            opened[-1].children.append(node)
            opened.append(node)
        for node in opened:
            node.end = last
        opened[-1].children.append(_Node(last, text[first:last]))
    return root.children


def _rows(
    document: Document, gold: Annotation | None, predicted: Annotation | None, styles: _Styles
) -> list[_Row]:
    """The spans of both sides in order of position, outer first, each once with its verdict."""
    verdicts = _verdicts(predicted, gold, "right", "spurious") or {}
    verdicts |= _verdicts(gold, predicted, "right", "missed") or {}
    said: dict[Key, tuple[Span, list[str]]] = {}
    for annotation in (gold, predicted):
        if _is_read(annotation):
            for span in annotation.spans:
                said.setdefault(span.key, (span, _said(annotation, span)))
    return [
        _Row(
            span=span,
            text=document.text[max(span.start, 0) : span.end],
            css=styles.css(span.label),
            verdict=verdicts.get(span.key, _DASH),
            note="; ".join(found),
        )
        for span, found in sorted(
            said.values(), key=lambda pair: (pair[0].start, -pair[0].end, pair[0].label)
        )
    ]
