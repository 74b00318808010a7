"""Which documents each of several annotators reads, dealt so that it can be said again at any time."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Iterable, Mapping, Sequence

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
    dealt = {name: wanted.intersection((held or {}).get(name, ())) for name in annotators}
    hands: dict[str, set[str]] = {name: set(had) for name, had in dealt.items()}
    readings = min(readings, len(annotators))
    room = _room(hands, annotators, _total(wanted, hands, readings))
    for document in sorted(wanted, key=lambda name: (_draw(name), name)):
        missing = readings - sum(document in hand for hand in hands.values())
        for name in _readers(document, annotators, hands, room)[: max(0, missing)]:
            hands[name].add(document)
            room[name] -= 1
    return {name: tuple(d for d in documents if d in hands[name]) for name in annotators}


def _total(wanted: Iterable[str], hands: Mapping[str, Collection[str]], readings: int) -> int:
    """How many readings there are in the end; a document may have had more readers before."""
    return sum(max(readings, sum(d in hand for hand in hands.values())) for d in wanted)


def _room(
    hands: Mapping[str, Collection[str]], annotators: Mapping[str, float], total: int
) -> dict[str, int]:
    """How many more documents each takes until it has its share of all readings."""
    whole = sum(annotators.values())
    return {
        name: math.ceil(total * share / whole) - len(hands[name])
        for name, share in annotators.items()
    }


def _readers(
    document: str,
    annotators: Mapping[str, float],
    hands: Mapping[str, Collection[str]],
    room: Mapping[str, int],
) -> list[str]:
    """Who can still read the document: first those with room, by their draw; then who is least over."""
    free = [name for name in annotators if document not in hands[name]]
    return sorted(
        free,
        key=lambda name: (
            max(0, 1 - room[name]) / annotators[name],
            -_score(document, name, annotators[name]),
            name,
        ),
    )


def _score(document: str, annotator: str, share: float) -> float:
    """The annotator's draw for this document; a larger share draws the highest more often."""
    return -share / math.log(_draw(document, annotator))


def _draw(*names: str) -> float:
    """A number strictly between 0 and 1 that the names alone decide."""
    text = "\n".join(names).encode("utf-8", "surrogatepass")
    number = int.from_bytes(hashlib.sha256(text).digest()[:8]) >> 12
    return (number + 1) / (2**52 + 2)
