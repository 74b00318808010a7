"""How far one gets without reading: baselines that have to stay weak."""

from __future__ import annotations

import math
import re
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from statistics import mean

from toolkit.audit.figure import Figure
from toolkit.audit.prose import TRIGGER, body, marked_sentences, words
from toolkit.spans import Annotation, Document

__all__ = ["baselines"]


_UNITS = (
    r"(?:percent|per cent|pct|pc|%|bn|billion|million|trillion|m|tonnes?|tons?|km|GW|MW|barrels?)"
)
_AMOUNT = re.compile(
    r"(?:(?:about|around|roughly|nearly|almost|some|over|more than|up to|at least) )?"
    rf"(?:[$€£¥]|US\$ ?)?\d[\d,.]*\d?(?:[- ]?{_UNITS})(?: (?:dollars|euros))?"
    r"|[$€£¥]\d[\d,.]*\d?"
)
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|June?|July?|Aug|Sept?|Oct|Nov|Dec)[a-z]*\.?"
_DATE = re.compile(
    rf"\b(?:(?:\d{{1,2}} )?{_MONTH}(?: \d{{1,2}})?(?:,? \d{{4}})?|(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day"
    r"|(?:19|20)\d\d|(?:next|last|this) (?:year|month|week)|\d+ (?:years?|months?|days?|weeks?))\b"
)


def baselines(
    sides: Mapping[str, Sequence[Document]],
    gold: Mapping[str, Annotation],
    slices: Mapping[str, Sequence[str]],
) -> Iterator[Figure]:
    """Patterns, names of train, trigger words, position and the likest document, with their limits."""
    train, test = sides.get("train", ()), sides.get("test", ())
    if not test or not train:
        return
    for label, pattern, high in (("AMOUNT", _AMOUNT, 0.80), ("DATE", _DATE, 0.75)):
        f1 = _f1_of(test, gold, label, pattern)
        yield _figure(f"regular expressions find {label}, exact F1", f1, high)
    yield from _gazetteer(train, test, gold, set(slices.get("unseen", ())))
    found = list(marked_sentences(test, gold))
    hits = Counter((bool(TRIGGER.search(text)), holds) for text, holds, *_ in found)
    tp, fp, fn = hits[True, True], hits[True, False], hits[False, True]
    f1 = 2 * tp / max(1, 2 * tp + fp + fn)
    yield _figure("trigger words find sentences with a commitment, F1", f1, 0.70)
    yield _figure("position and genre alone, AUC", _position_auc(train, test, gold), 0.65)
    f1 = _copied_f1(train, test, gold)
    yield _figure("labels of the likest document of train, COMMITMENT F1", f1, 0.25)
    core = [document for document in test if document.id not in slices.get("unseen", ())]
    yield _figure("words tell train from test, names masked, AUC", split_auc(train, core), 0.60)


def _figure(name: str, value: float | None, high: float) -> Figure:
    return Figure("baseline", name, value, None, high)


def _gazetteer(
    train: Sequence[Document],
    test: Sequence[Document],
    gold: Mapping[str, Annotation],
    unseen: Set[str],
) -> Iterator[Figure]:
    names = {s.text for d in train for s in gold[d.id].spans if s.label == "PARTY"}
    longest_first = sorted(names, key=lambda name: (-len(name), name))
    pattern = re.compile(r"\b(?:" + "|".join(map(re.escape, longest_first)) + r")\b")
    for title, high, wanted in (("", 0.60, False), (", slice unseen", 0.10, True)):
        chosen = [document for document in test if (document.id in unseen) == wanted]
        if chosen:
            f1 = _f1_of(chosen, gold, "PARTY", pattern)
            yield _figure(f"names of train find PARTY{title}, exact F1", f1, high)


def _f1_of(
    documents: Sequence[Document],
    gold: Mapping[str, Annotation],
    label: str,
    pattern: re.Pattern[str],
) -> float:
    tp = fp = fn = 0
    for document in documents:
        wanted = {(s.start, s.end) for s in gold[document.id].spans if s.label == label}
        found = {m.span() for m in pattern.finditer(document.text)}
        tp, fp, fn = tp + len(wanted & found), fp + len(found - wanted), fn + len(wanted - found)
    return 2 * tp / max(1, 2 * tp + fp + fn)


def _position_auc(
    train: Sequence[Document], test: Sequence[Document], gold: Mapping[str, Annotation]
) -> float | None:
    """How well place in the document and genre, without a word, tell sentences with a commitment."""
    rates: dict[tuple[str, int], list[bool]] = defaultdict(list)
    for _, holds, document, number in marked_sentences(train, gold):
        rates[document.genre, min(number, 9)].append(holds)
        rates["", min(number, 9)].append(holds)
    scored: dict[bool, list[float]] = {True: [], False: []}
    for _, holds, document, number in marked_sentences(test, gold):
        known = rates.get((document.genre, min(number, 9))) or rates["", min(number, 9)] or [False]
        scored[holds].append(mean(known))
    return _auc(scored[True], scored[False])


def _auc(positive: Sequence[float], negative: Sequence[float]) -> float | None:
    """The chance that a positive case scores above a negative one, ties counted half."""
    if not positive or not negative:
        return None
    ordered = sorted(negative)
    below = sum(bisect_left(ordered, value) + bisect_right(ordered, value) for value in positive)
    return below / 2 / len(positive) / len(negative)


# ── bags of words ───────────────────────────────────────────────────────────────────────────────

K1, B = 1.2, 0.75
"""The usual constants of BM25 (Robertson & Zaragoza 2009)."""


def _copied_f1(
    train: Sequence[Document], test: Sequence[Document], gold: Mapping[str, Annotation]
) -> float:
    """COMMITMENT F1 of marking what is marked in the train document that BM25 finds the likest."""
    bags = [Counter(words(body(document))) for document in train]
    average = sum(map(Counter.total, bags)) / len(bags)
    frequency = Counter(word for bag in bags for word in bag)
    rarity = {w: math.log(1 + (len(bags) - n + 0.5) / (n + 0.5)) for w, n in frequency.items()}
    tp = fp = fn = 0
    for document in test:
        query = set(words(body(document)))

        def likeness(bag: Counter[str], query: Set[str] = query) -> float:
            norm = K1 * (1 - B + B * bag.total() / average)
            return sum(rarity[w] * bag[w] * (K1 + 1) / (bag[w] + norm) for w in query & bag.keys())

        nearest = train[max(range(len(bags)), key=lambda number: likeness(bags[number]))]
        strings = {s.text for s in gold[nearest.id].spans if s.label == "COMMITMENT"}
        pattern = re.compile("|".join(map(re.escape, sorted(strings))) or r"(?!)")
        wanted = {(s.start, s.end) for s in gold[document.id].spans if s.label == "COMMITMENT"}
        found = {m.span() for m in pattern.finditer(document.text)}
        tp, fp, fn = tp + len(wanted & found), fp + len(found - wanted), fn + len(wanted - found)
    return 2 * tp / max(1, 2 * tp + fp + fn)


FOLDS = 5


def split_auc(train: Sequence[Document], test: Sequence[Document]) -> float | None:
    """How well naive Bayes tells train from test by words in lower case alone.

    Cross-validated over whole events, so that a document's siblings do not give it away.
    """
    cases = [(document, side) for side, found in enumerate((train, test)) for document in found]
    bags = {document.id: _lower(document) for document, _ in cases}
    events = sorted({(side, document.story) for document, side in cases})
    fold = {event: number % FOLDS for number, event in enumerate(events)}
    scores: tuple[list[float], list[float]] = ([], [])
    for number in range(FOLDS):
        learnt = (Counter[str](), Counter[str]())
        for document, side in cases:
            if fold[side, document.story] != number:
                learnt[side].update(bags[document.id])
        known = learnt[0].keys() | learnt[1].keys()
        totals = [counter.total() + len(known) for counter in learnt]
        for document, side in cases:
            if fold[side, document.story] == number:
                seen = [word for word in bags[document.id] if word in known]
                odds = [
                    math.log((learnt[1][w] + 1) / totals[1] * totals[0] / (learnt[0][w] + 1))
                    for w in seen
                ]
                scores[side].append(mean(odds) if odds else 0.0)
    return _auc(scores[1], scores[0])


def _lower(document: Document) -> Set[str]:
    """Words that stand in lower case somewhere in the body: names are masked."""
    return set(re.findall(r"\b[a-zà-ÿ]{2,}\b", body(document)))
