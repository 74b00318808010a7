"""How each label is drawn: its colour's class, and whether as a band or as a chip."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from toolkit.report.colours import INK, NEUTRAL, PAPER, Tone, tone
from toolkit.schema import Schema
from toolkit.spans import Annotation, Span

__all__ = ["Styles"]


@dataclass(frozen=True, slots=True)
class Styles:
    """How each label is drawn. `blocks` are the layers drawn as bands around other spans."""

    schema: Schema
    blocks: frozenset[str]

    @classmethod
    def of(cls, schema: Schema, annotations: Iterable[Annotation]) -> Styles:
        """Bands for the layers that hold others in these annotations, chips for the rest."""
        return cls(schema, _holding(schema, annotations))

    @property
    def papers(self) -> Mapping[str, str]:
        """The page's background in light and dark."""
        return PAPER

    @property
    def inks(self) -> Mapping[str, str]:
        """The page's text colour in light and dark."""
        return INK

    def tones(self, mode: str) -> list[tuple[str, Tone]]:
        """Class and tone of every label, and of labels the schema does not have."""
        known = [(self.css(label.name), tone(label.colour, mode)) for label in self.schema.labels]
        return [*known, ("label-other", tone(NEUTRAL, mode))]

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
