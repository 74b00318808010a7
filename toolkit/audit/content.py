"""What is said in it: densities of labels, how hard it is, which numbers and names."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from statistics import mean

from toolkit.audit.figure import Figure
from toolkit.audit.prose import TRIGGER, is_rewritten, marked_sentences
from toolkit.corpus import Corpus
from toolkit.spans import Annotation, Document

__all__ = ["PEOPLE", "densities", "hardness", "names", "numbers"]


DENSITIES = {"COMMITMENT": (12, 20), "PARTY": (50, 70), "AMOUNT": (7, 18), "DATE": (7, 25)}
"""Per 1,000 words, from real summit pages and broadcast news."""


def densities(
    documents: Sequence[Document], gold: Mapping[str, Annotation], corpus: Corpus
) -> Iterator[Figure]:
    """Spans per 1,000 words by label, the share of rewritten pages, the number of sources."""
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


def hardness(documents: Sequence[Document], gold: Mapping[str, Annotation]) -> Iterator[Figure]:
    """How often words of committing mislead, and how attributes are spread."""
    found = list(marked_sentences(documents, gold))
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


def numbers(documents: Sequence[Document], gold: Mapping[str, Annotation]) -> Iterator[Figure]:
    """How round the amounts are."""
    amounts = [s.text for d in documents for s in gold[d.id].spans if s.label == "AMOUNT"]
    digits = [_significant(text) for text in amounts if re.search(r"\d", text)]
    if digits:
        one, three = mean(n == 1 for n in digits), mean(n >= 3 for n in digits)
        yield Figure("numbers", "amounts with one significant digit", one, None, 0.45)
        yield Figure("numbers", "amounts with three or more", three, 0.25)


def _significant(text: str) -> int:
    found = re.search(r"\d[\d,]*(?:\.\d+)?", text)
    number = found.group().replace(",", "") if found else "0"
    return len(number.replace(".", "").strip("0")) or 1


DEFAULT_NAMES = frozenset(
    [
        "Elara",
        "Voss",
        "Thorne",
        "Vasquez",
        "Okafor",
        "Lyra",
        "Kaelen",
        "Aldric",
        "Mirelle",
        "Zephyr",
        "Calloway",
        "Blackwood",
    ]
)
"""Names that language models give to every second person they invent."""

PEOPLE = frozenset({"office-holder", "person"})
"""The kinds of actors in a registry that are people."""


def names(corpus: Corpus) -> Iterator[Figure]:
    """In how many events names of invented people come back. Real events are left out."""
    given: dict[str, set[str]] = defaultdict(set)
    family: dict[str, set[str]] = defaultdict(set)
    for event in corpus.registry():
        for actor in event.get("actors", ()) if not event.get("real") else ():
            words = actor["name"].split()
            if actor["kind"] in PEOPLE and len(words) > 1:
                given[words[0]].add(event["event"])
                family[words[-1]].add(event["event"])
    group = "names"
    for what, holders in (("first", given), ("last", family)):
        often = sorted(name for name, events in holders.items() if len(events) > 2)
        title = f"{what} words of a person's name in more than two events"
        yield Figure(group, title, len(often), None, 0, ", ".join(often))
    stock = sorted(DEFAULT_NAMES & (given.keys() | family.keys()))
    title = "names that language models give by default"
    yield Figure(group, title, len(stock), None, 0, ", ".join(stock))
