"""What `toolkit agreement` and `toolkit adjudicate` do with the readings of a corpus."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit import files
from toolkit.cli.terminal import figure, table
from toolkit.errors import Fault, InvalidDataError, UsageError
from toolkit.schema import Schema
from toolkit.spans import GOLD, Document

if TYPE_CHECKING:
    from toolkit.adjudication import Adjudication, Agreement, Decision
    from toolkit.corpus import Corpus

# ── agreement ───────────────────────────────────────────────────────────────────────────────────

PARTS = ("split", "genre", "event")


def agreements(corpus: Corpus, by: str = "") -> dict[str, Any]:
    """How far each pair of annotators agrees, as plain values, on all documents and `by` part."""
    if by and by not in PARTS:
        raise UsageError(f"--by {by}: no such part; choose {', '.join(PARTS)}")
    pairs = _agreements(corpus, corpus.documents)
    if not pairs:
        n = len(corpus.annotators)
        what = f"{corpus.root}: {n} annotator{'' if n == 1 else 's'}"
        raise UsageError(f"{what}; agreement takes two: pull a second reading")
    told: dict[str, Any] = {"pairs": pairs}
    if by:
        grouped: dict[str, list[Document]] = {}
        for document in corpus.documents:
            grouped.setdefault(_part_of(corpus, document, by), []).append(document)
        found = {name: _agreements(corpus, grouped[name]) for name in sorted(grouped)}
        told["by"] = {name: pairs for name, pairs in found.items() if pairs}
    return told


def _part_of(corpus: Corpus, document: Document, by: str) -> str:
    if by == "split":
        return corpus.splits().of(document.story) or "none"
    return (document.genre if by == "genre" else document.story) or "none"


def _agreements(corpus: Corpus, documents: Iterable[Document]) -> list[dict[str, Any]]:
    from toolkit.adjudication import agreement

    wanted = {document.id for document in documents}
    readings = {
        name: [a for a in corpus.annotations(name) if a.document in wanted]
        for name in corpus.annotators
    }
    found = agreement(readings, corpus.schema, spans_only=corpus.spans_only, stories=corpus.stories)
    return [agreement_facts(pair) for pair in found]


def agreement_facts(pair: Agreement) -> dict[str, Any]:
    """An agreement as plain values: counts, and the ratios that follow from them."""

    def counts(part: Any) -> dict[str, Any]:
        return {"f1": part.f1, "both": part.tp, "only_first": part.fn, "only_second": part.fp}

    def interval(name: str) -> dict[str, Any]:
        return {"interval": pair.intervals.get(name)}

    return {
        "annotators": list(pair.annotators),
        "documents": pair.documents,
        "exact": {name: counts(part) | interval(name) for name, part in pair.exact.items()},
        "overlap": {name: counts(part) for name, part in pair.overlap.items()},
        "label_kappa": {name: dataclasses.asdict(k) for name, k in pair.labels.items()},
        "attribute_kappa": {name: dataclasses.asdict(k) for name, k in pair.attributes.items()},
        "relations": counts(pair.relations),
    }


def agreements_text(told: Mapping[str, Any], schema: Schema) -> str:
    """Agreements as tables: each pair's, then the parts'."""
    texts = [_agreement_text(pair, schema) for pair in told["pairs"]]
    if "by" in told:
        texts.append(_by_text(told["by"], schema))
    return "\n\n".join(texts)


def _agreement_text(pair: Mapping[str, Any], schema: Schema) -> str:
    first, second = pair["annotators"]
    head = ["label", "exact F1", "95 %", "overlap F1", "both", f"only {first}", f"only {second}"]
    rows = []
    for name in [*(label.name for label in schema.labels), "all"]:
        exact, overlap = pair["exact"][name], pair["overlap"][name]
        shown = [figure(exact["f1"]), _interval(exact["interval"]), figure(overlap["f1"])]
        rows.append([name, *shown, *_counts(exact)])
    relations = _counts(pair["relations"])
    if any(relations):
        rows.append(["relations", figure(pair["relations"]["f1"]), "", "", *relations])
    kappas = [(f"label in {name}", kappa) for name, kappa in pair["label_kappa"].items()]
    kappas += list(pair["attribute_kappa"].items())
    below = table(
        "Cohen's kappa on matched spans",
        ["", "kappa", "spans", "agreed"],
        [[name, _kappa(k), k["n"], k["agreed"]] for name, k in kappas],
    )
    title = f"{first} and {second}, {pair['documents']} documents"
    return table(title, head, rows) + "\n\n" + below


def _by_text(parts: Mapping[str, Sequence[Mapping[str, Any]]], schema: Schema) -> str:
    labels = [label.name for label in schema.labels]
    rows = [
        [name, " and ".join(pair["annotators"]), pair["documents"]]
        + [figure(pair["exact"][label]["f1"]) for label in [*labels, "all"]]
        for name, pairs in parts.items()
        for pair in pairs
    ]
    return table("exact F1 by part", ["part", "pair", "documents", *labels, "all"], rows)


def _counts(part: Mapping[str, Any]) -> list[int]:
    return [part["both"], part["only_first"], part["only_second"]]


def _kappa(kappa: Mapping[str, Any]) -> str:
    return f"undefined ({kappa['undefined']})" if kappa["value"] is None else figure(kappa["value"])


def _interval(found: tuple[float, float] | None) -> str:
    return f"{figure(found[0])}–{figure(found[1])}" if found else "–"


# ── gold ────────────────────────────────────────────────────────────────────────────────────────


def adjudicate_corpus(corpus: Corpus, decisions: Path | None = None) -> dict[str, Any]:
    """Write gold and what is disputed, and say how much of each there is."""
    settled = settle(corpus, decisions_of(corpus, decisions))
    write_gold(corpus, settled)
    return gold_facts(settled)


def decisions_of(corpus: Corpus, path: Path | None = None) -> list[Decision]:
    """The decisions in this file, else in the corpus's; none where it has no file yet.

    Raises `UsageError` where the named file is missing, `InvalidDataError` where two decide one item.
    """
    from toolkit.adjudication import Decision

    place = path or corpus.root / "decisions.jsonl"
    if path is not None and not place.is_file():
        raise UsageError(f"{place}: no such file; check the path")
    made = files.read_jsonl(place, Decision) if place.is_file() else []
    _refuse_twice(place, made)
    return made


def settle(corpus: Corpus, decisions: Iterable[Decision]) -> Adjudication:
    """What follows from the corpus's readings and these decisions.

    Raises `UsageError` where nobody has read anything yet.
    """
    from toolkit.adjudication import adjudicate

    readings = {name: corpus.annotations(name) for name in corpus.annotators}
    if not readings:
        raise UsageError(f"{corpus.root}: no annotations yet; pull them first: toolkit pull")
    texts, schema = corpus.texts, corpus.schema
    return adjudicate(readings, texts, schema, decisions, spans_only=corpus.spans_only)


def write_gold(corpus: Corpus, settled: Adjudication) -> None:
    """Write gold and what is disputed."""
    corpus.save(GOLD, settled.gold)
    files.write_jsonl(corpus.root / "disputed.jsonl", settled.disputed)


def gold_facts(settled: Adjudication) -> dict[str, Any]:
    """How much is gold, how much of it was decided, and what is open, as plain values."""
    spans = {s.id for a in settled.gold for s in a.spans}
    origins = [source for a in settled.gold for key, source in a.provenance.items() if key in spans]
    return {
        "documents": len(settled.gold),
        "spans": len(origins),
        "agreed": sum(not source.startswith("decided") for source in origins),
        "decided": sum(source.startswith("decided") for source in origins),
        "disputed": len(settled.disputed),
        "unused": list(settled.unused),
    }


def _refuse_twice(path: Path, decisions: Sequence[Any]) -> None:
    seen: set[str] = set()
    faults = []
    for line, decision in enumerate(decisions, start=1):
        if decision.item in seen:
            what = f"a second decision on {decision.item}"
            faults.append(Fault(str(path), line, what, "keep one", "duplicate-id"))
        seen.add(decision.item)
    if faults:
        raise InvalidDataError(faults)
