"""A document as gold and as predicted: two columns of marked text, and a table of their spans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeGuard

from toolkit.report.figures import DASH, some
from toolkit.report.styles import Styles
from toolkit.report.text import Mark, Paragraph, paragraphs
from toolkit.schema import Schema
from toolkit.spans import Annotation, Document, Key, Span

__all__ = ["Reading", "reading"]

_SYMBOLS = {"missed": "○", "spurious": "×"}
_ZONES = ("headline", "boilerplate")


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
    paragraphs: list[Paragraph]


@dataclass(frozen=True, slots=True)
class Reading:
    """A document with its two columns and its table of spans."""

    document: Document
    about: list[str]
    sides: list[_Side]
    rows: list[_Row]

    @property
    def height(self) -> int:
        """Rows of the page that hold it: the heading, and each paragraph beside its like."""
        drawn = [sum(bool(p.nodes) for p in side.paragraphs) for side in self.sides]
        return 1 + max(drawn)


def reading(
    document: Document, gold: Annotation | None, predicted: Annotation | None, styles: Styles
) -> Reading:
    """The document with a verdict on every span, as far as there are two sides to compare."""
    found = _verdicts(gold, predicted, "found", "missed")
    right = _verdicts(predicted, gold, "right", "spurious")
    sides = [
        _side("Gold", document, gold, found, styles, wrong="missed"),
        _side("Predicted", document, predicted, right, styles, wrong="spurious"),
    ]
    about = [document.source, document.genre, document.published, document.event]
    rows = _rows(document, gold, predicted, styles)
    return Reading(document, [fact for fact in about if fact], sides, rows)


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
    styles: Styles,
    *,
    wrong: str,
) -> _Side:
    if not _is_read(annotation):
        return _Side(name, "skipped" if annotation else "none", [])
    marks = _zone_marks(document)
    marks += _span_marks(document.text, annotation, verdicts or {}, styles)
    summary = some(len({span.key for span in annotation.spans}), "span")
    if verdicts is not None:
        summary += f", {list(verdicts.values()).count(wrong)} {wrong}"
    return _Side(name, summary, list(paragraphs(document.text, marks)))


def _zone_marks(document: Document) -> list[Mark]:
    zones = sorted(document.zones, key=lambda zone: zone.start)
    return [Mark(zone.start, zone.end, zone.zone) for zone in zones if zone.zone in _ZONES]


def _span_marks(
    text: str, annotation: Annotation, verdicts: Mapping[Key, str], styles: Styles
) -> list[Mark]:
    """A mark for each span, outermost first: bands before chips, then longer ones first."""
    spans = {span.key: span for span in annotation.spans}.values()
    ordered = sorted(spans, key=lambda s: (styles.shape(s.label) == "chip", _position(s)))
    return [
        _mark(span, text, verdicts.get(span.key, ""), _said(annotation, span), styles)
        for span in ordered
    ]


def _mark(span: Span, text: str, verdict: str, said: Sequence[str], styles: Styles) -> Mark:
    return Mark(
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
    known = [a for a in schema.attributes_of(span.label) if a.flag or a.values]
    given = [(a, str(span.attributes[a.name])) for a in known if span.attributes.get(a.name)]
    return " · ".join(a.name if a.flag else _worded(a.name, value) for a, value in given)


def _worded(name: str, value: str) -> str:
    """The value alone where it is a word; a mere sign needs the name before it."""
    return value if any(c.isalpha() for c in value) else f"{name}\N{NO-BREAK SPACE}{value}"


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


def _rows(
    document: Document, gold: Annotation | None, predicted: Annotation | None, styles: Styles
) -> list[_Row]:
    """The spans of both sides in order of position, outer first, each once with its verdict."""
    verdicts = _verdicts(predicted, gold, "right", "spurious") or {}
    verdicts |= _verdicts(gold, predicted, "right", "missed") or {}
    rows: dict[Key, _Row] = {}
    for annotation in filter(_is_read, (gold, predicted)):
        for span in annotation.spans:
            verdict, note = verdicts.get(span.key, DASH), "; ".join(_said(annotation, span))
            text = document.text[max(span.start, 0) : span.end]
            rows.setdefault(span.key, _Row(span, text, styles.css(span.label), verdict, note))
    return sorted(rows.values(), key=lambda row: _position(row.span))


def _position(span: Span) -> tuple[int, int, str]:
    return span.start, -span.end, span.label
