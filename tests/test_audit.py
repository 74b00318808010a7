"""The audit's figures, each against a second way of getting it, and the committed corpus beside them."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from toolkit import files
from toolkit.audit import (
    Figure,
    audit,
    body,
    composition,
    gate,
    is_rewritten,
    ngrams,
    sentences,
    slices,
    twins,
    words,
)
from toolkit.audit.baselines import split_auc
from toolkit.corpus import Corpus
from toolkit.errors import InvalidDataError
from toolkit.spans import GOLD, Document, Zone

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def corpus():
    """The committed corpus."""
    return Corpus.load(ROOT / "annotations/communique")


@pytest.fixture(scope="module")
def figures(corpus):
    """The audit of the committed corpus, by name."""
    return {figure.name: figure for figure in audit(corpus)}


@pytest.mark.parametrize(
    ("low", "high", "value", "inside", "band"),
    [
        (1, 2, 1, True, "1–2"),
        (1, 2, 2.01, False, "1–2"),
        (None, 0.5, 0.5, True, "≤ 0.5"),
        (3, None, 2.9, False, "≥ 3"),
        (None, None, 4, None, ""),
        (1, 2, None, None, "1–2"),
    ],
    ids=["on the edge", "above", "at most", "below", "no band", "no data"],
)
def test_a_figure_knows_its_band(low, high, value, inside, band):
    """Edges are inside; without a band or without data there is no verdict."""
    figure = Figure("group", "name", value, low, high)
    assert (figure.inside, figure.band) == (inside, band)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("One came. Two went.", ["One came.", "Two went."]),
        ("Mr. Ito left Oct. 5. He won.", ["Mr. Ito left Oct. 5.", "He won."]),
        ("U.S. troops go. “Now,” she said.", ["U.S. troops go.", "“Now,” she said."]),
        ("Title\n\nFirst line\nSecond line.", ["Title", "First line", "Second line."]),
        ("It costs $2.5 billion.", ["It costs $2.5 billion."]),
        ("", []),
    ],
    ids=["two", "abbreviations", "initials and quotes", "lines", "decimal", "nothing"],
)
def test_sentences(text, found):
    """A sentence ends at a full stop before a capital, or with its line."""
    assert [text[start:end] for start, end in sentences(text)] == found


def test_body_leaves_headline_and_furniture_out():
    """What is measured is what the writer wrote as prose."""
    zones = (Zone(0, 4, "headline"), Zone(5, 9, "body"), Zone(10, 14, "boilerplate"))
    assert body(Document("d", "Head Body Tags", zones=zones)) == "Body"


def test_every_figure_of_the_corpus_has_a_value(figures):
    """Nothing is left unmeasured for want of data."""
    assert [name for name, figure in figures.items() if figure.value is None] == []


def test_densities_are_counts_per_thousand_words(corpus, figures):
    """Counted again by hand."""
    gold = corpus.annotations("gold")
    count = sum(len(document.text.split()) for document in corpus.documents)
    parties = sum(span.label == "PARTY" for annotation in gold for span in annotation.spans)
    assert figures["PARTY per 1,000 words"].value == pytest.approx(1000 * parties / count)


def test_no_long_run_of_test_stands_in_train(figures):
    """The gate of the benchmark: what is tested was not read in training."""
    for name in (
        "tokens of test in 8-grams of train",
        "tokens of test in 13-grams of train",
        "(amount, deadline) pairs in train and test",
    ):
        assert figures[name].inside, name


def test_style_and_likeness_stay_in_their_bands(figures):
    """No stock prose in human genres, no near copies within or across events."""
    for name in (
        "stock summit prose per 1,000 words",
        ", …ing tails per 1,000 words",
        "em dashes per 1,000 words",
        "5-gram Jaccard within an event, largest",
        "5-gram Jaccard across events, largest",
        "self-BLEU-4, one document per event",
    ):
        assert figures[name].inside, name


def shuffled_copy(corpus, number, split):
    """A document of train, its words kept, put into another split's event."""
    event = getattr(corpus.splits(), split)[0]
    first = next(d for d in corpus.documents if corpus.splits().of(d.event) == "train")
    return replace(first, id=f"copy-{number}", event=event)


def test_a_copy_of_train_in_test_is_seen(corpus):
    """Leakage is found where there is some."""
    copy = shuffled_copy(corpus, 1, "test")
    gold = {a.document: a for a in corpus.annotations("gold")}
    origin = next(d for d in corpus.documents if corpus.splits().of(d.event) == "train")

    class Leaky:
        documents = (*corpus.documents, copy)
        schema = corpus.schema

        @staticmethod
        def annotations(_):
            return (*gold.values(), replace(gold[origin.id], document=copy.id))

        splits = staticmethod(corpus.splits)
        slices = staticmethod(corpus.slices)
        registry = staticmethod(corpus.registry)

    found = {figure.name: figure for figure in audit(Leaky)}
    assert not found["tokens of test in 13-grams of train"].inside
    assert not found["5-gram Jaccard across events, largest"].inside


def test_ngrams_of_short_texts():
    """A text shorter than n has none."""
    assert ngrams(["a", "b"], 3) == []
    assert ngrams(["a", "b", "c"], 2) == [("a", "b"), ("b", "c")]


def test_words_keep_apostrophes_and_part_punctuation():
    """As the bands were measured."""
    assert words("Japan’s $2.5bn, now.") == ["japan’s", "$", "2", ".", "5bn", ",", "now", "."]


def test_figures_do_not_depend_on_the_order_of_documents(corpus, figures):
    """But for those that take one document per event, the same corpus gives the same audit."""
    documents = list(corpus.documents)
    random.Random(0).shuffle(documents)
    again = {f.name: f for f in audit(replace(corpus, documents=tuple(documents)))}
    same = [n for n in figures if "one document per event" not in n]
    assert {n: again[n].value for n in same} == pytest.approx({n: figures[n].value for n in same})


def test_machine_rewritten_pages_are_a_genre_of_their_own(corpus):
    """They are known by their genre, and there are some."""
    assert any(map(is_rewritten, corpus.documents))
    assert not is_rewritten(Document("d", "t", genre="wire report"))


# ── slices, parts and the gate, on a small corpus ───────────────────────────────────────────────

TEXT = (
    "{place} signs on\n\nShare Menu Tags\n\n{leader} of {place} will open the harbour, said the"
    " ministry. {leader} will speak soon. He plans to travel. They will dine. It will rain."
)
"""A page: one commitment, four sentences with a trigger word that promise nothing."""


def page(number, event, place, leader):
    """One document and its gold."""
    text = TEXT.format(place=place, leader=leader)
    furniture = text.index("Share"), text.index("Tags") + 4
    zones = [
        {"start": 0, "end": text.index("\n"), "zone": "headline"},
        {"start": furniture[0], "end": furniture[1], "zone": "boilerplate"},
        {"start": furniture[1] + 2, "end": len(text), "zone": "body"},
    ]
    name = f"{event}-d{number}"
    start = text.index(leader)
    promise = text.index(f"{leader} of"), text.index(", said")
    document = {"id": name, "text": text, "event": event, "genre": "web page", "zones": zones}
    spans = [
        {"start": promise[0], "end": promise[1], "label": "COMMITMENT", "id": "s1"}
        | {
            "attributes": {
                "kind": "plan",
                "status": "asserted",
                "polarity": "+",
                "specificity": "specific",
                "commitment_id": f"{event}-c01",
            }
        },
        {"start": start, "end": start + len(leader), "label": "PARTY", "id": "s2"},
    ]
    return document, {"document": name, "annotator": GOLD, "spans": spans}


def event(name, place, leader, **more):
    """One record of the registry."""
    actors = [
        {"id": "L", "name": f"{place} {leader}", "kind": "office-holder", "aliases": [leader]},
        {"id": "S", "name": place, "kind": "state", "aliases": []},
    ]
    return {"event": name, "actors": actors, "commitments": [{"id": f"{name}-c01"}]} | more


@pytest.fixture
def small(tmp_path):
    """A frozen corpus of three events, one a split; test shares no name with the others."""
    told = (("e1", "Tovland", "Voss"), ("e2", "Sunholm", "Ilmar"), ("e3", "Nuraq", "Qabeth"))
    pairs = [page(1, *which) for which in told]
    files.write_text(tmp_path / "corpus.yaml", "name: small\nschema: commitments\n")
    files.write_jsonl(tmp_path / "documents.jsonl", [document for document, _ in pairs])
    files.write_jsonl(tmp_path / "gold.jsonl", [gold for _, gold in pairs])
    registry = [event(*which, states="invented") for which in told]
    files.write_jsonl(tmp_path / "registry.jsonl", registry)
    files.write_text(tmp_path / "splits.yaml", "train: [e1]\nvalidation: [e2]\ntest: [e3]\n")
    return Corpus.load(tmp_path)


def rewrite(corpus, name, change):
    """The corpus with one file changed."""
    path = corpus.root / name
    path.write_text(change(path.read_text("utf-8")), "utf-8")
    return Corpus.load(corpus.root)


def test_slices_follow_their_rules(small):
    """One noisy page about a leader whose names occur nowhere else, hard for its trigger words."""
    every = ("hardneg", "invented-state", "leaders", "noisy", "unseen")
    assert slices(small) == dict.fromkeys(every, ("e3-d1",))


@pytest.mark.parametrize("name", ["Qabeth", "Nuraq"])
def test_a_name_met_in_training_is_not_unseen(small, name):
    """Actor or state, in running text, whatever its case."""
    leaky = rewrite(small, "documents.jsonl", lambda text: text.replace("rain", name.upper(), 1))
    assert "unseen" not in slices(leaky)


def test_an_instrument_met_in_training_is_not_unseen(small):
    """Currencies and pacts count as names do."""
    named = rewrite(
        small,
        "registry.jsonl",
        lambda text: text.replace('"event":"e3"', '"event":"e3","instruments":["Foru"]'),
    )
    assert "unseen" in slices(named)
    leaky = rewrite(named, "documents.jsonl", lambda text: text.replace("rain", "Forus foru", 1))
    assert "unseen" in slices(leaky), "in lower case it is a common word"
    leaky = rewrite(small, "documents.jsonl", lambda text: text.replace("foru", "Foru", 1))
    assert "unseen" not in slices(leaky)


def test_parts_add_up(corpus):
    """Splits make the corpus, and so do genres."""
    parts = composition(corpus)
    whole = parts[0]
    for kind in ("split", "genre"):
        found = [part for part in parts if part.kind == kind]
        assert sum(part.documents for part in found) == whole.documents
        assert sum(part.words for part in found) == whole.words
        assert sum(part.spans.get("PARTY", 0) for part in found) == whole.spans["PARTY"]
    assert whole.density("PARTY") == 1000 * whole.spans["PARTY"] / whole.words


def test_a_sound_corpus_passes_the_gate(small):
    """Frozen, it says so; its files are what the checksums say."""
    assert small.freeze(slices(small))
    assert not small.freeze(slices(small)), "a second time changes nothing"
    assert gate(Corpus.load(small.root)) == [
        fault for fault in gate(small) if fault.rule == "leak"
    ], "the three pages are one text but for names"


FAULTS = {
    "a file changed after freezing": (
        "splits.yaml",
        lambda text: text + "# late\n",
        (
            "splits.yaml: is not what SHA256SUMS says; "
            "undo the change, or freeze the corpus again: toolkit check --freeze"
        ),
    ),
    "a slice that its rule does not give": (
        "slices.yaml",
        lambda text: text.replace("noisy", "noisier"),
        (
            "slices.yaml: noisier: the rule and the file differ on e3-d1; "
            "freeze the corpus again: toolkit check --freeze"
        ),
    ),
    "a commitment that should be told": (
        "registry.jsonl",
        lambda text: text.replace('"event":"e2"', '"event":"e2","coverage":{"e2-d1":["e2-c07"]}'),
        (
            "registry.jsonl:2: e2-d1 should tell e2-c07 and does not; "
            "link it to a span, or declare it under `omitted`"
        ),
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_the_gate_names_the_fault(small, name):
    """With its place and cure."""
    file, change, expected = FAULTS[name]
    small.freeze(slices(small))
    changed = rewrite(small, file, change)
    assert f"{small.root}/{expected}" in [str(fault) for fault in gate(changed)]


def test_noisy_pages_are_frozen_with_clean_twins(small):
    """Without furniture, with the same surfaces; one that is not its page's is a fault."""
    pairs = twins(small, ["e3-d1"])
    small.freeze(slices(small), pairs)
    ((twin, moved),) = pairs
    assert "Share" not in twin.text
    assert [s.text for s in moved.spans] == [twin.text[s.start : s.end] for s in moved.spans]
    assert (small.root / "twins/gold.jsonl").read_text("utf-8").count("\n") == 1
    changed = rewrite(small, "twins/gold.jsonl", lambda text: text.replace("PARTY", "AMOUNT"))
    assert {fault.rule for fault in gate(changed)} == {"leak", "checksum", "twin"}


def test_what_is_declared_omitted_is_no_fault(small):
    """A document may leave out what its notes held."""
    added = '"event":"e2","coverage":{"e2-d1":["e2-c07"]},"omitted":{"e2-d1":["e2-c07"]}'
    changed = rewrite(small, "registry.jsonl", lambda text: text.replace('"event":"e2"', added))
    assert [fault for fault in gate(changed) if fault.rule == "untold"] == []


def test_runs_shared_with_train_are_leaks(small):
    """The three pages repeat each other, and the gate says so."""
    assert [fault.rule for fault in gate(small)] == ["leak", "leak"]


def test_a_slice_of_no_document_is_refused(small):
    """Slices name documents that are there."""
    small.freeze({"noisy": ["e9-d1"]})
    with pytest.raises(InvalidDataError, match="noisy: no document 'e9-d1'"):
        Corpus.load(small.root).slices()


def test_words_that_differ_tell_train_from_test():
    """Perfectly parted vocabularies give 1, the same vocabulary a half."""
    ours = [Document(f"a{n}", "one two three", event=f"a{n}") for n in range(10)]
    theirs = [Document(f"b{n}", "four five six", event=f"b{n}") for n in range(10)]
    assert split_auc(ours, theirs) == 1
    assert split_auc(ours, [replace(d, id=f"c{d.id}", event=f"c{d.id}") for d in ours]) == 0.5
