"""Scores are seqeval's strict IOB2 figures, and counts of equal spans agree with them."""

import json
import random
from dataclasses import asdict, replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.errors import InvalidDataError
from toolkit.schema import Label, Layer, Schema
from toolkit.scoring import SIGNATURE, Counts, Ratios, count, interval, match, score
from toolkit.spans import Annotation, Span, cut_spans, to_tags

SCHEMA = Schema(
    name="deals",
    version="1",
    language="en",
    layers=(
        Layer("promises", (Label("PROMISE", "", "#000000"),)),
        Layer("mentions", tuple(Label(name, "", "#000000") for name in ("WHO", "MUCH", "WHEN"))),
    ),
)
MENTIONS = SCHEMA.layers[1]
LENGTH = 24
NOTHING = Ratios(0.0, 0.0, 0.0, 0)


def reading(document, *spans, annotator="a"):
    """An annotation of a document from (start, end, label)."""
    return Annotation(document, annotator, tuple(Span(*span) for span in spans))


@st.composite
def layered(draw):
    """The spans of one reading: each layer flat, layers free of each other."""
    spans = []
    for layer in SCHEMA.layers:
        points = sorted(draw(st.sets(st.integers(0, LENGTH), max_size=9)))
        for start, end in pairwise(points):
            label = draw(st.sampled_from(("", *layer.names)))
            if label:
                spans.append((start, end, label))
    return tuple(spans)


@st.composite
def both_sides(draw):
    """Gold and a prediction that keeps some of its spans, for a few documents."""
    gold, predicted = [], []
    for number in range(draw(st.integers(1, 4))):
        right = draw(layered())
        guess = draw(layered())
        if draw(st.booleans()):
            kept = [span for span in right if draw(st.booleans())]
            new = [s for s in guess if not any(clash(s, other) for other in kept)]
            guess = (*kept, *new)
        gold.append(reading(f"d{number}", *right))
        predicted.append(reading(f"d{number}", *guess))
    return gold, predicted


def clash(one, other):
    """Whether two (start, end, label) overlap inside one layer."""
    same_layer = SCHEMA.layer_of(one[2]) == SCHEMA.layer_of(other[2])
    return same_layer and one[0] < other[1] and other[0] < one[1]


def by_hand(gold, predicted, layer, tokens):
    """seqeval's report on tags over these tokens, without anything of ours in between."""
    from seqeval.metrics import classification_report
    from seqeval.scheme import IOB2

    tags = [[to_tags(a.layer(layer.names), tokens) for a in side] for side in (gold, predicted)]
    if not any(tag != "O" for side in tags for sentence in side for tag in sentence):
        return {}
    report = classification_report(
        *tags, mode="strict", scheme=IOB2, output_dict=True, zero_division=0
    )
    return {
        name: (row["precision"], row["recall"], row["f1-score"], row["support"])
        for name, row in report.items()
        if name != "weighted avg"
    }


def figures(ratios):
    """Ratios as seqeval orders them."""
    return ratios.precision, ratios.recall, ratios.f1, ratios.support


CHARACTERS = [(place, place + 1) for place in range(LENGTH)]


@settings(max_examples=30, deadline=None)
@given(both_sides())
def test_a_score_is_seqevals_to_the_last_digit(sides):
    """Every figure equals seqeval's own over finer tokens: per label, micro and macro."""
    found = score(*sides, SCHEMA)
    f1s = []
    for layer in SCHEMA.layers:
        expected = by_hand(*sides, layer, CHARACTERS)
        rows = found.layers[layer.name]
        micro = figures(rows.micro), expected.pop("micro avg", figures(NOTHING))
        macro = figures(rows.macro), expected.pop("macro avg", figures(NOTHING))
        assert micro[0] == micro[1]
        assert macro[0] == macro[1]
        assert rows.seen == tuple(name for name in layer.names if name in expected)
        assert {name: figures(row) for name, row in rows.per_label.items()} == {
            name: expected.get(name, figures(NOTHING)) for name in layer.names
        }
        f1s += [expected[name][2] for name in rows.seen]
    assert found.macro_f1 == pytest.approx(sum(f1s) / len(f1s) if f1s else 0.0, abs=1e-15)


@settings(max_examples=30, deadline=None)
@given(both_sides(), st.randoms(use_true_random=False))
def test_a_score_does_not_depend_on_tokens_that_fit(sides, random):
    """Tokens with gaps, cut at random but never through a span, give the same figures."""
    spans = [span for side in sides for annotation in side for span in annotation.spans]
    points = {point for span in spans for point in (span.start, span.end)}
    points |= {point for point in range(LENGTH) if random.random() < 0.3}
    tokens = list(pairwise(sorted(points)))
    assert cut_spans(spans, tokens) == []
    found = score(*sides, SCHEMA)
    for layer in SCHEMA.layers:
        expected = by_hand(*sides, layer, tokens)
        row = found.layers[layer.name].micro
        assert figures(row) == expected.get("micro avg", figures(NOTHING))


@settings(max_examples=30, deadline=None)
@given(both_sides())
def test_counts_of_equal_spans_are_seqevals_figures(sides):
    """Counting equal spans per document and adding up gives the figures of seqeval."""
    found = score(*sides, SCHEMA)
    for layer in SCHEMA.layers:
        for name in layer.names:
            total = sum(
                (count(a.layer([name]), b.layer([name])) for a, b in zip(*sides, strict=True)),
                Counts(),
            )
            row = found.layers[layer.name].per_label[name]
            assert (total.precision, total.recall) == (row.precision, row.recall)
            assert total.f1 == pytest.approx(row.f1, abs=1e-15)
            assert total.tp + total.fn == row.support


@settings(max_examples=25, deadline=None)
@given(st.lists(layered(), min_size=1, max_size=4))
def test_gold_against_itself_scores_one(readings):
    """Every label that occurs has precision, recall and F1 of 1, and so have the averages."""
    gold = [reading(f"d{number}", *spans) for number, spans in enumerate(readings)]
    found = score(gold, gold, SCHEMA)
    rows = [row for layer in found.layers.values() for row in layer.per_label.values()]
    assert {figures(row)[:3] for row in rows if row.support} <= {(1.0, 1.0, 1.0)}
    assert found.macro_f1 == (1.0 if any(readings) else 0.0)
    for layer in SCHEMA.layers:
        support = sum(len(a.layer(layer.names)) for a in gold)
        assert figures(found.layers[layer.name].micro) == (
            (1.0, 1.0, 1.0, support) if support else figures(NOTHING)
        )


@settings(max_examples=25, deadline=None)
@given(both_sides(), st.randoms(use_true_random=False))
def test_order_of_documents_and_spans_does_not_matter(sides, random):
    """Shuffled documents, shuffled spans and other annotators' names give an equal score."""
    mixed = []
    for side in sides:
        turned = [
            replace(a, spans=tuple(random.sample(a.spans, len(a.spans))), annotator="b")
            for a in side
        ]
        mixed.append(random.sample(turned, len(turned)))
    assert score(*mixed, SCHEMA) == score(*sides, SCHEMA)


@settings(max_examples=25, deadline=None)
@given(both_sides())
def test_grouping_into_documents_does_not_matter(sides):
    """One long document scores as the documents it was joined from."""
    joined = [
        reading(
            "all",
            *(
                (span.start + LENGTH * number, span.end + LENGTH * number, span.label)
                for number, annotation in enumerate(side)
                for span in annotation.spans
            ),
        )
        for side in sides
    ]
    together = score([joined[0]], [joined[1]], SCHEMA)
    assert replace(together, documents=len(sides[0])) == score(*sides, SCHEMA)


@settings(max_examples=25, deadline=None)
@given(both_sides())
def test_exchanging_the_sides_exchanges_precision_and_recall(sides):
    """F1 stays, precision becomes recall."""
    gold, predicted = sides
    there, back = score(gold, predicted, SCHEMA), score(predicted, gold, SCHEMA)
    for layer in there.layers:
        one, other = there.layers[layer], back.layers[layer]
        for a, b in [
            (one.micro, other.micro),
            (one.macro, other.macro),
            *((one.per_label[name], other.per_label[name]) for name in one.per_label),
        ]:
            assert (a.precision, a.recall, a.f1) == (b.recall, b.precision, b.f1)
    assert there.macro_f1 == back.macro_f1


GOLD = [
    reading("d1", (0, 9, "PROMISE"), (0, 2, "WHO"), (3, 5, "MUCH")),
    reading("d2", (0, 2, "WHO"), (4, 6, "WHO")),
]
PREDICTED = [
    reading("d1", (0, 9, "PROMISE"), (0, 2, "WHO"), (3, 6, "MUCH")),
    reading("d2", (0, 2, "WHO"), (7, 9, "WHO")),
]


def test_a_small_score_worked_by_hand():
    """Two of three WHO on each side, a MUCH with a wrong edge, and one right PROMISE."""
    found = score(GOLD, PREDICTED, SCHEMA)
    mentions = found.layers["mentions"]
    assert figures(found.layers["promises"].micro) == (1.0, 1.0, 1.0, 1)
    assert figures(mentions.per_label["WHO"]) == (2 / 3, 2 / 3, 2 / 3, 3)
    assert figures(mentions.per_label["MUCH"]) == (0.0, 0.0, 0.0, 1)
    assert figures(mentions.micro) == (0.5, 0.5, 0.5, 4)
    assert figures(mentions.macro) == (1 / 3, 1 / 3, 1 / 3, 4)
    assert found.macro_f1 == (1.0 + 2 / 3 + 0.0) / 3
    assert (found.documents, found.signature) == (2, SIGNATURE)


def test_a_label_that_occurs_nowhere_counts_in_no_average():
    """It has a row of zeros, is not seen, and leaves the macro average as it was."""
    mentions = score(GOLD, PREDICTED, SCHEMA).layers["mentions"]
    assert mentions.per_label["WHEN"] == NOTHING
    assert mentions.seen == ("WHO", "MUCH")


def test_a_label_only_predicted_is_seen():
    """A label made up by the prediction pulls the macro average down."""
    made_up = [reading("d1", (0, 2, "WHO"), (3, 5, "WHEN"))]
    found = score([reading("d1", (0, 2, "WHO"))], made_up, SCHEMA)
    assert found.layers["mentions"].seen == ("WHO", "WHEN")
    assert found.layers["mentions"].macro.f1 == found.macro_f1 == 0.5


def test_nothing_on_either_side_scores_nothing():
    """Documents without any span are scored without a warning, as zeros."""
    found = score([reading("d1")], [reading("d1")], SCHEMA)
    assert [layer.micro for layer in found.layers.values()] == [NOTHING, NOTHING]
    assert (found.macro_f1, found.documents) == (0.0, 1)


def test_nested_spans_are_scored_layer_by_layer():
    """A mention inside a promise disturbs neither layer."""
    nested = [reading("d1", (0, 9, "PROMISE"), (2, 4, "WHO"), (8, 9, "WHEN"))]
    found = score(nested, nested, SCHEMA)
    assert [layer.micro.support for layer in found.layers.values()] == [1, 2]
    assert found.macro_f1 == 1.0


def test_a_repeated_span_counts_once():
    """The same span twice on a side is one answer."""
    twice = [reading("d1", (0, 2, "WHO"), (0, 2, "WHO"))]
    once = [reading("d1", (0, 2, "WHO"))]
    assert score(once, twice, SCHEMA) == score(twice, once, SCHEMA) == score(once, once, SCHEMA)


def test_predictions_for_further_documents_are_left_aside():
    """What was predicted outside gold's documents changes nothing, not even if it overlaps."""
    more = [*PREDICTED, reading("d3", (0, 2, "WHO"), (1, 3, "WHO"))]
    assert score(GOLD, more, SCHEMA) == score(GOLD, PREDICTED, SCHEMA)


def test_a_score_is_plain_numbers():
    """json takes a score as it is and gives it back; counts are ints and ratios floats."""
    plain = asdict(score(GOLD, PREDICTED, SCHEMA))
    back = json.loads(json.dumps(plain))
    plain["layers"]["mentions"]["seen"] = list(plain["layers"]["mentions"]["seen"])
    plain["layers"]["promises"]["seen"] = list(plain["layers"]["promises"]["seen"])
    assert back == plain
    row = score(GOLD, PREDICTED, SCHEMA).layers["mentions"].macro
    assert [type(figure) for figure in figures(row)] == [float, float, float, int]
    assert type(plain["macro_f1"]) is float


MANY = [reading(f"d{number}") for number in range(7)]


@pytest.mark.parametrize(
    ("gold", "predicted", "line"),
    [
        (
            GOLD,
            PREDICTED[:1],
            (
                "predictions: no prediction for 1 of 2 gold documents (d2); predict them too; a document"
                " without spans is a record with no spans"
            ),
        ),
        (
            MANY,
            [],
            (
                "predictions: no prediction for 7 of 7 gold documents (d0, d1, d2, d3, d4, …); predict"
                " them too; a document without spans is a record with no spans"
            ),
        ),
        ([], PREDICTED, "gold: no documents; name a file that has some"),
        (GOLD, PREDICTED[:1] * 2, "predictions: d1 stands there 2 times; keep one"),
        ([*GOLD, GOLD[1]], PREDICTED, "gold: d2 stands there 2 times; keep one"),
        (
            GOLD[:1],
            [reading("d1", (0, 5, "WHO"), (4, 9, "WHEN"), annotator="model:x")],
            (
                "model:x: d1: WHEN 4–9 overlaps WHO 0–5 in the layer 'mentions'; a layer is flat: keep"
                " one of the two"
            ),
        ),
        (
            [reading("d1", (0, 5, "WHO"), (0, 5, "WHEN"), annotator="gold")],
            PREDICTED,
            (
                "gold: d1: WHO 0–5 overlaps WHEN 0–5 in the layer 'mentions'; a layer is flat: keep one"
                " of the two"
            ),
        ),
        (
            GOLD[:1],
            [reading("d1", (0, 5, "WHO"), (1, 2, "WHO"), annotator="")],
            (
                "spans: d1: WHO 1–2 overlaps WHO 0–5 in the layer 'mentions'; a layer is flat: keep one"
                " of the two"
            ),
        ),
    ],
    ids=[
        "missing",
        "many-missing",
        "no-gold",
        "predicted-twice",
        "gold-twice",
        "overlap",
        "two-labels",
        "nameless",
    ],
)
def test_what_cannot_be_scored_is_refused(gold, predicted, line):
    """A missing or doubled document and an overlap end in one line: place, fault and cure."""
    with pytest.raises(InvalidDataError) as raised:
        score(gold, predicted, SCHEMA)
    assert str(raised.value) == line


@pytest.mark.parametrize(
    ("counts", "ratios"),
    [
        (Counts(), (0.0, 0.0, 0.0)),
        (Counts(3, 1, 2), (0.75, 0.6, 2 / 3)),
        (Counts(0, 4, 0), (0.0, 0.0, 0.0)),
        (Counts(0, 0, 4), (0.0, 0.0, 0.0)),
        (Counts(5, 0, 0), (1.0, 1.0, 1.0)),
    ],
    ids=["nothing", "some", "made-up", "missed", "all-right"],
)
def test_ratios_follow_from_counts(counts, ratios):
    """Precision, recall and F1 of counts, 0 where there is nothing to divide by."""
    assert (counts.precision, counts.recall, counts.f1) == ratios


def test_counts_add_up():
    """Counts are added part by part, and nothing is their zero."""
    assert Counts(1, 2, 3) + Counts(10, 20, 30) == Counts(11, 22, 33)
    assert sum([Counts(1, 2, 3), Counts(4, 5, 6)], Counts()) == Counts(5, 7, 9)


@pytest.mark.parametrize(
    ("gold", "predicted", "exact", "overlap"),
    [
        ([(0, 10, "X")], [(0, 10, "X")], (1, 0, 0), (1, 0, 0)),
        ([(0, 10, "X")], [(0, 10, "Y")], (0, 1, 1), (0, 1, 1)),
        ([(0, 10, "X")], [(0, 5, "X")], (0, 1, 1), (1, 0, 0)),
        ([(0, 10, "X")], [(0, 4, "X")], (0, 1, 1), (0, 1, 1)),
        ([(0, 10, "X")], [(0, 5, "X"), (5, 10, "X")], (0, 2, 1), (1, 1, 0)),
        ([(0, 10, "X"), (10, 20, "X")], [(0, 20, "X")], (0, 1, 2), (1, 0, 1)),
        ([(0, 2, "X")], [(2, 4, "X")], (0, 1, 1), (0, 1, 1)),
        ([(0, 4, "X")] * 2, [(0, 4, "X")], (1, 0, 0), (1, 0, 0)),
        ([(0, 4, "X")], [(0, 4, "X")] * 3, (1, 0, 0), (1, 0, 0)),
    ],
    ids=[
        "equal",
        "other-label",
        "half",
        "under-half",
        "split",
        "merged",
        "adjacent",
        "gold-twice",
        "predicted-twice",
    ],
)
def test_spans_are_counted_exactly_or_by_overlap(gold, predicted, exact, overlap):
    """Exact asks for equal offsets, overlap for half the union; label and one-to-one always."""
    sides = [Span(*span) for span in gold], [Span(*span) for span in predicted]
    assert count(*sides) == Counts(*exact)
    assert count(*sides, min_iou=0.5) == Counts(*overlap)


def test_the_best_pair_is_taken_first():
    """A span goes to the one it fits best, though another that fits stands before it."""
    gold = [Span(0, 10, "X")]
    predicted = [Span(0, 8, "X"), Span(1, 10, "X")]
    assert match(gold, predicted, min_iou=0.5) == [(gold[0], predicted[1])]


ANY_SPANS = st.lists(
    st.tuples(st.integers(0, 12), st.integers(1, 8), st.sampled_from("XY")).map(
        lambda s: Span(s[0], s[0] + s[1], s[2])
    ),
    max_size=7,
)


@settings(max_examples=150, deadline=None)
@given(ANY_SPANS, ANY_SPANS, st.sampled_from([0.2, 0.5, 1.0]))
def test_matching_is_one_to_one_and_symmetric(gold, predicted, min_iou):
    """Even among overlapping spans no span is used twice, and either side may be called gold."""
    pairs = match(gold, predicted, min_iou=min_iou)
    for side in zip(*pairs, strict=True):
        assert len({id(span) for span in side}) == len(side)
    assert all(one.label == other.label for one, other in pairs)
    there = count(gold, predicted, min_iou=min_iou)
    back = count(predicted, gold, min_iou=min_iou)
    assert (there.tp, there.fp, there.fn, there.f1) == (back.tp, back.fn, back.fp, back.f1)


@settings(max_examples=60, deadline=None)
@given(ANY_SPANS, ANY_SPANS)
def test_a_relaxed_match_finds_no_less_than_an_exact_one(gold, predicted):
    """Lowering the overlap asked for never loses a match."""
    found = [count(gold, predicted, min_iou=least).tp for least in (1.0, 0.75, 0.5)]
    assert found == sorted(found)


def test_equally_good_pairs_go_by_position():
    """Of two that fit one span equally and start together, the shorter is taken, in any order."""
    short, long, between = Span(0, 4, "X"), Span(0, 16, "X"), Span(0, 8, "X")
    for pair in ([short, long], [long, short]):
        assert match(pair, [between], min_iou=0.5) == [(short, between)]
        assert match([between], pair, min_iou=0.5) == [(between, short)]


def test_matching_does_not_depend_on_order():
    """Whatever the order of the spans, the same are paired."""
    gold = [Span(0, 4, "X"), Span(2, 6, "X"), Span(4, 8, "X"), Span(1, 5, "X")]
    predicted = [Span(1, 3, "X"), Span(3, 5, "X"), Span(0, 2, "X"), Span(5, 7, "X")]
    first = match(gold, predicted, min_iou=0.25)
    chance = random.Random(5)
    for _ in range(20):
        chance.shuffle(gold)
        chance.shuffle(predicted)
        assert match(gold, predicted, min_iou=0.25) == first


# ── intervals ───────────────────────────────────────────────────────────────────────────────────


def test_an_interval_is_that_of_resampled_units():
    """The same quantiles as a plain bootstrap of whole units, to the width of its noise."""
    rng = random.Random(7)
    units = [Counts(rng.randint(3, 9), rng.randint(0, 4), rng.randint(0, 4)) for _ in range(20)]
    f1s = sorted(sum(rng.choices(units, k=20), Counts()).f1 for _ in range(20_000))
    expected = f1s[500], f1s[19_500]
    assert interval(units, resamples=20_000) == pytest.approx(expected, abs=0.005)


def test_an_interval_is_the_same_each_time():
    """One seed, one answer."""
    units = [Counts(5, n % 3, n % 2) for n in range(8)]
    assert interval(units) == interval(units) != interval(units, seed=1)


@pytest.mark.parametrize(
    ("units", "expected"),
    [
        ([Counts(1, 1, 1)] * 4, None),
        ([Counts()] * 9, None),
        ([Counts(3, 0, 0)] * 5, (1.0, 1.0)),
        ([Counts(0, 1, 2)] * 5, (0.0, 0.0)),
    ],
    ids=["too few units", "nothing counted", "all right", "all wrong"],
)
def test_edges_of_intervals(units, expected):
    """No interval is better than one that means nothing."""
    assert interval(units) == expected
