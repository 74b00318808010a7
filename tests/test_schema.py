"""A schema is loaded whole or refused with every fault; it finds all that is wrong with an annotation."""

from pathlib import Path

import pytest

from toolkit import files
from toolkit.errors import InvalidDataError
from toolkit.schema import Schema, document_faults
from toolkit.spans import Annotation, Document, Relation, Span, Zone

COMMITMENTS = files.resource("schemas/commitments.yaml")

SMALL = """\
name: small
version: "1"
language: en
guideline: small.md
layers:
  - name: promises
    labels:
      - {name: PROMISE, description: what, colour: "#000000", hotkey: "1"}
  - name: mentions
    labels:
      - {name: PARTY, description: who, colour: "#00ff00", hotkey: "2"}
      - {name: DATE, description: when, colour: "#0000FF"}
attributes:
  - name: kind
    labels: [PROMISE]
    values:
      - {value: plan, hotkey: p}
      - {value: pledge}
  - {name: adverse, labels: [PROMISE], flag: true}
  - {name: note, labels: [PROMISE, PARTY]}
relations:
  - {name: promisor, head: [PROMISE], tail: [PARTY]}
"""
"""A schema of 21 lines."""


@pytest.fixture
def load(tmp_path):
    """Load the small schema with one piece of it replaced."""

    def loaded(old="", new=""):
        assert SMALL.count(old) == 1 or not old
        path = tmp_path / "small.yaml"
        path.write_text(SMALL.replace(old, new) if old else SMALL)
        (tmp_path / "small.md").write_text("# How\n")
        return Schema.load(path)

    return loaded


@pytest.fixture
def faults(load, tmp_path):
    """The faults of the small schema with one piece of it replaced."""

    def found(old, new):
        with pytest.raises(InvalidDataError) as caught:
            load(old, new)
        return [str(fault).removeprefix(f"{tmp_path}/") for fault in caught.value.faults]

    return found


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    """The small schema."""
    path = tmp_path_factory.mktemp("schema") / "small.yaml"
    path.write_text(SMALL)
    path.with_name("small.md").write_text("# How\n")
    return Schema.load(path)


# ── the schema that ships ───────────────────────────────────────────────────────────────────────


def test_the_schema_that_ships_has_two_layers():
    """Commitments, and the mentions that may lie inside them."""
    schema = Schema.load(COMMITMENTS)
    assert {layer.name: layer.names for layer in schema.layers} == {
        "commitments": ("COMMITMENT",),
        "mentions": ("PARTY", "AMOUNT", "DATE"),
    }


def test_the_tags_of_a_layer_are_o_and_two_for_each_label():
    """The classes of a tag column, in the order of the schema."""
    _, mentions = Schema.load(COMMITMENTS).layers
    assert mentions.tags == (
        *("O", "B-PARTY", "I-PARTY", "B-AMOUNT", "I-AMOUNT", "B-DATE", "I-DATE"),
    )


def test_the_schema_that_ships_asks_for_what_the_guideline_defines():
    """Attributes with their values, and relations from a commitment to a mention."""
    schema = Schema.load(COMMITMENTS)
    assert {attribute.name: attribute.choices for attribute in schema.attributes} == {
        "kind": ("pledge", "agreement", "obligation", "plan"),
        "status": ("asserted", "reported", "conditional", "denied"),
        "polarity": ("+", "-"),
        "specificity": ("specific", "vague"),
        "adverse": (),
        "commitment_id": (),
    }
    assert {relation.name: (relation.head, relation.tail) for relation in schema.relations} == {
        "promisor": (("COMMITMENT",), ("PARTY",)),
        "beneficiary": (("COMMITMENT",), ("PARTY",)),
        "amount": (("COMMITMENT",), ("AMOUNT",)),
        "deadline": (("COMMITMENT",), ("DATE",)),
    }


def test_every_hotkey_and_colour_of_the_schema_that_ships_is_its_own():
    """One key, one label or value; one colour, one label."""
    schema = Schema.load(COMMITMENTS)
    choices = [choice for attribute in schema.attributes for choice in attribute.values]
    keys = [held.hotkey for held in (*schema.labels, *schema.attributes, *choices) if held.hotkey]
    assert len(keys) == 17
    assert len(set(keys)) == len(keys)
    assert len({label.colour for label in schema.labels}) == len(schema.labels)


def test_the_guideline_is_read_in():
    """Annotators see the text, not the file's name."""
    schema = Schema.load(COMMITMENTS)
    assert schema.guideline == (COMMITMENTS.parent / "commitments.md").read_text()


# ── fingerprint ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("changed", ["small.yaml", "small.md"])
def test_the_fingerprint_changes_with_either_file(load, tmp_path, changed):
    """Schema and guideline both decide what an annotation means."""
    before = load().sha256
    path = tmp_path / changed
    path.write_text(path.read_text() + "# more\n")
    assert Schema.load(tmp_path / "small.yaml").sha256 != before


def test_the_fingerprint_depends_on_content_alone(load, tmp_path):
    """The same two files elsewhere have the same fingerprint."""
    first = load()
    other = tmp_path / "elsewhere"
    other.mkdir()
    for name in ("small.yaml", "small.md"):
        (other / name).write_text((tmp_path / name).read_text())
    assert (first.sha256, len(first.sha256)) == (Schema.load(other / "small.yaml").sha256, 64)


# ── faults of a schema ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param(
            "name: DATE,",
            "name: PARTY,",
            "small.yaml:12: label 'PARTY' is declared twice; keep one",
            id="label twice",
        ),
        pytest.param(
            "name: DATE,",
            "name: PROMISE,",
            "small.yaml:12: label 'PROMISE' is declared twice; keep one",
            id="label twice in two layers",
        ),
        pytest.param(
            "name: mentions",
            "name: promises",
            "small.yaml:9: layer 'promises' is declared twice; keep one",
            id="layer twice",
        ),
        pytest.param(
            "{name: note,",
            "{name: kind,",
            "small.yaml:20: attribute 'kind' is declared twice; keep one",
            id="attribute twice",
        ),
        pytest.param(
            "  - {name: promisor, head: [PROMISE], tail: [PARTY]}\n",
            "  - {name: promisor, head: [PROMISE], tail: [PARTY]}\n" * 2,
            "small.yaml:23: relation 'promisor' is declared twice; keep one",
            id="relation twice",
        ),
        pytest.param(
            "name: DATE,",
            "name: DUE-DATE,",
            "small.yaml:12: label name 'DUE-DATE'; use 1–64 letters, digits and _, a letter first",
            id="label with a hyphen",
        ),
        pytest.param(
            "name: mentions",
            'name: "1st"',
            "small.yaml:9: layer name '1st'; use 1–64 letters, digits and _, a letter first",
            id="layer that begins with a digit",
        ),
        pytest.param(
            "name: mentions",
            "name: tokens",
            "small.yaml:9: layer 'tokens': every dataset has that already; rename it",
            id="layer named like a column",
        ),
        pytest.param(
            "{name: note,",
            "{name: start,",
            "small.yaml:20: attribute 'start': every dataset has that already; rename it",
            id="attribute named like a field of a span",
        ),
        pytest.param(
            '"#00ff00"',
            "green",
            "small.yaml:11: PARTY: colour 'green'; use #RRGGBB",
            id="colour by name",
        ),
        pytest.param(
            "labels: [PROMISE, PARTY]",
            "labels: [PROMISE, PART]",
            "small.yaml:20: attribute note: unknown label 'PART';"
            " declare it in a layer or use one of DATE, PARTY, PROMISE",
            id="attribute of an unknown label",
        ),
        pytest.param(
            "tail: [PARTY]",
            "tail: [PARTY, AMOUNT]",
            "small.yaml:22: relation promisor: unknown label 'AMOUNT';"
            " declare it in a layer or use one of DATE, PARTY, PROMISE",
            id="relation to an unknown label",
        ),
        pytest.param(
            "{value: pledge}",
            "{value: plan}",
            "small.yaml:18: attribute kind: value 'plan'; use 1–64 plain characters, each value once",
            id="value twice",
        ),
        pytest.param(
            "{value: pledge}",
            '{value: "<b>"}',
            "small.yaml:18: attribute kind: value '<b>'; use 1–64 plain characters, each value once",
            id="value with markup",
        ),
        pytest.param(
            "flag: true",
            "flag: true, values: [{value: x}]",
            "small.yaml:19: attribute adverse: a flag has no values; drop flag or values",
            id="flag with values",
        ),
        pytest.param(
            "{value: pledge}",
            '{value: pledge, hotkey: "2"}',
            "small.yaml:18: hotkey '2' is used twice; choose another",
            id="hotkey twice",
        ),
        pytest.param(
            "guideline: small.md",
            "guideline: lost.md",
            "small.yaml:4: guideline: no such file beside it: 'lost.md'; write it or drop the key",
            id="guideline lost",
        ),
        pytest.param(
            "guideline: small.md",
            "guideline: ../small.md",
            "small.yaml:4: guideline: no such file beside it: '../small.md'; write it or drop the key",
            id="guideline elsewhere",
        ),
        pytest.param(
            "relations:",
            "  - {name: x, labels: [PROMISE], lable: y}\nrelations:",
            "small.yaml:21: attributes.3.lable: unknown key; remove it or mend its spelling",
            id="unknown key",
        ),
    ],
)
def test_schema_fault(faults, old, new, expected):
    """One thing wrong: one line, at the line where it stands."""
    assert faults(old, new) == [expected]


def test_a_schema_without_layers_is_refused(tmp_path):
    """There is nothing to mark."""
    path = tmp_path / "none.yaml"
    path.write_text('name: none\nversion: "1"\nlanguage: en\nlayers: []\n')
    with pytest.raises(InvalidDataError) as caught:
        Schema.load(path)
    assert str(caught.value) == (f"{path}:4: no labels; declare at least one layer with one label")


def test_a_layer_without_labels_is_refused(tmp_path):
    """It would be a column of nothing."""
    path = tmp_path / "none.yaml"
    path.write_text(
        'name: none\nversion: "1"\nlanguage: en\nlayers:\n  - name: a\n    labels: []\n'
    )
    with pytest.raises(InvalidDataError, match=r":5: layer 'a' has no labels; declare one or drop"):
        Schema.load(path)


def test_all_faults_of_a_schema_are_listed_by_line(faults):
    """One run shows all there is to mend."""
    found = faults(
        SMALL[SMALL.index("  - name: mentions") :],
        "  - name: promises\n    labels:\n      - {name: A B, description: d, colour: red}\n"
        "relations:\n  - {name: r, head: [X], tail: [PROMISE]}\n",
    )
    assert [line.split(";")[0] for line in found] == [
        "small.yaml:9: layer 'promises' is declared twice",
        "small.yaml:11: A B: colour 'red'",
        "small.yaml:11: label name 'A B'",
        "small.yaml:13: relation r: unknown label 'X'",
    ]


# ── lookups ─────────────────────────────────────────────────────────────────────────────────────


def test_a_label_knows_its_layer_and_its_attributes(schema):
    """And a label the schema does not have is no label of it."""
    assert schema.layer_of("DATE").name == "mentions"
    assert [a.name for a in schema.attributes_of("PROMISE")] == ["kind", "adverse", "note"]
    assert schema.attributes_of("DATE") == ()
    with pytest.raises(KeyError):
        schema.layer_of("AMOUNT")


@pytest.mark.parametrize(
    ("attribute", "value", "accepted"),
    [
        ("kind", "plan", True),
        ("kind", "dream", False),
        ("kind", True, False),
        ("adverse", True, True),
        ("adverse", False, False),
        ("adverse", "true", False),
        ("note", "anything", True),
        ("note", True, False),
    ],
)
def test_what_an_attribute_accepts(schema, attribute, value, accepted):
    """A choice one of its values, a flag only true, free text any text."""
    (found,) = (a for a in schema.attributes if a.name == attribute)
    assert found.accepts(value) is accepted


# ── faults of an annotation ─────────────────────────────────────────────────────────────────────

TEXT = "🚢 Paris will pay Rome in May."
DOCUMENT = Document("d1", TEXT)
PROMISE = Span(2, 22, "PROMISE", "s1")
PARIS = Span(2, 7, "PARTY", "s2")


@pytest.mark.parametrize(
    ("span", "rule", "expected"),
    [
        pytest.param(
            Span(2, 7, "PLACE", "s1"),
            "unknown-label",
            "d1: PLACE 2–7 has an unknown label; use one of PROMISE, PARTY, DATE",
            id="unknown label",
        ),
        pytest.param(
            Span(5, 5, "PARTY", "s1"),
            "empty",
            "d1: PARTY 5–5 is empty; remove it or give it an end after its start",
            id="empty",
        ),
        pytest.param(
            Span(7, 2, "PARTY", "s1"),
            "reversed",
            "d1: PARTY 7–2 ends before it starts; swap start and end",
            id="reversed",
        ),
        pytest.param(
            Span(26, 31, "DATE", "s1"),
            "outside-text",
            "d1: DATE 26–31 lies outside the text (0–29); mend its offsets",
            id="beyond the end",
        ),
        pytest.param(
            Span(-2, 7, "PARTY", "s1"),
            "outside-text",
            "d1: PARTY -2–7 lies outside the text (0–29); mend its offsets",
            id="before the start",
        ),
        pytest.param(
            Span(2, 7, "PARTY", "s1", text="aris "),
            "text-mismatch",
            "d1: PARTY 2–7 reads 'Paris', not 'aris '; mend offsets or text",
            id="other text",
        ),
        pytest.param(
            Span(2, 7, "PARTY", "s1", attributes={"kind": "plan"}),
            "unknown-attribute",
            "d1: PARTY 2–7 has an unknown attribute 'kind'; remove it",
            id="attribute of another label",
        ),
        pytest.param(
            Span(2, 7, "PROMISE", "s1", attributes={"kind": "dream"}),
            "unknown-value",
            "d1: PROMISE 2–7 has kind='dream'; use one of: plan, pledge",
            id="unknown value",
        ),
        pytest.param(
            Span(2, 7, "PROMISE", "s1", attributes={"adverse": "yes"}),
            "unknown-value",
            "d1: PROMISE 2–7 has adverse='yes'; write true or leave it out",
            id="flag that is no flag",
        ),
        pytest.param(
            Span(2, 7, "PROMISE", "s1", attributes={"note": True}),
            "unknown-value",
            "d1: PROMISE 2–7 has note=True; write text",
            id="text that is no text",
        ),
    ],
)
def test_span_fault(schema, span, rule, expected):
    """One line with file, line, document, span, fault and cure, and a stable word for counting."""
    (fault,) = schema.faults(Annotation("d1", spans=(span,)), DOCUMENT, place="a.jsonl", line=7)
    assert (str(fault), fault.rule) == (f"a.jsonl:7: {expected}", rule)


@pytest.mark.parametrize(
    ("relation", "rule", "expected"),
    [
        pytest.param(
            Relation("owner", "s1", "s2"),
            "unknown-relation",
            "d1: relation owner s1→s2 has an unknown type; use one of: promisor",
            id="unknown type",
        ),
        pytest.param(
            Relation("promisor", "s1", "s9"),
            "dangling-relation",
            "d1: relation promisor s1→s9 names no span; remove it or add the span",
            id="no such tail",
        ),
        pytest.param(
            Relation("promisor", "s9", "s2"),
            "dangling-relation",
            "d1: relation promisor s9→s2 names no span; remove it or add the span",
            id="no such head",
        ),
        pytest.param(
            Relation("promisor", "s2", "s1"),
            "wrong-relation",
            "d1: relation promisor s2→s1 links PARTY→PROMISE; it goes from PROMISE to PARTY",
            id="wrong way round",
        ),
    ],
)
def test_relation_fault(schema, relation, rule, expected):
    """A relation names two spans of the annotation, of the labels its type allows."""
    annotation = Annotation("d1", spans=(PROMISE, PARIS), relations=(relation,))
    (fault,) = schema.faults(annotation, DOCUMENT, place="a.jsonl", line=2)
    assert (str(fault), fault.rule) == (f"a.jsonl:2: {expected}", rule)


def test_a_span_id_stands_once(schema):
    """Relations find their spans by id."""
    annotation = Annotation("d1", spans=(PROMISE, Span(2, 7, "PARTY", "s1")))
    (fault,) = schema.faults(annotation, DOCUMENT, place="a.jsonl")
    assert str(fault) == ("a.jsonl: d1: PARTY 2–7 repeats the id 's1'; give each span its own id")


def test_a_sound_annotation_has_no_faults(schema):
    """Nested across layers, with attributes, a relation and its surface."""
    annotation = Annotation(
        "d1",
        spans=(
            Span(2, 22, "PROMISE", "s1", "Paris will pay Rome ", {"kind": "plan", "adverse": True}),
            PARIS,
        ),
        relations=(Relation("promisor", "s1", "s2"),),
    )
    assert list(schema.faults(annotation, DOCUMENT, place="x")) == []
    assert list(schema.overlaps(annotation, place="x")) == []


def test_without_the_document_only_what_needs_its_text_is_passed_over(schema):
    """However far the offsets reach."""
    far = Annotation("d1", spans=(Span(0, 10**15, "PARTY", "s1", "?"), Span(-1, 5, "DATE", "s2")))
    (fault,) = schema.faults(far, None, place="x")
    assert str(fault) == "x: d1: DATE -1–5 lies outside the text; mend its offsets"


@pytest.mark.parametrize(
    ("first", "second", "named"),
    [
        pytest.param((2, 7, "PARTY"), (5, 9, "DATE"), ["DATE 5–9 overlaps PARTY 2–7"], id="cross"),
        pytest.param((2, 7, "PARTY"), (2, 7, "PARTY"), ["PARTY 2–7 overlaps PARTY 2–7"], id="same"),
        pytest.param((2, 7, "PARTY"), (7, 9, "PARTY"), [], id="touch"),
        pytest.param((2, 7, "PARTY"), (2, 9, "PROMISE"), [], id="other layer"),
    ],
)
def test_spans_of_one_layer_do_not_overlap(schema, first, second, named):
    """Across layers they may; spans that touch do not overlap."""
    annotation = Annotation("d1", spans=(Span(*first, "s1"), Span(*second, "s2")))
    assert [str(fault) for fault in schema.overlaps(annotation, place="a.jsonl", line=3)] == [
        f"a.jsonl:3: d1: {what} in the layer 'mentions'; keep one of the two or move an edge"
        for what in named
    ]


# ── faults of a document ────────────────────────────────────────────────────────────────────────


NO_SURROGATE = "remove it: Label Studio cannot export a project that holds one"


@pytest.mark.parametrize(
    ("document", "rule", "expected"),
    [
        (Document("", "x"), "no-id", "a document without an id; give it one"),
        (Document("d", " \n"), "empty-text", "document 'd' has no text; remove it"),
        (
            Document("d", "x" * 1_000_001),
            "too-large",
            "document 'd' has 1,000,001 characters, of at most 1,000,000; split it",
        ),
        (
            Document("d", "a\ud800"),
            "lone-surrogate",
            f"document 'd' holds a lone surrogate; {NO_SURROGATE}",
        ),
        (
            Document("d", "abc", zones=(Zone(1, 4, "body"),)),
            "outside-text",
            "document 'd': zone body 1–4 lies outside the text; mend its offsets",
        ),
        (
            Document("d", "abc", zones=(Zone(0, 3, "advert"),)),
            "unknown-zone",
            "document 'd': zone 0–3 is called 'advert'; use one of headline, body, boilerplate",
        ),
    ],
    ids=["no id", "no text", "too large", "lone surrogate", "zone outside", "unknown zone"],
)
def test_document_fault(document, rule, expected):
    """What a document gets wrong by itself."""
    (fault,) = document_faults(document, place="d.jsonl", line=4)
    assert (str(fault), fault.rule) == (f"d.jsonl:4: {expected}", rule)


def test_a_path_may_be_relative(load, tmp_path, monkeypatch):
    """The guideline is sought beside the schema, not beside the caller."""
    load()
    monkeypatch.chdir(tmp_path)
    assert Schema.load(Path("small.yaml")).guideline == "# How\n"


WHOLE = {"kind": "plan", "status": "asserted", "polarity": "+", "specificity": "vague"}


@pytest.fixture(scope="module")
def commitments():
    """The schema of the benchmark."""
    return Schema.load(COMMITMENTS)


# ── gold ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("spans", "told"),
    [
        (
            [Span(0, 5, "PARTY", "s1")],
            "d: PARTY 0–5 begins or ends with white space: 'Rome '; move its edge",
        ),
        (
            [Span(20, 24, "DATE", "s1")],
            "d: DATE 20–24 lies in page furniture; remove it or mend the zone",
        ),
        (
            [Span(0, 9, "COMMITMENT", "s1", attributes=WHOLE), Span(5, 11, "AMOUNT", "s2")],
            "d: AMOUNT 5–11 crosses COMMITMENT 0–9; layers nest or stand apart: move an edge",
        ),
        (
            [Span(0, 9, "COMMITMENT", "s1", attributes={**WHOLE, "kind": ""})],
            "d: COMMITMENT 0–9 has no kind; decide it",
        ),
    ],
    ids=["edge", "boilerplate", "crossing", "missing attribute"],
)
def test_gold_holds_nothing_ragged(commitments, spans, told):
    """Each fault of finished gold, with its place and cure."""
    document = Document("d", "Rome pays 5 euros.\n\nRead", zones=(Zone(20, 24, "boilerplate"),))
    annotation = Annotation("d", "gold", tuple(spans))
    found = list(commitments.gold_faults(annotation, document, place="gold.jsonl", line=3))
    assert [str(fault) for fault in found] == [f"gold.jsonl:3: {told}"]


def test_nested_gold_is_fine(commitments):
    """A mention inside a commitment, at its edge too, crosses nothing."""
    document = Document("d", "Rome pays 5 euros now.")
    spans = (Span(0, 17, "COMMITMENT", "s1", attributes=WHOLE), Span(0, 4, "PARTY", "s2"))
    spans += (Span(10, 17, "AMOUNT", "s3"), Span(18, 21, "DATE", "s4"))
    annotation = Annotation("d", "gold", spans)
    assert list(commitments.gold_faults(annotation, document, place="gold.jsonl")) == []
