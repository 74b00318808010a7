"""What commands do for several annotators: documents dealt to each, and how far everybody is."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from toolkit.cli.exchange import looked_at, project_name, push_corpus
from toolkit.cli.terminal import table
from toolkit.errors import UsageError

if TYPE_CHECKING:
    from toolkit.cli.suggesting import Wanted
    from toolkit.corpus import Corpus
    from toolkit.spans import Document
    from toolkit.studio import History, Pulled, Studio
    from toolkit.studio.client import Project
    from toolkit.studio.history import Event
    from toolkit.studio.planning import Suggestions

# ── pushing ─────────────────────────────────────────────────────────────────────────────────────


def push_wanted(
    studio: Studio,
    corpus: Corpus,
    wanted: Wanted,
    *,
    project: str,
    overlap: int = 0,
    annotators: str = "",
    readings: int = 0,
    overwrite: bool = False,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Bring one project, or one per annotator, up to date, and say what was done or would be."""
    if annotators and (overlap or project != MAIN):
        what = "--annotators makes a blind project for each"
        raise UsageError(f"{what}; leave --project and --overlap out")
    if readings and not annotators:
        what = f"--readings {readings}: whose? Name them with --annotators"
        raise UsageError(f"{what}, or use --overlap for one project")
    documents = wanted.documents(corpus)
    suggestions, withheld = wanted.suggested(corpus, documents)
    if annotators:
        told = push_team(
            studio,
            corpus,
            shares(annotators),
            readings,
            documents,
            suggestions=suggestions,
            overwrite=overwrite,
            dry_run=dry_run,
        )
    else:
        told = push_corpus(
            studio,
            corpus,
            project,
            documents=documents,
            suggestions=suggestions,
            overlap=overlap,
            overwrite=overwrite,
            dry_run=dry_run,
        )
    if wanted.doubtful_first:
        told["messages"] += _kept_places(told)
    return told | {"shown": len(suggestions), "withheld": withheld}


def _kept_places(told: Mapping[str, Any]) -> Iterator[str]:
    for part in told.get("projects", [told]):
        there = part["documents"] - part["created"]
        if there:
            what = f"{there} of {part['documents']} documents were there already"
            yield f"{part['project']}: {what} and keep their place"


def pushed_text(told: Mapping[str, Any]) -> str:
    """What a push did: its counts, then the address or who was dealt how much."""
    keys = ("created", "updated", "unchanged", "skipped", "quarantined")
    lines = [", ".join(f"{key} {told[key]}" for key in keys)]
    if told["shown"] or told["withheld"]:
        what = f"suggestions for {told['shown']} documents"
        lines.append(f"{what}, withheld for {told['withheld']} of the control arm")
    lines.append(team_text(told) if "projects" in told else told["url"])
    return "\n".join(line for line in lines if line)


MAIN = "main"
"""The project where none is named."""

COUNTS = ("created", "updated", "unchanged", "skipped", "quarantined", "removed", "suggested")


def shares(given: str) -> dict[str, float]:
    """The annotators of `a1,a2=2`, with the share that each takes. Raises `UsageError`."""
    from toolkit.studio import is_pseudonym

    found: dict[str, float] = {}
    for part in given.split(","):
        name, _, share = part.strip().partition("=")
        if not is_pseudonym(name) or name in found:
            cure = "name each once, in small letters, digits, - and _, as a1,a2,a3 or a1=2,a2=1"
            raise UsageError(f"--annotators {given}: {name!r} is no new pseudonym; {cure}")
        if share and not (share.isdecimal() and int(share) > 0):
            what = f"--annotators {given}: {name} cannot take {share!r} shares"
            raise UsageError(f"{what}; give a whole number from 1")
        found[name] = int(share or 1)
    return found


def push_team(
    studio: Studio,
    corpus: Corpus,
    annotators: Mapping[str, float],
    readings: int,
    documents: Sequence[Document],
    *,
    suggestions: Suggestions | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Bring one blind project per annotator up to date, and say what was done or would be.

    Each document gets so many `readings`; 0 lets everybody read everything. What annotators have been
    dealt before stays theirs.
    """
    from toolkit.studio import deal

    if readings > len(annotators):
        what = f"--readings {readings}: there are {len(annotators)} annotators"
        raise UsageError(f"{what}; name more of them, or ask for fewer readings")
    held = _held(studio, corpus, annotators)
    names = [document.id for document in documents]
    dealt = deal(names, annotators, readings or len(annotators), held)
    texts = corpus.texts
    projects = [
        push_corpus(
            studio,
            corpus,
            annotator,
            documents=[texts[name] for name in dealt[annotator]],
            suggestions=suggestions,
            overwrite=overwrite,
            dry_run=dry_run,
        )
        for annotator in annotators
    ]
    return {
        "documents": len(documents),
        **{key: sum(told[key] for told in projects) for key in COUNTS},
        "projects": projects,
        "messages": [f"{told['project']}: {m}" for told in projects for m in told["messages"]],
        "dry_run": dry_run,
    }


def _held(studio: Studio, corpus: Corpus, annotators: Iterable[str]) -> dict[str, set[str]]:
    """The documents that lie in each annotator's project."""
    from toolkit.studio import find
    from toolkit.studio.planning import by_document

    held: dict[str, set[str]] = {}
    for annotator in annotators:
        for project in find(studio, corpus.name, annotator)[:1]:
            held[annotator] = set(by_document(studio.tasks(project))) if project.tasks else set()
    return held


def team_text(told: Mapping[str, Any]) -> str:
    """Who was dealt how much, as a table."""
    keys = ("project", "documents", "created", "url")
    rows = [[part[key] for key in keys] for part in told["projects"]]
    return table("", ["annotator", "documents", "new", ""], rows)


# ── progress ────────────────────────────────────────────────────────────────────────────────────


def progress_facts(studio: Studio, corpus: Corpus) -> dict[str, Any]:
    """How far each project of the corpus and everybody in it is, by what the server says now.

    In a project, `dealt` counts the readings that are wanted, of which the `open` ones are nobody's yet.
    """
    from toolkit.studio import find

    projects = find(studio, corpus.name)
    if not projects:
        what = f"{studio.url}: no project of {corpus.name!r}"
        raise UsageError(f"{what}; push it first: toolkit push")
    pulled = looked_at(studio, corpus, projects)
    found = [
        _project_facts(project, f"{studio.url}/projects/{project.id}", history, part)
        for project, (history, part) in zip(projects, pulled, strict=True)
    ]
    counts = ("dealt", "done", "skipped", "quarantined", "open")
    return {"projects": found, "total": {key: sum(p[key] for p in found) for key in counts}}


def _project_facts(project: Project, url: str, history: History, part: Pulled) -> dict[str, Any]:
    refused = {record["event"] for record in part.quarantine if "event" in record}
    origin = part.manifest.origin
    events = [event for event in history.live.values() if event.origin == origin]
    states = _states(events, refused)
    readers = Counter(task for _, task in states)
    # What the server cannot export is no longer open, but nobody can see whose it is.
    lost = {record["task"] for record in part.quarantine if "event" not in record}
    taken = readers | Counter(dict.fromkeys(lost, 1))
    counts = Counter(states.values())
    return {
        "project": project_name(project),
        "url": url,
        "documents": project.tasks,
        "readings": project.overlap,
        "dealt": project.tasks * project.overlap,
        "done": counts["done"],
        "skipped": counts["skipped"],
        "quarantined": counts["quarantined"] + len(lost - readers.keys()),
        "open": sum(max(0, project.overlap - n) for n in taken.values())
        + (project.tasks - len(taken)) * project.overlap,
        "annotators": _annotators_facts(events, states),
    }


def _states(events: Iterable[Event], refused: set[str]) -> dict[tuple[str, int], str]:
    """What became of each annotator's task: of several annotations the newest acceptable one counts."""
    states: dict[tuple[str, int], str] = {}
    for event in sorted(events, key=lambda event: (event.written, event.annotation)):
        place = event.annotator, event.task
        if event.id in refused:
            states.setdefault(place, "quarantined")
        else:
            states[place] = "skipped" if event.skipped else "done"
    return states


def _annotators_facts(
    events: Sequence[Event], states: Mapping[tuple[str, int], str]
) -> list[dict[str, Any]]:
    """What each annotator has done, with the median time of a document and the last activity."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for (annotator, _), state in states.items():
        counts[annotator][state] += 1
    told = []
    for annotator in sorted(counts):
        mine = [event for event in events if event.annotator == annotator]
        times = [e.lead_time for e in mine if e.lead_time is not None and not e.skipped]
        told.append(
            {
                "annotator": annotator,
                **{state: counts[annotator][state] for state in ("done", "skipped", "quarantined")},
                "seconds": round(median(times), 1) if times else None,
                "last": max(event.written for event in mine),
            }
        )
    return told


def progress_text(told: Mapping[str, Any]) -> str:
    """Progress as a table: a line for each project, and below it one for everybody who worked in it."""
    head = ["project", "annotator", "dealt", "done", "skipped", "set aside", "open"]
    rows: list[list[object]] = []
    for project in told["projects"]:
        people = project["annotators"]
        alone = people[0] if len(people) == 1 else {}
        rows.append([project["project"], *_row(project, alone)])
        rows += [["", *_row(person, person)] for person in people if not alone]
    if len(told["projects"]) > 1:
        rows.append(["all", *_row(told["total"], {})])
    return table("", [*head, "seconds", "last"], rows)


def _row(counted: Mapping[str, Any], person: Mapping[str, Any]) -> list[object]:
    """Counts, with who it is about; whom a shared project deals a document to is not known before."""
    keys = ("dealt", "done", "skipped", "quarantined", "open")
    seconds, last = person.get("seconds"), str(person.get("last", ""))
    return [
        person.get("annotator", ""),
        *(counted.get(key, "") for key in keys),
        "" if seconds is None else seconds,
        last[:16].replace("T", " "),
    ]
