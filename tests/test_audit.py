"""The audit's figures, each against a second way of getting it, and the committed corpus beside them."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from toolkit.audit import Figure, audit, body, is_rewritten, ngrams, sentences, words
from toolkit.corpus import Corpus
from toolkit.spans import Document, Zone

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
