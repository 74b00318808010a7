"""What several commands and the demo do alike: modules brought together, results as plain values."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit import files
from toolkit.cli.terminal import figure, progress, say, table
from toolkit.errors import Fault, InvalidDataError, UsageError
from toolkit.schema import Schema
from toolkit.spans import GOLD, Annotation, Document, Zone

if TYPE_CHECKING:
    from toolkit.corpus import Corpus
    from toolkit.dataset import Built
    from toolkit.ner import System
    from toolkit.scoring import Ratios, Score


# ── dataset, training, prediction, score ────────────────────────────────────────────────────────


def build_corpus(corpus: Corpus, output: Path, *, allow_disputed: bool = False) -> Built:
    """The dataset of a corpus's gold. Refuses while disputes are open, unless told otherwise."""
    from toolkit import __version__, dataset, ner
    from toolkit.adjudication import agreement
    from toolkit.ner.tokens import TOKENIZER

    if not corpus.path_of(GOLD).is_file():
        raise UsageError(f"{corpus.root}: no gold yet; make it: toolkit adjudicate {corpus.root}")
    disputed = corpus.root / "disputed.jsonl"
    open_items = sum(1 for _ in files.iter_jsonl(disputed)) if disputed.is_file() else 0
    if open_items and not allow_disputed:
        what = f"still disputed: {open_items}, so the gold has gaps"
        cure = "settle them in decisions.jsonl and adjudicate again, or build --allow-disputed"
        raise InvalidDataError([Fault(str(disputed), 0, what, cure, "disputed")])
    readings = {name: corpus.annotations(name) for name in corpus.annotators}
    return dataset.build(
        corpus,
        corpus.annotations(GOLD),
        output,
        tokenize=ner.tokenize,
        tokenizer=TOKENIZER,
        agreements=agreement(
            readings, corpus.schema, spans_only=corpus.spans_only, stories=corpus.stories
        ),
        version=__version__,
    )


def convert_export(export: Path, output: Path, text: str) -> dict[str, Any]:
    """Write a raw export as one parquet file, and count what is in it."""
    from toolkit import dataset, studio
    from toolkit.studio.exports import KINDS

    if output.resolve() == export.resolve():
        raise UsageError(f"{output}: is the input; choose another file")
    found = studio.columns(export, text=text)
    lists = {
        "spans": (found.spans, found.ends["spans"]),
        "answers": (found.answers, found.ends["answers"]),
        "relations": (found.relations, found.ends["relations"]),
    }
    return {
        "output": str(output),
        "annotations": dataset.write_columns(found.rows, lists, KINDS, output),
        "spans": len(found.spans["id"]),
        "relations": len(found.relations["type"]),
        "refused": found.refused,
    }


def load_system(name: str, overrides: Sequence[str] = ()) -> System:
    """The system of this name or path, with `key=value` overrides."""
    from toolkit.ner import System

    path, folder = Path(name), Path("benchmarks/communique/systems")
    if path.suffix != ".yaml":
        here = folder / f"{name}.yaml"
        path = here if here.is_file() else files.resource(str(here))
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in files.resource(str(folder)).glob("*.yaml")))
        raise UsageError(
            f"--system {name}: no such system; known are {known}, or name a .yaml file"
        )
    system = System.load(path)
    changed = dict(system.overrides)
    for override in overrides:
        key, equals, value = override.partition("=")
        if not (equals and key):
            what = "no key" if equals else "no value"
            raise UsageError(f"--set {override}: {what}; write it as training.max_steps=300")
        try:
            changed[key] = json.loads(value)
        except ValueError:
            changed[key] = value
    return dataclasses.replace(system, overrides=changed)


def train_system(
    built: Built, system: System, output: Path, *, seed: int = 0, force: bool = False
) -> dict[str, Any]:
    """Train a system on a dataset, unless the model there was made of the very same things."""
    from toolkit import __version__, ner

    recipe = {
        "data_sha256": built.facts["sha256"],
        "toolkit": __version__,
        "overrides": dict(sorted(system.overrides.items())),
    }
    held = _model_facts(output)
    wanted = recipe | {"system": system.name, "seed": seed}
    if system.weights:
        wanted["weights"] = Path(system.weights).name
    if not force and held and all(held.get(key) == value for key, value in wanted.items()):
        told = {"path": str(output), "trained": False, "steps": held.get("steps", 0)}
        return told | {"best_step": held["best_step"], "validation": held["validation"]}
    if system.weights:
        ner.weights(system.weights, say)
    with progress(f"training {system.name}") as advance:
        trained = ner.train(
            built.splits.get("train", ()),
            built.splits.get("validation", ()),
            built.schema,
            system,
            output,
            seed=seed,
            facts=recipe,
            progress=lambda step, last, _: advance(step, last),
        )
    return {
        "path": str(output),
        "trained": True,
        "steps": trained.steps,
        "best_step": trained.best_step,
        "validation": trained.validation,
    }


def _model_facts(path: Path) -> dict[str, Any]:
    meta = path / "meta.json"
    return dict(files.read_json(meta).get("toolkit", {})) if meta.is_file() else {}


def predict_file(model: Path, source: Path, output: Path, *, processes: int = 1) -> dict[str, Any]:
    """Predict a JSON Lines file into another, record by record, further keys kept."""
    from toolkit import ner

    if not source.exists():
        raise UsageError(f"{source}: no such file; check the path")
    if source.resolve() == output.resolve():
        raise UsageError(f"{output}: is the input; choose another file")
    loaded = ner.load(model)
    counts = {"documents": 0, "spans": 0}

    def records() -> Iterator[dict[str, Any]]:
        inputs = _inputs(source)
        documents = (document for document, _ in inputs[0])
        extras = (extra for _, extra in inputs[1])
        predictions = loaded.predict(documents, processes=processes)
        for annotation, extra in zip(predictions, extras, strict=True):
            counts["documents"] += 1
            counts["spans"] += len(annotation.spans)
            advance(counts["documents"], 0)
            # A record leaves empty fields out; readers of predictions expect spans, be there none.
            first = {"document": annotation.document, "annotator": annotation.annotator}
            yield first | {"spans": []} | files.record(annotation) | extra

    with progress(f"predicting with {loaded.name}") as advance:
        files.write_jsonl(output, records())
    return {"output": str(output), "model": loaded.name, **counts}


def _inputs(source: Path) -> tuple[Iterator[Any], Iterator[Any]]:
    """The documents of a file and their further keys, twice, for one reader each."""
    from itertools import tee

    # What a record says of spans, as gold does, is not the model's word and must not pass for it.
    dropped = {"id", "text", *(f.name for f in dataclasses.fields(Annotation))}

    def read() -> Iterator[tuple[Document, dict[str, Any]]]:
        seen: set[str] = set()
        for line, record in enumerate(files.iter_jsonl(source), start=1):
            document = _input_document(record, source, line)
            if document.id in seen:
                what, cure = f"a second document {document.id!r}", "give each its own id"
                raise InvalidDataError([Fault(str(source), line, what, cure, "duplicate-id")])
            seen.add(document.id)
            yield document, {key: value for key, value in record.items() if key not in dropped}

    first, second = tee(read())
    return first, second


def _input_document(record: Mapping[str, Any], source: Path, line: int) -> Document:
    identifier, text = record.get("id"), record.get("text")
    if not isinstance(identifier, str) or not isinstance(text, str):
        what, cure = "no id or no text", 'write {"id": "…", "text": "…"}'
        raise InvalidDataError([Fault(str(source), line, what, cure, "invalid-record")])
    return Document(identifier, text, zones=_zones(record.get("zones")))


def _zones(value: Any) -> tuple[Zone, ...]:
    """The zones of a corpus's document; under the same key other programs may keep other things."""
    try:
        return tuple(Zone(int(z["start"]), int(z["end"]), str(z["zone"])) for z in value)
    except (TypeError, KeyError, ValueError):
        return ()


def score_files(
    predicted: Path, gold: Path, documents: Path | None, schema: Path | None, split: str
) -> tuple[dict[str, Any], Score]:
    """Score a predictions file or a model against a gold file or a dataset's split."""
    from toolkit import scoring
    from toolkit.corpus import read_predictions

    if not gold.exists():
        what = f"{gold}: no gold file and no dataset here"
        raise UsageError(f"{what}; name one with --gold, or make one: toolkit build")
    read_gold, texts, found_schema = _gold(gold, documents, schema, split)
    if predicted.is_dir():
        from toolkit import ner

        model = ner.load(predicted)
        wanted = [texts[a.document] for a in read_gold if a.document in texts]
        if len(wanted) < len(read_gold):
            raise UsageError("a model needs the texts; name them with --documents")
        predictions = tuple(model.predict(wanted))
    else:
        predictions = read_predictions(predicted, found_schema, texts)
    found = scoring.score(read_gold, predictions, found_schema)
    return score_facts(found), found


def _gold(
    gold: Path, documents: Path | None, schema: Path | None, split: str
) -> tuple[tuple[Annotation, ...], dict[str, Document], Schema]:
    from toolkit.corpus import read_predictions

    if gold.is_dir():
        from toolkit import dataset

        built = dataset.load(gold)
        if split not in built.splits:
            known = ", ".join(built.splits)
            raise UsageError(f"--split {split}: the dataset has {known}")
        readings = built.splits[split]
        texts = {document.id: document for document, _ in readings}
        return tuple(annotation for _, annotation in readings), texts, built.schema
    found = Schema.load(schema or files.resource("schemas/commitments.yaml"))
    beside = gold.parent / "documents.jsonl"
    source = documents or (beside if beside.is_file() else None)
    read = files.read_jsonl(source, Document, lenient=True) if source else []
    texts = {document.id: document for document in read}
    return read_predictions(gold, found, texts), texts, found


def score_facts(found: Score) -> dict[str, Any]:
    """A score as plain values, with what it means."""
    from toolkit import __version__

    return {
        "macro_f1": found.macro_f1,
        "layers": {
            name: {
                "micro": dataclasses.asdict(layer.micro),
                "macro": dataclasses.asdict(layer.macro),
                "per_label": {
                    label: dataclasses.asdict(ratios) for label, ratios in layer.per_label.items()
                },
            }
            for name, layer in found.layers.items()
        },
        "documents": found.documents,
        "signature": found.signature,
        "toolkit": __version__,
    }


def score_text(found: Score) -> str:
    """A score as tables, one per layer."""
    parts = []
    for name, layer in found.layers.items():
        rows = [
            _score_row(label, ratios, label in layer.seen)
            for label, ratios in layer.per_label.items()
        ]
        if len(rows) > 1:
            rows += [_score_row("micro", layer.micro), _score_row("macro", layer.macro)]
        parts.append(table(name, ["label", "precision", "recall", "F1", "support"], rows))
    end = f"macro F1 over all labels: {figure(found.macro_f1)} ({found.documents} documents)"
    return "\n\n".join([*parts, end, found.signature])


def _score_row(name: str, ratios: Ratios, seen: bool = True) -> list[object]:
    shown = [ratios.precision, ratios.recall, ratios.f1]
    return [name, *(figure(value if seen else None) for value in shown), ratios.support]
