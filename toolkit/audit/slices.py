"""The slices of test: sets of documents that get a score of their own.

A slice is a rule, so that anyone can make it again; `slices.yaml` of a corpus freezes what the rules
gave. Slices overlap. One that no document is in is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from toolkit.audit.content import PEOPLE
from toolkit.audit.prose import TRIGGER, is_rewritten, marked_sentences
from toolkit.corpus import Corpus
from toolkit.spans import GOLD, Annotation, Document, clean_twin

__all__ = ["NOISY", "slices", "twins"]

NOISY = 0.05
"""Least share of its words that makes page furniture noise."""

LEADERS = 0.6
"""Least share of its parties that makes a document one about leaders."""

HARD = 0.6
"""Least share of its sentences with a trigger word that promise nothing, in a hard document."""

LEAST_TRIGGERS = 5
"""Fewer such sentences say nothing about a document."""

_PROPER = re.compile(r"[^\W\d_]{3,}")


def slices(corpus: Corpus) -> dict[str, tuple[str, ...]]:
    """Document ids of test by slice, sorted: what `slices.yaml` has to say."""
    texts, splits = corpus.texts, corpus.splits()
    gold = {a.document: a.canonical(texts[a.document].text) for a in corpus.annotations(GOLD)}
    events = {event["event"]: event for event in corpus.registry()}
    documents = [d for d in corpus.documents if d.id in gold]
    test = [d for d in documents if splits.of(d.story) == "test"]
    seen = _Vocabulary(d.text for d in documents if splits.of(d.story) != "test")
    unseen = {
        name
        for name, event in events.items()
        if event.get("actors")
        and not _leaked_names(event, [gold[d.id] for d in test if d.story == name], seen)
    }
    found: dict[str, list[str]] = {}
    for document in test:
        event = events.get(document.story, {})
        for name in _of_event(event, document.story in unseen):
            found.setdefault(name, []).append(document.id)
        for name in _of_document(document, gold[document.id], event):
            found.setdefault(name, []).append(document.id)
    return {name: tuple(sorted(found[name])) for name in sorted(found)}


def twins(corpus: Corpus, noisy: Iterable[str]) -> list[tuple[Document, Annotation]]:
    """These pages of slice `noisy` without their furniture, each with its gold moved along.

    A system scored on page and twin says what furniture costs it. Provenance stays with the page.
    """
    texts = corpus.texts
    gold = {annotation.document: annotation for annotation in corpus.annotations(GOLD)}
    pairs = [clean_twin(texts[i], gold[i]) for i in noisy]
    return [(twin, replace(moved.canonical(twin.text), provenance={})) for twin, moved in pairs]


class _Vocabulary:
    """The words of train and validation: all of them, and those that occur in lower case."""

    def __init__(self, texts: Iterable[str]) -> None:
        words = {word for text in texts for word in _PROPER.findall(text)}
        self.all = {word.casefold() for word in words}
        self.common = {word for word in words if word == word.casefold()}


def _leaked_names(
    event: Mapping[str, Any], gold: Sequence[Annotation], seen: _Vocabulary
) -> list[str]:
    """The proper words in names of an event's actors and instruments that train or validation has.

    Every surface form counts: names and aliases of the registry, instruments and currencies, and
    what is marked as PARTY. Words that also occur in lower case ("ministry") are no names.
    """
    names = {span.text for a in gold for span in a.spans if span.label == "PARTY"}
    names |= set(event.get("instruments", ()))
    for actor in event.get("actors", ()):
        names |= {actor["name"], *actor["aliases"]}
    words = {word for name in names for word in _PROPER.findall(name) if word[0].isupper()}
    return sorted(
        word for word in words if word.casefold() in seen.all and word.casefold() not in seen.common
    )


def _of_event(event: Mapping[str, Any], unseen: bool) -> Iterator[str]:
    if unseen:
        yield "unseen"
    if event.get("real"):
        yield "real-event"
    elif event.get("states") in {"real", "invented"}:
        yield f"{event['states']}-state"


def _of_document(
    document: Document, annotation: Annotation, event: Mapping[str, Any]
) -> Iterator[str]:
    if is_rewritten(document):
        yield "machine-rewritten"
    furniture = [z for z in document.zones if z.zone == "boilerplate"]
    noise = sum(len(document.text[z.start : z.end].split()) for z in furniture)
    if noise >= NOISY * len(document.text.split()):
        yield "noisy"
    if _share_of_people(annotation, event) >= LEADERS:
        yield "leaders"
    found = marked_sentences([document], {document.id: annotation})
    triggered = [holds for text, holds, *_ in found if TRIGGER.search(text)]
    if len(triggered) >= LEAST_TRIGGERS and triggered.count(False) >= HARD * len(triggered):
        yield "hardneg"


def _share_of_people(annotation: Annotation, event: Mapping[str, Any]) -> float:
    people = {
        name.split()[-1]
        for actor in event.get("actors", ())
        if actor["kind"] in PEOPLE
        for name in (actor["name"], *actor["aliases"])
    }
    parties = [span.text for span in annotation.spans if span.label == "PARTY"]
    return sum(text.split()[-1] in people for text in parties) / max(1, len(parties))
