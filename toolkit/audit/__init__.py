"""Is a corpus fit to be trusted? Each figure beside its band.

Style bands come from 954 human news articles of 2017–2019 (CASIE); densities from real summit pages
and broadcast news; leakage, caps and artefact baselines from what makes written benchmarks too easy.
A figure outside its band is named, not hidden: it has to be mended or explained. Body text alone is
measured; machine-rewritten pages are exempt from the style bands and looked at by themselves.

A `figure` is one value with its band; `prose` takes documents apart; `style`, `content`, `leakage` and
`baselines` measure. `slices` are the parts of test with a score of their own, `composition` counts what
is in each part, and `gate` is what no benchmark may have.
"""

from __future__ import annotations

from collections import defaultdict

from toolkit.audit.baselines import baselines
from toolkit.audit.composition import Part, composition
from toolkit.audit.content import densities, hardness, names, numbers
from toolkit.audit.figure import Figure
from toolkit.audit.gate import gate
from toolkit.audit.leakage import leakage
from toolkit.audit.prose import body, is_rewritten, ngrams, sentences, words
from toolkit.audit.slices import slices, twins
from toolkit.audit.style import similarity, style
from toolkit.corpus import Corpus
from toolkit.spans import GOLD, Document

__all__ = [
    "Figure",
    "Part",
    "audit",
    "body",
    "composition",
    "gate",
    "is_rewritten",
    "ngrams",
    "sentences",
    "slices",
    "twins",
    "words",
]


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
        *style(written),
        *similarity(documents),
        *densities(documents, gold, corpus),
        *leakage(sides, gold),
        *hardness(documents, gold),
        *numbers(documents, gold),
        *names(corpus),
        *baselines(sides, gold, corpus.slices()),
    ]
