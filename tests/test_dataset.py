"""The dataset opens like any other, says exactly what the gold says, and is written whole or not."""

import json
import os
import random
import re
import resource
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from toolkit import files
from toolkit.adjudication import agreement
from toolkit.corpus import Annotator, Corpus
from toolkit.dataset import SPLITS, build, load
from toolkit.errors import DiskError, IntegrityError, InvalidDataError, UsageError
from toolkit.ner import tokens as ner
from toolkit.scoring import score
from toolkit.spans import GOLD, Annotation, Span, from_tags, to_tags

LAYERS = ("commitments", "mentions")
CONFIGURATIONS = ("default", *LAYERS)


@pytest.fixture(scope="module")
def corpus():
    """The corpus that ships."""
    return Corpus.load(files.resource("annotations/communique"))


@pytest.fixture(scope="module")
def gold(corpus):
    """Its gold, by document."""
    return {annotation.document: annotation for annotation in corpus.annotations(GOLD)}


def make(corpus, output, annotations=None, **more):
    """Build the corpus's own gold, or some other readings."""
    annotations = corpus.annotations(GOLD) if annotations is None else annotations
    readings = {name: corpus.annotations(name) for name in corpus.annotators}
    more = {"tokenize": ner.tokenize, "tokenizer": ner.TOKENIZER, "version": "1"} | more
    agreements = agreement(readings, corpus.schema)
    return build(corpus, annotations, output, agreements=agreements, **more)


@pytest.fixture(scope="module")
def built(corpus, tmp_path_factory):
    """The dataset, built once."""
    return make(corpus, tmp_path_factory.mktemp("built") / "dataset")


@pytest.fixture(scope="module")
def opened(built, tmp_path_factory):
    """The three configurations as any user opens them."""
    from datasets import disable_progress_bars, load_dataset

    disable_progress_bars()
    cache = tmp_path_factory.mktemp("cache")
    return {
        name: load_dataset(str(built.path), name, cache_dir=str(cache)) for name in CONFIGURATIONS
    }


def rows(opened, name="default"):
    """Every row of a configuration, with the features of its split."""
    return [(row, split.features) for split in opened[name].values() for row in split]


def tags_of(row, features, column):
    """A row's tags by name."""
    return [features[column].feature.int2str(tag) for tag in row[column]]


def snapshot(folder):
    """Every file of a folder with its bytes."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


# ── what is in it ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_every_configuration_has_the_documents_of_the_splits(opened, corpus, name):
    """Each document once, in the split of its event."""
    splits = corpus.splits()
    assert {split: opened[name][split]["id"][:] for split in SPLITS} == {
        split: [d.id for d in corpus.documents if splits.of(d.event) == split] for split in SPLITS
    }


def test_features_are_typed(opened):
    """Labels, tags, zones and relation types are classes by name; lists are lists of records."""
    from datasets import ClassLabel, List, Value

    features = opened["default"]["train"].features
    text, number = Value("string"), Value("int32")
    span = {"id": text, "start": number, "end": number, "text": text}
    choices = {"kind": text, "status": text, "polarity": text, "specificity": text}
    mentions = ["PARTY", "AMOUNT", "DATE"]
    assert dict(features) == {
        **dict.fromkeys(("id", "event", "source", "genre", "published", "text", "canary"), text),
        "zones": List(
            {
                "start": number,
                "end": number,
                "zone": ClassLabel(names=["headline", "body", "boilerplate"]),
            }
        ),
        "commitments": List(
            span
            | choices
            | {"label": ClassLabel(names=["COMMITMENT"])}
            | {"adverse": Value("bool"), "commitment_id": text}
        ),
        "mentions": List(span | {"label": ClassLabel(names=mentions)}),
        "relations": List(
            {
                "type": ClassLabel(names=["promisor", "beneficiary", "amount", "deadline"]),
                "head": text,
                "tail": text,
            }
        ),
        "tokens": List(text),
        "token_offsets": List({"start": number, "end": number}),
        "commitments_tags": List(ClassLabel(names=["O", "B-COMMITMENT", "I-COMMITMENT"])),
        "mentions_tags": List(
            ClassLabel(names=["O", *(f"{prefix}-{name}" for name in mentions for prefix in "BI")])
        ),
    }


def test_flat_configurations_have_what_training_scripts_expect(opened):
    """`tokens` and `ner_tags`, equal to those of the full rows."""
    full = {row["id"]: row for row, _ in rows(opened)}
    for layer in LAYERS:
        for row, features in rows(opened, layer):
            assert list(features) == ["id", "tokens", "ner_tags"]
            assert row["tokens"] == full[row["id"]]["tokens"]
            assert row["ner_tags"] == full[row["id"]][f"{layer}_tags"]


def test_tag_columns_are_the_tags_of_the_gold_and_decode_back_to_it(opened, corpus, gold):
    """Spans to tags to spans, over the stored tokens, loses nothing."""
    for row, features in rows(opened):
        tokens = [(token["start"], token["end"]) for token in row["token_offsets"]]
        for layer in corpus.schema.layers:
            wanted = gold[row["id"]].layer(layer.names)
            tags = tags_of(row, features, f"{layer.name}_tags")
            assert tags == to_tags(wanted, tokens)
            assert [s.key for s in from_tags(tags, tokens)] == [s.key for s in wanted]


def test_tokens_are_the_text_at_their_offsets(opened, corpus):
    """And they leave out nothing but white space."""
    for row, _ in rows(opened):
        cut = [row["text"][t["start"] : t["end"]] for t in row["token_offsets"]]
        assert row["text"] == corpus.texts[row["id"]].text
        assert row["tokens"] == cut
        assert "".join(cut) == "".join(row["text"].split())


def test_attributes_are_columns_of_their_span(opened, gold):
    """A flag is false where gold has none, a choice is missing where gold has none."""
    for row, _ in rows(opened):
        held = {span["id"]: span for span in row["commitments"]}
        for span in gold[row["id"]].layer(["COMMITMENT"]):
            for name in ("kind", "status", "polarity", "specificity", "commitment_id"):
                assert held[span.id][name] == span.attributes.get(name)
            assert held[span.id]["adverse"] is span.attributes.get("adverse", False)


def test_every_row_carries_the_canary(opened, corpus):
    """So that a training corpus that holds the benchmark can be found out."""
    assert corpus.info.canary
    assert {row["canary"] for row, _ in rows(opened)} == {corpus.info.canary}


# ── reading it back ─────────────────────────────────────────────────────────────────────────────


def test_load_gives_back_the_gold_exactly(built, corpus, gold):
    """Documents, zones, spans with attributes, and relations; provenance stays in the corpus."""
    readings = [reading for split in load(built.path).splits.values() for reading in split]
    assert {document.id: replace(document, tokens=()) for document, _ in readings} == corpus.texts
    assert {annotation.document: annotation for _, annotation in readings} == {
        name: replace(annotation, provenance={}) for name, annotation in gold.items()
    }


def test_load_gives_back_the_tokens(built):
    """Cut once, kept for ever: no tokenizer is asked again."""
    for readings in load(built.path).splits.values():
        for document, _ in readings:
            assert document.tokens == ner.tokenize(document)


def test_counts_are_those_of_the_gold(built, gold):
    """Documents, relations and spans by label."""
    total = sum(built.counts.values(), start=type(built.counts["train"])())
    assert total["documents"] == len(gold)
    assert total["relations"] == sum(len(a.relations) for a in gold.values())
    for label in ("COMMITMENT", "PARTY", "AMOUNT", "DATE"):
        assert total[label] == sum(len(a.layer([label])) for a in gold.values())


def test_the_dataset_says_which_data_it_is(built, corpus):
    """Fingerprints of corpus and schema, tokenizer and version stand in `corpus.json`."""
    assert files.read_json(built.path / "corpus.json") == {
        "name": "communique",
        "version": corpus.info.version,
        "sha256": corpus.sha256,
        "schema": f"commitments {corpus.schema.version}",
        "schema_sha256": corpus.schema.sha256,
        "tokenizer": "toolkit.Tokenizer.v1",
        "toolkit": "1",
        "documents": {split: len(readings) for split, readings in built.splits.items()},
    }


def test_the_schema_travels_with_its_guideline(built, corpus):
    """The labels mean there what they mean here."""
    assert built.schema == corpus.schema
    assert built.schema.sha256 == corpus.schema.sha256


def test_a_free_text_attribute_may_be_empty(corpus, gold, tmp_path):
    """Empty text is not the same as no text."""
    annotation = gold["e001-d1"]
    spans = tuple(
        replace(span, attributes={**span.attributes, "commitment_id": ""})
        if span.label == "COMMITMENT"
        else span
        for span in annotation.spans
    )
    changed = replace(annotation, spans=spans, provenance={})
    back = make(corpus, tmp_path / "d", [changed])
    assert back.splits["test"][0][1] == changed


# ── scores ──────────────────────────────────────────────────────────────────────────────────────


def edited(annotation, tokens, schema, dice):
    """The annotation with some spans dropped, moved by whole tokens, renamed or made up."""
    spans = []
    for layer in schema.layers:
        free = 0  # the first token that no span of this layer has taken
        for span in annotation.layer(layer.names):
            first = next(n for n, (start, _) in enumerate(tokens) if start == span.start)
            last = next(n for n, (_, end) in enumerate(tokens) if end == span.end)
            chance = dice.random()
            if chance < 0.15:
                continue
            if 0.15 <= chance < 0.3:
                last = max(first, last - 1)
            if 0.3 <= chance < 0.4:
                first = max(free, first - 1)
            if first < free:
                continue
            label = dice.choice(layer.names) if chance > 0.9 else span.label
            if first > free + 1 and dice.random() < 0.1:
                spans.append(Span(tokens[free][0], tokens[free][1], dice.choice(layer.names)))
            spans.append(Span(tokens[first][0], tokens[last][1], label))
            free = last + 1
    return Annotation(annotation.document, "model:x", tuple(spans))


@pytest.mark.parametrize("seed", range(4))
def test_score_equals_seqeval_on_the_tag_columns(opened, corpus, gold, seed):
    """To the last digit, for both layers, on predictions with errors of every kind."""
    from seqeval.metrics import classification_report
    from seqeval.scheme import IOB2

    dice = random.Random(seed)
    tokens = {
        row["id"]: [(token["start"], token["end"]) for token in row["token_offsets"]]
        for row, _ in rows(opened)
    }
    predicted = {
        name: edited(annotation, tokens[name], corpus.schema, dice)
        for name, annotation in gold.items()
    }
    ours = score(gold.values(), predicted.values(), corpus.schema)
    for layer in corpus.schema.layers:
        columns = {
            row["id"]: tags_of(row, features, f"{layer.name}_tags")
            for row, features in rows(opened)
        }
        guesses = [to_tags(predicted[name].layer(layer.names), tokens[name]) for name in columns]
        report = classification_report(
            list(columns.values()), guesses, mode="strict", scheme=IOB2, output_dict=True
        )
        averages = {"micro avg": ours.layers[layer.name].micro}
        averages["macro avg"] = ours.layers[layer.name].macro
        found = {
            name: (ratios.precision, ratios.recall, ratios.f1, ratios.support)
            for name, ratios in {**ours.layers[layer.name].per_label, **averages}.items()
        }
        assert found == {
            name: (row["precision"], row["recall"], row["f1-score"], row["support"])
            for name, row in report.items()
            if name in found
        }
        assert 0.3 < report["micro avg"]["f1-score"] < 0.95


# ── building ────────────────────────────────────────────────────────────────────────────────────


def test_building_twice_gives_the_same_bytes(built, corpus, tmp_path):
    """Also over an older dataset of the same name, which is replaced."""
    again = tmp_path / "again"
    make(corpus, again, corpus.annotations(GOLD)[:1])
    make(corpus, again)
    assert snapshot(again) == snapshot(built.path)
    assert list(tmp_path.iterdir()) == [again]


def test_a_span_that_cuts_a_token_is_refused_and_nothing_is_written(corpus, gold, tmp_path):
    """Exit code 3; every offender is named with the token it cuts."""
    annotation = gold["e001-d1"]
    first = annotation.spans[0]
    cut = [
        replace(first, end=first.end - 1, text=first.text[:-1]),
        replace(annotation.spans[1], end=annotation.spans[1].end + 1, text="Takaichi "),
    ]
    changed = replace(annotation, spans=(*cut, *annotation.spans[2:]))
    with pytest.raises(InvalidDataError) as caught:
        make(corpus, tmp_path / "d", [changed])
    place = corpus.root / "gold.jsonl"
    assert [str(fault) for fault in caught.value.faults] == [
        f"{place}: e001-d1: PARTY 0–4 'Trum' cuts 'Trump'; move the span's edge to the token's",
        (
            f"{place}: e001-d1: PARTY 10–19 'Takaichi ' cuts white space;"
            " move the span's edge to the token's"
        ),
    ]
    assert {fault.rule for fault in caught.value.faults} == {"cuts-token"}
    assert list(tmp_path.iterdir()) == []


def test_no_gold_is_no_dataset(corpus, tmp_path):
    """Exit code 3, with the cure."""
    with pytest.raises(InvalidDataError) as caught:
        make(corpus, tmp_path / "d", [])
    assert str(caught.value) == (f"{corpus.root}/gold.jsonl: no documents; adjudicate some first")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("stranger", "beside"),
    [
        ("thesis.tex", False),
        ("thesis.tex", True),
        ("data/notes.txt", True),
        (".git/HEAD", True),
        ("corpus.json", False),
    ],
    ids=[
        "alone",
        "beside a dataset",
        "inside a dataset",
        "hidden",
        "a corpus.json of another kind",
    ],
)
def test_what_is_no_dataset_is_never_overwritten(built, corpus, tmp_path, stranger, beside):
    """Exit code 2; the first stranger is named, and everything stays."""
    output = tmp_path / "d"
    if beside:
        shutil.copytree(built.path, output)
    (output / stranger).parent.mkdir(parents=True, exist_ok=True)
    (output / stranger).write_text("mine")
    before = snapshot(output)
    with pytest.raises(UsageError) as caught:
        make(corpus, output)
    assert str(caught.value) == (
        f"{output}: holds something else than a dataset ({stranger}); choose another folder"
    )
    assert snapshot(output) == before


def test_a_file_is_never_replaced_by_a_dataset(corpus, tmp_path):
    """The output is a folder."""
    (tmp_path / "d").write_text("mine")
    with pytest.raises(UsageError) as caught:
        make(corpus, tmp_path / "d")
    assert str(caught.value) == f"{tmp_path}/d: is a file; name a folder"
    assert (tmp_path / "d").read_text() == "mine"


def test_a_build_that_breaks_off_leaves_the_old_dataset(built, corpus, tmp_path):
    """Ctrl-C in the middle: the old one stays, and no half one beside it."""
    output = tmp_path / "d"
    shutil.copytree(built.path, output)
    before = snapshot(output)
    seen = []

    def tokenize(document, language):
        seen.append(document.id)
        if len(seen) == 9:
            raise KeyboardInterrupt
        return ner.tokenize(document, language)

    with pytest.raises(KeyboardInterrupt):
        make(corpus, output, tokenize=tokenize)
    assert snapshot(output) == before
    assert list(tmp_path.iterdir()) == [output]


@pytest.mark.parametrize("limit", [4096, 60_000], ids=["parquet", "later"])
def test_a_full_disk_leaves_the_old_dataset(built, corpus, tmp_path, limit):
    """Exit code 15, at whichever file the space runs out; no half dataset stays."""
    output = tmp_path / "d"
    shutil.copytree(built.path, output)
    before = snapshot(output)
    largest = max(map(len, before.values()))
    assert limit < largest
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(DiskError) as caught:
            make(corpus, output)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.exit_code == 15
    assert re.search(r"cannot be written \(.*\); free some space or choose", str(caught.value))
    assert snapshot(output) == before
    assert list(tmp_path.iterdir()) == [output]


def test_a_place_that_cannot_be_written_is_a_disk_error(corpus, tmp_path):
    """A file stands where a folder should be."""
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError, match=r"/file/sub/d: cannot be written \(.*\); free some space"):
        make(corpus, tmp_path / "file" / "sub" / "d")


def test_the_folder_one_stands_in_is_not_replaced(corpus, tmp_path, monkeypatch):
    """The shell would be left in a folder that is no more."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        make(corpus, Path())
    assert str(caught.value) == (".: you are in this folder, so it cannot be replaced; leave it")


# ── damage ──────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def damaged(built, tmp_path):
    """A copy of the dataset to damage."""
    shutil.copytree(built.path, tmp_path / "d")
    return tmp_path / "d"


TRAIN = Path("data") / "train-00000-of-00001.parquet"


def test_a_folder_without_a_dataset_is_a_usage_error(tmp_path):
    """Exit code 2, with the command that makes one."""
    with pytest.raises(UsageError) as caught:
        load(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: no dataset here (no corpus.json); make one: toolkit build -o {tmp_path}"
    )


@pytest.mark.parametrize("damage", ["gone", "cut", "of another kind"])
def test_a_damaged_parquet_file_is_an_integrity_error(damaged, damage):
    """Exit code 14, with the file and the cure."""
    path = damaged / TRAIN
    if damage == "gone":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    else:
        shutil.copy(damaged / "mentions" / TRAIN.name, path)
    with pytest.raises(IntegrityError) as caught:
        load(damaged)
    assert caught.value.exit_code == 14
    assert str(caught.value) == f"{path}: is not what was written; build the dataset again"


def test_a_split_with_other_documents_is_an_integrity_error(damaged):
    """What was counted when it was built is what must be there."""
    path = damaged / "corpus.json"
    facts = json.loads(path.read_text())
    held = facts["documents"]["train"]
    facts["documents"]["train"] += 1
    path.write_text(json.dumps(facts))
    with pytest.raises(IntegrityError) as caught:
        load(damaged)
    assert str(caught.value) == (
        f"{damaged / TRAIN}: holds {held} documents instead of {held + 1}; build the dataset again"
    )


@pytest.mark.parametrize("text", ["[]", "{}", '{"documents": 3}'])
def test_a_damaged_description_is_an_integrity_error(damaged, text):
    """Whatever JSON it holds."""
    (damaged / "corpus.json").write_text(text)
    with pytest.raises(IntegrityError) as caught:
        load(damaged)
    assert str(caught.value) == (
        f"{damaged}/corpus.json: does not say how many documents there are; build the dataset again"
    )


# ── card ────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def card(built):
    """The card as the Hub reads it."""
    from huggingface_hub import DatasetCard

    return DatasetCard.load(built.path / "README.md")


def test_the_hub_can_read_the_card(card):
    """Licence, language, task and who annotated, in the Hub's words."""
    found = card.data.to_dict()
    configs = found.pop("configs")
    assert found == {
        "pretty_name": "Communiqué: commitments in news about international deals",
        "language": ["en"],
        "license": "cc-by-4.0",
        "annotations_creators": ["machine-generated"],
        "task_categories": ["token-classification"],
        "task_ids": ["named-entity-recognition"],
        "size_categories": ["n<1K"],
        "tags": ["synthetic"],
    }
    assert [config["config_name"] for config in configs] == list(CONFIGURATIONS)


def test_every_file_that_the_card_names_is_there(card, built):
    """And every parquet file is named."""
    named = {
        entry["path"] for config in card.data.to_dict()["configs"] for entry in config["data_files"]
    }
    assert named == {name for name in snapshot(built.path) if name.endswith(".parquet")}
    links = re.findall(r"\]\(([^)#]+)\)", card.text)
    assert links == ["commitments.md"]
    assert (built.path / "commitments.md").is_file()


def test_the_snippet_of_the_card_runs(card, built, tmp_path):
    """As it stands, but for the place, in a Python of its own."""
    (code,) = re.findall(r"```python\n(.*?)```", card.text, flags=re.DOTALL)
    code = code.replace("PATH OR NAME OF THIS DATASET", str(built.path))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | {"HF_HOME": str(tmp_path / "hub")},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "'commitment_id': 'e002-" in done.stdout


def test_the_card_counts_what_is_there(card, built):
    """A row for each split, computed from the data."""
    for split, count in built.counts.items():
        cells = [split, count["documents"], count["words"], count["tokens"]]
        cells += [count[label.name] for label in built.schema.labels]
        cells += [count["relations"]]
        assert f"| {' | '.join(map(str, cells))} |" in card.text.splitlines()


def test_the_card_gives_the_agreement_of_the_annotators(card, corpus):
    """Exact and by overlap, for each label, with the counts behind it."""
    readings = {n: corpus.annotations(n) for n in corpus.annotators}
    pairs = agreement(readings, corpus.schema, spans_only=corpus.spans_only)
    assert len(pairs) == 2
    for found in pairs:
        for label in corpus.schema.labels:
            exact, overlap = found.exact[label.name], found.overlap[label.name]
            cells = f"{exact.f1:.3f} | {overlap.f1:.3f} | {exact.tp} | {exact.fp + exact.fn}"
            assert f"| {label.name} | {cells} |" in card.text.splitlines()


def test_the_card_is_honest_about_models(card, corpus):
    """They wrote the texts and the annotations, and their agreement proves little."""
    text = " ".join(card.text.split())
    assert corpus.info.texts in text
    for name in ("a1", "a2", "j1"):
        assert f"- `{name}`, a language model: " in card.text
    assert "guesses by rule, not the judgement of people" in text
    assert "this is no evidence that the labels are right" in text


def test_every_table_of_the_card_is_whole(card):
    """Each row of a table has as many cells as its head, and a table stands apart from the text."""
    tables = re.findall(r"(?:^\|.*\n)+", card.text, flags=re.MULTILINE)
    assert len(tables) >= 8
    for table in tables:
        widths = {len(re.split(r"(?<!\\)\|", row)) for row in table.splitlines()}
        assert len(widths) == 1
        assert set(table.splitlines()[1]) <= set("|-: ")
        assert f"\n\n{table}" in card.text
    assert "\n\n\n" not in card.text


def test_the_card_of_a_corpus_read_by_people_claims_no_models(corpus, tmp_path):
    """Nothing is said that the corpus does not say."""
    info = replace(
        corpus.info,
        annotators={"p1": Annotator("person")},
        language="no",
        title="A: b # c",
        texts="",
        licence="",
        tags=(),
    )
    make(replace(corpus, info=info), tmp_path / "d", corpus.annotations(GOLD)[:1])
    from huggingface_hub import DatasetCard

    card = DatasetCard.load(tmp_path / "d" / "README.md")
    assert card.data.annotations_creators == ["expert-generated"]
    assert (card.data.language, card.data.pretty_name) == (["no"], "A: b # c")
    assert card.data.license is None
    assert "- `p1`, a person\n" in card.text
    assert "model" not in card.text
    assert "\n\n\n" not in card.text


def test_the_card_of_a_corpus_that_says_nothing_says_so(corpus, tmp_path):
    """Without annotators, who annotated is left open; without a title, the name stands for it."""
    info = replace(corpus.info, annotators={}, title="", description="")
    annotations = corpus.annotations(GOLD)[:1]
    build(
        replace(corpus, info=info),
        annotations,
        tmp_path / "d",
        tokenize=ner.tokenize,
        tokenizer=ner.TOKENIZER,
    )
    from huggingface_hub import DatasetCard

    card = DatasetCard.load(tmp_path / "d" / "README.md")
    assert (card.data.annotations_creators, card.data.pretty_name) == (["other"], "communique")
    assert "**Annotations.** The corpus does not say who made them." in card.text
    assert "No two annotators read the same document" in card.text
    assert "\n\n\n" not in card.text
