"""What differs between two readings: a model's and gold's, or two versions of gold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from toolkit.schema import Schema
from toolkit.scoring import match
from toolkit.spans import Annotation, Document, Key, Span, Value, overlapping

__all__ = ["Difference", "Edit", "differences", "span_diff"]


# ── gold and a model ────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Difference:
    """The spans of one document that gold holds and a model missed, and those it made up.

    `places` counts where they differ: spans of one layer that overlap are one place.
    """

    document: str
    missed: tuple[Span, ...]
    spurious: tuple[Span, ...]
    places: int


def differences(
    gold: Iterable[Annotation], predicted: Iterable[Annotation], schema: Schema
) -> list[Difference]:
    """Where a model reads otherwise than gold, the document with the most differing places first.

    Spans count by exact offsets and label. A place is what a reviewer looks at once and what may be
    one error of gold: a moved edge or another label is two differing spans and one place, no worse
    than a span missed. Places are not divided by length: the review shows both readings, so it takes
    as long as there are places, and a short page with one slip would come before a page of doubts.
    Ties go by document id. Left out are documents that do not differ, were skipped or have no
    prediction.
    """
    read = {found.document: found for found in predicted if not found.skipped}
    pairs = [(found, read[found.document]) for found in gold if found.document in read]
    found = [_difference(right, guess, schema) for right, guess in pairs if not right.skipped]
    return sorted((d for d in found if d.places), key=lambda d: (-d.places, d.document))


def _difference(gold: Annotation, predicted: Annotation, schema: Schema) -> Difference:
    missed: list[Span] = []
    spurious: list[Span] = []
    places = 0
    for layer in schema.layers:
        right, guess = ({s.key: s for s in a.layer(layer.names)} for a in (gold, predicted))
        only_gold = [right[key] for key in right.keys() - guess.keys()]
        only_guess = [guess[key] for key in guess.keys() - right.keys()]
        both = only_gold + only_guess
        # Each overlap joins a span to a place that is counted already.
        places += len(both) - sum(1 for _ in overlapping(both))
        missed += only_gold
        spurious += only_guess
    return Difference(gold.document, _by_place(missed), _by_place(spurious), places)


def _by_place(spans: Iterable[Span]) -> tuple[Span, ...]:
    return tuple(sorted(spans, key=_place))


def _place(span: Span) -> tuple[int, int, str]:
    return span.start, -span.end, span.label


# ── two versions of gold ────────────────────────────────────────────────────────────────────────

LINE = 60
"""Characters of a span that one line shows; the middle of a longer one is left out."""

ADDED, REMOVED, MOVED, RELABELLED = "added", "removed", "moved", "relabelled"
ATTRIBUTE, LINKED, UNLINKED = "attribute changed", "relation added", "relation removed"


@dataclass(frozen=True, slots=True)
class Edit:
    """One thing that changed between two versions of a reading. As text it is one line.

    `what` is `added`, `removed`, `moved` (its edges, or some of them), `relabelled`, `attribute
    changed`, `relation added` or `relation removed`; `name` is the attribute or relation. `before`
    and `after` are the span, or the relation's head, in the version that has it; `tail` is the
    relation's end.
    """

    document: str
    what: str
    before: Span | None
    after: Span | None
    name: str = ""
    tail: Span | None = None

    @property
    def span(self) -> Span:
        """Where to look: the span as it was, or as it is if it was not there."""
        found = self.before or self.after
        assert found is not None
        return found

    def __str__(self) -> str:
        place = f"{self.document} {_shown(self.span)}"
        if self.tail is not None:
            return f"{place} {self.name} to {_shown(self.tail)} {self.what.split()[-1]}"
        if self.before is None or self.after is None:
            return f"{place} {self.what}"
        if self.what == RELABELLED:
            return f"{place} {self.what} {self.after.label}"
        if self.what == MOVED:
            return f"{place} {self.what} to {_shown(self.after)}"
        values = [_worded(span.attributes.get(self.name)) for span in (self.before, self.after)]
        return f"{place} {self.name}: {' → '.join(values)}"


def span_diff(
    before: Iterable[Annotation], after: Iterable[Annotation], texts: Mapping[str, Document]
) -> list[Edit]:
    """What changed between two versions of gold, in order of document and place.

    Spans are told apart by offsets and label; ids do not matter. Another label at the same offsets is
    a span relabelled, the same label at overlapping offsets a span moved, the most alike first; its
    attributes and relations go with it. What is left is removed and added. A removed span takes its
    relations along and an added one brings them, and each of these is an edit too, so the edits say
    all that it takes to get from one version to the other.
    """
    old, new = ({found.document: found for found in side} for side in (before, after))
    edits: list[Edit] = []
    for name in sorted(old.keys() | new.keys()):
        text, none = texts[name].text, Annotation(name)
        versions = (old.get(name, none).canonical(text), new.get(name, none).canonical(text))
        edits += sorted(_edits(*versions), key=_order)
    return edits


def _order(edit: Edit) -> tuple[tuple[int, int, str], bool, bool, str, tuple[int, int, str], str]:
    """By place; of one place the span, its attributes, its relations."""
    tail = _place(edit.tail) if edit.tail else (0, 0, "")
    return _place(edit.span), edit.tail is not None, bool(edit.name), edit.name, tail, edit.what


def _edits(before: Annotation, after: Annotation) -> Iterator[Edit]:
    pairs = _pairs(before.spans, after.spans)
    for one, other in pairs:
        what = _what(one, other)
        if what:
            yield Edit(before.document, what, one, other)
        if one and other:
            for name in sorted(one.attributes.keys() | other.attributes.keys()):
                if one.attributes.get(name) != other.attributes.get(name):
                    yield Edit(before.document, ATTRIBUTE, one, other, name)
    yield from _link_edits(before, after, {a.key: b.key for a, b in pairs if a and b})


def _pairs(
    before: Iterable[Span], after: Iterable[Span]
) -> list[tuple[Span, Span] | tuple[Span, None] | tuple[None, Span]]:
    """Each span with what became of it: the same, one at the same offsets, the most alike, none."""
    old, new = ({span.key: span for span in side} for side in (before, after))
    pairs: list[tuple[Span, Span]] = []

    def take(found: Iterable[tuple[Span, Span]]) -> None:
        for one, other in found:
            if one.key in old and other.key in new:
                pairs.append((old.pop(one.key), new.pop(other.key)))

    take([(old[key], new[key]) for key in old if key in new])
    take([(a, b) for a in old.values() for b in new.values() if a.key[:2] == b.key[:2]])
    take(match([*old.values()], [*new.values()], min_iou=1e-9))
    return [*pairs, *((span, None) for span in old.values()), *((None, s) for s in new.values())]


def _what(before: Span | None, after: Span | None) -> str:
    if before is None or after is None:
        return ADDED if before is None else REMOVED
    if before.key == after.key:
        return ""
    return MOVED if before.label == after.label else RELABELLED


def _link_edits(before: Annotation, after: Annotation, became: Mapping[Key, Key]) -> Iterator[Edit]:
    """Relations that only one version has, when spans that moved count as the same."""
    old, new = ({span.key: span for span in a.spans} for a in (before, after))
    kept = set()
    for name, head, tail in before.links():
        link = name, became.get(head), became.get(tail)
        kept.add(link)
        if link not in after.links():
            yield Edit(before.document, UNLINKED, old[head], None, name, old[tail])
    for name, head, tail in after.links() - kept:
        yield Edit(before.document, LINKED, None, new[head], name, new[tail])


def _shown(span: Span) -> str:
    """Offsets, label and surface, in one line."""
    surface = " ".join(span.text.split())
    if len(surface) > LINE:
        surface = f"{surface[: LINE // 2 - 1]}…{surface[-LINE // 2 :]}"
    return f'{span.start}–{span.end} {span.label} "{surface}"'


def _worded(value: Value | None) -> str:
    return "none" if not value else "yes" if value is True else value
