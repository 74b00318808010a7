"""Everything a server ever told of annotations, as it was written there: append-only, one fact a line.

    annotations/<corpus>/history/
      <project>.jsonl   events: an annotation as exported, or its retraction
      <project>.json    the manifest: whose project, how much the server counted, what the file holds

An annotation that was edited gives a new event that supersedes the old one; one that was deleted is
retracted; nothing is erased. An event's id is the hash of its content, so that two people who pull the
same annotation write the same line and files of two branches merge by union. Results stay in Label
Studio's own form, unread: what the schema of the day cannot accept is kept all the same, and a
migrated schema reads it anew. E-mail addresses are never in it.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from toolkit import files
from toolkit.errors import DamagedError, Fault, InvalidDataError

__all__ = ["Event", "History", "Manifest", "rivals", "verify"]


@dataclass(frozen=True, slots=True)
class Event:
    """One fact about one annotation on a server, with its line but without the result in it.

    `origin` tells servers' projects apart; `task` and `annotation` are the server's numbers, `written`
    is when the annotation was last written, by the server's clock. `suggested` names the model whose
    suggestions lay before the annotator; `text` is the SHA-256 of the text that was read. `retracted`
    says that the annotation is gone. `content` is the hash of what is said, whenever it was written.
    """

    id: str
    document: str
    annotator: str
    origin: str
    task: int
    annotation: int
    content: str
    written: str = ""
    skipped: bool = False
    lead_time: float | None = None
    suggested: str = ""
    text: str = ""
    retracted: bool = False
    supersedes: str = ""
    line: bytes = b""

    @classmethod
    def of(cls, place: Mapping[str, Any], said: Mapping[str, Any]) -> Event:
        """The event that says this of this place; `_PLACE` names the parts of a place."""
        content = _digest(said)
        identifier = _digest({**place, "content": content})
        line = files.json_line({"id": identifier, **place, "content": content, **said}).encode()
        return replace(files.decode(line, cls), line=line)

    @classmethod
    def read(cls, line: bytes) -> Event:
        """The event of a line. Raises `ValueError`."""
        return replace(files.decode(line, cls), line=line)

    @property
    def place(self) -> tuple[str, int]:
        """Which annotation it speaks of."""
        return self.origin, self.annotation

    @property
    def result(self) -> list[Any]:
        """What was drawn, as Label Studio keeps it."""
        return files.decode(self.line, _Result).result

    @property
    def genuine(self) -> bool:
        """Whether the line is what was once written: its hashes fit, and so does its form."""
        try:
            held = dict(files.decode(self.line, dict[str, Any]))
            place = {name: held.pop(name) for name in _PLACE if name in held}
            del held["id"], held["content"]
            return Event.of(place, held).line == self.line
        except (KeyError, ValueError):
            return False


_PLACE = ("origin", "task", "annotation", "written", "supersedes")


@dataclass(frozen=True, slots=True)
class _Result:
    result: list[Any] = field(default_factory=list)


def _digest(value: Mapping[str, Any]) -> str:
    # Databases differ in how they order keys.
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What was pulled of one project, in numbers that have to add up.

    `tasks` and `annotations` are what the server counted, `untouched` the tasks without annotations; every annotation is read, superseded by a
    newer one of the same person and document, skipped or quarantined. `lines` and `sha256` are of the
    file of events.
    """

    project: str
    origin: str
    tasks: int
    untouched: int
    annotations: int
    read: int
    skipped: int
    superseded: int
    quarantined: int
    lines: int
    sha256: str
    schema: str
    documents: str
    format: int = 1


@dataclass
class History:
    """The events of one project of a corpus. Nothing is read before it is asked for."""

    root: Path
    project: str
    _events: dict[str, Event] | None = field(default=None, repr=False)

    @property
    def path(self) -> Path:
        """The file of events."""
        return self.root / "history" / f"{self.project}.jsonl"

    @property
    def manifest_path(self) -> Path:
        """The file of the manifest."""
        return self.root / "history" / f"{self.project}.json"

    @property
    def manifest(self) -> Manifest | None:
        """The manifest, if the project was ever pulled into the corpus."""
        path = self.manifest_path
        if not path.is_file():
            return None
        try:
            return files.decode(path.read_bytes(), Manifest)
        except ValueError as error:
            raise DamagedError([_manifest_fault(path, error)]) from error

    @property
    def events(self) -> dict[str, Event]:
        """Every event by id, in the order of the file. A line that stands twice counts once."""
        if self._events is None:
            self._events = {}
            if self.path.is_file():
                faults = []
                for number, _, line in files.read_lines(self.path):
                    try:
                        event = Event.read(line)
                    except ValueError as error:
                        faults.append(_line_fault(self.path, number, str(error)))
                        continue
                    self._events[event.id] = event
                if faults:
                    raise DamagedError(faults)
        return self._events

    def refuse_damaged(self) -> None:
        """Raises `DamagedError` unless the file is what was pulled, or a whole merge of such files."""
        manifest = self.manifest
        if manifest and files.sha256(self.path) == manifest.sha256:
            return
        faults = _file_faults(self) + _lost_lines(self, manifest)
        if faults:
            raise DamagedError(faults)

    @property
    def live(self) -> dict[tuple[str, int], Event]:
        """What holds of each annotation now: the newest event that none supersedes, if it is there."""
        superseded = {event.supersedes for event in self.events.values() if event.supersedes}
        found: dict[tuple[str, int], Event] = {}
        for event in self.events.values():
            if event.id in superseded:
                continue
            held = found.get(event.place)
            if held is None or (held.written, held.id) < (event.written, event.id):
                found[event.place] = event
        return {place: event for place, event in found.items() if not event.retracted}

    def add(self, events: Iterable[Event]) -> int:
        """Take new events to the end, to be written by `write`. Gives how many were new."""
        held = self.events
        before = len(held)
        for event in events:
            held.setdefault(event.id, event)
        return len(held) - before

    def write(self, manifest: Manifest) -> Manifest:
        """Write the events, then the manifest that seals them. Old lines stay as they are."""
        files.write_lines(self.path, (event.line for event in self.events.values()))
        sealed = replace(manifest, lines=len(self.events), sha256=files.sha256(self.path))
        files.write_text(self.manifest_path, files.json_line(sealed) + "\n")
        return sealed


def rivals(again: Sequence[Event], others: Iterable[Event]) -> list[Event]:
    """Of annotations that were saved again as they were, those that count among several of one person.

    The newest of them is the person's reading. Of a single one the time makes no difference.
    """
    made: dict[tuple[str, str], set[int]] = defaultdict(set)
    for event in others:
        made[event.annotator, event.document].add(event.annotation)
    return [event for event in again if len(made[event.annotator, event.document]) > 1]


def verify(root: Path) -> list[Fault]:
    """Every fault of a corpus's history: altered, lost or added lines, counts that do not add up."""
    faults: list[Fault] = []
    folder = root / "history"
    # What a killed pull left half-written is called otherwise.
    found = folder.iterdir() if folder.is_dir() else ()
    names = {path.stem for path in found if path.suffix in {".json", ".jsonl"}}
    for name in sorted(names):
        history = History(root, name)
        try:
            faults += _file_faults(history)
            faults += _manifest_faults(history)
        except InvalidDataError as error:
            faults += error.faults
    return faults


def _file_faults(history: History) -> list[Fault]:
    faults: list[Fault] = []
    known: set[str] = set()
    if not history.path.is_file():
        return faults
    for number, _, line in files.read_lines(history.path):
        if line.startswith((b"<<<<<<<", b"=======", b">>>>>>>")):
            what, cure = "a merge was not finished here", "keep the lines of both sides"
            faults.append(Fault(str(history.path), number, what, cure, "merge"))
            continue
        try:
            event = Event.read(line)
        except ValueError as error:
            faults.append(_line_fault(history.path, number, str(error)))
            continue
        if line.endswith(b"\r"):
            what, cure = "the line ends in CRLF", "restore the file with -text in .gitattributes"
            faults.append(Fault(str(history.path), number, what, cure, "line-end"))
        elif not event.genuine:
            what, cure = "the line is not what was pulled", "restore the file from git"
            faults.append(Fault(str(history.path), number, what, cure, "checksum"))
        known.add(event.id)
        if event.supersedes and event.supersedes not in known:
            what = f"it supersedes {event.supersedes}, which does not stand before it"
            cure = "restore the file from git"
            faults.append(Fault(str(history.path), number, what, cure, "missing-event"))
    return faults


def _manifest_faults(history: History) -> list[Fault]:
    manifest, place = history.manifest, str(history.manifest_path)
    if manifest is None:
        what, cure = "no manifest beside the events", "pull again"
        return [Fault(place, 0, what, cure, "manifest")]
    faults = _lost_lines(history, manifest)
    if not faults and files.sha256(history.path) != manifest.sha256:
        lines = _count(history.path)
        what = f"{history.path.name} has {lines} lines that are not the {manifest.lines} it seals"
        cure = "restore it from git; after a merge, pull again to seal both sides"
        faults.append(Fault(place, 0, what, cure, "checksum"))
    parts = manifest.read + manifest.skipped + manifest.superseded + manifest.quarantined
    if parts != manifest.annotations:
        what = f"{parts} annotations are accounted for, of {manifest.annotations} on the server"
        faults.append(Fault(place, 0, what, "pull again", "conservation"))
    return faults


def _lost_lines(history: History, manifest: Manifest | None) -> list[Fault]:
    """A history only ever grows, also when two are merged."""
    lines = _count(history.path)
    if manifest is None or lines >= manifest.lines:
        return []
    what = f"{manifest.lines} lines were pulled, and {lines} are left"
    return [Fault(str(history.path), 0, what, "restore the file from git", "lost-lines")]


def _count(path: Path) -> int:
    return sum(1 for _ in files.read_lines(path)) if path.is_file() else 0


def _manifest_fault(path: Path, error: ValueError) -> Fault:
    if b"<<<<<<<" in path.read_bytes():
        cure = "keep either side, then pull again"
        return Fault(str(path), 0, "a merge was not finished here", cure, "merge")
    cure = "restore it, or delete it and pull again"
    return Fault(str(path), 0, f"not a manifest: {error}", cure, "manifest")


def _line_fault(path: Path, number: int, error: str) -> Fault:
    return Fault(str(path), number, f"not an event: {error}", "restore the file", "invalid-record")
