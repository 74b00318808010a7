"""A text with marks over it, as paragraphs of nested nodes that lose no character."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

__all__ = ["Mark", "Node", "Paragraph", "paragraphs"]

_GAP = re.compile(r"(?:\r?\n){2,}")


@dataclass(frozen=True, slots=True)
class Mark:
    """Something drawn over a stretch of text: a zone or a span."""

    start: int
    end: int
    css: str
    tag: str = ""
    note: str = ""
    title: str = ""


@dataclass(slots=True)
class Node:
    """A stretch of text: plain, or a mark around further nodes. One mark may come as several."""

    end: int
    text: str = ""
    mark: Mark | None = None
    children: list[Node] = field(default_factory=list)

    @property
    def is_last(self) -> bool:
        """Whether the mark ends here, so that its tag is due."""
        return self.mark is not None and self.end == self.mark.end


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Marked-up text up to a blank line, and the line ends that follow."""

    nodes: list[Node]
    gap: str
    is_headline: bool


def paragraphs(text: str, marks: Sequence[Mark]) -> Iterator[Paragraph]:
    """The text cut at blank lines; joined together, its pieces are the text again."""
    start = 0
    for gap in [*_GAP.finditer(text), None]:
        end = gap.start() if gap else len(text)
        nodes = _nest(text, start, end, marks)
        headline = bool(nodes) and all(n.mark and n.mark.css == "headline" for n in nodes)
        yield Paragraph(nodes, gap.group() if gap else "", headline)
        start = gap.end() if gap else end


def _nest(text: str, start: int, end: int, marks: Sequence[Mark]) -> list[Node]:
    """The stretch as a tree of marks. One that crosses an earlier one is cut where they cross."""
    here = [mark for mark in marks if mark.start < end and start < mark.end]
    edges = {edge for mark in here for edge in (mark.start, mark.end) if start < edge < end}
    root = Node(end)
    opened = [root]
    for first, last in pairwise(sorted({start, end, *edges})):
        cover = [mark for mark in here if mark.start <= first and last <= mark.end]
        kept = 0
        while kept < min(len(cover), len(opened) - 1) and opened[kept + 1].mark is cover[kept]:
            kept += 1
        del opened[kept + 1 :]
        for mark in cover[kept:]:
            node = Node(last, mark=mark)
            opened[-1].children.append(node)
            opened.append(node)
        for node in opened:
            node.end = last
        opened[-1].children.append(Node(last, text[first:last]))
    return root.children
