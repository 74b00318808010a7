"""What of test can be known from train."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from toolkit.audit.figure import Figure
from toolkit.audit.prose import body, ngrams, words
from toolkit.spans import Annotation, Document

__all__ = ["leakage"]


def leakage(
    sides: Mapping[str, Sequence[Document]], gold: Mapping[str, Annotation]
) -> Iterator[Figure]:
    """Runs of words, and pairs of amount and deadline, that train and test share."""
    train = [words(body(document)) for document in sides.get("train", ())]
    test = [words(body(document)) for document in sides.get("test", ())]
    for n, high in ((8, 0.01), (13, 0.0)):
        seen = {gram for tokens in train for gram in ngrams(tokens, n)}
        covered = total = 0
        for tokens in test:
            inside = {i + k for i, g in enumerate(ngrams(tokens, n)) if g in seen for k in range(n)}
            covered, total = covered + len(inside), total + len(tokens)
        share = covered / max(1, total)
        yield Figure("leakage", f"tokens of test in {n}-grams of train", share, None, high)
    triples = [_triples(sides.get(side, ()), gold) for side in ("train", "test")]
    shared = triples[0] & triples[1]
    note = "; ".join(" + ".join(triple) for triple in sorted(shared)[:3])
    name = "(amount, deadline) pairs in train and test"
    yield Figure("leakage", name, len(shared), None, 0, note)


def _triples(documents: Iterable[Document], gold: Mapping[str, Annotation]) -> set[tuple[str, str]]:
    """The amount and deadline of each commitment that has both."""
    found = set()
    for document in documents:
        annotation = gold[document.id]
        ends: dict[tuple[str, str], list[str]] = defaultdict(list)
        for relation in annotation.relations:
            ends[relation.head, relation.type].append(annotation.span(relation.tail).text.lower())
        for head, kind in list(ends):
            if kind == "amount":
                deadlines = ends.get((head, "deadline"), [])
                found |= {(a, d) for a in ends[head, kind] for d in deadlines}
    return found
