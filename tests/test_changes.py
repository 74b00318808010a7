"""A new version is compared with the page people annotated on: safe, lossy or breaking."""

from collections import Counter
from dataclasses import replace

import pytest

from toolkit.schema import Change, Schema, Usage, changes, shape_of
from toolkit.spans import Annotation, Relation, Span

BASE = """\
name: deals
version: "1.0"
language: en
layers:
  - name: clauses
    labels:
      - {name: PROMISE, description: what, colour: "#000000"}
      - {name: REMARK, description: aside, colour: "#111111"}
  - name: mentions
    labels:
      - {name: PARTY, description: who, colour: "#222222"}
      - {name: DATE, description: when, colour: "#333333"}
attributes:
  - {name: kind, labels: [PROMISE, REMARK], values: [{value: vow}, {value: plan}, {value: hope}]}
  - {name: harsh, labels: [PROMISE], flag: true}
  - {name: note, labels: [PARTY]}
  - {name: spare, labels: [DATE]}
relations:
  - {name: giver, head: [PROMISE], tail: [PARTY]}
  - {name: due, head: [PROMISE], tail: [DATE]}
"""

USED = (
    Annotation(
        "d1",
        spans=(
            Span(0, 20, "PROMISE", "s1", attributes={"kind": "vow", "harsh": True}),
            Span(30, 40, "PROMISE", "s2", attributes={"kind": "plan"}),
            Span(0, 4, "PARTY", "s3", attributes={"note": "x"}),
        ),
        relations=(Relation("giver", "s1", "s3"),),
    ),
    Annotation("d2", spans=(Span(0, 5, "PARTY", "s1", attributes={"note": "y"}),)),
)
"""Nobody used REMARK, DATE, hope, spare or due."""


@pytest.fixture
def load(tmp_path):
    """The schema of version 1.0, or one of version 2.0 with pieces replaced and migrations."""

    def loaded(*edits, migration=""):
        text = BASE
        for old, new in edits:
            assert text.count(old) == 1
            text = text.replace(old, new)
        if edits:
            text = text.replace('"1.0"', '"2.0"')
        if migration:
            text += f'migrations:\n  - from: "1.0"\n    {migration}\n'
        path = tmp_path / "deals.yaml"
        path.write_text(text)
        return Schema.load(path)

    return loaded


PROMISE = '      - {name: PROMISE, description: what, colour: "#000000"}\n'
REMARK = '      - {name: REMARK, description: aside, colour: "#111111"}\n'
PARTY = '      - {name: PARTY, description: who, colour: "#222222"}\n'
DATE = '      - {name: DATE, description: when, colour: "#333333"}\n'
NOTE = "  - {name: note, labels: [PARTY]}\n"
HARSH = "harsh, labels: [PROMISE], flag: true"
GIVER = "  - {name: giver, head: [PROMISE], tail: [PARTY]}\n"

RENAMED = ((PARTY, PARTY.replace("PARTY", "ACTOR")), (NOTE, NOTE.replace("PARTY", "ACTOR")))
RENAMED_ENDS = (*RENAMED, (GIVER, GIVER.replace("PARTY", "ACTOR")))


CHANGES = [
    pytest.param([], "", [], id="nothing"),
    pytest.param(
        [("#222222", "#abcdef"), ("description: who", "description: anybody")],
        "",
        [],
        id="looks",
    ),
    pytest.param(
        [(DATE, DATE + DATE.replace("DATE", "PLACE"))],
        "",
        ["safe: label added: PLACE"],
        id="label added",
    ),
    pytest.param(
        [(REMARK, ""), ("[PROMISE, REMARK]", "[PROMISE]")],
        "",
        ["safe: label removed: REMARK"],
        id="unused label removed",
    ),
    pytest.param(
        RENAMED_ENDS,
        "",
        ["breaking: label removed: PARTY, 2 spans", "safe: label added: ACTOR"],
        id="used label renamed, uncovered",
    ),
    pytest.param(
        RENAMED_ENDS,
        "labels: {PARTY: ACTOR}",
        ["safe: label migrated: PARTY → ACTOR, 2 spans", "safe: label added: ACTOR"],
        id="used label renamed, covered",
    ),
    pytest.param(
        RENAMED_ENDS,
        "labels: {PARTY: ACTOR}\n    drop: {labels: [PLACE]}",
        ["safe: label migrated: PARTY → ACTOR, 2 spans", "safe: label added: ACTOR"],
        id="what is covered and was never seen goes unsaid",
    ),
    pytest.param(
        [(PARTY, ""), (NOTE, ""), (GIVER, "")],
        "drop: {labels: [PARTY], attributes: [note], relations: [giver]}",
        [
            "safe: label given up by a migration: PARTY, 2 spans",
            "safe: attribute given up by a migration: note, 2 spans",
            "safe: relation given up by a migration: giver, 1 relation",
        ],
        id="used names given up",
    ),
    pytest.param(
        [(NOTE, "")],
        "",
        ["lossy: attribute removed: note, 2 spans"],
        id="used attribute removed",
    ),
    pytest.param(
        [("  - {name: spare, labels: [DATE]}\n", "")],
        "",
        ["safe: attribute removed: spare"],
        id="unused attribute removed",
    ),
    pytest.param(
        [("name: note", "name: remark")],
        "attributes: {note: remark}",
        ["safe: attribute migrated: note → remark, 2 spans", "safe: attribute added: remark"],
        id="used attribute renamed",
    ),
    pytest.param(
        [("{value: plan}, ", "")],
        "",
        ["lossy: value removed: kind=plan, 1 span"],
        id="used value removed",
    ),
    pytest.param(
        [(", {value: hope}", ", {value: wish}")],
        "",
        ["safe: value removed: kind=hope", "safe: value added: kind=wish"],
        id="unused value renamed",
    ),
    pytest.param(
        [("{value: plan}, ", "")],
        "values: {kind: {plan: vow}}",
        ["safe: value migrated: kind=plan → vow, 1 span"],
        id="used value merged",
    ),
    pytest.param(
        [("{value: plan}, ", "")],
        "drop: {values: {kind: [plan]}}",
        ["safe: value given up by a migration: kind=plan, 1 span"],
        id="used value given up",
    ),
    pytest.param(
        [("name: kind", "name: sort"), ("{value: plan}, ", "")],
        "attributes: {kind: sort}",
        [
            "lossy: value removed: sort=plan, 1 span",
            "safe: attribute migrated: kind → sort, 2 spans",
            "safe: attribute added: sort",
        ],
        id="attribute renamed, a value forgotten",
    ),
    pytest.param(
        [(HARSH, "harsh, labels: [PROMISE], values: [{value: hard}]")],
        "",
        ["breaking: attribute changed: harsh: flag → choice, 1 span"],
        id="flag becomes a choice",
    ),
    pytest.param(
        [(HARSH, "harsh, labels: [PROMISE], values: [{value: hard}]")],
        "values: {harsh: {true: hard}}",
        ["safe: attribute migrated: harsh: flag → choice, 1 span"],
        id="flag becomes a choice, covered",
    ),
    pytest.param(
        [(HARSH, "tone, labels: [PROMISE], values: [{value: hard}]")],
        "attributes: {harsh: tone}",
        [
            "breaking: value removed: tone=true, 1 span",
            "safe: attribute migrated: harsh → tone, 1 span",
            "safe: attribute added: tone",
        ],
        id="flag renamed and a choice, its value forgotten",
    ),
    pytest.param(
        [("name: spare, labels: [DATE]", "name: spare, labels: [DATE], flag: true")],
        "",
        ["safe: attribute changed: spare: text → flag"],
        id="unused text becomes a flag",
    ),
    pytest.param(
        [("name: note, labels: [PARTY]", "name: note, labels: [PARTY, DATE]")],
        "",
        ["safe: attribute asked of DATE as well: note"],
        id="attribute widened",
    ),
    pytest.param(
        [("[PROMISE, REMARK]", "[PROMISE]")],
        "",
        ["safe: attribute no longer asked of REMARK: kind"],
        id="attribute narrowed where unused",
    ),
    pytest.param(
        [("[PROMISE, REMARK]", "[REMARK]")],
        "",
        ["lossy: attribute no longer asked of PROMISE: kind, 2 spans"],
        id="attribute narrowed where used",
    ),
    pytest.param(
        [("[PROMISE, REMARK]", "[REMARK]")],
        "drop: {attributes: [PROMISE.kind]}",
        ["safe: attribute no longer asked of PROMISE: kind"],
        id="attribute narrowed where used, covered",
    ),
    pytest.param(
        [(GIVER, "")],
        "",
        ["lossy: relation removed: giver, 1 relation"],
        id="used relation removed",
    ),
    pytest.param(
        [("name: due", "name: until")],
        "",
        ["safe: relation removed: due", "safe: relation added: until"],
        id="unused relation renamed",
    ),
    pytest.param(
        [("name: giver", "name: actor")],
        "relations: {giver: actor}",
        ["safe: relation migrated: giver → actor, 1 relation", "safe: relation added: actor"],
        id="used relation renamed",
    ),
    pytest.param(
        [(GIVER, GIVER.replace("PARTY", "DATE"))],
        "",
        ["lossy: relation no longer links PROMISE → PARTY: giver, 1 relation"],
        id="relation narrowed where used",
    ),
    pytest.param(
        [(PARTY, ""), (REMARK, REMARK + PARTY)],
        "",
        [
            "breaking: PARTY and PROMISE overlap and would share the layer clauses, 1 pair",
            "safe: label moved: PARTY, from the layer mentions to clauses, 2 spans",
        ],
        id="label moved into its neighbour's layer",
    ),
    pytest.param(
        [(DATE, ""), (REMARK, REMARK + DATE)],
        "",
        ["safe: label moved: DATE, from the layer mentions to clauses"],
        id="unused label moved",
    ),
]


@pytest.mark.parametrize(("edits", "migration", "expected"), CHANGES)
def test_each_change_is_classified(load, edits, migration, expected):
    """Unused is safe, covered is safe; answers lost are lossy, spans lost are breaking."""
    old = shape_of(load())
    new = load(*edits, migration=migration)
    assert list(map(str, changes(old, new, Usage.of(USED)))) == expected


@pytest.mark.parametrize(("edits", "migration", "expected"), CHANGES)
def test_what_is_safe_is_accepted_and_only_that(load, edits, migration, expected):
    """A reading of the annotations finds a fault exactly when a change is lossy or breaking."""
    new = load(*edits, migration=migration)
    read = [new.migrate(annotation) for annotation in USED]
    refused = [fault for a in read for fault in new.faults(a, None, place="used")]
    refused += [fault for a in read for fault in new.overlaps(a, place="used")]
    assert bool(refused) == any(not line.startswith("safe") for line in expected)


def test_a_split_is_followed_span_by_span(load):
    """What an outcome of the split is not asked for is counted there, and only there."""
    edits = [
        (PROMISE, PROMISE.replace("PROMISE", "VOW")),
        ("[PROMISE, REMARK]", "[REMARK]"),
        (HARSH, "harsh, labels: [VOW], flag: true"),
        (GIVER, GIVER.replace("PROMISE", "REMARK")),
        ("name: due, head: [PROMISE]", "name: due, head: [VOW]"),
    ]
    split = "split: {PROMISE: {attribute: kind, values: {vow: VOW}, otherwise: REMARK}}"
    new = load(*edits, migration=split)
    old = load()
    old = shape_of(replace(old, attributes=(old.attributes[0], harsh_of(old), *old.attributes[2:])))
    assert list(map(str, changes(old, new, Usage.of(USED)))) == [
        "lossy: attribute no longer asked of VOW: kind, 1 span",
        "lossy: relation no longer links VOW → PARTY: giver, 1 relation",
        "safe: label migrated: PROMISE → VOW, REMARK, 2 spans",
        "safe: label added: VOW",
        "safe: attribute no longer asked of REMARK: harsh",
    ]


def harsh_of(schema):
    """The flag, asked of both clauses."""
    return replace(schema.attributes[1], labels=("PROMISE", "REMARK"))


def test_labels_that_overlapped_in_one_layer_are_no_change(load):
    """What annotators drew within a layer is settled by adjudication, not by the schema."""
    drawn = Annotation("d1", spans=(Span(0, 9, "PROMISE", "s1"), Span(4, 12, "REMARK", "s2")))
    assert changes(shape_of(load()), load(), Usage.of([drawn])) == ()


def test_without_knowing_its_layers_a_page_with_overlaps_is_breaking(load):
    """A page that does not say in which layer a label stood is taken at its worst."""
    schema = load()
    drawn = Annotation("d1", spans=(Span(0, 9, "PROMISE", "s1"), Span(4, 12, "REMARK", "s2")))
    page = replace(shape_of(schema), labels=dict.fromkeys(shape_of(schema).labels, ""))
    assert changes(page, schema, Usage.of([drawn])) == (
        Change(
            "breaking", "PROMISE and REMARK overlap and would share the layer clauses", 1, "pair"
        ),
    )


def test_spans_that_a_merge_makes_one_do_not_overlap(load):
    """Two labels of one extent become one span; of two extents they clash."""
    new = load(
        (PROMISE, ""),
        (GIVER, ""),
        ("  - {name: due, head: [PROMISE], tail: [DATE]}\n", "  []\n"),
        ("[PROMISE, REMARK]", "[REMARK]"),
        (HARSH, "harsh, labels: [REMARK], flag: true"),
        migration="labels: {PROMISE: PARTY}",
    )
    spans = (Span(0, 9, "PROMISE", "s1"), Span(0, 9, "PARTY", "s2"), Span(4, 9, "PARTY", "s3"))
    found = {
        n: [c for c in changes(shape_of(load()), new, used) if c.severity == "breaking"]
        for n in (2, 3)
        if (used := Usage.of([Annotation("d1", spans=spans[:n])]))
    }
    what = "PARTY and PROMISE overlap and would share the layer mentions"
    assert found == {2: [], 3: [Change("breaking", what, 1, "pair")]}


def test_names_of_still_older_versions_are_looked_at(load):
    """What the page no longer has may stand in a file: used and uncovered, it is told."""
    old = shape_of(load())
    drawn = Annotation("d1", spans=(Span(0, 4, "FIRM", "s1", attributes={"size": "big"}),))
    assert list(map(str, changes(old, load(), Usage.of([drawn])))) == [
        "breaking: label removed: FIRM, 1 span",
        "lossy: attribute removed: size, 1 span",
    ]


def test_use_is_counted_as_written():
    """Spans by label and answer, relations by type and ends, pairs that share text."""
    used = Usage.of(USED)
    assert used.labels == Counter(PROMISE=2, PARTY=2)
    assert used.attributes == Counter(kind=2, harsh=1, note=2)
    assert used.values == {
        ("kind", "vow"): 1,
        ("kind", "plan"): 1,
        ("harsh", "true"): 1,
        ("note", "x"): 1,
        ("note", "y"): 1,
    }
    assert used.types == Counter(giver=1)
    assert used.relations == {("giver", "PROMISE", "PARTY"): 1}
    assert used.overlaps == {("PARTY", "PROMISE", False): 1}


def test_the_gravest_comes_first(load):
    """Whoever reads one line reads the worst."""
    new = load((PARTY, ""), (NOTE, ""), (GIVER, ""))
    found = [change.severity for change in changes(shape_of(load()), new, Usage.of(USED))]
    assert found == ["breaking", "lossy", "lossy"]
