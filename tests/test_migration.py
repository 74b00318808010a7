"""Annotations of older versions are read under this one: renamed, merged, split, given up."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit import files
from toolkit.corpus import Corpus, read_predictions
from toolkit.errors import InvalidDataError
from toolkit.schema import Attribute, Choice, Drop, Label, Layer, Migration, Schema, Split
from toolkit.spans import Annotation, Document, Relation, Span
from toolkit.studio.results import from_result, to_result

OLD = """\
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
      - {name: COMPANY, description: a firm, colour: "#222222"}
      - {name: PERSON, description: a human, colour: "#333333"}
      - {name: DATE, description: when, colour: "#444444"}
attributes:
  - {name: type, labels: [PROMISE], values: [{value: vow}, {value: threat}, {value: plan}]}
  - {name: harsh, labels: [PROMISE], flag: true}
  - {name: source, labels: [COMPANY, PERSON]}
  - {name: mood, labels: [PROMISE], values: [{value: glad}, {value: grim}]}
relations:
  - {name: giver, head: [PROMISE], tail: [COMPANY, PERSON]}
  - {name: taker, head: [PROMISE], tail: [COMPANY, PERSON]}
  - {name: aside, head: [REMARK], tail: [PROMISE]}
"""
"""The first version."""

NEW = """\
name: deals
version: "2.0"
language: en
layers:
  - name: clauses
    labels:
      - {name: PLEDGE, description: good, colour: "#000000"}
      - {name: MENACE, description: bad, colour: "#111111"}
  - name: mentions
    labels:
      - {name: PARTY, description: who, colour: "#222222"}
      - {name: DATE, description: when, colour: "#444444"}
attributes:
  - {name: kind, labels: [PLEDGE, MENACE], values: [{value: vow}, {value: plan}]}
  - {name: mood, labels: [PLEDGE], values: [{value: glad}, {value: stern}]}
  - {name: tone, labels: [PLEDGE, MENACE], values: [{value: hard}, {value: soft}]}
relations:
  - {name: actor, head: [PLEDGE, MENACE], tail: [PARTY]}
migrations:
  - from: "1.0"
    labels: {COMPANY: ORG, PERSON: PARTY}
    split:
      PROMISE:
        attribute: type
        values: {threat: MENACE}
        otherwise: PLEDGE
    attributes: {type: kind, harsh: tone}
    values:
      type: {threat: plan}
      harsh: {true: hard}
    relations: {giver: agent, taker: actor}
    drop:
      labels: [REMARK]
      attributes: [source, MENACE.mood]
      relations: [aside]
  - from: "1.1"
    labels: {ORG: PARTY}
    relations: {agent: actor}
    values:
      mood: {grim: stern}
"""
"""The third version. Between the two, COMPANY was called ORG and giver was called agent."""


def load(text, tmp_path):
    """The schema of this text."""
    path = tmp_path / "deals.yaml"
    path.write_text(text)
    return Schema.load(path)


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """The first version."""
    return load(OLD, tmp_path_factory.mktemp("old"))


@pytest.fixture(scope="module")
def new(tmp_path_factory):
    """The third version."""
    return load(NEW, tmp_path_factory.mktemp("new"))


def span(label, identifier="s1", start=0, end=5, **attributes):
    """A span of this label."""
    return Span(start, end, label, identifier, attributes=attributes)


# ── what becomes of an annotation ───────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(span("PERSON"), span("PARTY"), id="renamed"),
        pytest.param(span("COMPANY"), span("PARTY"), id="renamed twice"),
        pytest.param(span("ORG"), span("PARTY"), id="of the version between"),
        pytest.param(span("PARTY"), span("PARTY"), id="of this version"),
        pytest.param(span("PROMISE"), span("PLEDGE"), id="split, nothing said"),
        pytest.param(
            span("PROMISE", type="vow"), span("PLEDGE", kind="vow"), id="split, otherwise"
        ),
        pytest.param(
            span("PROMISE", type="threat"), span("MENACE", kind="plan"), id="split by a value"
        ),
        pytest.param(
            span("PROMISE", harsh=True), span("PLEDGE", tone="hard"), id="a flag becomes a choice"
        ),
        pytest.param(
            span("PROMISE", mood="grim"), span("PLEDGE", mood="stern"), id="value renamed"
        ),
        pytest.param(
            span("PROMISE", mood="grim", type="threat"),
            span("MENACE", kind="plan"),
            id="attribute given up on one label of a split",
        ),
        pytest.param(span("PERSON", source="x"), span("PARTY"), id="attribute given up"),
        pytest.param(
            span("PLEDGE", type="vow", kind="plan"),
            span("PLEDGE", kind="plan"),
            id="the new name's word counts",
        ),
        pytest.param(span("UNHEARD", odd="x"), span("UNHEARD", odd="x"), id="unknown"),
    ],
)
def test_a_span_is_read_in_the_names_of_this_version(new, before, after):
    """Label and attributes in new names; offsets, id and what nobody knows stay."""
    assert new.migrate(Annotation("d1", "a1", (before,))) == Annotation("d1", "a1", (after,))


def test_what_needs_no_migration_is_the_very_same_annotation(new):
    """Nothing is copied where nothing applies."""
    annotation = Annotation(
        "d1",
        spans=(span("PLEDGE", kind="vow"), span("PARTY", "s2")),
        relations=(Relation("actor", "s1", "s2"),),
    )
    assert new.migrate(annotation) is annotation


def test_without_migrations_nothing_is_renamed(old):
    """A schema that leads away from nothing gives the very same annotation."""
    annotation = Annotation("d1", spans=(span("UNHEARD"),))
    assert old.migrate(annotation) is annotation


def test_merged_spans_are_one(new):
    """The first keeps id and word; what only the other says, its relations and their source come over."""
    before = Annotation(
        "d1",
        "gold",
        (
            span("PERSON", "s1"),
            span("PROMISE", "s2", mood="glad"),
            span("COMPANY", "s3"),
            span("PLEDGE", "s4", mood="stern", kind="vow"),
        ),
        (
            Relation("giver", "s2", "s1"),
            Relation("taker", "s4", "s3"),
            Relation("giver", "s4", "s1"),
        ),
        provenance={
            "s1": "a1",
            "s2": "a1",
            "s3": "a2",
            "s4": "a2",
            "s4.type": "decided x",
            "giver:s2:s1": "a1",
            "taker:s4:s3": "a2",
        },
    )
    assert new.migrate(before) == Annotation(
        "d1",
        "gold",
        (span("PARTY", "s1"), span("PLEDGE", "s2", mood="glad", kind="vow")),
        (Relation("actor", "s2", "s1"),),
        provenance={"s1": "a1", "s2": "a1", "s2.kind": "decided x", "actor:s2:s1": "a2"},
    )


def test_a_label_given_up_takes_spans_and_their_relations_along(new):
    """No relation is left that names no span."""
    before = Annotation(
        "d1",
        spans=(span("REMARK"), span("PLEDGE", "s2"), span("PARTY", "s3")),
        relations=(Relation("actor", "s2", "s3"), Relation("actor", "s1", "s3")),
        provenance={"s1": "a1", "s2": "a1", "s1.mood": "a1", "actor:s1:s3": "a1"},
    )
    assert new.migrate(before) == Annotation(
        "d1",
        spans=(span("PLEDGE", "s2"), span("PARTY", "s3")),
        relations=(Relation("actor", "s2", "s3"),),
        provenance={"s2": "a1"},
    )


def test_a_relation_given_up_is_gone_and_its_spans_stay(new):
    """Only the link is given up."""
    spans = (span("PLEDGE"), span("PARTY", "s2"))
    before = Annotation("d1", spans=spans, relations=(Relation("aside", "s1", "s2"),))
    assert new.migrate(before) == Annotation("d1", spans=spans)


def test_spans_that_were_doubled_before_stay_doubled(new):
    """Only what a migration makes equal is made one."""
    spans = (span("DATE"), span("DATE", "s2"), span("PERSON", "s3"))
    after = (span("DATE"), span("DATE", "s2"), span("PARTY", "s3"))
    assert new.migrate(Annotation("d1", spans=spans)).spans == after


def test_spans_without_ids_are_merged_as_well():
    """Predictions of other programs have none."""
    merging = Migration("1.0", labels={"A": "B"})
    found = merging.apply(
        Annotation("d1", spans=(span("A", ""), span("B", ""), span("A", "", 7, 9)))
    )
    assert found.spans == (span("B", ""), span("B", "", 7, 9))


def test_a_relation_that_names_no_span_is_left_for_the_check():
    """A dangling relation is a fault of its own, which no migration hides."""
    dangling = (Relation("r", "", "s1"), Relation("r", "s9", "s1"))
    read = Migration("1.0", labels={"A": "B"}).apply(Annotation("d1", "", (span("A"),), dangling))
    assert (read.spans, read.relations) == ((span("B"),), dangling)


def test_a_choice_becomes_a_flag():
    """`true` is how a flag is written, and dropped values leave nothing behind."""
    migration = Migration(
        "1.0", values={"tone": {"hard": "true"}}, drop=Drop(values={"tone": ("soft",)})
    )
    spans = (span("A", tone="hard"), span("A", "s2", tone="soft"))
    found = migration.apply(Annotation("d1", spans=spans))
    assert found.spans == (span("A", tone=True), span("A", "s2"))


def test_a_split_may_ask_a_flag():
    """The value of a flag is written `true`."""
    migration = Migration("1.0", split={"A": Split("harsh", {"true": "B"}, "C")})
    spans = (span("A", harsh=True), span("A", "s2"))
    found = migration.apply(Annotation("d1", spans=spans))
    assert found.spans == (span("B", harsh=True), span("C", "s2"))


# ── laws ────────────────────────────────────────────────────────────────────────────────────────

ANSWERS = {
    "type": st.sampled_from(["vow", "threat", "plan"]),
    "harsh": st.just(value=True),
    "mood": st.sampled_from(["glad", "grim"]),
}
SOURCE = {"source": st.text("abc ", max_size=3)}
ASKED = {"PROMISE": ANSWERS, "COMPANY": SOURCE, "PERSON": SOURCE}


@st.composite
def annotations(draw):
    """Valid readings of the first version: few places, so that many spans meet."""
    spans = []
    for number in range(draw(st.integers(0, 6))):
        label = draw(st.sampled_from(["PROMISE", "REMARK", "COMPANY", "PERSON", "DATE"]))
        start = draw(st.integers(0, 2))
        said = draw(st.fixed_dictionaries({}, optional=ASKED.get(label, {})))
        spans.append(Span(start, start + draw(st.integers(1, 2)), label, f"s{number}", "", said))
    ends = {
        "giver": ({"PROMISE"}, {"COMPANY", "PERSON"}),
        "taker": ({"PROMISE"}, {"COMPANY", "PERSON"}),
        "aside": ({"REMARK"}, {"PROMISE"}),
    }
    possible = [
        Relation(name, head.id, tail.id)
        for name, (heads, tails) in ends.items()
        for head in spans
        for tail in spans
        if head.label in heads and tail.label in tails
    ]
    chosen = draw(st.lists(st.sampled_from(possible), unique=True)) if possible else []
    return Annotation("d1", "a1", tuple(spans), tuple(chosen))


@given(annotations())
def test_a_valid_annotation_is_valid_under_the_new_schema(old, new, annotation):
    """Where the migrations cover every change, no reading of the first version is refused."""
    document = Document("d1", "A text of some length.")
    assert list(old.faults(annotation, document, place="old")) == []
    assert list(new.faults(new.migrate(annotation), document, place="new")) == []


@given(annotations())
def test_reading_again_changes_nothing(new, annotation):
    """What was read once is of this version."""
    read = new.migrate(annotation)
    assert new.migrate(read) is read


@given(annotations())
def test_a_merge_loses_no_relation(new, annotation):
    """Every link of spans that stay is there between the spans that took them in, under its new name."""
    labels = {"COMPANY": {"PARTY"}, "PERSON": {"PARTY"}, "PROMISE": {"PLEDGE", "MENACE"}}
    spans = {old.id: old for old in annotation.spans}
    found = {
        (kind, head[:2], tail[:2], tail[2]) for kind, head, tail in new.migrate(annotation).links()
    }
    expected = {
        ("actor", spans[r.head].key[:2], spans[r.tail].key[:2], *labels[spans[r.tail].label])
        for r in annotation.relations
        if r.type != "aside"
    }
    assert found == expected


# ── faults of the map ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("old_text", "new_text", "expected"),
    [
        pytest.param(
            "PERSON: PARTY}",
            "PERSON: PARTIE}",
            "21: label 'PERSON' becomes an unknown 'PARTIE'; use one of DATE, MENACE, PARTY, PLEDGE",
            id="unknown label",
        ),
        pytest.param(
            "COMPANY: ORG,",
            "DATE: PARTY, COMPANY: ORG,",
            "21: label 'DATE' is one of this version; lead away only from names that are gone",
            id="label that is there",
        ),
        pytest.param(
            "labels: {ORG: PARTY}",
            "labels: {ORG: PARTY, PERSON: PARTY}",
            "37: label 'PERSON' is led away from twice; keep one of the two",
            id="label twice",
        ),
        pytest.param(
            "labels: [REMARK]",
            "labels: [REMARK, PROMISE]",
            "33: label 'PROMISE' is led away from twice; keep one of the two",
            id="split and given up",
        ),
        pytest.param(
            "labels: {ORG: PARTY}",
            "labels: {ORG: PERSON}",
            "37: label 'ORG' becomes an unknown 'PERSON'; use one of DATE, MENACE, PARTY, PLEDGE",
            id="back to an older name",
        ),
        pytest.param(
            "values: {threat: MENACE}",
            "values: {threat: MENACES}",
            "23: label 'PROMISE' becomes an unknown 'MENACES';"
            " use one of DATE, MENACE, PARTY, PLEDGE",
            id="unknown label of a split",
        ),
        pytest.param(
            "attribute: type",
            "attribute: typo",
            "24: label 'PROMISE' is split by an unknown attribute 'typo';"
            " use one of harsh, kind, mood, source, tone, type",
            id="unknown attribute of a split",
        ),
        pytest.param(
            "attribute: type\n        values: {threat: MENACE}",
            "attribute: mood\n        values: {gloomy: MENACE}",
            "25: label 'PROMISE' is split by an unknown mood='gloomy'; use one of: glad, stern",
            id="unknown value of a split",
        ),
        pytest.param(
            "        otherwise: PLEDGE\n",
            "",
            "23: migrations.0.split.PROMISE.otherwise: Field required; add it",
            id="split without otherwise",
        ),
        pytest.param(
            "{type: kind,",
            "{type: kinds,",
            "27: attribute 'type' becomes an unknown 'kinds'; use one of kind, mood, tone",
            id="unknown attribute",
        ),
        pytest.param(
            "attributes: [source,",
            "attributes: [source, tone,",
            "34: attribute 'tone' is one of this version; lead away only from names that are gone",
            id="attribute that is there",
        ),
        pytest.param(
            "MENACE.mood",
            "PLEDGE.mood",
            "34: 'PLEDGE.mood' is asked for in this version;"
            " take PLEDGE out of the labels of mood, or keep the answers",
            id="attribute that the label is asked for",
        ),
        pytest.param(
            "MENACE.mood",
            "MENACE.moods",
            "34: unknown label or attribute: 'MENACE.moods';"
            " write LABEL.attribute, both by their new names",
            id="unknown attribute of one label",
        ),
        pytest.param(
            "mood: {grim: stern}",
            "moods: {grim: stern}",
            "40: value 'grim' of an unknown attribute 'moods'; use one of kind, mood, tone",
            id="value of an unknown attribute",
        ),
        pytest.param(
            "mood: {grim: stern}",
            "mood: {grim: sterner}",
            "40: mood='grim' becomes an unknown 'sterner'; use one of: glad, stern",
            id="unknown value",
        ),
        pytest.param(
            "mood: {grim: stern}",
            "mood: {glad: stern}",
            "40: mood='glad' is a value of this version; lead away only from values that are gone",
            id="value that is there",
        ),
        pytest.param(
            "mood: {grim: stern}",
            "mood: {grim: stern}\n    drop: {values: {mood: [grim]}}",
            "41: mood='grim' is led away from twice; keep one of the two",
            id="value twice",
        ),
        pytest.param(
            "relations: {agent: actor}",
            "relations: {agent: actress}",
            "38: relation 'agent' becomes an unknown 'actress'; use one of actor",
            id="unknown relation",
        ),
        pytest.param(
            "relations: [aside]",
            "relations: [aside, actor]",
            "35: relation 'actor' is one of this version; lead away only from names that are gone",
            id="relation that is there",
        ),
        pytest.param(
            '"1.1"',
            '"2.0"',
            "36: a migration from '2.0' to '2.0'; lead away from older versions only",
            id="from this version",
        ),
        pytest.param(
            '"1.1"',
            '"1.0"',
            "36: a migration from '1.0' after one from '1.0'; put each version once, older first",
            id="from one version twice",
        ),
        pytest.param(
            '"1.1"',
            "spring",
            "36: version 'spring' does not tell what is older;"
            " use dotted numbers in a schema with migrations",
            id="from no number",
        ),
        pytest.param(
            '"2.0"',
            "spring",
            "2: version 'spring' does not tell what is older;"
            " use dotted numbers in a schema with migrations",
            id="to no number",
        ),
        pytest.param(
            'from: "1.1"\n    labels',
            'from: "1.05"\n  - from: "1.1"\n    labels',
            "36: the migration from '1.05' says nothing; say what became of its names, or drop it",
            id="says nothing",
        ),
        pytest.param(
            '- from: "1.1"\n    labels',
            "- labels",
            "36: migrations.1.from: Field required; add it",
            id="from nowhere",
        ),
        pytest.param(
            "labels: {ORG: PARTY}",
            "label: {ORG: PARTY}",
            "37: migrations.1.label: unknown key; remove it or mend its spelling",
            id="unknown key",
        ),
    ],
)
def test_a_wrong_map_is_refused_with_its_line(tmp_path, old_text, new_text, expected):
    """Sources are gone, targets are there, nothing is led away from twice, older comes first."""
    assert NEW.count(old_text) == 1
    with pytest.raises(InvalidDataError) as caught:
        load(NEW.replace(old_text, new_text), tmp_path)
    assert f"{tmp_path}/deals.yaml:{expected}" in list(map(str, caught.value.faults))


def test_the_map_is_part_of_the_schema(new):
    """It travels with the file: the fingerprint changes with it, and equality heeds it."""
    assert [migration.from_ for migration in new.migrations] == ["1.0", "1.1"]
    assert replace(new, migrations=()) != new
    assert hash(new) == hash(replace(new, migrations=()))


@pytest.mark.parametrize("bad", ["a--b", "", "a\nb", "x" * 65, "a b "])
@pytest.mark.parametrize("key", ["name", "version"])
def test_name_and_version_fit_into_a_comment(tmp_path, key, bad):
    """Both stand in a comment of the labelling page."""
    text = NEW.replace(
        "name: deals" if key == "name" else 'version: "2.0"', f"{key}: {json.dumps(bad)}"
    )
    with pytest.raises(InvalidDataError) as caught:
        load(text, tmp_path)
    assert str(caught.value.faults[0]).startswith(f"{tmp_path}/deals.yaml:")
    assert f"{key} {bad!r}" in str(caught.value)


# ── where annotations are read ──────────────────────────────────────────────────────────────────

TEXT = "Anna of Brix vowed to pay."
DOCUMENT = Document("d1", TEXT)
BEFORE = Annotation(
    "d1",
    "a1",
    (
        Span(13, 25, "PROMISE", "s1", attributes={"type": "threat", "harsh": True, "mood": "grim"}),
        Span(0, 4, "PERSON", "s2", attributes={"source": "wire"}),
        Span(0, 4, "COMPANY", "s3"),
    ),
    (Relation("giver", "s1", "s2"), Relation("taker", "s1", "s3")),
)
AFTER = Annotation(
    "d1",
    "a1",
    (
        Span(13, 25, "MENACE", "s1", attributes={"kind": "plan", "tone": "hard"}),
        Span(0, 4, "PARTY", "s2"),
    ),
    (Relation("actor", "s1", "s2"),),
)


@pytest.fixture
def corpus(tmp_path):
    """A corpus under the new schema, with readings and gold of the first version."""
    load(NEW, tmp_path)
    files.write_text(tmp_path / "corpus.yaml", "name: deals\nschema: deals.yaml\n")
    files.write_jsonl(tmp_path / "documents.jsonl", [DOCUMENT])
    files.write_jsonl(tmp_path / "annotators" / "a1.jsonl", [BEFORE])
    files.write_jsonl(tmp_path / "gold.jsonl", [replace(BEFORE, annotator="gold")])
    return Corpus.load(tmp_path)


def test_readings_and_gold_are_migrated_on_read(corpus):
    """The files stay as they were written; only saving writes new names."""
    held = {path: path.read_bytes() for path in corpus.root.rglob("*") if path.is_file()}
    assert corpus.annotations("a1") == (AFTER,)
    assert corpus.annotations("gold") == (replace(AFTER, annotator="gold"),)
    assert corpus.as_written("a1") == (BEFORE,)
    assert {path: path.read_bytes() for path in corpus.root.rglob("*") if path.is_file()} == held
    assert corpus.save("a1", corpus.annotations("a1"))
    assert [a.spans[0].label for a in corpus.as_written("a1")] == ["PARTY"]


def test_what_no_migration_covers_is_refused_on_read(corpus):
    """An unknown label is a fault, under new names or old."""
    odd = replace(BEFORE, spans=(span("ODD", "s1"), *BEFORE.spans[1:]))
    files.write_jsonl(corpus.path_of("a1"), [odd])
    with pytest.raises(InvalidDataError) as caught:
        corpus.annotations("a1")
    assert [fault.rule for fault in caught.value.faults] == ["unknown-label", "wrong-relation"]


def test_predictions_are_migrated_on_read(corpus, tmp_path):
    """A model that learnt older names is scored under this version."""
    path = tmp_path / "predicted.jsonl"
    bare = {"document": "d1", "spans": [{"start": 0, "end": 4, "label": "COMPANY"}]}
    files.write_jsonl(path, [bare])
    read = read_predictions(path, corpus.schema, corpus.texts)
    assert [annotation.spans for annotation in read] == [(Span(0, 4, "PARTY"),)]


def test_a_page_of_the_first_version_is_pulled_under_this_one(old, new):
    """Regions, answers of controls that are gone, and relations are read in new names."""
    result = to_result(BEFORE, old, DOCUMENT)
    found, faults = from_result(result, new, DOCUMENT, place="task")
    assert (found, faults) == (replace(AFTER, annotator=""), [])


@given(annotations())
def test_server_and_file_are_read_alike(old, new, annotation):
    """What comes through a page of the first version is what a file of it holds."""
    unique = tuple({s.key: s for s in reversed(annotation.spans)}.values())
    kept = {span.id for span in unique}
    relations = tuple(r for r in annotation.relations if {r.head, r.tail} <= kept)
    held = replace(annotation, annotator="", spans=unique, relations=relations)
    said = [
        replace(s, attributes={k: v for k, v in s.attributes.items() if v != ""})
        for s in held.spans
    ]
    held = replace(held, spans=tuple(said))
    document = Document("d1", "A text of some length.")
    found, faults = from_result(to_result(held, old, document), new, document, place="task")
    assert faults == []
    assert (found.links(), {s.key: dict(s.attributes) for s in found.spans}) == (
        new.migrate(held).links(),
        {s.key: dict(s.attributes) for s in new.migrate(held).spans},
    )


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        pytest.param("choices", {"choices": ["harsh"]}, "hard", id="flag"),
        pytest.param("choices", {"choices": ["soft"]}, "soft", id="choice of today"),
        pytest.param("textarea", {"text": ["softly"]}, "soft", id="text"),
    ],
)
def test_an_attribute_that_changed_its_kind_is_read_as_it_was(kind, value, expected):
    """A field of one name was a flag or text once and is a choice now."""
    schema = Schema(
        "deals",
        "2.0",
        "en",
        (Layer("only", (Label("A", "a", "#000000"),)),),
        (Attribute("harsh", ("A",), values=(Choice("hard"), Choice("soft"))),),
        migrations=(Migration("1.0", values={"harsh": {"true": "hard", "softly": "soft"}}),),
    )
    place = {"start": 0, "end": 4}
    names = {"id": "s1", "to_name": "text"}
    result = [
        {**names, "from_name": "label", "type": "labels", "value": {**place, "labels": ["A"]}},
        {**names, "from_name": "harsh", "type": kind, "value": {**place, **value}},
    ]
    found, faults = from_result(result, schema, DOCUMENT, place="task")
    assert (found.spans, faults) == ((Span(0, 4, "A", "s1", attributes={"harsh": expected}),), [])


def test_controls_nobody_knows_are_refused(new):
    """A control that neither this version nor an older one has is a fault."""
    item = {"id": "s1", "from_name": "odd", "type": "choices", "value": {"choices": ["x"]}}
    _, faults = from_result([item], new, DOCUMENT, place="task")
    assert [fault.rule for fault in faults] == ["unknown-control"]
