"""What commands do with a model's readings: shown to annotators, ordering their work, held to theirs."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit import files
from toolkit.cli.terminal import figure, table
from toolkit.errors import Fault, InvalidDataError, UsageError
from toolkit.spans import Annotation, Document, Span

if TYPE_CHECKING:
    from toolkit.adjudication import Arm
    from toolkit.corpus import Corpus
    from toolkit.studio.planning import Suggestions

# ── which documents ─────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which documents of a corpus are to be pushed, in which order, and with whose suggestions."""

    split: str = ""
    doubtful_first: Path | None = None
    limit: int = 0
    suggestions: Path | None = None
    control: float = 0.0

    def documents(self, corpus: Corpus) -> Sequence[Document]:
        """The documents, in the order in which they are annotated."""
        found: Sequence[Document] = of_split(corpus, self.split)
        if self.doubtful_first:
            found = doubtful_first(corpus, found, self.doubtful_first)
        return found[: self.limit] if self.limit else found

    def suggested(self, corpus: Corpus, documents: Iterable[Document]) -> tuple[Suggestions, int]:
        """What annotators are shown, and how many of these documents' predictions are withheld."""
        if not self.suggestions:
            if self.control:
                what = f"--control {self.control}: of which suggestions"
                raise UsageError(f"{what}? Name their file with --suggestions")
            return {}, 0
        predictions = Predictions.read(self.suggestions, corpus)
        whole = predictions.suggestions(documents, 0)
        shown = predictions.suggestions(documents, self.control)
        return shown, len(whole) - len(shown)


def of_split(corpus: Corpus, split: str) -> list[Document]:
    """The documents of a split, or all of them when it has no name."""
    from toolkit.corpus import SPLITS

    if not split:
        return list(corpus.documents)
    if split not in SPLITS:
        raise UsageError(f"--split {split}: no such split; choose {', '.join(SPLITS)}")
    splits = corpus.splits()
    return [document for document in corpus.documents if splits.of(document.story) == split]


def doubtful_first(
    corpus: Corpus, documents: Iterable[Document], source: Path
) -> tuple[Document, ...]:
    """The documents that nobody has read yet, those a model doubts most first.

    The source is a model's folder, or a file of records with `document` and `doubt`, or a `score` of
    which 1 is certain. Raises `InvalidDataError` where one of the documents has neither.
    """
    from toolkit import ner

    seen = {a.document for name in corpus.annotators for a in corpus.as_written(name)}
    unread = [document for document in documents if document.id not in seen]
    if source.is_file():
        doubts = _recorded_doubts(source, {document.id for document in unread})
    else:
        found = ner.load(source).doubt(unread)
        doubts = {d.id: doubt for d, doubt in zip(unread, found, strict=True)}
    return tuple(sorted(unread, key=lambda document: (-doubts[document.id], document.id)))


def _recorded_doubts(path: Path, wanted: set[str]) -> dict[str, float]:
    doubts: dict[str, float] = {}
    faults = []
    for line, record in enumerate(files.iter_jsonl(path), start=1):
        name, doubt = str(record.get("document")), record.get("doubt")
        if doubt is None and isinstance(record.get("score"), int | float):
            doubt = 1 - record["score"]
        if name not in wanted:
            continue
        if isinstance(doubt, bool) or not isinstance(doubt, int | float) or not 0 <= doubt <= 1:
            what, cure = f"{name}: no doubt or score from 0 to 1", "add one to the record"
            faults.append(Fault(str(path), line, what, cure, "no-doubt"))
            continue
        doubts[name] = doubt
    missing = sorted(wanted - doubts.keys())
    if missing and not faults:
        what = f"nothing about {len(missing)} documents ({', '.join(missing[:5])})"
        faults.append(Fault(str(path), 0, what, "predict them too", "no-doubt"))
    if faults:
        raise InvalidDataError(faults)
    return doubts


# ── suggestions ─────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Predictions:
    """A model's readings of a corpus's documents, by document, and what the model is called."""

    model: str
    readings: Mapping[str, Annotation]

    @classmethod
    def read(cls, path: Path, corpus: Corpus) -> Predictions:
        """The predictions of a file, checked, each span with an id.

        The model is called as the records say, or else after the file. Raises `UsageError` when they
        name several.
        """
        from toolkit.corpus import read_predictions

        if not path.is_file():
            raise UsageError(f"{path}: no such file; make one: toolkit predict")
        found = read_predictions(path, corpus.schema, corpus.texts)
        models = sorted({annotation.annotator for annotation in found} - {""})
        if len(models) > 1:
            what = f"{path}: predictions of several models ({', '.join(models[:5])})"
            raise UsageError(f"{what}; keep one model's in a file")
        model = models[0] if models else f"model:{path.stem}"
        return cls(model, {a.document: _identified(a) for a in found if a.document in corpus.texts})

    def suggestions(self, documents: Iterable[Document], control: float) -> Suggestions:
        """What annotators of these documents are shown: nothing of the control arm's."""
        from toolkit.studio import in_control

        return {
            document.id: [(self.model, self.readings[document.id])]
            for document in documents
            if document.id in self.readings and not in_control(document.id, control)
        }

    def was_shown(self, reading: Annotation) -> bool:
        """Whether this model's suggestions lay before the annotator, pushed or from `toolkit serve`.

        `serve` adds a digest of the model's files to the name.
        """
        served = re.escape(self.model.removeprefix("model:")) + "-[0-9a-f]{8}"
        return reading.suggested == self.model or bool(re.fullmatch(served, reading.suggested))


def _identified(annotation: Annotation) -> Annotation:
    """The same reading with an id for each span, as other programs leave ids out."""
    taken = {span.id for span in annotation.spans}
    free = (name for number in count(1) if (name := f"s{number}") not in taken)
    spans: tuple[Span, ...] = tuple(
        span if span.id else dataclasses.replace(span, id=next(free)) for span in annotation.spans
    )
    return dataclasses.replace(annotation, spans=spans)


# ── what suggestions did ────────────────────────────────────────────────────────────────────────

FATES = ("kept", "moved", "relabelled", "removed")
"""What becomes of a suggested span. In the control arm it is what nobody saw."""


def influence_facts(corpus: Corpus, path: Path) -> dict[str, Any]:
    """What a model's suggestions did to people's readings, as plain values.

    A reading counts as shown when the server noted a suggestion of this model with it. Readings that
    were shown another model's are left out, and those that were shown nothing of a document of which
    somebody else was.
    """
    from toolkit.adjudication import influence
    from toolkit.studio import by_lot

    predictions = Predictions.read(path, corpus)
    people = _people(corpus)
    readings = [a for name in people for a in corpus.annotations(name)]
    shown = {a.document for a in readings if predictions.was_shown(a)}
    others = Counter(a.suggested for a in readings if a.suggested and not predictions.was_shown(a))
    unseen = [a for a in readings if not a.suggested and a.document in shown]
    kept = [
        a for a in readings if predictions.was_shown(a) or not (a.suggested or a.document in shown)
    ]
    found = influence(kept, predictions.readings, shown, stories=corpus.stories)
    compared = {a.document for a in kept if not a.skipped and a.document in predictions.readings}
    return {
        "model": predictions.model,
        "annotators": people,
        "shown": _arm_facts(found.shown),
        "control": _arm_facts(found.control),
        "by_lot": by_lot(compared - shown, compared & shown),
        "anchoring": found.anchoring,
        "interval": found.interval,
        "unclaimed": found.unclaimed,
        "left_out": found.left_out + others.total() + len(unseen),
        "other_models": dict(sorted(others.items())),
    }


def _people(corpus: Corpus) -> list[str]:
    """The annotators who are persons, as far as the corpus knows."""
    known = corpus.info.annotators
    people = [n for n in corpus.annotators if n not in known or known[n].kind == "person"]
    if not people:
        what = f"{corpus.root}: no person's readings"
        raise UsageError(f"{what}; pull some, or see the kinds in corpus.yaml")
    return people


def _arm_facts(arm: Arm) -> dict[str, Any]:
    """An arm as plain values: counts, and the ratios that follow from them."""
    keys = ("documents", "readings", "spans", "seconds", "suggested", "added")
    return {
        **{key: getattr(arm, key) for key in (*keys, *FATES)},
        "f1": arm.f1 if arm.readings else None,
        "labels": {
            name: {"f1": c.f1, "both": c.tp, "only_annotator": c.fn, "only_model": c.fp}
            for name, c in arm.against.items()
        },
    }


def influence_text(told: Mapping[str, Any]) -> str:
    """Both arms beside each other, and what can be claimed of them."""
    arms: Sequence[Mapping[str, Any]] = (told["shown"], told["control"])
    counts = ("documents", "readings", "spans", "suggested")
    rows = [[key, *(arm[key] for arm in arms)] for key in counts]
    rows += [[key, *(_part(arm, key) for arm in arms)] for key in FATES]
    rows.append(["added", *(arm["added"] for arm in arms)])
    rows.append(["seconds", *("–" if arm["seconds"] is None else arm["seconds"] for arm in arms)])
    rows.append(["F1 with the model", *(figure(arm["f1"]) for arm in arms)])
    title = f"{', '.join(told['annotators'])} beside {told['model']}"
    lines = [table(title, ["", "shown", "control"], rows), "", _claim(told)]
    if told["left_out"]:
        lines.append(f"{told['left_out']} readings left out")
    return "\n".join(lines)


def _part(arm: Mapping[str, Any], key: str) -> str:
    share = arm[key] / arm["suggested"] if arm["suggested"] else None
    return f"{arm[key]} ({figure(share)})"


def _claim(told: Mapping[str, Any]) -> str:
    if told["unclaimed"]:
        return f"nothing can be claimed of anchoring: {told['unclaimed']}"
    interval = told["interval"]
    spread = f", 95 % {interval[0]:+.3f} to {interval[1]:+.3f}" if interval else ""
    claim = f"anchoring {told['anchoring']:+.3f}{spread}"
    why = "the arms were not divided by lot, so that other differences may explain it"
    return claim if told["by_lot"] else f"{claim}; {why}"
