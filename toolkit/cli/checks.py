"""What `toolkit check` does: schemas and corpora checked, gated, frozen and audited."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from toolkit.cli.terminal import figure, table
from toolkit.errors import Fault, InvalidDataError
from toolkit.schema import Schema


def check_paths(
    paths: Sequence[Path], *, with_gate: bool = False, freeze: bool = False
) -> tuple[dict[str, dict[str, int]], list[Fault]]:
    """What was read of schema files and corpus folders, and every fault found.

    A corpus is gated, and frozen, only when it is otherwise without fault.
    """
    from toolkit import audit, corpus

    checked: dict[str, dict[str, int]] = {}
    faults: list[Fault] = []
    for path in paths:
        if path.is_dir():
            found, counts = corpus.check(path)
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
