"""What `toolkit check` does: schemas and corpora checked, gated, frozen, audited, held to a server."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.cli.terminal import figure, table
from toolkit.errors import DamagedError, Fault, InvalidDataError
from toolkit.schema import Schema, Usage, changes
from toolkit.spans import GOLD

if TYPE_CHECKING:
    from toolkit.corpus import Corpus
    from toolkit.studio import Studio
    from toolkit.studio.client import Project

_CURES = {
    "older": "push the schema: toolkit push",
    "edited": "take the change into the schema, or undo it with: toolkit push --overwrite-page",
    "foreign": "see whose page it is before you push",
}


def check_paths(
    paths: Sequence[Path], *, with_gate: bool = False, freeze: bool = False
) -> tuple[dict[str, dict[str, int]], list[Fault]]:
    """What was read of schema files and corpus folders, and every fault found.

    A corpus is gated, and frozen, only when it is otherwise without fault.
    """
    from toolkit import audit, corpus, studio

    checked: dict[str, dict[str, int]] = {}
    faults: list[Fault] = []
    for path in paths:
        if path.is_dir():
            found, counts = corpus.check(path)
            found += studio.verify(path)
            checked[str(path)] = dict(counts)
            if (with_gate or freeze) and not found:
                loaded = corpus.Corpus.load(path)
                if freeze:
                    slices = audit.slices(loaded)
                    loaded.freeze(slices, audit.twins(loaded, slices.get("noisy", ())))
                found = audit.gate(loaded)
            faults += found
            continue
        try:
            checked[str(path)] = {"labels": len(Schema.load(path).labels)}
        except InvalidDataError as error:
            faults += error.faults
    return checked, faults


def refusal(faults: Sequence[Fault]) -> InvalidDataError:
    """The error of these faults. One that lies in a history outweighs the others."""
    damaged = any(Path(fault.place).parent.name == "history" for fault in faults)
    return (DamagedError if damaged else InvalidDataError)(faults)


def server_facts(studio: Studio, roots: Sequence[Path]) -> dict[str, list[dict[str, Any]]]:
    """Each corpus's projects on a server: how their pages stand to the schema, and what it changes.

    A corpus that cannot be loaded is passed over: `check_paths` tells why.
    """
    from toolkit.corpus import Corpus
    from toolkit.studio import find

    told = {}
    for root in roots:
        try:
            corpus = Corpus.load(root)
            used = usage(corpus)
        except InvalidDataError:
            continue
        found = find(studio, corpus.name)
        told[str(root)] = [_project_facts(studio, project, corpus, used) for project in found]
    return told


def usage(corpus: Corpus) -> Usage:
    """What the annotations in a corpus's files use of its schema, as they were written."""
    gold = [GOLD] if corpus.path_of(GOLD).is_file() else []
    return Usage.of(a for name in (*corpus.annotators, *gold) for a in corpus.as_written(name))


def _project_facts(studio: Studio, project: Project, corpus: Corpus, used: Usage) -> dict[str, Any]:
    from toolkit.studio.page import drift

    found = drift(project.config, corpus.schema)
    made = changes(found.shape, corpus.schema, used) if found.shape else ()
    return {
        "project": project.title,
        "url": f"{studio.url}/projects/{project.id}",
        "state": found.state,
        "version": found.shape.version if found.shape else "",
        "differences": list(found.differences),
        "changes": [dataclasses.asdict(change) | {"text": str(change)} for change in made],
    }


def server_faults(told: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Fault]:
    """One fault for each project whose page is not the schema's."""
    return [
        Fault(project["url"], 0, f"the labelling page is {state}", _CURES[state], "drift")
        for projects in told.values()
        for project in projects
        if (state := project["state"]) != "same"
    ]


def server_text(told: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """The projects as lines: the state of each page, its differences, and what the schema changes."""
    lines = []
    for path, projects in told.items():
        lines += [f"{path}: no project on the server"] if not projects else []
        for project in projects:
            lines.append(f"{path}: {project['project']}: {project['state']}")
            lines += [f"  page: {difference}" for difference in project["differences"]]
            lines += [f"  {change['text']}" for change in project["changes"]]
    return "\n".join(lines)


def audit_facts(root: Path) -> dict[str, Any]:
    """The audit of a corpus as plain values: how large its parts are, and its figures."""
    from toolkit.audit import audit, composition
    from toolkit.corpus import Corpus

    corpus = Corpus.load(root)
    labels = [label.name for label in corpus.schema.labels]
    parts = [
        dataclasses.asdict(part)
        | {"per_1000_words": {label: part.density(label) for label in labels}}
        for part in composition(corpus)
    ]
    figures = [
        {
            "group": found.group,
            "name": found.name,
            "value": found.value,
            "band": found.band,
            "inside": found.inside,
            "note": found.note,
        }
        for found in audit(corpus)
    ]
    return {"parts": parts, "figures": figures}


def audit_text(path: str, told: Mapping[str, Any]) -> str:
    """An audit as tables, with what lies outside its band marked, and counted at the end."""
    figures = told["figures"]
    judged = [found for found in figures if found["inside"] is not None]
    rows = [
        [
            found["name"],
            figure(found["value"]),
            found["band"],
            {True: "", False: "outside", None: "–"}[found["inside"]],
        ]
        for found in figures
    ]
    outside = sum(not found["inside"] for found in judged)
    head = ["figure", "value", "band", ""]
    end = f"\n{outside} of {len(judged)} figures outside their band"
    return _parts_text(path, told["parts"]) + "\n" + table(f"\n{path}", head, rows) + end


def _parts_text(path: str, parts: Sequence[Mapping[str, Any]]) -> str:
    """How large each part is; behind each count of spans the count per 1,000 words."""
    labels = list(parts[0]["per_1000_words"])
    rows = [
        [
            f"{part['kind']} {part['name']}",
            *(part[key] for key in ("events", "documents", "words")),
            *(
                f"{part['spans'].get(label, 0)} ({part['per_1000_words'][label]:.1f})"
                for label in labels
            ),
            part["relations"],
        ]
        for part in parts
    ]
    head = ["part", "events", "documents", "words", *labels, "relations"]
    return table(f"\n{path}: spans, and per 1,000 words", head, rows)
