"""A corpus on disk: documents, each annotator's readings, decisions, gold, splits, and its integrity.

    annotations/<name>/
      corpus.yaml                 what it is, its schema, its annotators
      documents.jsonl             what is read
      annotators/<pseudonym>.jsonl  one reading of each document
      decisions.jsonl             how the adjudicator settled disputes
      gold.jsonl, disputed.jsonl  what adjudication made of it
      registry.jsonl              the events behind the documents
      splits.yaml                 which events are for train, validation and test
      slices.yaml                 which documents of test get a score of their own
      twins/                      noisy pages of test without their furniture, and their gold
      SHA256SUMS                  what a frozen corpus's files are, as `sha256sum -c` reads it
      quarantine.jsonl            what a pull could not accept, and why

One record a line, sorted by document id, so that a diff shows what changed.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from toolkit import files
from toolkit.errors import Fault, InvalidDataError, UsageError
from toolkit.schema import Schema, document_faults
from toolkit.spans import GOLD, Annotation, Document, Span

__all__ = [
    "SPLITS",
    "Annotator",
    "Corpus",
    "CorpusInfo",
    "Splits",
    "check",
    "read_predictions",
]

SPLITS = ("train", "validation", "test")


SUMS = "SHA256SUMS"

_TWINS = ("twins/documents.jsonl", "twins/gold.jsonl")

_FROZEN = (
    "corpus.yaml",
    "documents.jsonl",
    "decisions.jsonl",
    "gold.jsonl",
    "disputed.jsonl",
    "registry.jsonl",
    "splits.yaml",
    "slices.yaml",
    *_TWINS,
)


@dataclass(frozen=True, slots=True)
class Annotator:
    """Who stands behind a pseudonym: a `person` or a `model`, and how the reading was made.

    One who marked spans only is silent about attributes and relations, which is no disagreement.
    """

    kind: Literal["person", "model"]
    note: str = ""
    spans_only: bool = False


@dataclass(frozen=True, slots=True)
class CorpusInfo:
    """What `corpus.yaml` says. A name and a schema will do to begin with.

    `texts` tells how the documents were made, for the card of the dataset.
    """

    name: str
    schema: str
    title: str = ""
    description: str = ""
    language: str = "en"
    licence: str = ""
    version: str = "0.1.0"
    annotators: dict[str, Annotator] = field(default_factory=dict)
    texts: str = ""
    canary: str = ""
    guideline: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Splits:
    """The events of each split. Whole events, so that no story is on both sides."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]

    def of(self, event: str) -> str | None:
        """The split an event belongs to."""
        for name in SPLITS:
            if event in getattr(self, name):
                return name
        return None


@dataclass(frozen=True, slots=True)
class _Named:
    document: str


@dataclass(frozen=True)
class Corpus:
    """A folder of documents and annotations. Nothing is read before it is asked for."""

    root: Path
    info: CorpusInfo
    schema: Schema
    schema_path: Path
    documents: tuple[Document, ...] = field(repr=False)

    @classmethod
    def load(cls, root: Path) -> Corpus:
        """The corpus in this folder. Raises `InvalidDataError` listing every fault of documents."""
        if not (root / "corpus.yaml").is_file():
            raise UsageError(f"{root}: no corpus here (no corpus.yaml); name a folder that has one")
        info = files.read_yaml(root / "corpus.yaml", CorpusInfo)
        schema_path = _schema_path(root, info.schema)
        schema = Schema.load(schema_path)
        path = root / "documents.jsonl"
        documents = files.read_jsonl(path, Document)
        faults = list(_documents_faults(path, documents))
        if faults:
            raise InvalidDataError(faults)
        return cls(root, info, schema, schema_path, tuple(documents))

    @property
    def name(self) -> str:
        """The corpus's name, as in `corpus.yaml`."""
        return self.info.name

    @property
    def texts(self) -> Mapping[str, Document]:
        """The documents by id."""
        return {document.id: document for document in self.documents}

    @property
    def stories(self) -> Mapping[str, str]:
        """The event of each document, by document id."""
        return {document.id: document.story for document in self.documents}

    @property
    def annotators(self) -> tuple[str, ...]:
        """The pseudonyms that have a file of readings."""
        return tuple(sorted(path.stem for path in (self.root / "annotators").glob("*.jsonl")))

    @property
    def spans_only(self) -> frozenset[str]:
        """The pseudonyms of annotators who marked spans only."""
        return frozenset(name for name, who in self.info.annotators.items() if who.spans_only)

    def annotations(self, annotator: str) -> tuple[Annotation, ...]:
        """One annotator's readings, or the gold, read under this version of the schema.

        Raises `InvalidDataError` with every fault.
        """
        path = self.path_of(annotator)
        faults, annotations = _read_annotations(path, self, flat=annotator == GOLD)
        if faults:
            raise InvalidDataError(faults)
        return annotations

    def as_written(self, annotator: str) -> tuple[Annotation, ...]:
        """One annotator's readings, or the gold, in the names they were written in, unchecked."""
        return tuple(files.read_jsonl(self.path_of(annotator), Annotation))

    def path_of(self, annotator: str) -> Path:
        """The file of an annotator's readings, or of the gold."""
        if annotator == GOLD:
            return self.root / "gold.jsonl"
        return self.root / "annotators" / f"{annotator}.jsonl"

    def save(self, annotator: str, annotations: Iterable[Annotation]) -> bool:
        """Write readings in canonical order. Gives whether the file changed."""
        texts = self.texts
        ordered = sorted(annotations, key=lambda annotation: annotation.document)
        canonical = [a.canonical(texts[a.document].text) for a in ordered]
        return files.write_jsonl(self.path_of(annotator), canonical)

    def merge(
        self, annotator: str, lines: Mapping[str, bytes | None], *, dry_run: bool = False
    ) -> Counter[str]:
        """Take readings into an annotator's file, each as a canonical line, or None to remove one.

        Gives how many were `created`, `updated`, `unchanged` and `removed`. Nothing is written when
        nothing changes.
        """
        path = self.path_of(annotator)
        held = dict(_lines_held(path)) if path.is_file() else {}
        counts: Counter[str] = Counter()
        for document, line in lines.items():
            before = held.pop(document, None)
            if line is None:
                counts["removed"] += before is not None
                continue
            kind = "created" if before is None else "unchanged" if before == line else "updated"
            counts[kind] += 1
            held[document] = line
        if not dry_run and (held or path.is_file()):
            files.write_lines(path, (held[document] for document in sorted(held)))
        return counts

    def splits(self) -> Splits:
        """The split of each event. Raises `InvalidDataError` when an event is in none or in two."""
        path = self.root / "splits.yaml"
        splits, lines = files.read_yaml_lines(path, Splits)
        faults = list(_split_faults(path, splits, lines, self.documents))
        if faults:
            raise InvalidDataError(faults)
        return splits

    def slices(self) -> dict[str, tuple[str, ...]]:
        """Document ids by slice; none for a corpus without slices. Raises `InvalidDataError`."""
        path = self.root / "slices.yaml"
        if not path.is_file():
            return {}
        found, lines = files.read_yaml_lines(path, dict[str, tuple[str, ...]])
        faults = []
        for name, ids in found.items():
            for n, identifier in enumerate(ids):
                if identifier not in self.texts:
                    what = f"{name}: no document {identifier!r} in documents.jsonl"
                    cure = "freeze the corpus again: toolkit check --freeze"
                    faults.append(Fault(str(path), lines[name, n], what, cure, "unknown-document"))
        if faults:
            raise InvalidDataError(faults)
        return found

    def freeze(
        self,
        slices: Mapping[str, Sequence[str]],
        twins: Sequence[tuple[Document, Annotation]] = (),
    ) -> bool:
        """Write slices, twins and the checksums of every file. Gives whether anything changed."""
        listed = (f"{name}: {json.dumps(list(ids))}\n" for name, ids in slices.items())
        changed = files.write_text(self.root / "slices.yaml", "".join(listed) or "{}\n")
        for name, part in zip(_TWINS, zip(*twins, strict=True), strict=False):
            changed = files.write_jsonl(self.root / name, part) or changed
        sums = "".join(f"{digest}  {name}\n" for name, digest in self._digests().items())
        return files.write_text(self.root / SUMS, sums) or changed

    def _digests(self) -> dict[str, str]:
        """The SHA-256 of each of the corpus's data files, by name."""
        paths = [self.root / name for name in _FROZEN] + sorted(self.root.glob("annotators/*"))
        return {
            path.relative_to(self.root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in paths
            if path.is_file()
        }

    def changed_since_freeze(self) -> list[Fault]:
        """Files that are not what `SHA256SUMS` says, or that it does not name. None if not frozen."""
        path = self.root / SUMS
        if not path.is_file():
            return []
        lines = files.read_text(path).splitlines()
        frozen = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
        cure = "undo the change, or freeze the corpus again: toolkit check --freeze"
        now = self._digests()
        return [
            Fault(str(self.root / name), 0, f"is not what {SUMS} says", cure, "checksum")
            for name in sorted(frozen.keys() | now.keys())
            if frozen.get(name) != now.get(name)
        ]

    def registry(self) -> list[dict[str, Any]]:
        """The events behind the documents, if the corpus has a registry."""
        path = self.root / "registry.jsonl"
        return list(files.iter_jsonl(path)) if path.is_file() else []

    def copy(self, root: Path, *, name: str, events: Sequence[str]) -> Corpus:
        """The documents and decisions of some events as a corpus of another name, unannotated."""
        documents = [document for document in self.documents if document.story in events]
        kept = {document.id for document in documents}
        splits = self.splits()
        beside = (self.root / self.info.schema).is_file()
        schema = str(self.schema_path.resolve()) if beside else self.info.schema
        files.write_yaml(root / "corpus.yaml", replace(self.info, name=name, schema=schema))
        files.write_jsonl(root / "documents.jsonl", documents)
        files.write_yaml(
            root / "splits.yaml",
            Splits(
                *(
                    tuple(event for event in getattr(splits, split) if event in events)
                    for split in SPLITS
                )
            ),
        )
        decided = self.root / "decisions.jsonl"
        if decided.is_file():
            found = files.iter_jsonl(decided)
            lines = (d for d in found if str(d.get("item")).split("/")[0] in kept)
            files.write_jsonl(root / "decisions.jsonl", lines)
        wanted = (event for event in self.registry() if event.get("event") in events)
        files.write_jsonl(root / "registry.jsonl", wanted)
        return Corpus.load(root)

    @property
    def sha256(self) -> str:
        """Fingerprint of documents, gold, splits and schema: which data a score belongs to."""
        digest = hashlib.sha256(self.schema.sha256.encode())
        for name in ("documents.jsonl", "gold.jsonl", "splits.yaml"):
            path = self.root / name
            digest.update(path.read_bytes() if path.is_file() else b"")
        return digest.hexdigest()


def _lines_held(path: Path) -> Iterator[tuple[str, bytes]]:
    """The document of each line of an annotator's file, and the line."""
    for number, _, line in files.read_lines(path):
        try:
            yield files.decode(line, _Named).document, line
        except ValueError as error:
            what, cure = f"not a reading: {error}", "mend the line, or delete it and pull again"
            raise InvalidDataError([Fault(str(path), number, what, cure)]) from error


def read_predictions(
    path: Path, schema: Schema, documents: Mapping[str, Document]
) -> tuple[Annotation, ...]:
    """Predictions of any system: records with at least `document` and `spans` of offsets and label.

    Keys the toolkit does not know are passed over, and names of older versions of the schema are read
    as this version's. Without a document's text, offsets are checked
    against themselves only. Raises `InvalidDataError` listing every fault with its line.
    """
    predictions = [schema.migrate(a) for a in files.read_jsonl(path, Annotation, lenient=True)]
    faults: list[Fault] = []
    first: dict[str, int] = {}
    for line, annotation in enumerate(predictions, start=1):
        document = documents.get(annotation.document)
        plain = replace(annotation, spans=_numbered(annotation))
        faults += schema.faults(plain, document, place=str(path), line=line)
        faults += schema.overlaps(annotation, place=str(path), line=line)
        if annotation.document in first:
            what = f"{annotation.document} stands already on line {first[annotation.document]}"
            faults.append(Fault(str(path), line, what, "keep one of the two", "duplicate-id"))
        first.setdefault(annotation.document, line)
    if faults:
        raise InvalidDataError(faults)
    return tuple(predictions)


def _numbered(annotation: Annotation) -> tuple[Span, ...]:
    """The spans with an id each, as other programs leave ids out."""
    return tuple(
        replace(span, id=span.id or f"#{number}") for number, span in enumerate(annotation.spans)
    )


def check(root: Path) -> tuple[list[Fault], Counter[str]]:
    """Every fault of a corpus, and how much was read: documents, spans, relations, overlaps."""
    counts: Counter[str] = Counter()
    try:
        corpus = Corpus.load(root)
    except InvalidDataError as error:
        return list(error.faults), counts
    counts["documents"] = len(corpus.documents)
    faults: list[Fault] = []
    annotations: tuple[Annotation, ...] = ()
    names = [*corpus.annotators, *([GOLD] if corpus.path_of(GOLD).is_file() else [])]
    for annotator in names:
        found, annotations = _read_annotations(corpus.path_of(annotator), corpus, annotator == GOLD)
        faults += found
        counts["annotations"] += len(annotations)
        for annotation in annotations:
            counts["spans"] += len(annotation.spans)
            counts["relations"] += len(annotation.relations)
        if annotator == GOLD and not found:
            faults += _gold_faults(corpus, annotations)
    try:
        faults += _registry_faults(corpus, annotations if GOLD in names else ())
    except InvalidDataError as error:
        faults += error.faults
    try:
        if (root / "splits.yaml").is_file():
            corpus.splits()
        corpus.slices()
    except InvalidDataError as error:
        faults += error.faults
    return faults, counts


def _schema_path(root: Path, name: str) -> Path:
    """The schema a corpus names: a path beside it, or the name of one in a `schemas` folder."""
    candidates = [root / name, root.parent.parent / "schemas" / f"{name}.yaml"]
    candidates += [Path("schemas") / f"{name}.yaml", files.resource(f"schemas/{name}.yaml")]
    for path in candidates:
        if path.is_file():
            return path
    raise UsageError(f"{root / 'corpus.yaml'}: no schema {name!r}; put it in schemas/{name}.yaml")


def _documents_faults(path: Path, documents: Sequence[Document]) -> Iterator[Fault]:
    first: dict[str, int] = {}
    for line, document in enumerate(documents, start=1):
        yield from document_faults(document, place=str(path), line=line)
        if document.id in first:
            what = f"document id {document.id!r} stands already on line {first[document.id]}"
            yield Fault(str(path), line, what, "give each document its own id", "duplicate-id")
        first.setdefault(document.id, line)


def _read_annotations(
    path: Path, corpus: Corpus, flat: bool
) -> tuple[list[Fault], tuple[Annotation, ...]]:
    try:
        annotations = [corpus.schema.migrate(a) for a in files.read_jsonl(path, Annotation)]
    except InvalidDataError as error:
        return list(error.faults), ()
    texts = corpus.texts
    faults: list[Fault] = []
    seen: set[str] = set()
    for line, annotation in enumerate(annotations, start=1):
        place = str(path)
        document = texts.get(annotation.document)
        if document is None:
            what = f"no document {annotation.document!r} in documents.jsonl"
            faults.append(Fault(place, line, what, "add it or drop the line", "unknown-document"))
            continue
        if annotation.document in seen:
            what = f"a second reading of {annotation.document!r}"
            faults.append(Fault(place, line, what, "keep one", "duplicate-id"))
        seen.add(annotation.document)
        faults += corpus.schema.faults(annotation, document, place=place, line=line)
        if flat:
            faults += corpus.schema.overlaps(annotation, place=place, line=line)
    return faults, tuple(annotations)


def _gold_faults(corpus: Corpus, gold: Sequence[Annotation]) -> Iterator[Fault]:
    texts, place = corpus.texts, str(corpus.path_of(GOLD))
    for line, annotation in enumerate(gold, start=1):
        document = texts[annotation.document]
        yield from corpus.schema.gold_faults(annotation, document, place=place, line=line)


def _registry_faults(corpus: Corpus, gold: Sequence[Annotation]) -> list[Fault]:
    """Commitments without an id, and gold commitments whose id no event's registry has."""
    faults: list[Fault] = []
    known: set[str] = set()
    for line, event in enumerate(corpus.registry(), start=1):
        for part in ("commitments", "background"):
            for commitment in event.get(part) or ():
                try:
                    known.add(commitment["id"])
                except (KeyError, TypeError):
                    place = str(corpus.root / "registry.jsonl")
                    faults.append(
                        Fault(place, line, f"{part}: one without an id", "give it one", "no-id")
                    )
    for line, annotation in enumerate(gold if known else (), start=1):
        for span in annotation.spans:
            identifier = span.attributes.get("commitment_id", "NEW")
            if identifier != "NEW" and identifier not in known:
                what = f"{annotation.document}: no commitment {identifier!r} in registry.jsonl"
                cure = "mend the id or write NEW"
                place = str(corpus.path_of(GOLD))
                faults.append(Fault(place, line, what, cure, "unknown-commitment"))
    return faults


def _split_faults(
    path: Path, splits: Splits, lines: files.Lines, documents: Sequence[Document]
) -> Iterator[Fault]:
    placed: dict[str, str] = {}
    for split in SPLITS:
        for n, event in enumerate(getattr(splits, split)):
            if event in placed:
                what = f"event {event!r} is in {placed[event]} and in {split}"
                yield Fault(str(path), lines[split, n], what, "keep it in one", "leak")
            placed.setdefault(event, split)
    for event in sorted({document.story for document in documents} - placed.keys()):
        yield Fault(str(path), 0, f"event {event!r} is in no split", "add it to one", "no-split")
    by_text: dict[str, str] = {}
    for line, document in enumerate(documents, start=1):
        if document.story not in placed:
            continue
        split = placed[document.story]
        other = by_text.setdefault(" ".join(document.text.split()), split)
        if other != split:
            what = f"the text of {document.id!r} is in {other} and in {split}"
            place = str(path.with_name("documents.jsonl"))
            yield Fault(place, line, what, "keep one of the two", "leak")
