"""A model behind Label Studio's ML-backend protocol: asked in process, over HTTP and by the real one."""

import asyncio
import hashlib
import inspect
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import redirect_stdout
from pathlib import Path

import httpx
import pytest

from toolkit import cli, files, studio
from toolkit.errors import NotAllowedError, UsageError
from toolkit.schema import Schema
from toolkit.spans import Annotation, Document, Span
from toolkit.studio import backend as module
from toolkit.studio import find
from toolkit.studio.page import page

SMALL = Path(__file__).parent / "data" / "small"
SCHEMA = Schema.load(files.resource("schemas/commitments.yaml"))
CONFIG = page(SCHEMA)
AMOUNT_ALONE = (
    '<View><Labels name="label" toName="text"><Label value="AMOUNT"/></Labels>'
    '<Text name="text" value="$text"/></View>'
)
PARTIES = re.compile("Tovland|Ostrava")
AMOUNTS = re.compile(r"\$\d+ billion")


class Rules:
    """A pretend model: two names are parties, dollars are amounts. It keeps what it was asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, documents):
        """One annotation per document."""
        self.asked.append([document.text for document in documents])
        for document in documents:
            yield Annotation(document.id, "model:rules", tuple(spans_of(document.text)))


def spans_of(text):
    """What the rules find, parties first."""
    for label, pattern in (("PARTY", PARTIES), ("AMOUNT", AMOUNTS)):
        for found in pattern.finditer(text):
            yield Span(found.start(), found.end(), label, text=found.group())


def task(text, document="d1", number=1):
    """A task as Label Studio sends it, as far as it matters."""
    return {"id": number, "data": {"document": document, "text": text}, "annotations": []}


def asked(*tasks, config=CONFIG):
    """The body of a request for predictions."""
    params = {"login": "x", "password": "secret", "context": None}
    return {"tasks": tasks, "project": "7.1795", "label_config": config, "params": params}


def region(number, start, end, text, label):
    """A suggested region of Label Studio's."""
    return {
        "id": f"s{number}",
        "from_name": "label",
        "to_name": "text",
        "type": "labels",
        "origin": "prediction",
        "value": {"start": start, "end": end, "text": text, "labels": [label]},
    }


class Asked:
    """A backend asked in process; what it said is in `said`."""

    def __init__(self, predict=None, **options):
        self.said = []
        self.rules = predict or Rules()
        self.app = studio.ml_backend(self.rules, SCHEMA, "v1", say=self.said.append, **options)

    def call(self, method, path, **request):
        """One request."""

        async def send():
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://model") as client:
                return await client.request(method, path, **request)

        return asyncio.run(send())

    def predict(self, *tasks, **options):
        """What comes back for these tasks."""
        answer = self.call("POST", "/predict", json=asked(*tasks, **options))
        assert answer.status_code == 200
        return answer.json()["results"]

    def results(self, *tasks, **options):
        """The regions that come back for these tasks."""
        return [found["result"] for found in self.predict(*tasks, **options)]


# ── answers ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", ["/", "/health"])
def test_health_names_the_model(path):
    """Whoever asks hears that it is up, and which model it is."""
    answer = Asked().call("GET", path)
    assert (answer.status_code, answer.json()) == (200, {"status": "UP", "model_version": "v1"})


def test_setup_names_the_version_and_keeps_no_token():
    """Set-up is answered with the version; the token it carries is neither kept nor said."""
    asked = Asked()
    body = {"project": "7.1795", "schema": CONFIG, "access_token": "s3cret", "hostname": "http://x"}
    answers = [asked.call("POST", "/setup", json=body) for _ in range(2)]
    assert [answer.json() for answer in answers] == [{"model_version": "v1"}] * 2
    endpoint = next(r.endpoint for r in asked.app.routes if r.path == "/setup")
    model = inspect.getclosurevars(endpoint).nonlocals["answer"].__self__
    assert "v1" in repr(model)
    assert "s3cret" not in repr(model)
    assert (asked.said, asked.rules.asked) == ([], [])


def test_webhook_is_accepted():
    """Label Studio tells it of everything that happens; it does nothing, whatever the body."""
    answer = Asked().call("POST", "/webhook", content=b"\xff no JSON")
    assert (answer.status_code, answer.json()) == (200, {})


def test_predictions_come_one_per_task_in_order():
    """Each task gets one prediction, in the order of the tasks, of this version."""
    first, second = "Tovland pays $3 billion", "Nothing here"
    facts = {"score": None, "model_version": "v1"}
    assert Asked().predict(task(second, "d2", 2), task(first), task(second, "d2", 2)) == [
        {"result": [], **facts},
        {
            "result": [
                region(1, 0, 7, "Tovland", "PARTY"),
                region(2, 13, 23, "$3 billion", "AMOUNT"),
            ],
            **facts,
        },
        {"result": [], **facts},
    ]


def test_offsets_count_code_points():
    """An emoji before a span, one or several code points long, moves it as Python counts."""
    text = "🙂 👩‍🚀 Tovland"
    assert Asked().results(task(text)) == [[region(1, 6, 13, "Tovland", "PARTY")]]


UNREADABLE = {
    "no data": {"id": 1},
    "data that is no object": {"id": 1, "data": ["Tovland"]},
    "no text": {"id": 1, "data": {"document": "d1"}},
    "a number": {"id": 1, "data": {"text": 7}},
    "half a character": {"id": 1, "data": {"text": "Tovland \ud83d"}},
}


@pytest.mark.parametrize("bad", UNREADABLE.values(), ids=UNREADABLE)
def test_task_without_text_gets_nothing(bad):
    """A task whose text is missing or no text gets an empty result, and is counted."""
    asked = Asked()
    content = json.dumps({"tasks": [bad, task("Tovland", "d2")], "label_config": CONFIG})
    answer = asked.call("POST", "/predict", content=content)
    results = [found["result"] for found in answer.json()["results"]]
    assert results == [[], [region(1, 0, 7, "Tovland", "PARTY")]]
    assert asked.said == ["1 tasks read, 0 in the control arm, 1 without a text"]


BAD_BODIES = {
    "no JSON": ("/predict", b"tasks", "the body is no JSON; send what Label Studio sends"),
    "nested": ("/predict", b"[" * 100_000, "the body is no JSON; send what Label Studio sends"),
    "a list": ("/setup", b"[]", "the body is no JSON object; send what Label Studio sends"),
    "no tasks": ("/predict", b"{}", "tasks is no list of objects; send what Label Studio sends"),
    "words for tasks": (
        "/predict",
        b'{"tasks": ["Tovland"]}',
        "tasks is no list of objects; send what Label Studio sends",
    ),
    "broken config": (
        "/setup",
        b'{"schema": "<View>"}',
        "the labelling config is no XML; mend it",
    ),
    "half a character": (
        "/setup",
        b'{"schema": "<View>\\ud83d</View>"}',
        "the labelling config is no XML; mend it",
    ),
    "entities": (
        "/predict",
        b'{"tasks": [], "label_config": "<!DOCTYPE a [<!ENTITY b \'c\'>]><a/>"}',
        "a labelling config with a document type; take it out",
    ),
}


@pytest.mark.parametrize("case", BAD_BODIES.values(), ids=BAD_BODIES)
def test_bad_body_is_refused(case):
    """A body of another shape gets 400 and one line; the model is not asked."""
    path, content, line = case
    asked = Asked()
    answer = asked.call("POST", path, content=content)
    assert (answer.status_code, answer.json()) == (400, {"detail": line})
    assert (asked.said, asked.rules.asked) == ([], [])


def test_large_body_is_refused(monkeypatch):
    """A body beyond the limit is not read to its end; one at the limit is."""
    content = json.dumps(asked(task("Tovland"))).encode()
    monkeypatch.setattr(module, "LARGEST", len(content))
    assert Asked().call("POST", "/predict", content=content).status_code == 200
    answer = Asked().call("POST", "/predict", content=content + b" ")
    line = f"a body of more than {len(content)} bytes; send fewer tasks"
    assert (answer.status_code, answer.json()) == (413, {"detail": line})


def test_labels_the_project_lacks_are_left_out():
    """What the project could not show is left out, and said once however often it is asked."""
    asked = Asked()
    asked.call("POST", "/setup", json={"project": "7.1795", "schema": AMOUNT_ALONE})
    for _ in range(2):
        assert asked.results(task("Tovland pays $3 billion"), config=AMOUNT_ALONE) == [
            [region(1, 13, 23, "$3 billion", "AMOUNT")]
        ]
    missing = [label.name for label in SCHEMA.labels if label.name != "AMOUNT"]
    counts = "1 tasks read, 0 in the control arm, 0 without a text"
    assert asked.said == [
        f"project 7 does not know {', '.join(missing)}: no suggestions of these labels",
        counts,
        counts,
    ]


def test_project_with_other_controls_gets_nothing():
    """Labels of the same name on a control of another name cannot be suggested."""
    config = AMOUNT_ALONE.replace('name="label"', 'name="tags"')
    assert Asked().results(task("$3 billion"), config=config) == [[]]


# ── the model ───────────────────────────────────────────────────────────────────────────────────


def test_text_is_read_once():
    """The same text, in one request or a later one, is not given to the model again."""
    asked = Asked()
    first = asked.results(task("Tovland"), task("Tovland", "d2"), task("Ostrava", "d3"))
    assert asked.results(task("Ostrava", "d4"), task("Tovland")) == [first[2], first[0]]
    assert asked.rules.asked == [["Tovland", "Ostrava"], []]


def test_oldest_text_is_forgotten(monkeypatch):
    """What is remembered is bounded; the text asked for least lately goes first."""
    monkeypatch.setattr(module, "REMEMBERED", 2)
    asked = Asked()
    for text in ("one", "two", "one", "three", "one", "two"):
        asked.predict(task(text))
    assert asked.rules.asked == [["one"], ["two"], [], ["three"], [], ["two"]]


def test_control_arm_gets_no_suggestions():
    """Documents of the control arm get no prediction, not even an empty one, and are counted."""
    names = [f"e{number:03}-d1" for number in range(40)]
    held = [studio.in_control(name, 0.2) for name in names]
    asked = Asked(control=0.2)
    tasks = [task(f"Tovland {name}", name) for name in names]
    assert [found == [] for found in asked.predict(*tasks)] == held
    assert 0 < sum(held) < 20
    assert len(asked.rules.asked[0]) == 40 - sum(held)
    assert asked.said == [
        f"{40 - sum(held)} tasks read, {sum(held)} in the control arm, 0 without a text"
    ]


def test_arms_follow_from_the_id_alone():
    """The digest of the id decides; the share is met, and a larger one keeps whom a smaller had."""
    names = [f"e{number:04}-d1" for number in range(2000)]
    digests = [int(hashlib.sha256(name.encode()).hexdigest()[:16], 16) / 2**64 for name in names]
    for share in (0.0, 0.2, 0.5, 1.0):
        held = [studio.in_control(name, share) for name in names]
        assert held == [digest < share for digest in digests]
        assert abs(sum(held) / 2000 - share) < 0.03
    assert studio.in_control("e001-d1", 0.0) is False
    assert studio.in_control("half \ud83d", 1.0) is True


# ── over HTTP ───────────────────────────────────────────────────────────────────────────────────


def test_answers_over_http():
    """The server answers on a loopback port while the body runs, and is gone after it."""
    app = studio.ml_backend(Rules(), SCHEMA, "v1")
    with studio.serving(app) as serving:
        assert serving.url.startswith("http://127.0.0.1:")
        answer = httpx.post(f"{serving.url}/predict", json=asked(task("🙂 Tovland")))
        assert answer.json()["results"][0]["result"] == [region(1, 2, 9, "Tovland", "PARTY")]
        assert httpx.get(f"{serving.url}/predict").status_code == 405
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{serving.url}/health")


def test_one_asker_at_a_time_and_health_never_waits():
    """Two requests meet the model one after the other; meanwhile health is answered at once."""
    entered, leave, inside = threading.Semaphore(0), threading.Semaphore(0), []

    def slow(documents):
        inside.append("in")
        entered.release()
        assert leave.acquire(timeout=30)
        inside.append("out")
        return Rules()(documents)

    with studio.serving(studio.ml_backend(slow, SCHEMA, "v1")) as serving:

        def ask(text):
            httpx.post(f"{serving.url}/predict", json=asked(task(text)), timeout=60)

        threads = [threading.Thread(target=ask, args=(text,)) for text in ("one", "two")]
        for thread in threads:
            thread.start()
        assert entered.acquire(timeout=30)
        assert httpx.get(f"{serving.url}/health", timeout=5).json()["status"] == "UP"
        assert not entered.acquire(timeout=0.3)
        leave.release(2)
        for thread in threads:
            thread.join()
    assert inside == ["in", "out", "in", "out"]


def test_taken_port_is_refused():
    """A port that somebody listens on, or an address of another machine, is the user's to mend."""
    app = studio.ml_backend(Rules(), SCHEMA, "v1")
    with studio.serving(app) as serving:
        port = int(serving.url.rpartition(":")[2])
        with pytest.raises(UsageError) as taken, studio.serving(app, port=port):
            pass
    with pytest.raises(UsageError) as strange, studio.serving(app, host="192.0.2.1", port=port):
        pass
    assert str(taken.value) == (f"port {port} on 127.0.0.1 is taken; choose another with --port")
    assert str(strange.value) == (
        f"port {port} on 192.0.2.1 cannot be had (Cannot assign requested address); "
        "choose another with --host or --port"
    )


# ── the command ─────────────────────────────────────────────────────────────────────────────────

STEPS = [
    *("--set", "training.max_steps=2"),
    *("--set", "components.tok2vec.model.encode.width=16"),
    *("--set", "components.tok2vec.model.embed.rows=[100,100,100,100]"),
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model that has learnt little."""
    root = tmp_path_factory.mktemp("trained")
    shutil.copytree(SMALL, root / "small")
    with redirect_stdout(io.StringIO()):
        assert cli.run(["adjudicate", str(root / "small")]) == 0
        assert cli.run(["build", str(root / "small"), "-o", str(root / "dataset")]) == 0
        train = ["train", str(root / "dataset"), "-o", str(root / "model"), *STEPS]
        assert cli.run(train) == 0
    return root / "model"


class Command:
    """`toolkit serve` in a process of its own. `told` is what it printed when it was up."""

    def __init__(self, *args):
        words = [sys.executable, "-m", "toolkit", "serve", *map(str, args), "--json"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(words, env=os.environ, **pipes)

    def __enter__(self):
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(self.process.communicate()[1])
        self.told = json.loads(line)
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()

    def end(self, number):
        """End it by a signal; its exit code, and what it printed and said."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, out, err.splitlines()


def test_command_suggests_what_the_model_predicts(trained):
    """What comes over the wire is what `predict` finds; Ctrl-C ends it with exit code 0."""
    from toolkit import ner

    texts = [record["text"] for record in files.iter_jsonl(SMALL / "documents.jsonl")]
    predicted = list(ner.load(trained).predict([Document(t[:9], t) for t in texts]))
    with Command(trained, "--port", 0) as command:
        told = command.told
        body = asked(*(task(text, f"d{n}", n) for n, text in enumerate(texts)))
        answer = httpx.post(f"{told['url']}/predict", json=body, timeout=60).json()
        ended = command.end(signal.SIGINT)
    found = [
        [(*(r["value"][k] for k in ("start", "end")), r["value"]["labels"][0]) for r in p["result"]]
        for p in answer["results"]
    ]
    assert found == [[span.key for span in annotation.spans] for annotation in predicted]
    assert {p["model_version"] for p in answer["results"]} == {told["model_version"]}
    assert re.fullmatch("cnn-[0-9a-f]{8}", told.pop("model_version"))
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", told.pop("url"))
    assert told == {"control": 0.0, "projects": []}
    counts = f"{len(texts)} tasks read, 0 in the control arm, 0 without a text"
    assert ended == (0, "", [counts, "stopped"])


def test_command_ends_when_it_is_told_to(trained):
    """A polite end by the system closes the port and tells so by the usual exit code."""
    with Command(trained, "--port", 0) as command:
        assert command.end(signal.SIGTERM) == (128 + signal.SIGTERM, "", [])
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{command.told['url']}/health")


def refusal(*args):
    """Exit code and error line of a command line that is refused."""
    words = [sys.executable, "-m", "toolkit", "serve", *map(str, args)]
    done = subprocess.run(words, env=os.environ, capture_output=True, text=True, check=False)
    assert done.stdout == ""
    return done.returncode, done.stderr.strip()


def test_labels_beyond_the_schema_are_refused(trained, tmp_path):
    """A model with labels that the schema lacks needs its own schema."""
    given = files.resource("schemas/commitments.yaml").read_text("utf-8")
    other = given.replace("PARTY", "ACTOR").replace("guideline: commitments.md", "")
    (tmp_path / "other.yaml").write_text(other.replace("name: commitments", "name: other", 1))
    line = f"error: {trained}: labels that the schema other lacks (PARTY); name the model's schema"
    assert refusal(trained, "--schema", tmp_path / "other.yaml") == (2, f"{line} with --schema")


def test_project_needs_its_corpus(trained):
    """A project's name alone says nothing of whose it is."""
    line = "error: --project main: of which corpus? Name it with --attach"
    assert refusal(trained, "--project", "main") == (2, line)


def test_corpus_that_was_not_pushed_is_refused(trained, fake_site, monkeypatch):
    """There must be a project to attach to; nothing is served before there is."""
    monkeypatch.setenv("LABEL_STUDIO_URL", fake_site.server.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", fake_site.server.api_key)
    line = (
        f"error: {fake_site.server.url}: no project of 'small/never'; push it first: toolkit push"
    )
    assert refusal(trained, "--attach", SMALL, "--project", "never") == (2, line)


# ── a real Label Studio ─────────────────────────────────────────────────────────────────────────

TEXT = "🙂 In Tallinn, 👩‍🚀 Tovland pledged $3 billion."


@pytest.fixture
def open_studio(fresh_home):
    """A real server of its own that may ask models on this machine, as the administrator."""
    server = studio.start(models=True)
    yield studio.connect(server.url, server.api_key)
    assert studio.stop()


def opened(connected, number):
    """What the labelling page gets when an annotator opens the task."""
    headers = {"Authorization": f"Token {studio.status().api_key}"}
    answer = httpx.get(f"{connected.url}/api/tasks/{number}/", headers=headers, timeout=60)
    return answer.raise_for_status().json()


def tasks_of(connected, project):
    """The task of each document."""
    return {task.data["document"]: task.id for task in connected.tasks(project)}


@pytest.mark.studio
def test_label_studio_shows_the_suggestions(open_studio):
    """Attached, the model is asked when a task is opened; a new address and version replace the old."""
    documents = [Document("d1", TEXT), Document("d2", "Ostrava")]
    studio.push(open_studio, "served", "main", SCHEMA, documents)
    projects = find(open_studio, "served")
    tasks = tasks_of(open_studio, projects[0])
    said = []
    with studio.serving(studio.ml_backend(Rules(), SCHEMA, "v1", say=said.append)) as serving:
        open_studio.attach(projects, serving.url, "v1")
        found = opened(open_studio, tasks["d1"])["predictions"]
    party, amount = region(1, 18, 25, "Tovland", "PARTY"), region(2, 34, 44, "$3 billion", "AMOUNT")
    assert [(p["model_version"], p["result"]) for p in found] == [("v1", [party, amount])]
    assert [TEXT[s:e] for s, e in ((18, 25), (34, 44))] == ["Tovland", "$3 billion"]
    assert said == ["1 tasks read, 0 in the control arm, 0 without a text"]
    with studio.serving(studio.ml_backend(Rules(), SCHEMA, "v2")) as serving:
        open_studio.attach(projects, serving.url, "v2")
        held = open_studio.wire.sdk().ml.list(project=projects[0].id)
        second = opened(open_studio, tasks["d2"])["predictions"]
        assert [(b.url, b.title, b.model_version) for b in held] == [(serving.url, "v2", "v2")]
    assert [(p["model_version"], p["result"]) for p in second] == [
        ("v2", [region(1, 0, 7, "Ostrava", "PARTY")])
    ]
    refuse_anothers_model(open_studio, projects)


def refuse_anothers_model(connected, projects):
    """A project with a model of somebody else's keeps it, and nothing is changed anywhere."""
    held = connected.wire.sdk().ml.list(project=projects[0].id)[0]
    with studio.serving(studio.ml_backend(Rules(), SCHEMA, "v3")) as serving:
        connected.wire.sdk().ml.update(
            held.id, project=projects[0].id, url=serving.url, description=""
        )
        with pytest.raises(UsageError) as refused:
            connected.attach(projects, "http://127.0.0.1:1", "v4")
        assert str(refused.value) == (
            f"project {projects[0].id} asks another model, at {serving.url}; "
            "take that out in the project's settings, under Model"
        )
        assert connected.wire.sdk().ml.list(project=projects[0].id)[0].url == serving.url


@pytest.mark.studio
def test_command_attaches_the_model_to_a_corpus(open_studio, trained, tmp_path):
    """From corpus to suggestion in two commands; the control arm's task comes without one."""
    from toolkit import ner
    from toolkit.corpus import Corpus

    corpus = Corpus.load(SMALL)
    share = 0.5
    with redirect_stdout(io.StringIO()):
        assert cli.run(["push", str(SMALL)]) == 0
    project = find(open_studio, corpus.name)[0]
    predicted = {a.document: a for a in ner.load(trained).predict(corpus.documents)}
    with Command(trained, "--port", 0, "--attach", SMALL, "--control", share) as command:
        told = command.told
        found = {
            name: opened(open_studio, number)["predictions"]
            for name, number in tasks_of(open_studio, project).items()
        }
        code, _, _ = command.end(signal.SIGINT)
    assert (code, told["projects"], told["control"]) == (0, [project.id], share)
    shown = {
        name: [(r["value"]["start"], r["value"]["end"], *r["value"]["labels"]) for r in p["result"]]
        for name, predictions in found.items()
        for p in predictions
    }
    control = {name for name in predicted if studio.in_control(name, share)}
    assert 0 < len(control) < len(predicted)
    assert shown == {
        name: [span.key for span in annotation.spans]
        for name, annotation in predicted.items()
        if name not in control
    }


@pytest.mark.studio
def test_server_without_models_is_not_attached_to(fresh_home, trained):
    """A server that may not ask this machine is told apart beforehand, and says how to restart it."""
    server = studio.start()
    try:
        refused = refusal(trained, "--port", 0, "--attach", SMALL)
        wildcard = refusal(trained, "--attach", SMALL, "--host", "0.0.0.0")
        connected = studio.connect(server.url, server.api_key)
        studio.push(connected, "small", "main", SCHEMA, [Document("d1", TEXT)])
        app = studio.ml_backend(Rules(), SCHEMA, "v1")
        with studio.serving(app) as serving, pytest.raises(NotAllowedError) as closed:
            connected.attach(find(connected, "small"), serving.url, "v1")
        assert connected.wire.sdk().ml.list(project=find(connected, "small")[0].id) == []
    finally:
        assert studio.stop()
    cure = "toolkit studio stop, then toolkit studio start --models"
    assert refused == (
        2,
        f"error: the local Label Studio runs without --models and may not ask a model here; {cure}",
    )
    line = "error: --host 0.0.0.0: no address that Label Studio could ask"
    assert wildcard == (2, f"{line}; with --attach name the one this machine has")
    assert "reserved network address" in str(closed.value)
