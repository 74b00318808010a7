"""What the demo's page promises: complete text, no foreign code, honest numbers."""

import random
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

import toolkit
from toolkit.adjudication import Agreement, Kappa, agreement
from toolkit.cli.terminal import figure
from toolkit.report import Step, demo_page
from toolkit.report.colours import contrast, rgb
from toolkit.schema import Attribute, Choice, Label, Layer, RelationType, Schema
from toolkit.scoring import Counts, score
from toolkit.spans import Annotation, Document, Relation, Span, Zone

HOSTILE = "<script>alert('x')</script>\"&amp; \u202eevil\u2066 {{ 7 * 7 }} --></style><img src=x onerror=y>"
VOID = {"meta", "col", "br", "hr", "img", "link", "input"}

SCHEMA = Schema(
    name="deals",
    version="1",
    language="en",
    layers=(
        Layer("promises", (Label("PROMISE", "what is promised", "#B45309"),)),
        Layer(
            "mentions",
            (Label("PARTY", "who", "#1D4ED8"), Label("DATE", "when", "#FFFF00")),
        ),
    ),
    attributes=(
        Attribute("kind", ("PROMISE",), values=(Choice("pledge"), Choice("plan"))),
        Attribute("adverse", ("PROMISE",), flag=True),
        Attribute("registry", ("PROMISE",)),
    ),
    relations=(RelationType("promisor", ("PROMISE",), ("PARTY",)),),
)
TEXT = "🚢 Paris pact\n\nShare  this\nParis will pay Rome by May.\n\nAll rights reserved.\n"
DOCUMENT = Document(
    "d1",
    TEXT,
    source="wire",
    zones=(Zone(0, 12, "headline"), Zone(14, 25, "boilerplate"), Zone(26, 53, "body")),
)


def at(surface, label, *, nth=0, **rest):
    """The span over the nth occurrence of a surface."""
    start = [found.start() for found in re.finditer(re.escape(surface), TEXT)][nth]
    return Span(start, start + len(surface), label, text=surface, **rest)


PROMISE = at(
    "Paris will pay Rome", "PROMISE", id="s1", attributes={"kind": "pledge", "adverse": True}
)
GOLD = Annotation(
    "d1",
    "gold",
    (PROMISE, at("Paris", "PARTY", nth=1, id="s2"), at("Rome", "PARTY"), at("May", "DATE")),
    (Relation("promisor", "s1", "s2"),),
)
PREDICTED = Annotation(
    "d1", "model", (replace(PROMISE, attributes={}), at("Paris", "PARTY"), at("Rome", "PARTY"))
)


class Element:
    """One element of a parsed page."""

    def __init__(self, tag, attributes, parent):
        self.tag, self.attributes, self.parent = tag, dict(attributes), parent
        self.content = []

    def walk(self):
        """This element and all below it, in order."""
        yield self
        for child in self.content:
            if isinstance(child, Element):
                yield from child.walk()

    def find(self, tag="", css=""):
        """All elements below with this tag and this class."""
        for element in self.walk():
            classes = (element.attributes.get("class") or "").split()
            if tag in {"", element.tag} and (not css or css in classes):
                yield element

    @property
    def text(self):
        """What is left when the tags are taken away."""
        return "".join(c.text if isinstance(c, Element) else c for c in self.content)


class Page(HTMLParser):
    """A page as a tree; elements closed out of turn fail at once."""

    def __init__(self, source):
        super().__init__()
        self.root = self.at = Element("", (), None)
        self.feed(source)
        self.close()
        assert self.at is self.root

    def handle_starttag(self, tag, attrs):
        """Open an element."""
        assert len(attrs) == len(dict(attrs))
        element = Element(tag, attrs, self.at)
        self.at.content.append(element)
        if tag not in VOID:
            self.at = element

    def handle_endtag(self, tag):
        """Close the element that is open."""
        assert tag == self.at.tag
        self.at = self.at.parent

    def handle_data(self, data):
        """Keep the text."""
        self.at.content.append(data)


def source(**changes):
    """The source of a small page, with some arguments changed."""
    gold = changes.get("gold", {"d1": GOLD})
    predicted = changes.get("predicted", {"d1": PREDICTED})
    arguments = {
        "title": "A run",
        "intro": "First.\n\nSecond.",
        "steps": [Step("Push", "toolkit push x --annotator a1", "15 created", 1.25)],
        "agreements": agreement({"a1": [GOLD], "a2": [PREDICTED]}, SCHEMA),
        "score": score([GOLD], [PREDICTED], SCHEMA),
        "schema": SCHEMA,
        "documents": [DOCUMENT],
        "gold": gold,
        "predicted": predicted,
        "facts": {"seed": "7"},
        "notes": ["Small."],
    }
    return demo_page(**(arguments | changes))


def page(**changes):
    """The page parsed."""
    return Page(source(**changes)).root


def columns(root):
    """The text elements of gold and predicted, document by document."""
    return list(root.find("div", "text"))


def marks(column):
    """(surface, classes) of every marked node."""
    return [(mark.text, mark.attributes["class"]) for mark in column.find("mark")]


def cells(root, row):
    """The cells of every table row whose header reads so."""
    rows = [[c.text.strip() for c in r.content if isinstance(c, Element)] for r in root.find("tr")]
    return [found[1:] for found in rows if found and found[0] == row]


def random_annotation(rng, text, labels):
    """Spans anywhere: crossing, repeated, empty, over paragraph breaks."""
    points = [sorted(rng.choices(range(len(text) + 1), k=2)) for _ in range(12)]
    return tuple(Span(a, b, rng.choice(labels)) for a, b in points)


# ── text ────────────────────────────────────────────────────────────────────────────────────────


def test_stripped_of_tags_a_column_is_the_document():
    """Blank lines, double spaces, emoji and line ends included; labels are in no text."""
    assert [column.text for column in columns(page())] == [TEXT, TEXT]


@pytest.mark.parametrize(
    "text",
    ["\n\n\nx\n\n", "a\r\n\r\nb\rc\n", HOSTILE, "</p>\n\n<b>&lt;", " ", "\u2028é\u0301👩‍🚀\n\n\n"],
    ids=["blank lines", "carriage returns", "markup", "entities", "space", "unicode"],
)
def test_hard_texts_come_out_whole(text):
    """Whatever the text, the column is the text."""
    whole = Annotation("d1", spans=(Span(0, len(text), "PARTY"),))
    document = Document("d1", text, zones=(Zone(0, 1, "headline"),))
    root = page(documents=[document], gold={"d1": whole}, predicted={"d1": whole})
    assert [column.text for column in columns(root)] == [text, text]


def test_crossing_spans_lose_no_text():
    """Any set of spans over any zones leaves the text as it is, and every span has one tag."""
    rng = random.Random(7)
    labels = ["PROMISE", "PARTY", "DATE", "UNKNOWN"]
    for _ in range(25):
        spans = random_annotation(rng, TEXT, labels)
        cut = rng.randrange(1, len(TEXT))
        zones = (Zone(0, cut, "headline"), Zone(cut, len(TEXT), "boilerplate"))
        document = replace(DOCUMENT, zones=zones)
        root = page(documents=[document], gold={"d1": Annotation("d1", spans=spans)}, predicted={})
        (column,) = columns(root)
        assert column.text == TEXT
        shown = {span.key for span in spans if TEXT[span.start : span.end].strip("\n")}
        tags = [m.attributes["data-tag"] for m in column.find("mark") if "data-tag" in m.attributes]
        assert sorted(tags) == sorted(label for *_, label in shown)


def test_a_thousand_spans_in_one_paragraph_are_drawn():
    """Depth grows with nesting, not with the number of spans."""
    text = "ab " * 1500
    spans = tuple(Span(3 * i, 3 * i + 2, "PARTY") for i in range(1500))
    many = Annotation("d1", spans=spans)
    root = page(documents=[Document("d1", text)], gold={"d1": many}, predicted={"d1": many})
    assert [len(marks(column)) for column in columns(root)] == [1500, 1500]


def test_paragraphs_stand_beside_their_like():
    """Both columns share the rows of one grid: a heading, then a row for each paragraph."""
    root = page()
    (grid,) = root.find("div", "columns")
    drawn = [len(list(column.find("p"))) for column in columns(root)]
    assert (drawn, grid.attributes["style"]) == ([3, 3], "--rows: 4")


def test_zones_are_set_apart():
    """A headline is a heading; boilerplate inside a paragraph is dimmed there only."""
    column = columns(page())[0]
    headings = [e.text for e in column.walk() if e.attributes.get("role") == "heading"]
    assert headings == ["🚢 Paris pact"]
    assert [e.text for e in column.find("span", "boilerplate")] == ["Share  this"]


# ── spans ───────────────────────────────────────────────────────────────────────────────────────


def test_spans_tell_right_from_missed_and_spurious():
    """Equal start, end and label is right; all else is missed in gold, spurious in predicted."""
    gold, predicted = columns(page())
    assert marks(gold) == [
        ("Paris will pay Rome", "span block label-0 found"),
        ("Paris", "span chip label-1 missed"),
        ("Rome", "span chip label-1 found"),
        ("May", "span chip label-2 missed"),
    ]
    assert marks(predicted) == [
        ("Paris", "span chip label-1 spurious"),
        ("Paris will pay Rome", "span block label-0 right"),
        ("Rome", "span chip label-1 right"),
    ]
    assert [h.text for h in page().find("h4")] == [
        "Gold 4 spans, 2 missed",
        "Predicted 3 spans, 1 spurious",
    ]


def test_a_span_says_its_attributes_and_relations():
    """Briefly in its tag, in full in its title and in the table below."""
    root = page()
    block = next(columns(root)[0].find("mark", "block")).attributes
    assert (block["data-tag"], block["data-note"]) == ("PROMISE", "pledge · adverse")
    assert block["title"] == "PROMISE, found; kind: pledge; adverse; promisor → Paris"
    assert cells(root, "PROMISE")[-1] == [
        "right", "26", "45", "Paris will pay Rome", "kind: pledge; adverse; promisor → Paris",
    ]  # fmt: skip


def test_a_mere_sign_is_shown_with_its_name():
    """A plus alone would say nothing."""
    sign = Attribute("polarity", ("PROMISE",), values=(Choice("+"), Choice("-")))
    gold = replace(GOLD, spans=(replace(PROMISE, attributes={"kind": "plan", "polarity": "+"}),))
    schema = replace(SCHEMA, attributes=(*SCHEMA.attributes, sign))
    root = page(schema=schema, gold={"d1": replace(gold, relations=())})
    (promise,) = columns(root)[0].find("mark")
    assert promise.attributes["data-note"] == "plan · polarity\N{NO-BREAK SPACE}+"


def test_the_table_lists_the_spans_of_both_sides_once():
    """It is what a reader who cannot see colours has."""
    root = page()
    table = next(root.find("details", "spans"))
    rows = [tuple(c.text for c in r.find()) for r in table.find("tr")]
    assert len(rows) == 1 + 5
    assert [row[0] for row in cells(table, "PARTY")] == ["spurious", "missed", "right"]


@pytest.mark.parametrize(
    ("gold", "predicted", "heads"),
    [
        ({"d1": GOLD}, {}, ["Gold 4 spans", "Predicted none"]),
        ({}, {"d1": PREDICTED}, ["Gold none", "Predicted 3 spans"]),
        ({"d1": replace(GOLD, skipped=True)}, {"d1": PREDICTED}, ["Gold skipped", "Predicted 3 spans"]),
        ({"d1": Annotation("d1")}, {"d1": PREDICTED}, ["Gold 0 spans, 0 missed", "Predicted 3 spans, 3 spurious"]),
    ],
    ids=["no prediction", "no gold", "skipped", "empty gold"],
)  # fmt: skip
def test_without_a_side_there_is_no_verdict(gold, predicted, heads):
    """A span is only missed or spurious against an annotation that exists."""
    root = page(gold=gold, predicted=predicted)
    assert [h.text for h in root.find("h4")] == heads
    if "none" in " ".join(heads):
        assert not [m for m in root.find("mark") if "missed" in m.attributes["class"]]


def test_one_layer_alone_is_drawn_as_chips():
    """Bands are for layers that hold others."""
    flat = replace(SCHEMA, layers=SCHEMA.layers[1:], attributes=(), relations=())
    spans = Annotation("d1", spans=(at("Paris", "PARTY"),))
    root = page(schema=flat, gold={"d1": spans}, predicted={}, score=score([spans], [spans], flat))
    assert marks(columns(root)[0]) == [("Paris", "span chip label-0")]


# ── hostile input ───────────────────────────────────────────────────────────────────────────────


def hostile_page():
    """A page of which every text is an attack."""
    label = Label(HOSTILE, HOSTILE, "red;background:url(//x)")
    schema = Schema(HOSTILE, HOSTILE, HOSTILE, (Layer(HOSTILE, (label,)),), title=HOSTILE)
    span = Span(0, 8, HOSTILE, HOSTILE, HOSTILE, {HOSTILE: HOSTILE})
    reading = Annotation(HOSTILE, HOSTILE, (span,), (Relation(HOSTILE, HOSTILE, HOSTILE),))
    document = Document(*[HOSTILE] * 6, zones=(Zone(0, 3, HOSTILE),))
    kappas = {HOSTILE: Kappa(0, 0, None, HOSTILE)}
    counts = {HOSTILE: Counts(1, 1, 1)}
    pair = Agreement((HOSTILE, HOSTILE), 1, counts, counts, kappas, kappas, Counts())
    return source(
        title=HOSTILE,
        intro=HOSTILE,
        steps=[Step(HOSTILE, HOSTILE, HOSTILE, 1.0)],
        agreements=[pair],
        score=replace(score([GOLD], [GOLD], SCHEMA), signature=HOSTILE),
        schema=schema,
        documents=[document],
        gold={HOSTILE: reading},
        predicted={HOSTILE: reading},
        facts={HOSTILE: HOSTILE},
        notes=[HOSTILE],
    )


def test_nothing_hostile_gets_through():
    """Attacks are text: no element, attribute, style or template expression comes of them."""
    root, harmless = Page(hostile_page()).root, page()
    assert {e.tag for e in root.walk()} <= {e.tag for e in harmless.walk()}
    allowed = {name for e in harmless.walk() for name in e.attributes}
    assert {name for e in root.walk() for name in e.attributes} <= allowed
    (style,) = root.find("style")
    assert "url(" not in style.text
    assert "red;" not in style.text
    assert next(root.find("h1")).text == HOSTILE
    assert [column.text for column in columns(root)] == [HOSTILE, HOSTILE]


def test_names_cannot_turn_the_text_around_them():
    """A bidirectional override ends with its own element, paragraph or cell."""
    inline = {"span", "code", "small"}
    isolating = {"bdi", "p", "td", "h1", "li", "dd", "mark", "title", "html", "div"}
    for element in Page(hostile_page()).root.walk():
        for text in (c for c in element.content if isinstance(c, str) and "\u202e" in c):
            holder = element
            while holder.tag in inline:
                holder = holder.parent
            assert holder.tag in isolating, text


def test_the_page_is_alone():
    """A strict policy first of all, no script, and no address but anchors that exist."""
    text = source()
    root = Page(text).root
    policies = [e.attributes.get("http-equiv") for e in root.find("meta")]
    assert policies[1] == "Content-Security-Policy"
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in text
    assert not list(root.find("script"))
    assert not list(root.find("link"))
    assert not re.search(r"https?:|@import|url\(|javascript:", text)
    links = [e.attributes["href"] for e in root.find("a")]
    names = [e.attributes["id"] for e in root.walk() if "id" in e.attributes]
    assert len(names) == len(set(names))
    assert {link.removeprefix("#") for link in links} <= set(names)


def test_template_and_module_never_vouch_for_markup():
    """Escaping has no exceptions."""
    package = Path(toolkit.__file__).parent
    for path in (*package.glob("report/*.py"), package / "data" / "templates" / "demo.html"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\|\s*safe\b|Markup|autoescape=False|autoescape false", text)


# ── reading without eyes or with poor ones ──────────────────────────────────────────────────────


def test_tables_and_headings_are_semantic():
    """Every table has a caption, every header a scope, and headings skip no level."""
    root = page()
    assert all(len(list(table.find("caption"))) == 1 for table in root.find("table"))
    assert {th.attributes.get("scope") for th in root.find("th")} == {"row", "col", "colgroup"}
    levels = [int(e.tag[1]) for e in root.walk() if re.fullmatch(r"h\d", e.tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert next(root.find("a")).attributes == {"class": "skip", "href": "#content"}


def shades(colour):
    """Paper, tone and tint of the page for a label of this colour, by mode."""
    one = replace(SCHEMA.layers[0], labels=(replace(SCHEMA.layers[0].labels[0], colour=colour),))
    text = source(schema=replace(SCHEMA, layers=(one, *SCHEMA.layers[1:])))
    papers = re.findall(r"--paper: (#\w{6}); --ink", text)
    tones = re.findall(r"\.label-0 { --tone: (#\w{6}); --tint: (#\w{6}); }", text)
    light, dark = ((paper, *pair) for paper, pair in zip(papers, tones, strict=True))
    return {"light": light, "dark": dark}


def test_a_legible_colour_is_left_as_it_is():
    """Only what reads badly is mixed with the page's ink; a name that is no colour is grey."""
    assert [shades(colour)["light"][1] for colour in ("#1D4ED8", "#000000")] == [
        "#1D4ED8",
        "#000000",
    ]
    assert shades("red")["light"] == shades("#6B7280")["light"]


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("colour", ["#FFFF00", "#000000", "#FFFFFF", "#1D4ED8", "#808080", "red"])
def test_every_colour_becomes_legible(colour, mode):
    """4.5 to 1 on its own tint and on the page, for any colour a schema may name."""
    paper, tone, tint = shades(colour)[mode]
    for ground in (tint, paper):
        assert contrast(rgb(tone), rgb(ground)) >= 4.5


def test_contrast_is_that_of_wcag():
    """Black on white is 21; #767676 on white is the well-known 4.54."""
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    assert contrast((118, 118, 118), (255, 255, 255)) == pytest.approx(4.54, abs=0.005)


# ── numbers ─────────────────────────────────────────────────────────────────────────────────────


def test_scores_have_three_decimals_and_a_dash_where_gold_has_none():
    """Precision, recall, F1 and support by label; then the averages of layers of several labels."""
    root = page(score=score([PREDICTED], [GOLD], SCHEMA))
    assert cells(root, "PROMISE")[1] == ["1.000", "1.000", "1.000", "1"]
    assert cells(root, "PARTY")[1] == ["0.500", "0.500", "0.500", "2"]
    assert cells(root, "DATE")[1] == ["–", "–", "–", "0"]
    assert cells(root, "micro average") == [["0.333", "0.500", "0.400", "2"]]
    assert "absent from gold, counted as F1 0 in the macro average: DATE." in root.text
    assert "Macro F1 over the labels of all layers: 0.500." in root.text


def test_the_page_rounds_as_the_terminal_does():
    """A step tells of the same figures as the tables; they must not seem to differ."""
    pair = Agreement(("a", "b"), 1, {"all": Counts(877, 6, 5)}, {}, {}, {}, Counts())
    told = figure(pair.exact["all"].f1)
    root = page(agreements=[pair])
    assert [next(root.find("dd")).text, cells(root, "all spans")[0][0]] == [told, told]


def test_agreement_shows_counts_and_why_a_kappa_is_undefined():
    """F1, both, only the first, only the second: exact, then by overlap."""
    root = page()
    assert cells(root, "PARTY")[0] == ["0.500", "1", "1", "1", "0.500", "1", "1", "1"]
    assert cells(root, "all spans") == [["0.571", "2", "2", "1", "0.571", "2", "2", "1"]]
    assert cells(root, "label, layer mentions") == [["1", "1", "undefined: one value only"]]
    assert cells(root, "kind") == [["1", "0", "0.000"]]
    # Nobody drew a relation: there is nothing to compare, and nothing is said.
    assert "Relations between spans both marked" not in root.text


def test_agreement_on_relations_shows_counts():
    """Both, only the first, only the second."""
    pair = Agreement(("a", "b"), 1, {"all": Counts(1, 0, 0)}, {}, {}, {}, Counts(2, 1, 0))
    root = page(agreements=[pair])
    assert (
        "Relations between spans both marked: F1 0.800 (both 2, only a 0, only b 1)." in root.text
    )


def test_a_negative_kappa_has_a_true_minus():
    """And three decimals like all others."""
    kappa = Kappa(4, 1, -0.2544)
    pair = Agreement(("a", "b"), 1, {}, {}, {"mentions": kappa}, {}, Counts())
    assert cells(page(agreements=[pair]), "label, layer mentions") == [["4", "1", "−0.254"]]


def test_the_head_of_the_page_sums_it_up():
    """Agreement, macro F1 and time; the agreement of several pairs comes from their added counts."""
    assert [e.text for e in page().find("dd")][:3] == ["0.571", "0.500", "1.2 s"]
    pairs = [
        Agreement(("a", "b"), 1, {"all": counts}, {}, {}, {}, Counts())
        for counts in (Counts(1, 0, 0), Counts(0, 1, 1))
    ]
    assert next(page(agreements=pairs).find("dd")).text == "0.500"


def test_steps_are_told_in_order():
    """Title, seconds, command and outcome."""
    steps = [Step("Push", "toolkit push x", "15 created", 0.01), Step("Train", "", "done", 61.04)]
    (found,) = page(steps=steps).find("ol", "steps")
    told = [" ".join(item.text.split()) for item in found.find("li")]
    assert told == ["Push < 0.1 s toolkit push x 15 created", "Train 61.0 s done"]


def test_an_empty_run_is_a_page_all_the_same():
    """Nothing to show is said or left out; no link leads nowhere."""
    nothing = score([Annotation("d1")], [Annotation("d1")], SCHEMA)
    root = page(
        intro="", steps=[], agreements=[], score=nothing, documents=[], gold={}, predicted={},
        facts={}, notes=[],
    )  # fmt: skip
    assert next(root.find("dd")).text == "–"
    assert "No document is shown." in root.text
    assert [e.text for e in root.find("h2")] == [
        "How far the annotators agree", "How the model scores", "Annotated documents",
    ]  # fmt: skip
    assert [a.attributes["href"] for a in root.find("a")] == [
        "#content",
        "#agreement",
        "#scores",
        "#documents",
    ]
