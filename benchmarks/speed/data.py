"""The input of the speed figures: documents of 2,000 characters with 15 spans, the same every time."""

from __future__ import annotations

import random
from collections.abc import Iterator

from toolkit.spans import Annotation, Document, Relation, Span

LENGTH, SPANS, RELATIONS = 2000, 15, 4
LABELS = ("PARTY", "AMOUNT", "DATE")


def readings(count: int, seed: int = 0) -> Iterator[tuple[Document, Annotation]]:
    """Documents and a reading of each: spans of three labels that do not overlap."""
    rng = random.Random(seed)
    words = ["".join(rng.choices("abcdefghijklmnopqrst", k=rng.randint(2, 9))) for _ in range(3000)]
    for number in range(count):
        text = " ".join(rng.choices(words, k=LENGTH // 3))[:LENGTH]
        starts = sorted(rng.sample(range(0, LENGTH - 20, 20), SPANS - 1))
        inner = tuple(
            Span(start, start + 15, rng.choice(LABELS), f"s{n}")
            for n, start in enumerate(starts, start=2)
        )
        outer = Span(starts[0], starts[1] + 18, "COMMITMENT", "s1")
        parties = [span.id for span in inner if span.label == "PARTY"][:RELATIONS]
        links = tuple(Relation("promisor", "s1", party) for party in parties)
        document = Document(f"d{number:06}", text)
        yield document, Annotation(document.id, "model:speed", (outer, *inner), links)
