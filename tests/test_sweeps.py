"""Push and pull ended at every single point: each request, each file; failed once, cut off, killed.

A scenario is a corpus and a server half-way through their work. It is brought to its end undisturbed
once; then again and again from the same beginning, ended at the first input or output, the second, and
so on until a run comes through. The run after each must leave what the undisturbed one left.
"""

import copy
import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from toolkit import files, studio
from toolkit.cli import run
from toolkit.spans import Document

ROOT = Path(__file__).parent.parent
TABLES = ("projects", "tasks", "annotations", "drafts", "predictions", "last")
MINI = """\
name: mini
version: "{version}"
language: en
title: Who
layers:
  - name: mentions
    labels:
      - {{name: PARTY, description: Somebody, colour: "#1D4ED8"}}
"""


def drawn(start, end):
    """A result with one region."""
    value = {"start": start, "end": end, "labels": ["PARTY"]}
    return [{"id": "r", "from_name": "label", "to_name": "text", "type": "labels", "value": value}]


def written(folder):
    """Every file under a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


class Scenario:
    """A server and a corpus at one moment, to which both can be taken back."""

    def __init__(self, fake, folder):
        self.fake, self.folder = fake, folder / "now"
        self.root, self.kept = self.folder / "c", folder / "then"
        server = studio.Server(url=fake.url, api_key=fake.token)
        people = [studio.invite(server, name) for name in ("a1", "a2")]
        self.people = [studio.connect(fake.url, person.api_key) for person in people]

    def write(self, texts, version="1.0"):
        """The corpus and its schema."""
        files.write_text(self.root / "corpus.yaml", "name: c\nschema: mini.yaml\n")
        files.write_text(self.root / "mini.yaml", MINI.format(version=version))
        files.write_jsonl(
            self.root / "documents.jsonl", [Document(*item) for item in texts.items()]
        )

    def task(self, name):
        """The number of a document's first task."""
        held = self.fake.tasks.values()
        return next(task["id"] for task in held if task["data"]["document"] == name)

    def keep(self):
        """This is the beginning."""
        shutil.copytree(self.folder, self.kept)
        self.tables = {name: copy.deepcopy(getattr(self.fake, name)) for name in TABLES}

    def back(self):
        """To the beginning."""
        self.fake.settle()
        shutil.rmtree(self.folder)
        shutil.copytree(self.kept, self.folder)
        for name, held in self.tables.items():
            setattr(self.fake, name, copy.deepcopy(held))

    def outcome(self):
        """What a run leaves: the corpus's files and, without their numbers, the tasks and pages."""
        self.fake.settle()
        tasks = [json.dumps(task["data"]) for task in self.fake.tasks.values()]
        pages = [project["label_config"] for project in self.fake.projects.values()]
        journals = list((self.folder / "home").glob("journals/*"))
        return written(self.root), sorted(tasks), pages, journals


@pytest.fixture
def scenario(fake_class, tmp_path, monkeypatch):
    """A scenario on a pretend server of its own."""
    with fake_class() as fake:
        monkeypatch.setenv("TOOLKIT_HOME", str(tmp_path / "now" / "home"))
        monkeypatch.setenv("LABEL_STUDIO_URL", fake.url)
        monkeypatch.setenv("LABEL_STUDIO_API_KEY", fake.token)
        monkeypatch.setattr("toolkit.studio.wire.PAUSE", 0)
        yield Scenario(fake, tmp_path)


def push(made):
    """A push with all it can have to do: the page, a text, a second task to remove, new documents."""
    made.write({"d0": "Paris will pay", "d1": "Rome will pay", "d2": "Oslo may pay"})
    assert run(["push", str(made.root)]) == 0
    project = min(made.fake.projects)
    again = [{"data": made.fake.tasks[made.task("d0")]["data"]}]
    headers = {"Authorization": f"Token {made.fake.token}"}
    url = f"{made.fake.url}/api/projects/{project}/import"
    httpx.post(url, json=again, headers=headers).raise_for_status()
    texts = {"d0": "Paris will pay", "d1": "Rome shall pay", "d2": "Oslo may pay"}
    made.write(texts | {f"n{n}": f"Text {n}" for n in range(3)}, version="1.1")
    return ["push", str(made.root)]


def pull(made):
    """A pull with all it can bring: new, edited and deleted readings, skips, what cannot be read."""
    made.write({f"d{n}": f"Paris will pay {n}" for n in range(5)})
    assert run(["push", str(made.root)]) == 0
    one, two = made.people
    for number in range(4):
        one.annotate(made.task(f"d{number}"), drawn(0, 5))
    assert run(["pull", str(made.root)]) == 0
    first, second, *_ = sorted(made.fake.annotations)
    one.wire.write("PATCH", f"api/annotations/{first}/", {"result": drawn(0, 10)})
    one.wire.write("DELETE", f"api/annotations/{second}/")
    one.delete_task(made.task("d3"))
    two.annotate(made.task("d0"), drawn(6, 10))
    two.annotate(made.task("d1"), drawn(0, 4000))
    two.annotate(made.task("d4"), [], was_cancelled=True)
    return ["pull", str(made.root)]


# ── in this process ─────────────────────────────────────────────────────────────────────────────


class CutError(BaseException):
    """The process ends here."""


class Points:
    """Counts inputs and outputs, and ends the run at one of them: once, or from then on."""

    def __init__(self, number, error, lasting):
        self.number, self.error, self.lasting = number, error, lasting
        self.passed = 0

    def pass_by(self):
        """One more."""
        self.passed += 1
        if self.passed == self.number or (self.lasting and self.passed > self.number):
            raise self.error


def around(genuine, points, *, after=False):
    """A function that passes a point before, or after, it does its work."""

    def wrapped(*args, **options):
        if not after:
            points.pass_by()
        result = genuine(*args, **options)
        if after:
            points.pass_by()
        return result

    return wrapped


DISK = ((os, "fsync"), (os, "replace"), (os, "fdopen"), (os, "open"))
WIRE = ((httpx.HTTPTransport, "handle_request"),)
FAILURES = {
    "request not sent": (WIRE, httpx.ConnectError("away"), False, False),
    "answer lost": (WIRE, httpx.ReadError("gone"), False, True),
    "no more requests": (WIRE, httpx.ConnectError("away"), True, False),
    "no more answers": (WIRE, httpx.ReadError("gone"), True, True),
    "disk fails once": (DISK, OSError(errno.EIO, "broken"), False, False),
    "disk is full": (DISK, OSError(errno.ENOSPC, "full"), True, False),
    "ends before a file": (DISK, CutError(), False, False),
    "ends after a file": (DISK, CutError(), False, True),
}
CODES = {"request": {0, 10}, "answer": {0, 10, 12}, "no": {10}, "disk": {15}, "ends": {None}}


@contextmanager
def failing(places, points, after):
    """The lowest level of everything that reads from the wire or writes to the disk."""
    with pytest.MonkeyPatch.context() as patch:
        for owner, name in places:
            patch.setattr(owner, name, around(getattr(owner, name), points, after=after))
        yield


def attempt(words):
    """The exit code of a command, or None when it was ended in the middle."""
    with suppress(CutError):
        return run(words)


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("prepare", [push, pull])
def test_every_point_of_failure(scenario, monkeypatch, prepare, failure):
    """Whatever fails, and wherever: the files are whole, and the next run ends as if nothing had."""
    monkeypatch.setattr("toolkit.studio.pushing.BATCH", 2)
    monkeypatch.setattr("toolkit.studio.pulling.PART", 2)
    words = prepare(scenario)
    scenario.keep()
    places, error, lasting, after = FAILURES[failure]
    code, undisturbed = run(words), scenario.outcome()
    before = written(scenario.kept / "c")
    for number in range(1, 100):
        scenario.back()
        points = Points(number, error, lasting)
        with failing(places, points, after):
            ended = attempt(words)
        if points.passed < number:
            break
        assert ended in CODES[failure.split()[0]] | ({code} if not lasting else set()), number
        for name, content in written(scenario.root).items():
            half = Path(name).name.startswith(".")
            assert half or content in {before.get(name), undisturbed[0].get(name)}, (number, name)
        assert run(words) == code, number
        assert scenario.outcome() == undisturbed, number
        assert studio.verify(scenario.root) == [], number
    assert (ended, scenario.outcome()) == (code, undisturbed)
    assert number > 3


# ── killed ──────────────────────────────────────────────────────────────────────────────────────

POINTS = ("request", "fsync", "rename")

NURSERY = """
import json, os, signal, sys
import httpx
from toolkit import cli
from toolkit.studio import pulling, pushing

pushing.BATCH = pulling.PART = 2


def dying(genuine, number, after):
    count = iter(range(1, 10_000))

    def wrapped(*args, **options):
        here = next(count) == number
        if here and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = genuine(*args, **options)
        if here:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return wrapped


results = os.fdopen(os.dup(1), "w")
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
for line in sys.stdin:
    words, environment, place, number, after = json.loads(line)
    os.environ.update(environment)
    if number == 0:  # Undisturbed, and here, so that its children find every library imported.
        print(cli.run(words), file=results, flush=True)
        continue
    child = os.fork()
    if not child:
        owner, name = {"rename": (os, "replace"), "fsync": (os, "fsync"), "request": (
            httpx.HTTPTransport, "handle_request")}[place]
        setattr(owner, name, dying(getattr(owner, name), number, after))
        os._exit(cli.run(words))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), file=results, flush=True)
"""


@pytest.fixture(scope="module")
def killed():
    """Run a command in a process of its own that is killed at a point; gives how it ended.

    At point 0 nothing befalls it.
    """
    words = [sys.executable, "-c", NURSERY]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(words, text=True, **pipes) as nursery:

        def at(words, place, number, after):
            names = ("TOOLKIT_HOME", "LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY")
            order = [words, {name: os.environ[name] for name in names}, place, number, after]
            nursery.stdin.write(json.dumps(order) + "\n")
            nursery.stdin.flush()
            return int(nursery.stdout.readline())

        yield at
        nursery.stdin.close()


KILLS = ((push, "request", 9), (push, "fsync", 2), *((pull, kind, 4) for kind in POINTS))
"""What is killed, at what, and at how many points at least. A push writes down its intents only."""


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("prepare", "place", "least"), KILLS)
def test_killed_at_every_point(scenario, killed, monkeypatch, prepare, place, least, after):
    """`kill -9` at any request or file loses nothing and doubles nothing; the next run tidies up."""
    monkeypatch.setattr("toolkit.studio.pushing.BATCH", 2)
    monkeypatch.setattr("toolkit.studio.pulling.PART", 2)
    words = prepare(scenario)
    scenario.keep()
    code, undisturbed = killed(words, place, 0, after), scenario.outcome()
    for number in range(1, 100):
        scenario.back()
        if killed(words, place, number, after) != -signal.SIGKILL:
            break
        assert run(words) == code, number
        assert scenario.outcome() == undisturbed, number
        assert studio.verify(scenario.root) == [], number
    assert scenario.outcome() == undisturbed
    assert number > least


# ── the disk ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def pulled(scenario):
    """A corpus whose annotations were pulled, and more has been done since."""
    words = pull(scenario)
    scenario.fake.requests.clear()
    return words


@contextmanager
def small_files(limit):
    """A disk that takes no more than so many bytes a file."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


def test_disk_that_fills_up_leaves_the_old_files(scenario, pulled):
    """A history that does not fit any more is exit 15, and every file stays as it was."""
    before = written(scenario.root)
    with small_files((scenario.root / "history" / "main.jsonl").stat().st_size + 100):
        assert run(pulled) == 15
    assert written(scenario.root) == before
    assert run(pulled) == 4


def refused_before_any_request(scenario, words, capsys):
    """What a command says that is refused with exit 15, and that nothing was asked of the server."""
    capsys.readouterr()
    code, printed = run(words), capsys.readouterr()
    assert (code, printed.out, scenario.fake.requests) == (15, "", [])
    return printed.err


@pytest.mark.parametrize("name", ["history", "annotators"])
def test_folder_that_is_a_file_is_refused_before_any_request(scenario, pulled, capsys, name):
    """Where no file can be made nothing is fetched either."""
    shutil.rmtree(scenario.root / name)
    (scenario.root / name).write_text("")
    told = refused_before_any_request(scenario, pulled, capsys)
    cure = "make it writable or choose another folder"
    what = f"error: {scenario.root / name}: cannot be written (Not a directory)"
    assert told == f"{what}; {cure}\n"


def test_link_in_place_of_a_file_is_refused_before_any_request(scenario, pulled, capsys, tmp_path):
    """A pull would put a file in its place, and what it led to would stay behind unnoticed."""
    path = scenario.root / "annotators" / "a1.jsonl"
    path.rename(tmp_path / "elsewhere.jsonl")
    path.symlink_to(tmp_path / "elsewhere.jsonl")
    told = refused_before_any_request(scenario, pulled, capsys)
    what = f"error: {path}: is a link, which a pull would replace by a file"
    assert told == f"{what}; put the file itself there, or link the folder\n"


@pytest.mark.parametrize("name", ["history", "annotators"])
def test_folder_may_be_a_link(scenario, pulled, tmp_path, name):
    """Who keeps a part of the corpus elsewhere finds it brought up to date there."""
    (scenario.root / name).rename(tmp_path / "elsewhere")
    (scenario.root / name).symlink_to(tmp_path / "elsewhere")
    assert run(pulled) == 4
    assert (scenario.root / name).is_symlink()
    assert studio.verify(scenario.root) == []
    assert not [path for path in (tmp_path / "elsewhere").iterdir() if path.name.startswith(".")]


# ── a damaged history ───────────────────────────────────────────────────────────────────────────

FIRST = "restore the file from git"
TEXT = "restore the file with -text in .gitattributes"
SEAL = "restore it from git; after a merge, pull again to seal both sides"
DAMAGE = {
    "flipped bit": (
        lambda lines: [lines[0].replace(b'"start":0', b'"start":1'), *lines[1:]],
        [f"history/main.jsonl:1: the line is not what was pulled; {FIRST}"],
    ),
    "line ends changed": (
        lambda lines: [lines[0] + b"\r", *lines[1:]],
        [f"history/main.jsonl:1: the line ends in CRLF; {TEXT}"],
    ),
    "lost line": (
        lambda lines: lines[:-1],
        [f"history/main.jsonl: 4 lines were pulled, and 3 are left; {FIRST}"],
    ),
    "half-merged": (
        lambda lines: [b"<<<<<<< HEAD", *lines],
        ["history/main.jsonl:1: a merge was not finished here; keep the lines of both sides"],
    ),
}


@pytest.mark.parametrize(("damage", "told"), DAMAGE.values(), ids=DAMAGE)
def test_damaged_history_is_named_and_never_built_upon(scenario, pulled, capsys, damage, told):
    """Check and pull end with 14 and name file and line; the pull leaves everything as it is."""
    path = scenario.root / "history" / "main.jsonl"
    path.write_bytes(b"\n".join([*damage(path.read_bytes().split(b"\n")[:-1]), b""]))
    before = written(scenario.root)
    capsys.readouterr()
    expected = [f"error: {scenario.root}/{line}" for line in told]
    assert run(pulled) == 14
    assert capsys.readouterr().err.splitlines() == expected
    assert written(scenario.root) == before
    assert run(["check", str(scenario.root)]) == 14
    assert capsys.readouterr().err.splitlines()[: len(told)] == expected


def test_reordered_lines_are_noticed_and_sealed_anew(scenario, pulled, capsys):
    """No line is altered, so a pull goes on with them; until then the seal does not fit."""
    path = scenario.root / "history" / "main.jsonl"
    lines = path.read_bytes().split(b"\n")[:-1]
    path.write_bytes(b"\n".join([*reversed(lines), b""]))
    capsys.readouterr()
    assert run(["check", str(scenario.root)]) == 14
    what = "main.jsonl has 4 lines that are not the 4 it seals"
    place = scenario.root / "history" / "main.json"
    assert capsys.readouterr().err == f"error: {place}: {what}; {SEAL}\n"
    assert run(pulled) == 4
    assert studio.verify(scenario.root) == []


def test_readings_that_were_spoilt_are_named_before_anything_is_written(scenario, pulled, capsys):
    """A half-merged file of an annotator is exit 3, and not even the history is written."""
    path = scenario.root / "annotators" / "a1.jsonl"
    path.write_bytes(b"<<<<<<< HEAD\n" + path.read_bytes())
    before = written(scenario.root)
    capsys.readouterr()
    assert run(pulled) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {path}:1: not a reading: ")
    assert line.endswith("; mend the line, or delete it and pull again")
    assert written(scenario.root) == before


def test_histories_of_two_branches_merge_by_union(scenario, tmp_path):
    """What two people pulled apart is all there once after a merge, and the next pull seals it."""
    root = scenario.folder / "annotations" / "c"

    def git(*words, code=0):
        identity = ("-c", "user.name=n", "-c", "user.email=n@example.com")
        done = subprocess.run(
            ["git", *identity, *words], cwd=scenario.folder, capture_output=True, check=False
        )
        assert done.returncode == code, done.stderr

    def lines():
        return (root / "history" / "main.jsonl").read_bytes().split(b"\n")[:-1]

    scenario.root = root
    scenario.write({f"d{n}": f"Paris will pay {n}" for n in range(4)})
    shutil.copy(ROOT / ".gitattributes", scenario.folder)
    (scenario.folder / ".gitignore").write_text("home\n")
    one, two = scenario.people
    assert run(["push", str(root)]) == 0
    one.annotate(scenario.task("d0"), drawn(0, 5))
    assert run(["pull", str(root)]) == 0
    git("init", "-q", "-b", "ours")
    git("add", "-A")
    git("commit", "-qm", "begin")
    git("checkout", "-qb", "theirs")
    one.annotate(scenario.task("d1"), drawn(0, 5))
    assert run(["pull", str(root)]) == 0
    theirs = lines()
    git("commit", "-qam", "theirs")
    newest = max(scenario.fake.annotations)
    one.wire.write("PATCH", f"api/annotations/{newest}/", {"result": drawn(0, 10)})
    git("checkout", "-q", "ours")
    two.annotate(scenario.task("d2"), drawn(0, 5))
    assert run(["pull", str(root)]) == 0
    ours = lines()
    git("add", "-A")
    git("commit", "-qm", "ours")
    git("merge", "-q", "theirs", code=1)
    git(
        "checkout", "--ours", "annotations/c/history/main.json", "annotations/c/annotators/a1.jsonl"
    )
    assert set(lines()) == set(ours) | set(theirs)
    assert run(["check", str(root)]) == 14
    assert run(["pull", str(root)]) == 0
    assert (studio.verify(root), run(["check", str(root)])) == ([], 0)
    assert len({json.loads(line)["id"] for line in lines()}) == len(lines()) == 4
    assert sorted(path.name for path in (root / "annotators").iterdir()) == ["a1.jsonl", "a2.jsonl"]
    (reading,) = [
        r for r in files.iter_jsonl(root / "annotators" / "a1.jsonl") if "d1" in r.values()
    ]
    assert reading["spans"][0]["end"] == 10
