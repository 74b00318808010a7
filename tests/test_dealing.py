"""Documents dealt to annotators: everybody's share, and what stays when something is added."""

from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.studio import by_lot, deal, in_control

NAMES = st.text("abcdefghij0123456789-", min_size=1, max_size=8)
DOCUMENTS = st.lists(NAMES, unique=True, max_size=60)
SHARES = st.dictionaries(NAMES, st.integers(1, 4), min_size=1, max_size=6)


def corpus(number, prefix="d"):
    """So many document ids."""
    return [f"{prefix}{n:03}" for n in range(number)]


def readers(dealt):
    """The annotators of each document."""
    found = {}
    for annotator, documents in dealt.items():
        for document in documents:
            found.setdefault(document, set()).add(annotator)
    return found


@given(DOCUMENTS, SHARES, st.integers(1, 6))
def test_each_document_gets_its_readings(documents, annotators, readings):
    """As many different readers as were asked for, or everybody, and in the order of the documents."""
    dealt = deal(documents, annotators, readings)
    each = min(readings, len(annotators))
    assert {d: len(names) for d, names in readers(dealt).items()} == dict.fromkeys(documents, each)
    assert list(dealt) == list(annotators)
    assert all(list(mine) == [d for d in documents if d in mine] for mine in dealt.values())


@given(st.integers(2, 7), st.integers(1, 3), st.text("abc", max_size=5))
@settings(max_examples=40)
def test_shares_are_even(annotators, readings, prefix):
    """Of 300 documents nobody gets more than one in a hundred off an equal share."""
    names = [f"a{n}" for n in range(annotators)]
    dealt = deal(corpus(300, prefix), dict.fromkeys(names, 1), readings)
    share = 300 * min(readings, annotators) / annotators
    assert [n for n, mine in dealt.items() if abs(len(mine) - share) > 3] == []


def test_shares_are_as_large_as_they_were_asked_for():
    """Twice the share is twice the documents."""
    dealt = deal(corpus(300), {"a1": 2, "a2": 1, "a3": 3}, 1)
    assert {name: len(mine) for name, mine in dealt.items()} == {"a1": 100, "a2": 50, "a3": 150}


def test_a_share_too_large_gives_way_to_the_readings():
    """Nobody reads a document twice, so that a very large share is cut to the whole."""
    dealt = deal(corpus(10), {"a1": 9, "a2": 1, "a3": 1}, 2)
    assert (len(dealt["a1"]), len(dealt["a2"]) + len(dealt["a3"])) == (10, 10)


@given(DOCUMENTS, SHARES, st.integers(1, 3), st.randoms(use_true_random=False))
def test_order_does_not_matter(documents, annotators, readings, random):
    """Who reads what follows from the names alone."""
    mixed, others = documents[:], list(annotators.items())
    random.shuffle(mixed)
    random.shuffle(others)
    first = deal(documents, annotators, readings)
    assert readers(deal(mixed, dict(others), readings)) == readers(first)


@given(DOCUMENTS, DOCUMENTS, SHARES, st.integers(1, 3))
def test_new_documents_leave_the_others_where_they_are(documents, more, annotators, readings):
    """What was dealt is neither taken away nor dealt to somebody else as well."""
    held = deal(documents, annotators, readings)
    whole = list(dict.fromkeys([*documents, *more]))
    after = readers(deal(whole, annotators, readings, held))
    assert {document: after[document] for document in documents} == readers(held)
    assert {len(names) for names in after.values()} <= {min(readings, len(annotators))}


@given(DOCUMENTS, SHARES, SHARES, st.integers(1, 3))
def test_new_annotators_take_nothing_from_others(documents, annotators, more, readings):
    """A document that has its readers keeps them; only readings that were missing are dealt."""
    held = deal(documents, annotators, readings)
    after = readers(deal(documents, more | annotators, readings, held))
    for document, names in readers(held).items():
        assert names <= after[document]
        assert len(after[document]) == min(readings, len(more | annotators))


def test_new_annotators_are_dealt_what_is_new():
    """Who joins later takes new documents first, until the shares are even again."""
    held = deal(corpus(60), {"a1": 1, "a2": 1}, 1)
    dealt = deal(corpus(120), {"a1": 1, "a2": 1, "a3": 1}, 1, held)
    assert {name: len(mine) for name, mine in dealt.items()} == {"a1": 40, "a2": 40, "a3": 40}


def test_most_stays_without_knowing_what_was_dealt():
    """Where the projects are gone too, the draw alone keeps most documents with their readers."""
    names = dict.fromkeys(("a1", "a2", "a3"), 1)
    before, after = (readers(deal(corpus(n), names, 1)) for n in (300, 310))
    assert sum(before[d] != after[d] for d in before) <= 30


def test_dealt_again_is_the_same():
    """With what is held, the same question has the same answer."""
    names = {"a1": 1, "a2": 2}
    held = deal(corpus(50), names, 1)
    assert deal(corpus(50), names, 1, held) == held


def test_arms_are_by_lot_when_a_share_divides_them():
    """Whatever the share was; one document on the wrong side is no lot any more."""
    names = corpus(100)
    control = {name for name in names if in_control(name, 0.3)}
    shown = set(names) - control
    assert by_lot(control, shown)
    assert by_lot([], names)
    assert by_lot(names, [])
    one, other = min(control), min(shown)
    assert not by_lot(control - {one} | {other}, shown - {other} | {one})
