"""A document as prose: its body, words, sentences and n-grams, and which sentences commit anyone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TypeAlias

from toolkit.spans import Annotation, Document

__all__ = [
    "TRIGGER",
    "Ngram",
    "body",
    "is_rewritten",
    "marked_sentences",
    "ngrams",
    "sentences",
    "words",
]

Ngram: TypeAlias = tuple[str, ...]

REWRITTEN = "machine-rewritten"
"""What the genre of machine-rewritten pages begins with."""

TRIGGER = re.compile(
    r"\b(?:pledg\w+|promis\w+|commit(?:s|ted|ting|ments?)?|agree(?:s|d|ing|ments?)?|sign(?:s|ed|ing)?"
    r"|vow\w*|undertak\w+|offer\w*|will|shall|plans? to|intends? to|is (?:set|expected|due|to)"
    r"|are (?:set|expected|due|to)|deals?|pacts?|accords?|threaten\w*|guarantee\w*|obliged?)\b",
    re.IGNORECASE,
)
"""The public trigger list: words that announce a commitment more often than others."""


def is_rewritten(document: Document) -> bool:
    """Whether the document is of the machine-rewritten genre."""
    return document.genre.startswith(REWRITTEN)


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


def marked_sentences(
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
