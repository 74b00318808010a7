"""The review loop: disputes and a model's errors to reviewers, their readings back as decisions.

Gold follows from readings and decisions alone, so what a reviewer submits becomes decisions. It is
written last to the history of its project: what stands there has been turned into decisions, and a pull
that was cut short is done again from the start.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit import files
from toolkit.cli import exchange, readings
from toolkit.errors import InvalidDataError, UsageError
from toolkit.spans import GOLD, Annotation

if TYPE_CHECKING:
    from toolkit.adjudication import Adjudication, Decision, Edit
    from toolkit.corpus import Corpus
    from toolkit.studio import History, Pulled, Studio
    from toolkit.studio.history import Event
    from toolkit.studio.planning import Suggestions

REVIEW, ERRORS = "review", "errors"

# ── to reviewers ────────────────────────────────────────────────────────────────────────────────


def push_disputes(
    studio: Studio, corpus: Corpus, decisions: Path | None = None, *, dry_run: bool = False
) -> dict[str, Any]:
    """Send the documents with open disputes to `review`, each with its readings in blind order.

    `settled` counts the documents of the project that need no review any more.
    """
    from toolkit.adjudication import blind
    from toolkit.studio import secret

    found = readings.settle(corpus, readings.decisions_of(corpus, decisions))
    open_ = {dispute.document for dispute in found.disputed}
    read: dict[str, dict[str, Annotation]] = {name: {} for name in open_}
    for annotator in corpus.annotators:
        for reading in corpus.annotations(annotator):
            if reading.document in open_:
                read[reading.document][annotator] = reading
    key = secret(REVIEW)
    shown = {name: blind(by, name, key) for name, by in read.items()}
    told = _push(studio, corpus, REVIEW, sorted(open_), shown, dry_run=dry_run)
    settled = _in_project(studio, corpus, REVIEW) - open_
    return told | {"disputed": len(found.disputed), "settled": len(settled)}


def push_errors(
    studio: Studio,
    corpus: Corpus,
    predictions: Path,
    *,
    limit: int | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Send the documents that a model reads otherwise than gold to `errors`, the worst first.

    `differing` counts all of them and `places` where they differ, also beyond the `limit`.
    """
    from toolkit.adjudication import differences
    from toolkit.corpus import read_predictions

    if not corpus.path_of(GOLD).is_file():
        raise UsageError(f"{corpus.root}: no gold yet; make it first: toolkit adjudicate")
    gold = {found.document: found for found in corpus.annotations(GOLD)}
    predicted = {a.document: a for a in read_predictions(predictions, corpus.schema, corpus.texts)}
    found = differences(gold.values(), predicted.values(), corpus.schema)
    names = [difference.document for difference in found[:limit]]
    shown = {
        name: [(GOLD, gold[name]), (_model(predicted[name], predictions), _named(predicted[name]))]
        for name in names
    }
    told = _push(studio, corpus, ERRORS, names, shown, overwrite=overwrite, dry_run=dry_run)
    return told | {"differing": len(found), "places": sum(each.places for each in found)}


def _push(
    studio: Studio,
    corpus: Corpus,
    project: str,
    names: Sequence[str],
    shown: Suggestions,
    *,
    overwrite: bool = False,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Send these documents, in this order, to a project of reviewers; without any none is made."""
    texts = corpus.texts
    told = exchange.push_corpus(
        studio,
        corpus,
        project,
        documents=[texts[name] for name in names],
        suggestions=shown,
        overwrite=overwrite,
        dry_run=dry_run or not names,
    )
    return told | {"dry_run": dry_run}


def _in_project(studio: Studio, corpus: Corpus, project: str) -> set[str]:
    """The ids of the corpus's documents that a project has tasks of."""
    from toolkit.studio import find

    tasks = (task for found in find(studio, corpus.name, project) for task in studio.tasks(found))
    return {str(task.data.get("document")) for task in tasks} & corpus.texts.keys()


def _model(predicted: Annotation, path: Path) -> str:
    """What reviewers see a prediction called: its model, else its file."""
    name = predicted.annotator.removeprefix("model:") or path.stem
    if name == GOLD:
        what = f"{path}: its predictions call themselves {GOLD}"
        raise UsageError(f"{what}; name the predictions of a model, not gold itself")
    return name


def _named(predicted: Annotation) -> Annotation:
    """The prediction with an id for each span, as other programs leave ids out."""
    spans = enumerate(predicted.spans, start=1)
    return replace(
        predicted, spans=tuple(replace(span, id=span.id or f"s{number}") for number, span in spans)
    )


# ── from reviewers ──────────────────────────────────────────────────────────────────────────────


def pull_reviews(
    studio: Studio,
    corpus: Corpus,
    *,
    version: str = "",
    dry_run: bool = False,
    new_origin: bool = False,
) -> dict[str, Any]:
    """Turn what reviewers submitted into decisions, make gold anew, and say what changed in it.

    `version` is that of the corpus if gold changes; without it corrections raise the patch number.
    Everything is checked before the first file is written. Raises `UsageError` where no project of
    reviewers is there, or the corpus's version has no patch number to raise.
    """
    from toolkit.studio import REVIEWS, History, find

    if version and not _VERSION.fullmatch(version):
        raise UsageError(f"--version {version}: not three numbers; write it as in 1.4.2")
    projects = [found for name in REVIEWS for found in find(studio, corpus.name, name)]
    if not projects:
        what = f"{studio.url}: no reviews of {corpus.name!r}"
        raise UsageError(f"{what}; push disputes first: toolkit adjudicate --push")
    with exchange.alone_with(corpus):
        held = exchange.quarantine(corpus.root)
        known = {event for name in REVIEWS for event in History(corpus.root, name).events}
        known -= {record.get("event", "") for name in REVIEWS for record in held.get(name, ())}
        pulled = list(exchange.looked_at(studio, corpus, projects, new_origin=new_origin))
        desk = _Desk(corpus, readings.decisions_of(corpus), frozenset(known))
        for history, part in pulled:
            desk.lay_out(history, part)
        desk.decide()
        outcome = _Outcome.of(corpus, desk, version)
        if not dry_run:
            outcome.write()
            exchange.write_quarantine(corpus.root, {**held, **desk.refused})
            for history, part in pulled:
                if part.fresh:
                    history.write(desk.manifest(history, part))
            for history, part in pulled:
                exchange.remember(studio, corpus.root, history, part.since)
        return outcome.facts() | {
            "retracted": sum(part.retracted for _, part in pulled),
            "projects": {h.project: dataclasses.asdict(desk.manifest(h, p)) for h, p in pulled},
            "dry_run": dry_run,
        }


@dataclass(frozen=True, slots=True)
class _Review:
    """One reviewer's reading of a document, and where it was submitted."""

    project: str
    event: Event
    reading: Annotation

    @property
    def age(self) -> tuple[str, int]:
        """What sorts reviews by when they were written."""
        return self.event.written, self.event.annotation


@dataclass
class _Desk:
    """All that reviewers submitted, and what was decided by it."""

    corpus: Corpus
    decisions: list[Decision]
    known: frozenset[str]
    """The events that decisions were made of before."""
    reviews: dict[str, list[_Review]] = field(default_factory=lambda: defaultdict(list))
    refused: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    taken: dict[str, _Review] = field(default_factory=dict)
    superseded: int = 0
    skipped: int = 0
    states: dict[str, Counter[str]] = field(default_factory=dict)

    def lay_out(self, history: History, pulled: Pulled) -> None:
        """Sort a project's events: readings by document, and what cannot be read."""
        from toolkit.studio import read

        found = read(history, self.corpus.schema, self.corpus.texts)
        for event in history.live.values():
            if found.states[event.id] == "read":
                line = found.lines[event.annotator][event.document]
                reading = files.decode(line or b"", Annotation)
                self.reviews[event.document].append(_Review(history.project, event, reading))
        unreachable = [record for record in pulled.quarantine if "event" not in record]
        self.refused[history.project] = [*found.quarantine, *unreachable]
        origin = pulled.manifest.origin
        live = [event for event in history.live.values() if event.origin == origin]
        self.states[history.project] = Counter(found.states[event.id] for event in live)
        self.superseded += self.states[history.project]["superseded"]
        self.skipped += self.states[history.project]["skipped"]

    def decide(self) -> None:
        """Let the newest valid reading of each document replace its decisions, unless it has."""
        from toolkit.adjudication.settle import document_of

        made: dict[str, tuple[Decision, ...]] = {}
        read = self._readings()
        for name, reviews in sorted(self.reviews.items()):
            valid = 0
            for review in sorted(reviews, key=lambda review: review.age, reverse=True):
                if not valid and review.event.id not in self.known:
                    try:
                        made[name] = self._decided(review, read[name])
                    except InvalidDataError as error:
                        self._refuse(review, error)
                        continue
                    self.taken[name] = review
                valid += 1
            self.superseded += max(0, valid - 1)
        kept = [old for old in self.decisions if document_of(old.item) not in made]
        new = (decision for decided in made.values() for decision in decided)
        self.decisions = sorted([*kept, *new], key=lambda decision: decision.item)

    def _readings(self) -> dict[str, dict[str, Annotation]]:
        """The annotators' readings of each document that was reviewed."""
        found: dict[str, dict[str, Annotation]] = {name: {} for name in self.reviews}
        for annotator in self.corpus.annotators:
            for reading in self.corpus.annotations(annotator):
                if reading.document in found:
                    found[reading.document][annotator] = reading
        return found

    def _decided(self, review: _Review, read: Mapping[str, Annotation]) -> tuple[Decision, ...]:
        from toolkit.adjudication import decide

        return decide(
            review.reading,
            read,
            self.corpus.texts[review.event.document],
            self.corpus.schema,
            self.decisions,
            spans_only=self.corpus.spans_only,
            adjudicator=review.event.annotator,
        )

    def _refuse(self, review: _Review, error: InvalidDataError) -> None:
        from toolkit.studio.pulling import set_aside

        record = set_aside(review.project, review.event, error.faults)
        self.refused[review.project].append(record)
        self.states[review.project].subtract(["read"])

    def manifest(self, history: History, pulled: Pulled) -> Any:
        """The manifest of a project, with what decisions could not be made of as set aside."""
        states = self.states[history.project]
        read, skipped, superseded = (states[name] for name in ("read", "skipped", "superseded"))
        quarantined = pulled.manifest.annotations - read - skipped - superseded
        return replace(
            pulled.manifest,
            read=read,
            skipped=skipped,
            superseded=superseded,
            quarantined=quarantined,
        )


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What follows from the decisions: gold, how it differs from what it was, the corpus's version."""

    corpus: Corpus
    desk: _Desk
    settled: Adjudication
    edits: Sequence[Edit]
    version: str
    described: str

    @classmethod
    def of(cls, corpus: Corpus, desk: _Desk, version: str) -> _Outcome:
        """Raises `InvalidDataError` or `UsageError` where any of it would not be valid."""
        from toolkit.adjudication import span_diff

        settled = readings.settle(corpus, desk.decisions)
        edits = span_diff(_gold_before(corpus), settled.gold, corpus.texts)
        corrected = {name for name, review in desk.taken.items() if review.project == ERRORS}
        now = corpus.info.version
        if version and edits:
            now = version
        elif any(edit.document in corrected for edit in edits):
            now = next_patch(corpus)
        path = corpus.root / "corpus.yaml"
        text = files.read_text(path) if now == corpus.info.version else with_version(path, now)
        return cls(corpus, desk, settled, edits, now, text)

    def write(self) -> None:
        """Write decisions, version, gold and disputes, in this order."""
        root = self.corpus.root
        if self.desk.decisions or (root / "decisions.jsonl").is_file():
            files.write_jsonl(root / "decisions.jsonl", self.desk.decisions)
        # Before gold: cut short, a pull would find gold as it should be and raise nothing.
        files.write_text(root / "corpus.yaml", self.described)
        readings.write_gold(self.corpus, self.settled)

    def facts(self) -> dict[str, Any]:
        """All of it as plain values."""
        refused = [record for records in self.desk.refused.values() for record in records]
        return {
            "taken": len(self.desk.taken),
            "superseded": self.desk.superseded,
            "skipped": self.desk.skipped,
            "quarantined": len(refused),
            "set_aside": refused,
            **readings.gold_facts(self.settled),
            "changes": [dataclasses.asdict(edit) | {"text": str(edit)} for edit in self.edits],
            "lost": list(_lost(self.corpus, self.edits)),
            "faults": [str(fault) for fault in self._faults()],
            "version": self.version,
            "version_before": self.corpus.info.version,
            "refreeze": bool(self.corpus.changed_since_freeze()),
        }

    def _faults(self) -> Iterable[Any]:
        """What `toolkit check` will find in the gold of documents that were reviewed now."""
        for found in self.settled.gold:
            if found.document in self.desk.taken:
                text = self.corpus.texts[found.document]
                yield from self.corpus.schema.gold_faults(found, text, place="gold.jsonl")


def _gold_before(corpus: Corpus) -> Sequence[Annotation]:
    """Gold as it stands in its file, else as it would be without the reviews."""
    if corpus.path_of(GOLD).is_file():
        return corpus.annotations(GOLD)
    return readings.settle(corpus, readings.decisions_of(corpus)).gold


def _lost(corpus: Corpus, edits: Iterable[Edit]) -> Iterable[dict[str, Any]]:
    """Text that was written of a span, such as its id in the registry, and that is gone as it moved.

    Reviewers are not shown it, so nobody has said that it is wrong.
    """
    written = {attribute.name for attribute in corpus.schema.attributes if attribute.kind == "text"}
    for edit in edits:
        before, after = edit.before, edit.after
        if edit.name in written and before and after and before.key[:2] != after.key[:2]:
            value = before.attributes.get(edit.name)
            if value and not after.attributes.get(edit.name):
                yield {
                    "document": edit.document,
                    "attribute": edit.name,
                    "value": value,
                    "was": [before.start, before.end],
                    "item": f"{edit.document}/{after.start}-{after.end}/{edit.name}",
                }


def reviews_text(told: Mapping[str, Any]) -> str:
    """What was taken, every change of gold on a line, and how much of gold is settled."""
    taken = ", ".join(f"{key} {told[key]}" for key in ("taken", "superseded", "skipped"))
    gold = ", ".join(f"{told[key]} {key}" for key in ("documents", "agreed", "decided", "disputed"))
    lines = [f"{taken}, quarantined {told['quarantined']}"]
    lines += [change["text"] for change in told["changes"]] or ["gold is unchanged"]
    if told["version"] != told["version_before"]:
        lines.append(f"version {told['version_before']} → {told['version']}")
    return "\n".join([*lines, gold])


def reviews_messages(told: Mapping[str, Any], root: Path) -> list[str]:
    """What a person has to do or know after reviews were taken, one thing a line."""
    lines = [
        f"set aside: {'; '.join(record['faults'])} (project {record['project']}, "
        f"task {record['task']})"
        for record in told["set_aside"]
    ]
    lines += [
        f"{lost['document']}: {lost['attribute']} {lost['value']} was lost as its span moved from "
        f"{lost['was'][0]}–{lost['was'][1]}; decide {lost['item']}"
        for lost in told["lost"]
    ]
    lines += [f"gold: {fault}" for fault in told["faults"]]
    lines += [f"settles nothing: {name}; remove it from the decisions" for name in told["unused"]]
    if told["refreeze"]:
        cure = f"freeze the corpus again: toolkit check --freeze {root}"
        lines.append(f"{root}: is not what SHA256SUMS says any more; {cure}")
    return lines


# ── the corpus's version ────────────────────────────────────────────────────────────────────────

_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")


def next_patch(corpus: Corpus) -> str:
    """The corpus's version with its patch number raised. Raises `UsageError` where it has none."""
    found = _VERSION.fullmatch(corpus.info.version)
    if not found:
        what = f"{corpus.root / 'corpus.yaml'}: version {corpus.info.version!r} has no patch number"
        raise UsageError(f"{what}; gold changes, so name the new one: --version X.Y.Z")
    major, minor, patch = map(int, found.groups())
    return f"{major}.{minor}.{patch + 1}"


def with_version(path: Path, version: str) -> str:
    """The text of a `corpus.yaml` with another version and not a byte changed beside it.

    Raises `UsageError` where the version does not stand on a line of its own.
    """
    from toolkit.corpus import CorpusInfo

    info, lines = files.read_yaml_lines(path, CorpusInfo)
    text = files.read_text(path)
    # Both kinds of line end, and all that YAML takes for one.
    rows = text.splitlines(keepends=True)
    stated = lines.get(("version",))
    row = (stated or lines["name",]) - 1
    written = re.compile(rf"(version: +)([\"']?){re.escape(info.version)}\2(?=\s|$)")
    if stated and written.match(rows[row]):
        rows[row] = written.sub(rf'\1"{version}"', rows[row])
    elif not stated and rows[row].startswith("name:"):
        ending = rows[row][len(rows[row].rstrip("\r\n")) :] or "\n"
        rows.insert(row, f'version: "{version}"{ending}')
    else:
        what = f"{path}:{row + 1}: its version does not stand on a line of its own"
        raise UsageError(f"{what}; write there: version: {version}")
    return "".join(rows)
