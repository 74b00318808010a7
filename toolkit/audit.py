"""Is a corpus fit to be trusted? Each figure beside its band.

Style bands come from 954 human news articles of 2017–2019 (CASIE); densities from real summit pages
and broadcast news; leakage, caps and artefact baselines from what makes written benchmarks too easy.
A figure outside its band is named, not hidden: it has to be mended or explained. Body text alone is
measured; machine-rewritten pages are exempt from the style bands and looked at by themselves.
"""

from __future__ import annotations

import math
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from statistics import mean, median, pstdev
from typing import TypeAlias

from toolkit.corpus import Corpus
from toolkit.spans import GOLD, Annotation, Document

__all__ = ["Figure", "audit", "sentences", "words"]

Ngram: TypeAlias = tuple[str, ...]

REWRITTEN = "machine-rewritten"
"""What the genre of machine-rewritten pages begins with."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value beside its band. `inside` is None where there is no band, or no data."""

    group: str
    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    note: str = ""

    @property
    def inside(self) -> bool | None:
        """Whether the value lies in its band."""
        if self.value is None or (self.low is None and self.high is None):
            return None
        above = self.low is None or self.value >= self.low
        return above and (self.high is None or self.value <= self.high)

    @property
    def band(self) -> str:
        """The band in words."""
        if self.low is None and self.high is None:
            return ""
        if self.low is None:
            return f"≤ {self.high:g}"
        return f"≥ {self.low:g}" if self.high is None else f"{self.low:g}–{self.high:g}"


def audit(corpus: Corpus) -> list[Figure]:
    """Every figure of a corpus with gold and splits, in groups."""
    gold = {annotation.document: annotation for annotation in corpus.annotations(GOLD)}
    documents = [document for document in corpus.documents if document.id in gold]
    splits = corpus.splits()
    sides: dict[str, list[Document]] = defaultdict(list)
    for document in documents:
        sides[splits.of(document.story) or "none"].append(document)
    written = [document for document in documents if not is_rewritten(document)]
    return [
        *_style(written),
        *_similarity(documents),
        *_densities(documents, gold, corpus),
        *_leakage(sides, gold),
        *_hardness(documents, gold),
        *_numbers(documents, gold),
        *_baselines(sides, gold),
    ]


def is_rewritten(document: Document) -> bool:
    """Whether the document is of the machine-rewritten genre."""
    return document.genre.startswith(REWRITTEN)


# ── text ────────────────────────────────────────────────────────────────────────────────────────

_WORD = re.compile(r"\w+(?:['’]\w+)?|[^\w\s]")
_END = re.compile(r"(?<=[.!?])[\"'”’)]*\s+(?=[\"'“‘(]*[A-Z0-9])|\n+")
_ABBREVIATED = re.compile(
    r"(?:\b(?:[A-Z]|Mr|Mrs|Ms|Dr|St|Gen|Sen|Gov|Prof|Jan|Feb|Mar|Apr|Aug|Sept|Sep|Oct|Nov|Dec|No|vs"
    r"|Inc|Ltd|Co|Corp|p\.m|a\.m|U\.S|U\.N|U\.K))\.$"
)


def body(document: Document) -> str:
    """The body of a page: its text without headlines and furniture; all of it where no zones are."""
    if not document.zones:
        return document.text
    return "\n".join(document.text[z.start : z.end] for z in document.zones if z.zone == "body")


def words(text: str) -> list[str]:
    """Lower-cased words, numbers and punctuation."""
    return [found.lower() for found in _WORD.findall(text)]


def sentences(text: str) -> list[tuple[int, int]]:
    """Start and end of each sentence; a line is never longer than one paragraph."""
    cuts = [0]
    for found in _END.finditer(text):
        if "\n" in found.group() or not _ABBREVIATED.search(text[cuts[-1] : found.start()]):
            cuts.append(found.end())
    spans = []
    for start, end in pairwise([*cuts, len(text)]):
        stripped = text[start:end].rstrip()
        if stripped.strip():
            spans.append((start + len(stripped) - len(stripped.lstrip()), start + len(stripped)))
    return spans


def ngrams(tokens: Sequence[str], n: int) -> list[Ngram]:
    """Runs of n tokens."""
    return [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]


# ── style ───────────────────────────────────────────────────────────────────────────────────────

_STOCK = re.compile(
    r"\b(?:underscor\w*|highlight\w*|pivotal|bolster\w*|landscape|testament|resilien\w*|showcas\w*"
    r"|signal(?:s|ed|ing)|marking|milestone|robust|foster\w*|navigat\w*|strategic(?:ally)?"
    r"|shared (?:determination|commitment|goal|vision)|significant step|key step|amid|deepen\w*"
    r"|delicate balanc\w*)\b",
    re.IGNORECASE,
)
_TAIL = re.compile(r", (?:\w+ly )?\w{3,}ing\b")


def _style(documents: Sequence[Document]) -> Iterator[Figure]:
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


# ── similarity ──────────────────────────────────────────────────────────────────────────────────


def _similarity(documents: Sequence[Document]) -> Iterator[Figure]:
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


# ── densities ───────────────────────────────────────────────────────────────────────────────────

DENSITIES = {"COMMITMENT": (12, 20), "PARTY": (50, 70), "AMOUNT": (7, 18), "DATE": (7, 25)}
"""Per 1,000 words, from real summit pages and broadcast news."""


def _densities(
    documents: Sequence[Document], gold: Mapping[str, Annotation], corpus: Corpus
) -> Iterator[Figure]:
    count = sum(len(document.text.split()) for document in documents)
    labels = Counter(span.label for d in documents for span in gold[d.id].spans)
    for label in corpus.schema.labels:
        low, high = DENSITIES.get(label.name, (None, None))
        density = 1000 * labels[label.name] / max(1, count)
        yield Figure("density", f"{label.name} per 1,000 words", density, low, high)
    rewritten = sum(map(is_rewritten, documents)) / max(1, len(documents))
    yield Figure("density", "machine-rewritten share of documents", rewritten, 0.10, 0.15)
    sources = len({document.source for document in documents})
    yield Figure("density", "source profiles", sources, 40)


# ── leakage ─────────────────────────────────────────────────────────────────────────────────────


def _leakage(
    sides: Mapping[str, Sequence[Document]], gold: Mapping[str, Annotation]
) -> Iterator[Figure]:
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


# ── hardness ────────────────────────────────────────────────────────────────────────────────────

TRIGGER = re.compile(
    r"\b(?:pledg\w+|promis\w+|commit(?:s|ted|ting|ments?)?|agree(?:s|d|ing|ments?)?|sign(?:s|ed|ing)?"
    r"|vow\w*|undertak\w+|offer\w*|will|shall|plans? to|intends? to|is (?:set|expected|due|to)"
    r"|are (?:set|expected|due|to)|deals?|pacts?|accords?|threaten\w*|guarantee\w*|obliged?)\b",
    re.IGNORECASE,
)
"""The public trigger list: words that announce a commitment more often than others."""


def _marked_sentences(
    documents: Iterable[Document], gold: Mapping[str, Annotation]
) -> Iterator[tuple[str, bool, Document, int]]:
    """Each sentence of headline and body: text, whether it holds a commitment, document, number."""
    for document in documents:
        commitments = [s for s in gold[document.id].spans if s.label == "COMMITMENT"]
        aside = [z for z in document.zones if z.zone == "boilerplate"]
        for number, (start, end) in enumerate(sentences(document.text)):
            if not any(z.start <= start < z.end for z in aside):
                holds = any(s.start < end and start < s.end for s in commitments)
                yield document.text[start:end], holds, document, number


def _hardness(documents: Sequence[Document], gold: Mapping[str, Annotation]) -> Iterator[Figure]:
    found = list(_marked_sentences(documents, gold))
    triggered = [holds for text, holds, *_ in found if TRIGGER.search(text)]
    empty = 1 - mean(triggered) if triggered else None
    yield Figure("hardness", "sentences with a trigger word and no commitment", empty, 0.35)
    spans = [s for d in documents for s in gold[d.id].spans if s.label == "COMMITMENT"]
    silent = mean(not TRIGGER.search(s.text) for s in spans) if spans else None
    yield Figure("hardness", "commitments without a trigger word", silent, 0.25)
    quiet = 1 - mean(holds for _, holds, *_ in found) if found else None
    yield Figure("hardness", "sentences without a commitment", quiet, 0.5)
    values = Counter(
        f"{name} {value}"
        for s in spans
        for name, value in s.attributes.items()
        if name != "commitment_id"
    )
    for name, low, high in _DISTRIBUTION:
        yield Figure("hardness", name, values[name] / max(1, len(spans)), low, high)


_DISTRIBUTION = (
    ("kind pledge", 0.27, 0.33),
    ("kind agreement", 0.24, 0.30),
    ("kind plan", 0.30, 0.36),
    ("kind obligation", 0.07, 0.13),
    ("status asserted", 0.65, 0.71),
    ("status reported", 0.11, 0.17),
    ("status conditional", 0.08, 0.14),
    ("status denied", 0.04, 0.10),
    ("polarity -", 0.07, None),
    ("specificity vague", 0.20, 0.30),
)


def _numbers(documents: Sequence[Document], gold: Mapping[str, Annotation]) -> Iterator[Figure]:
    amounts = [s.text for d in documents for s in gold[d.id].spans if s.label == "AMOUNT"]
    digits = [_significant(text) for text in amounts if re.search(r"\d", text)]
    if digits:
        one, three = mean(n == 1 for n in digits), mean(n >= 3 for n in digits)
        yield Figure("numbers", "amounts with one significant digit", one, None, 0.45)
        yield Figure("numbers", "amounts with three or more", three, 0.25)
    for name, events in _surnames(documents, gold):
        yield Figure("numbers", f"events in which the person {name!r} acts", events, None, 2)


def _significant(text: str) -> int:
    found = re.search(r"\d[\d,]*(?:\.\d+)?", text)
    number = found.group().replace(",", "") if found else "0"
    return len(number.replace(".", "").strip("0")) or 1


def _surnames(
    documents: Sequence[Document], gold: Mapping[str, Annotation]
) -> list[tuple[str, int]]:
    """The surname that occurs in most invented events, with how many."""
    holders: dict[str, set[str]] = defaultdict(set)
    title = re.compile(r"(?:President|Minister|Chancellor|Secretary|Premier|Commander) $")
    for document in documents:
        for span in gold[document.id].spans:
            if span.label == "PARTY" and title.search(document.text[: span.start][-12:]):
                holders[span.text.split()[-1]].add(document.story)
    if not holders:
        return []
    name = max(holders, key=lambda name: (len(holders[name]), name))
    return [(name, len(holders[name]))]


# ── artefact baselines ──────────────────────────────────────────────────────────────────────────

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


def _baselines(
    sides: Mapping[str, Sequence[Document]], gold: Mapping[str, Annotation]
) -> Iterator[Figure]:
    test = sides.get("test", ())
    if not test or not sides.get("train"):
        return
    for label, pattern, high in (("AMOUNT", _AMOUNT, 0.80), ("DATE", _DATE, 0.75)):
        f1 = _f1_of(test, gold, label, pattern)
        yield Figure("baseline", f"regular expressions find {label}, exact F1", f1, None, high)
    names = {s.text for d in sides["train"] for s in gold[d.id].spans if s.label == "PARTY"}
    pattern = re.compile(
        r"\b(?:" + "|".join(map(re.escape, sorted(names, key=len, reverse=True))) + r")\b"
    )
    f1 = _f1_of(test, gold, "PARTY", pattern)
    yield Figure("baseline", "names of train find PARTY, exact F1", f1, None, 0.60)
    found = list(_marked_sentences(test, gold))
    hits = Counter((bool(TRIGGER.search(text)), holds) for text, holds, *_ in found)
    tp, fp, fn = hits[True, True], hits[True, False], hits[False, True]
    f1 = 2 * tp / max(1, 2 * tp + fp + fn)
    yield Figure("baseline", "trigger words find sentences with a commitment, F1", f1, None, 0.70)
    yield Figure(
        "baseline", "position and genre alone, AUC", _position_auc(sides, gold), None, 0.65
    )


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
    sides: Mapping[str, Sequence[Document]], gold: Mapping[str, Annotation]
) -> float | None:
    """How well place in the document and genre, without a word, tell sentences with a commitment."""
    rates: dict[tuple[str, int], list[bool]] = defaultdict(list)
    for _, holds, document, number in _marked_sentences(sides["train"], gold):
        rates[document.genre, min(number, 9)].append(holds)
        rates["", min(number, 9)].append(holds)
    scored: dict[bool, list[float]] = {True: [], False: []}
    for _, holds, document, number in _marked_sentences(sides["test"], gold):
        known = rates.get((document.genre, min(number, 9))) or rates["", min(number, 9)] or [False]
        scored[holds].append(mean(known))
    pairs = [(a > b) + (a == b) / 2 for a in scored[True] for b in scored[False]]
    return mean(pairs) if pairs else None
