"""Tokens, passages, one pipeline with a head per layer: cut, trained, kept, loaded, read with."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy
import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import Span as SpacySpan

from toolkit import files, ner, scoring
from toolkit.errors import DiskError, InvalidDataError, UsageError
from toolkit.ner.models import passages
from toolkit.ner.tokens import to_doc
from toolkit.schema import Schema
from toolkit.spans import Annotation, Document, Span, Zone, cut_spans, overlapping

DATA = Path(__file__).parent / "data"
ROOT = Path(__file__).parent.parent
SYSTEMS = ROOT / "benchmarks" / "communique" / "systems"

QUICK = {
    "training.max_steps": 40,
    "training.eval_frequency": 20,
    "training.dropout": 0.0,
    "training.optimizer.learn_rate": 0.005,
    "training.batcher.size.start": 200,
    "components.tok2vec.model.encode.width": 32,
    "components.tok2vec.model.embed.rows": [500, 200, 200, 200],
}
TINY = ner.System("tiny", "spacy", "A small encoder that learns eight sentences by heart", QUICK)
ONE_STEP = replace(TINY, overrides={**QUICK, "training.max_steps": 1})


def read_examples():
    """The guideline's worked examples, with tokens."""
    readings = []
    for record in files.iter_jsonl(DATA / "worked-examples.jsonl"):
        document = Document(record["id"], record["text"])
        document = replace(document, tokens=ner.tokenize(document))
        spans = [Span(s["start"], s["end"], s["label"], text=s["text"]) for s in record["spans"]]
        readings.append((document, Annotation(document.id, "gold", tuple(spans))))
    return readings


EXAMPLES = read_examples()
LEARNT = EXAMPLES[:8]
SCHEMA = Schema.load(files.resource("schemas/commitments.yaml"))
COMMITMENTS, MENTIONS = SCHEMA.layers


def weights(model):
    """The bytes of every weight of a model, by component."""
    return {path.parent.name: path.read_bytes() for path in sorted(model.glob("*/model"))}


def contents(folder):
    """Every file under a folder with its bytes."""
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def keys(annotations):
    """What each annotation says, by document."""
    return {a.document: [span.key for span in a.spans] for a in annotations}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model that has learnt eight sentences by heart."""
    return ner.train(LEARNT, LEARNT, SCHEMA, TINY, tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def model(trained):
    """The same model, loaded anew for each test."""
    return ner.load(trained.path)


# ── tokens ──────────────────────────────────────────────────────────────────────────────────────

CUTS = {
    "a blank": "Tovland will pay|Tovland will pay",
    "amount and its noun": "a $70-billion fund|a $ 70 - billion fund",
    "dash between parties": "U.S.–Japan talks|U.S. – Japan talks",
    "part of a year": "by mid-2028|by mid - 2028",
    "month at the end": "on 15 Jan.|on 15 Jan .",
    "glued million": "worth €735m.|worth € 735 m .",
    "letter and number": "ten F-35s|ten F - 35s",
    "slash": "2026/27|2026 / 27",
    "dash at an edge": "–Japan and Tovland—|– Japan and Tovland —",
    "glued word": "by 2028according to|by 2028 according to",
    "initials": "the U.K. and Japan|the U.K. and Japan",
}


@pytest.mark.parametrize("case", CUTS.values(), ids=CUTS)
def test_tokens_end_where_labels_may_end(case):
    """Hyphens, dashes, slashes, units and full stops are tokens of their own."""
    text, tokens = case.split("|")
    assert [text[start:end] for start, end in ner.tokenize(Document("d", text))] == tokens.split()


def test_no_worked_example_cuts_a_token():
    """Every span of the guideline's examples begins and ends with a token."""
    cut = [s for document, reading in EXAMPLES for s in cut_spans(reading.spans, document.tokens)]
    assert (len(EXAMPLES), cut) == (51, [])


FRAGMENTS = [" ", "  ", "\n", "\n\n", "\t", "\r\n", "\u2028", "\u0085", "\xa0", "\u200b", "\x00"]
FRAGMENTS += ["$70-billion", "U.S.–Japan", "mid-2028", "€735m.", "https://a.example/b-c?d=e"]
FRAGMENTS += ["🇯🇵", "👩‍🚀", "e\u0301", "\u202e", "שלום", "東京", "don't", "(", ").", "…", "'s"]

texts = st.lists(
    st.sampled_from(FRAGMENTS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    max_size=12,
).map("".join)
zones = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=3)


@settings(max_examples=200, deadline=None)
@given(texts, zones)
def test_tokens_cover_everything_but_white_space(text, zones):
    """Tokens come in order, hold each character that is no space once, and cross no zone's edge."""
    held = tuple(Zone(min(edges), max(edges), "body") for edges in zones)
    tokens = ner.tokenize(Document("d", text, zones=held))
    covered = [place for start, end in tokens for place in range(start, end)]
    assert covered == [place for place, c in enumerate(text) if not c.isspace()]
    assert all(start < end for start, end in tokens)
    edges = {edge for zone in held for edge in (zone.start, zone.end)}
    assert [t for t in tokens for edge in edges if t[0] < edge < t[1]] == []


def test_zone_parts_a_credit_from_a_headline():
    """What a page glues together is two tokens where a zone ends."""
    document = Document("d", "ReutersTovland pays", zones=(Zone(0, 7, "boilerplate"),))
    assert ner.tokenize(document) == ((0, 7), (7, 14), (15, 19))


def test_unknown_language_is_refused():
    """A language that spaCy has no rules for is the user's to mend."""
    with pytest.raises(UsageError) as caught:
        ner.tokenize(Document("d", "text"), "klingon")
    assert str(caught.value) == (
        "language 'klingon': spaCy cannot read it; use a code it knows, such as en, de or xx"
    )


@settings(max_examples=200, deadline=None)
@given(texts, st.lists(st.integers(0, 60), max_size=10))
def test_doc_has_the_documents_text_and_tokens(text, points):
    """Whatever the tokens, spaCy's Doc holds the same text, and each token at its place."""
    edges = sorted({point for point in points if point <= len(text)})
    for tokens in (
        ner.tokenize(Document("d", text)),
        tuple(zip(edges[::2], edges[1::2], strict=False)),
    ):
        doc = to_doc(Document("d", text, tokens=tokens), spacy.vocab.Vocab())
        assert doc.text == text
        assert {(t.idx, t.idx + len(t)) for t in doc} >= set(tokens)


# ── passages ────────────────────────────────────────────────────────────────────────────────────

paragraphs = st.lists(st.sampled_from(["Tovland pays.", "A\nB", " ", "", "x y z"]), max_size=6)


@settings(max_examples=200, deadline=None)
@given(paragraphs, st.lists(st.tuples(st.integers(0, 60), st.integers(1, 30)), max_size=4))
def test_passages_lose_nothing_and_cut_no_span(parts, places):
    """All words, tokens and spans of a document are in its passages, in order and whole."""
    text = "\n\n".join(parts)
    document = Document("d", text)
    document = replace(document, tokens=ner.tokenize(document))
    starts = [start for start, _ in document.tokens]
    ends = [end for _, end in document.tokens]
    pairs = {(first % len(starts), length) for first, length in places if starts}
    spans = [Span(starts[n], ends[min(n + size, len(ends) - 1)], "X") for n, size in pairs]
    spans.sort(key=lambda span: span.key)
    cut = list(passages(document, Annotation("d", "gold", tuple(spans))))
    assert "".join("".join(part.text.split()) for part, _ in cut) == "".join(text.split())
    assert surfaces(cut, lambda part, _: part.tokens) == surfaces(
        [(document, None)], lambda part, _: part.tokens
    )
    assert surfaces(cut, lambda _, reading: [(s.start, s.end) for s in reading.spans]) == [
        text[span.start : span.end] for span in spans
    ]


def surfaces(readings, places):
    """The stretches of text at these places of each reading."""
    return [part.text[start:end] for part, a in readings for start, end in places(part, a)]


def test_passages_end_at_blank_lines_outside_spans():
    """A blank line ends a passage, but not within a span."""
    text = "Tovland pays.\n\nQaranbek\n\nbuys.\n \nEnd."
    document = Document("d", text)
    document = replace(document, tokens=ner.tokenize(document))
    reading = Annotation("d", "gold", (Span(15, 31, "COMMITMENT"),))
    cut = list(passages(document, reading))
    assert [part.text for part, _ in cut] == [
        "Tovland pays.\n\n",
        "Qaranbek\n\nbuys.\n \n",
        "End.",
    ]
    assert [a.spans for _, a in cut] == [(), (Span(0, 16, "COMMITMENT"),), ()]


# ── training ────────────────────────────────────────────────────────────────────────────────────


def test_training_learns_both_layers(trained):
    """Forty steps learn eight sentences by heart, mentions inside commitments included."""
    assert trained.validation == {"commitments": 1.0, "mentions": 1.0}
    assert (trained.steps, trained.best_step) == (40, 40)


def test_model_gives_back_what_it_learnt(model):
    """Scored by seqeval on the same sentences, a model that knows them by heart is perfect."""
    gold = [reading for _, reading in LEARNT]
    predicted = list(model.predict([document for document, _ in LEARNT]))
    assert scoring.score(gold, predicted, SCHEMA).macro_f1 == 1.0


def test_prediction_is_an_annotation_by_the_model(model):
    """A prediction is of the same type as gold, names its model and repeats the surfaces."""
    document, _ = LEARNT[0]
    (found,) = model.predict([document])
    assert (found.document, found.annotator) == (document.id, "model:tiny")
    assert all(span.text == document.text[span.start : span.end] for span in found.spans)
    assert sorted(found.spans, key=lambda s: (s.start, -s.end, s.label)) == list(found.spans)


def test_model_says_what_it_was_made_of(trained):
    """A model's meta holds system, seed, tokenizer, steps and scores."""
    assert ner.load(trained.path).facts == {
        "system": "tiny",
        "seed": 0,
        "tokenizer": "toolkit.Tokenizer.v1",
        "steps": 40,
        "best_step": 40,
        "validation": {"commitments": 1.0, "mentions": 1.0},
    }


def test_layers_are_flat_and_nest(model):
    """On text it has not seen, no layer overlaps itself; what it knows nests across layers."""
    predicted = list(model.predict([document for document, _ in EXAMPLES]))
    crossing = [
        pair
        for annotation in predicted
        for layer in SCHEMA.layers
        for pair in overlapping(annotation.layer(layer.names))
    ]
    nested = [
        (outer, inner)
        for annotation in predicted[: len(LEARNT)]
        for outer in annotation.layer(COMMITMENTS.names)
        for inner in annotation.layer(MENTIONS.names)
        if outer.start <= inner.start and inner.end <= outer.end
    ]
    assert (crossing, len(nested) > len(LEARNT)) == ([], True)


def test_spacy_loads_the_model_alone(trained):
    """A program that knows only spaCy finds mentions in `doc.ents` and both layers in `doc.spans`."""
    program = (
        "import json, spacy, sys\n"
        "doc = spacy.load(sys.argv[1])(sys.argv[2])\n"
        "ents = [[e.start_char, e.end_char, e.label_] for e in doc.ents]\n"
        "spans = {k: [[s.start_char, s.end_char, s.label_] for s in v] for k, v in doc.spans.items()}\n"
        "print(json.dumps([ents, spans]))"
    )
    document, reading = LEARNT[0]
    command = [sys.executable, "-c", program, str(trained.path), document.text]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    layers = {
        layer.name: [list(span.key) for span in reading.layer(layer.names)]
        for layer in SCHEMA.layers
    }
    assert json.loads(done.stdout) == [layers["mentions"], layers]


def test_same_seed_gives_the_same_weights(trained, tmp_path):
    """Two runs with one seed give equal bytes in the encoder and in both heads."""
    again = ner.train(LEARNT, LEARNT, SCHEMA, TINY, tmp_path / "again")
    assert list(weights(again.path)) == ["commitments_ner", "mentions_ner", "tok2vec"]
    assert weights(again.path) == weights(trained.path)


def test_other_seed_gives_other_weights(tmp_path):
    """The seed reaches encoder and heads."""
    first = ner.train(LEARNT, LEARNT, SCHEMA, ONE_STEP, tmp_path / "0", seed=0)
    second = ner.train(LEARNT, LEARNT, SCHEMA, ONE_STEP, tmp_path / "1", seed=1)
    pairs = zip(weights(first.path).values(), weights(second.path).values(), strict=True)
    assert [one == other for one, other in pairs] == [False, False, False]


def test_two_processes_predict_the_same(trained, tmp_path):
    """Spreading the work changes neither the predictions nor their order."""
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from toolkit import files, ner\n"
        "from toolkit.spans import Document\n"
        "records = files.iter_jsonl(Path(sys.argv[2]))\n"
        "documents = [Document(r['id'], r['text']) for r in records]\n"
        "predict = ner.load(Path(sys.argv[1])).predict\n"
        "assert list(predict(documents, processes=2)) == list(predict(documents))\n"
        "print(len(documents))"
    )
    examples = str(DATA / "worked-examples.jsonl")
    command = [sys.executable, "-c", program, str(trained.path), examples]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("51\n", "")


def test_training_prints_nothing(tmp_path, capfd):
    """spaCy's messages stay away from stdout, where results go, and from stderr."""
    ner.train(LEARNT, LEARNT, SCHEMA, ONE_STEP, tmp_path / "model")
    assert capfd.readouterr() == ("", "")


def test_progress_is_told(tmp_path):
    """The caller hears of the evaluated steps, the last step there can be, and the score."""
    told = []
    system = replace(TINY, overrides={**QUICK, "training.max_steps": 2})
    ner.train(
        LEARNT, LEARNT, SCHEMA, system, tmp_path / "m", progress=lambda *step: told.append(step)
    )
    assert [(step, last) for step, last, _ in told] == [(0, 2), (2, 2)]
    assert all(0 <= score <= 1 for *_, score in told)


def test_best_step_is_the_one_that_is_kept(tmp_path):
    """Of several equally good steps the last is kept, and named as the best."""
    nothing = [(document, replace(reading, spans=())) for document, reading in LEARNT]
    system = replace(
        TINY, overrides={**QUICK, "training.max_steps": 4, "training.eval_frequency": 2}
    )
    found = ner.train(nothing, nothing, SCHEMA, system, tmp_path / "m")
    assert (found.best_step, found.validation) == (4, {"commitments": None, "mentions": None})


def relabelled(*names):
    """A schema with these layers of the usual labels."""
    (commitment,), (party, amount, date) = COMMITMENTS.labels, MENTIONS.labels
    of = {"acts": (commitment,), "who": (party,), "what": (amount, date)}
    layers = tuple(replace(COMMITMENTS, name=name, labels=of[name]) for name in names)
    return replace(SCHEMA, layers=layers, attributes=(), relations=())


@pytest.mark.parametrize("names", [("who",), ("acts", "who", "what")], ids=["one", "three"])
def test_schema_of_any_number_of_layers_trains(tmp_path, names):
    """Each layer of a schema gets a head; the last one's spans are spaCy's entities."""
    schema = relabelled(*names)
    found = ner.train(LEARNT, LEARNT, schema, TINY, tmp_path / "model")
    assert {name for name, f1 in found.validation.items() if f1 > 0.9} == set(names)
    model = ner.load(found.path)
    assert model.layers == names
    document, reading = LEARNT[0]
    doc = model.nlp(to_doc(document, model.nlp.vocab))
    last = reading.layer(schema.layers[-1].names)
    assert [(e.start_char, e.end_char, e.label_) for e in doc.ents] == [s.key for s in last]


def test_layer_without_examples_trains(tmp_path):
    """A layer nobody has marked yet learns nothing, and does not stop the others."""
    only = [(document, replace(a, spans=a.layer(MENTIONS.names))) for document, a in LEARNT]
    found = ner.train(only, only, SCHEMA, TINY, tmp_path / "model")
    assert found.validation["commitments"] is None
    assert found.validation["mentions"] > 0.9
    (first,) = ner.load(found.path).predict([LEARNT[0][0]])
    assert first.layer(COMMITMENTS.names) == ()


# ── doubt ───────────────────────────────────────────────────────────────────────────────────────


def garbled(text):
    """The text with the letters of every word the other way round: shapes no model has seen."""
    return " ".join(word[::-1] for word in text.split())


def test_doubt_tells_strange_text_from_known(model):
    """Sentences known by heart are certain; the same ones garbled, and unseen ones, are not."""
    learnt = [document for document, _ in LEARNT]
    known = list(model.doubt(learnt))
    strange = list(model.doubt(Document(d.id, garbled(d.text)) for d in learnt))
    unseen = list(model.doubt(document for document, _ in EXAMPLES[8:]))
    assert max(known) < 0.01
    assert sum(strange) / len(strange) > 0.15
    assert sum(unseen) / len(unseen) > 0.1
    assert all(0 <= value < 1 for value in (*known, *strange, *unseen))


def test_doubt_depends_on_the_document_alone(model):
    """Twice the same, whatever stands before it; and predictions are as they were."""
    documents = [document for document, _ in EXAMPLES[8:14]]
    before = keys(model.predict(documents))
    first = list(model.doubt(documents))
    assert list(model.doubt(documents[::-1])) == first[::-1]
    assert keys(model.predict(documents)) == before


def test_doubt_of_a_page_weighs_its_paragraphs(model):
    """A known paragraph before or behind a strange one lowers the doubt, and does not take it away."""
    known, strange = LEARNT[0][0].text, garbled(LEARNT[3][0].text)
    pages = [strange, f"{strange}\n\n{known}", f"{known}\n\n{strange}"]
    alone, behind, before = model.doubt(Document(f"d{n}", page) for n, page in enumerate(pages))
    assert 0.01 < min(before, behind) <= max(before, behind) < alone


def test_empty_text_is_in_no_doubt(model):
    """Where there is nothing to read there is nothing to be unsure of."""
    assert list(model.doubt([Document("d1", ""), Document("d2", " \n\n ")])) == [0.0, 0.0]


def test_analyses_are_a_distribution(model):
    """The sets of spans differ, sum to one, and the best is what the model predicts."""
    document = LEARNT[1][0]
    doc = next(model.nlp.pipe([to_doc(document, model.nlp.vocab)]))
    head = model.nlp.get_pipe("mentions_ner")
    found = head.analyses(doc, width=8)
    assert sum(p for p, _ in found) == pytest.approx(1)
    assert [p for p, _ in found] == sorted((p for p, _ in found), reverse=True)
    assert found[0][1] == {(s.start, s.end, s.label_) for s in doc.spans["mentions"]}
    assert found[0][1]


def test_labels_of_a_model(model):
    """A model says which labels it gives, layer by layer."""
    assert set(model.labels) == {label.name for label in SCHEMA.labels}
    assert model.labels[0] == "COMMITMENT"


# ── what may go wrong ───────────────────────────────────────────────────────────────────────────


def test_failure_in_the_middle_leaves_the_old_model(trained, tmp_path):
    """A run that breaks off leaves the model that was there, byte for byte, and nothing else."""
    output = tmp_path / "model"
    ner.train(LEARNT, LEARNT, SCHEMA, ONE_STEP, output)
    before = contents(tmp_path)

    def stop(step, last, score):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ner.train(LEARNT, LEARNT, SCHEMA, TINY, output, progress=stop)
    assert contents(tmp_path) == before


def test_new_model_takes_the_place_of_the_old(tmp_path):
    """A second run replaces the model whole and leaves nothing else behind."""
    output = tmp_path / "model"
    ner.train(LEARNT, LEARNT, SCHEMA, ONE_STEP, output, seed=0)
    ner.train(LEARNT, LEARNT, SCHEMA, ONE_STEP, output, seed=1)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert ner.load(output).facts["seed"] == 1


def test_folder_of_something_else_is_left_alone(tmp_path):
    """Training does not replace a folder that is no model."""
    (tmp_path / "mine").mkdir()
    with pytest.raises(UsageError) as caught:
        ner.train(LEARNT, LEARNT, SCHEMA, ONE_STEP, tmp_path / "mine")
    told = f"{tmp_path / 'mine'}: exists and is no model; choose another folder"
    assert str(caught.value) == told


def test_folder_that_cannot_be_made_is_a_disk_error(tmp_path):
    """A place under a file cannot hold a model."""
    (tmp_path / "file").touch()
    with pytest.raises(DiskError) as caught:
        ner.train(LEARNT, LEARNT, SCHEMA, ONE_STEP, tmp_path / "file" / "model")
    assert str(caught.value).startswith(f"{tmp_path / 'file' / 'model'}: cannot be written (")


@pytest.mark.parametrize("sides", [(LEARNT, []), ([], LEARNT)], ids=["validation", "train"])
def test_training_needs_both_splits(tmp_path, sides):
    """Without documents to learn from or to choose by there is no model."""
    with pytest.raises(UsageError) as caught:
        ner.train(*sides, SCHEMA, TINY, tmp_path / "model")
    assert str(caught.value) == (
        "training needs documents for train and for validation; see splits.yaml"
    )


def test_span_that_cuts_a_token_is_refused(tmp_path):
    """A span spaCy would lose in silence stops the training, by name."""
    document, reading = LEARNT[0]
    cut = replace(reading, spans=(Span(0, 3, "PARTY"),))
    with pytest.raises(InvalidDataError) as caught:
        ner.train([(document, cut)], LEARNT, SCHEMA, TINY, tmp_path / "model")
    assert str(caught.value) == "dataset: A01: PARTY 0–3 cuts a token; build it again"


REFUSED = "system tiny: spaCy refuses its settings ({}); mend its overrides or --set"
SETTINGS = {
    "section": (
        {"nosuch.x": 1},
        "nosuch.x: no section 'nosuch' in the training configuration; mend its spelling",
    ),
    "section that is a number": (
        {"training.seed.x": 1},
        "training.seed.x: no section 'seed' in the training configuration; mend its spelling",
    ),
    "misspelt": (
        {"training.max_step": 1},
        "training.max_step: spaCy knows no such setting; mend its spelling",
    ),
    "wrong type": (
        {"training.max_steps": "many"},
        REFUSED.format("max_steps: Input should be a valid integer"),
    ),
    "unknown part": (
        {"components.tok2vec.model.@architectures": "nosuch"},
        REFUSED.format(
            "[E893] Could not find function 'nosuch' in function registry 'architectures'"
        ),
    ),
    "missing vectors": (
        {"initialize.vectors": "nowhere/vectors"},
        REFUSED.format(
            "[E884] The pipeline could not be initialized because the vectors could not be found "
            "at 'nowhere/vectors'"
        ),
    ),
}


@pytest.mark.parametrize(("overrides", "told"), SETTINGS.values(), ids=SETTINGS)
def test_wrong_setting_is_refused(tmp_path, overrides, told):
    """A setting that spaCy does not know or cannot take is named, not passed over."""
    system = replace(ONE_STEP, overrides={**ONE_STEP.overrides, **overrides})
    with pytest.raises(UsageError) as caught:
        ner.train(LEARNT[:2], LEARNT[:2], SCHEMA, system, tmp_path / "model")
    assert str(caught.value) == told
    assert list(tmp_path.iterdir()) == []


def test_folder_without_a_model_is_refused(tmp_path):
    """A model is a folder; a package's name is never looked up, for loading it would run its code."""
    with pytest.raises(UsageError) as caught:
        ner.load(Path("en_core_web_sm"))
    assert str(caught.value) == (
        "en_core_web_sm: no model here (no config.cfg); name a folder made by train"
    )


def test_pipeline_without_our_heads_is_refused(tmp_path):
    """A spaCy pipeline that could find no span of ours does not pass for a model."""
    spacy.blank("en").to_disk(tmp_path)
    with pytest.raises(UsageError) as caught:
        ner.load(tmp_path)
    told = f"{tmp_path}: a pipeline without a layer_ner head; name a folder made by train"
    assert str(caught.value) == told


def test_broken_model_is_refused(trained, tmp_path):
    """A model of which a part is gone is the user's to train again."""
    for place, content in contents(trained.path).items():
        if place.name != "moves":
            (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / place).write_bytes(content)
    with pytest.raises(UsageError) as caught:
        ner.load(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}: the model cannot be loaded (")
    assert str(caught.value).endswith("; train it again")


def test_unknown_engine_is_refused(tmp_path):
    """A system names an engine that the toolkit has."""
    path = tmp_path / "odd.yaml"
    path.write_text("name: odd\nengine: magic\ndescription: none\n")
    with pytest.raises(InvalidDataError) as caught:
        ner.System.load(path)
    assert str(caught.value) == f"{path}: engine 'magic' is not known; use spacy"


@pytest.mark.parametrize("path", sorted(SYSTEMS.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_system_trains(tmp_path, path, monkeypatch):
    """Every system that ships is named after its file and gives a model."""
    # The weights that one starts from are fetched once, not for every run of the tests.
    monkeypatch.setenv("TOOLKIT_HOME", str(ROOT / "build" / "fetched"))
    system = ner.System.load(path)
    assert system.name == path.stem
    short = replace(system, overrides={**system.overrides, "training.max_steps": 1})
    assert ner.train(LEARNT[:2], LEARNT[:2], SCHEMA, short, tmp_path / "model").steps == 1


# ── weights of others ───────────────────────────────────────────────────────────────────────────


def pretrained(folder, *, head="ner", width=32):
    """A pipeline of somebody else's, as wide as `TINY`, with two vectors."""
    nlp = spacy.blank("en")
    for word in ("Paris", "Rome"):
        nlp.vocab.set_vector(word, numpy.ones(4, dtype="f"))
    encode = {"@architectures": "spacy.MaxoutWindowEncoder.v2"}
    encode |= {"width": width, "depth": 4, "window_size": 1, "maxout_pieces": 3}
    embed = {"@architectures": "spacy.MultiHashEmbed.v2", "width": width}
    embed |= {"attrs": ["NORM", "PREFIX", "SUFFIX", "SHAPE"], "rows": [500, 200, 200, 200]}
    embed |= {"include_static_vectors": True}
    encoder = {"@architectures": "spacy.Tok2Vec.v2", "embed": embed, "encode": encode}
    config = {"model": {"@architectures": "spacy.TransitionBasedParser.v2", "state_type": "ner"}}
    config["model"] |= {"extra_state_tokens": False, "hidden_width": 8, "maxout_pieces": 2}
    config["model"] |= {"use_upper": True, "tok2vec": encoder}
    if head == "ner":
        nlp.add_pipe("ner", config=config).add_label("GPE")
    nlp.initialize()
    nlp.to_disk(folder)
    return str(folder)


VECTORS = {**QUICK, "components.tok2vec.model.embed.include_static_vectors": True}


def test_encoder_starts_from_the_weights_of_another(tmp_path):
    """Every parameter of the shared encoder is that of the other's NER encoder, and so are vectors."""
    source = pretrained(tmp_path / "theirs")
    system = replace(TINY, weights=source, overrides={**VECTORS, "training.max_steps": 1})
    still = {**system.overrides, "training.optimizer.learn_rate": 0.0, "training.optimizer.L2": 0.0}
    ner.train(LEARNT, LEARNT, SCHEMA, replace(system, overrides=still), tmp_path / "model")
    ours, theirs = spacy.load(tmp_path / "model"), spacy.load(source)
    encoder = theirs.get_pipe("ner").model.get_ref("tok2vec").layers[0]
    for own, other in zip(ours.get_pipe("tok2vec").model.walk(), encoder.walk(), strict=True):
        assert own.name == other.name
        for name in other.param_names:
            assert (own.get_param(name) == other.get_param(name)).all()
    assert ours.vocab.get_vector("Paris").tolist() == [1, 1, 1, 1]
    assert ner.load(tmp_path / "model").facts["weights"] == "theirs"


@pytest.mark.parametrize(
    ("made", "told"),
    [
        ({"width": 16}, "its NER encoder has another shape than this system's"),
        ({"head": ""}, "a pipeline without ner; name another for the weights"),
    ],
    ids=["other shape", "no head"],
)
def test_weights_that_do_not_fit_are_refused(tmp_path, made, told):
    """One clear line, and no model is made."""
    source = pretrained(tmp_path / "theirs", **made)
    system = replace(TINY, weights=source, overrides=VECTORS)
    with pytest.raises(UsageError) as caught:
        ner.train(LEARNT, LEARNT, SCHEMA, system, tmp_path / "model")
    assert str(caught.value).startswith(f"{source}: {told}")
    assert not (tmp_path / "model").exists()


def test_weights_of_no_known_name_are_refused(tmp_path):
    """Whoever mistypes a name is told which there are."""
    with pytest.raises(UsageError) as caught:
        ner.weights(str(tmp_path / "none"))
    assert "no spaCy pipeline there; name its folder, or one of en_core_web_md" in str(caught.value)


def test_model_tells_nothing_of_the_machine_it_was_made_on(trained, tmp_path):
    """A model is published: no path of whoever trained it stands in it."""
    source = pretrained(tmp_path / "theirs")
    system = replace(TINY, weights=source, overrides={**VECTORS, "training.max_steps": 1})
    made = ner.train(LEARNT, LEARNT, SCHEMA, system, tmp_path / "model").path
    for model, folder in ((trained.path, trained.path.parent), (made, tmp_path)):
        for path in model.rglob("*"):
            assert path.is_dir() or str(folder).encode() not in path.read_bytes()


# ── the heads ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("text", ["", " \n", "a"], ids=["nothing", "white space", "one letter"])
def test_text_of_next_to_nothing_is_read(model, text):
    """A document without words gets an annotation without spans."""
    (found,) = model.predict([Document("d", text)])
    assert found == Annotation("d", "model:tiny")


def test_document_keeps_its_own_tokens(model):
    """Tokens that were cut when the dataset was built are the ones that are read."""
    document, _ = LEARNT[0]
    whole = replace(document, tokens=((0, len(document.text)),))
    (found,) = model.predict([whole])
    assert {(span.start, span.end) for span in found.spans} <= set(whole.tokens)


def test_each_head_knows_its_own_labels(model):
    """No head has learnt a label of another layer."""
    heads = {name: set(model.nlp.get_pipe(f"{name}_ner").labels) for name in model.layers}
    assert heads == {layer.name: set(layer.names) for layer in SCHEMA.layers}


def test_entities_of_others_neither_bind_nor_teach(model):
    """Entities that stand in a document before leave predictions and labels as they are."""
    document, _ = LEARNT[0]
    heads = [model.nlp.get_pipe(f"{name}_ner") for name in model.layers]
    labels = [head.labels for head in heads]
    clean = model.nlp(to_doc(document, model.nlp.vocab))
    marked = to_doc(document, model.nlp.vocab)
    marked.set_ents([SpacySpan(marked, 1, 6, "FOREIGN")])
    marked = model.nlp(marked)
    assert [(e.start, e.end, e.label_) for e in marked.ents] == [
        (e.start, e.end, e.label_) for e in clean.ents
    ]
    for name in model.layers:
        assert [(s.start, s.end, s.label_) for s in marked.spans[name]] == [
            (s.start, s.end, s.label_) for s in clean.spans[name]
        ]
    assert [head.labels for head in heads] == labels


def test_heads_do_not_read_each_other(model):
    """A head finds the same spans whether the other one runs before it, after it, or not at all."""
    document, _ = LEARNT[0]
    together = model.nlp(to_doc(document, model.nlp.vocab))
    for name in model.layers:
        others = [f"{layer}_ner" for layer in model.layers if layer != name]
        with model.nlp.select_pipes(disable=others):
            alone = model.nlp(to_doc(document, model.nlp.vocab))
        assert [(s.start, s.end) for s in alone.spans[name]] == [
            (s.start, s.end) for s in together.spans[name]
        ]


def test_head_without_entities_leaves_them_alone(model):
    """Only the head of the last layer writes `doc.ents`."""
    document, _ = LEARNT[0]
    doc = to_doc(document, model.nlp.vocab)
    doc.set_ents([SpacySpan(doc, 1, 6, "FOREIGN")])
    with model.nlp.select_pipes(disable=["mentions_ner"]):
        doc = model.nlp(doc)
    assert [(e.start, e.end, e.label_) for e in doc.ents] == [(1, 6, "FOREIGN")]
    assert len(doc.spans["commitments"]) == 1
