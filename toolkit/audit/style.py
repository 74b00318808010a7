"""Does it read like human news? Style, and how alike the documents are."""

from __future__ import annotations

import math
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from statistics import mean, median, pstdev

from toolkit.audit.figure import Figure
from toolkit.audit.prose import Ngram, body, ngrams, sentences, words
from toolkit.spans import Document

__all__ = ["similarity", "style"]


_STOCK = re.compile(
    r"\b(?:underscor\w*|highlight\w*|pivotal|bolster\w*|landscape|testament|resilien\w*|showcas\w*"
    r"|signal(?:s|ed|ing)|marking|milestone|robust|foster\w*|navigat\w*|strategic(?:ally)?"
    r"|shared (?:determination|commitment|goal|vision)|significant step|key step|amid|deepen\w*"
    r"|delicate balanc\w*)\b",
    re.IGNORECASE,
)
_TAIL = re.compile(r", (?:\w+ly )?\w{3,}ing\b")


def style(documents: Sequence[Document]) -> Iterator[Figure]:
    """Sentence length, variety and stock phrases of human genres, body text alone."""
    bodies = [body(document) for document in documents]
    lengths = [[len(re.findall(r"\w+", t[a:b])) for a, b in sentences(t)] for t in bodies]
    every = [length for found in lengths for length in found if length]
    if not every:
        return
    count = sum(len(text.split()) for text in bodies)
    group = "style"
    yield Figure(group, "sentence length, mean", mean(every), 18, 25, "human genres, body text")
    yield Figure(group, "sentence length, sd", pstdev(every), 9.5)
    cvs = [pstdev(found) / mean(found) for found in lengths if len(found) > 3 and mean(found)]
    yield Figure(group, "sentence length, CV per document, median", median(cvs), 0.40)
    yield Figure(group, "MATTR-100, median", median(map(_mattr, bodies)), 0.69, 0.78)
    for name, pattern, high in (
        ("stock summit prose per 1,000 words", _STOCK, 4),
        (", …ing tails per 1,000 words", _TAIL, 7),
        ("em dashes per 1,000 words", re.compile("—"), 2),
    ):
        found = sum(len(pattern.findall(text)) for text in bodies)
        yield Figure(group, name, 1000 * found / count, None, high)
    worst = max(1000 * len(_STOCK.findall(t)) / max(1, len(t.split())) for t in bodies)
    yield Figure(group, "stock summit prose, worst document", worst, None, 10)
    yield Figure(group, "sentence openers repeated", _repeated_openers(bodies), None, 0.30)


def _mattr(text: str, window: int = 100) -> float:
    tokens = [token for token in words(text) if token[0].isalnum()]
    if len(tokens) <= window:
        return len(set(tokens)) / max(1, len(tokens))
    ratios = [len(set(tokens[i : i + window])) / window for i in range(len(tokens) - window + 1)]
    return mean(ratios)


def _repeated_openers(bodies: Iterable[str]) -> float:
    """Share of sentences whose first three words open another sentence too."""
    openers = [tuple(words(t[a:b])[:3]) for t in bodies for a, b in sentences(t)]
    counts = Counter(openers)
    return sum(n for n in counts.values() if n > 1) / max(1, len(openers))


# ── similarity ────────────────────────────────────────────────────────────────────────────────────


def similarity(documents: Sequence[Document]) -> Iterator[Figure]:
    """How alike documents are, within an event and across events."""
    tokens = {document.id: words(body(document)) for document in documents}
    fives = {name: frozenset(ngrams(found, 5)) for name, found in tokens.items()}
    same: list[float] = [0.0]
    cross: list[float] = [0.0]
    for one, other in combinations(documents, 2):
        target = same if one.story == other.story else cross
        target.append(_jaccard(fives[one.id], fives[other.id]))
    group = "similarity"
    yield Figure(group, "5-gram Jaccard within an event, largest", max(same), None, 0.05)
    yield Figure(group, "5-gram Jaccard across events, largest", max(cross), None, 0.015)
    one_each = list({document.story: document for document in documents}.values())
    pooled = [token for document in one_each for token in tokens[document.id]]
    for n, low in ((2, 0.55), (3, 0.85)):
        found = ngrams(pooled[:50_000], n)
        note = f"{len(found)} n-grams; the band is for 50,000"
        distinct = len(set(found)) / max(1, len(found))
        yield Figure(group, f"distinct-{n}, one document per event", distinct, low, None, note)
    raw = "\n".join(body(document) for document in one_each).encode()[:60_000]
    ratio = len(raw) / max(1, len(zlib.compress(raw, 9)))
    yield Figure(group, "gzip ratio, one document per event", ratio, None, 2.75)
    sample = [tokens[document.id] for document in one_each[:60]]
    yield Figure(group, "self-BLEU-4, one document per event", _self_bleu(sample), None, 0.20)


def _jaccard(a: frozenset[Ngram], b: frozenset[Ngram]) -> float:
    shared = len(a & b)
    return shared / (len(a) + len(b) - shared) if shared else 0.0


def _self_bleu(texts: Sequence[Sequence[str]]) -> float | None:
    """Mean BLEU-4 of each text against all others, clipped as in Papineni et al. 2002."""
    if len(texts) < 2:
        return None
    counts = [[Counter(ngrams(text, n)) for text in texts] for n in range(1, 5)]
    best = []
    for per_order in counts:
        first: Counter[Ngram] = Counter()
        second: Counter[Ngram] = Counter()
        for counter in per_order:
            for gram, times in counter.items():
                if times > first[gram]:
                    first[gram], second[gram] = times, first[gram]
                elif times > second[gram]:
                    second[gram] = times
        best.append((first, second))
    return mean(_bleu(index, counts, best) for index in range(len(texts)))


def _bleu(
    index: int,
    counts: Sequence[Sequence[Counter[Ngram]]],
    best: Sequence[tuple[Counter[Ngram], Counter[Ngram]]],
) -> float:
    total = 0.0
    for per_order, (first, second) in zip(counts, best, strict=True):
        own = per_order[index]
        # The largest count among the others is the second largest where this text holds the largest.
        clipped = sum(
            min(times, first[gram] if first[gram] > times else second[gram])
            for gram, times in own.items()
        )
        if not clipped:
            return 0.0
        total += math.log(clipped / sum(own.values()))
    return math.exp(total / 4)
