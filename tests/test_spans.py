"""Spans and tags: two ways to write one layer, and neither loses anything."""

import json
import re
from itertools import pairwise, permutations, product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.spans import (
    Annotation,
    Document,
    Relation,
    Span,
    Zone,
    clean_twin,
    cut_spans,
    edges,
    from_tags,
    is_storable,
    overlapping,
    to_tags,
    token_range,
)

TAGS = ("O", "B-X", "I-X", "B-Y", "I-Y")
LAYERS = {"commitments": ["COMMITMENT"], "mentions": ["PARTY", "AMOUNT", "DATE"]}
EXAMPLES = [
    json.loads(line)
    for line in (Path(__file__).parent / "data" / "worked-examples.jsonl")
    .read_text(encoding="utf-8")
    .splitlines()
]


def tokens_of(number):
    """Tokens of unequal length with gaps between some of them."""
    starts = [3 * place for place in range(number)]
    return [(start, start + 2 + place % 2) for place, start in enumerate(starts)]


def is_iob2(tags):
    """Whether every I- continues a span of its own label."""
    return all(
        not tag.startswith("I-") or before in (f"B-{tag[2:]}", tag)
        for before, tag in pairwise(["O", *tags])
    )


def by_seqeval(tags, tokens):
    """The spans seqeval reads from one sentence in strict IOB2."""
    from seqeval.scheme import IOB2, Entities

    (found,) = Entities([tags], IOB2).entities
    return [Span(tokens[e.start][0], tokens[e.end - 1][1], e.tag) for e in found]


@pytest.mark.parametrize(
    ("length", "number"), list(enumerate([1, 3, 11, 41, 153, 571, 2131])), ids=range(7)
)
def test_every_short_iob2_sequence_round_trips(length, number):
    """All 2,911 legal sequences of up to six tags over two labels come back from their spans."""
    tokens = tokens_of(length)
    legal = [list(tags) for tags in product(TAGS, repeat=length) if is_iob2(tags)]
    assert len(legal) == number
    assert [to_tags(from_tags(tags, tokens), tokens) for tags in legal] == legal


@pytest.mark.parametrize("length", range(6))
def test_any_tags_are_read_as_seqeval_strict_reads_them(length):
    """All sequences of up to five tags, invalid ones too, give seqeval's own entities."""
    tokens = tokens_of(length)
    every = [list(tags) for tags in product(TAGS, repeat=length)]
    assert [from_tags(tags, tokens) for tags in every] == [by_seqeval(t, tokens) for t in every]


@pytest.mark.parametrize(
    ("tags", "read"),
    [
        ("I-X", []),
        ("O I-X I-X", []),
        ("B-X I-Y", [(0, 2, "X")]),
        ("B-X I-Y I-X", [(0, 2, "X")]),
        ("B-X I-X B-X", [(0, 6, "X"), (6, 8, "X")]),
        ("B-X B-Y I-Y", [(0, 2, "X"), (3, 8, "Y")]),
        ("B-X O I-X", [(0, 2, "X")]),
    ],
)
def test_tags_are_read_strictly(tags, read):
    """An I- that continues nothing opens nothing; a B- always opens."""
    tags = tags.split()
    assert [span.key for span in from_tags(tags, tokens_of(len(tags)))] == read


def test_tags_and_tokens_are_of_one_number():
    """Tags for another number of tokens are refused."""
    with pytest.raises(ValueError, match=r"^2 tags for 3 tokens$"):
        from_tags(["O", "O"], tokens_of(3))


@pytest.mark.parametrize(
    "span",
    [
        Span(1, 2, "X"),
        Span(0, 4, "X"),
        Span(2, 5, "X"),
        Span(0, 99, "X"),
        Span(0, 0, "X"),
        Span(6, 6, "X"),
        Span(6, 3, "X"),
    ],
    ids=[
        "inside",
        "past-an-end",
        "in-a-gap",
        "past-the-text",
        "empty",
        "empty-on-an-edge",
        "reversed",
    ],
)
def test_a_span_off_the_tokens_is_named_not_mended(span):
    """A span with an edge off the token edges has no tags, and is listed as cut."""
    tokens = [(0, 2), (3, 6), (6, 8)]
    with pytest.raises(ValueError, match=rf"^span {span.start}–{span.end} X cuts a token$"):
        to_tags([span], tokens)
    assert cut_spans([Span(0, 2, "X"), span, Span(3, 8, "Y")], tokens) == [span]


def test_overlapping_spans_have_no_tags():
    """Two spans on one token are refused by name."""
    with pytest.raises(ValueError, match=r"^span 3–8 Y overlaps another$"):
        to_tags([Span(0, 6, "X"), Span(3, 8, "Y")], [(0, 2), (3, 6), (6, 8)])


def test_a_token_range_counts_tokens():
    """First and one past the last token, or None off the token edges."""
    tokens = [(0, 2), (3, 6), (6, 8)]
    ranges = [token_range(Span(*s, "X"), tokens) for s in [(0, 2), (3, 8), (0, 8), (3, 7)]]
    assert ranges == [(0, 1), (1, 3), (0, 3), None]


@pytest.mark.parametrize(
    ("places", "pairs"),
    [
        ([], []),
        ([(0, 2), (2, 4)], []),
        ([(0, 2), (1, 4)], [((0, 2), (1, 4))]),
        ([(0, 9), (1, 2), (3, 4)], [((0, 9), (1, 2)), ((0, 9), (3, 4))]),
        ([(0, 3), (2, 9), (4, 6), (9, 12)], [((0, 3), (2, 9)), ((2, 9), (4, 6))]),
        ([(0, 2), (0, 2)], [((0, 2), (0, 2))]),
    ],
    ids=["none", "adjacent", "crossing", "nested", "chain", "twice"],
)
def test_each_overlap_is_named_once(places, pairs):
    """Every offender is named against the span before it that reaches furthest, in any order."""
    spans = [Span(start, end, "X") for start, end in places]
    for order in permutations(spans):
        found = [((a.start, a.end), (b.start, b.end)) for a, b in overlapping(order)]
        assert found == pairs


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [((0, 2), (2, 4), False), ((0, 3), (2, 4), True), ((0, 9), (3, 4), True)],
)
def test_overlap_goes_both_ways(one, other, shared):
    """Half-open spans that only touch do not overlap; the question is symmetric."""
    one, other = Span(*one, "X"), Span(*other, "Y")
    assert (one.overlaps(other), other.overlaps(one)) == (shared, shared)


SPANS = st.lists(
    st.tuples(st.integers(0, 20), st.integers(1, 9), st.sampled_from("XYZ")).map(
        lambda s: Span(s[0], s[0] + s[1], s[2])
    ),
    max_size=8,
)


@settings(max_examples=100, deadline=None)
@given(SPANS)
def test_overlaps_are_found_exactly_when_there_are_some(spans):
    """Spans have an overlap to name if and only if some two of them share a code point."""
    shared = any(a.overlaps(b) for number, a in enumerate(spans) for b in spans[number + 1 :])
    assert any(True for _ in overlapping(spans)) == shared


@settings(max_examples=100, deadline=None)
@given(SPANS)
def test_edges_are_the_coarsest_tokens_that_fit(spans):
    """No span cuts them, and each of their edges is an edge of some span."""
    tokens = edges(spans)
    assert cut_spans(spans, tokens) == []
    assert {p for token in tokens for p in token} == {p for s in spans for p in (s.start, s.end)}
    assert all(before[1] == after[0] for before, after in pairwise(tokens))


@settings(max_examples=100, deadline=None)
@given(SPANS, st.randoms(use_true_random=False))
def test_canonical_order_keeps_everything(spans, random):
    """Any order of spans and relations gives one record, with every span and relation once."""
    text = "abcdefghijklmnopqrstuvwxyz🚢é漢"
    spans = [Span(*s.key, id=f"s{n}", attributes={"n": str(n)}) for n, s in enumerate(spans)]
    ids = [span.id for span in spans]
    links = [Relation(t, h, t2) for h in ids for t2 in ids[:2] for t in ("to", "by")]
    ordered = Annotation("d", "a1", tuple(spans), tuple(links), False, 1.5, {"s0": "agreed"})
    random.shuffle(spans)
    random.shuffle(links)
    shuffled = Annotation("d", "a1", tuple(spans), tuple(links), False, 1.5, {"s0": "agreed"})
    canonical = ordered.canonical(text)
    assert shuffled.canonical(text) == canonical
    assert canonical.canonical(text) == canonical
    assert {(s.key, s.id, s.attributes["n"]) for s in canonical.spans} == {
        (s.key, s.id, s.attributes["n"]) for s in spans
    }
    assert sorted(map(repr, canonical.relations)) == sorted(map(repr, links))
    assert [s.text for s in canonical.spans] == [text[s.start : s.end] for s in canonical.spans]


def test_canonical_order_is_by_place_outer_first():
    """Spans go by start, the longer before the shorter; relations by head, type and tail."""
    spans = (Span(5, 6, "B", "s9"), Span(0, 2, "B", "s1"), Span(0, 9, "A", "s7"))
    relations = (Relation("to", "s7", "s9"), Relation("to", "s7", "s1"), Relation("by", "s7", "s9"))
    canonical = Annotation("d", "a1", spans, relations).canonical("abc🚢efghi")
    assert [(s.id, s.text) for s in canonical.spans] == [
        ("s7", "abc🚢efghi"),
        ("s1", "ab"),
        ("s9", "f"),
    ]
    assert [(r.type, r.tail) for r in canonical.relations] == [
        ("by", "s9"),
        ("to", "s1"),
        ("to", "s9"),
    ]


def test_a_layer_holds_its_labels_in_order():
    """A layer is the spans with its labels, by place."""
    reading = Annotation("d", spans=(Span(4, 5, "X"), Span(0, 9, "Y"), Span(0, 2, "Z")))
    assert [span.key for span in reading.layer(["X", "Z"])] == [(0, 2, "Z"), (4, 5, "X")]


def test_a_span_is_found_by_its_id():
    """An id gives its span; an unknown one is a KeyError."""
    reading = Annotation("d", spans=(Span(4, 5, "X", "s1"), Span(0, 9, "Y", "s2")))
    assert reading.span("s2").key == (0, 9, "Y")
    with pytest.raises(KeyError, match="s3"):
        reading.span("s3")


def test_links_do_not_depend_on_span_ids():
    """Renaming the spans leaves the links as they are."""
    one = Annotation(
        "d",
        spans=(Span(0, 9, "X", "s1"), Span(2, 3, "Y", "s2")),
        relations=(Relation("to", "s1", "s2"),),
    )
    other = Annotation(
        "d",
        spans=(Span(2, 3, "Y", "a"), Span(0, 9, "X", "b")),
        relations=(Relation("to", "b", "a"),),
    )
    assert one.links() == other.links() == {("to", (0, 9, "X"), (2, 3, "Y"))}


@pytest.mark.parametrize(
    ("text", "storable"),
    [("", True), ("Zürich 🚢 漢", True), ("a\ud83d", False), ("\udea2", False)],
    ids=["empty", "all-planes", "high", "low"],
)
def test_a_lone_surrogate_cannot_be_stored(text, storable):
    """Text is storable unless it holds half a surrogate pair."""
    assert is_storable(text) == storable


@pytest.mark.parametrize("example", EXAMPLES, ids=[example["id"] for example in EXAMPLES])
def test_worked_examples_round_trip_through_tags(example):
    """The guideline's examples read as they say, are flat layer by layer, and come back from tags."""
    spans = [Span(s["start"], s["end"], s["label"]) for s in example["spans"]]
    assert [example["text"][s.start : s.end] for s in spans] == [
        s["text"] for s in example["spans"]
    ]
    words = [found.span() for found in re.finditer(r"\w+|[^\w\s]", example["text"])]
    for labels in LAYERS.values():
        layer = Annotation("d", spans=tuple(spans)).layer(labels)
        assert list(overlapping(layer)) == []
        for tokens in (words, edges(spans)):
            assert [s.key for s in from_tags(to_tags(layer, tokens), tokens)] == [
                s.key for s in layer
            ]


def test_worked_examples_nest_across_layers():
    """Mentions lie inside commitments or outside them, and many do lie inside."""
    crossing, inside = [], 0
    for example in EXAMPLES:
        spans = [Span(s["start"], s["end"], s["label"]) for s in example["spans"]]
        commitments = [s for s in spans if s.label == "COMMITMENT"]
        mentions = [s for s in spans if s.label != "COMMITMENT"]
        for outer, inner in product(commitments, mentions):
            if outer.overlaps(inner):
                inside += 1
                if not outer.start <= inner.start <= inner.end <= outer.end:
                    crossing.append((example["id"], outer.key, inner.key))
    assert crossing == []
    assert inside > 50


# ── clean twins ─────────────────────────────────────────────────────────────────────────────────

PIECES = st.lists(
    st.tuples(
        st.sampled_from(["headline", "body", "boilerplate"]),
        st.text("ab é😀", min_size=1, max_size=8),
        st.sampled_from(["", "\n\n"]),
    ),
    min_size=1,
    max_size=6,
)


def page_of(pieces):
    """A page of zones, and one span over each headline and body."""
    text, zones = "", []
    for kind, piece, gap in pieces:
        text += gap if text else ""
        zones.append(Zone(len(text), len(text) + len(piece), kind))
        text += piece
    kept = [zone for zone in zones if zone.zone != "boilerplate"]
    spans = tuple(Span(z.start, z.end, "X", f"s{n}") for n, z in enumerate(kept))
    return Document("d", text, zones=tuple(zones)), Annotation("d", "gold", spans)


@given(PIECES)
@settings(max_examples=200, deadline=None)
def test_a_clean_twin_keeps_every_span_and_no_furniture(pieces):
    """Every surface is what it was; zones tile the twin but for gaps; furniture is gone."""
    document, annotation = page_of(pieces)
    twin, moved = clean_twin(document, annotation)
    assert [twin.text[s.start : s.end] for s in moved.spans] == [
        document.text[s.start : s.end] for s in annotation.spans
    ]
    assert [z.zone for z in twin.zones] == [
        z.zone for z in document.zones if z.zone != "boilerplate"
    ]
    assert "".join(twin.text[z.start : z.end] for z in twin.zones) == "".join(
        document.text[z.start : z.end] for z in document.zones if z.zone != "boilerplate"
    )
    assert (twin.id, moved.document, moved.relations) == ("d-clean", "d-clean", ())


def test_a_page_without_furniture_is_its_own_twin():
    """Gaps between zones stay as they were."""
    document, annotation = page_of([("headline", "ab", ""), ("body", "ba", "\n\n")])
    twin, moved = clean_twin(document, annotation)
    assert (twin.text, twin.zones, moved.spans) == (
        document.text,
        document.zones,
        annotation.spans,
    )


def test_a_span_in_furniture_has_no_twin():
    """Gold never has one."""
    document, _ = page_of([("boilerplate", "ab", "")])
    with pytest.raises(ValueError, match="X 0–2 lies in page furniture"):
        clean_twin(document, Annotation("d", "gold", (Span(0, 2, "X"),)))
