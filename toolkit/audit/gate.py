"""What a benchmark must not have: test known from train, slices that are not what they say."""

from __future__ import annotations

from collections.abc import Iterator

from toolkit import files
from toolkit.audit.composition import composition
from toolkit.audit.leakage import leakage
from toolkit.audit.slices import slices, twins
from toolkit.corpus import SPLITS, Corpus
from toolkit.errors import Fault
from toolkit.spans import GOLD, Annotation, Document

__all__ = ["gate"]


def gate(corpus: Corpus) -> list[Fault]:
    """Every reason not to trust scores on this corpus: leaks, wrong slices, empty splits, changes.

    For a corpus with gold and splits. Gates, unlike figures of the audit, allow no explanation.
    """
    return [
        *corpus.changed_since_freeze(),
        *_slice_faults(corpus),
        *_twin_faults(corpus),
        *_leaks(corpus),
        *_uncovered(corpus),
        *_empty(corpus),
    ]


def _slice_faults(corpus: Corpus) -> Iterator[Fault]:
    """Slices frozen that the rules would not give."""
    path = str(corpus.root / "slices.yaml")
    frozen, ruled = corpus.slices(), slices(corpus)
    for name in sorted(frozen.keys() | ruled.keys() if frozen else ()):
        differing = set(frozen.get(name, ())) ^ set(ruled.get(name, ()))
        if differing:
            what = f"{name}: the rule and the file differ on {', '.join(sorted(differing)[:5])}"
            cure = "freeze the corpus again: toolkit check --freeze"
            yield Fault(path, 0, what, cure, "slice")


def _twin_faults(corpus: Corpus) -> Iterator[Fault]:
    """Twins frozen that are not those of the pages and their gold."""
    path = corpus.root / "twins/gold.jsonl"
    if path.is_file():
        ruled = {
            moved.document: files.json_line(moved)
            for _, moved in twins(corpus, corpus.slices().get("noisy", ()))
        }
        read = map(corpus.schema.migrate, files.read_jsonl(path, Annotation))
        frozen = {annotation.document: files.json_line(annotation) for annotation in read}
        differing = sorted(n for n in ruled.keys() | frozen.keys() if ruled.get(n) != frozen.get(n))
        if differing:
            what = f"not the twins of the pages: {', '.join(differing[:5])}"
            cure = "freeze the corpus again: toolkit check --freeze"
            yield Fault(str(path), 0, what, cure, "twin")


def _leaks(corpus: Corpus) -> Iterator[Fault]:
    gold = {annotation.document: annotation for annotation in corpus.annotations(GOLD)}
    splits = corpus.splits()
    sides: dict[str, list[Document]] = {split: [] for split in SPLITS}
    for document in corpus.documents:
        split = splits.of(document.story)
        if split and document.id in gold:
            sides[split].append(document)
    for figure in leakage(sides, gold):
        if figure.inside is False:
            what = f"{figure.name}: {figure.value:g}, allowed {figure.band} {figure.note}".rstrip()
            cure = "rewrite the passage in test, or move the event"
            yield Fault(str(corpus.root / "documents.jsonl"), 0, what, cure, "leak")


def _uncovered(corpus: Corpus) -> Iterator[Fault]:
    """What the registry says a document tells, and no gold span of it does, undeclared."""
    told = {
        (annotation.document, span.attributes.get("commitment_id"))
        for annotation in corpus.annotations(GOLD)
        for span in annotation.spans
    }
    read = {document for document, _ in told}
    for line, event in enumerate(corpus.registry(), start=1):
        omitted = event.get("omitted", {})
        for document, wanted in event.get("coverage", {}).items():
            missing = sorted(
                set(wanted) - set(omitted.get(document, ())) if document in read else ()
            )
            for identifier in (i for i in missing if (document, i) not in told):
                what = f"{document} should tell {identifier} and does not"
                cure = "link it to a span, or declare it under `omitted`"
                yield Fault(str(corpus.root / "registry.jsonl"), line, what, cure, "untold")


def _empty(corpus: Corpus) -> Iterator[Fault]:
    for part in composition(corpus):
        if part.kind == "split" and not part.documents:
            place = str(corpus.root / "splits.yaml")
            yield Fault(place, 0, f"{part.name} has no document", "give it an event", "no-split")
