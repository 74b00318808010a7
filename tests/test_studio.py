"""Push, pull and submit: one contract for the pretend and the real server, then faults on the wire."""

import base64
import json
import socket
import unicodedata
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from toolkit import files, studio
from toolkit.cli import run
from toolkit.errors import (
    InvalidDataError,
    LockedError,
    NotAllowedError,
    ToolkitError,
    UnreachableError,
    UnusableAnswerError,
    UsageError,
)
from toolkit.schema import Schema
from toolkit.spans import Annotation, Document, Relation, Span
from toolkit.studio import find, wire
from toolkit.studio.client import Studio
from toolkit.studio.lock import alone
from toolkit.studio.page import instructions, page
from toolkit.studio.results import from_result, to_result

ROOT = Path(__file__).parent.parent
COMMITMENTS = Schema.load(ROOT / "schemas" / "commitments.yaml")
SCHEMA = replace(COMMITMENTS, guideline="# Read this\n\nA *short* guideline.\n")
TEXT = "Paris will pay Rome 5 euros by May."
PLAIN = tuple(Document(f"d{number}", f"{TEXT} ({number})") for number in range(3))

HOSTILE = {
    "emoji": "😀",
    "joined emoji": "👩‍👩‍👧‍👦🏳️‍🌈",
    "beyond the first plane": "𝔸𝒷",
    "windows line end": "\r\n",
    "bare carriage return": "\r",
    "line separator": "\u2028",
    "next line": "\x85",
    "combining mark": unicodedata.normalize("NFD", "é́ñ"),
    "right to left": "שלום\u202eabc\u202c\u2067مرحبا\u2069",
    "control characters": "\x01\x02\x07\x1b[31m\x7f",
    "byte order mark": "\ufeff",
    "blanks": " \t\u00a0\u200b ",
    "markup": "<b>&amp;</b><script>alert(1)</script>$text{{x}}\\n",
}


@pytest.fixture(
    params=[
        "fake",
        pytest.param("real", marks=pytest.mark.studio),
        pytest.param("postgres", marks=[pytest.mark.studio, pytest.mark.postgres]),
    ]
)
def site(request, standing):
    """The contract: it holds on the pretend and on the real Label Studio, on SQLite and PostgreSQL."""
    return standing(request.param)


def reading(document, annotator="a1", **more):
    """A commitment with nested parties, every kind of attribute, and relations."""
    start, end = document.text.index("Paris"), document.text.index("Rome") + len("Rome")
    attributes = {
        "kind": "pledge",
        "status": "asserted",
        "polarity": "+",
        "specificity": "vague",
        "adverse": True,
        "commitment_id": f"NEW {document.text[:3].strip() or '-'}",
    }
    return Annotation(
        document.id,
        annotator,
        (
            Span(start, end, "COMMITMENT", "s1", attributes=attributes),
            Span(start, start + 5, "PARTY", "s2"),
            Span(end - 4, end, "PARTY", "s3"),
        ),
        (Relation("promisor", "s1", "s2"), Relation("beneficiary", "s1", "s3")),
        **more,
    )


def region(identifier, start, end, *labels, control="label", **value):
    """A region as Label Studio keeps it."""
    place = {"start": start, "end": end, "labels": list(labels), **value}
    names = {"id": identifier, "from_name": control, "to_name": "text", "type": "labels"}
    return names | {"value": place}


def answer(identifier, control, *choices, kind="choices"):
    """An answer in a field of a region."""
    names = {"id": identifier, "from_name": control, "to_name": "text", "type": kind}
    return names | {"value": {"start": 0, "end": 5, kind: list(choices)}}


def link(head, tail, *types, **more):
    """A relation as Label Studio keeps it."""
    ends = {"from_id": head, "to_id": tail, "type": "relation", "direction": "right"}
    return ends | {"labels": list(types)} | more


def held(site, project):
    """The data of a project's tasks as the server has them."""
    found = site.call("GET", "/api/tasks/", params={"project": project, "page_size": 1000})
    return [task["data"] for task in found["tasks"]]


def task_ids(connection, corpus):
    """The number of each document's task."""
    tasks = connection.tasks(find(connection, corpus)[0])
    return {task.data["document"]: task.id for task in tasks}


def take(connection, corpus, documents, root, schema=SCHEMA, **options):
    """Pull the corpus's first project into an empty history: its readings, and all else of it."""
    project = find(connection, corpus)[0]
    history = studio.History(root, "main")
    done = studio.pull(connection, project, history, schema, documents, **options)
    lines = [line for by in done.lines.values() for line in by.values() if line]
    return [files.decode(line, Annotation) for line in lines], done, history


def canonical(annotations, documents):
    """The readings as files hold them."""
    return [a.canonical(documents[a.document].text) for a in annotations]


def write_corpus(root, name, documents):
    """A corpus on disk."""
    files.write_text(root / "corpus.yaml", f"name: {name}\nschema: commitments\n")
    files.write_jsonl(root / "documents.jsonl", documents)
    return root


@pytest.fixture
def command(site, monkeypatch, capsys):
    """Run a command against the site: its exit code, its JSON object, its messages."""
    monkeypatch.setenv("LABEL_STUDIO_URL", site.server.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", site.server.api_key)

    def told(*words):
        code = run([*map(str, words), "--json"])
        printed = capsys.readouterr()
        return code, json.loads(printed.out) if printed.out else None, printed.err

    return told


# ── push ────────────────────────────────────────────────────────────────────────────────────────


def counts(done):
    """What a push counted."""
    return done.created, done.updated, done.unchanged, done.quarantined


def test_push_makes_a_project_with_every_document(site):
    """The first push creates everything; the texts arrive as they are."""
    admin, corpus = site.admin(), site.corpus()
    done = studio.push(admin, corpus, "main", SCHEMA, PLAIN)
    assert counts(done) == (3, 0, 0, 0)
    assert done.url == f"{site.server.url}/projects/{done.id}"
    assert [data["text"] for data in held(site, done.id)] == [d.text for d in PLAIN]


def test_second_push_changes_nothing(site):
    """A push that has nothing to do sends nothing: not even the config again."""
    admin, corpus = site.admin(), site.corpus()
    first = studio.push(admin, corpus, "main", SCHEMA, PLAIN)
    before = site.call("GET", f"/api/projects/{first.id}/"), held(site, first.id)
    done = studio.push(admin, corpus, "main", SCHEMA, PLAIN)
    assert (counts(done), done.schema_updated, done.removed) == ((0, 0, 3, 0), False, 0)
    assert (site.call("GET", f"/api/projects/{first.id}/"), held(site, first.id)) == before


def test_push_adds_only_what_is_new(site):
    """A longer corpus sends its new documents."""
    admin, corpus = site.admin(), site.corpus()
    studio.push(admin, corpus, "main", SCHEMA, PLAIN[:1])
    assert counts(studio.push(admin, corpus, "main", SCHEMA, PLAIN)) == (2, 0, 1, 0)


def test_push_sends_more_than_one_batch(site):
    """Five hundred and fifty documents arrive once each, and are listed over two pages."""
    documents = [Document(f"d{number}", f"text {number}") for number in range(550)]
    done = studio.push(site.admin(), site.corpus(), "main", SCHEMA, documents)
    assert done.created == 550
    assert [data["document"] for data in held(site, done.id)] == [d.id for d in documents]


def test_config_is_accepted_and_kept_byte_for_byte(site):
    """The labelling page comes back as it was sent, and so do the instructions."""
    done = studio.push(site.admin(), site.corpus(), "main", COMMITMENTS, PLAIN[:1])
    project = site.call("GET", f"/api/projects/{done.id}/")
    assert project["label_config"] == page(COMMITMENTS)
    assert project["expert_instruction"] == instructions(COMMITMENTS)
    assert project["show_instruction"] is True


def test_config_is_valid_for_the_sdk():
    """The SDK reads the page and finds every control in it."""
    from label_studio_sdk.label_interface import LabelInterface

    interface = LabelInterface(page(COMMITMENTS))
    interface.validate()
    names = {"label", *(attribute.name for attribute in COMMITMENTS.attributes)}
    assert {control.name for control in interface.controls} == names
    assert interface.get_control("label").labels == [label.name for label in COMMITMENTS.labels]


def test_changed_schema_updates_the_config(site):
    """A new release of the schema reaches the project; the tasks stay as they are."""
    admin, corpus = site.admin(), site.corpus()
    first = studio.push(admin, corpus, "main", SCHEMA, PLAIN)
    newer = replace(SCHEMA, version="9.0", sha256="0" * 64, guideline="")
    done = studio.push(admin, corpus, "main", newer, PLAIN)
    project = site.call("GET", f"/api/projects/{first.id}/")
    assert (counts(done), done.schema_updated) == ((0, 0, 3, 0), True)
    assert (project["label_config"], project["show_instruction"]) == (page(newer), False)


def test_changed_text_is_updated_until_it_is_annotated(site):
    """A text that nobody has read is replaced; one with annotations is set aside with a reason."""
    admin, corpus = site.admin(), site.corpus()
    first = studio.push(admin, corpus, "main", SCHEMA, PLAIN)
    texts = {document.id: document for document in PLAIN}
    studio.submit(site.person(), corpus, "main", SCHEMA, texts, [reading(PLAIN[0])])
    changed = [replace(document, text=f"New: {document.text}") for document in PLAIN]
    done = studio.push(admin, corpus, "main", SCHEMA, changed)
    assert counts(done) == (0, 2, 0, 1)
    assert [fault.rule for fault in done.faults] == ["text-changed"]
    assert {data["document"]: data["text"] for data in held(site, first.id)} == {
        "d0": PLAIN[0].text,
        "d1": changed[1].text,
        "d2": changed[2].text,
    }


def test_skipped_document_counts_as_annotated(site):
    """A text that somebody read and skipped is not replaced either."""
    admin, corpus = site.admin(), site.corpus()
    studio.push(admin, corpus, "main", SCHEMA, PLAIN[:1])
    site.person().annotate(task_ids(admin, corpus)["d0"], [], was_cancelled=True)
    done = studio.push(admin, corpus, "main", SCHEMA, [replace(PLAIN[0], text="New")])
    assert counts(done) == (0, 0, 0, 1)


def test_push_leaves_what_is_not_ours(site):
    """Projects and tasks of others stay untouched, also those that look like ours."""
    admin, corpus = site.admin(), site.corpus()
    body = {"title": f"{corpus} · main", "label_config": page(SCHEMA), "description": corpus}
    foreign = site.call("POST", "/api/projects/", json=body)["id"]
    ours = studio.push(admin, corpus, "main", SCHEMA, PLAIN[:2]).id
    theirs = [{"text": "theirs"}, {"text": "x", "document": "x"}, {"text": "7", "document": 7}]
    theirs = [data | {"title": ""} for data in theirs]
    for project in (foreign, ours):
        site.call("POST", f"/api/projects/{project}/import", json=[{"data": d} for d in theirs])
    before = held(site, foreign), site.call("GET", f"/api/projects/{foreign}/")
    done = studio.push(admin, corpus, "main", SCHEMA, PLAIN)
    assert (done.id, counts(done), done.removed) == (ours, (1, 0, 2, 0), 0)
    assert (held(site, foreign), site.call("GET", f"/api/projects/{foreign}/")) == before
    assert [data for data in held(site, ours) if data in theirs] == theirs


def test_push_removes_second_tasks_nobody_worked_on(site):
    """Of tasks sent twice the annotated one stays, else the first; work on both is reported."""
    admin, corpus = site.admin(), site.corpus()
    done = studio.push(admin, corpus, "main", SCHEMA, PLAIN)
    again = [{"data": data} for data in held(site, done.id)]
    first = task_ids(admin, corpus)
    site.call("POST", f"/api/projects/{done.id}/import", json=again)
    tasks = admin.tasks(find(admin, corpus)[0])
    second = {t.data["document"]: t.id for t in tasks if t.id not in first.values()}
    site.person().annotate(second["d1"], [])
    site.call(
        "POST", f"/api/tasks/{second['d2']}/drafts", json={"result": [region("r", 0, 5, "PARTY")]}
    )
    done = studio.push(admin, corpus, "main", SCHEMA, PLAIN)
    assert (counts(done), done.removed) == ((0, 0, 3, 1), 2)
    assert [(fault.rule, fault.what) for fault in done.faults] == [
        ("doubled", f"d2: task {second['d2']} of project {done.id} is a second one")
    ]
    left = [task.id for task in admin.tasks(find(admin, corpus)[0])]
    assert left == sorted([first["d0"], second["d1"], first["d2"], second["d2"]])


def test_dry_run_tells_and_changes_nothing(site):
    """A dry run counts what a push would do, before and after the project is there."""
    admin, corpus = site.admin(), site.corpus()
    told = studio.push(admin, corpus, "main", SCHEMA, PLAIN, dry_run=True)
    assert (told.created, find(admin, corpus)) == (3, [])
    done = studio.push(admin, corpus, "main", SCHEMA, PLAIN[:1])
    newer = replace(SCHEMA, sha256="1" * 64)
    told = studio.push(admin, corpus, "main", newer, PLAIN, dry_run=True)
    assert (counts(told), told.schema_updated) == ((2, 0, 1, 0), True)
    assert len(held(site, done.id)) == 1
    assert site.call("GET", f"/api/projects/{done.id}/")["label_config"] == page(SCHEMA)


@pytest.mark.parametrize(
    ("documents", "rule"),
    [
        ([PLAIN[0], PLAIN[0]], "duplicate-id"),
        ([Document("d", "a \ud800 b")], "lone-surrogate"),
        ([Document("d", " \n")], "empty-text"),
        ([Document("d", "a \0 b")], "nul"),
        ([Document("d", "a", published="\0")], "nul"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_invalid_documents_are_refused_before_any_request(fake_class, documents, rule):
    """What would break the server or the corpus never leaves this machine."""
    with fake_class() as fake:
        connection = studio.connect(fake.url, fake.token)
        before = len(fake.requests)
        with pytest.raises(InvalidDataError) as error:
            studio.push(connection, "c", "main", SCHEMA, documents)
        assert [fault.rule for fault in error.value.faults] == [rule]
        assert len(fake.requests) == before


def test_nul_is_refused_for_every_server_with_its_place(command, tmp_path):
    """PostgreSQL cannot store it, so what one server takes another would not; a corpus may keep it."""
    documents = [PLAIN[0], Document("d1", "😀 will\0pay")]
    root = write_corpus(tmp_path / "c", "nul", documents)
    code, told, messages = command("push", root)
    what = "error: documents: document 'd1': its text holds a NUL character at position 6"
    cure = "put another character in its place: PostgreSQL, and so Label Studio, refuses it"
    assert (code, told, messages) == (3, None, f"{what}; {cure}\n")
    assert files.read_jsonl(root / "documents.jsonl", Document) == documents


@pytest.mark.studio
@pytest.mark.postgres
def test_nul_is_what_postgres_cannot_store(postgres_site):
    """The reason for refusing it: the server answers with an error of its own, and keeps nothing."""
    project = studio.push(postgres_site.admin(), postgres_site.corpus(), "main", SCHEMA, PLAIN).id
    body = [{"data": {"text": "a \0 b", "title": ""}}]
    with pytest.raises(httpx.HTTPStatusError) as error:
        postgres_site.call("POST", f"/api/projects/{project}/import", json=body)
    assert error.value.response.status_code == 500
    assert len(held(postgres_site, project)) == 3


def test_two_pushes_at_once_take_turns(fake_site, monkeypatch):
    """A push to the same project says who is at it; one to another project goes on."""
    monkeypatch.setenv("TOOLKIT_HOME", str(fake_site.home))
    admin, corpus = fake_site.admin(), fake_site.corpus()
    studio.push(admin, corpus, "main", SCHEMA, PLAIN)
    locks = list((fake_site.home / "locks").iterdir())
    newest = max(locks, key=lambda path: path.stat().st_mtime_ns)
    with alone(newest, "a test"):
        with pytest.raises(LockedError) as error:
            studio.push(admin, corpus, "main", SCHEMA, PLAIN)
        assert studio.push(admin, corpus, "other", SCHEMA, PLAIN).created == 3
    assert str(error.value).startswith(f"push to {corpus}/main: process ")
    assert str(error.value).endswith(" is at it; wait for it to end")
    assert studio.push(admin, corpus, "main", SCHEMA, PLAIN).unchanged == 3


# ── submit and pull ─────────────────────────────────────────────────────────────────────────────


def test_submit_and_pull_lose_nothing(site, tmp_path):
    """Spans, attributes, flags, free text, relations, times and skips come back from hostile texts."""
    admin, corpus = site.admin(), site.corpus()
    documents = {
        name: Document(name, f"{mark}{mark} Paris{mark} will{mark}pay {mark}Rome{mark}, {mark}")
        for name, mark in HOSTILE.items()
    }
    skipped = Document("skipped", "nothing to mark here")
    documents |= {"skipped": skipped}
    sent = [reading(documents[name], lead_time=1.5 + number) for number, name in enumerate(HOSTILE)]
    sent.append(Annotation("skipped", "a1", skipped=True, lead_time=0.25))
    done = studio.push(admin, corpus, "main", SCHEMA, list(documents.values()))
    assert studio.submit(site.person("a1"), corpus, "main", SCHEMA, documents, sent) == len(sent)
    assert {d["document"]: d["text"] for d in held(site, done.id)} == {
        name: document.text for name, document in documents.items()
    }
    readings, pulled, _ = take(admin, corpus, documents, tmp_path)
    assert readings == canonical(sent, documents)
    counted = pulled.manifest
    assert (pulled.quarantine, counted.superseded, counted.untouched) == ((), 0, 0)
    assert (counted.annotations, counted.read, counted.skipped) == (len(sent), len(HOSTILE), 1)


@pytest.mark.parametrize("between", [0, 9], ids=["together", "apart"])
def test_first_pull_lists_tasks_only_where_their_numbers_lie_apart(
    site, tmp_path, monkeypatch, between
):
    """Tasks of one project that were made together are exported by number, without their list."""
    admin, corpus = site.admin(), site.corpus()
    documents = {document.id: document for document in PLAIN}
    studio.push(admin, corpus, "main", SCHEMA, PLAIN[:2])
    if between:
        others = [Document(f"o{number}", TEXT) for number in range(between)]
        studio.push(admin, corpus, "other", SCHEMA, others)
    studio.push(admin, corpus, "main", SCHEMA, PLAIN)
    given = [reading(PLAIN[0]), Annotation("d2", "a1", skipped=True)]
    studio.submit(site.person("a1"), corpus, "main", SCHEMA, documents, given)
    listed, tasks = [], Studio.tasks
    monkeypatch.setattr(Studio, "tasks", lambda *a, **b: listed.append(a) or tasks(*a, **b))
    readings, pulled, _ = take(admin, corpus, documents, tmp_path)
    assert readings == canonical(given, documents)
    assert (pulled.manifest.tasks, pulled.manifest.untouched) == (3, 1)
    assert len(listed) == bool(between)


def test_submit_again_submits_nothing(site):
    """A user submits one reading per document, whatever others have done."""
    admin, corpus = site.admin(), site.corpus()
    texts = {document.id: document for document in PLAIN}
    studio.push(admin, corpus, "main", SCHEMA, PLAIN)
    given = [reading(document) for document in PLAIN]
    one, two = site.person("a1"), site.person("a2")
    assert studio.submit(one, corpus, "main", SCHEMA, texts, given[:2]) == 2
    assert studio.submit(two, corpus, "main", SCHEMA, texts, given) == 3
    assert studio.submit(one, corpus, "main", SCHEMA, texts, given) == 1
    assert studio.submit(one, corpus, "main", SCHEMA, texts, given) == 0


def test_submit_without_project_or_task_says_what_to_do(site):
    """Submitting before a push is an error of use, with the command that is missing."""
    admin, corpus = site.admin(), site.corpus()
    with pytest.raises(UsageError) as error:
        studio.submit(admin, corpus, "main", SCHEMA, {}, [])
    what = f"{site.server.url}: no project of '{corpus}/main'"
    assert str(error.value) == f"{what}; push it first: toolkit push"
    done = studio.push(admin, corpus, "main", SCHEMA, PLAIN[:1])
    with pytest.raises(UsageError) as error:
        studio.submit(admin, corpus, "main", SCHEMA, {}, [reading(PLAIN[1])])
    assert str(error.value) == f"project {done.id}: no task of d1; push first: toolkit push"


REFUSED = {
    "unknown label": ([region("r", 0, 5, "PLANET")], ["unknown-label"]),
    "reversed": ([region("r", 5, 0, "PARTY")], ["reversed"]),
    "empty": ([region("r", 5, 5, "PARTY")], ["empty"]),
    "beyond the end": ([region("r", 0, 5000, "PARTY")], ["outside-text"]),
    "before the start": ([region("r", -1, 5, "PARTY")], ["outside-text"]),
    "offsets that are no numbers": ([region("r", "0", 5.0, "PARTY")], ["invalid-region"]),
    "several labels": ([region("r", 0, 5, "PARTY", "DATE")], ["invalid-region"]),
    "no label": ([region("r", 0, 5)], ["invalid-region"]),
    "one id for two regions": (
        [region("r", 0, 5, "PARTY"), region("r", 15, 19, "PARTY")],
        ["duplicate-id"],
    ),
    "unknown field": (
        [region("r", 0, 5, "PARTY"), answer("r", "mood", "sad")],
        ["unknown-control"],
    ),
    "labels of another control": ([region("r", 0, 5, "PARTY", control="x")], ["unknown-control"]),
    "field of no region": ([answer("r", "kind", "pledge")], ["unknown-control"]),
    "item of no kind": ([{"id": "r", "value": 7}], ["unknown-control"]),
    "unknown value": (
        [region("r", 0, 5, "COMMITMENT"), answer("r", "kind", "promise")],
        ["unknown-value"],
    ),
    "flag of another value": (
        [region("r", 0, 5, "COMMITMENT"), answer("r", "adverse", "perhaps")],
        ["unknown-value"],
    ),
    "several values": (
        [region("r", 0, 5, "COMMITMENT"), answer("r", "kind", "pledge", "plan")],
        ["several-values"],
    ),
    "field of another label": (
        [region("r", 0, 5, "PARTY"), answer("r", "kind", "pledge")],
        ["unknown-attribute"],
    ),
    "dangling relation": (
        [region("r", 0, 5, "COMMITMENT"), link("r", "gone", "promisor")],
        ["dangling-relation"],
    ),
    "relation without a type": (
        [region("r", 0, 19, "COMMITMENT"), region("s", 0, 5, "PARTY"), link("r", "s")],
        ["unknown-relation"],
    ),
    "relation the wrong way": (
        [region("r", 0, 19, "COMMITMENT"), region("s", 0, 5, "PARTY"), link("s", "r", "promisor")],
        ["wrong-relation"],
    ),
    "two faults": (
        [region("r", 5, 0, "PLANET"), link("r", "r", "amount")],
        ["reversed", "unknown-label", "wrong-relation"],
    ),
}


def test_what_cannot_be_accepted_is_set_aside_with_its_rule(site, tmp_path):
    """The server takes anything; the pull names the rule each annotation breaks, and keeps it whole."""
    admin, corpus = site.admin(), site.corpus()
    documents = {name: Document(name, TEXT) for name in [*REFUSED, "good"]}
    studio.push(admin, corpus, "main", SCHEMA, list(documents.values()))
    tasks = task_ids(admin, corpus)
    person = site.person("a1")
    for name, (result, _) in REFUSED.items():
        person.annotate(tasks[name], result)
    person.annotate(tasks["good"], [region("r", 0, 5, "PARTY")])
    readings, pulled, history = take(admin, corpus, documents, tmp_path)
    assert {record["document"]: record["rules"] for record in pulled.quarantine} == {
        name: rules for name, (_, rules) in REFUSED.items()
    }
    kept = {record["document"]: history.events[record["event"]] for record in pulled.quarantine}
    assert {name: event.result for name, event in kept.items()} == {
        name: result for name, (result, _) in REFUSED.items()
    }
    assert {record["annotator"] for record in pulled.quarantine} == {"a1"}
    assert [annotation.document for annotation in readings] == ["good"]


def test_documents_that_do_not_match_are_set_aside(site, tmp_path):
    """A task of no document of ours, or with another text, is not read."""
    admin, corpus = site.admin(), site.corpus()
    studio.push(admin, corpus, "main", SCHEMA, PLAIN[:2])
    tasks = task_ids(admin, corpus)
    for name in ("d0", "d1"):
        site.person().annotate(tasks[name], [region("r", 0, 5, "PARTY")])
    changed = {"d1": replace(PLAIN[1], text="other")}
    _, pulled, _ = take(admin, corpus, changed, tmp_path)
    assert [(r["document"], r["rules"]) for r in pulled.quarantine] == [
        ("d0", ["unknown-document"]),
        ("d1", ["text-changed"]),
    ]


LINES = Document("lines", "Norway agreed\nto pay\r\nOslo")
ACCEPTED = {
    "region across lines, its text escaped": (
        [region("r", 7, 20, "COMMITMENT", text="agreed\\nto pay")],
        [Span(7, 20, "COMMITMENT", "r")],
        [],
    ),
    "region with another text": (
        [region("r", 0, 6, "PARTY", text="something else")],
        [Span(0, 6, "PARTY", "r")],
        [],
    ),
    "the same span drawn twice": (
        [
            region("r", 7, 20, "COMMITMENT"),
            region("twin", 7, 20, "COMMITMENT"),
            region("p", 0, 6, "PARTY"),
            answer("twin", "kind", "plan"),
            link("twin", "p", "promisor"),
            link("r", "p", "promisor"),
        ],
        [Span(7, 20, "COMMITMENT", "r", attributes={"kind": "plan"}), Span(0, 6, "PARTY", "p")],
        [Relation("promisor", "r", "p")],
    ),
    "the same span with two labels": (
        [region("r", 0, 6, "PARTY"), region("s", 0, 6, "DATE")],
        [Span(0, 6, "PARTY", "r"), Span(0, 6, "DATE", "s")],
        [],
    ),
    "overlap inside a layer": (
        [region("r", 0, 6, "PARTY"), region("s", 3, 10, "PARTY")],
        [Span(0, 6, "PARTY", "r"), Span(3, 10, "PARTY", "s")],
        [],
    ),
    "fields emptied again": (
        [
            region("r", 7, 20, "COMMITMENT"),
            answer("r", "kind"),
            answer("r", "adverse"),
            answer("r", "commitment_id", "", kind="textarea")
            | {"value": {"start": 7, "end": 20, "text": [""]}},
        ],
        [Span(7, 20, "COMMITMENT", "r")],
        [],
    ),
    "arrow to the left": (
        [
            region("p", 0, 6, "PARTY"),
            region("r", 7, 20, "COMMITMENT"),
            link("p", "r", "promisor", direction="left"),
        ],
        [Span(0, 6, "PARTY", "p"), Span(7, 20, "COMMITMENT", "r")],
        [Relation("promisor", "r", "p")],
    ),
    "nothing marked": ([], [], []),
}


def test_what_people_draw_is_read_by_its_offsets(site, tmp_path):
    """Label Studio's own texts, double clicks and arrows do not matter; nothing else is lost."""
    admin, corpus = site.admin(), site.corpus()
    documents = {name: replace(LINES, id=name) for name in ACCEPTED}
    studio.push(admin, corpus, "main", SCHEMA, list(documents.values()))
    tasks, person = task_ids(admin, corpus), site.person("a1")
    for name, (result, _, _) in ACCEPTED.items():
        person.annotate(tasks[name], result)
    readings, pulled, _ = take(admin, corpus, documents, tmp_path)
    assert pulled.quarantine == ()
    drawn = [
        Annotation(name, "a1", tuple(spans), tuple(relations))
        for name, (_, spans, relations) in ACCEPTED.items()
    ]
    assert readings == canonical(drawn, documents)


def test_skipping_drops_what_was_drawn_before(site, tmp_path):
    """A skipped document has no spans, although Label Studio keeps what had been drawn."""
    admin, corpus = site.admin(), site.corpus()
    texts = {document.id: document for document in PLAIN[:1]}
    studio.push(admin, corpus, "main", SCHEMA, PLAIN[:1])
    drawn = [region("r", 5, 0, "PLANET")]
    site.person("a1").annotate(task_ids(admin, corpus)["d0"], drawn, was_cancelled=True)
    readings, pulled, _ = take(admin, corpus, texts, tmp_path)
    assert readings == [Annotation("d0", "a1", skipped=True)]
    assert pulled.quarantine == ()


def test_newest_annotation_of_a_user_counts(site, tmp_path):
    """A second annotation supersedes the first, and an edit of the first supersedes both."""
    admin, corpus = site.admin(), site.corpus()
    texts = {document.id: document for document in PLAIN}
    studio.push(admin, corpus, "main", SCHEMA, PLAIN)
    task, person = task_ids(admin, corpus)["d1"], site.person("a1")
    for end in (5, 10):
        person.annotate(task, [region("r", 0, end, "PARTY")])
    readings, pulled, history = take(admin, corpus, texts, tmp_path)
    assert [[span.end for span in found.spans] for found in readings] == [[10]]
    assert (pulled.manifest.superseded, pulled.manifest.untouched) == (1, 2)
    first = min(event.annotation for event in history.events.values())
    body = {"result": [region("r", 0, 14, "PARTY")]}
    site.call("PATCH", f"/api/annotations/{first}/", json=body)
    readings, _, _ = take(admin, corpus, texts, tmp_path)
    assert [[span.end for span in found.spans] for found in readings] == [[14]]


def test_an_annotation_saved_again_as_it_was_is_the_newest(site, tmp_path):
    """Of two annotations of one person the one saved last counts, changed or not; pulled at once or not."""
    admin, corpus = site.admin(), site.corpus()
    texts = {document.id: document for document in PLAIN}
    studio.push(admin, corpus, "main", SCHEMA, PLAIN)
    task, person = task_ids(admin, corpus)["d1"], site.person("a1")
    for end in (5, 10):
        person.annotate(task, [region("r", 0, end, "PARTY")])
    _, pulled, history = take(admin, corpus, texts, tmp_path)
    history.write(pulled.manifest)
    first = min(event.annotation for event in history.events.values())
    body = {"result": [region("r", 0, 5, "PARTY")]}
    site.call("PATCH", f"/api/annotations/{first}/", json=body)
    readings, _, history = take(admin, corpus, texts, tmp_path)
    assert [[span.end for span in found.spans] for found in readings] == [[5]]
    assert [event.annotation == first for event in history.events.values()] == [True, False, True]
    assert take(admin, corpus, texts, tmp_path / "anew")[0] == readings


def test_annotations_of_deleted_users_are_set_aside(site, tmp_path):
    """The server forgets who they were; two of them must not pass for one."""
    admin, corpus = site.admin(), site.corpus()
    studio.push(admin, corpus, "main", SCHEMA, PLAIN[:1])
    task = task_ids(admin, corpus)["d0"]
    for name in ("leaver1", "leaver2"):
        person = site.person(name)
        person.annotate(task, [region("r", 0, 5, "PARTY")])
        site.call("DELETE", f"/api/users/{person.user}/")
    readings, pulled, _ = take(admin, corpus, {"d0": PLAIN[0]}, tmp_path)
    assert readings == []
    assert [record["rules"] for record in pulled.quarantine] == [["unknown-annotator"]] * 2


def test_strangers_get_a_keyed_pseudonym(site, tmp_path):
    """Who was not invited by the toolkit is named by a hash, the same every time and no address."""
    admin, corpus = site.admin(), site.corpus()
    studio.push(admin, corpus, "main", SCHEMA, PLAIN[:1])
    admin.annotate(task_ids(admin, corpus)["d0"], [region("r", 0, 5, "PARTY")])
    named = {take(admin, corpus, {"d0": PLAIN[0]}, tmp_path)[0][0].annotator for _ in range(2)}
    (name,) = named
    assert (name[0], len(name), int(name[1:], 16) >= 0) == ("u", 9, True)
    assert studio.pseudonyms(["ADMIN@example.com"]) == {"ADMIN@example.com": name}
    assert (site.home / "pseudonym.key").stat().st_mode & 0o777 == 0o600


def test_invited_people_are_made_once(site):
    """A second invitation gives the same person; logins lie in a private file, address unseen."""
    first, second = studio.invite(site.server, "b1"), studio.invite(site.server, "b1")
    assert first == second
    assert studio.pseudonyms([first.email]) == {first.email: "b1"}
    assert (site.home / "annotators.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("pseudonym", ["", "gold", "A1", "../x", "a b", "a/b", "-x", "ä", "a" * 33])
def test_pseudonyms_must_do_as_file_names(pseudonym):
    """A name that would overwrite another file is refused before any request."""
    with pytest.raises(UsageError) as error:
        studio.invite(studio.Server("http://127.0.0.1:1"), pseudonym)
    cure = "use small letters, digits, - and _, and not the word gold"
    assert str(error.value) == f"pseudonym {pseudonym!r}: {cure}"


def test_taken_address_is_an_error_with_a_cure(site, tmp_path, monkeypatch):
    """A user whose login was lost cannot be made again; the error says what to do."""
    studio.invite(site.server, "c1")
    monkeypatch.setenv("TOOLKIT_HOME", str(tmp_path))
    with pytest.raises(UnusableAnswerError) as error:
        studio.invite(site.server, "c1")
    what = f"{site.server.url}: the user c1@example.com could not sign up (200)"
    assert str(error.value) == f"{what}; if it exists already, choose another pseudonym"


# ── the commands ────────────────────────────────────────────────────────────────────────────────


def test_push_command_reports_and_repeats(site, command, tmp_path):
    """The JSON counts what was done; a second push does nothing; a changed annotated text is exit 4."""
    root = write_corpus(tmp_path / "c", site.corpus(), PLAIN)
    keys = ("created", "updated", "unchanged", "skipped", "quarantined", "schema_updated")
    code, told, _ = command("push", root)
    assert (code, [told[key] for key in keys]) == (0, [3, 0, 0, 0, 0, False])
    code, told, _ = command("push", root)
    assert (code, [told[key] for key in keys]) == (0, [0, 0, 3, 0, 0, False])
    texts = {document.id: document for document in PLAIN}
    name = (root / "corpus.yaml").read_text().split()[1]
    studio.submit(site.person(), name, "main", SCHEMA, texts, [reading(PLAIN[0])])
    changed = [replace(document, text=document.text + "!") for document in PLAIN]
    write_corpus(root, name, changed)
    code, told, messages = command("push", root)
    assert (code, [told[key] for key in keys]) == (4, [0, 2, 0, 0, 1, False])
    assert "d0: the text changed after task" in messages


def test_pull_command_gives_each_annotator_a_file(site, command, tmp_path):
    """Two people in one project fill two files; pulling again changes no byte of them."""
    root = write_corpus(tmp_path / "c", site.corpus(), PLAIN)
    name = (root / "corpus.yaml").read_text().split()[1]
    command("push", root)
    texts = {document.id: document for document in PLAIN}
    for pseudonym in ("a1", "a2"):
        given = [reading(document, pseudonym, lead_time=2.0) for document in PLAIN]
        studio.submit(site.person(pseudonym), name, "main", SCHEMA, texts, given)
    keys = ("created", "updated", "unchanged", "quarantined", "annotators")
    code, told, _ = command("pull", root)
    assert (code, [told[key] for key in keys]) == (0, [6, 0, 0, 0, ["a1", "a2"]])
    written = {path.name: path.read_bytes() for path in (root / "annotators").iterdir()}
    assert sorted(written) == ["a1.jsonl", "a2.jsonl"]
    assert files.read_jsonl(root / "annotators" / "a2.jsonl", Annotation) == [
        reading(document, "a2", lead_time=2.0).canonical(document.text) for document in PLAIN
    ]
    code, told, _ = command("pull", root)
    assert (code, [told[key] for key in keys]) == (0, [0, 0, 6, 0, ["a1", "a2"]])
    assert {p.name: p.read_bytes() for p in (root / "annotators").iterdir()} == written


def test_pull_command_sets_aside_with_exit_4(site, command, tmp_path):
    """What is refused goes to quarantine.jsonl and the rest is written; no address in any file."""
    root = write_corpus(tmp_path / "c", site.corpus(), PLAIN)
    name = (root / "corpus.yaml").read_text().split()[1]
    command("push", root)
    tasks = task_ids(site.admin(), name)
    site.person("a1").annotate(tasks["d0"], [region("r", 0, 5, "PARTY")])
    site.person("a1").annotate(tasks["d1"], [region("r", 0, 5, "PLANET")])
    code, told, messages = command("pull", root)
    assert (code, told["created"], told["quarantined"], told["untouched"]) == (4, 1, 1, 1)
    assert str(root / "quarantine.jsonl") in messages
    (record,) = files.iter_jsonl(root / "quarantine.jsonl")
    assert (record["document"], record["rules"]) == ("d1", ["unknown-label"])
    written = b"".join(path.read_bytes() for path in root.rglob("*.jsonl"))
    assert b"@example.com" not in written


def test_pull_before_push_is_an_error_of_use(site, command, tmp_path):
    """Without a project the command says which is missing."""
    corpus = site.corpus()
    code, told, messages = command("pull", write_corpus(tmp_path / "c", corpus, PLAIN))
    what = f"error: {site.server.url}: no project of '{corpus}'; push it first: toolkit push\n"
    assert (code, told, messages) == (2, None, what)


# ── tokens and addresses ────────────────────────────────────────────────────────────────────────


def tampered(token):
    """A token that is well made and not genuine."""
    return token[:-6] + ("AAAAAA" if token[-6:] != "AAAAAA" else "BBBBBB")


@pytest.mark.parametrize("kind", ["legacy", "personal"])
def test_wrong_token_ends_with_11_and_is_never_printed(site, monkeypatch, capsys, tmp_path, kind):
    """Either kind of wrong token gives one line, without the token and without a traceback."""
    genuine = {"legacy": site.server.api_key, "personal": studio.invite(site.server, "a1").api_key}
    token = tampered(genuine[kind])
    monkeypatch.setenv("LABEL_STUDIO_URL", site.server.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", token)
    code = run(["push", str(write_corpus(tmp_path / "c", "c", PLAIN))])
    printed = capsys.readouterr()
    cure = "check LABEL_STUDIO_API_KEY (Account & Settings in Label Studio shows it)"
    assert (code, printed.out) == (11, "")
    assert printed.err == f"error: {site.server.url}: the token was refused; {cure}\n"


def test_expired_token_is_refused_before_any_request():
    """A personal token says when it ends."""
    parts = [
        base64.urlsafe_b64encode(part).rstrip(b"=") for part in (b'{"alg":"HS256"}', b'{"exp":9}')
    ]
    with pytest.raises(NotAllowedError):
        studio.connect("http://127.0.0.1:9", (b".".join(parts) + b".c2ln").decode())


def test_server_that_is_down_ends_with_10(monkeypatch, capsys, tmp_path):
    """Nobody listens: one line and exit 10."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        monkeypatch.setenv("LABEL_STUDIO_URL", url)
        monkeypatch.setenv("LABEL_STUDIO_API_KEY", "0" * 40)
        code = run(["push", str(write_corpus(tmp_path / "c", "c", PLAIN))])
    cure = "check the address, or: toolkit studio start"
    assert (code, capsys.readouterr().err) == (
        10,
        f"error: {url}: cannot be reached (ConnectError); {cure}\n",
    )


@pytest.mark.parametrize(
    ("url", "token", "line"),
    [
        ("", "t", "LABEL_STUDIO_URL is not set; set it, or start a server: toolkit studio start"),
        (
            "http://127.0.0.1:1",
            "",
            "LABEL_STUDIO_API_KEY is not set; set it, or start a server: toolkit studio start",
        ),
        (
            "http://127.0.0.1:1",
            "tök",
            "LABEL_STUDIO_API_KEY holds characters no token has; copy it again",
        ),
        (
            "127.0.0.1:8080",
            "t",
            "LABEL_STUDIO_URL: '127.0.0.1:8080' is not http(s)://host[:port]; mend it",
        ),
        (
            "http://127.0.0.1:99999",
            "t",
            "LABEL_STUDIO_URL: 'http://127.0.0.1:99999' is not http(s)://host[:port]; mend it",
        ),
        (
            "http://[::1",
            "t",
            "LABEL_STUDIO_URL: 'http://[::1' is not http(s)://host[:port]; mend it",
        ),
        (
            "https://ann:secret@example.com",
            "t",
            "LABEL_STUDIO_URL: the address is not http(s)://host[:port]; mend it",
        ),
        (
            "http://example.com",
            "t",
            (
                "LABEL_STUDIO_URL: http://example.com would send the token in clear;"
                " use https, or set TOOLKIT_ALLOW_HTTP=1 inside a trusted network"
            ),
        ),
    ],
)
def test_address_and_token_are_checked_first(url, token, line):
    """What cannot be right is refused without a request."""
    with pytest.raises(UsageError) as error:
        studio.connect(url, token)
    assert str(error.value) == line


def test_token_is_not_taken_along_to_another_place(fake_class):
    """A redirect is refused: nobody else gets to see the token."""
    with fake_class() as fake, fake_class() as other:
        fake.redirect = other.url
        with pytest.raises(UnusableAnswerError) as error:
            studio.connect(fake.url, fake.token)
        assert other.requests == []
    cure = "give the address Label Studio's own pages have"
    assert str(error.value) == f"{fake.url}: answered 302, but not as Label Studio does; {cure}"


# ── faults on the wire ──────────────────────────────────────────────────────────────────────────

HICCUPS = ("drop", "html", "500", "late")
WRITES = [f"{kind} {when}" for kind in HICCUPS for when in ("before", "after")] + ["cut", "twice"]


@pytest.fixture
def fake(fake_class, tmp_path, monkeypatch):
    """A pretend server of the test's own."""
    monkeypatch.setenv("TOOLKIT_HOME", str(tmp_path))
    with fake_class() as server:
        yield server


def meet(fake, kind=""):
    """A connection that loses patience with an answer that is late."""
    return studio.connect(fake.url, fake.token, patience=1 if kind.startswith("late") else 60)


def names(fake):
    """The document of every task."""
    fake.settle()
    return sorted(task["data"]["document"] for task in fake.tasks.values())


@pytest.mark.parametrize("kind", WRITES)
def test_import_survives_any_fault(fake, monkeypatch, kind):
    """Whatever befalls an import, the push or the one after it leaves each document there once."""
    monkeypatch.setattr("toolkit.studio.pushing.BATCH", 200)
    documents = [Document(f"d{number:03}", f"text {number}") for number in range(250)]
    fake.fail("POST", "/import", "ok", kind)
    done = studio.push(meet(fake, kind), "c", "main", SCHEMA, documents)
    assert (counts(done), done.removed) == ((250, 0, 0, 0), 50 if kind == "twice" else 0)
    fake.settle()
    again = studio.push(meet(fake, kind), "c", "main", SCHEMA, documents)
    assert counts(again) == (0, 0, 250, 0)
    assert names(fake) == [document.id for document in documents]


@pytest.mark.parametrize(
    "kind", ["drop before", "drop after", "500 before", "500 after", "late after"]
)
def test_import_that_keeps_failing_ends_in_an_error(fake, kind):
    """After so many tries without success the push says so; the next one mends it."""
    fake.fail("POST", "/import", *[kind] * wire.ATTEMPTS)
    if kind.endswith("after"):
        studio.push(meet(fake, kind), "c", "main", SCHEMA, PLAIN)
    else:
        with pytest.raises((UnreachableError, UnusableAnswerError)):
            studio.push(meet(fake, kind), "c", "main", SCHEMA, PLAIN)
        assert names(fake) == []
    fake.faults.clear()
    studio.push(meet(fake, kind), "c", "main", SCHEMA, PLAIN)
    assert names(fake) == ["d0", "d1", "d2"]


@pytest.mark.parametrize("kind", ["drop before", "drop after", "500 after", "html after", "cut"])
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/api/projects/"), ("PATCH", "/")], ids=["create", "update"]
)
def test_other_writes_are_mended_by_the_next_push(fake, method, path, kind):
    """A project or a task that may not have arrived is found or sent again, never doubled."""
    if method == "PATCH":
        studio.push(meet(fake, kind), "c", "main", SCHEMA, PLAIN)
    newer = replace(SCHEMA, sha256="2" * 64)
    changed = [replace(document, text=document.text + "!") for document in PLAIN]
    fake.fail(method, path, kind)
    try:
        studio.push(meet(fake, kind), "c", "main", newer, changed)
    except ToolkitError as error:
        assert error.exit_code in {10, 12}  # noqa: PT017 - not every fault is an error
    fake.settle()
    studio.push(meet(fake, kind), "c", "main", newer, changed)
    configs = {project["label_config"] for project in fake.projects.values()}
    texts = [task["data"]["text"] for task in fake.tasks.values()]
    assert (configs, texts) == ({page(newer)}, [document.text for document in changed])


def test_two_projects_of_one_key_are_one(fake):
    """When two machines make the project at once, both go on with the older."""
    fake.fail("POST", "/api/projects/", "twice")
    done = studio.push(meet(fake), "c", "main", SCHEMA, PLAIN)
    assert (len(fake.projects), done.id) == (2, min(fake.projects))
    assert studio.push(meet(fake), "c", "main", SCHEMA, PLAIN).unchanged == 3


def test_project_is_found_among_hundreds(fake):
    """A project on a later page of the list is found, not made again."""
    done = studio.push(meet(fake), "c", "main", SCHEMA, PLAIN)
    for number in range(250):
        fake.projects[10_000 + number] = fake.projects[done.id] | {
            "id": 10_000 + number,
            "description": "theirs",
        }
    assert studio.push(meet(fake), "c", "main", SCHEMA, PLAIN).id == done.id


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/api/projects/", "drop before"),
        ("/api/tasks/", "cut"),
        ("/api/users/", "500 before"),
    ],
)
def test_reading_is_tried_again(fake, tmp_path, path, kind):
    """A list that fails once is asked for again."""
    admin = meet(fake, kind)
    studio.push(admin, "c", "main", SCHEMA, PLAIN)
    fake.fail("GET", path, kind)
    studio.push(admin, "c", "main", SCHEMA, PLAIN)
    assert take(admin, "c", {}, tmp_path)[0] == []
    assert not fake.faults


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("drop before", 10),
        ("cut", 10),
        ("late before", 10),
        ("html before", 12),
        ("500 before", 10),
    ],
)
def test_broken_export_writes_nothing(fake, monkeypatch, capsys, tmp_path, kind, code):
    """A pull that cannot read the export leaves the corpus as it was, and the next one does the work."""
    monkeypatch.setenv("LABEL_STUDIO_URL", fake.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", fake.token)
    root = write_corpus(tmp_path / "c", "c", PLAIN)
    assert run(["push", str(root)]) == 0
    texts = {document.id: document for document in PLAIN}
    admin = meet(fake, kind)
    studio.submit(admin, "c", "main", SCHEMA, texts, [reading(PLAIN[0])])
    before = sorted(path.name for path in root.rglob("*"))
    fake.fail("GET", "/export", *[kind] * 3 * wire.ATTEMPTS)
    with pytest.raises(ToolkitError) as error:
        take(admin, "c", texts, root)
    assert error.value.exit_code == code
    fake.settle()
    if not kind.startswith("late"):
        assert run(["pull", str(root)]) == code
    assert sorted(path.name for path in root.rglob("*")) == before
    fake.faults.clear()
    assert run(["pull", str(root)]) == 0


def test_list_that_shrinks_while_it_is_read_is_not_believed(fake):
    """The SDK takes a 404 for the end of a list; a list with a gap would be pushed twice."""
    admin = meet(fake)
    studio.push(admin, "c", "main", SCHEMA, PLAIN)
    fake.claimed = 7
    with pytest.raises(UnusableAnswerError) as error:
        studio.push(admin, "c", "main", SCHEMA, PLAIN)
    what = f"{fake.url}: 3 tasks were listed, and 7 more are said to be there"
    assert str(error.value) == f"{what}; run it again"


def test_task_that_breaks_the_export_is_set_aside_alone(site, tmp_path):
    """A lone surrogate of somebody else costs its own annotations and nobody else's."""
    admin, corpus = site.admin(), site.corpus()
    documents = {f"d{n}": Document(f"d{n}", f"{TEXT} ({n})") for n in range(9)}
    done = studio.push(admin, corpus, "main", SCHEMA, list(documents.values()))
    tasks = task_ids(admin, corpus)
    import_it = {
        "method": "POST",
        "path": f"/api/projects/{done.id}/import?return_task_ids=true",
        "content": b'[{"data": {"text": "x \\ud800", "title": "", "document": "x"}}]',
        "headers": {"Content-Type": "application/json"},
    }
    if site.server.database != "SQLite":
        with pytest.raises(httpx.HTTPStatusError):
            site.call(**import_it)  # PostgreSQL takes no such text in the first place.
        return
    (broken,) = site.call(**import_it)["task_ids"]
    person = site.person("a1")
    for task in (*tasks.values(), broken):
        person.annotate(task, [region("r", 0, 5, "PARTY")])
    readings, pulled, _ = take(admin, corpus, documents, tmp_path)
    assert [annotation.document for annotation in readings] == list(documents)
    assert [(record["task"], record["rules"]) for record in pulled.quarantine] == [
        (broken, ["unexportable"])
    ]
    counted = pulled.manifest
    assert (counted.annotations, counted.read, counted.quarantined) == (10, 9, 1)
    again = studio.push(admin, corpus, "main", SCHEMA, list(documents.values()))
    assert counts(again) == (0, 0, 9, 0)


# ── values ──────────────────────────────────────────────────────────────────────────────────────


def test_page_is_the_same_text_every_time():
    """The config can be compared as text; nothing around it for a server to trim."""
    assert page(COMMITMENTS) == page(Schema.load(ROOT / "schemas" / "commitments.yaml"))
    assert page(SCHEMA) == page(SCHEMA).strip()
    assert f"{SCHEMA.name} {SCHEMA.version} {SCHEMA.sha256}" in page(SCHEMA)


@pytest.mark.parametrize("name", HOSTILE)
def test_result_and_back_is_the_same_reading(name):
    """`from_result(to_result(x))` is x, without a server."""
    mark = HOSTILE[name]
    document = Document("d", f"{mark}Paris{mark} will pay{mark} Rome{mark}")
    result = json.loads(json.dumps(to_result(reading(document), SCHEMA, document)))
    found, faults = from_result(result, SCHEMA, document, place="here")
    assert (found, faults) == (reading(document, ""), [])
