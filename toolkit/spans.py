"""The noun that flows through everything: one reading of one document.

A person's annotation, the adjudicated gold and a model's prediction are the same type, `Annotation`;
only `annotator` tells them apart. Offsets are half-open and count Unicode code points, everywhere.
Within one layer nothing overlaps, so each layer has one column of IOB2 tags. No input or output here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TypeAlias

__all__ = [
    "GOLD",
    "Annotation",
    "Document",
    "Key",
    "Relation",
    "Span",
    "Token",
    "Value",
    "Zone",
    "clean_twin",
    "cut_spans",
    "edges",
    "from_tags",
    "is_storable",
    "overlapping",
    "to_tags",
    "token_range",
]

GOLD = "gold"
"""The annotator of adjudicated annotations."""

Token: TypeAlias = tuple[int, int]
"""Start and end of one token in its document's text."""

Key: TypeAlias = tuple[int, int, str]
"""Start, end and label: what makes two spans the same answer."""

Value: TypeAlias = str | bool
"""An attribute's value: a choice or free text, or True for a flag."""


@dataclass(frozen=True, slots=True)
class Zone:
    """A stretch of the page: `headline`, `body` or `boilerplate`."""

    start: int
    end: int
    zone: str


@dataclass(frozen=True, slots=True)
class Document:
    """What is read. `tokens` are cut once, when the dataset is built, and kept for ever."""

    id: str
    text: str
    event: str = ""
    source: str = ""
    genre: str = ""
    published: str = ""
    zones: tuple[Zone, ...] = ()
    tokens: tuple[Token, ...] = ()

    @property
    def story(self) -> str:
        """What a split keeps together: the event, or the document itself when it names none."""
        return self.event or self.id


@dataclass(frozen=True, slots=True)
class Span:
    """A labelled stretch of text, half-open, in code points.

    `text` repeats the surface for people who read diffs; the offsets are the truth.
    """

    start: int
    end: int
    label: str
    id: str = ""
    text: str = ""
    attributes: Mapping[str, Value] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        """Start, end and label: what makes two spans the same answer."""
        return self.start, self.end, self.label

    def overlaps(self, other: Span) -> bool:
        """Whether the two share at least one code point."""
        return self.start < other.end and other.start < self.end


@dataclass(frozen=True, slots=True)
class Relation:
    """A directed, typed link between two spans of one annotation, by span id."""

    type: str
    head: str
    tail: str


@dataclass(frozen=True, slots=True)
class Annotation:
    """One reading of one document.

    `document` is the document's id. `lead_time` is in seconds. A skipped document has no spans.
    `provenance` says, in gold, where each span, relation and decided attribute comes from. `suggested`
    names the model whose suggestions lay before the annotator.
    """

    document: str
    annotator: str = ""
    spans: tuple[Span, ...] = ()
    relations: tuple[Relation, ...] = ()
    skipped: bool = False
    lead_time: float | None = None
    provenance: Mapping[str, str] = field(default_factory=dict)
    suggested: str = ""

    def layer(self, labels: Iterable[str]) -> tuple[Span, ...]:
        """The spans with one of these labels, in order of position."""
        wanted = frozenset(labels)
        chosen = (span for span in self.spans if span.label in wanted)
        return tuple(sorted(chosen, key=lambda span: span.key))

    def span(self, identifier: str) -> Span:
        """The span with this id. Raises `KeyError`."""
        for span in self.spans:
            if span.id == identifier:
                return span
        raise KeyError(identifier)

    def links(self) -> frozenset[tuple[str, Key, Key]]:
        """The relations as (type, head key, tail key), which does not depend on span ids."""
        keys = {span.id: span.key for span in self.spans}
        return frozenset((r.type, keys[r.head], keys[r.tail]) for r in self.relations)

    def canonical(self, text: str) -> Annotation:
        """The same reading with spans ordered by place, outer first, and their surface filled in."""
        spans = sorted(self.spans, key=lambda span: (span.start, -span.end, span.label, span.id))
        order = {span.id: number for number, span in enumerate(spans)}
        relations = sorted(self.relations, key=lambda r: (order[r.head], r.type, order[r.tail]))
        return replace(
            self,
            spans=tuple(
                Span(s.start, s.end, s.label, s.id, text[s.start : s.end], s.attributes)
                for s in spans
            ),
            relations=tuple(relations),
        )


def is_storable(text: str) -> bool:
    """Whether the text has no lone surrogate. One of those breaks a whole Label Studio export."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def overlapping(spans: Iterable[Span]) -> Iterator[tuple[Span, Span]]:
    """Pairs of spans that share a code point; none in a flat layer.

    Each offender is named once, against the span before it that reaches furthest.
    """
    reach: Span | None = None
    for span in sorted(spans, key=lambda span: span.key):
        if reach is not None and span.overlaps(reach):
            yield reach, span
        if reach is None or span.end > reach.end:
            reach = span


def token_range(span: Span, tokens: Sequence[Token]) -> tuple[int, int] | None:
    """First and one-past-last token of the span, or None if an edge cuts a token."""
    starts = {start: number for number, (start, _) in enumerate(tokens)}
    ends = {end: number + 1 for number, (_, end) in enumerate(tokens)}
    return _token_range(span, starts, ends)


def cut_spans(spans: Iterable[Span], tokens: Sequence[Token]) -> list[Span]:
    """The spans of which an edge falls inside a token or between tokens."""
    starts = {start: number for number, (start, _) in enumerate(tokens)}
    ends = {end: number + 1 for number, (_, end) in enumerate(tokens)}
    return [span for span in spans if _token_range(span, starts, ends) is None]


def to_tags(spans: Iterable[Span], tokens: Sequence[Token]) -> list[str]:
    """One IOB2 tag per token for the spans of one flat layer.

    Raises `ValueError` naming the first span that cuts a token or overlaps another: nothing is
    dropped or widened silently. Report the offenders first with `cut_spans` and `overlapping`.
    """
    starts = {start: number for number, (start, _) in enumerate(tokens)}
    ends = {end: number + 1 for number, (_, end) in enumerate(tokens)}
    tags = ["O"] * len(tokens)
    for span in spans:
        within = _token_range(span, starts, ends)
        if within is None:
            raise ValueError(f"span {span.start}–{span.end} {span.label} cuts a token")
        first, last = within
        if any(tag != "O" for tag in tags[first:last]):
            raise ValueError(f"span {span.start}–{span.end} {span.label} overlaps another")
        tags[first:last] = [f"B-{span.label}"] + [f"I-{span.label}"] * (last - first - 1)
    return tags


def from_tags(tags: Sequence[str], tokens: Sequence[Token]) -> list[Span]:
    """The spans of IOB2 tags, read strictly: an `I-` that continues nothing opens nothing.

    This is how seqeval reads with `mode="strict", scheme=IOB2`.
    """
    if len(tags) != len(tokens):
        raise ValueError(f"{len(tags)} tags for {len(tokens)} tokens")
    spans: list[Span] = []
    opened: tuple[int, str] | None = None
    for number, tag in enumerate([*tags, "O"]):
        if opened is not None and tag != f"I-{opened[1]}":
            first, label = opened
            spans.append(Span(tokens[first][0], tokens[number - 1][1], label))
            opened = None
        if tag.startswith("B-"):
            opened = number, tag[2:]
    return spans


def _token_range(
    span: Span, starts: Mapping[int, int], ends: Mapping[int, int]
) -> tuple[int, int] | None:
    first, last = starts.get(span.start), ends.get(span.end)
    if first is None or last is None or last <= first:
        return None
    return first, last


def edges(spans: Iterable[Span]) -> list[Token]:
    """The coarsest tokens that no span of these cuts: the stretches between all their edges.

    Spans scored over these tokens score as they would over any tokens that fit them, so a score
    needs neither the text nor its tokenisation.
    """
    points = sorted({point for span in spans for point in (span.start, span.end)})
    return list(pairwise(points))


def clean_twin(document: Document, annotation: Annotation) -> tuple[Document, Annotation]:
    """The page without its furniture, and the same reading moved along with the text.

    Scored in pairs, page and twin say what furniture costs a system. The twin's id ends in `-clean`.
    Raises `ValueError` when a span does not lie inside one headline or body zone.
    """
    text, zones, moved = "", [], {}
    last: Zone | None = None
    for zone in sorted(document.zones, key=lambda zone: zone.start):
        if zone.zone != "boilerplate":
            if text:
                beside = last is not None and last.zone != "boilerplate"
                text += document.text[last.end : zone.start] if last and beside else "\n\n"
            moved[zone] = len(text) - zone.start
            text += document.text[zone.start : zone.end]
            zones.append(Zone(len(text) - (zone.end - zone.start), len(text), zone.zone))
        last = zone
    spans = []
    for span in annotation.spans:
        shift = next((by for z, by in moved.items() if z.start <= span.start < z.end), None)
        if shift is None:
            raise ValueError(f"{span.label} {span.start}–{span.end} lies in page furniture")
        spans.append(replace(span, start=span.start + shift, end=span.end + shift))
    name = f"{document.id}-clean"
    twin = replace(document, id=name, text=text, zones=tuple(zones), tokens=())
    return twin, replace(annotation, document=name, spans=tuple(spans))
