"""What push and pull do between a corpus and its projects on a server."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit import files
from toolkit.cli.terminal import progress
from toolkit.errors import DiskError, UsageError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from toolkit.corpus import Corpus
    from toolkit.spans import Document
    from toolkit.studio import History, Pulled, Studio
    from toolkit.studio.client import Project
    from toolkit.studio.planning import Suggestions

PULL_COUNTS = ("tasks", "untouched", "annotations", "read", "superseded")


def push_corpus(
    studio: Studio,
    corpus: Corpus,
    project: str,
    *,
    documents: Sequence[Document] | None = None,
    suggestions: Suggestions | None = None,
    overlap: int = 0,
    overwrite: bool = False,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Bring a project up to date with a corpus, and say what was done or would be.

    `documents` are those of the corpus that are sent, in the order in which they are annotated; all of
    them when it is left out.
    """
    from toolkit.cli.checks import usage
    from toolkit.studio import push

    documents = corpus.documents if documents is None else documents
    with progress(f"pushing {project}") as advance:
        done = push(
            studio,
            corpus.name,
            project,
            corpus.schema,
            corpus.documents if documents is None else documents,
            suggestions=suggestions,
            overlap=overlap,
            used=lambda: usage(corpus),
            overwrite=overwrite,
            dry_run=dry_run,
            progress=advance,
        )
    messages = [f"set aside: {fault}" for fault in done.faults]
    messages += _same_texts(corpus)
    messages += [f"schema: {change}" for change in done.changes]
    if done.resumed:
        messages.append("an earlier push was interrupted; this one looked at everything again")
    return {
        "project": done.project,
        "url": done.url,
        "documents": len(documents),
        "created": done.created,
        "updated": done.updated,
        "unchanged": done.unchanged,
        "skipped": done.skipped,
        "quarantined": done.quarantined,
        "removed": done.removed,
        "suggested": done.suggested,
        "schema_updated": done.schema_updated,
        "resumed": done.resumed,
        "messages": messages,
        "dry_run": dry_run,
    }


def _same_texts(corpus: Corpus) -> list[str]:
    """What is worth a look: documents that read alike, as each of them would be annotated."""
    first: dict[str, str] = {}
    return [
        f"{document.id}: has the very text of {first[document.text]}; take one out if that is no purpose"
        for document in corpus.documents
        if first.setdefault(document.text, document.id) != document.id
    ]


def pull_corpus(
    studio: Studio,
    corpus: Corpus,
    project: str = "",
    *,
    dry_run: bool = False,
    new_origin: bool = False,
) -> dict[str, Any]:
    """Bring a corpus's annotations into its files, and say how many came, changed or stayed.

    Everything is fetched and checked before the first file is touched. The history is written first and
    sealed by its manifest, then the annotators' files that follow from it.
    """
    projects = annotators_projects(studio, corpus, project)
    with alone_with(corpus):
        return _pull(studio, corpus, projects, dry_run=dry_run, new_origin=new_origin)


def annotators_projects(studio: Studio, corpus: Corpus, project: str = "") -> list[Project]:
    """The corpus's projects in which annotators read, or the one of this name.

    Raises `UsageError` where there is none, and for a project of reviewers.
    """
    from toolkit.studio import REVIEWS, find

    if project in REVIEWS:
        what = f"project {project!r}: holds reviews, which are nobody's own reading"
        raise UsageError(f"{what}; take them as decisions: toolkit adjudicate --pull")
    named: dict[str, Project] = {}
    for made in find(studio, corpus.name, project):
        # Where two machines made a project at once, push goes on with the older one.
        named.setdefault(project_name(made), made)
    found = [made for name, made in named.items() if name not in REVIEWS]
    if not found:
        name = f"{corpus.name}/{project}" if project else corpus.name
        raise UsageError(f"{studio.url}: no project of {name!r}; push it first: toolkit push")
    return found


def alone_with(corpus: Corpus) -> AbstractContextManager[None]:
    """A lock on the corpus's files: one pull at a time writes them."""
    from toolkit.studio.lock import alone

    return alone(files.home() / "locks" / _hash(str(corpus.root.resolve())), f"pull {corpus.name}")


def _pull(
    studio: Studio,
    corpus: Corpus,
    projects: Sequence[Project],
    *,
    dry_run: bool,
    new_origin: bool,
) -> dict[str, Any]:
    held = quarantine(corpus.root)
    pulled = list(looked_at(studio, corpus, projects, new_origin=new_origin))
    fresh = [(history, part) for history, part in pulled if part.fresh]
    lines = _merged((history.project, part.lines) for history, part in fresh)
    _keep_read_elsewhere(corpus.root, lines, {history.project for history, _ in fresh})
    counts: Counter[str] = Counter()
    for annotator, found_lines in lines.items():
        corpus.merge(annotator, found_lines, dry_run=True)  # Refuses what it cannot read.
    sealed = {history.project: part.manifest for history, part in pulled}
    if not dry_run:
        for history, part in fresh:
            sealed[history.project] = history.write(part.manifest)
    for annotator, found_lines in lines.items():
        counts += corpus.merge(annotator, found_lines, dry_run=dry_run)
    refused = {history.project: list(part.quarantine) for history, part in pulled}
    if not dry_run:
        write_quarantine(corpus.root, {**held, **refused})
        for history, part in pulled:
            remember(studio, corpus.root, history, part.since)
    manifests = list(sealed.values())
    readings = sum(manifest.read + manifest.skipped for manifest in manifests)
    return {
        "created": counts["created"],
        "updated": counts["updated"],
        "unchanged": readings - counts["created"] - counts["updated"],
        "skipped": sum(manifest.skipped for manifest in manifests),
        "quarantined": sum(manifest.quarantined for manifest in manifests),
        "retracted": sum(part.retracted for _, part in pulled),
        **{name: sum(getattr(manifest, name) for manifest in manifests) for name in PULL_COUNTS},
        "annotators": sorted(corpus.annotators),
        "projects": {name: asdict(manifest) for name, manifest in sealed.items()},
        "dry_run": dry_run,
    }


def refuse_unwritable(root: Path) -> None:
    """Raises `DiskError` where a pull could not write: before anything is asked of a server.

    The folders of a corpus may be links to elsewhere. A file must not be one: it would be replaced.
    """
    for folder in (files.home(), root, root / "history", root / "annotators"):
        files.refuse_unwritable(folder)
    written = [*(root / "history").glob("*"), *(root / "annotators").glob("*")]
    for path in sorted([*written, root / "quarantine.jsonl"]):
        if path.is_symlink():
            what = f"{path}: is a link, which a pull would replace by a file"
            raise DiskError(f"{what}; put the file itself there, or link the folder")


def looked_at(
    studio: Studio, corpus: Corpus, projects: Iterable[Project], *, new_origin: bool = False
) -> Iterator[tuple[History, Pulled]]:
    """What a pull of each project would bring, taken into its history in memory. Nothing is written."""
    from toolkit.studio import History, pull

    held, texts = quarantine(corpus.root), corpus.texts
    for found in projects:
        history = History(corpus.root, project_name(found))
        refused = held.get(history.project, [])
        # What could not even be looked at may be all right by now.
        known = all("event" in record for record in refused)
        with progress(f"pulling {history.project}") as advance:
            part = pull(
                studio,
                found,
                history,
                corpus.schema,
                texts,
                since=_since(studio.url, corpus.root, history) if known else "",
                refused={record["event"]: record for record in refused if "event" in record},
                new_origin=new_origin,
                progress=advance,
            )
        yield history, part


def pull_text(told: Mapping[str, Any]) -> str:
    """Where every annotation of the server has gone, in one line a project."""
    lines = []
    for name, sealed in told["projects"].items():
        parts = ("read", "skipped", "superseded", "quarantined")
        sums = " + ".join(f"{sealed[part]} {part}" for part in parts if sealed[part]) or "none"
        whole = f"{sealed['annotations']} annotations of {sealed['tasks']} tasks"
        lines.append(f"{name}: {whole} = {sums}; {sealed['untouched']} tasks untouched")
    return "\n".join(lines)


def project_name(project: Project) -> str:
    """The project's name in its corpus, from the key in its description."""
    return project.description.rpartition("[toolkit:")[2].partition("]")[0].partition("/")[2]


def _merged(
    parts: Iterable[tuple[str, Mapping[str, Mapping[str, bytes | None]]]],
) -> dict[str, dict[str, bytes | None]]:
    """The lines of all projects by annotator; a reading in any of them goes before its absence."""
    merged: dict[str, dict[str, bytes | None]] = {}
    for _, found in parts:
        for annotator, lines in found.items():
            held = merged.setdefault(annotator, {})
            for document, line in lines.items():
                if line is not None or document not in held:
                    held[document] = line
    return merged


def _keep_read_elsewhere(
    root: Path, lines: Mapping[str, dict[str, bytes | None]], pulled: set[str]
) -> None:
    """Let nothing be removed that the annotator's work in another project still says."""
    from toolkit.studio import REVIEWS, History

    if not any(line is None for by in lines.values() for line in by.values()):
        return
    for path in (root / "history").glob("*.jsonl"):
        if path.stem not in pulled and path.stem not in REVIEWS:
            for event in History(root, path.stem).live.values():
                by = lines.get(event.annotator, {})
                if by.get(event.document, b"") is None:
                    del by[event.document]


# ── quarantine ──────────────────────────────────────────────────────────────────────────────────


def quarantine(root: Path) -> dict[str, list[dict[str, Any]]]:
    """What is set aside, by project."""
    path = root / "quarantine.jsonl"
    found: dict[str, list[dict[str, Any]]] = {}
    for record in files.iter_jsonl(path) if path.is_file() else ():
        found.setdefault(str(record.get("project", "")), []).append(record)
    return found


def write_quarantine(root: Path, records: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Write what is set aside, by project; without any there is no file."""
    path = root / "quarantine.jsonl"
    ordered = [record for project in sorted(records) for record in records[project]]
    if ordered:
        files.write_jsonl(path, ordered)
    else:
        path.unlink(missing_ok=True)


# ── where the next pull looks from ──────────────────────────────────────────────────────────────


def _since(url: str, root: Path, history: History) -> str:
    """Where the last pull from here left off, if the corpus's files are as it left them."""
    path = _cursor(url, root, history)
    if not path.is_file():
        return ""
    held = files.read_json(path)
    return str(held.get("since", "")) if held.get("seal") == _seal(root, history) else ""


def remember(studio: Studio, root: Path, history: History, since: str) -> None:
    """Keep where a pull left off, and in which state it left the corpus's files."""
    held = {"seal": _seal(root, history), "since": since}
    files.write_text(_cursor(studio.url, root, history), json.dumps(held), private=True)


def _cursor(url: str, root: Path, history: History) -> Path:
    return files.home() / "pulls" / _hash(f"{url} {root.resolve()} {history.project}")


def _seal(root: Path, history: History) -> str:
    """The state of everything a pull writes: when any of it is another, a pull looks at everything."""
    paths = [history.path, history.manifest_path, root / "quarantine.jsonl"]
    paths += sorted((root / "annotators").glob("*.jsonl"))
    return _hash(" ".join(files.sha256(path) for path in paths))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
