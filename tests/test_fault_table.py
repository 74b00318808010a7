"""The table of faults: what befalls a push, a pull, a schema or a document, and how it has to end.

Each fault has an id and a test that is named after it, or stands in `COVERED` with the tests that prove
it elsewhere. Faults of the wire come from a proxy between the command line and the server, and meet
the pretend and the real Label Studio alike.
"""

import ast
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import cycle
from pathlib import Path

import pytest

from toolkit import cli, files, studio
from toolkit.cli.exchange import pull_corpus
from toolkit.corpus import Corpus
from toolkit.errors import InvalidDataError
from toolkit.spans import Annotation, Document, Span
from toolkit.studio import wire

ROOT = Path(__file__).parent.parent
TEXT = "Paris will pay Rome 5 euros by May."
DOCUMENTS = tuple(Document(f"d{number}", f"{TEXT} ({number})") for number in range(6))
NAMES = [document.id for document in DOCUMENTS]
COUNTS = ("created", "updated", "unchanged", "quarantined")

SIZES = {"P": 10, "L": 11, "H": 9, "S": 4, "D": 6, "X": 4, "V": 10}
TABLE = [f"{kind}{number:02}" for kind, size in SIZES.items() for number in range(1, size + 1)]
"""Pushes, pulls, hosts, schemas, disks, processes and values."""

ELSEWHERE = dict.fromkeys(
    ("P06", "L01", "D01", "D02", "D03", "D04", "D05", "D06"), "tests/test_sweeps.py"
)
"""What befalls the process or the disk at any moment."""

COVERED = {
    "S02": (
        "test_migration.py::test_readings_and_gold_are_migrated_on_read",
        "test_page.py::test_what_was_drawn_on_the_older_page_is_pulled_under_the_new_schema",
        "test_page.py::test_what_a_migration_covers_is_safe",
    ),
    "X02": (
        "test_studio_server.py::test_start_that_is_killed_is_cleaned_up_by_stop",
        "test_studio_server.py::test_foreign_process_is_never_ended",
        "test_studio_server.py::test_second_start_gives_the_same_server",
    ),
    "X03": (
        "test_studio_server.py::test_taken_port_is_exit_2",
        "test_studio_server.py::test_server_on_another_port_is_not_taken_for_ours",
        "test_studio_server.py::test_two_starts_at_once_make_one_server",
        "test_studio_server.py::test_lock_names_its_holder_and_is_freed",
    ),
    "V06": (
        "test_studio.py::test_submit_and_pull_lose_nothing",
        "test_studio.py::test_nul_is_refused_for_every_server_with_its_place",
    ),
    "V07": (
        "test_studio.py::test_invalid_documents_are_refused_before_any_request",
        "test_faults.py::test_spoilt_corpus",
        "test_files.py::test_jsonl_names_the_byte_that_is_not_utf8",
    ),
    "V08": (
        "test_studio.py::test_submit_and_pull_lose_nothing",
        "test_browser.py::test_what_a_person_draws_is_what_a_pull_brings",
    ),
    "V09": (
        "test_studio.py::test_submit_and_pull_lose_nothing",
        "test_files.py::test_only_a_line_feed_ends_a_record",
        "test_files.py::test_text_is_read_exactly",
    ),
    "V10": ("test_files.py::test_jsonl_fault",),
}
"""What other tests prove in full."""


@dataclass
class Done:
    """How a command ended: its exit code, its JSON object, and its messages."""

    code: int
    told: dict
    said: str

    @property
    def counts(self):
        """The code and what was counted."""
        return self.code, [self.told[name] for name in COUNTS]


@dataclass
class Line:
    """A corpus, a server, and a proxy between them that spoils what it is told to."""

    site: object
    proxy: object
    root: Path
    name: str
    token: str
    capsys: object

    def run(self, *words):
        """Run a command on the corpus. It never tells a token, nor writes an address."""
        code = cli.run([words[0], str(self.root), *map(str, words[1:]), "--json"])
        printed = self.capsys.readouterr()
        self.proxy.settle()
        assert self.token not in printed.out + printed.err
        assert "Traceback" not in printed.err
        written = b"".join(p.read_bytes() for p in self.root.rglob("*") if p.is_file())
        assert b"@example.com" not in written
        return Done(code, json.loads(printed.out) if printed.out else {}, printed.err)

    def push(self, *words):
        """Push the corpus."""
        return self.run("push", *words)

    def pull(self, *words):
        """Pull the corpus."""
        return self.run("pull", *words)

    def spoil(self, method, where, *kinds):
        """Let the next requests meet faults."""
        self.proxy.script(method, where, *kinds)

    def write(self, documents=DOCUMENTS, schema="commitments"):
        """The corpus on disk."""
        files.write_text(self.root / "corpus.yaml", f"name: {self.name}\nschema: {schema}\n")
        files.write_jsonl(self.root / "documents.jsonl", documents)

    @property
    def project(self):
        """The corpus's project, the oldest if there are several."""
        return studio.find(self.site.admin(), self.name)[0]

    @property
    def held(self):
        """The documents of the tasks on the server, each as often as it is there."""
        self.proxy.settle()
        tasks = self.site.admin().tasks(self.project)
        return sorted(task.data.get("document", "") for task in tasks)

    @property
    def tasks(self):
        """The number of each document's task."""
        return {t.data["document"]: t.id for t in self.site.admin().tasks(self.project)}

    def mark(self, *names, label="PARTY", person="a1", **facts):
        """Let a person mark the first word of documents."""
        connection, tasks = self.site.person(person), self.tasks
        for name in names:
            connection.annotate(tasks[name], [region(label)], **facts)

    def annotations(self, name):
        """The numbers of the annotations of a document."""
        found = self.site.call("GET", f"/api/tasks/{self.tasks[name]}/annotations/")
        return [annotation["id"] for annotation in found]

    @property
    def readings(self):
        """What was pulled: the labels by document, of each annotator."""
        return {
            name: {
                reading.document: [span.label for span in reading.spans]
                for reading in Corpus.load(self.root).annotations(name)
            }
            for name in Corpus.load(self.root).annotators
        }

    @property
    def events(self):
        """The lines of the corpus's history."""
        return (self.root / "history" / "main.jsonl").read_text().splitlines()

    def asked(self, method, where):
        """The requests that came to the proxy for a place."""
        return [s for s in self.proxy.log if s.method == method and re.search(where, s.path)]


def region(label, start=0, end=5):
    """A region as Label Studio keeps it."""
    place = {"start": start, "end": end, "labels": [label]}
    return {"id": "r", "from_name": "label", "to_name": "text", "type": "labels", "value": place}


def marks(*names):
    """The readings of who marked a party in each of these documents."""
    return {name: ["PARTY"] for name in names}


def state(root):
    """Every file of a folder: its bytes, its number and when it was written."""
    return {
        path: (path.read_bytes(), path.stat().st_ino, path.stat().st_mtime_ns)
        for path in root.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def build(proxy_class, tmp_path, monkeypatch, capsys):
    """Make a line to a site, with a corpus of its own."""

    @contextmanager
    def made(site, token=""):
        token = token or site.server.api_key
        monkeypatch.setenv("TOOLKIT_HOME", str(site.home))
        monkeypatch.setattr("toolkit.studio.pushing.BATCH", 4)
        monkeypatch.setattr("toolkit.studio.client.PAGE", 2)
        with proxy_class(site.server.url) as proxy:
            monkeypatch.setenv("LABEL_STUDIO_URL", proxy.url)
            monkeypatch.setenv("LABEL_STUDIO_API_KEY", token)
            line = Line(site, proxy, tmp_path / "c", site.corpus(), token, capsys)
            line.write()
            yield line

    return made


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.studio)])
def place(request):
    """The pretend and the real Label Studio."""
    return request.getfixturevalue(f"{request.param}_site")


@pytest.fixture
def line(place, build):
    """A line to either."""
    with build(place) as made:
        yield made


@pytest.fixture
def fake(fake_class):
    """A pretend server of the test's own."""
    with fake_class() as server:
        yield server


@pytest.fixture
def lone(fake, fake_site, build, tmp_path):
    """A line to it."""
    server = studio.Server(url=fake.url, api_key=fake.token)
    with build(type(fake_site)(server, tmp_path / "home")) as made:
        yield made


@pytest.fixture
def impatient(monkeypatch):
    """Let a whole answer take two seconds at most."""
    monkeypatch.setitem(studio.connect.__kwdefaults__, "patience", 2)


def wait_for(what):
    """The first value that is true, within a minute."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = what()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError("it did not happen")


@contextmanager
def meanwhile(line, method, where, act):
    """Do something when the server has answered a request, and the client has not seen it yet."""
    line.spoil(method, where, "late 1")

    def wait():
        wait_for(lambda: any(s.fault == "late 1" and s.forwarded for s in line.proxy.log))
        act()

    with ThreadPoolExecutor(1) as other:
        done = other.submit(wait)
        yield
        done.result()
    assert line.proxy.left == []


def foreign(line, project, names):
    """Import tasks that are not ours."""
    tasks = [{"data": {"text": name, "title": "theirs"}} for name in names]
    line.site.call("POST", f"/api/projects/{project}/import", json=tasks)


@contextmanager
def pushing(line, home):
    """A push in a process of its own, on a machine of its own."""
    program = "import toolkit.cli; toolkit.cli.main()"
    words = [sys.executable, "-c", program, "push", str(line.root), "--json"]
    environment = {**os.environ, "TOOLKIT_HOME": str(home)}
    process = subprocess.Popen(
        words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


# ── the table ───────────────────────────────────────────────────────────────────────────────────


def names_in(path):
    """The names of a file's tests."""
    tree = ast.parse(path.read_text("utf-8"))
    names = [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return [name for name in names if name.startswith("test_")]


def test_what_is_covered_is_there():
    """Every test that is said to prove a row exists."""
    for node in (node for nodes in COVERED.values() for node in nodes):
        name, _, test = node.partition("::")
        assert test in names_in(ROOT / "tests" / name), node


def test_no_row_is_forgotten():
    """Every id has a test here, or is proven elsewhere, and in one of the two places only."""
    named = re.compile(r"test_([A-Z]\d\d)_")
    here = {found[1] for name in names_in(Path(__file__)) if (found := named.match(name))}
    assert here | COVERED.keys() | ELSEWHERE.keys() == set(TABLE)
    assert len(here) + len(COVERED) + len(ELSEWHERE) == len(TABLE)


# ── pushes ──────────────────────────────────────────────────────────────────────────────────────

PLACES = {"project": "/api/projects/", "import": "/import"}


def check_push(line, where, kind):
    """A push that meets a fault brings each document once, and the next has nothing to do."""
    kinds = ("ok", kind) if where == "import" else (kind,)
    line.spoil("POST", PLACES[where], *kinds)
    done = line.push()
    assert (done.counts, line.proxy.left) == ((0, [6, 0, 0, 0]), [])
    assert line.held == NAMES
    assert line.push().counts == (0, [0, 0, 6, 0])
    assert line.held == NAMES
    return done


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("kind", ["drop before", "drop during"])
def test_P01_dropped_before_the_server_reads(line, where, kind):
    """What the server never had is sent again."""
    check_push(line, where, kind)


def test_P01_dropped_every_time(line):
    """The push ends with 10 and nothing is there; the next one says so and sends each once."""
    line.spoil("POST", "/import", *["drop before"] * wire.ATTEMPTS)
    assert (line.push().code, line.proxy.left, line.held) == (10, [], [])
    done = line.push()
    assert (done.counts, done.told["resumed"], line.held) == ((0, [6, 0, 0, 0]), True, NAMES)


@pytest.mark.parametrize("where", PLACES)
def test_P02_dropped_after_the_server_commits(line, where):
    """What was carried out without an answer is not sent a second time."""
    check_push(line, where, "drop after")


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("kind", ["cut", "short", "invalid json", "html after", "html before"])
def test_P03_answer_that_cannot_be_read(line, where, kind):
    """Nobody knows what became of it, so the server is asked what it has."""
    check_push(line, where, kind)


@pytest.mark.parametrize("where", PLACES)
def test_P04_answer_after_the_patience_is_over(line, impatient, where):
    """An answer that comes too late is no reason to send anything twice."""
    check_push(line, where, "late 2.5")


def test_P05_request_that_comes_twice(line):
    """The second tasks of a batch are removed, as nobody has worked on them."""
    assert check_push(line, "import", "twice").told["removed"] == 2


def test_P05_project_that_is_made_twice(line):
    """Push and pull go on with the older of the two."""
    check_push(line, "project", "twice")
    assert len(studio.find(line.site.admin(), line.name)) == 2
    line.mark("d0")
    assert [line.pull().counts for _ in range(2)] == [(0, [1, 0, 0, 0]), (0, [0, 0, 1, 0])]


def test_P05_second_task_that_was_annotated(line):
    """Work on both tasks of a document is kept and reported, with exit 4."""
    line.push()
    data = line.site.call("GET", f"/api/tasks/{line.tasks['d1']}/")["data"]
    line.mark("d1")
    first = line.tasks["d1"]
    line.site.call("POST", f"/api/projects/{line.project.id}/import", json=[{"data": data}])
    second = max(task.id for task in line.site.admin().tasks(line.project))
    line.site.person("a2").annotate(second, [region("PARTY")])
    done = line.push()
    assert done.counts == (4, [0, 0, 6, 1])
    what = f"d1: task {second} of project {line.project.id} is a second one"
    assert done.said == f"set aside: documents: {what}; delete one of the two in Label Studio\n"
    assert first < second
    assert line.held == sorted([*NAMES, "d1"])


def test_P07_two_pushes_at_once(line):
    """The second names the process that is at it and ends with 13; the first goes on."""
    line.spoil("POST", "/import", "late 2")
    connection, schema = studio.connect(line.proxy.url, line.token), Corpus.load(line.root).schema
    with ThreadPoolExecutor(1) as other:
        first = other.submit(studio.push, connection, line.name, "main", schema, DOCUMENTS)
        wait_for(lambda: line.asked("POST", "/import"))
        done = line.push()
        assert first.result().created == 6
    what = f"push to {line.name}/main: process {os.getpid()} is at it; wait for it to end"
    assert (done.code, done.said) == (13, f"error: {what}\n")
    assert line.held == NAMES


def test_P08_two_machines(line, tmp_path):
    """Two that see the same gap both fill it, and each document is there once in the end."""
    line.write(DOCUMENTS[:2])
    line.push()
    line.write()
    line.spoil("GET", "/api/tasks/", "late 4", "late 4")
    with (
        pushing(line, tmp_path / "one") as one,
        pushing(line, tmp_path / "two") as two,
    ):
        told = [json.loads(process.communicate(timeout=120)[0]) for process in (one, two)]
        assert [process.returncode for process in (one, two)] == [0, 0]
    assert line.push().counts == (0, [0, 0, 6, 0])
    assert line.held == NAMES
    assert sum(done["created"] - done["removed"] for done in told) == 4


def test_P09_foreign_tasks_by_the_thousand(lone, fake, monkeypatch):
    """They are left as they are, and cost a request per page of the list."""
    monkeypatch.setattr("toolkit.studio.client.PAGE", 1000)
    lone.write(DOCUMENTS[:1])
    lone.push()
    foreign(lone, lone.project.id, [f"t{number}" for number in range(2000)])
    theirs = {
        n: json.dumps(task) for n, task in fake.tasks.items() if "document" not in task["data"]
    }
    lone.write()
    lone.proxy.log.clear()
    assert lone.push().counts == (0, [5, 0, 1, 0])
    assert len(lone.proxy.log) <= 12
    assert lone.push().counts == (0, [0, 0, 6, 0])
    assert {n: json.dumps(fake.tasks[n]) for n in theirs} == theirs
    assert len(fake.tasks) == 2006


def refusing(fake, *names):
    """Let the server take no batch in which one of these documents is."""
    carry_out = next(act for method, path, act in fake.routes if path.endswith("/import"))

    def imported(request, number):
        found = [task["data"].get("document") for task in request.json]
        if set(names) & set(found):
            return 400, {"detail": "Validation error", "validation_errors": {"data": "too odd"}}
        return carry_out(request, number)

    fake.routes = [("POST", r"/api/projects/(\d+)/import", imported), *fake.routes]


def test_P10_task_that_is_refused(lone, fake):
    """The one that spoils its batch is set aside with the reason; all others are sent; exit 4."""
    refusing(fake, "d2", "d5")
    done = lone.push()
    assert done.counts == (4, [4, 0, 0, 2])
    reason = (
        "Label Studio refuses its task ({'data': 'too odd'}); mend the document, or take it out"
    )
    assert done.said.splitlines() == [
        f"set aside: documents: {name}: {reason}" for name in ("d2", "d5")
    ]
    assert lone.held == ["d0", "d1", "d3", "d4"]
    assert lone.push().counts == (4, [0, 0, 4, 2])
    fake.routes.pop(0)
    assert lone.push().counts == (0, [2, 0, 4, 0])
    assert lone.held == NAMES


def test_P10_server_that_refuses_everything(lone, fake):
    """Not the documents are at fault then: nothing is set aside, and the answer is shown."""
    documents = [Document(f"d{number}", f"text {number}") for number in range(30)]
    lone.write(documents)
    refusing(fake, *(document.id for document in documents))
    done = lone.push()
    what = "answered 400 ({'data': 'too odd'}); mend what it names"
    assert (done.code, done.said) == (12, f"error: {lone.proxy.url}: {what}\n")
    assert len(lone.asked("POST", "/import")) < 60


# ── pulls ───────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def marked(line):
    """A line whose first three documents are annotated, not pulled yet."""
    line.push()
    line.mark("d0", "d1", "d2")
    return line


def test_L02_two_pulls_at_once(marked):
    """The second names the process that is at it and ends with 13."""
    marked.spoil("GET", "/export", "late 2")
    connection = studio.connect(marked.proxy.url, marked.token)
    with ThreadPoolExecutor(1) as other:
        first = other.submit(pull_corpus, connection, Corpus.load(marked.root))
        wait_for(lambda: marked.asked("GET", "/export"))
        done = marked.pull()
        assert first.result()["created"] == 3
    what = f"pull {marked.name}: process {os.getpid()} is at it; wait for it to end"
    assert (done.code, done.said) == (13, f"error: {what}\n")
    assert marked.pull().counts == (0, [0, 0, 3, 0])


def test_L03_nothing_new(marked):
    """A pull that finds nothing new touches no file."""
    marked.pull()
    before = state(marked.root)
    assert marked.pull().counts == (0, [0, 0, 3, 0])
    assert state(marked.root) == before


@pytest.mark.parametrize(
    ("kind", "code"), [("cut", 10), ("short", 10), ("invalid json", 12), ("html", 12)]
)
def test_L04_broken_export(marked, kind, code):
    """It is tried again; while it stays broken nothing is written, and the next pull does the work."""
    before = state(marked.root)
    marked.spoil("GET", "/export", *[kind] * (wire.ATTEMPTS if code == 10 else 1))
    assert (marked.pull().code, marked.proxy.left, state(marked.root)) == (code, [], before)
    if code == 10:
        marked.spoil("GET", "/export", kind)
    assert (marked.pull().counts, marked.proxy.left) == ((0, [3, 0, 0, 0]), [])


def test_L05_task_that_breaks_the_export(marked):
    """A lone surrogate of somebody else costs that one task; exit 4."""
    body = b'[{"data": {"text": "x \\ud800", "title": "", "document": "x"}}]'
    path = f"/api/projects/{marked.project.id}/import?return_task_ids=true"
    headers = {"Content-Type": "application/json"}
    (broken,) = marked.site.call("POST", path, content=body, headers=headers)["task_ids"]
    marked.site.person("a1").annotate(broken, [region("PARTY")])
    assert marked.pull().counts == (4, [3, 0, 0, 1])
    (record,) = files.iter_jsonl(marked.root / "quarantine.jsonl")
    assert (record["task"], record["rules"]) == (broken, ["unexportable"])
    assert marked.push().counts == (0, [0, 0, 6, 0])


def test_L06_annotation_that_was_edited(marked):
    """A new event supersedes the old one, whose line stays as it is; the reading is the new one."""
    marked.pull()
    before = marked.events
    (number,) = marked.annotations("d1")
    body = {"result": [region("DATE")]}
    marked.site.call("PATCH", f"/api/annotations/{number}/", json=body)
    assert marked.pull().counts == (0, [0, 1, 2, 0])
    assert marked.events[:3] == before
    (new,) = map(json.loads, marked.events[3:])
    old = next(e for e in map(json.loads, before) if e["document"] == "d1")
    assert (new["annotation"], new["supersedes"]) == (number, old["id"])
    assert marked.readings["a1"] == {"d0": ["PARTY"], "d1": ["DATE"], "d2": ["PARTY"]}
    assert studio.verify(marked.root) == []


@pytest.mark.parametrize("what", ["annotation", "task"])
def test_L07_work_that_was_deleted(marked, what):
    """What two looks do not find is retracted by an event of its own; nothing is erased."""
    marked.pull()
    before, task = marked.events, marked.tasks["d1"]
    number = task if what == "task" else marked.annotations("d1")[0]
    marked.site.call("DELETE", f"/api/{what}s/{number}/")
    marked.proxy.log.clear()
    done = marked.pull()
    assert (done.counts, done.told["retracted"]) == ((0, [0, 0, 2, 0]), 1)
    assert len(marked.asked("GET", rf"/export\?.*ids%5B%5D={task}(&|$)")) == 2
    assert marked.events[:3] == before
    (new,) = map(json.loads, marked.events[3:])
    assert (new["document"], new["retracted"]) == ("d1", True)
    assert marked.readings["a1"] == {"d0": ["PARTY"], "d2": ["PARTY"]}
    assert marked.pull().counts == (0, [0, 0, 2, 0])
    assert studio.verify(marked.root) == []


def test_L07_one_look_is_not_enough(lone, fake):
    """An export that leaves something out once retracts nothing."""
    lone.push()
    lone.mark("d0", "d1")
    lone.pull()
    carry_out = next(act for _, path, act in fake.routes if path.endswith("/export"))
    answers = [lambda *_: (200, []), carry_out, carry_out]

    def exported(*asked):
        return answers.pop(0)(*asked)

    fake.routes = [("GET", r"/api/projects/(\d+)/export", exported), *fake.routes]
    lone.mark("d2")
    assert lone.pull().told["retracted"] == 0
    assert lone.readings["a1"] == marks("d0", "d1", "d2")


def test_L08_task_that_is_deleted_while_tasks_are_listed(line):
    """No other slips out of sight: none is sent twice, and the next push brings the deleted one."""
    line.push()
    tasks = line.tasks
    with meanwhile(line, "GET", "/api/tasks/", lambda: line.site.admin().delete_task(tasks["d0"])):
        assert line.push().counts == (0, [0, 0, 6, 0])
    assert line.held == NAMES[1:]
    assert line.push().counts == (0, [1, 0, 5, 0])
    assert line.held == NAMES


def test_L08_tasks_that_are_added_while_tasks_are_listed(line):
    """Others' tasks that come meanwhile hide none of ours."""
    line.push()
    project = line.project.id
    with meanwhile(line, "GET", "/api/tasks/", lambda: foreign(line, project, ["x", "y", "z"])):
        assert line.push().counts == (0, [0, 0, 6, 0])
    assert line.held == sorted(["", "", "", *NAMES])


def test_L08_work_that_changes_while_it_is_pulled(marked):
    """One annotated task goes and another is annotated: the pull brings what is there in the end."""
    tasks = marked.tasks

    def change():
        marked.site.admin().delete_task(tasks["d0"])
        marked.mark("d5")

    with meanwhile(marked, "GET", "/api/tasks/", change):
        assert marked.pull().counts == (0, [3, 0, 0, 0])
    assert marked.readings["a1"] == marks("d1", "d2", "d5")
    assert marked.pull().counts == (0, [0, 0, 3, 0])


@pytest.mark.parametrize("days", [-2, 2])
def test_L09_clocks_that_differ(lone, monkeypatch, days):
    """An edit is seen although what answers has another clock than what stamps changes, or we have."""
    lone.push()
    lone.mark("d0")
    clock = time.time
    monkeypatch.setattr(time, "time", lambda: clock() + days * 86_400)
    lone.pull()
    (number,) = lone.annotations("d0")
    body = {"result": [region("DATE")]}
    lone.site.call("PATCH", f"/api/annotations/{number}/", json=body)
    assert lone.pull().counts == (0, [0, 1, 0, 0])
    assert lone.readings["a1"] == {"d0": ["DATE"]}


def test_L09_clock_that_is_put_back(lone, fake, monkeypatch):
    """An edit that has an earlier time than the last pull is seen all the same."""
    lone.push()
    lone.mark("d0")
    lone.pull()
    (number,) = lone.annotations("d0")
    body = {"result": [region("DATE")]}
    lone.site.call("PATCH", f"/api/annotations/{number}/", json=body)
    earlier = datetime.now(UTC) - timedelta(days=2)
    stamp = earlier.isoformat(timespec="microseconds").replace("+00:00", "Z")
    for entry in (*fake.tasks.values(), *fake.annotations.values()):
        entry["updated_at"] = stamp
    clock = time.time
    monkeypatch.setattr(time, "time", lambda: clock() - 2 * 86_400)
    assert lone.pull().counts == (0, [0, 1, 0, 0])
    assert lone.readings["a1"] == {"d0": ["DATE"]}


def test_L09_times_that_are_equal(lone, fake):
    """What is said decides whether it is new, not when it was written."""
    lone.push()
    lone.mark("d0", "d1")
    for entry in (*fake.tasks.values(), *fake.annotations.values()):
        entry["updated_at"] = "2031-05-18T09:00:00.000000Z"
    assert lone.pull().counts == (0, [2, 0, 0, 0])
    before = state(lone.root)
    assert lone.pull().counts == (0, [0, 0, 2, 0])
    assert state(lone.root) == before


def check_new_origin(line):
    """The project in the old one's place is refused until it is meant; then both have been kept."""
    before = state(line.root)
    done = line.pull()
    what = f"{line.proxy.url}: project {line.project.id} is not the one that was pulled before"
    cure = "its server was set up anew? then pull with --new-origin; else check the address"
    assert (done.code, done.said) == (12, f"error: {what}; {cure}\n")
    assert state(line.root) == before
    assert line.pull("--new-origin").counts == (0, [1, 0, 0, 0])
    assert line.readings["a1"] == marks("d0", "d1", "d2", "d3")
    assert line.pull().counts == (0, [0, 0, 1, 0])
    assert studio.verify(line.root) == []


def test_L10_project_that_was_made_anew(marked):
    """A project that was deleted and pushed again is another one."""
    marked.pull()
    marked.site.call("DELETE", f"/api/projects/{marked.project.id}/")
    marked.push()
    marked.mark("d3")
    check_new_origin(marked)


def test_L10_server_that_was_replaced(lone, fake, fake_class):
    """A server whose numbers start anew at the same address is told by when its project was made."""
    lone.push()
    lone.mark("d0", "d1", "d2")
    lone.pull()
    with fake_class() as other:
        other.users, other.token, other.key = fake.users, fake.token, fake.key
        lone.site.server = replace(lone.site.server, url=other.url)
        lone.proxy.target = other.url
        other.last = min(fake.projects) - 1
        lone.push()
        assert other.projects.keys() == fake.projects.keys()
        lone.mark("d3")
        check_new_origin(lone)


def test_L11_what_is_no_reading(line):
    """Skips are counted apart, drafts are not pulled, and ground truth is a reading of its maker."""
    line.push()
    line.mark("d0", was_cancelled=True)
    line.mark("d1", ground_truth=True)
    body = {"result": [region("PARTY")]}
    line.site.call("POST", f"/api/tasks/{line.tasks['d2']}/drafts", json=body)
    done = line.pull()
    assert (done.counts, done.told["skipped"]) == ((0, [2, 0, 0, 0]), 1)
    assert done.told["projects"]["main"]["read"] == 1
    assert (done.told["untouched"], line.readings) == (4, {"a1": {"d0": [], "d1": ["PARTY"]}})
    first, second = Corpus.load(line.root).annotations("a1")
    assert (first.skipped, second.skipped) == (True, False)
    assert not (line.root / "gold.jsonl").exists()


# ── the host ────────────────────────────────────────────────────────────────────────────────────

REFUSED = "the token was refused; check LABEL_STUDIO_API_KEY (Account & Settings in Label Studio shows it)"


def test_H01_token_that_is_refused_half_way(line):
    """Without anything to exchange it for, the run ends with 11, and the next does the work."""
    line.spoil("POST", "/import", "ok", "401")
    done = line.push()
    assert (done.code, done.said) == (11, f"error: {line.proxy.url}: {REFUSED}\n")
    assert line.push().counts == (0, [2, 0, 4, 0])
    assert line.held == NAMES


@pytest.mark.parametrize(("method", "where"), [("POST", "/import"), ("GET", "/api/projects/")])
def test_H01_access_that_ends_half_way(place, build, monkeypatch, method, where):
    """A personal token is exchanged anew, once; when that does not help the run ends with 11."""
    monkeypatch.setenv("TOOLKIT_HOME", str(place.home))
    with build(place, studio.invite(place.server, "a1").api_key) as line:
        line.spoil(method, where, "401")
        assert line.push().counts == (0, [6, 0, 0, 0])
        assert (line.held, len(line.asked("POST", "/api/token/refresh/"))) == (NAMES, 2)
        line.proxy.log.clear()
        line.spoil("GET", where if method == "GET" else "/api/tasks/", "401", "401")
        done = line.push()
        assert (done.code, done.said) == (11, f"error: {line.proxy.url}: {REFUSED}\n")
        assert len(line.asked("POST", "/api/token/refresh/")) == 2


def test_H02_project_that_is_closed_to_the_user(marked):
    """The project is named, and who can help; exit 11."""
    marked.spoil("GET", "/export", "403")
    done = marked.pull()
    closed = f"{marked.proxy.url}/api/projects/{marked.project.id}/export"
    cure = "ask the project's owner to let in the user whose token this is"
    what = f"error: {closed}: not allowed (No permission.); {cure}\n"
    assert (done.code, done.said, len(marked.asked("GET", "/export"))) == (11, what, 1)


def later(**passed):
    """A date as heads of answers have it, so long from now."""
    return format_datetime(datetime.now(UTC) + timedelta(**passed), usegmt=True)


WAITS = {
    "none": lambda: "0",
    "part of a second": lambda: "0.2",
    "below nothing": lambda: "-7",
    "no number": lambda: "nan",
    "garbage": lambda: "soon, maybe",
    "a date that is over": lambda: later(days=-1),
    "a date that comes": lambda: later(seconds=1),
}
ASKED = (("POST", "/import"), ("POST", "/api/projects/"), ("GET", "/api/projects/"))


@pytest.mark.parametrize(("said", "asked"), list(zip(WAITS, cycle(ASKED), strict=False)))
def test_H03_server_that_is_busy_for_a_while(line, said, asked):
    """It is left alone for as long as it asks, and then each document is sent once."""
    line.spoil(*asked, f"429 {WAITS[said]()}")
    assert (line.push().counts, line.proxy.left) == ((0, [6, 0, 0, 0]), [])
    assert line.held == NAMES


TOO_LONG = ("86400", "1e999", "3.5", "a day from now")


@pytest.mark.parametrize(("said", "asked"), list(zip(TOO_LONG, cycle(ASKED), strict=False)))
def test_H03_server_that_is_busy_for_longer_than_we_wait(line, said, asked):
    """The run ends with 10 at once; nobody waits for nothing."""
    wait = later(days=1) if said == "a day from now" else said
    line.spoil(*asked, f"429 {wait}")
    done = line.push("--max-wait", "3")
    what = "answered 429 (Request was throttled.); try again later, or see the server's log"
    assert (done.code, done.said) == (10, f"error: {line.proxy.url}: {what}\n")
    assert len([s for s in line.asked(*asked) if s.fault.startswith("429")]) == 1
    assert line.push().code == 0
    assert line.held == NAMES


ERRORS = [f"{status} {when}" for status in (500, 502, 503) for when in ("before", "after")]


@pytest.mark.parametrize("kind", ERRORS)
def test_H04_server_that_fails_once(line, kind):
    """A locked database or a gateway without a server is asked again: each document is there once."""
    check_push(line, "import", kind)


@pytest.mark.parametrize("kind", ["429 0", "500", "502", "503"])
def test_H04_server_that_goes_on_failing(line, kind):
    """So often and no more: exit 10 with what it says; nothing is written; then all is done."""
    line.push()
    line.mark("d0")
    before = state(line.root)
    line.spoil("GET", "/api/users/", *[kind] * wire.ATTEMPTS)
    done = line.pull()
    assert (done.code, line.proxy.left, state(line.root)) == (10, [], before)
    said = {"429 0": " (Request was throttled.)", "500": " (database is locked)"}.get(kind, "")
    what = f"answered {kind[:3]}{said}; try again later, or see the server's log"
    assert done.said == f"error: {line.proxy.url}: {what}\n"
    assert line.pull().counts == (0, [1, 0, 0, 0])


@pytest.mark.parametrize("kind", ["drop before", "drop after", "500 after", "503", "html after"])
def test_H04_changes_are_made_once_more(line, kind):
    """A task's new text that may not have arrived is sent again, as it is the whole of it."""
    line.push()
    line.write([replace(document, text=f"New: {document.text}") for document in DOCUMENTS])
    line.spoil("PATCH", re.compile(r"/api/tasks/\d+/"), "ok", kind)
    done = line.push()
    if kind == "html after":
        assert done.code == 12
        done = line.push()
        assert done.counts == (0, [0, 4, 2, 0])
    else:
        assert done.counts == (0, [0, 6, 0, 0])
    assert line.push().counts == (0, [0, 0, 6, 0])


def test_H05_answer_that_drips(line, impatient):
    """Each byte comes in time and the whole does not: it is given up and asked for again."""
    line.push()
    line.spoil("GET", "/api/tasks/", "drip 0.5")
    started = time.monotonic()
    assert line.push().counts == (0, [0, 0, 6, 0])
    assert time.monotonic() - started < 30


def test_H05_answer_that_never_ends(line, impatient):
    """The run ends with 10."""
    line.push()
    line.spoil("GET", "/api/tasks/", "drip 0.5")
    done = line.push("--max-wait", "0")
    what = f"error: {line.proxy.url}: no answer in time; is the server busy?\n"
    assert (done.code, done.said) == (10, what)


def test_H05_server_that_never_answers(lone, impatient, monkeypatch):
    """It takes the connection and says nothing: exit 10."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("LABEL_STUDIO_URL", url)
        done = lone.push()
    assert (done.code, done.said) == (10, f"error: {url}: no answer in time; is the server busy?\n")


def test_H06_nobody_is_there(lone, monkeypatch):
    """A name that nobody has, a port that nobody listens at: one line each with the cure, exit 10."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        closed = f"http://127.0.0.1:{free.getsockname()[1]}"
    for url in ("https://nowhere.invalid", closed):
        monkeypatch.setenv("LABEL_STUDIO_URL", url)
        done = lone.push()
        assert (done.code, done.said.count("\n")) == (10, 1)
        assert done.said.startswith(f"error: {url}: cannot be reached (ConnectError")
        assert done.said.endswith("); check the address, or: toolkit studio start\n")


SECURE = "127.0.0.2"
"""An address of this machine at which the toolkit checks certificates like anywhere else."""
AUTHORITY = """
[ca]
default_ca = own
[own]
new_certs_dir = {folder}
database = {folder}/index
serial = {folder}/serial
default_md = sha256
policy = any
x509_extensions = extensions
[any]
commonName = supplied
[extensions]
subjectAltName = {name}
basicConstraints = CA:true
"""
CERTIFICATES = {
    "self-signed": (f"IP:{SECURE}", "2099", "self-signed certificate"),
    "another name": ("DNS:elsewhere.example", "2099", f"certificate is not valid for '{SECURE}'"),
    "expired": (f"IP:{SECURE}", "2021", "certificate has expired"),
}


@pytest.fixture
def secure(tmp_path):
    """Serve TLS with a certificate of this name, valid to a year: its address and its file."""
    servers = []

    def serve(name, end):
        key, request = tmp_path / "key.pem", tmp_path / "request.pem"
        certificate, settings = tmp_path / "certificate.pem", tmp_path / "settings"
        settings.write_text(AUTHORITY.format(folder=tmp_path, name=name))
        (tmp_path / "index").touch()
        new = ["req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=toolkit", "-keyout", key]
        sign = ["ca", "-batch", "-selfsign", "-create_serial", "-config", settings, "-keyfile", key]
        dates = ["-startdate", "20200101000000Z", "-enddate", f"{end}0101000000Z"]
        for words in (
            [*new, "-out", request],
            [*sign, *dates, "-in", request, "-out", certificate],
        ):
            subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server = HTTPServer((SECURE, 0), BaseHTTPRequestHandler)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        servers.append((server, thread))
        return f"https://{SECURE}:{server.server_port}", certificate

    yield serve
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("kind", CERTIFICATES)
def test_H06_certificate_that_cannot_be_trusted(lone, secure, monkeypatch, kind):
    """What is wrong with it is said in one line with the cure, and no token is sent; exit 10."""
    name, end, what = CERTIFICATES[kind]
    url, certificate = secure(name, end)
    monkeypatch.setenv("LABEL_STUDIO_URL", url)
    if kind != "self-signed":
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    done = lone.push()
    assert (done.code, done.said.count("\n")) == (10, 1)
    assert what in done.said
    cure = "mend the certificate, or name the one to trust in SSL_CERT_FILE"
    assert done.said.endswith(f"); {cure}\n")


@pytest.mark.parametrize("path", ["/api/current-user/whoami", "/api/users/", "/export"])
def test_H07_redirect_to_another_host(marked, fake_class, path):
    """It is refused with 12 wherever it comes, and the other host sees nothing of us."""
    before = state(marked.root)
    with fake_class() as other:
        marked.spoil("GET", path, f"redirect {other.url}{path}")
        done = marked.pull()
        assert other.requests == []
    cure = "give the address Label Studio's own pages have"
    what = f"error: {marked.proxy.url}: answered 302, but not as Label Studio does; {cure}\n"
    assert (done.code, done.said, state(marked.root)) == (12, what, before)
    assert marked.pull().counts == (0, [3, 0, 0, 0])


GAPS = [
    ("push", "GET", "/api/projects/"),
    ("push", "POST", "/api/projects/"),
    ("push", "POST", "/import"),
    ("push", "PATCH", re.compile(r"/api/tasks/\d+/")),
    ("pull", "GET", "/api/users/"),
    ("pull", "GET", "/export"),
    ("pull", "GET", "/api/version/"),
]


@pytest.mark.parametrize(("command", "method", "where"), GAPS)
def test_H08_server_that_restarts(line, monkeypatch, command, method, where):
    """A gap of ten seconds, here one tenth of everything, ends no run, wherever it comes."""
    monkeypatch.setattr("toolkit.studio.wire.PAUSE", 0.01)
    if method == "PATCH" or command == "pull":
        line.push()
        line.mark("d0")
        changed = [replace(document, text=f"New: {document.text}") for document in DOCUMENTS[1:]]
        line.write([DOCUMENTS[0], *changed])
    line.spoil(method, where, "refuse 1")
    done = line.run(command)
    assert (done.code, line.proxy.left) == (0, [])
    assert line.push().code == 0
    assert line.held == NAMES


def answering(fake, method, pattern, body):
    """Let the server answer something else."""
    fake.routes = [(method, pattern, lambda *_: (200, body)), *fake.routes]


LACKING = {
    "who we are": ("GET", "/api/current-user/whoami", {"email": "x"}),
    "number of a project": ("GET", "/api/projects/", {"count": 1, "results": [{"title": "x"}]}),
    "list of projects": ("GET", "/api/projects/", {"count": 1}),
    "project": ("GET", r"/api/projects/(\d+)/", {"title": "x"}),
    "number that is a word": ("GET", r"/api/projects/(\d+)/", {"id": "seven"}),
    "list of tasks": ("GET", "/api/tasks/", {"total": 6}),
    "number of a task": ("GET", "/api/tasks/", {"total": 1, "tasks": [{"data": {}}]}),
    "addresses": ("GET", "/api/users/", [{"id": 1}]),
    "list of users": ("GET", "/api/users/", {"detail": "moved"}),
    "number of an exported task": ("GET", r"/api/projects/(\d+)/export", [{"data": {}}]),
    "exported list": ("GET", r"/api/projects/(\d+)/export", {"tasks": []}),
}


@pytest.mark.parametrize("what", LACKING)
def test_H09_answer_that_lacks_what_is_needed(lone, fake, what):
    """One line says that it cannot be read, with exit 12; nothing is written."""
    lone.push()
    lone.mark("d0")
    before = state(lone.root)
    answering(fake, *LACKING[what])
    done = lone.pull()
    assert (done.code, done.said.count("\n"), state(lone.root)) == (12, 1, before)
    assert done.said.startswith(f"error: {lone.proxy.url}: an answer that cannot be read (")
    assert done.said.endswith("); is this a Label Studio server?\n")


def test_H09_answer_of_another_release(lone, fake):
    """What we do not know is passed over, and what we can do without may be missing."""
    carry_out = {(method, path): act for method, path, act in fake.routes}
    imported = carry_out["POST", r"/api/projects/(\d+)/import"]
    version = {"release": "9.9", "edition": "Galactic", "more": [1]}
    fake.routes = [
        ("POST", r"/api/projects/(\d+)/import", lambda *a: (imported(*a)[0], {"import": 7})),
        ("GET", "/api/version/", lambda _: (200, version)),
        *fake.routes,
    ]
    assert lone.push().counts == (0, [6, 0, 0, 0])
    lone.mark("d0")
    assert lone.pull().counts == (0, [1, 0, 0, 0])
    assert lone.held == NAMES


# ── schemas ─────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def schema(line):
    """The schema of a line's corpus, beside it, to be changed; one reading is on the server only."""
    text = (ROOT / "schemas" / "commitments.yaml").read_text()
    path = line.root / "deals.yaml"
    files.write_text(path, text.replace("guideline: commitments.md\n", ""))
    line.write(schema="deals.yaml")
    line.push()
    line.mark("d0")

    def change(*edits):
        changed = path.read_text()
        for old, new in edits:
            assert old in changed
            changed = changed.replace(old, new)
        path.write_text(changed)

    return change


NEWER = ('"1.1"', '"1.2"')


def test_S01_label_that_is_gone_and_used(line, schema):
    """The push is refused with 3, the page stays; a pull sets aside what the schema does not know."""
    page = line.project.config
    schema(NEWER, ("PARTY", "ACTOR"))
    done = line.push()
    place = f"{line.proxy.url}/projects/{line.project.id}"
    what = "breaking: label removed: PARTY, 1 span"
    cure = "cover it with a migration in the schema (docs/schemas.md)"
    assert (done.code, done.said) == (3, f"error: {place}: {what}; {cure}\n")
    assert line.project.config == page
    assert line.pull().counts == (4, [0, 0, 0, 1])
    (record,) = files.iter_jsonl(line.root / "quarantine.jsonl")
    assert (record["document"], record["rules"]) == ("d0", ["unknown-label"])
    schema(("\nlayers:", '\nmigrations:\n  - from: "1.1"\n    labels: {PARTY: ACTOR}\nlayers:'))
    assert line.push().told["schema_updated"]
    assert line.pull().counts == (0, [1, 0, 0, 0])
    assert line.readings["a1"] == {"d0": ["ACTOR"]}


def test_S03_page_that_somebody_changed(line, schema):
    """A push does not take it back, and ends with 3, unless it is told to; a pull goes on."""
    admin, project = line.site.admin(), line.project
    edited = project.config.replace('value="DATE"', 'value="TIME"')
    admin.update_project(project, edited, "")
    done = line.push()
    place = f"{line.proxy.url}/projects/{project.id}"
    what = "the labelling page was changed in Label Studio"
    told = "label TIME is on the page only; label DATE is not on the page"
    cure = "take the change into the schema, or push --overwrite-page"
    assert (done.code, done.said) == (3, f"error: {place}: {what}: {told}; {cure}\n")
    assert line.project.config == edited
    assert line.pull().counts == (0, [1, 0, 0, 0])
    assert line.push("--overwrite-page").told["schema_updated"]
    assert line.project.config == project.config


FAULTY = {
    "key that stands twice": ("language:", "name: again\nlanguage:", "the key 'name' stands twice"),
    "word that is read as false": (
        'version: "1.1"',
        "version: NO",
        "YAML reads NO as true or false",
    ),
    "alias": ("layers:", "layers: *all", "the alias *all"),
    "tab": ("layers:", "\tlayers:", "found character '\\t'"),
    "two megabytes": ("layers:", f"# {'x' * 2_000_000}\nlayers:", "larger than 1,048,576 bytes"),
}


@pytest.mark.parametrize("fault", FAULTY)
def test_S04_schema_that_is_no_good_yaml(lone, fault):
    """It is refused with its line before any request; exit 3, as for all data."""
    old, new, what = FAULTY[fault]
    text = (ROOT / "schemas" / "commitments.yaml").read_text()
    changed = text.replace("guideline: commitments.md\n", "").replace(old, new, 1)
    files.write_text(lone.root / "deals.yaml", changed)
    lone.write(schema="deals.yaml")
    done = lone.push()
    line = "" if fault == "two megabytes" else r":\d+"
    assert done.code == 3
    assert re.match(rf"error: {lone.root}/deals.yaml{line}: {re.escape(what)}", done.said)
    assert lone.proxy.log == []


def test_S04_byte_order_mark(lone):
    """Some editors write one; it is no fault."""
    text = (ROOT / "schemas" / "commitments.yaml").read_text()
    content = "\ufeff" + text.replace("guideline: commitments.md\n", "")
    files.write_text(lone.root / "deals.yaml", content)
    lone.write(schema="deals.yaml")
    assert lone.push().code == 0


# ── processes ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)]
)
def test_X01_push_that_is_stopped(line, tmp_path, number, code):
    """It ends at once, without a traceback, and the next push sends what is missing.

    That a local server is ended, and that `| head` is no fault, is tested where servers are started
    and where results are printed.
    """
    line.spoil("POST", "/import", "late 4")
    with pushing(line, os.environ["TOOLKIT_HOME"]) as process:
        wait_for(lambda: [seen for seen in line.asked("POST", "/import") if seen.forwarded])
        process.send_signal(number)
        out, said = process.communicate(timeout=20)
    assert (process.returncode, out, said) == (code, b"", b"")
    done = line.push()
    assert (done.counts, done.told["resumed"]) == ((0, [0, 0, 6, 0]), True)
    assert line.held == NAMES


SLOW = """#!{python} -S
import time
for number in range(25):
    print("line", number, flush=True)
time.sleep(600)
"""


def test_X04_server_that_needs_too_long_to_start(tmp_path, monkeypatch, capsys):
    """The last twenty lines of its log are shown, it is ended, and the exit code is 12."""
    script = tmp_path / "label-studio"
    script.write_text(SLOW.format(python=sys.executable))
    script.chmod(0o755)
    monkeypatch.setenv("TOOLKIT_STUDIO_COMMAND", str(script))
    monkeypatch.setattr("toolkit.studio.server.PATIENCE", 1)
    assert cli.run(["studio", "start"]) == 12
    log = tmp_path / "home" / "studio" / "server.log"
    what = f"error: Label Studio did not answer in 1 s; the end of {log}:"
    shown = capsys.readouterr().err.splitlines()
    assert shown[-21:] == [what, *(f"line {number}" for number in range(5, 25))]
    assert studio.status().running is False


# ── values ──────────────────────────────────────────────────────────────────────────────────────

PARIS = Span(0, 5, "PARTY", "s1")
WRONG = {
    "V01 unknown label": ([replace(PARIS, label="PLANET")], ["unknown-label"]),
    "V02 beyond the text": ([replace(PARIS, end=500)], ["outside-text"]),
    "V02 before the text": ([replace(PARIS, start=-1)], ["outside-text"]),
    "V02 reversed": ([replace(PARIS, start=5, end=0)], ["reversed"]),
    "V02 empty": ([replace(PARIS, end=0)], ["empty"]),
    "V02 other words": ([replace(PARIS, text="Rome!")], ["text-mismatch"]),
    "V03 overlap": ([PARIS, Span(3, 10, "PARTY", "s2")], ["overlap"]),
    "V03 two labels": ([PARIS, replace(PARIS, id="s2", label="DATE")], ["overlap"]),
}


def check_suggestion(lone, kind):
    """What a model suggests is refused whole before any request, as invalid data (exit 3)."""
    spans, rules = WRONG[kind]
    connection, schema = studio.connect(lone.proxy.url, lone.token), Corpus.load(lone.root).schema
    lone.proxy.log.clear()
    suggestions = {"d0": [("model", Annotation("d0", spans=tuple(spans)))]}
    with pytest.raises(InvalidDataError) as error:
        studio.push(connection, lone.name, "main", schema, DOCUMENTS, suggestions=suggestions)
    assert [fault.rule for fault in error.value.faults] == rules
    assert (error.value.exit_code, lone.proxy.log) == (3, [])


def kinds(row):
    """The wrong suggestions of a row."""
    return [kind for kind in WRONG if kind.startswith(row)]


@pytest.mark.parametrize("kind", kinds("V01"))
def test_V01_unknown_label_in_a_suggestion(lone, kind):
    """It is refused."""
    check_suggestion(lone, kind)


def check_pull(lone, quarantined, *result):
    """A pull of a document with these regions; what is wrong is set aside with exit 4."""
    lone.push()
    lone.site.person("a1").annotate(lone.tasks["d0"], list(result))
    done = lone.pull()
    assert done.counts == ((4, [0, 0, 0, 1]) if quarantined else (0, [1, 0, 0, 0]))
    path = lone.root / "quarantine.jsonl"
    rules = [record["rules"] for record in files.iter_jsonl(path)] if path.is_file() else []
    assert rules == ([quarantined] if quarantined else [])


def test_V01_unknown_label_in_a_pull(lone):
    """It is set aside."""
    check_pull(lone, ["unknown-label"], region("PLANET"))


@pytest.mark.parametrize("kind", kinds("V02"))
def test_V02_span_that_cannot_be_in_a_suggestion(lone, kind):
    """It is refused by its rule."""
    check_suggestion(lone, kind)


@pytest.mark.parametrize(
    ("start", "end", "rule"),
    [(0, 500, "outside-text"), (-1, 5, "outside-text"), (5, 0, "reversed"), (5, 5, "empty")],
)
def test_V02_span_that_cannot_be_in_a_pull(lone, start, end, rule):
    """It is set aside by its rule."""
    check_pull(lone, [rule], region("PARTY", start, end))


def test_V02_other_words_in_a_pull(lone):
    """The offsets are the truth: Label Studio's own words of a region are not."""
    wrong = region("PARTY")
    wrong["value"]["text"] = "Rome!"
    check_pull(lone, [], wrong)
    (reading,) = Corpus.load(lone.root).annotations("a1")
    assert [span.text for span in reading.spans] == ["Paris"]


@pytest.mark.parametrize("kind", kinds("V03"))
def test_V03_overlap_in_a_suggestion(lone, kind):
    """Within a layer it is refused."""
    check_suggestion(lone, kind)


def test_V03_nested_and_twice_in_a_pull(lone):
    """A span drawn twice is one; within another layer a span may lie; overlaps wait for a decision."""
    regions = [("PARTY", 0, 5), ("PARTY", 0, 5), ("COMMITMENT", 0, 19), ("PARTY", 3, 10)]
    drawn = [region(*each) | {"id": f"r{number}"} for number, each in enumerate(regions)]
    check_pull(lone, [], *drawn)
    (reading,) = Corpus.load(lone.root).annotations("a1")
    found = {(span.label, span.start, span.end) for span in reading.spans}
    assert (found, len(reading.spans)) == (set(regions), 3)


def test_V04_key_that_stands_twice(lone):
    """Both places are named and nothing is sent; exit 3."""
    lone.write([*DOCUMENTS, DOCUMENTS[1]])
    done = lone.push()
    what = "document id 'd1' stands already on line 2; give each document its own id"
    assert (done.code, done.said) == (3, f"error: {lone.root}/documents.jsonl:7: {what}\n")
    assert lone.proxy.log == []


def test_V04_text_that_stands_twice(lone):
    """Under another key it is sent, and named."""
    lone.write([*DOCUMENTS, replace(DOCUMENTS[1], id="d6")])
    done = lone.push()
    assert done.counts == (0, [7, 0, 0, 0])
    assert done.said == "d6: has the very text of d1; take one out if that is no purpose\n"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "has no text; remove it"),
        (" \n\u00a0", "has no text; remove it"),
        ("x" * 10_000_000, "has 10,000,000 characters, of at most 1,000,000; split it"),
    ],
    ids=["empty", "blank", "10 MB"],
)
def test_V05_text_that_is_none_or_too_much(lone, text, what):
    """It is refused with the limit before any request; exit 3."""
    lone.write([*DOCUMENTS, Document("d6", text)])
    done = lone.push()
    place = f"{lone.root}/documents.jsonl:7"
    assert (done.code, done.said) == (3, f"error: {place}: document 'd6' {what}\n")
    assert lone.proxy.log == []


def test_V05_hundred_thousand_spans(lone):
    """They are pulled and checked in seconds; were each compared with each, it would take hours."""
    count = 100_000
    lone.write([Document("d0", "ab " * count)])
    drawn = [region("PARTY", 3 * n, 3 * n + 2) | {"id": f"r{n}"} for n in range(count)]
    check_pull(lone, [], *drawn)
    (reading,) = Corpus.load(lone.root).annotations("a1")
    assert len(reading.spans) == count
