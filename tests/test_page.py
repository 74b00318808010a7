"""A labelling page is read back as what it holds, and compared with the schema it should show."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit import cli, files, studio
from toolkit.errors import UnusableAnswerError
from toolkit.schema import Attribute, Choice, Label, Layer, RelationType, Schema, Shape, shape_of
from toolkit.spans import Annotation, Document, Span
from toolkit.studio import find
from toolkit.studio.page import drift, page, read_page

ROOT = Path(__file__).parent.parent
COMMITMENTS = Schema.load(ROOT / "schemas" / "commitments.yaml")
NAMES = st.from_regex(r"[A-Za-zÄéж][A-Za-z0-9_ß]{0,9}", fullmatch=True)
VALUES = st.from_regex(r"[^\x00-\x1f<>&\"'\ud800-\udfff\ufffe\uffff]{1,12}", fullmatch=True)
WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"))


@st.composite
def schemas(draw):
    """Valid schemas of any shape, with hostile words where words are free."""
    names = draw(st.lists(NAMES, min_size=1, max_size=5, unique=True))
    labels = [Label(name, draw(WORDS), "#123456", draw(WORDS)) for name in names]
    cut = draw(st.integers(0, len(labels)))
    layers = [Layer(f"l{n}", tuple(part)) for n, part in enumerate((labels[:cut], labels[cut:]))]
    asked = st.lists(st.sampled_from(names), unique=True, max_size=3).map(tuple)
    attributes = [
        Attribute(
            name,
            draw(asked),
            draw(WORDS),
            () if flag else tuple(map(Choice, draw(st.lists(VALUES, unique=True, max_size=3)))),
            flag,
        )
        for name, flag in draw(
            st.dictionaries(NAMES.filter(lambda n: n != "label"), st.booleans(), max_size=4)
        ).items()
    ]
    relations = [
        RelationType(name, draw(asked), draw(asked))
        for name in draw(st.lists(NAMES, unique=True, max_size=3))
    ]
    return Schema(
        draw(st.from_regex(r"\w{1,9}([ .-]\w{1,9}){0,2}", fullmatch=True)),
        draw(st.from_regex(r"\w{1,9}([.+-]\w{1,9}){0,2}", fullmatch=True)),
        "en",
        tuple(layer for layer in layers if layer.labels),
        tuple(attributes),
        tuple(relations),
        sha256=draw(st.sampled_from(["", "0123456789abcdef" * 4])),
    )


@given(schemas())
def test_a_page_read_back_has_the_shape_of_its_schema(schema):
    """Names, layers, values, kinds and types survive, whatever the words around them."""
    assert read_page(page(schema)) == shape_of(schema)
    assert drift(page(schema), schema).state == "same"


def test_a_page_of_a_stranger_is_read():
    """Without our comment there is no name; without our layers, none; controls are what they are."""
    config = """<?xml version="1.0"?>
    <!-- toolkit: no -->
    <View>
      <Labels name="label" toName="text"><Label value="PER"/><Label value="A &amp; B"/></Labels>
      <Choices name="tone" toName="text" perRegion="true" whenLabelValue="PER,A &amp; B">
        <Choice value="glad"/><View><Choice value="grim"/></View></Choices>
      <TextArea name="note" toName="text"/>
      <Relations><Relation value="knows"/></Relations>
      <Text name="text" value="$text"/>
    </View>"""
    assert read_page(config) == Shape(
        "",
        "",
        "",
        {"PER": "", "A & B": ""},
        (
            Attribute("tone", ("PER", "A & B"), values=(Choice("glad"), Choice("grim"))),
            Attribute("note", ()),
        ),
        ("knows",),
    )


BOMB = '<!DOCTYPE View [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><View>&b;</View>'
LABELS = '<Labels name="label"><Label value="A"/></Labels>'


@pytest.mark.parametrize(
    ("config", "what"),
    [
        pytest.param(BOMB, "it has a document type, which may hide entities", id="entities"),
        pytest.param(
            '<!DOCTYPE View SYSTEM "file:///etc/passwd"><View/>',
            "it has a document type, which may hide entities",
            id="outside document type",
        ),
        pytest.param(
            "<View>&b;</View>", "it is not XML: undefined entity: line 1, column 6", id="entity"
        ),
        pytest.param("", "it is not XML: no element found: line 1, column 0", id="empty"),
        pytest.param("<View>", "it is not XML: no element found: line 1, column 6", id="torn"),
        pytest.param("<a>" * 100, "it is nested too deep", id="deep"),
        pytest.param(
            " " * (1 << 20) + "<a/>", "it is larger than 1,048,576 characters", id="large"
        ),
        pytest.param(
            "<View/>", "0 Labels controls are called 'label', not one", id="no labels control"
        ),
        pytest.param(
            f"<View>{LABELS}{LABELS}</View>",
            "2 Labels controls are called 'label', not one",
            id="two labels controls",
        ),
        pytest.param(
            '<Labels name="label"><Label/></Labels>', "a Label without value", id="nameless label"
        ),
        pytest.param(
            f"<View>{LABELS}<TextArea/></View>", "a TextArea without name", id="nameless control"
        ),
        pytest.param(
            f'<View>{LABELS}<Choices name="tone"/></View>',
            "the Choices tone have no Choice",
            id="choices without a choice",
        ),
        pytest.param(
            f'<View>{LABELS}<TextArea name="n"/><TextArea name="n"/></View>',
            "two controls have the same name",
            id="two of one name",
        ),
    ],
)
def test_what_cannot_be_read_is_named(config, what):
    """A hostile or broken page is an unusable answer; it is never expanded."""
    with pytest.raises(UnusableAnswerError) as caught:
        read_page(config)
    whole = f"labelling page: {what}; push the schema again or mend the page"
    assert str(caught.value) == whole
    assert drift(config, COMMITMENTS).differences == (whole,)


def test_a_lone_surrogate_is_no_xml():
    """It cannot even be encoded."""
    with pytest.raises(UnusableAnswerError, match="it is not XML: 'utf-8' codec can't encode"):
        read_page("<View>\ud800</View>")


# ── drift ───────────────────────────────────────────────────────────────────────────────────────

NEWER = replace(COMMITMENTS, version="1.2", sha256="f" * 64)
SHIPPED = page(COMMITMENTS)


def unsigned(config):
    """The page as an older toolkit wrote it: without a fingerprint of its own."""
    head, _, rest = config.partition(" -->")
    return head.rpartition(" ")[0] + " -->" + rest


@pytest.mark.parametrize(
    ("config", "schema", "state", "differences"),
    [
        pytest.param(SHIPPED, COMMITMENTS, "same", (), id="same"),
        pytest.param(
            SHIPPED, NEWER, "older", ("only in looks, order, words or hotkeys",), id="older schema"
        ),
        pytest.param(
            SHIPPED,
            replace(NEWER, relations=COMMITMENTS.relations[1:]),
            "older",
            ("relation promisor is on the page only",),
            id="older schema with another relation",
        ),
        pytest.param(
            unsigned(SHIPPED),
            NEWER,
            "older",
            ("only in looks, order, words or hotkeys",),
            id="older schema and toolkit",
        ),
        pytest.param(
            unsigned(SHIPPED),
            COMMITMENTS,
            "edited",
            ("only in looks, order, words or hotkeys",),
            id="without its own fingerprint the schema's decides",
        ),
        pytest.param(
            SHIPPED.replace('value="DATE"', 'value="TIME"'),
            COMMITMENTS,
            "edited",
            ("label TIME is on the page only", "label DATE is not on the page"),
            id="label renamed",
        ),
        pytest.param(
            SHIPPED.replace('value="DATE"', 'value="TIME"'),
            NEWER,
            "edited",
            ("label TIME is on the page only", "label DATE is not on the page"),
            id="older schema, and a label renamed",
        ),
        pytest.param(
            SHIPPED.replace("#B45309", "#000000"),
            COMMITMENTS,
            "edited",
            ("only in looks, order, words or hotkeys",),
            id="colour",
        ),
        pytest.param(
            SHIPPED.replace('layer="mentions"', 'layer="commitments"', 1),
            COMMITMENTS,
            "edited",
            ("label PARTY is in the layer commitments, not in mentions",),
            id="layer",
        ),
        pytest.param(
            SHIPPED.replace('<Choice value="vague" hotkey="v" />', '<Choice value="blurred" />'),
            COMMITMENTS,
            "edited",
            (
                "attribute specificity: value blurred is on the page only",
                "attribute specificity: value vague is not on the page",
            ),
            id="value",
        ),
        pytest.param(
            SHIPPED.replace('choice="multiple"', 'choice="single"'),
            COMMITMENTS,
            "edited",
            (
                "attribute adverse is a choice, not a flag",
                "attribute adverse: value adverse is on the page only",
            ),
            id="kind",
        ),
        pytest.param(
            SHIPPED.replace('whenLabelValue="COMMITMENT"', 'whenLabelValue="PARTY"', 1),
            COMMITMENTS,
            "edited",
            (
                "attribute kind: label PARTY is on the page only",
                "attribute kind: label COMMITMENT is not on the page",
            ),
            id="label of an attribute",
        ),
        pytest.param(
            f"<View>{LABELS}</View>",
            replace(COMMITMENTS, attributes=(), relations=(), layers=COMMITMENTS.layers[:1]),
            "foreign",
            ("label A is on the page only", "label COMMITMENT is not on the page"),
            id="foreign",
        ),
    ],
)
def test_drift_says_whose_page_it_is_and_what_differs(config, schema, state, differences):
    """Ours, ours of another version, ours with a change of somebody's, or nobody's."""
    found = drift(config, schema)
    assert (found.state, found.differences) == (state, differences)
    assert found.shape == read_page(config)


# ── toolkit check --against-server ──────────────────────────────────────────────────────────────

TEXT = "Paris will pay Rome."
READING = Annotation("d1", "a1", (Span(0, 5, "PARTY", "s1"),))


@pytest.fixture
def pushed(site, tmp_path, monkeypatch):
    """A corpus with one reading, pushed to the server under its schema."""
    monkeypatch.setenv("LABEL_STUDIO_URL", site.server.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", site.server.api_key)
    name = site.corpus()
    files.write_text(tmp_path / "corpus.yaml", f"name: {name}\nschema: deals.yaml\n")
    text = (ROOT / "schemas" / "commitments.yaml").read_text()
    files.write_text(tmp_path / "deals.yaml", text.replace("guideline: commitments.md\n", ""))
    files.write_jsonl(tmp_path / "documents.jsonl", [Document("d1", TEXT)])
    files.write_jsonl(tmp_path / "annotators" / "a1.jsonl", [READING])
    schema = Schema.load(tmp_path / "deals.yaml")
    made = studio.push(site.admin(), name, "main", schema, [Document("d1", TEXT)])
    return tmp_path, name, made


@pytest.fixture
def check(pushed, capsys):
    """Check the corpus against the server: exit code, what was printed, what was said."""

    def told(*words):
        code = cli.run(["check", str(pushed[0]), "--against-server", *words])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return told


def revise(root, *edits):
    """Change the corpus's schema."""
    path = root / "deals.yaml"
    text = path.read_text()
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)


def test_the_page_that_was_pushed_is_the_same(pushed, check):
    """Nothing to say: exit 0."""
    root, name, made = pushed
    code, out, err = check("--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["server"] == {
        str(root): [
            {
                "project": f"{name} · main",
                "url": made.url,
                "state": "same",
                "version": "1.1",
                "differences": [],
                "changes": [],
            }
        ]
    }
    assert check()[1].splitlines()[1:] == [f"{root}: {name} · main: same"]


def test_a_breaking_change_is_told_before_it_is_pushed(pushed, check):
    """The label's spans are counted, the file's own faults are listed, and the exit code is 3."""
    root, name, made = pushed
    revise(root, ('"1.1"', '"1.2"'), ("PARTY", "ACTOR"))
    code, out, err = check()
    assert code == 3
    assert out.splitlines()[1:] == [
        f"{root}: {name} · main: older",
        "  page: label PARTY is on the page only",
        "  page: label ACTOR is not on the page",
        "  breaking: label removed: PARTY, 1 span",
        "  safe: label added: ACTOR",
    ]
    assert err.splitlines() == [
        (
            f"error: {root}/annotators/a1.jsonl:1: d1: PARTY 0–5 has an unknown label;"
            " use one of COMMITMENT, ACTOR, AMOUNT, DATE"
        ),
        f"error: {made.url}: the labelling page is older; push the schema: toolkit push",
    ]


def test_what_a_migration_covers_is_safe(pushed, check):
    """The page is still an older one, but nothing of the annotations is lost."""
    root, _, made = pushed
    migration = '\nmigrations:\n  - from: "1.1"\n    labels: {PARTY: ACTOR}\n'
    revise(root, ('"1.1"', '"1.2"'), ("PARTY", "ACTOR"))
    (root / "deals.yaml").write_text((root / "deals.yaml").read_text() + migration)
    code, out, err = check("--json")
    (told,) = json.loads(out)["server"][str(root)]
    assert [change["text"] for change in told["changes"]] == [
        "safe: label migrated: PARTY → ACTOR, 1 span",
        "safe: label added: ACTOR",
    ]
    assert told["changes"][0] == {
        "severity": "safe",
        "what": "label migrated: PARTY → ACTOR",
        "affected": 1,
        "unit": "span",
        "text": "safe: label migrated: PARTY → ACTOR, 1 span",
    }
    line = f"error: {made.url}: the labelling page is older; push the schema: toolkit push\n"
    assert (code, err) == (3, line)


def test_what_was_drawn_on_the_older_page_is_pulled_under_the_new_schema(site, pushed):
    """Nobody has to push, or draw anything again, before a pull reads new names."""
    root, name, _ = pushed
    texts = {"d1": Document("d1", TEXT)}
    studio.submit(site.person(), name, "main", Schema.load(root / "deals.yaml"), texts, [READING])
    revise(root, ('"1.1"', '"1.2"'), ("PARTY", "ACTOR"))
    migration = '\nmigrations:\n  - from: "1.1"\n    labels: {PARTY: ACTOR}\n'
    (root / "deals.yaml").write_text((root / "deals.yaml").read_text() + migration)
    schema = Schema.load(root / "deals.yaml")
    readings, pulled = site.take(site.admin(), name, schema, texts, root)
    assert pulled.quarantine == ()
    assert [found.spans for found in readings] == [(Span(0, 5, "ACTOR", "s1", TEXT[:5]),)]


def test_a_page_somebody_edited_is_told(site, pushed, check):
    """An edit in Label Studio's own settings is never taken for ours."""
    root, name, made = pushed
    admin = site.admin()
    (project,) = find(admin, name)
    admin.update_project(project, project.config.replace('value="DATE"', 'value="TIME"'), "")
    code, out, err = check()
    assert code == 3
    assert out.splitlines()[1:] == [
        f"{root}: {name} · main: edited",
        "  page: label TIME is on the page only",
        "  page: label DATE is not on the page",
        "  safe: label removed: TIME",
        "  safe: label added: DATE",
    ]
    cure = "take the change into the schema, or undo it with: toolkit push --overwrite-page"
    assert err == f"error: {made.url}: the labelling page is edited; {cure}\n"


def test_a_corpus_nobody_pushed_has_no_project(pushed, check):
    """That is said, and is no fault."""
    root, _, _ = pushed
    files.write_text(root / "corpus.yaml", "name: unheard-of\nschema: deals.yaml\n")
    code, out, err = check()
    assert (code, out.splitlines()[1:], err) == (0, [f"{root}: no project on the server"], "")
