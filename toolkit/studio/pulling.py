"""Pull: what annotators did on the server, taken into the corpus's history, checked, and read.

The first pull exports every task in parts; a later one asks which changed by the server's own clock,
and exports those. What they say is compared with what the history holds: what changed is added as
events; what is gone is looked for a second time before it is retracted. In the end every annotation
the server counts must be accounted for. Time only says where to look; what an annotation says decides
whether it is new.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from toolkit import files
from toolkit.errors import Fault, UnreachableError, UnusableAnswerError
from toolkit.schema import Schema
from toolkit.spans import Annotation, Document
from toolkit.studio.client import Exported, Made, Project, Studio, Task
from toolkit.studio.history import Event, History, Manifest, rivals
from toolkit.studio.page import TEXT
from toolkit.studio.people import pseudonyms
from toolkit.studio.results import from_result
from toolkit.studio.wire import ATTEMPTS, BrokenError

__all__ = ["Pulled", "pull", "read", "set_aside"]

PART = 200
"""Tasks per export: what the server builds in a fraction of a second."""

PASSES = 4
"""How often a project that changes while it is pulled is looked at anew."""

OVERLAP = 10
"""Seconds that a pull looks back behind the last one: a slow write has an earlier time than its end."""

Progress = Callable[[int, int], None]

Understood = bytes | dict[str, Any]
"""A reading as a line of its annotator's file, or why it is set aside."""


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a pull brought, before anything is written.

    `lines` holds, by annotator and document, each reading that may have changed as a line of the
    annotator's file, or None where it is gone. `quarantine` lists everything of the project that
    cannot be accepted now. `since` is where the next pull has to look from. With `fresh` false nothing
    has changed at all.
    """

    manifest: Manifest
    since: str
    fresh: bool = True
    lines: Mapping[str, Mapping[str, bytes | None]] = field(default_factory=dict)
    quarantine: tuple[dict[str, Any], ...] = ()
    retracted: int = 0
    events: int = 0


def pull(
    studio: Studio,
    project: Project,
    history: History,
    schema: Schema,
    documents: Mapping[str, Document],
    *,
    since: str = "",
    refused: Mapping[str, dict[str, Any]] | None = None,
    new_origin: bool = False,
    progress: Progress = lambda _done, _total: None,
) -> Pulled:
    """Everything that was submitted or skipped in a project, taken into its history in memory.

    `since` is what the last pull of the same history gave, and `refused` what it set aside, by event;
    without them the whole project is looked at. Raises `UnusableAnswerError` when the project is not
    the one that was pulled before, unless `new_origin` says that it is meant to take its place.
    """
    manifest = history.manifest
    origin = _origin(project)
    if manifest and manifest.origin != origin and not new_origin:
        what = f"{studio.url}: project {project.id} is not the one that was pulled before"
        cure = "its server was set up anew? then pull with --new-origin; else check the address"
        raise UnusableAnswerError(f"{what}; {cure}")
    since = _behind(since, studio.wire.seconds()) if since else ""
    now = (origin, *_keys(schema, documents))
    same = manifest is not None and (manifest.origin, manifest.schema, manifest.documents) == now
    if manifest and same and since:
        counted = (project.tasks, project.annotations)
        known = (manifest.tasks, manifest.annotations)
        if counted == known and not studio.tasks(project, data=False, since=since):
            return Pulled(manifest, since, fresh=False, quarantine=tuple((refused or {}).values()))
    history.refuse_damaged()
    job = _Pull(studio, project, history, origin, schema, documents, progress)
    until = job.run(since if same else "")
    touched = job.touched if same and since and refused is not None else None
    reading = read(
        history, schema, documents, touched=touched, refused=refused, known=job.understood
    )
    states = Counter(reading.states[e.id] for e in history.live.values() if e.origin == origin)
    sealed = Manifest(
        project=history.project,
        origin=origin,
        tasks=job.tasks,
        untouched=job.untouched,
        annotations=job.annotations,
        read=states["read"],
        skipped=states["skipped"],
        superseded=states["superseded"],
        quarantined=states["quarantined"] + sum(job.unread.values()),
        lines=len(history.events),
        sha256="",
        schema=now[1],
        documents=now[2],
    )
    unread = [_unexportable(history.project, task, n) for task, n in job.unread.items()]
    return Pulled(
        sealed,
        until,
        lines=reading.lines,
        quarantine=(*reading.quarantine, *unread),
        retracted=job.retracted,
        events=job.added,
    )


def _origin(project: Project) -> str:
    """What tells this project from every other one, on whatever server."""
    return hashlib.sha256(f"{project.id} {project.made}".encode()).hexdigest()[:12]


def _keys(schema: Schema, documents: Mapping[str, Document]) -> tuple[str, str]:
    """What the reading of results depends on: when either changes, everything is read anew."""
    digest = hashlib.sha256()
    for name in sorted(documents):
        digest.update(f"{name}\n{_sha256(documents[name].text)}\n".encode())
    schema_key = f"{schema.name}@{schema.version}:{schema.sha256[:12]}"
    return schema_key, digest.hexdigest()[:12]


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


# ── from the server to the history ──────────────────────────────────────────────────────────────


@dataclass
class _Pull:
    """One pull of one project."""

    studio: Studio
    project: Project
    history: History
    origin: str
    schema: Schema
    documents: Mapping[str, Document]
    progress: Progress
    understood: dict[str, Understood] = field(default_factory=dict)
    """What new events say. There is time for it while the server makes the next part."""
    names: Mapping[int, str] = field(default_factory=dict)
    unread: dict[int, int] = field(default_factory=dict)
    """How many annotations nobody can get at hang on each task that the server cannot export."""
    touched: set[tuple[str, str]] = field(default_factory=set)
    tasks: int = 0
    untouched: int = 0
    annotations: int = 0
    added: int = 0
    retracted: int = 0

    def run(self, since: str) -> str:
        """Bring the history up to date. Gives where the next pull has to look from."""
        emails = self.studio.emails()
        given = pseudonyms(emails.values())
        self.names = {user: given[email] for user, email in emails.items()}
        if not since and not self._live():
            since = self._sweep()
            if since and self._adds_up((), whole=False):
                return since
        for _ in range(PASSES):
            seconds = self.studio.wire.seconds()
            listed = self.studio.tasks(self.project, data=False, since=since)
            until = _until(seconds, (task.changed for task in listed), since)
            self._take(listed, whole=not since)
            if self._adds_up(listed, whole=not since):
                return until
            # What came meanwhile lies after this pass; what slipped past it lies anywhere.
            since = "" if since else until
        what = f"{self.studio.url}: project {self.project.id} changed while it was pulled"
        raise UnusableAnswerError(f"{what}; pull again")

    def _live(self) -> list[Event]:
        return [event for event in self.history.live.values() if event.origin == self.origin]

    def _sweep(self) -> str:
        """Take a whole project by the numbers of its tasks, unlisted, if they lie close together.

        The list takes the server a quarter of the time of the export. Gives where the next look has to
        begin; nothing where everything has to be looked at again.
        """
        numbers = self.studio.numbers(self.project)
        if len(numbers) > 2 * self.project.tasks:
            return ""
        seconds = self.studio.wire.seconds()
        changed = self._bring(numbers)
        return "" if self.unread else _until(seconds, changed, "")

    def _take(self, listed: Sequence[Task], *, whole: bool) -> None:
        """Export what was listed, if it is or was annotated, and take that into the history."""
        mine = {event.task for event in self._live()}
        wanted = [task.id for task in listed if task.annotations or task.id in mine]
        if whole:
            wanted += sorted(mine - {task.id for task in listed})
        self._bring(wanted)

    def _bring(self, wanted: Sequence[int]) -> list[str]:
        """Export tasks and add what they say to the history. Gives when they last changed."""
        live = {event.annotation: event for event in self._live()}
        events: list[Event] = []
        again: list[Event] = []
        seen: set[int] = set()
        changed: list[str] = []
        for exported in self._exported(wanted):
            changed.append(exported.updated_at)
            self.progress(len(changed), len(wanted))
            text = _sha256(str(exported.data.get(TEXT)))
            for made in exported.annotations:
                held = live.get(made.id)
                event = self._event(exported, made, text, held)
                seen.add(made.id)
                if held is None or held.content != event.content:
                    events.append(event)
                elif held.written != event.written:
                    again.append(event)
        events += rivals(again, [*live.values(), *events])
        for event in events:
            self.understood[event.id] = understand(
                self.history.project, event, self.schema, self.documents
            )
        looked_at = set(wanted) - self.unread.keys()
        events += self._retractions(
            [e for e in live.values() if e.task in looked_at and e.annotation not in seen]
        )
        self.touched |= {(event.annotator, event.document) for event in events}
        self.touched |= {(live[e.annotation].annotator, e.document) for e in events if e.supersedes}
        self.added += self.history.add(events)
        return changed

    def _exported(self, tasks: Sequence[int]) -> Iterator[Exported]:
        """Those that are annotated, the next part being fetched while one is worked on."""
        tasks = [task for task in tasks if task not in self.unread]
        parts = [tasks[start : start + PART] for start in range(0, len(tasks), PART)]
        with ThreadPoolExecutor(1) as ahead:
            coming = deque(ahead.submit(self._part, part) for part in parts[:2])
            for part in [*parts[2:], None, None]:
                if coming:
                    yield from coming.popleft().result()
                if part is not None:
                    coming.append(ahead.submit(self._part, part))
        if len(tasks) > 1 and self.unread.keys() >= set(tasks):
            what = f"{self.studio.url}: no task of project {self.project.id} can be exported"
            raise UnreachableError(f"{what}; try again later, or see the server's log")

    def _part(self, tasks: Sequence[int], attempts: int = ATTEMPTS) -> list[Exported]:
        """Some tasks. Where one breaks the export for all, it is found and set aside."""
        try:
            return self.studio.export(self.project, tasks, annotated=True, attempts=attempts)
        except BrokenError:
            if len(tasks) == 1:
                if self.studio.readable(tasks[0]):
                    raise
                self.unread[tasks[0]] = 0
                return []
            half = len(tasks) // 2
            return self._part(tasks[:half], 1) + self._part(tasks[half:], 1)

    def _event(self, task: Exported, made: Made, text: str, held: Event | None) -> Event:
        annotator = self.names.get(made.completed_by or 0, "")
        if not annotator and held is not None:
            annotator = held.annotator  # The user has left; what they were called is known.
        said: dict[str, Any] = {"document": _name(task), "annotator": annotator, "text": text}
        if made.was_cancelled:
            said["skipped"] = True
        if made.lead_time is not None:
            said["lead_time"] = made.lead_time
        if made.prediction and made.prediction.model_version:
            said["suggested"] = made.prediction.model_version
        return Event.of(
            self._place(task.id, made.id, made.updated_at, held),
            said | {"result": made.result or []},
        )

    def _place(
        self, task: int, annotation: int, written: str, held: Event | None
    ) -> dict[str, Any]:
        place = {"origin": self.origin, "task": task, "annotation": annotation, "written": written}
        return place | {"supersedes": held.id} if held else place

    def _retractions(self, missing: Sequence[Event]) -> Iterator[Event]:
        """What a second look does not find either is gone."""
        if not missing:
            return
        tasks = sorted({event.task for event in missing})
        there = {made.id for task in self._exported(tasks) for made in task.annotations}
        for event in missing:
            if event.annotation in there or event.task in self.unread:
                continue
            self.retracted += 1
            place = self._place(event.task, event.annotation, event.written, event)
            said = {"document": event.document, "annotator": event.annotator, "retracted": True}
            yield Event.of(place, said)

    def _adds_up(self, listed: Sequence[Task], *, whole: bool) -> bool:
        """Whether the history now holds as many annotations as the server counts."""
        held = Counter(event.task for event in self._live())
        now = self.studio.project(self.project.id)
        self.tasks, self.untouched = now.tasks, now.tasks - len(held)
        self.annotations = held.total()
        if not whole:
            return not self.unread and self.annotations == now.annotations
        counted = {task.id: task.annotations for task in listed}
        for task in self.unread:
            self.unread[task] = max(0, counted.get(task, 0) - held[task])
        self.annotations += sum(self.unread.values())
        # The list is the last word, but for what cannot be looked at.
        expected = sum(n for task, n in counted.items() if task not in self.unread)
        expected += sum(n + held[task] for task, n in self.unread.items())
        return self.annotations == expected and len(listed) == now.tasks


def _name(task: Exported) -> str:
    name = task.data.get("document")
    return name if isinstance(name, str) else ""


def _time(moment: datetime) -> str:
    """A time as the server writes it, to the microsecond, which it insists on."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _behind(since: str, seconds: float) -> str:
    """Where to look from, if that lies behind the server's clock, which may have been put back."""
    # Answers tell whole seconds only.
    now = datetime.fromtimestamp(seconds, UTC) + timedelta(seconds=1)
    return "" if seconds and since > _time(now) else since


def _until(seconds: float, changed: Iterable[str], since: str) -> str:
    """Where the next pull has to look from, given the server's clock and changes told after it.

    Never beyond the last change that was told: what stamps changes may have another clock than what
    answers, and an edit is seen by its time alone.
    """
    try:
        latest = max(map(datetime.fromisoformat, changed))
    except ValueError:
        return since  # Nothing was told, or without times.
    overlap = timedelta(seconds=OVERLAP)
    if not seconds:
        return max(since, _time(latest - overlap))
    return max(since, _time(min(datetime.fromtimestamp(seconds, UTC) - overlap, latest)))


# ── from the history to readings ────────────────────────────────────────────────────────────────


@dataclass
class Reading:
    """A project's history as it reads under one schema: one reading per annotator and document.

    `states` says of each live event whether it is `read`, `skipped`, `superseded` by a newer one of the
    same annotator, or `quarantined`.
    """

    lines: dict[str, dict[str, bytes | None]] = field(default_factory=lambda: defaultdict(dict))
    quarantine: list[dict[str, Any]] = field(default_factory=list)
    states: dict[str, str] = field(default_factory=dict)


def read(
    history: History,
    schema: Schema,
    documents: Mapping[str, Document],
    *,
    touched: Collection[tuple[str, str]] | None = None,
    refused: Mapping[str, dict[str, Any]] | None = None,
    known: Mapping[str, Understood] | None = None,
) -> Reading:
    """What the history says under this schema: the newest acceptable reading of each annotator.

    With `touched`, only the readings of these annotators and documents are read anew, and of the rest
    `refused` says what was set aside. What is `known` of events need not be found out. Overlaps inside
    a layer are kept, as annotators drew them; adjudication settles them. Who made an annotation is
    unknown when the user was gone before it was first pulled, so that it is set aside.
    """
    refused, known = refused or {}, known or {}
    found = Reading()
    groups: dict[tuple[str, str], list[Event]] = defaultdict(list)
    for event in sorted(history.live.values(), key=lambda event: (event.task, event.annotation)):
        groups[event.annotator, event.document].append(event)
    for key, events in groups.items():
        anew = touched is None or key in touched
        accepted: list[tuple[Event, bytes]] = []
        for event in events:
            said = known.get(event.id) or refused.get(event.id) or b""
            if anew and event.id not in known:
                said = understand(history.project, event, schema, documents)
            if isinstance(said, bytes):
                accepted.append((event, said))
            else:
                found.quarantine.append(said)
                found.states[event.id] = "quarantined"
        _choose(found, key, accepted, anew=anew and key[1] in documents)
    for event in history.events.values():
        key = event.annotator, event.document
        anew = touched is None or key in touched
        if anew and event.retracted and key not in groups and event.annotator:
            found.lines[event.annotator][event.document] = None
    return found


def _choose(
    found: Reading, key: tuple[str, str], accepted: Sequence[tuple[Event, bytes]], *, anew: bool
) -> None:
    """Take the newest of one annotator's acceptable annotations of one document."""
    ordered = sorted(accepted, key=lambda pair: (pair[0].written, pair[0].annotation))
    for event, _ in ordered[:-1]:
        found.states[event.id] = "superseded"
    annotator, document = key
    if not ordered:
        if anew and annotator:
            found.lines[annotator][document] = None
        return
    event, line = ordered[-1]
    found.states[event.id] = "skipped" if event.skipped else "read"
    if anew:
        found.lines[annotator][document] = line


def understand(
    project: str, event: Event, schema: Schema, documents: Mapping[str, Document]
) -> Understood:
    """What an event says: a line of its annotator's file, or the record of why it is set aside."""
    annotation, faults = _read(event, schema, documents)
    if faults:
        return set_aside(project, event, faults)
    canonical = annotation.canonical(documents[event.document].text)
    return files.json_line(canonical).encode()


def _read(
    event: Event, schema: Schema, documents: Mapping[str, Document]
) -> tuple[Annotation, list[Fault]]:
    place = f"task {event.task}, annotation {event.annotation}"
    name = event.document
    document = documents.get(name)
    refused = Annotation(name)
    if document is None:
        what, cure = f"no document {name!r} in the corpus", "add it, or remove the task"
        return refused, [Fault(place, 0, what, cure, "unknown-document")]
    if event.text != _sha256(document.text):
        what, cure = f"{name}: the task's text is not the document's", "push before annotating"
        return refused, [Fault(place, 0, what, cure, "text-changed")]
    if not event.annotator:
        what, cure = f"{name}: its user is gone from the server", "have it annotated again"
        return refused, [Fault(place, 0, what, cure, "unknown-annotator")]
    if event.skipped:
        # What had been drawn before the document was skipped is no reading of it.
        return Annotation(name, event.annotator, skipped=True, lead_time=event.lead_time), []
    annotation, faults = from_result(event.result, schema, document, place=place)
    found = replace(annotation, annotator=event.annotator, lead_time=event.lead_time)
    return replace(found, suggested=event.suggested), faults


def set_aside(project: str, event: Event, faults: Sequence[Fault]) -> dict[str, Any]:
    """The record of an annotation that cannot be accepted, with its reasons."""
    return {
        "project": project,
        "task": event.task,
        "annotation": event.annotation,
        "document": event.document,
        "annotator": event.annotator,
        "rules": sorted({fault.rule for fault in faults}),
        "faults": [fault.what for fault in faults],
        "event": event.id,
    }


def _unexportable(project: str, task: int, annotations: int) -> dict[str, Any]:
    what = f"the server cannot export task {task}, so {annotations} annotations are out of reach"
    return {"project": project, "task": task, "rules": ["unexportable"], "faults": [what]}
