"""What suggestions did to labels, on readings of which everything is known beforehand."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.adjudication import Arm, Influence, influence
from toolkit.scoring import Counts, difference, interval
from toolkit.spans import Annotation, Span

PARTY, AMOUNT = Span(0, 7, "PARTY"), Span(13, 23, "AMOUNT")


def reading(document, *spans, annotator="a1", **facts):
    """A person's reading."""
    return Annotation(document, annotator, spans, **facts)


def suggested(*annotations):
    """A model's annotations by document."""
    return {a.document: replace(a, annotator="model:m") for a in annotations}


def arm_of(reading_spans, suggested_spans):
    """The arm of one document that was shown suggestions."""
    found = influence(
        [reading("d1", *reading_spans)], suggested(reading("d1", *suggested_spans)), ["d1"]
    )
    return found.shown


def fates(arm):
    """What became of the suggested spans, and how many were added."""
    return arm.kept, arm.moved, arm.relabelled, arm.removed, arm.added


# ── one document ────────────────────────────────────────────────────────────────────────────────

FATES = {
    "all kept": ([PARTY, AMOUNT], [PARTY, AMOUNT], (2, 0, 0, 0, 0)),
    "nothing on either side": ([], [], (0, 0, 0, 0, 0)),
    "removed": ([], [PARTY], (0, 0, 0, 1, 0)),
    "added": ([PARTY, AMOUNT], [PARTY], (1, 0, 0, 0, 1)),
    "edge moved": ([Span(4, 7, "PARTY")], [PARTY], (0, 1, 0, 0, 0)),
    "edge moved to one shared character": ([Span(6, 60, "PARTY")], [PARTY], (0, 1, 0, 0, 0)),
    "beside it": ([Span(7, 9, "PARTY")], [PARTY], (0, 0, 0, 1, 1)),
    "relabelled": ([Span(0, 7, "DATE")], [PARTY], (0, 0, 1, 0, 0)),
    "another label and edge": ([Span(0, 6, "DATE")], [PARTY], (0, 0, 0, 1, 1)),
    "cut in two": ([Span(0, 3, "PARTY"), Span(4, 7, "PARTY")], [PARTY], (0, 1, 0, 0, 1)),
    "two made one": (
        [Span(0, 12, "PARTY")],
        [PARTY, Span(8, 12, "PARTY")],
        (0, 1, 0, 1, 0),
    ),
    "inside a longer span": (
        [PARTY, Span(0, 30, "COMMITMENT")],
        [PARTY, Span(0, 28, "COMMITMENT")],
        (1, 1, 0, 0, 0),
    ),
    "two labels at one place": ([Span(0, 7, "DATE"), PARTY], [PARTY], (1, 0, 0, 0, 1)),
}


@pytest.mark.parametrize("case", FATES.values(), ids=FATES)
def test_fate_of_each_suggested_span(case):
    """Kept, edge moved, relabelled or removed, and what the annotator added."""
    given_spans, suggested_spans, expected = case
    arm = arm_of(given_spans, suggested_spans)
    assert fates(arm) == expected
    assert (arm.spans, arm.suggested) == (len(given_spans), len(suggested_spans))


spans = st.lists(
    st.builds(
        lambda start, length, label: Span(start, start + length, label),
        st.integers(0, 12),
        st.integers(1, 6),
        st.sampled_from(["PARTY", "DATE"]),
    ),
    max_size=6,
    unique_by=lambda span: span.key,
)


@settings(max_examples=300, deadline=None)
@given(spans, spans)
def test_every_span_has_one_fate(given_spans, suggested_spans):
    """Each suggested span and each span of the reading is counted once."""
    arm = arm_of(given_spans, suggested_spans)
    kept, moved, relabelled, removed, added = fates(arm)
    assert kept + moved + relabelled + removed == len(suggested_spans) == arm.suggested
    assert kept + moved + relabelled + added == len(given_spans) == arm.spans
    assert arm.against["all"] == Counts(kept, arm.suggested - kept, arm.spans - kept)


# ── two arms ────────────────────────────────────────────────────────────────────────────────────


def two_arms(n_shown, n_control):
    """Shown documents keep both suggestions; of control documents every second misses the amount."""
    names = [f"d{n:02}" for n in range(n_shown + n_control)]
    shown, control = names[:n_shown], names[n_shown:]
    readings = [reading(name, PARTY, AMOUNT, lead_time=60.0) for name in shown]
    for n, name in enumerate(control):
        both = [PARTY] if n % 2 else [PARTY, AMOUNT]
        readings.append(reading(name, *both, lead_time=100.0 + n))
    return readings, suggested(*(reading(name, PARTY, AMOUNT) for name in names)), shown


def test_anchoring_is_known_by_hand():
    """F1 is 1 where suggestions were shown and 30/35 where not: they differ by 1/7."""
    found = influence(*two_arms(12, 10))
    assert found.shown == Arm(
        documents=12,
        readings=12,
        spans=24,
        seconds=60.0,
        against={"AMOUNT": Counts(12), "PARTY": Counts(12), "all": Counts(24)},
        suggested=24,
        kept=24,
    )
    assert found.control == Arm(
        documents=10,
        readings=10,
        spans=15,
        seconds=104.5,
        against={"AMOUNT": Counts(5, 5), "PARTY": Counts(10), "all": Counts(15, 5)},
        suggested=20,
        kept=15,
        removed=5,
    )
    assert found.anchoring == pytest.approx(1 - 30 / 35)
    low, high = found.interval
    assert 0 < low < found.anchoring < high < 0.4
    assert (found.unclaimed, found.left_out) == ("", 0)


def test_no_influence_is_none():
    """Where both arms were read alike the estimate is 0, and the interval holds it."""
    readings, suggestions, _ = two_arms(0, 80)
    found = influence(readings, suggestions, [a.document for a in readings[::4] + readings[1::4]])
    assert (found.shown.documents, found.control.documents) == (40, 40)
    assert found.anchoring == 0.0
    assert found.interval[0] < 0 < found.interval[1]


@pytest.mark.parametrize("sizes", [(9, 30), (30, 9), (0, 0)])
def test_small_arm_claims_nothing(sizes):
    """With fewer than ten documents in an arm there is no estimate, and the reason is given."""
    found = influence(*two_arms(*sizes))
    which, number = ("shown", sizes[0]) if sizes[0] < 10 else ("control", sizes[1])
    assert (found.anchoring, found.interval) == (None, None)
    assert found.unclaimed == f"{number} documents in the {which} arm; at least 10 are needed"
    assert (found.shown.documents, found.control.documents) == sizes


def test_ten_readings_of_one_document_are_one_document():
    """Documents are counted, not readings; every reading counts in the figures."""
    readings, suggestions, shown = two_arms(9, 12)
    more = [replace(readings[0], annotator=f"b{n}") for n in range(5)]
    found = influence([*readings, *more], suggestions, shown)
    assert (found.shown.documents, found.shown.readings, found.shown.kept) == (9, 14, 28)
    assert found.unclaimed == "9 documents in the shown arm; at least 10 are needed"


def test_arm_without_a_span_claims_nothing():
    """Where neither people nor model marked anything there is nothing to agree on."""
    readings, suggestions, shown = two_arms(12, 0)
    empty = [reading(f"e{n}") for n in range(10)]
    found = influence([*readings, *empty], suggestions | suggested(*empty), shown)
    assert (found.anchoring, found.interval, found.unclaimed) == (
        None,
        None,
        "no span on either side in the control arm",
    )


def test_what_cannot_be_compared_is_left_out_and_counted():
    """Skipped documents and documents that the model did not read are in neither arm."""
    readings, suggestions, shown = two_arms(12, 10)
    more = [reading("d00", skipped=True), reading("x1", PARTY), reading("x2", PARTY)]
    found = influence([*readings, *more], suggestions, [*shown, "x1"])
    assert found == replace(influence(readings, suggestions, shown), left_out=3)


def test_order_makes_no_difference():
    """The same readings in another order give the same figures and the same interval."""
    readings, suggestions, shown = two_arms(12, 11)
    backwards = dict(reversed(suggestions.items()))
    again = influence(readings[::-1], backwards, shown[::-1])
    assert again == influence(readings, suggestions, shown)


def test_whole_stories_are_drawn():
    """Twelve documents of four events are four units, too few for an interval; the estimate stays."""
    readings, suggestions, shown = two_arms(12, 12)
    stories = {name: f"e{n % 4}" for n, name in enumerate(suggestions)}
    found = influence(readings, suggestions, shown, stories=stories)
    alone = influence(readings, suggestions, shown)
    assert found == replace(alone, interval=None)
    six = {name: f"e{n % 6}" for n, name in enumerate(suggestions)}
    assert influence(readings, suggestions, shown, stories=six).interval != alone.interval


def test_shares_of_an_arm():
    """Shares are of the suggested spans, and there is none where nothing was suggested."""
    arm = arm_of([PARTY, Span(30, 33, "DATE")], [PARTY, AMOUNT])
    assert (arm.share(arm.kept), arm.share(arm.removed), arm.added_per_document) == (0.5, 0.5, 1.0)
    assert (Arm().share(0), Arm().added_per_document, Arm().f1) == (None, 0.0, 0.0)
    assert influence([], {}, []) == Influence(
        Arm(against={"all": Counts()}),
        Arm(against={"all": Counts()}),
        None,
        None,
        "0 documents in the shown arm; at least 10 are needed",
    )


# ── the interval ────────────────────────────────────────────────────────────────────────────────


def test_difference_from_nothing_is_the_interval_itself():
    """Where the second side is always wrong its F1 is 0, and the interval is that of the first."""
    units = [Counts(n, 1, 2) for n in range(8)]
    wrong = Counts(0, 1, 1)
    assert difference([(unit, wrong) for unit in units]) == interval(units)
    low, high = interval(units)
    assert difference([(wrong, unit) for unit in units]) == pytest.approx((-high, -low))


def test_equal_sides_never_differ():
    """The same units are drawn for both sides, so equal sides differ in no resample."""
    assert difference([(Counts(n, 1, 2), Counts(n, 1, 2)) for n in range(8)]) == (0.0, 0.0)


def test_difference_needs_units_and_two_sides():
    """Four units, or a side without a count, give no interval."""
    both = (Counts(1, 1, 1), Counts(1))
    assert difference([both] * 4) is None
    assert difference([(Counts(1), Counts())] * 8) is None
    assert difference([]) is None
