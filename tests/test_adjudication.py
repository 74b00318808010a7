"""What annotators agree on becomes gold, the rest is named, and decisions settle it."""

import random
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.adjudication import Decision, Kappa, adjudicate, agreement
from toolkit.errors import InvalidDataError
from toolkit.schema import Attribute, Choice, Label, Layer, RelationType, Schema
from toolkit.scoring import Counts
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
        Attribute("adverse", ("PROMISE",), flag=True),
        Attribute("note", ("PROMISE",)),
    ),
    relations=(
        RelationType("by", ("PROMISE", "THREAT"), ("WHO", "FIRM")),
        RelationType("amount", ("PROMISE",), ("MUCH",)),
        RelationType("repeats", ("PROMISE",), ("PROMISE",)),
    ),
)
#       0         1         2         3         4
#       01234567890123456789012345678901234567890123456789
TEXT = "Rome and Oslo pay 5 euros; Bern buys 7 tons of tin"
DOCUMENTS = {name: Document(name, TEXT) for name in ("d1", "d2", "d3")}


def reading(*spans, relations=(), document="d1", skipped=False):
    """An annotation of spans (start, end, label, attributes), called s1, s2, … in this order."""
    made = tuple(
        Span(start, end, label, f"s{number}", "", dict(*rest))
        for number, (start, end, label, *rest) in enumerate(spans, start=1)
    )
    links = tuple(Relation(*relation) for relation in relations)
    return Annotation(document, "someone", made, links, skipped)


def settle(*decisions, **readings):
    """The adjudication of one reading per annotator."""
    return adjudicate(
        {name: [found] for name, found in readings.items()}, DOCUMENTS, SCHEMA, decisions
    )


def keys(settled):
    """The spans of the only gold annotation."""
    (gold,) = settled.gold
    return [span.key for span in gold.spans]


def links(settled):
    """The relations of the only gold annotation, as (type, head, tail) places."""
    (gold,) = settled.gold
    return sorted((t, head[:2], tail[:2]) for t, head, tail in gold.links())


def items(settled):
    """What is disputed."""
    return [dispute.item for dispute in settled.disputed]


# ── agreement ───────────────────────────────────────────────────────────────────────────────────

ONE = [
    reading(
        (0, 25, "PROMISE", {"kind": "pledge", "adverse": True}),
        (0, 4, "WHO"),
        (18, 25, "MUCH"),
        (27, 31, "WHO"),
        relations=[("by", "s1", "s2"), ("amount", "s1", "s3"), ("by", "s1", "s4")],
    ),
    reading((27, 43, "PROMISE", {"kind": "plan"}), (27, 31, "WHO"), document="d2"),
    reading((0, 4, "WHO"), document="d3"),
]
OTHER = [
    reading(
        (0, 20, "PROMISE", {"kind": "plan"}),
        (0, 4, "WHO"),
        (18, 25, "MUCH"),
        (27, 31, "FIRM"),
        (9, 13, "WHO"),
        relations=[("by", "s1", "s2"), ("by", "s1", "s5"), ("repeats", "s1", "s1")],
    ),
    reading((27, 43, "PROMISE", {"kind": "plan"}), (37, 43, "MUCH"), document="d2"),
    reading(document="d3", skipped=True),
]


def test_agreement_worked_by_hand():
    """Counts by label, layer and in total, exact and by overlap, over documents both read."""
    (found,) = agreement({"b": OTHER, "a": ONE}, SCHEMA)
    assert (found.annotators, found.documents) == (("a", "b"), 2)
    assert found.exact == {
        "PROMISE": Counts(1, 1, 1),
        "THREAT": Counts(),
        "promises": Counts(1, 1, 1),
        "WHO": Counts(1, 1, 2),
        "FIRM": Counts(0, 1, 0),
        "MUCH": Counts(1, 1, 0),
        "mentions": Counts(2, 3, 2),
        "all": Counts(3, 4, 3),
    }
    assert found.overlap == {
        **found.exact,
        "PROMISE": Counts(2, 0, 0),
        "promises": Counts(2, 0, 0),
        "all": Counts(4, 3, 2),
    }


def test_kappas_and_relations_worked_by_hand():
    """Labels at the same place, attributes of matched spans, links between matched spans."""
    (found,) = agreement({"a": ONE, "b": OTHER}, SCHEMA)
    # Mentions at the same place: WHO/WHO, MUCH/MUCH, WHO/FIRM; chance 2/3·1/3 + 1/3·1/3 = 1/3.
    assert found.labels["mentions"] == Kappa(3, 2, pytest.approx((2 / 3 - 1 / 3) / (2 / 3)))
    assert found.labels["promises"] == Kappa(1, 1, None, "one value only")
    # Kinds: pledge/plan and plan/plan; chance 1/2, observed 1/2.
    assert found.attributes == {"kind": Kappa(2, 1, 0.0), "adverse": Kappa(2, 1, 0.0)}
    # by→Rome both; repeats the second; amount the first. by→Oslo and by→Bern have unmatched ends.
    assert found.relations == Counts(1, 1, 1)


def test_agreement_is_pairwise():
    """Three annotators make three pairs, in order of name."""
    found = agreement(dict.fromkeys(("c", "a", "b"), ONE), SCHEMA)
    assert [pair.annotators for pair in found] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert {pair.exact["all"].f1 for pair in found} == {1.0}


def test_nothing_shared_is_no_agreement():
    """Annotators without a common document are no pair."""
    assert agreement({"a": ONE[:1], "b": OTHER[1:]}, SCHEMA) == []


def test_spans_only_agree_on_spans_alone():
    """An annotator who marked spans only is compared by spans, not by attributes and relations."""
    bare = [
        replace(a, spans=tuple(replace(s, attributes={}) for s in a.spans), relations=())
        for a in ONE
    ]
    (found,) = agreement({"a": ONE, "b": bare}, SCHEMA, spans_only={"b"})
    assert found.exact["all"].f1 == 1.0
    assert (found.attributes, found.relations) == ({}, Counts())


def test_spans_only_leave_attributes_and_relations_to_others():
    """What an annotator of spans only does not say of attributes and relations is no dispute."""
    bare = [
        replace(a, spans=tuple(replace(s, attributes={}) for s in a.spans), relations=())
        for a in ONE
    ]
    alone = adjudicate({"a": ONE}, DOCUMENTS, SCHEMA)
    both = adjudicate({"a": ONE, "b": bare}, DOCUMENTS, SCHEMA, spans_only={"b"})
    assert both.disputed == ()
    assert [a.spans for a in both.gold] == [a.spans for a in alone.gold]
    assert [a.relations for a in both.gold] == [a.relations for a in alone.gold]


@pytest.mark.parametrize(
    ("pairs", "kappa"),
    [
        ([], Kappa(0, 0, None, "no matched spans")),
        ([("x", "x")] * 3, Kappa(3, 3, None, "one value only")),
        ([("x", "y")] * 3, Kappa(3, 0, 0.0)),
        ([("x", "x"), ("y", "y")], Kappa(2, 2, 1.0)),
        ([("x", "y"), ("y", "x")], Kappa(2, 0, -1.0)),
        (
            [("x", "x")] * 20 + [("x", "y")] * 5 + [("y", "x")] * 10 + [("y", "y")] * 15,
            Kappa(50, 35, pytest.approx(0.4)),
        ),
    ],
    ids=["none", "one-value", "disjoint", "perfect", "opposite", "textbook"],
)
def test_kappa_or_why_there_is_none(pairs, kappa):
    """Kappa where chance leaves room, and the reason where it does not."""
    assert Kappa.of(pairs) == kappa


VALUES = st.sampled_from(["x", "y", "z"])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=12))
def test_kappa_is_that_of_scikit_learn(pairs):
    """Wherever kappa is defined, a second implementation gives the same."""
    from sklearn.metrics import cohen_kappa_score

    found = Kappa.of(pairs)
    assert (found.value is None) == (len({value for pair in pairs for value in pair}) == 1)
    if found.value is not None:
        assert found.value == pytest.approx(cohen_kappa_score(*zip(*pairs, strict=True)))


# ── what is agreed ──────────────────────────────────────────────────────────────────────────────

FULL = reading(
    (0, 25, "PROMISE", {"kind": "pledge", "adverse": True, "note": "n1"}),
    (0, 4, "WHO"),
    (9, 13, "WHO"),
    (18, 25, "MUCH"),
    relations=[("by", "s1", "s2"), ("by", "s1", "s3"), ("amount", "s1", "s4")],
)
BARE = reading((0, 25, "PROMISE"), (0, 4, "WHO"), (9, 13, "WHO"), (18, 25, "MUCH"))


@pytest.mark.parametrize(("annotators", "origin"), [(["a1", "a2"], "agreed"), (["a1"], "only a1")])
def test_undisputed_readings_become_gold(annotators, origin):
    """Identical readings, or the only one, are gold with every attribute and relation."""
    settled = settle(**dict.fromkeys(annotators, FULL))
    (gold,) = settled.gold
    assert (gold.annotator, settled.disputed, settled.unused) == ("gold", (), ())
    assert gold.spans == FULL.canonical(TEXT).spans
    assert gold.relations == FULL.canonical(TEXT).relations
    assert gold.provenance == dict.fromkeys(
        ["s1", "s2", "s3", "s4", "by:s1:s2", "by:s1:s3", "amount:s1:s4"], origin
    )


def test_gold_numbers_its_own_spans():
    """Annotators' ids do not matter: gold's go by place, and relations follow."""
    one = Annotation("d1", spans=(Span(0, 4, "WHO", "x"), Span(0, 9, "PROMISE", "y")))
    one = replace(one, relations=(Relation("by", "y", "x"),))
    (gold,) = settle(
        a1=one, a2=reading((0, 9, "PROMISE"), (0, 4, "WHO"), relations=[("by", "s1", "s2")])
    ).gold
    assert [(span.id, span.label, span.text) for span in gold.spans] == [
        ("s1", "PROMISE", "Rome and "),
        ("s2", "WHO", "Rome"),
    ]
    assert gold.relations == (Relation("by", "s1", "s2"),)


def test_skipped_readings_do_not_count():
    """Who skipped a document has not said it is empty; a document all skipped is not in gold."""
    skipped = reading(skipped=True)
    settled = settle(a1=BARE, a2=skipped)
    assert settled.disputed == ()
    assert set(settled.gold[0].provenance.values()) == {"only a1"}
    assert settle(a1=skipped, a2=skipped).gold == ()


def test_a_document_without_spans_is_gold():
    """Readers who agree that there is nothing make an empty gold annotation."""
    (gold,) = settle(a1=reading(), a2=reading()).gold
    assert (gold.document, gold.spans, gold.provenance) == ("d1", (), {})


def test_gold_is_in_order_of_documents():
    """Each document is settled by itself, and gold goes by document id."""
    settled = adjudicate(
        {"a1": [reading(document="d3"), reading(document="d1")], "a2": [reading(document="d2")]},
        DOCUMENTS,
        SCHEMA,
    )
    assert [gold.document for gold in settled.gold] == ["d1", "d2", "d3"]


# ── what is disputed ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("one", "other", "item", "readings"),
    [
        ([(0, 4, "WHO")], [], "0-4", ["0-4 WHO", ""]),
        ([(0, 4, "WHO")], [(0, 4, "FIRM")], "0-4", ["0-4 WHO", "0-4 FIRM"]),
        ([(0, 13, "WHO")], [(9, 17, "WHO")], "0-17", ["0-13 WHO", "9-17 WHO"]),
        (
            [(0, 13, "WHO")],
            [(0, 4, "WHO"), (9, 13, "WHO")],
            "0-13",
            ["0-13 WHO", "0-4 WHO, 9-13 WHO"],
        ),
        (
            [(0, 4, "WHO"), (3, 8, "WHO")],
            [(0, 4, "WHO"), (3, 8, "WHO")],
            "0-8",
            ["0-4 WHO, 3-8 WHO", "0-4 WHO, 3-8 WHO"],
        ),
        (
            [(0, 5, "WHO"), (9, 13, "WHO")],
            [(4, 10, "WHO")],
            "0-13",
            ["0-5 WHO, 9-13 WHO", "4-10 WHO"],
        ),
    ],
    ids=["missed", "label", "edges", "split", "both-overlap", "chain"],
)
def test_spans_read_differently_are_one_dispute(one, other, item, readings):
    """A group of overlapping spans is disputed as a whole, with all readings; none is gold."""
    settled = settle(a1=reading(*one), a2=reading(*other))
    (dispute,) = settled.disputed
    start, end = map(int, item.split("-"))
    assert dispute.item == f"d1/mentions/{item}"
    assert (dispute.document, dispute.about, dispute.text) == ("d1", "spans", TEXT[start:end])
    assert {
        name: ", ".join(f"{s['start']}-{s['end']} {s['label']}" for s in spans)
        for name, spans in dispute.readings.items()
    } == dict(zip(["a1", "a2"], readings, strict=True))
    assert keys(settled) == []


def test_adjacent_spans_are_disputed_apart():
    """Spans that only touch are two items, and what is agreed beside a dispute is gold."""
    settled = settle(a1=reading((0, 4, "WHO"), (4, 8, "WHO")), a2=reading((0, 4, "WHO")))
    assert items(settled) == ["d1/mentions/4-8"]
    assert keys(settled) == [(0, 4, "WHO")]


def test_layers_are_disputed_apart():
    """A mention inside a disputed promise is gold all the same."""
    settled = settle(a1=reading((0, 25, "PROMISE"), (0, 4, "WHO")), a2=reading((0, 4, "WHO")))
    assert items(settled) == ["d1/promises/0-25"]
    assert keys(settled) == [(0, 4, "WHO")]


def test_an_annotators_own_overlap_is_a_dispute():
    """Overlapping spans of the only annotator are never gold."""
    settled = settle(a1=reading((0, 8, "WHO"), (5, 13, "FIRM"), (18, 25, "MUCH")))
    assert items(settled) == ["d1/mentions/0-13"]
    assert keys(settled) == [(18, 25, "MUCH")]


@pytest.mark.parametrize(
    ("one", "other", "item", "readings"),
    [
        ({"kind": "plan"}, {"kind": "pledge"}, "kind", {"a1": "plan", "a2": "pledge"}),
        ({"kind": "plan"}, {}, "kind", {"a1": "plan", "a2": ""}),
        ({"adverse": True}, {}, "adverse", {"a1": True, "a2": False}),
        ({}, {"note": "x"}, "note", {"a1": "", "a2": "x"}),
    ],
    ids=["values", "no-value", "flag", "text"],
)
def test_attributes_read_differently_are_disputed(one, other, item, readings):
    """The span is gold, the attribute waits; a value not given is a reading too."""
    settled = settle(a1=reading((0, 25, "PROMISE", one)), a2=reading((0, 25, "PROMISE", other)))
    (dispute,) = settled.disputed
    assert (dispute.item, dispute.about) == (f"d1/0-25/{item}", item)
    assert (dispute.text, dispute.readings) == (TEXT[:25], readings)
    assert settled.gold[0].spans[0].attributes == {}


def test_relations_read_differently_are_disputed():
    """The spans are gold, the relations of one kind from one head wait, with all readings."""
    other = replace(FULL, relations=FULL.relations[:1] + FULL.relations[2:])
    settled = settle(a1=FULL, a2=other)
    (dispute,) = settled.disputed
    assert (dispute.item, dispute.about) == ("d1/0-25/by", "by")
    assert {name: [s["text"] for s in found] for name, found in dispute.readings.items()} == {
        "a1": ["Rome", "Oslo"],
        "a2": ["Rome"],
    }
    assert links(settled) == [("amount", (0, 25), (18, 25))]


def test_items_stay_the_same_as_long_as_the_readings_do():
    """Annotators' ids, order of spans and other documents leave the names of items alone."""
    one = reading(
        (0, 25, "PROMISE", {"kind": "plan"}), (0, 4, "WHO"), relations=[("by", "s1", "s2")]
    )
    other = reading((0, 25, "PROMISE"), (0, 4, "WHO"), (9, 13, "WHO"))
    before = settle(a1=one, a2=other)
    again = Annotation(
        "d1",
        spans=tuple(replace(s, id=f"x{s.id}") for s in reversed(one.spans)),
        relations=(Relation("by", "xs1", "xs2"),),
    )
    after = adjudicate(
        {"a2": [other], "a1": [again, reading((0, 4, "WHO"), document="d2")]}, DOCUMENTS, SCHEMA
    )
    assert after.disputed == before.disputed
    assert items(before) == ["d1/mentions/9-13", "d1/0-25/kind", "d1/0-25/by"]


# ── decisions ───────────────────────────────────────────────────────────────────────────────────

LEFT = reading((0, 13, "WHO"), (18, 25, "MUCH"))
RIGHT = reading((0, 4, "WHO"), (9, 13, "FIRM"), (18, 25, "MUCH"))
PLACE = "d1/mentions/0-13"


@pytest.mark.parametrize(
    ("decision", "expected"),
    [
        (Decision(PLACE, choose="a1"), [(0, 13, "WHO")]),
        (Decision(PLACE, choose="a2"), [(0, 4, "WHO"), (9, 13, "FIRM")]),
        (Decision(PLACE, spans=(Span(0, 8, "FIRM", text="Rome and"),)), [(0, 8, "FIRM")]),
        (Decision(PLACE, spans=()), []),
    ],
    ids=["choose-one", "choose-other", "spans", "none"],
)
def test_a_decision_settles_spans(decision, expected):
    """The reading of the chosen annotator, the given spans, or none; and says so."""
    settled = settle(decision, a1=LEFT, a2=RIGHT)
    assert (settled.disputed, settled.unused) == ((), ())
    assert keys(settled) == [*expected, (18, 25, "MUCH")]
    origins = list(settled.gold[0].provenance.values())
    assert origins == [f"decided {PLACE}"] * len(expected) + ["agreed"]


def test_choosing_who_marked_nothing_removes_the_span():
    """An annotator who left a place empty can be right."""
    settled = settle(
        Decision("d1/mentions/0-4", choose="a2"), a1=reading((0, 4, "WHO")), a2=reading()
    )
    assert (keys(settled), settled.disputed, settled.unused) == ([], (), ())


def test_a_decision_overrules_agreement():
    """An error all annotators share is mended like a dispute."""
    decisions = [
        Decision("d1/mentions/0-4", spans=(Span(0, 4, "FIRM"),)),
        Decision("d1/0-25/kind", value="plan"),
        Decision("d1/0-25/adverse", value=False),
        Decision("d1/0-25/amount", tails=()),
    ]
    settled = settle(*decisions, a1=FULL, a2=FULL)
    (gold,) = settled.gold
    assert gold.spans[1].key == (0, 4, "FIRM")
    assert gold.spans[0].attributes == {"kind": "plan", "note": "n1"}
    assert gold.provenance == {
        "s1": "agreed",
        "s1.kind": "decided d1/0-25/kind",
        "s1.adverse": "decided d1/0-25/adverse",
        "s2": "decided d1/mentions/0-4",
        "s3": "agreed",
        "s4": "agreed",
        "by:s1:s2": "agreed",
        "by:s1:s3": "agreed",
    }
    assert settled.unused == ()


def test_a_decision_adds_a_span_all_missed():
    """Given spans where nobody marked anything are gold, with their attributes."""
    missed = Span(27, 43, "PROMISE", attributes={"kind": "plan", "adverse": True})
    decisions = [
        Decision("d1/promises/27-43", spans=(missed,)),
        Decision("d1/27-43/by", tails=("27-31",)),
        Decision("d1/27-43/note", value="n2"),
    ]
    who = reading((27, 31, "WHO"))
    settled = settle(*decisions, a1=who, a2=who)
    (gold,) = settled.gold
    assert keys(settled) == [(27, 43, "PROMISE"), (27, 31, "WHO")]
    assert gold.spans[0].attributes == {"kind": "plan", "adverse": True, "note": "n2"}
    assert gold.spans[0].text == "Bern buys 7 tons"
    assert gold.provenance == {
        "s1": "decided d1/promises/27-43",
        "s1.note": "decided d1/27-43/note",
        "s2": "agreed",
        "by:s1:s2": "decided d1/27-43/by",
    }
    assert settled.unused == ()


@pytest.mark.parametrize(
    ("decision", "attributes"),
    [
        (Decision("d1/0-25/kind", value="pledge"), {"kind": "pledge", "adverse": True}),
        (Decision("d1/0-25/kind", choose="a1"), {"kind": "plan", "adverse": True}),
        (Decision("d1/0-25/kind", choose="a2"), {"adverse": True}),
        (Decision("d1/0-25/kind", value=""), {"adverse": True}),
    ],
    ids=["value", "choose-value", "choose-none", "no-value"],
)
def test_a_decision_settles_an_attribute(decision, attributes):
    """A value, or an annotator's reading of it; what is agreed beside it stays."""
    settled = settle(
        decision,
        a1=reading((0, 25, "PROMISE", {"kind": "plan", "adverse": True})),
        a2=reading((0, 25, "PROMISE", {"adverse": True})),
    )
    (gold,) = settled.gold
    assert (gold.spans[0].attributes, settled.disputed) == (attributes, ())
    assert gold.provenance["s1.kind"] == "decided d1/0-25/kind"


@pytest.mark.parametrize(
    ("decision", "tails"),
    [
        (Decision("d1/0-25/by", choose="a1"), [(0, 4), (9, 13)]),
        (Decision("d1/0-25/by", choose="a2"), []),
        (Decision("d1/0-25/by", tails=("9-13",)), [(9, 13)]),
        (Decision("d1/0-25/by", tails=("9-13", "0-4", "9-13")), [(0, 4), (9, 13)]),
        (Decision("d1/0-25/by", tails=()), []),
    ],
    ids=["choose", "choose-none", "tails", "repeated", "no-tails"],
)
def test_a_decision_settles_relations(decision, tails):
    """The ends of one kind from one head: an annotator's, or those named, each once."""
    settled = settle(decision, a1=FULL, a2=replace(FULL, relations=FULL.relations[2:]))
    assert (settled.disputed, settled.unused) == ((), ())
    assert links(settled) == [
        ("amount", (0, 25), (18, 25)),
        *(("by", (0, 25), tail) for tail in tails),
    ]
    assert len(settled.gold[0].relations) == len(tails) + 1


def test_decisions_that_settle_nothing_are_listed():
    """Unknown documents, places, layers and attributes come back in order, and change nothing."""
    stale = [
        Decision("d9/mentions/0-4", spans=(Span(0, 4, "WHO"),)),
        Decision("d1/nowhere/0-4", spans=(Span(0, 4, "WHO"),)),
        Decision("d1/mentions/27-31", spans=()),
        Decision("d1/mentions/27-31b", choose="a1"),
        Decision("d1/0-4/kind", value="plan"),
        Decision("d1/30-31/by", tails=()),
        Decision("nonsense", value="plan"),
    ]
    settled = settle(*stale, a1=FULL, a2=FULL)
    assert settled.gold == settle(a1=FULL, a2=FULL).gold
    assert settled.unused == tuple(sorted(decision.item for decision in stale))


def test_a_document_id_may_hold_slashes():
    """Items are read from the end, so one document's decisions never reach another."""
    documents = {name: Document(name, TEXT) for name in ("d", "d/mentions")}
    readings = [reading((0, 25, "PROMISE"), document=name) for name in documents]
    decisions = [
        Decision("d/mentions/promises/27-43", spans=(Span(27, 43, "PROMISE"),)),
        Decision("d/mentions/0-4", spans=(Span(0, 4, "WHO"),)),
    ]
    settled = adjudicate({"a1": readings}, documents, SCHEMA, decisions)
    assert {gold.document: [span.start for span in gold.spans] for gold in settled.gold} == {
        "d": [0, 0],
        "d/mentions": [0, 27],
    }
    assert settled.unused == ()


WITHOUT = reading((0, 4, "WHO"), (9, 13, "WHO"), (18, 25, "MUCH"))


@pytest.mark.parametrize(
    ("decisions", "line"),
    [
        (
            [Decision(PLACE, choose="a3")],
            "decisions.jsonl: d1/mentions/0-13 chooses 'a3'; choose one of a1, a2",
        ),
        (
            [Decision(PLACE, value="plan")],
            "decisions.jsonl: d1/mentions/0-13 chooses ''; choose one of a1, a2",
        ),
        (
            [
                Decision("d1/promises/27-43", spans=(Span(27, 43, "PROMISE"),)),
                Decision("d1/27-43/kind", choose="a1"),
            ],
            "decisions.jsonl: d1/27-43/kind chooses 'a1'; say what is right instead",
        ),
        (
            [
                Decision("d1/promises/27-43", spans=(Span(27, 43, "PROMISE"),)),
                Decision("d1/27-43/by", choose="a1"),
            ],
            "decisions.jsonl: d1/27-43/by chooses 'a1'; say what is right instead",
        ),
        (
            [
                Decision("d1/promises/27-43", spans=(Span(27, 43, "PROMISE"),)),
                Decision("d1/27-43/amount", tails=("0-4",)),
            ],
            (
                "decisions.jsonl: d1/27-43/amount: no gold span at 0-4 that amount may reach; name the"
                " offsets of a gold span as start-end"
            ),
        ),
        (
            [
                Decision("d1/promises/27-43", spans=(Span(27, 43, "PROMISE"),)),
                Decision("d1/27-43/by", tails=("18-25",)),
            ],
            (
                "decisions.jsonl: d1/27-43/by: no gold span at 18-25 that by may reach; name the offsets"
                " of a gold span as start-end"
            ),
        ),
        (
            [
                Decision(
                    "d1/promises/27-43", spans=(Span(27, 43, "PROMISE", attributes={"kind": "x"}),)
                )
            ],
            "decisions.jsonl: d1: PROMISE 27–43 has kind='x'; use one of: pledge, plan",
        ),
        (
            [
                Decision(
                    "d1/promises/27-43",
                    spans=(Span(27, 43, "PROMISE", attributes={"kin": "plan"}),),
                )
            ],
            "decisions.jsonl: d1: PROMISE 27–43 has an unknown attribute 'kin'; remove it",
        ),
        (
            [
                Decision("d1/promises/27-43", spans=(Span(27, 43, "PROMISE"),)),
                Decision("d1/27-43/adverse", value="yes"),
            ],
            "decisions.jsonl: d1: PROMISE 27–43 has adverse='yes'; write true or leave it out",
        ),
        (
            [Decision(PLACE, spans=(Span(0, 4, "CITY"),))],
            (
                "decisions.jsonl: d1: CITY 0–4 has an unknown label; use one of PROMISE, THREAT, WHO,"
                " FIRM, MUCH"
            ),
        ),
        (
            [Decision(PLACE, spans=(Span(0, 4, "WHO", text="Oslo"),))],
            "decisions.jsonl: d1: WHO 0–4 reads 'Rome', not 'Oslo'; mend offsets or text",
        ),
        (
            [Decision(PLACE, spans=(Span(4, 0, "WHO"),))],
            "decisions.jsonl: d1: WHO 4–0 ends before it starts; swap start and end",
        ),
        (
            [Decision(PLACE, spans=(Span(4, 4, "WHO"),))],
            "decisions.jsonl: d1: WHO 4–4 is empty; remove it or give it an end after its start",
        ),
        (
            [Decision(PLACE, spans=(Span(40, 99, "WHO"),))],
            "decisions.jsonl: d1: WHO 40–99 lies outside the text (0–50); mend its offsets",
        ),
        (
            [Decision(PLACE, spans=(Span(0, 4, "WHO"), Span(2, 8, "FIRM")))],
            (
                "decisions.jsonl: d1: FIRM 2–8 overlaps WHO 0–4 in the layer 'mentions'; keep one of the"
                " two or move an edge"
            ),
        ),
        (
            [Decision("d1/mentions/19-30", spans=(Span(20, 30, "WHO"),))],
            (
                "decisions.jsonl: d1: WHO 20–30 overlaps MUCH 18–25 in the layer 'mentions'; keep one of"
                " the two or move an edge"
            ),
        ),
    ],
    ids=[
        "choose-a-stranger",
        "wrong-kind",
        "choose-attribute-nobody-read",
        "choose-relation-nobody-read",
        "tail-not-in-gold",
        "tail-of-another-label",
        "given-value",
        "given-attribute",
        "value",
        "label",
        "surface",
        "reversed",
        "empty",
        "outside",
        "overlap",
        "overlap-with-agreed",
    ],
)
def test_decisions_that_lead_to_invalid_gold_are_refused(decisions, line):
    """They end in one line with place, fault and cure."""
    with pytest.raises(InvalidDataError) as raised:
        settle(*decisions, a1=LEFT, a2=RIGHT)
    assert str(raised.value) == line


def test_choosing_overlapping_spans_is_refused():
    """Who drew two spans over each other cannot be chosen."""
    own = reading((0, 8, "WHO"), (5, 13, "WHO"))
    with pytest.raises(InvalidDataError) as raised:
        settle(Decision(PLACE, choose="a1"), a1=own)
    assert [fault.rule for fault in raised.value.faults] == ["overlap"]


@pytest.mark.parametrize("name", ["kind", "by"])
def test_who_has_no_counterpart_cannot_be_chosen(name):
    """Who did not mark the span has read neither its attributes nor its relations."""
    decisions = [
        Decision("d1/promises/0-25", choose="a1"),
        Decision(f"d1/0-25/{name}", choose="a2"),
    ]
    with pytest.raises(InvalidDataError) as raised:
        settle(*decisions, a1=FULL, a2=WITHOUT)
    line = f"decisions.jsonl: d1/0-25/{name} chooses 'a2'; choose one of a1"
    assert str(raised.value) == line


# ── from annotators' spans to gold spans ────────────────────────────────────────────────────────


def test_what_only_one_read_says_so():
    """Relations of a span that one of two annotators marked are theirs alone, not agreed."""
    settled = settle(Decision("d1/promises/0-25", choose="a1"), a1=FULL, a2=WITHOUT)
    assert settled.disputed == ()
    assert settled.gold[0].spans[0].attributes == FULL.spans[0].attributes
    assert {key: o for key, o in settled.gold[0].provenance.items() if ":" in key} == dict.fromkeys(
        ["by:s1:s2", "by:s1:s3", "amount:s1:s4"], "only a1"
    )


def test_attributes_and_relations_follow_a_moved_edge():
    """An annotator's span counts as a reading of the gold span it overlaps."""
    one = reading(
        (0, 25, "PROMISE", {"kind": "plan"}), (0, 4, "WHO"), relations=[("by", "s1", "s2")]
    )
    other = reading(
        (0, 17, "PROMISE", {"kind": "plan"}), (0, 8, "WHO"), relations=[("by", "s1", "s2")]
    )
    settled = settle(
        Decision("d1/promises/0-25", choose="a1"),
        Decision("d1/mentions/0-8", choose="a2"),
        a1=one,
        a2=other,
    )
    assert settled.disputed == ()
    assert settled.gold[0].spans[0].attributes == {"kind": "plan"}
    assert links(settled) == [("by", (0, 25), (0, 8))]
    assert settled.gold[0].provenance["by:s1:s2"] == "agreed"


def test_an_overruled_label_loses_nothing():
    """Attributes and relations of a span stay when a decision changes its label."""
    settled = settle(
        Decision("d1/promises/0-25", spans=(Span(0, 25, "THREAT"),)),
        Decision("d1/mentions/0-4", spans=(Span(0, 4, "FIRM"),)),
        a1=FULL,
        a2=FULL,
    )
    assert settled.gold[0].spans[0].attributes == {"kind": "pledge"}
    assert links(settled) == [("by", (0, 25), (0, 4)), ("by", (0, 25), (9, 13))]


def test_an_overruled_label_carries_only_what_it_may():
    """What the new label may not carry or reach is dropped without a dispute."""
    settled = settle(Decision("d1/mentions/0-4", spans=(Span(0, 4, "MUCH"),)), a1=FULL, a2=FULL)
    assert settled.disputed == ()
    assert links(settled) == [("amount", (0, 25), (18, 25)), ("by", (0, 25), (9, 13))]


def test_a_label_that_cannot_carry_it_reads_nothing():
    """Who gave the span a label without the attribute or relation does not dispute it."""
    settled = settle(
        Decision("d1/promises/0-25", choose="a1"),
        a1=reading(
            (0, 25, "PROMISE", {"kind": "plan", "adverse": True}),
            (18, 25, "MUCH"),
            relations=[("amount", "s1", "s2")],
        ),
        a2=reading((0, 25, "THREAT", {"kind": "plan"}), (18, 25, "MUCH")),
    )
    assert settled.disputed == ()
    assert settled.gold[0].spans[0].attributes == {"kind": "plan", "adverse": True}
    assert links(settled) == [("amount", (0, 25), (18, 25))]


TWO = reading(
    (0, 13, "PROMISE", {"kind": "plan"}),
    (14, 25, "PROMISE", {"kind": "plan"}),
    (0, 4, "WHO"),
    (18, 25, "MUCH"),
    relations=[("by", "s1", "s3"), ("amount", "s2", "s4"), ("repeats", "s1", "s2")],
)


def test_merged_spans_keep_the_relations_of_both():
    """A decision that makes one span of two leaves no relation behind, and no self-link."""
    merge = [
        Decision("d1/promises/0-13", spans=(Span(0, 25, "PROMISE"),)),
        Decision("d1/promises/14-25", spans=()),
    ]
    settled = settle(*merge, a1=TWO, a2=TWO)
    assert settled.disputed == ()
    assert links(settled) == [("amount", (0, 25), (18, 25)), ("by", (0, 25), (0, 4))]


def test_merged_spans_agree_with_who_drew_one():
    """Two spans and the one that covers them are one reading of its relations."""
    one = replace(
        reading((0, 25, "PROMISE", {"kind": "plan"}), (0, 4, "WHO"), (18, 25, "MUCH")),
        relations=(Relation("by", "s1", "s2"), Relation("amount", "s1", "s3")),
    )
    settled = settle(Decision("d1/promises/0-25", choose="a1"), a1=one, a2=TWO)
    assert settled.disputed == ()
    assert links(settled) == [("amount", (0, 25), (18, 25)), ("by", (0, 25), (0, 4))]


def test_split_tails_are_all_reached():
    """A relation to a span that a decision splits leads to each part."""
    whole = reading((0, 25, "PROMISE"), (0, 13, "WHO"), relations=[("by", "s1", "s2")])
    split = Decision("d1/mentions/0-13", spans=(Span(0, 4, "WHO"), Span(9, 13, "WHO")))
    settled = settle(split, a1=whole, a2=whole)
    assert links(settled) == [("by", (0, 25), (0, 4)), ("by", (0, 25), (9, 13))]


def test_the_very_span_goes_before_what_lies_inside():
    """Of an annotator who drew gold's span and another inside it, only the first is heard."""
    own = reading(
        (0, 25, "PROMISE", {"kind": "plan"}),
        (9, 25, "PROMISE", {"kind": "pledge"}),
        (18, 25, "MUCH"),
        relations=[("amount", "s2", "s3")],
    )
    outer = Decision("d1/promises/0-25", spans=(Span(0, 25, "PROMISE"),))
    settled = settle(outer, a1=own)
    assert settled.gold[0].spans[0].attributes == {"kind": "plan"}
    assert links(settled) == []


def test_the_same_label_goes_before_the_larger_share():
    """Gold's span is read by an annotator's span of its label, though another covers more of it."""
    own = reading((0, 17, "THREAT", {"kind": "pledge"}), (18, 25, "PROMISE", {"kind": "plan"}))
    decisions = [
        Decision("d1/promises/0-17", spans=(Span(0, 25, "PROMISE"),)),
        Decision("d1/promises/18-25", spans=()),
    ]
    assert settle(*decisions, a1=own).gold[0].spans[0].attributes == {"kind": "plan"}


def test_a_rejected_neighbour_lends_no_relation():
    """Relations of a span that a decision drops do not move to the gold span beside it."""
    mine = reading(
        (0, 14, "PROMISE"),
        (14, 25, "PROMISE"),
        (18, 25, "MUCH"),
        relations=[("amount", "s2", "s3")],
    )
    keep = [
        Decision("d1/promises/0-14", spans=(Span(0, 17, "PROMISE"),)),
        Decision("d1/promises/14-25", spans=()),
    ]
    assert links(settle(*keep, a1=mine, a2=mine)) == []


def test_a_span_drawn_twice_keeps_both_links():
    """The same span under two ids is one span with the relations of both."""
    twice = reading(
        (0, 25, "PROMISE"),
        (0, 25, "PROMISE"),
        (0, 4, "WHO"),
        (0, 4, "WHO"),
        (9, 13, "WHO"),
        relations=[("by", "s1", "s4"), ("by", "s2", "s5")],
    )
    settled = settle(a1=twice)
    assert settled.disputed == ()
    assert links(settled) == [("by", (0, 25), (0, 4)), ("by", (0, 25), (9, 13))]


def test_a_span_drawn_twice_with_two_values_is_a_dispute():
    """An annotator who says two things of one span has said neither."""
    twice = reading((0, 25, "PROMISE", {"kind": "plan"}), (0, 25, "PROMISE", {"kind": "pledge"}))
    assert items(settle(a1=twice)) == ["d1/promises/0-25"]
    right = Span(0, 25, "PROMISE", attributes={"kind": "plan"})
    settled = settle(Decision("d1/promises/0-25", spans=(right,)), a1=twice)
    assert settled.gold[0].spans[0].attributes == {"kind": "plan"}


def test_a_disputed_tail_waits_without_a_second_dispute():
    """While a span is disputed no relation leads to it; once decided, who linked it is heard."""
    one = reading((0, 25, "PROMISE"), (0, 4, "WHO"), relations=[("by", "s1", "s2")])
    other = reading((0, 25, "PROMISE"))
    assert items(settle(a1=one, a2=other)) == ["d1/mentions/0-4"]
    settled = settle(Decision("d1/mentions/0-4", choose="a1"), a1=one, a2=other)
    assert items(settled) == ["d1/0-25/by"]


# ── laws ────────────────────────────────────────────────────────────────────────────────────────


@st.composite
def readings_of(draw, document="d1", *, flat=False):
    """Any reading: spans of a few labels, over each other unless flat, attributes, relations."""
    places = []
    for layer in SCHEMA.layers:
        points = st.sampled_from([0, 4, 9, 13, 18, 25, 27, 31, 43])
        if flat:
            pairs = list(pairwise(sorted(draw(st.sets(points, max_size=6)))))
        else:
            pairs = draw(st.lists(st.tuples(points, points), max_size=4))
        places += [(*sorted(p), draw(st.sampled_from(layer.names))) for p in pairs if p[0] != p[1]]
    places = dict.fromkeys(places)
    spans = [
        (*place, {"kind": draw(st.sampled_from(["plan", "pledge"]))})
        if place[2] in ("PROMISE", "THREAT") and draw(st.booleans())
        else place
        for place in places
    ]
    bare = reading(*spans, document=document)
    possible = [
        Relation(kind.name, head.id, tail.id)
        for kind in SCHEMA.relations
        for head in bare.spans
        for tail in bare.spans
        if head.label in kind.head and tail.label in kind.tail
    ]
    chosen = draw(st.lists(st.sampled_from(possible), max_size=5, unique=True)) if possible else []
    return replace(bare, relations=tuple(chosen))


def answers(annotations):
    """What readings say, whatever ids and order they have."""
    return [
        (a.document, {(s.key, tuple(sorted(s.attributes.items()))) for s in a.spans}, a.links())
        for a in annotations
    ]


MANY = settings(max_examples=120, deadline=None)


@MANY
@given(st.lists(readings_of(), min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_the_order_of_annotators_and_their_spans_does_not_matter(found, random):
    """Gold, disputes and provenance are the same however the readings come."""
    named = list(zip(["a1", "a2", "a3"], found, strict=False))
    straight = adjudicate({name: [one] for name, one in named}, DOCUMENTS, SCHEMA)
    random.shuffle(named)
    mixed = {
        name: [
            replace(
                one,
                spans=tuple(random.sample(one.spans, len(one.spans))),
                relations=tuple(random.sample(one.relations, len(one.relations))),
            )
        ]
        for name, one in named
    }
    turned = adjudicate(mixed, DOCUMENTS, SCHEMA)
    assert [dispute.item for dispute in turned.disputed] == items(straight)
    assert answers(turned.gold) == answers(straight.gold)
    assert turned.gold[0].provenance == straight.gold[0].provenance


@MANY
@given(readings_of(flat=True))
def test_one_annotator_alone_becomes_gold_as_they_are(found):
    """A flat reading without rivals loses no span, attribute or relation."""
    settled = settle(a1=found)
    assert settled.disputed == ()
    assert answers(settled.gold) == answers([found])
    assert set(settled.gold[0].provenance.values()) <= {"only a1"}


@MANY
@given(readings_of(flat=True), readings_of(flat=True))
def test_adjudicating_gold_again_changes_nothing(one, other):
    """Gold as the only reading, or against itself, gives the same gold without a dispute."""
    (gold,) = settle(a1=one, a2=other).gold
    for again in (settle(x=gold), settle(x=gold, y=gold)):
        assert again.disputed == ()
        assert (again.gold[0].spans, again.gold[0].relations) == (gold.spans, gold.relations)


@MANY
@given(readings_of(), readings_of())
def test_every_gold_span_and_relation_says_where_it_comes_from(one, other):
    """Provenance names exactly the spans and relations of gold, while nothing is decided."""
    (gold,) = settle(a1=one, a2=other).gold
    named = {s.id for s in gold.spans} | {f"{r.type}:{r.head}:{r.tail}" for r in gold.relations}
    assert gold.provenance.keys() == named
    assert set(gold.provenance.values()) <= {"agreed"}


@MANY
@given(readings_of(), readings_of())
def test_a_span_is_gold_exactly_when_nobody_reads_its_place_otherwise(one, other):
    """Gold holds what both drew and nothing they drew overlaps in its layer."""
    expected = {
        span.key
        for span in one.spans
        if span.key in {o.key for o in other.spans}
        and not any(
            span.overlaps(o)
            and span.key != o.key
            and SCHEMA.layer_of(span.label).names.count(o.label)
            for o in (*one.spans, *other.spans)
        )
    }
    assert set(keys(settle(a1=one, a2=other))) == expected


@MANY
@given(readings_of(flat=True), readings_of(flat=True))
def test_choosing_one_annotator_throughout_gives_their_reading(one, other):
    """When every dispute goes to one annotator, round after round, gold is what they read."""
    decisions = []
    for _ in range(3):
        settled = settle(*decisions, a1=one, a2=other)
        decisions += [Decision(item, choose="a1") for item in items(settled)]
    assert settled.disputed == ()
    assert settled.unused == ()
    assert answers(settled.gold) == answers([one])


def test_disputes_of_many_documents_stand_in_order():
    """Disputes go by document, then spans before attributes before relations."""
    chance = random.Random(3)
    names = sorted(DOCUMENTS)
    chance.shuffle(names)
    one = [reading((0, 25, "PROMISE", {"kind": "plan"}), (0, 4, "WHO"), document=n) for n in names]
    other = [reading((0, 25, "PROMISE"), document=n) for n in names]
    settled = adjudicate({"a1": one, "a2": other}, DOCUMENTS, SCHEMA)
    assert items(settled) == [
        f"{name}/{part}" for name in sorted(names) for part in ("mentions/0-4", "0-25/kind")
    ]
