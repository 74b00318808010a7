"""How large the corpus and its parts are: splits, genres, slices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from toolkit.corpus import SPLITS, Corpus
from toolkit.spans import GOLD, Annotation, Document

__all__ = ["Part", "composition"]


@dataclass(frozen=True, slots=True)
class Part:
    """A set of documents: `kind` is `split`, `genre` or `slice`; `spans` are counts by label."""

    kind: str
    name: str
    events: int
    documents: int
    words: int
    relations: int
    spans: Mapping[str, int]

    def density(self, label: str) -> float:
        """Spans with this label per 1,000 words. Words are parted by white space."""
        return 1000 * self.spans.get(label, 0) / max(1, self.words)


def composition(corpus: Corpus) -> list[Part]:
    """The corpus as a whole and by split, slice and genre, the largest genres first."""
    gold = {annotation.document: annotation for annotation in corpus.annotations(GOLD)}
    documents = [d for d in corpus.documents if d.id in gold]
    splits, texts = corpus.splits(), corpus.texts
    parts = [_part("corpus", corpus.name, documents, gold)]
    for split in SPLITS:
        inside = [d for d in documents if splits.of(d.story) == split]
        parts.append(_part("split", split, inside, gold))
    for name, ids in corpus.slices().items():
        parts.append(_part("slice", name, [texts[i] for i in ids], gold))
    genres = Counter(d.genre for d in documents)
    largest_first = sorted(genres, key=lambda genre: (-genres[genre], genre))
    parts += [
        _part("genre", g, [d for d in documents if d.genre == g], gold) for g in largest_first
    ]
    return parts


def _part(
    kind: str, name: str, documents: Iterable[Document], gold: Mapping[str, Annotation]
) -> Part:
    documents = list(documents)
    readings = [gold[document.id] for document in documents]
    return Part(
        kind,
        name,
        len({document.story for document in documents}),
        len(documents),
        sum(len(document.text.split()) for document in documents),
        sum(len(reading.relations) for reading in readings),
        dict(Counter(span.label for reading in readings for span in reading.spans)),
    )
