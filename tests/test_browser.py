"""A person's hand: the real labelling page in a real browser, and what comes back of it."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from toolkit import files, studio
from toolkit.schema import Schema
from toolkit.spans import Annotation, Document, Relation, Span
from toolkit.studio import find
from toolkit.studio.results import to_result

ROOT = Path(__file__).parent.parent
SCHEMA = Schema.load(ROOT / "schemas" / "commitments.yaml")

NESTED = Document("nested", "😀🏳️‍🌈 Paris will pay Rome 5 euros by May. 𝔸 pact.")
LINES = Document("lines", "Tovland agreed\nto lend Mbarassa\r\n40 boats by June. 😀 Nuraq waits.")
IDLE = Document("idle", "The ministers met in Nuraq.")

SHOWN = "p8-e2-d1"
"""A wire report whose commitments, parties, amounts and dates nest."""

SCREENSHOT = os.environ.get("TOOLKIT_SCREENSHOT")
"""Where a picture of the page is written, if anywhere. The README's is made by
`TOOLKIT_SCREENSHOT=docs/labelling-page.png sh scripts/test tests/test_browser.py`."""

pytestmark = pytest.mark.browser

BOXES = """root => {
  const boxes = [], range = document.createRange();
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT | NodeFilter.SHOW_ELEMENT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    if (node.nodeName === "BR") boxes.push(null);
    if (node.nodeType !== Node.TEXT_NODE) continue;
    let at = 0;
    for (const character of node.data) {
      range.setStart(node, at);
      range.setEnd(node, at += character.length);
      const box = range.getBoundingClientRect();
      boxes.push([box.left, box.right, (box.top + box.bottom) / 2]);
    }
  }
  return boxes;
}"""
"""Left, right and middle height of each code point on the page; none of a line end."""


class Hand:
    """An annotator at the labelling page, with a mouse and a keyboard.

    Every act ends when the page shows its effect.
    """

    def __init__(self, page):
        self.page = page
        self.drawn = 0
        self.linked = 0
        self.document = None
        self.words = page.locator(".lsf-htx-richtext")
        self.asked = set()
        page.on("request", lambda request: self.asked.add(origin(request.url)))

    def enter(self, project, person):
        """Open the address that a push printed, log in, and begin to label."""
        self.page.goto(project)
        self.page.locator("input[name=email]").fill(person.email)
        self.page.locator("input[name=password]").fill(person.password)
        self.page.locator("button[type=submit]").click()
        self.page.get_by_role("button", name="Label All Tasks").click()
        self.page.get_by_role("button", name="Close modal").click()

    def read(self, document):
        """Wait for this document."""
        last = document.text.splitlines()[-1]
        self.words.get_by_text(last, exact=True).wait_for()
        self.page.evaluate("() => document.fonts.ready.then(() => true)")
        self.document, self.drawn, self.linked = document, 0, 0

    def place(self, words):
        """The boxes of the first and the last character of these words."""
        boxes = self.words.evaluate(BOXES)
        assert len(boxes) == len(self.document.text)
        start = self.document.text.index(words)
        return boxes[start], boxes[start + len(words) - 1]

    def mark(self, key, words):
        """Draw a region with the mouse, with the label of this key."""
        self.page.keyboard.press(key)
        (left, _, top), (_, right, bottom) = self.place(words)
        self.page.mouse.move(left + 1, top)
        self.page.mouse.down()
        self.page.mouse.move(right - 1, bottom, steps=8)
        self.page.mouse.up()
        self.drawn += 1
        self.words.locator(f'[data-index="{self.drawn}"]').first.wait_for()

    def click(self, words):
        """Click on the middle of the first of these words."""
        (left, _, height), (_, right, _) = self.place(words.split()[0])
        self.page.mouse.click((left + right) / 2, height)

    def select(self, words):
        """Select the innermost region around these words."""
        self.click(words)
        self.words.locator(".__active").first.wait_for()

    def release(self):
        """Select nothing."""
        self.page.keyboard.press("Escape")
        self.words.locator(".__active").first.wait_for(state="detached")

    def choose(self, key, value):
        """Press the key of a choice of the selected region."""
        self.page.keyboard.press(key)
        self.page.locator(f'input[name="{value}"]:checked').wait_for()

    def link(self, head, tail, kind):
        """Draw an arrow from one region to another, and say what it means."""
        self.select(head)
        self.page.keyboard.press("Alt+r")
        self.page.locator('[aria-label="Create Relation"][data-variant="primary"]').wait_for()
        self.click(tail)
        self.linked += 1
        self.page.locator("#Relations-draggable").click()
        arrow = self.page.locator(".lsf-relations__item").nth(self.linked - 1)
        arrow.hover()
        arrow.get_by_label("Show Relation Labels").click()
        arrow.get_by_test_id("select-trigger-").click()
        self.page.get_by_role("option", name=kind).click()
        arrow.get_by_test_id(f"select-trigger-{kind}").wait_for()
        self.page.keyboard.press("Escape")
        self.page.get_by_role("option", name=kind).wait_for(state="detached")

    def leave(self, button):
        """Submit or skip; the server has it when this ends."""
        with self.page.expect_response(is_sent) as answer:
            self.page.get_by_test_id(f"bottombar-{button}-button").click()
        assert answer.value.status == 201


def origin(url):
    """Where a request goes."""
    return "/".join(url.split("/")[:3])


def is_sent(response):
    """Whether the page has sent an annotation."""
    return response.request.method == "POST" and "/annotations" in response.url


def numbered(annotation, document):
    """The same reading with its spans called s1, s2 … in order of place, and no time."""
    ordered = annotation.canonical(document.text)
    names = {span.id: f"s{number}" for number, span in enumerate(ordered.spans, 1)}
    return replace(
        ordered,
        spans=tuple(replace(span, id=names[span.id]) for span in ordered.spans),
        relations=tuple(
            Relation(link.type, names[link.head], names[link.tail]) for link in ordered.relations
        ),
        lead_time=None,
    )


def entry(path, key, name, kind):
    """One line of a file of Communiqué."""
    lines = files.read_jsonl(ROOT / "annotations" / "communique" / path, kind)
    return next(line for line in lines if getattr(line, key) == name)


@pytest.fixture(
    params=[
        pytest.param("real", marks=pytest.mark.studio),
        pytest.param("postgres", marks=[pytest.mark.studio, pytest.mark.postgres]),
    ]
)
def site(request, standing):
    """A server with a page to label on, so none that pretends."""
    return standing(request.param)


@pytest.fixture
def hand(browser, site):
    """A hand at an empty page of a browser in which nobody is logged in."""
    look = {"viewport": {"width": 1400, "height": 900}, "color_scheme": "light"}
    context = browser.new_context(**look, locale="en-GB")
    context.set_default_timeout(120_000)
    yield Hand(context.new_page())
    context.close()


def test_what_a_person_draws_is_what_a_pull_brings(site, hand, tmp_path):
    """Nested, after emoji and across lines; attributes, arrows and a skip: all as it was drawn."""
    admin, corpus = site.admin(), site.corpus()
    documents = {document.id: document for document in (NESTED, LINES, IDLE)}
    pushed = studio.push(admin, corpus, "main", SCHEMA, list(documents.values()))
    hand.enter(pushed.url, studio.invite(site.server, "hand"))
    hand.read(NESTED)
    hand.mark("1", "Paris will pay Rome 5 euros by May")
    hand.mark("2", "Paris")
    hand.mark("2", "Rome")
    hand.select("will")
    hand.choose("p", "pledge")
    hand.choose("x", "adverse")
    hand.release()
    hand.link("will", "Paris", "promisor")
    hand.link("will", "Rome", "beneficiary")
    hand.leave("submit")
    hand.read(LINES)
    hand.mark("1", "agreed\nto lend Mbarassa\r\n40 boats by June")
    hand.mark("2", "Mbarassa")
    hand.mark("2", "Nuraq")
    hand.leave("submit")
    hand.read(IDLE)
    hand.mark("2", "Nuraq")
    hand.leave("skip")
    readings, pulled = site.take(admin, corpus, SCHEMA, documents, tmp_path)
    drawn = [numbered(annotation, documents[annotation.document]) for annotation in readings]
    assert drawn == [
        Annotation(
            "nested",
            "hand",
            (
                Span(
                    *(6, 40, "COMMITMENT", "s1", "Paris will pay Rome 5 euros by May"),
                    attributes={"kind": "pledge", "adverse": True},
                ),
                Span(6, 11, "PARTY", "s2", "Paris"),
                Span(21, 25, "PARTY", "s3", "Rome"),
            ),
            (Relation("beneficiary", "s1", "s3"), Relation("promisor", "s1", "s2")),
        ),
        Annotation(
            "lines",
            "hand",
            (
                Span(8, 49, "COMMITMENT", "s1", "agreed\nto lend Mbarassa\r\n40 boats by June"),
                Span(23, 31, "PARTY", "s2", "Mbarassa"),
                Span(53, 58, "PARTY", "s3", "Nuraq"),
            ),
        ),
        Annotation("idle", "hand", skipped=True),
    ]
    assert all(annotation.lead_time > 0 for annotation in readings)
    counted = pulled.manifest
    assert (pulled.quarantine, counted.superseded, counted.untouched) == ((), 0, 0)
    assert hand.asked == {site.server.url}


def test_page_of_a_labelled_document_is_fit_for_work(site, hand):
    """Every region and arrow is shown; the bar stays in sight; selecting moves no text."""
    admin, project = site.admin(), site.corpus()
    document = entry("documents.jsonl", "id", SHOWN, Document)
    annotation = entry("annotators/a1.jsonl", "document", SHOWN, Annotation)
    pushed = studio.push(admin, "communique", project, SCHEMA, [document])
    (task,) = admin.tasks(find(admin, "communique", project)[0])
    draft = {"result": to_result(annotation, SCHEMA, document), "lead_time": 1}
    site.call("POST", f"/api/tasks/{task.id}/drafts", json=draft)
    hand.enter(pushed.url, site.server)
    hand.read(document)
    arrows = hand.page.locator(".relations-overlay > g")
    arrows.nth(len(annotation.relations) - 1).wait_for(state="attached")
    shown = hand.words.locator("[data-index]").evaluate_all(
        "marks => marks.map(mark => mark.dataset.index)"
    )
    assert (len(set(shown)), arrows.count()) == (len(annotation.spans), len(annotation.relations))
    before = hand.place("guarantees")
    hand.select("guarantees")
    assert hand.place("guarantees") == before
    if SCREENSHOT:
        hand.page.screenshot(path=ROOT / SCREENSHOT)
    end = document.text.splitlines()[-1]
    assert hand.place(end)[1][2] > 900
    hand.words.get_by_text(end[-20:]).scroll_into_view_if_needed()
    assert hand.place(end)[1][2] < 900
    hand.choose("v", "vague")
    assert 0 < hand.page.locator('input[name="vague"]').bounding_box()["y"] < 200
    hand.page.locator('input[name="specific"]').click()
    hand.page.locator('input[name="specific"]:checked').wait_for()
