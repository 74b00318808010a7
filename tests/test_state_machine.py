"""Push and pull under everything at once: people who work, faults on the wire and on the disk, clocks.

Hypothesis draws what happens and in which order. What must hold is computed here from the pretend
server's own tables, by other means than the toolkit's. `HYPOTHESIS_PROFILE=nightly` runs a thousand
examples in place of forty.
"""

import json
import os
import re
import shutil
import tempfile
from collections import defaultdict
from contextlib import ExitStack, contextmanager, nullcontext
from hashlib import sha256
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from toolkit import files, studio
from toolkit.cli.exchange import pull_corpus, push_corpus
from toolkit.corpus import Corpus
from toolkit.errors import ToolkitError
from toolkit.spans import Document
from toolkit.studio import pulling

PROFILES = {"ci": (40, 25), "nightly": (1000, 25)}
"""Examples, and steps of each."""

SCHEMA = """\
name: mini
version: "1.{version}"
language: en
title: Who
layers:
  - name: mentions
    labels:
      - {{name: PARTY, description: Somebody, colour: "#1D4ED8"}}
"""

ANY = re.compile("")
KINDS = (
    *(
        "drop before",
        "drop during",
        "drop after",
        "cut",
        "short",
        "invalid json",
        "html",
        "html after",
    ),
    *("twice", "429 0", "429 0 after", "500", "500 after", "502", "503 after"),
)
ANSWERS = {0, 4, 10, 12, 14, 15}
"""What a push or a pull may end with when it meets a fault. A wrong exit code is a fault of ours."""

PLACES = ((0, 5), (0, 8), (3, 5), (5, 3), (0, 4000))
"""Where annotators draw. The last two are no spans, but the server takes them."""

PEOPLE = ("a1", "a2")
pick = st.integers(0, 99)


class KilledError(BaseException):
    """The process ended here, without a word."""


def drawn(place):
    """A result with one region."""
    value = {"start": place[0], "end": place[1], "labels": ["PARTY"]}
    names = {"id": "r", "from_name": "label", "to_name": "text", "type": "labels"}
    return [names | {"value": value}]


TROUBLE = (
    st.none()
    | st.none()
    | st.tuples(st.sampled_from(KINDS), st.integers(0, 9))
    | st.tuples(st.integers(1, 6), st.sampled_from((KilledError(), OSError(28, "full"))))
)
"""One of the next requests meets a fault, or one of the next files is the last to be written."""


@contextmanager
def interrupted(number, error):
    """The so-many-th file that is written is not, and nothing after it: the process has ended."""
    calls = iter(range(1, 1000))
    genuine = os.fsync

    def fsync(handle):
        if next(calls) >= number:
            raise error
        genuine(handle)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        yield


class Exchange(RuleBasedStateMachine):
    """One corpus, its server, two annotators, and what goes wrong between them."""

    fake_class = proxy_class = None
    steps = 0

    def __init__(self):
        super().__init__()
        self.stack = ExitStack()
        self.folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        patch = self.stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("TOOLKIT_HOME", str(self.folder / "home"))
        self.fake = self.stack.enter_context(self.fake_class())
        self.proxy = self.stack.enter_context(self.proxy_class(self.fake.url))
        self.client = self.stack.enter_context(httpx.Client(trust_env=False, verify=False))
        server = studio.Server(url=self.fake.url, api_key=self.fake.token)
        for pseudonym in PEOPLE:
            studio.invite(server, pseudonym)
        self.tokens = {user["email"].split("@")[0]: user for user in self.fake.users.values()}
        self.admin = studio.connect(self.proxy.url, self.fake.token)
        self.root = self.folder / "c"
        self.version = 0
        self.written = b""
        self.clock_set = False

    def teardown(self):
        """Give everything back."""
        self.stack.close()

    # ── the corpus ──────────────────────────────────────────────────────────────────────────────

    @initialize(texts=st.lists(pick, min_size=1, max_size=3), trouble=TROUBLE)
    def begin(self, texts, trouble):
        """A corpus of a few documents, pushed."""
        self.texts = {f"d{n}": f"Paris will pay {text}" for n, text in enumerate(texts)}
        files.write_text(self.root / "corpus.yaml", "name: c\nschema: mini.yaml\n")
        self.save()
        self.push(trouble)

    def save(self):
        """Write schema and documents as they are now."""
        files.write_text(self.root / "mini.yaml", SCHEMA.format(version=self.version))
        found = [Document(name, text) for name, text in self.texts.items()]
        files.write_jsonl(self.root / "documents.jsonl", found)

    @rule()
    def schema_edit(self):
        """A new version of the schema that breaks nothing."""
        self.version += 1
        self.save()

    @rule(text=pick)
    def new_document(self, text):
        """One document more."""
        self.texts[f"d{len(self.texts)}"] = f"Paris will pay {text}"
        self.save()

    @rule(which=pick, text=pick)
    def change_text(self, which, text):
        """Another text under the same id, whether it was annotated or not."""
        self.texts[f"d{which % len(self.texts)}"] = f"Rome will pay {text}"
        self.save()

    @rule(what=st.sampled_from(("annotators", "quarantine.jsonl", "../home/pulls")))
    def lose(self, what):
        """What follows from the history, or only saves time, is gone."""
        place = self.root / what
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)

    # ── people ──────────────────────────────────────────────────────────────────────────────────

    def call(self, method, path, who="admin", body=None):
        """A request of somebody's, past the faults."""
        headers = {"Authorization": f"Token {self.tokens[who]['token']}"}
        answer = self.client.request(method, self.fake.url + path, json=body, headers=headers)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def chosen(self, table, which):
        """One of the tasks or annotations on the server."""
        return sorted(getattr(self.fake, table))[which % len(getattr(self.fake, table))]

    @precondition(lambda self: self.fake.tasks)
    @rule(
        who=st.sampled_from(PEOPLE),
        which=pick,
        place=st.sampled_from(PLACES),
        skipped=st.sampled_from((False, False, True)),
    )
    def annotate(self, who, which, place, skipped):
        """Somebody submits a reading or skips, a second time the same task maybe."""
        body = {"result": drawn(place), "lead_time": 1.5, "was_cancelled": skipped}
        self.call("POST", f"/api/tasks/{self.chosen('tasks', which)}/annotations/", who, body)

    @precondition(lambda self: self.fake.annotations)
    @rule(which=pick, place=st.sampled_from(PLACES))
    def edit(self, which, place):
        """A reading is drawn anew, or saved again as it was."""
        number = self.chosen("annotations", which)
        self.call("PATCH", f"/api/annotations/{number}/", body={"result": drawn(place)})

    @precondition(lambda self: self.fake.annotations)
    @rule(which=pick)
    def delete_annotation(self, which):
        """A reading goes."""
        self.call("DELETE", f"/api/annotations/{self.chosen('annotations', which)}/")

    @precondition(lambda self: self.fake.tasks)
    @rule(which=pick)
    def delete_task(self, which):
        """A task goes with all work on it."""
        self.call("DELETE", f"/api/tasks/{self.chosen('tasks', which)}/")

    @precondition(lambda self: self.project)
    @rule(data=st.sampled_from(({}, {"document": "theirs"}, {"document": 7})))
    def foreign_task(self, data):
        """Somebody adds a task of their own."""
        body = {"project": self.project, "data": {"text": "theirs", "title": "", **data}}
        self.call("POST", "/api/tasks/", body=body)

    @precondition(lambda self: not self.clock_set)
    @rule(days=st.sampled_from((-2, -0.01, 0.01, 2)))
    def clock(self, days):
        """The server's clock is set, once between two pulls: there and back nobody could notice."""
        self.fake.ahead += days * 86_400
        self.clock_set = True

    # ── push and pull ───────────────────────────────────────────────────────────────────────────

    @property
    def project(self):
        """The number of our project, the oldest if there are several."""
        return min(self.fake.projects, default=0)

    def attempt(self, what, trouble=None):
        """What a push or a pull tells, or None when the trouble that it meets ends it."""
        self.proxy.scripts.clear()
        disk = nullcontext()
        if trouble and isinstance(trouble[0], str):
            kind, after = trouble
            self.proxy.script("*", ANY, *["ok"] * after, kind)
        elif trouble:
            disk = interrupted(*trouble)
        try:
            with disk:
                return what(self.admin, Corpus.load(self.root), "main")
        except KilledError:
            return None
        except ToolkitError as error:
            if not trouble or error.exit_code not in ANSWERS:
                raise
            return None
        finally:
            self.proxy.settle()
            self.proxy.scripts.clear()

    @rule(trouble=TROUBLE)
    def push(self, trouble):
        """Send the corpus. A push that ends well leaves every document there once."""
        told = self.attempt(push_corpus, trouble)
        if told is None:
            return
        tasks = defaultdict(list)
        for task in self.fake.tasks.values():
            if task["project"] == self.project:
                tasks[task["data"].get("document")].append(task["id"])
        worked_on = {annotation["task"] for annotation in self.fake.annotations.values()}
        for name in self.texts:
            assert len(tasks[name]) == max(1, len(worked_on.intersection(tasks[name]))), name

    @precondition(lambda self: self.project)
    @rule(trouble=TROUBLE)
    def pull(self, trouble):
        """Bring the annotations. A pull that ends well has them all, and the next changes nothing."""
        told = self.attempt(pull_corpus, trouble)
        if told is None:
            return
        self.hold_to_server(told)
        self.clock_set = False
        before = self.state()
        told = self.attempt(pull_corpus)
        assert (told["created"], told["updated"], told["retracted"]) == (0, 0, 0)
        assert self.state() == before

    def state(self):
        """Every file of the corpus and when it was written."""
        return {
            path: (path.read_bytes(), path.stat().st_mtime_ns)
            for path in self.root.rglob("*")
            if path.is_file()
        }

    # ── what must hold ──────────────────────────────────────────────────────────────────────────

    def hold_to_server(self, told):
        """The files say what the server's tables say."""
        assert studio.verify(self.root) == []
        assert [path for path in self.root.rglob(".*") if path.is_file()] == []
        theirs = [a for a in self.fake.annotations.values() if a["project"] == self.project]
        assert told["annotations"] == len(theirs)
        assert told["tasks"] == sum(t["project"] == self.project for t in self.fake.tasks.values())
        held = {}
        for line in self.records("history/main.jsonl"):
            held[line["annotation"]] = line
        gone = {number for number, line in held.items() if line.get("retracted")}
        assert held.keys() - gone == {annotation["id"] for annotation in theirs}
        for annotation in theirs:
            assert held[annotation["id"]]["result"] == annotation["result"]
        assert self.readings() == self.expected(theirs)

    def records(self, name):
        """The lines of a file of the corpus."""
        path = self.root / name
        text = path.read_text("utf-8") if path.is_file() else ""
        return [json.loads(line) for line in text.split("\n")[:-1]]

    def readings(self):
        """What the annotators' files say: by person and document the spans, None for a skip."""
        return {
            (record["annotator"], record["document"]): None
            if record.get("skipped")
            else [(s["start"], s["end"], s["label"]) for s in record.get("spans", ())]
            for path in self.root.glob("annotators/*.jsonl")
            for record in self.records(f"annotators/{path.name}")
        }

    def expected(self, theirs):
        """The same from the server's tables: the newest annotation of each that can be accepted."""
        emails = {user["id"]: name for name, user in self.tokens.items()}
        found = {}
        for annotation in sorted(theirs, key=lambda a: (a["updated_at"], a["id"])):
            data = self.fake.tasks[annotation["task"]]["data"]
            name = data.get("document")
            if name not in self.texts or not same(data["text"], self.texts[name]):
                continue
            if annotation["was_cancelled"]:
                found[emails[annotation["completed_by"]], name] = None
                continue
            value = annotation["result"][0]["value"]
            start, end = value["start"], value["end"]
            if 0 <= start < end <= len(self.texts[name]):
                found[emails[annotation["completed_by"]], name] = [(start, end, "PARTY")]
        return found

    @invariant()
    def history_grows(self):
        """No line of the history is ever changed or lost."""
        path = self.root / "history" / "main.jsonl"
        now = path.read_bytes() if path.is_file() else b""
        assert now.startswith(self.written)
        self.written = now

    @invariant()
    def files_are_whole(self):
        """Whatever was interrupted, each file is an old one or a new one."""
        type(self).steps += 1
        for path in self.root.rglob("*.json*"):
            text = path.read_text("utf-8")
            assert text.endswith("\n") or not text, path
            for line in text.split("\n")[:-1]:
                json.loads(line)


def same(one, other):
    """Whether two texts are the same to the last byte."""
    return sha256(one.encode()).digest() == sha256(other.encode()).digest()


@pytest.fixture
def machine(fake_class, proxy_class, monkeypatch):
    """The machine, with servers to make."""
    monkeypatch.setattr("toolkit.studio.wire.PAUSE", 0)
    return type("Machine", (Exchange,), {"fake_class": fake_class, "proxy_class": proxy_class})


def profile(**more):
    """Settings: as `HYPOTHESIS_PROFILE` says, with nothing left on this disk. CI draws the same always."""
    name = os.environ.get("HYPOTHESIS_PROFILE", "ci")
    examples, steps = PROFILES[name]
    usual = {
        "max_examples": examples,
        "stateful_step_count": steps,
        "derandomize": name == "ci",
        "deadline": None,
        "database": None,
        "suppress_health_check": list(HealthCheck),
    }
    return settings(**usual | more)


def test_nothing_is_lost_and_nothing_is_doubled(machine):
    """Whatever happens in whatever order, files and server agree after every push and pull."""
    run_state_machine_as_test(machine, settings=profile())


def forget_retractions(patch):
    """Readings that are gone stay, and the sums are not looked at."""
    genuine = pulling._Pull._adds_up
    patch.setattr(pulling._Pull, "_retractions", lambda *_: iter(()))
    patch.setattr(pulling._Pull, "_adds_up", lambda *a, **o: genuine(*a, **o) or True)


def forget_the_past(patch):
    """The history holds what is so now, and nothing older."""
    genuine = studio.History.write

    def write(history, manifest):
        history._events = {event.id: event for event in history.live.values()}
        return genuine(history, manifest)

    patch.setattr(studio.History, "write", write)


@pytest.mark.parametrize("plant", [forget_retractions, forget_the_past])
def test_machine_finds_a_planted_fault(machine, monkeypatch, plant):
    """What is broken on purpose is found within a hundred examples."""
    plant(monkeypatch)
    hunting = profile(max_examples=100, derandomize=True, phases=(Phase.generate,))
    with pytest.raises((AssertionError, ToolkitError)):
        run_state_machine_as_test(machine, settings=hunting)
