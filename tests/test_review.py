"""A review leaves decisions from which gold follows; what differs is named exactly."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit import files
from toolkit.adjudication import (
    Decision,
    Difference,
    adjudicate,
    blind,
    decide,
    differences,
    span_diff,
)
from toolkit.corpus import Corpus
from toolkit.errors import InvalidDataError
from toolkit.schema import Attribute, Choice, Label, Layer, RelationType, Schema
from toolkit.spans import Annotation, Document, Relation, Span


def labels(*names):
    """Labels of which only the names matter."""
    return tuple(Label(name, "", "#000000") for name in names)


SCHEMA = Schema(
    name="deals",
    version="1",
    language="en",
    layers=(
        Layer("promises", labels("PROMISE", "THREAT")),
        Layer("mentions", labels("WHO", "FIRM", "MUCH")),
    ),
    attributes=(
        Attribute("kind", ("PROMISE", "THREAT"), values=(Choice("pledge"), Choice("plan"))),
        Attribute("adverse", ("PROMISE", "FIRM"), flag=True),
        Attribute("note", ("PROMISE", "WHO")),
    ),
    relations=(
        RelationType("by", ("PROMISE", "THREAT"), ("WHO", "FIRM")),
        RelationType("repeats", ("PROMISE", "WHO"), ("PROMISE", "WHO")),
    ),
)
#       0         1         2         3         4
#       01234567890123456789012345678901234567890123456789
TEXT = "Rome and Oslo pay 5 euros; Bern buys 7 tons of tin"
DOCUMENT = Document("d1", TEXT)


def reading(*spans, relations=(), document="d1", skipped=False):
    """An annotation of spans (start, end, label, attributes), called s1, s2, … in this order."""
    made = tuple(
        Span(start, end, label, f"s{number}", "", dict(*rest))
        for number, (start, end, label, *rest) in enumerate(spans, start=1)
    )
    links = tuple(Relation(*relation) for relation in relations)
    return Annotation(document, "someone", made, links, skipped)


def review(reviewed, *old, **readings):
    """The decisions after a review of the document, by its readings and the decisions it had."""
    return decide(reviewed, readings, DOCUMENT, SCHEMA, old)


def settle(*decisions, spans_only=(), **readings):
    """The adjudication of one reading per annotator."""
    named = {name: [found] for name, found in readings.items()}
    return adjudicate(named, {"d1": DOCUMENT}, SCHEMA, decisions, spans_only=spans_only)


def answers(annotation):
    """What a reading says, whatever ids and order it has."""
    spans = {(s.key, tuple(sorted(s.attributes.items()))) for s in annotation.spans}
    return spans, annotation.links()


def follows(decisions, reviewed, **readings):
    """Whether gold that is wholly settled by these decisions says what the reviewer says."""
    settled = settle(*decisions, **readings)
    assert (settled.disputed, settled.unused) == ((), ())
    return answers(settled.gold[0]) == answers(reviewed)


# ── spans ───────────────────────────────────────────────────────────────────────────────────────

LEFT = reading((0, 13, "WHO"), (18, 25, "MUCH"))
RIGHT = reading((0, 4, "WHO"), (9, 13, "FIRM"), (18, 25, "MUCH"))
PLACE = "d1/mentions/0-13"


def ruled(item, **settled):
    """A decision as a review makes it."""
    return Decision(item, rule="review", **settled)


@pytest.mark.parametrize(
    ("spans", "decisions"),
    [
        ([(0, 13, "WHO"), (18, 25, "MUCH")], [ruled(PLACE, choose="a1")]),
        ([(0, 4, "WHO"), (9, 13, "FIRM"), (18, 25, "MUCH")], [ruled(PLACE, choose="a2")]),
        (
            [(0, 4, "WHO"), (18, 25, "MUCH")],
            [ruled(PLACE, spans=(Span(0, 4, "WHO", text="Rome"),))],
        ),
        ([(18, 25, "MUCH")], [ruled(PLACE, spans=())]),
        (
            [(0, 13, "WHO")],
            [ruled(PLACE, choose="a1"), ruled("d1/mentions/18-25", spans=())],
        ),
        (
            [(0, 13, "WHO"), (18, 19, "MUCH")],
            [
                ruled(PLACE, choose="a1"),
                ruled("d1/mentions/18-25", spans=(Span(18, 19, "MUCH", text="5"),)),
            ],
        ),
        (
            [(0, 13, "WHO"), (18, 25, "MUCH"), (27, 31, "WHO")],
            [
                ruled(PLACE, choose="a1"),
                ruled("d1/mentions/27-31", spans=(Span(27, 31, "WHO", text="Bern"),)),
            ],
        ),
        (
            [(9, 25, "MUCH")],
            [
                ruled(PLACE, spans=(Span(9, 25, "MUCH", text="Oslo pay 5 euros"),)),
                ruled("d1/mentions/18-25", spans=()),
            ],
        ),
    ],
    ids=[
        "one",
        "other",
        "part",
        "none",
        "agreed-removed",
        "agreed-moved",
        "missed-by-all",
        "merged",
    ],
)
def test_reviewed_spans_become_decisions(spans, decisions):
    """A dispute settled for one is chosen, else the right spans are said; agreement needs nothing."""
    found = review(reading(*spans), a1=LEFT, a2=RIGHT)
    assert list(found) == decisions
    assert follows(found, reading(*spans), a1=LEFT, a2=RIGHT)


def test_who_left_a_place_empty_is_chosen():
    """A span one annotator marked and the reviewer removed is the other's reading."""
    found = review(reading(), a1=reading((0, 4, "WHO")), a2=reading())
    assert found == (ruled("d1/mentions/0-4", choose="a2"),)


def test_spans_that_are_said_bring_their_attributes():
    """A span none drew carries what the reviewer says of it, in one decision."""
    reviewed = reading((0, 25, "PROMISE", {"kind": "plan", "adverse": True}))
    one, other = reading((0, 13, "PROMISE", {"kind": "pledge"})), reading()
    (found,) = review(reviewed, a1=one, a2=other)
    span = Span(0, 25, "PROMISE", text=TEXT[:25], attributes={"kind": "plan", "adverse": True})
    assert found == ruled("d1/promises/0-13", spans=(span,))
    assert follows([found], reviewed, a1=one, a2=other)


def test_decisions_name_rule_and_adjudicator():
    """Both are those of the review."""
    (found,) = decide(
        LEFT, {"a1": LEFT, "a2": RIGHT}, DOCUMENT, SCHEMA, rule="B3", adjudicator="r1"
    )
    assert found == Decision(PLACE, choose="a1", rule="B3", adjudicator="r1")


# ── attributes and relations ────────────────────────────────────────────────────────────────────

FULL = reading(
    (0, 25, "PROMISE", {"kind": "pledge", "adverse": True}),
    (0, 4, "WHO"),
    (9, 13, "WHO"),
    relations=[("by", "s1", "s2"), ("by", "s1", "s3")],
)
BARE = reading((0, 25, "PROMISE"), (0, 4, "WHO"), (9, 13, "WHO"))
HALF = replace(FULL, relations=FULL.relations[:1])


@pytest.mark.parametrize(
    ("other", "attributes", "decisions"),
    [
        (FULL, {"kind": "pledge", "adverse": True}, []),
        (FULL, {"kind": "plan", "adverse": True}, [ruled("d1/0-25/kind", value="plan")]),
        (FULL, {"kind": "pledge"}, [ruled("d1/0-25/adverse", value=False)]),
        (FULL, {"adverse": True}, [ruled("d1/0-25/kind", value="")]),
        (
            FULL,
            {"kind": "pledge", "adverse": True, "note": "n1"},
            [ruled("d1/0-25/note", value="n1")],
        ),
    ],
    ids=["agreed", "value", "flag-off", "no-value", "text"],
)
def test_reviewed_attributes_become_decisions(other, attributes, decisions):
    """What is agreed and left alone needs none; else the value is said, also that there is none."""
    head, *rest = FULL.spans
    reviewed = replace(FULL, spans=(replace(head, attributes=attributes), *rest))
    found = review(reviewed, a1=FULL, a2=other)
    assert list(found) == decisions
    assert follows(found, reviewed, a1=FULL, a2=other)


def test_disputed_attributes_and_relations_are_chosen():
    """What one annotator read and the reviewer left is that annotator's reading."""
    assert review(FULL, a1=BARE, a2=FULL) == (
        ruled("d1/0-25/adverse", choose="a2"),
        ruled("d1/0-25/by", choose="a2"),
        ruled("d1/0-25/kind", choose="a2"),
    )


@pytest.mark.parametrize(
    ("links", "decisions"),
    [
        ([("by", "s1", "s2"), ("by", "s1", "s3")], [ruled("d1/0-25/by", choose="a1")]),
        ([("by", "s1", "s2")], [ruled("d1/0-25/by", choose="a2")]),
        ([("by", "s1", "s3")], [ruled("d1/0-25/by", tails=("9-13",))]),
        ([], [ruled("d1/0-25/by", tails=())]),
        (
            [("by", "s1", "s2"), ("repeats", "s3", "s2")],
            [ruled("d1/0-25/by", choose="a2"), ruled("d1/9-13/repeats", tails=("0-4",))],
        ),
    ],
    ids=["one", "other", "else", "none", "new"],
)
def test_reviewed_relations_become_decisions(links, decisions):
    """The relations of one kind from one head are chosen or said as a whole."""
    reviewed = replace(FULL, relations=tuple(Relation(*link) for link in links))
    found = review(reviewed, a1=FULL, a2=HALF)
    assert list(found) == decisions
    assert follows(found, reviewed, a1=FULL, a2=HALF)


def test_layers_that_share_offsets_are_told_apart():
    """Items and tails name the label where two gold spans could be meant."""
    one = reading((0, 4, "PROMISE"), (0, 4, "WHO"), (9, 13, "WHO"))
    reviewed = reading(
        (0, 4, "PROMISE", {"note": "n1", "kind": "plan"}),
        (0, 4, "WHO", {"note": "n2"}),
        (9, 13, "WHO"),
        relations=[("repeats", "s1", "s2"), ("repeats", "s3", "s1"), ("by", "s1", "s2")],
    )
    found = review(reviewed, a1=one, a2=one)
    assert found == (
        ruled("d1/0-4/by", tails=("0-4",)),
        ruled("d1/0-4/kind", value="plan"),
        ruled("d1/0-4:PROMISE/note", value="n1"),
        ruled("d1/0-4:PROMISE/repeats", tails=("0-4:WHO",)),
        ruled("d1/0-4:WHO/note", value="n2"),
        ruled("d1/9-13/repeats", tails=("0-4:PROMISE",)),
    )
    assert follows(found, reviewed, a1=one, a2=one)


def test_a_decision_on_shared_offsets_is_told_for_each():
    """One decision on both spans becomes one for each that still needs it."""
    one = reading((0, 4, "PROMISE"), (0, 4, "WHO"))
    old = Decision("d1/0-4/note", value="n1", rule="x")
    reviewed = reading((0, 4, "PROMISE", {"note": "n2"}), (0, 4, "WHO"))
    assert review(reviewed, old, a1=one) == (
        ruled("d1/0-4:PROMISE/note", value="n2"),
        Decision("d1/0-4:WHO/note", value="n1", rule="x"),
    )


def test_disputes_on_shared_offsets_have_items_of_their_own():
    """Readings that differ on both spans are two disputes, and a label settles one of them."""
    one = reading((0, 4, "PROMISE", {"note": "n1"}), (0, 4, "WHO", {"note": "n2"}))
    other = reading((0, 4, "PROMISE"), (0, 4, "WHO"))
    settled = settle(a1=one, a2=other)
    items = ["d1/0-4:PROMISE/note", "d1/0-4:WHO/note"]
    assert [dispute.item for dispute in settled.disputed] == items
    settled = settle(Decision(items[1], choose="a1"), a1=one, a2=other)
    assert [dispute.item for dispute in settled.disputed] == items[:1]
    assert [span.attributes for span in settled.gold[0].spans] == [{}, {"note": "n2"}]
    settled = settle(Decision("d1/0-4/note", value="n3"), a1=one, a2=other)
    assert settled.disputed == ()
    assert [span.attributes for span in settled.gold[0].spans] == [{"note": "n3"}] * 2


def test_a_tail_named_twice_is_one():
    """A tail with and without its label is the same end."""
    decision = Decision("d1/0-25/by", tails=("9-13", "9-13:WHO"))
    (gold,) = settle(decision, a1=FULL).gold
    assert gold.relations == (Relation("by", "s1", "s3"),)


# ── decisions there were ────────────────────────────────────────────────────────────────────────


def test_decisions_the_reviewer_agrees_with_stay_word_for_word():
    """With rule, adjudicator and note, also where the readings would do without them by now."""
    old = (
        Decision("d1/0-25/adverse", value=True, rule="A1", adjudicator="j1", note="seen"),
        Decision("d1/0-25/by", tails=("0-4", "9-13"), rule="R2"),
        Decision("d1/0-25/kind", choose="a1", rule="C2"),
        Decision("d1/mentions/0-4", choose="a2", rule="P1"),
        Decision("d1/promises/0-25", spans=(Span(0, 25, "PROMISE"),), rule="B1"),
    )
    head, *rest = FULL.spans
    other = replace(FULL, spans=(replace(head, attributes={"adverse": True}), *rest))
    assert review(FULL, *old, a1=FULL, a2=other) == old


def test_decisions_that_settle_nothing_any_more_are_dropped():
    """Those on spans that are gone, on disputes that are gone, and on nothing at all."""
    old = (
        Decision("d1/0-13/kind", value="plan"),
        Decision("d1/mentions/0-9", choose="a1"),
        Decision("d1/mentions/27-31", spans=(Span(27, 31, "WHO"),)),
        Decision("d1/mentions/43-50", spans=()),
        Decision("d1/nowhere/0-4", spans=(Span(0, 4, "WHO"),)),
        Decision("d1/0-25/by", tails=("0-9",)),
        Decision("d1/0-25/kind", choose="a3"),
        Decision("d2/0-25/kind", value="plan"),
        Decision("nonsense"),
    )
    assert review(FULL, *old, a1=FULL, a2=FULL) == ()


def test_what_the_reviewer_overrules_is_replaced():
    """A decision gives way under the same item, and others stay."""
    old = (Decision(PLACE, choose="a1", rule="P1"), Decision("d1/mentions/18-25", spans=()))
    found = review(reading((0, 4, "FIRM")), *old, a1=LEFT, a2=RIGHT)
    assert found == (ruled(PLACE, spans=(Span(0, 4, "FIRM", text="Rome"),)), old[1])


def test_a_span_stays_where_a_decision_gave_it():
    """A merged span is not moved to another of the places it covers."""
    old = (
        Decision("d1/mentions/18-25", spans=(Span(9, 25, "MUCH"),)),
        Decision(PLACE, spans=()),
    )
    assert review(reading((9, 25, "MUCH")), *old, a1=LEFT, a2=RIGHT) == (old[1], old[0])


@pytest.mark.parametrize(
    "old",
    [
        [Decision("d1/0-25/note", value="c07", rule="registry")],
        [Decision("d1/promises/0-25", spans=(Span(0, 25, "PROMISE", attributes={"note": "c07"}),))],
    ],
    ids=["decided", "given"],
)
def test_unanswered_text_stays_as_decided(old):
    """What the reviewer leaves empty keeps what a decision says, while the span stays."""
    empty = reading((0, 25, "PROMISE"))
    found = review(empty, *old, a1=empty, a2=empty)
    assert list(found) == old
    (gold,) = settle(*found, a1=empty, a2=empty).gold
    assert gold.spans[0].attributes == {"note": "c07"}
    moved = reading((0, 17, "PROMISE"))
    assert [d.item for d in review(moved, *old, a1=empty, a2=empty)] == ["d1/promises/0-25"]
    answered = reading((0, 25, "PROMISE", {"note": "c08"}))
    found = review(answered, *old, a1=empty, a2=empty)
    assert follows(found, answered, a1=empty, a2=empty)


def test_text_given_with_a_span_outlives_the_decision():
    """When a decision on spans is replaced, what it said of those that stay is said anew."""
    spans = Span(0, 13, "PROMISE", attributes={"note": "c1"}), Span(14, 25, "PROMISE")
    old = Decision("d1/promises/0-25", spans=spans)
    one = reading((0, 25, "PROMISE"))
    (found,) = review(reading((0, 13, "PROMISE")), old, a1=one)
    kept = Span(0, 13, "PROMISE", text="Rome and Oslo", attributes={"note": "c1"})
    assert found == ruled("d1/promises/0-25", spans=(kept,))


def test_what_is_decided_apart_is_not_said_with_the_span():
    """A decision on an attribute stays when the decision on its span is replaced."""
    spans = Span(0, 13, "PROMISE"), Span(14, 25, "PROMISE")
    old = Decision("d1/promises/0-25", spans=spans), Decision("d1/0-13/note", value="c1")
    reviewed = reading((0, 13, "PROMISE", {"note": "c1"}))
    found = review(reviewed, *old, a1=reading((0, 25, "PROMISE")))
    only = Span(0, 13, "PROMISE", text="Rome and Oslo")
    assert found == (old[1], ruled("d1/promises/0-25", spans=(only,)))


def test_unanswered_text_stays_where_the_choice_is_no_dispute_any_more():
    """Once all say what was chosen, it stays without a decision."""
    one = reading((0, 25, "PROMISE", {"note": "n1"}))
    chosen = Decision("d1/0-25/note", choose="a1")
    assert review(reading((0, 25, "PROMISE")), chosen, a1=one, a2=one) == ()


def test_an_unset_flag_is_an_answer():
    """A flag that a decision set and the reviewer did not is off."""
    one = reading((0, 25, "PROMISE"))
    assert review(one, Decision("d1/0-25/adverse", value=True), a1=one) == ()
    adverse = {"adverse": True}
    spans = Span(0, 13, "PROMISE", attributes=adverse), Span(14, 25, "PROMISE", attributes=adverse)
    (found,) = review(
        reading((0, 13, "PROMISE")), Decision("d1/promises/0-25", spans=spans), a1=one
    )
    assert found.spans == (Span(0, 13, "PROMISE", text="Rome and Oslo"),)


@pytest.mark.parametrize("off", [False, ""])
def test_a_flag_decided_off_stays_off(off):
    """Either way of writing that it is not set is what the reviewer says."""
    both = reading((0, 25, "PROMISE", {"adverse": True}))
    old = Decision("d1/0-25/adverse", value=off, note="no threat")
    assert review(reading((0, 25, "PROMISE")), old, a1=both, a2=both) == (old,)


def test_a_skipped_review_changes_nothing():
    """Who skips the document has not said that it is empty."""
    old = (Decision("d1/0-25/kind", value="plan"), Decision(PLACE, choose="a1"))
    skipped = reading(skipped=True)
    assert review(skipped, old[1], old[0], a1=LEFT, a2=RIGHT) == old


@pytest.mark.parametrize(
    ("reviewed", "readings", "line"),
    [
        (
            reading((0, 8, "WHO"), (5, 13, "FIRM")),
            {"a1": LEFT},
            (
                "review: d1: FIRM 5–13 overlaps WHO 0–8 in the layer 'mentions'; keep one of the two or"
                " move an edge"
            ),
        ),
        (
            reading((0, 4, "CITY")),
            {"a1": LEFT},
            (
                "review: d1: CITY 0–4 has an unknown label; use one of PROMISE, THREAT, WHO, FIRM, MUCH"
            ),
        ),
        (
            LEFT,
            {"a1": reading(skipped=True)},
            "review: d1: nobody has read it; pull a reading of it first",
        ),
    ],
    ids=["overlap", "label", "unread"],
)
def test_an_invalid_review_is_refused(reviewed, readings, line):
    """One line says place, fault and cure, before anything is decided."""
    with pytest.raises(InvalidDataError) as raised:
        review(reviewed, **readings)
    assert str(raised.value) == line


# ── laws ────────────────────────────────────────────────────────────────────────────────────────

VALUES = {"kind": ["plan", "pledge"], "adverse": [True], "note": ["n1", "n2"]}


@st.composite
def readings_of(draw, *, flat=False):
    """Any reading: spans of a few labels, over each other unless flat, attributes, relations."""
    places = []
    for layer in SCHEMA.layers:
        points = st.sampled_from([0, 4, 9, 13, 18, 25])
        if flat:
            pairs = list(pairwise(sorted(draw(st.sets(points, max_size=6)))))
            pairs = [pair for pair in pairs if draw(st.booleans())]
        else:
            pairs = draw(st.lists(st.tuples(points, points), max_size=4))
        places += [(*sorted(p), draw(st.sampled_from(layer.names))) for p in pairs if p[0] != p[1]]
    bare = reading(*((*place, draw(said(place[2]))) for place in dict.fromkeys(places)))
    possible = [
        Relation(kind.name, head.id, tail.id)
        for kind in SCHEMA.relations
        for head in bare.spans
        for tail in bare.spans
        if head.label in kind.head and tail.label in kind.tail
    ]
    chosen = draw(st.lists(st.sampled_from(possible), max_size=5, unique=True)) if possible else []
    return replace(bare, relations=tuple(chosen))


def said(label):
    """Any attributes of a span with this label."""
    names = [attribute.name for attribute in SCHEMA.attributes_of(label)]
    options = {name: st.sampled_from(VALUES[name]) for name in names}
    return st.fixed_dictionaries({}, optional=options)


MANY = settings(max_examples=150, deadline=None)
READ = st.lists(readings_of(), min_size=1, max_size=3).map(
    lambda found: dict(zip(["a1", "a2", "a3"], found, strict=False))
)


@MANY
@given(READ, readings_of(flat=True), st.sets(st.sampled_from(["a1", "a2", "a3"])))
def test_gold_is_what_the_reviewer_says(readings, reviewed, spans_only):
    """Readings and decisions give the reviewed reading; reviewed again, the same decisions."""
    found = decide(reviewed, readings, DOCUMENT, SCHEMA, spans_only=spans_only)
    settled = settle(*found, spans_only=spans_only, **readings)
    assert (settled.disputed, settled.unused) == ((), ())
    assert answers(settled.gold[0]) == answers(reviewed)
    assert decide(reviewed, readings, DOCUMENT, SCHEMA, found, spans_only=spans_only) == found


@MANY
@given(READ, readings_of(flat=True))
def test_no_decision_is_too_many(readings, reviewed):
    """Without any one of them gold is another, disputed or impossible."""
    found = review(reviewed, **readings)
    for decision in found:
        others = [other for other in found if other is not decision]
        try:
            settled = settle(*others, **readings)
        except InvalidDataError:
            continue
        assert (
            settled.disputed or settled.unused or answers(settled.gold[0]) != answers(reviewed)
        ), decision


@MANY
@given(READ)
def test_what_nobody_disputes_needs_no_decision(readings):
    """Gold as it is, reviewed as it is, leaves decisions to disputes alone."""
    settled = settle(**readings)
    (gold,) = settled.gold
    found = review(gold, **readings)
    assert {decision.item for decision in found} <= {dispute.item for dispute in settled.disputed}
    assert review(gold, x=gold) == ()


@MANY
@given(readings_of(flat=True), readings_of(flat=True))
def test_who_is_right_throughout_is_chosen_throughout(one, other):
    """A review that takes one annotator's whole reading only chooses."""
    assert {d.choose for d in review(one, a1=one, b1=other)} <= {"a1"}


@MANY
@given(READ, readings_of(flat=True), readings_of(flat=True))
def test_a_second_review_overrules_the_first(readings, first, second):
    """Gold is what the second says, but for choices and texts it left as the first decided them."""
    old = review(first, **readings)
    found = review(second, *old, **readings)
    settled = settle(*found, **readings)
    (gold,) = settled.gold
    assert (settled.disputed, settled.unused) == ((), ())
    assert review(second, *found, **readings) == found
    assert gold.links() == second.links()
    earlier = {(s.start, s.end, name, v) for s in first.spans for name, v in s.attributes.items()}
    for mine, theirs in zip(gold.spans, second.canonical(TEXT).spans, strict=True):
        assert mine.key == theirs.key
        kept = mine.attributes.items() - theirs.attributes.items()
        assert {(mine.start, mine.end, *pair) for pair in kept} <= earlier
        assert theirs.attributes.items() <= mine.attributes.items()
        assert "adverse" not in dict(kept)


# ── Communiqué ──────────────────────────────────────────────────────────────────────────────────


def communique(step):
    """Every so many documents of Communiqué: gold, readings and document of each; decisions."""
    corpus = Corpus.load(Path(__file__).parent.parent / "annotations" / "communique")
    made = files.read_jsonl(corpus.root / "decisions.jsonl", Decision)
    read = {name: {a.document: a for a in corpus.annotations(name)} for name in corpus.annotators}
    return corpus, made, read, corpus.annotations("gold")[::step]


def test_communique_reviewed_with_its_own_gold_stays_as_it_is():
    """Each decision stays word for word, also when the reviewer does not see commitment ids."""
    corpus, made, read, golds = communique(16)
    for gold in golds:
        name = gold.document
        readings = {who: found[name] for who, found in read.items() if name in found}
        bare = [
            replace(s, attributes={k: v for k, v in s.attributes.items() if k != "commitment_id"})
            for s in gold.spans
        ]
        own = [decision for decision in made if decision.item.startswith(f"{name}/")]
        for reviewed in (gold, replace(gold, spans=tuple(bare))):
            found = decide(
                reviewed,
                readings,
                corpus.texts[name],
                corpus.schema,
                made,
                spans_only=corpus.spans_only,
            )
            assert list(found) == own


def test_communique_follows_from_its_gold_alone():
    """Decisions made anew from gold and the readings give gold again."""
    corpus, _, read, golds = communique(16)
    found = [
        decision
        for gold in golds
        for decision in decide(
            gold,
            {who: them[gold.document] for who, them in read.items() if gold.document in them},
            corpus.texts[gold.document],
            corpus.schema,
            spans_only=corpus.spans_only,
        )
    ]
    names = {gold.document for gold in golds}
    readings = {who: [them[n] for n in them.keys() & names] for who, them in read.items()}
    settled = adjudicate(readings, corpus.texts, corpus.schema, found, spans_only=corpus.spans_only)
    assert (settled.disputed, settled.unused) == ((), ())
    assert [answers(a) for a in settled.gold] == [answers(gold) for gold in golds]


# ── blind readings ──────────────────────────────────────────────────────────────────────────────


def test_blind_readings_do_not_tell_whose_they_are():
    """Annotator, time, ids and the order of drawing are gone; what is read is not."""
    mine = Annotation(
        "d1",
        "a1",
        (Span(9, 13, "WHO", "zz"), Span(0, 25, "PROMISE", "yy", attributes={"kind": "plan"})),
        (Relation("by", "yy", "zz"),),
        lead_time=7.0,
        provenance={"zz": "agreed"},
    )
    assert blind({"a1": mine, "a2": reading(skipped=True)}, "d1", "key") == [
        (
            "reading A",
            Annotation(
                "d1",
                "reading A",
                (Span(0, 25, "PROMISE", "s1", "", {"kind": "plan"}), Span(9, 13, "WHO", "s2")),
                (Relation("by", "s1", "s2"),),
            ),
        )
    ]


def firsts(secret, names):
    """Which reading stands first in each of a thousand documents: its number of spans."""
    readings = {name: reading(*[(0, 4, "WHO")] * n) for n, name in enumerate(names)}
    shown = [blind(readings, f"d{number}", secret) for number in range(1000)]
    assert {tuple(name for name, _ in found) for found in shown} == {
        tuple(f"reading {letter}" for letter in "ABCDEF"[: len(names)])
    }
    return [len(found[0][1].spans) for found in shown]


@pytest.mark.parametrize("names", [("a1", "a2"), ("a2", "a1"), ("model:m", "gold")])
def test_blind_order_is_even(names):
    """Over many documents each annotator stands first about as often."""
    first = firsts("key", names)
    assert 450 <= first.count(0) <= 550


def test_blind_order_is_stable_and_keyed():
    """The same for one document and secret; another secret gives another order."""
    assert firsts("key", ("a1", "a2", "a3")) == firsts("key", ("a1", "a2", "a3"))
    assert firsts("key", ("a1", "a2")) == [1 - n for n in firsts("key", ("a2", "a1"))]
    same = sum(map(int.__eq__, firsts("key", ("a1", "a2")), firsts("other", ("a1", "a2"))))
    assert 450 <= same <= 550


# ── differences ─────────────────────────────────────────────────────────────────────────────────


def test_differences_worst_first():
    """By differing places, ties by document id; equal, skipped and unread documents are left out."""
    gold = [
        reading((0, 4, "WHO"), (9, 13, "WHO"), document="d1"),
        reading((0, 4, "WHO"), (0, 25, "PROMISE"), document="d2"),
        reading((0, 4, "WHO", {"note": "n1"}), document="d3"),
        reading((0, 4, "WHO"), document="d4"),
        reading((0, 4, "WHO"), document="d5"),
        reading(document="d0"),
    ]
    predicted = [
        reading((0, 8, "WHO"), (9, 13, "FIRM"), document="d1"),
        reading((0, 25, "PROMISE"), (0, 4, "PROMISE"), (0, 4, "WHO"), document="d2"),
        reading((0, 4, "WHO"), document="d3"),
        reading(document="d4", skipped=True),
        reading((9, 13, "MUCH"), document="d0"),
    ]
    assert differences(gold, predicted, SCHEMA) == [
        Difference(
            "d1",
            (gold[0].spans[0], gold[0].spans[1]),
            (predicted[0].spans[0], predicted[0].spans[1]),
            2,
        ),
        Difference("d0", (), (predicted[4].spans[0],), 1),
        Difference("d2", (), (predicted[1].spans[1],), 1),
    ]


def test_a_moved_edge_is_one_place():
    """Differing spans of one layer that overlap are looked at once, other layers apart."""
    gold = reading((0, 4, "WHO"), (5, 13, "WHO"), (0, 13, "PROMISE"))
    guess = reading((3, 8, "WHO"), (18, 25, "MUCH"), (0, 25, "PROMISE"))
    (found,) = differences([gold], [guess], SCHEMA)
    assert (found.places, len(found.missed), len(found.spurious)) == (3, 3, 3)


# ── two versions of gold ────────────────────────────────────────────────────────────────────────


def test_edits_are_one_line_each_in_order():
    """Place, surface and what became of it; relations and attributes of a moved span go with it."""
    before = [
        reading(
            (0, 25, "PROMISE", {"kind": "plan", "adverse": True}),
            (0, 4, "WHO"),
            (9, 13, "WHO"),
            (18, 25, "MUCH"),
            relations=[("by", "s1", "s2"), ("by", "s1", "s3")],
        ),
        reading((0, 4, "WHO"), document="d2"),
    ]
    after = [
        reading(
            (27, 31, "WHO"),
            (0, 4, "FIRM"),
            (0, 17, "PROMISE", {"kind": "pledge"}),
            (9, 13, "WHO", {"note": "n1"}),
            relations=[("by", "s3", "s2"), ("by", "s3", "s1")],
        ),
        reading((0, 4, "WHO"), document="d2"),
        reading((0, 4, "WHO"), document="d3"),
    ]
    texts = {name: Document(name, TEXT) for name in ("d1", "d2", "d3")}
    assert [str(edit) for edit in span_diff(before, after, texts)] == [
        'd1 0–25 PROMISE "Rome and Oslo pay 5 euros" moved to 0–17 PROMISE "Rome and Oslo pay"',
        'd1 0–25 PROMISE "Rome and Oslo pay 5 euros" adverse: yes → none',
        'd1 0–25 PROMISE "Rome and Oslo pay 5 euros" kind: plan → pledge',
        'd1 0–25 PROMISE "Rome and Oslo pay 5 euros" by to 9–13 WHO "Oslo" removed',
        'd1 0–17 PROMISE "Rome and Oslo pay" by to 27–31 WHO "Bern" added',
        'd1 0–4 WHO "Rome" relabelled FIRM',
        'd1 9–13 WHO "Oslo" note: none → n1',
        'd1 18–25 MUCH "5 euros" removed',
        'd1 27–31 WHO "Bern" added',
        'd3 0–4 WHO "Rome" added',
    ]


def test_a_long_span_is_shown_in_one_short_line():
    """Line ends become blanks, and the middle of a long surface is left out."""
    text = "one\ntwo " + "x" * 80 + " end"
    (edit,) = span_diff([], [reading((0, 92, "WHO"))], {"d1": Document("d1", text)})
    assert str(edit) == f'd1 0–92 WHO "one two {"x" * 21}…{"x" * 26} end" added'


@MANY
@given(readings_of(flat=True), readings_of(flat=True))
def test_edits_lead_from_one_version_to_the_other(before, after):
    """Applied to the one they give the other; backwards they are mirrored; the same needs none."""
    edits = span_diff([before], [after], {"d1": DOCUMENT})
    assert applied(edits, before) == answers(after)
    assert applied(span_diff([after], [before], {"d1": DOCUMENT}), after) == answers(before)
    assert span_diff([before], [before], {"d1": DOCUMENT}) == []


def applied(edits, before):
    """What the reading says once every edit is made, attribute by attribute and link by link."""
    of = {what: [edit for edit in edits if edit.what == what] for what in WHATS}
    assert sum(map(len, of.values())) == len(edits)
    links = set(before.links())
    for edit in of["relation removed"]:
        links.remove((edit.name, edit.before.key, edit.tail.key))
    became = {edit.before.key: edit.after.key for edit in of["moved"] + of["relabelled"]}
    links = {(name, became.get(head, head), became.get(tail, tail)) for name, head, tail in links}
    links |= {(edit.name, edit.after.key, edit.tail.key) for edit in of["relation added"]}
    gone = {edit.before.key for edit in of["removed"]}
    spans = {
        became.get(span.key, span.key): dict(span.attributes)
        for span in before.spans
        if span.key not in gone
    } | {edit.after.key: dict(edit.after.attributes) for edit in of["added"]}
    for edit in of["attribute changed"]:
        spans[edit.after.key][edit.name] = edit.after.attributes.get(edit.name)
    return {
        (key, tuple(sorted((name, value) for name, value in said.items() if value)))
        for key, said in spans.items()
    }, links


WHATS = (
    *("added", "removed", "moved", "relabelled"),
    *("attribute changed", "relation added", "relation removed"),
)
