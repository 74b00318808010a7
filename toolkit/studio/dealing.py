"""Which documents each of several annotators reads, dealt so that it can be said again at any time."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Mapping, Sequence

__all__ = ["deal"]


def deal(
    documents: Sequence[str],
    annotators: Mapping[str, float],
    readings: int,
    held: Mapping[str, Collection[str]] | None = None,
) -> dict[str, tuple[str, ...]]:
    """The documents of each annotator, so that each document gets so many different readers.

    `annotators` says how large a share each takes, 1 being as large as anybody's with 1. `held` is what
    they have been dealt before: nobody loses a document, and only missing readings are dealt. Readers
    are chosen by rendezvous hashing of document and annotator, and nobody who has taken a share is given
    more while others have room. Neither the order of documents nor that of annotators matters for who
    reads what; everybody's documents come in the order of `documents`.
    """
    wanted = frozenset(documents)
    hands = {name: set(wanted.intersection((held or {}).get(name, ()))) for name in annotators}
    readings = min(readings, len(annotators))
    missing = {d: readings - sum(d in hand for hand in hands.values()) for d in wanted}
    total = sum(readings - min(0, lacking) for lacking in missing.values())
    order = sorted((d for d in wanted if missing[d] > 0), key=lambda name: (_draw(name), name))
    table = _Table(annotators, hands, total, order)
    for document in order:
        table.give(document, missing[document])
    return {name: tuple(d for d in documents if d in hands[name]) for name in annotators}


class _Table:
    """The deal as it goes on: what everybody holds, has room for, and can still be given."""

    def __init__(
        self,
        annotators: Mapping[str, float],
        hands: Mapping[str, set[str]],
        total: int,
        order: Sequence[str],
    ) -> None:
        self.annotators, self.hands = annotators, hands
        whole = sum(annotators.values())
        self.room = {
            name: math.ceil(total * share / whole) - len(hands[name])
            for name, share in annotators.items()
        }
        self.left = {name: sum(d not in hands[name] for d in order) for name in annotators}

    def give(self, document: str, missing: int) -> None:
        """Give the document to so many who do not hold it."""
        free = [name for name in self.annotators if document not in self.hands[name]]
        for name in sorted(free, key=lambda name: self._turn(document, name))[:missing]:
            self.hands[name].add(document)
            self.room[name] -= 1
        for name in free:
            self.left[name] -= 1

    def _turn(self, document: str, name: str) -> tuple[float, float, str]:
        """First who else would not come to a full share, then who has room, then who is least over."""
        room, share = self.room[name], self.annotators[name]
        over = -1.0 if room >= self.left[name] else max(0, 1 - room) / share
        return over, -_score(document, name, share), name


def _score(document: str, annotator: str, share: float) -> float:
    """The annotator's draw for this document; a larger share draws the highest more often."""
    return -share / math.log(_draw(document, annotator))


def _draw(*names: str) -> float:
    """A number strictly between 0 and 1 that the names alone decide."""
    text = "\n".join(names).encode("utf-8", "surrogatepass")
    number = int.from_bytes(hashlib.sha256(text).digest()[:8]) >> 12
    return (number + 1) / (2**52 + 2)
