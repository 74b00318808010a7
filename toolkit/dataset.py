"""Gold to a Hugging Face dataset: typed parquet, one tag column per layer, a card made from the data.

    <folder>/
      README.md                      the card, with the configurations
      data/<split>-00000-of-00001.parquet      everything: text, zones, spans, relations, tokens, tags
      <layer>/<split>-00000-of-00001.parquet   `tokens` and `ner_tags`, what training scripts expect
      schema.yaml, corpus.json       what the labels mean, and which data this is

Opens with `datasets.load_dataset(folder)`. Tokens are cut here, once, and kept. A gold span that cuts
a token is an error with a list of offenders, never a silent drop. The same gold gives the same bytes.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit import files
from toolkit.adjudication import Agreement
from toolkit.corpus import SPLITS, Corpus, CorpusInfo
from toolkit.errors import DiskError, Fault, IntegrityError, InvalidDataError, UsageError
from toolkit.schema import ZONES, Attribute, Layer, Schema
from toolkit.spans import Annotation, Document, Relation, Span, Token, Zone, cut_spans, to_tags

if TYPE_CHECKING:
    from datasets import Dataset, Features

__all__ = ["SPLITS", "Built", "build", "load"]

Reading = tuple[Document, Annotation]


@dataclass(frozen=True)
class Built:
    """A dataset on disk, read back: for each split, documents with tokens and their gold."""

    path: Path
    schema: Schema
    splits: Mapping[str, tuple[Reading, ...]]
    facts: Mapping[str, Any]

    @property
    def counts(self) -> dict[str, Counter[str]]:
        """Documents, words, tokens and spans by label, of each split."""
        return {split: _count(readings) for split, readings in self.splits.items()}


def build(
    corpus: Corpus,
    gold: Iterable[Annotation],
    output: Path,
    *,
    tokenize: Callable[[Document, str], tuple[Token, ...]],
    tokenizer: str,
    agreements: Sequence[Agreement] = (),
    version: str = "",
) -> Built:
    """Write the dataset of a corpus's gold, whole or not at all, and read it back.

    Raises `InvalidDataError` listing every gold span that cuts a token, and every fault of the
    splits; `UsageError` when `output` holds anything that is no part of a dataset of ours;
    `DiskError` when it cannot be written. In every case what was there stays.
    """
    _check_replaceable(output)
    splits = _split(corpus, gold, tokenize)
    facts = {
        "name": corpus.name,
        "version": corpus.info.version,
        "sha256": corpus.sha256,
        "schema": f"{corpus.schema.name} {corpus.schema.version}",
        "schema_sha256": corpus.schema.sha256,
        "tokenizer": tokenizer,
        "toolkit": version,
        "documents": {split: len(readings) for split, readings in splits.items()},
    }
    place = output.resolve()
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=f".{place.name}.") as temporary:
            folder = Path(temporary) / "dataset"
            folder.mkdir()
            _write(folder, corpus, splits, facts, agreements)
            _exchange(folder, place)
    except OSError as error:
        cure = "free some space or choose another folder"
        raise DiskError(
            f"{output}: cannot be written ({error.strerror or error}); {cure}"
        ) from error
    return load(output)


def load(path: Path) -> Built:
    """The dataset in this folder, as `build` wrote it.

    Gold comes back with spans, attributes and relations; provenance stays in the corpus. Raises
    `UsageError` when there is no dataset, `IntegrityError` when it is not what was written.
    """
    if not (path / "corpus.json").is_file():
        raise UsageError(
            f"{path}: no dataset here (no corpus.json); make one: toolkit build -o {path}"
        )
    schema = Schema.load(path / "schema.yaml")
    facts = files.read_json(path / "corpus.json")
    try:
        sizes = {
            split: facts["documents"][split] for split in SPLITS if split in facts["documents"]
        }
    except (KeyError, TypeError) as error:
        raise _damaged(path / "corpus.json", "does not say how many documents there are") from error
    splits = {split: _read(path / "data" / _shard(split), schema) for split in sizes}
    for split, readings in splits.items():
        if len(readings) != sizes[split]:
            what = f"holds {len(readings)} documents instead of {sizes[split]}"
            raise _damaged(path / "data" / _shard(split), what)
    return Built(path, schema, splits, facts)


def _damaged(path: Path, what: str) -> IntegrityError:
    return IntegrityError(f"{path}: {what}; build the dataset again")


# ── splits and alignment ────────────────────────────────────────────────────────────────────────


def _split(
    corpus: Corpus,
    gold: Iterable[Annotation],
    tokenize: Callable[[Document, str], tuple[Token, ...]],
) -> dict[str, list[Reading]]:
    splits, texts = corpus.splits(), corpus.texts
    result: dict[str, list[Reading]] = {split: [] for split in SPLITS}
    faults: list[Fault] = []
    gold = list(gold)
    if not gold:
        place = str(corpus.path_of("gold"))
        raise InvalidDataError([Fault(place, 0, "no documents", "adjudicate some first", "empty")])
    for annotation in sorted(gold, key=lambda annotation: annotation.document):
        document = texts[annotation.document]
        document = replace(document, tokens=tokenize(document, corpus.schema.language))
        faults += _cut_faults(document, annotation, str(corpus.path_of("gold")))
        split = splits.of(document.story)
        if split is not None:
            result[split].append((document, annotation))
    if faults:
        raise InvalidDataError(faults)
    return {split: readings for split, readings in result.items() if readings}


def _cut_faults(document: Document, annotation: Annotation, place: str) -> list[Fault]:
    faults = []
    for span in cut_spans(annotation.spans, document.tokens):
        inside = next(
            (t for t in document.tokens if t[0] < span.start < t[1] or t[0] < span.end < t[1]), None
        )
        token = repr(document.text[slice(*inside)]) if inside else "white space"
        surface = document.text[span.start : span.end]
        what = f"{document.id}: {span.label} {span.start}–{span.end} {surface!r} cuts {token}"
        faults.append(Fault(place, 0, what, "move the span's edge to the token's", "cuts-token"))
    return faults


def _count(readings: Iterable[Reading]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for document, annotation in readings:
        counts["documents"] += 1
        counts["words"] += len(document.text.split())
        counts["tokens"] += len(document.tokens)
        counts["relations"] += len(annotation.relations)
        counts.update(span.label for span in annotation.spans)
    return counts


# ── rows ────────────────────────────────────────────────────────────────────────────────────────


def _row(document: Document, annotation: Annotation, schema: Schema, canary: str) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": document.id,
        "event": document.event,
        "source": document.source,
        "genre": document.genre,
        "published": document.published,
        "text": document.text,
        "zones": [{"start": z.start, "end": z.end, "zone": z.zone} for z in document.zones],
    }
    for layer in schema.layers:
        row[layer.name] = [_span_row(span, layer, schema) for span in annotation.layer(layer.names)]
    row["relations"] = [
        {"type": r.type, "head": r.head, "tail": r.tail} for r in annotation.relations
    ]
    row["tokens"] = [document.text[start:end] for start, end in document.tokens]
    row["token_offsets"] = [{"start": start, "end": end} for start, end in document.tokens]
    for layer in schema.layers:
        row[f"{layer.name}_tags"] = to_tags(annotation.layer(layer.names), document.tokens)
    row["canary"] = canary
    return row


def _span_row(span: Span, layer: Layer, schema: Schema) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": span.id,
        "start": span.start,
        "end": span.end,
        "label": span.label,
        "text": span.text,
    }
    for attribute in _attributes(layer, schema):
        row[attribute.name] = span.attributes.get(attribute.name, False if attribute.flag else None)
    return row


def _attributes(layer: Layer, schema: Schema) -> list[Attribute]:
    return [a for a in schema.attributes if set(a.labels) & set(layer.names)]


def _features(schema: Schema) -> Features:
    from datasets import ClassLabel, Features, List, Value

    text, number = Value("string"), Value("int32")
    columns: dict[str, Any] = dict.fromkeys(
        ("id", "event", "source", "genre", "published", "text"), text
    )
    columns["zones"] = List({"start": number, "end": number, "zone": ClassLabel(names=list(ZONES))})
    for layer in schema.layers:
        span: dict[str, Any] = {"id": text, "start": number, "end": number}
        span |= {"label": ClassLabel(names=list(layer.names)), "text": text}
        for attribute in _attributes(layer, schema):
            span[attribute.name] = Value("bool") if attribute.flag else text
        columns[layer.name] = List(span)
    types = ClassLabel(names=[relation.name for relation in schema.relations] or ["none"])
    columns["relations"] = List({"type": types, "head": text, "tail": text})
    columns["tokens"] = List(text)
    columns["token_offsets"] = List({"start": number, "end": number})
    for layer in schema.layers:
        columns[f"{layer.name}_tags"] = List(ClassLabel(names=list(layer.tags)))
    columns["canary"] = text
    return Features(columns)


def _flat_features(layer: Layer) -> Features:
    from datasets import ClassLabel, Features, List, Value

    return Features(
        {
            "id": Value("string"),
            "tokens": List(Value("string")),
            "ner_tags": List(ClassLabel(names=list(layer.tags))),
        }
    )


# ── writing and reading ─────────────────────────────────────────────────────────────────────────


def _write(
    folder: Path,
    corpus: Corpus,
    splits: Mapping[str, Sequence[Reading]],
    facts: Mapping[str, Any],
    agreements: Sequence[Agreement],
) -> None:
    from datasets import Dataset

    schema = corpus.schema
    for split, readings in splits.items():
        rows = [_row(*reading, schema, corpus.info.canary) for reading in readings]
        full = Dataset.from_list(rows, features=_features(schema))
        _to_parquet(full, folder / "data" / _shard(split))
        for layer in schema.layers:
            flat = [
                {"id": row["id"], "tokens": row["tokens"], "ner_tags": row[f"{layer.name}_tags"]}
                for row in rows
            ]
            tagged = Dataset.from_list(flat, features=_flat_features(layer))
            _to_parquet(tagged, folder / layer.name / _shard(split))
    source = files.read_text(corpus.schema_path)
    guideline = files.read_yaml(corpus.schema_path, Schema).guideline
    files.write_text(folder / "schema.yaml", source)
    if guideline:
        files.write_text(folder / guideline, schema.guideline)
    files.write_text(folder / "corpus.json", json.dumps(facts, indent=2, ensure_ascii=False) + "\n")
    card = _card(corpus.info, schema, splits, facts, agreements, guideline)
    files.write_text(folder / "README.md", card)


def _to_parquet(dataset: Dataset, path: Path) -> None:
    from pyarrow import parquet

    path.parent.mkdir(exist_ok=True)
    # The table's own metadata holds the features, so the labels come back typed.
    parquet.write_table(dataset.data.table, path, compression="zstd")


def write_columns(
    rows: Mapping[str, Sequence[Any]],
    lists: Mapping[str, tuple[Mapping[str, Sequence[Any]], Sequence[int]]],
    kinds: Mapping[str, type],
    path: Path,
) -> int:
    """Write columns as one parquet file, which `datasets` opens. Gives the number of rows.

    `lists` holds columns of lists of records: the records' fields, flat over all rows, and where each
    row's part ends; `kinds` the type of each field. The file is written whole or not at all.
    """
    import pyarrow
    from pyarrow import parquet

    types = {
        int: pyarrow.int64(),
        float: pyarrow.float64(),
        bool: pyarrow.bool_(),
        str: pyarrow.string(),
    }

    def arrays(fields: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
        return {n: pyarrow.array(values, types[kinds[n]]) for n, values in fields.items()}

    table = arrays(rows)
    for name, (fields, ends) in lists.items():
        made = arrays(fields)
        records = pyarrow.StructArray.from_arrays(list(made.values()), list(made))
        offsets = pyarrow.array([0, *ends], type=pyarrow.int32())
        table[name] = pyarrow.ListArray.from_arrays(offsets, records)
    whole = pyarrow.table(table)
    with files.replacing(path) as temporary:
        parquet.write_table(whole, temporary, compression="zstd")
    return int(whole.num_rows)


def _shard(split: str) -> str:
    return f"{split}-00000-of-00001.parquet"


def _check_replaceable(output: Path) -> None:
    """Only an empty folder or a dataset of ours may be replaced."""
    if output.exists() and not output.is_dir():
        raise UsageError(f"{output}: is a file; name a folder")
    if Path.cwd().is_relative_to(output.resolve()):
        raise UsageError(f"{output}: you are in this folder, so it cannot be replaced; leave it")
    found = {path.relative_to(output) for path in output.rglob("*") if not path.is_dir()}
    strangers = sorted(found - _parts(output))
    if strangers:
        what = f"holds something else than a dataset ({strangers[0]})"
        raise UsageError(f"{output}: {what}; choose another folder")


def _parts(output: Path) -> set[Path]:
    """The files of the dataset in this folder, if there is one."""
    if not (output / "corpus.json").is_file():
        return set()
    try:
        schema = files.read_yaml(output / "schema.yaml", Schema)
    except (InvalidDataError, UsageError):
        return set()
    folders = ["data", *(layer.name for layer in schema.layers)]
    names = {"README.md", "corpus.json", "schema.yaml", schema.guideline}
    return set(map(Path, names)) | {Path(f, _shard(split)) for f in folders for split in SPLITS}


def _exchange(new: Path, output: Path) -> None:
    """Put the new folder in the place of the old one, which goes with the temporary folder."""
    old = new.with_name("replaced")
    if output.exists():
        output.rename(old)
    try:
        new.rename(output)
    except BaseException:
        if old.exists():
            old.rename(output)
        raise


def _read(path: Path, schema: Schema) -> tuple[Reading, ...]:
    from datasets import Dataset
    from pyarrow import ArrowException, parquet

    # Straight from the file: load_dataset keeps a cache and, online, counts the download.
    try:
        dataset = Dataset(parquet.read_table(path))
        return tuple(_reading(row, dataset.features, schema) for row in dataset)
    except (OSError, ArrowException, KeyError, AttributeError) as error:
        raise _damaged(path, "is not what was written") from error


def _reading(row: Mapping[str, Any], features: Any, schema: Schema) -> Reading:
    zone_name = features["zones"].feature["zone"].int2str
    document = Document(
        row["id"],
        row["text"],
        row["event"],
        row["source"],
        row["genre"],
        row["published"],
        tuple(Zone(z["start"], z["end"], zone_name(z["zone"])) for z in row["zones"]),
        tuple((t["start"], t["end"]) for t in row["token_offsets"]),
    )
    spans: list[Span] = []
    for layer in schema.layers:
        label_name = features[layer.name].feature["label"].int2str
        for span in row[layer.name]:
            given = {a.name: span[a.name] for a in _attributes(layer, schema)}
            # A flag is recorded only when true.
            held = {name: value for name, value in given.items() if value not in (None, False)}
            spans.append(
                Span(
                    span["start"],
                    span["end"],
                    label_name(span["label"]),
                    span["id"],
                    span["text"],
                    held,
                )
            )
    type_name = features["relations"].feature["type"].int2str
    relations = tuple(
        Relation(type_name(r["type"]), r["head"], r["tail"]) for r in row["relations"]
    )
    annotation = Annotation(document.id, "gold", tuple(spans), relations)
    return document, annotation.canonical(document.text)


# ── card ────────────────────────────────────────────────────────────────────────────────────────


def _card(
    info: CorpusInfo,
    schema: Schema,
    splits: Mapping[str, Sequence[Reading]],
    facts: Mapping[str, Any],
    agreements: Sequence[Agreement],
    guideline: str,
) -> str:
    counts = {split: _count(readings) for split, readings in splits.items()}
    documents = sum(count["documents"] for count in counts.values())
    layers = [layer.name for layer in schema.layers]
    return files.render(
        "card.md",
        info=info,
        title=info.title or info.name,
        schema=schema,
        counts=counts,
        facts=facts,
        agreements=agreements,
        guideline=guideline,
        layers=layers,
        tag_columns=[f"{layer}_tags" for layer in layers],
        configs=["default", *layers],
        folders=["data", *layers],
        shard=_shard,
        size="n<1K" if documents < 1000 else "1K<n<10K" if documents < 10_000 else "10K<n<100K",
        creators=_creators(info),
        models=[name for name, annotator in info.annotators.items() if annotator.kind == "model"],
    )


def _creators(info: CorpusInfo) -> list[str]:
    """Who annotated, in the words of the Hub."""
    words = {"model": "machine-generated", "person": "expert-generated"}
    kinds = {annotator.kind for annotator in info.annotators.values()}
    return sorted(words[kind] for kind in kinds) or ["other"]
