"""Everything wrong that a user can hand in.

Each gets one line with place, fault and cure, its exit code, no traceback, and not a byte is written.
"""

import contextlib
import io
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from toolkit import cli

SMALL = Path(__file__).parent / "data" / "small"
DOCUMENTS = "small/documents.jsonl"
FIRST = "small/annotators/a1.jsonl"
GOLD = "small/gold.jsonl"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a small corpus, its gold, its dataset and a model."""
    root = tmp_path_factory.mktemp("made")
    shutil.copytree(SMALL, root / "small")
    with contextlib.redirect_stdout(io.StringIO()):
        assert cli.run(["adjudicate", str(root / "small")]) == 0
        assert cli.run(["build", str(root / "small"), "-o", str(root / "dataset")]) == 0
        train = ["train", str(root / "dataset"), "-o", str(root / "model")]
        assert cli.run([*train, "--set", "training.max_steps=1"]) == 0
    return root


@pytest.fixture
def here(made, tmp_path, monkeypatch):
    """A copy of that folder, to stand in and to spoil."""
    shutil.copytree(made, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def contents(folder):
    """Every file and folder below, with the files' bytes."""
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.fixture
def refused(here, capsys):
    """Run a line and give its exit code and its words, having seen that nothing was written."""

    def call(line):
        before = contents(here)
        status = cli.run(line.split())
        told = capsys.readouterr()
        assert contents(here) == before
        assert "Traceback" not in told.err
        return status, told.out, told.err

    return call


def change(path, old, new):
    """Put other bytes in the place of the first that match."""
    content = Path(path).read_bytes()
    assert old.encode() in content
    new = new if isinstance(new, bytes) else new.encode()
    Path(path).write_bytes(content.replace(old.encode(), new, 1))


# ── data ────────────────────────────────────────────────────────────────────────────────────────

PARTY = '{"start":18,"end":25,"label":"PARTY","id":"s2","text":"Tovland"}'


def party(**changed):
    """A1's span "Tovland" of document A04 (line 3), changed."""
    span = json.loads(PARTY) | changed
    return json.dumps({key: value for key, value in span.items() if value is not None})


SPOILT = {
    "unknown label": (
        (FIRST, PARTY, party(label="PERSON")),
        (
            f"{FIRST}:3: A04: PERSON 18–25 has an unknown label; "
            "use one of COMMITMENT, PARTY, AMOUNT, DATE"
        ),
    ),
    "span outside the text": (
        (FIRST, PARTY, party(end=999)),
        f"{FIRST}:3: A04: PARTY 18–999 lies outside the text (0–98); mend its offsets",
    ),
    "span before the text": (
        (FIRST, PARTY, party(start=-3)),
        f"{FIRST}:3: A04: PARTY -3–25 lies outside the text (0–98); mend its offsets",
    ),
    "reversed span": (
        (FIRST, PARTY, party(start=25, end=18)),
        f"{FIRST}:3: A04: PARTY 25–18 ends before it starts; swap start and end",
    ),
    "empty span": (
        (FIRST, PARTY, party(end=18)),
        f"{FIRST}:3: A04: PARTY 18–18 is empty; remove it or give it an end after its start",
    ),
    "other words than the text's": (
        (FIRST, PARTY, party(start=19)),
        f"{FIRST}:3: A04: PARTY 19–25 reads 'ovland', not 'Tovland'; mend offsets or text",
    ),
    "span id twice": (
        (FIRST, PARTY, party(id="s1")),
        f"{FIRST}:3: A04: PARTY 18–25 repeats the id 's1'; give each span its own id",
    ),
    "overlap inside a layer of gold": (
        (GOLD, PARTY, party() + "," + party(end=30, id="s9", text=None, label="AMOUNT")),
        (
            f"{GOLD}:3: A04: AMOUNT 18–30 overlaps PARTY 18–25 in the layer 'mentions'; "
            "keep one of the two or move an edge"
        ),
    ),
    "unknown key": (
        (FIRST, '"document":"A04"', '"document":"A04","mood":"good"'),
        (
            f"{FIRST}:3: unknown key 'mood'; known are document, annotator, spans, relations, skipped, "
            "lead_time, provenance, suggested; mend the line"
        ),
    ),
    "key twice": (
        (FIRST, '"document":"A04"', '"document":"A04","document":"A05"'),
        f"{FIRST}:3: the key 'document' stands twice; mend the line",
    ),
    "text for a number": (
        (FIRST, '{"start":18', '{"start":"18"'),
        f"{FIRST}:3: Expected `int`, got `str` - at `$.spans[1].start`; mend the line",
    ),
    "not JSON": (
        (FIRST, '{"document":"A04"', "{"),
        (
            f"{FIRST}:3: not JSON at column 2: Expecting property name enclosed in double quotes; "
            "mend the line"
        ),
    ),
    "reading of no document": (
        (FIRST, '"document":"A04"', '"document":"A99"'),
        f"{FIRST}:3: no document 'A99' in documents.jsonl; add it or drop the line",
    ),
    "second reading": (
        (FIRST, '{"document":"A05"', '{"document":"A04"}\n{"document":"A05"'),
        f"{FIRST}:4: a second reading of 'A04'; keep one",
    ),
    "blank line": (
        (FIRST, '{"document":"A05"', '\n{"document":"A05"'),
        f"{FIRST}:4: blank line; mend the line",
    ),
    "duplicate document id": (
        (DOCUMENTS, '"id":"A04"', '"id":"A02"'),
        f"{DOCUMENTS}:3: document id 'A02' stands already on line 2; give each document its own id",
    ),
    "lone surrogate": (
        (DOCUMENTS, '"source":"worked"', '"source":"\\ud83d"'),
        (
            f"{DOCUMENTS}:1: a lone surrogate, which is no character; "
            "remove it: Label Studio cannot export a project that holds one"
        ),
    ),
    "invalid UTF-8": (
        (DOCUMENTS, "worked", b"w\xffrked"),
        f"{DOCUMENTS}:1: byte 206 is not UTF-8 (0xff); save the file as UTF-8",
    ),
    "document without text": (
        (DOCUMENTS, '{"id":"A02"', '{"id":"A00","text":" ","event":"e1"}\n{"id":"A02"'),
        f"{DOCUMENTS}:2: document 'A00' has no text; remove it",
    ),
    "event in no split": (
        ("small/splits.yaml", "test: [e3]", "test: []"),
        "small/splits.yaml: event 'e3' is in no split; add it to one",
    ),
}


@pytest.mark.parametrize(("spoilt", "told"), SPOILT.values(), ids=SPOILT)
def test_spoilt_corpus(refused, spoilt, told):
    """One fault in a corpus is one line with file and line number, and exit code 3."""
    change(*spoilt)
    status, _, err = refused("check small")
    assert (status, err) == (3, f"error: {told}\n")


INPUT = '{"id":"x","text":"Tovland pays."}\n'
UNREADABLE = {
    "not JSON": (
        f"{INPUT}nonsense\n",
        "in.jsonl:2: not JSON at column 1: Expecting value; mend the line",
    ),
    "no text": (
        f'{INPUT}{{"id":"y"}}\n',
        'in.jsonl:2: no id or no text; write {"id": "…", "text": "…"}',
    ),
    "number for an id": (
        '{"id":1,"text":"Tovland pays."}\n',
        'in.jsonl:1: no id or no text; write {"id": "…", "text": "…"}',
    ),
    "id twice": (
        f"{INPUT}{INPUT}",
        "in.jsonl:2: a second document 'x'; give each its own id",
    ),
    "lone surrogate": (
        '{"id":"x","text":"\\ud83d"}\n',
        (
            "in.jsonl:1: a lone surrogate, which is no character; "
            "remove it: Label Studio cannot export a project that holds one"
        ),
    ),
    "invalid UTF-8": (
        b'{"id":"x","text":"\xff"}\n',
        "in.jsonl:1: byte 18 is not UTF-8 (0xff); save the file as UTF-8",
    ),
}


@pytest.mark.parametrize(("content", "told"), UNREADABLE.values(), ids=UNREADABLE)
def test_unreadable_input_to_predict(refused, content, told):
    """A record that cannot be read stops the prediction; what was in the output stays."""
    Path("in.jsonl").write_bytes(content if isinstance(content, bytes) else content.encode())
    Path("out.jsonl").write_text("as it was\n")
    status, out, err = refused("predict model in.jsonl -o out.jsonl")
    assert (status, out, err) == (3, "", f"error: {told}\n")


def spans(*found):
    """A prediction for A06, the document of the test split, as start, end and label."""
    listed = [{"start": s, "end": e, "label": label} for s, e, label in found]
    return json.dumps({"document": "A06", "spans": listed}) + "\n"


UNSCORABLE = {
    "unknown label": (
        spans((0, 4, "PERSON")),
        (
            "p.jsonl:1: A06: PERSON 0–4 has an unknown label; "
            "use one of COMMITMENT, PARTY, AMOUNT, DATE"
        ),
    ),
    "outside the text": (
        spans((0, 99, "PARTY")),
        "p.jsonl:1: A06: PARTY 0–99 lies outside the text (0–73); mend its offsets",
    ),
    "overlap": (
        spans((0, 4, "PARTY"), (2, 6, "DATE")),
        (
            "p.jsonl:1: A06: DATE 2–6 overlaps PARTY 0–4 in the layer 'mentions'; "
            "keep one of the two or move an edge"
        ),
    ),
    "document twice": (
        spans() * 2,
        "p.jsonl:2: A06 stands already on line 1; keep one of the two",
    ),
    "document missing": (
        spans().replace("A06", "A05"),
        (
            "predictions: no prediction for 1 of 1 gold documents (A06); "
            "predict them too; a document without spans is a record with no spans"
        ),
    ),
}


@pytest.mark.parametrize(("content", "told"), UNSCORABLE.values(), ids=UNSCORABLE)
def test_unscorable_predictions(refused, content, told):
    """Predictions that would make a wrong score get none."""
    Path("p.jsonl").write_text(content)
    status, out, err = refused("score p.jsonl --gold dataset")
    assert (status, out, err) == (3, "", f"error: {told}\n")


def test_span_that_cuts_a_token(refused):
    """A gold span that ends within a token is refused when the dataset is built, by name."""
    change(GOLD, PARTY, party(end=24, text="Tovlan"))
    status, _, err = refused("build small -o dataset")
    told = f"{GOLD}: A04: PARTY 18–24 'Tovlan' cuts 'Tovland'; move the span's edge to the token's"
    assert (status, err) == (3, f"error: {told}\n")


def test_open_disputes(here, refused, capsys):
    """Gold with gaps is not built, unless one asks for it."""
    Path("small/decisions.jsonl").unlink()
    cli.run(["adjudicate", "small"])
    capsys.readouterr()
    status, _, err = refused("build small -o dataset")
    assert (status, err) == (
        3,
        (
            "error: small/disputed.jsonl: still disputed: 1, so the gold has gaps; "
            "settle them in decisions.jsonl and adjudicate again, or build --allow-disputed\n"
        ),
    )
    assert cli.run(["build", "small", "-o", "dataset", "--allow-disputed"]) == 0


# ── usage ───────────────────────────────────────────────────────────────────────────────────────

CONFIGURATION = {
    "file missing": ("check nowhere", "nowhere: no such file; check the path"),
    "nothing here": (
        "check",
        "nothing to check here; name a schema or a corpus, or go where they are",
    ),
    "no corpus": (
        "check dataset",
        "dataset: no corpus here (no corpus.yaml); name a folder that has one",
    ),
    "no such decisions": (
        "adjudicate small --decisions d.jsonl",
        "d.jsonl: no such file; check the path",
    ),
    "build over something else": (
        "build small -o small",
        "small: holds something else than a dataset (annotators/a1.jsonl); choose another folder",
    ),
    "no dataset": (
        "train nowhere -o new",
        "nowhere: no dataset here (no corpus.json); make one: toolkit build -o nowhere",
    ),
    "unknown system": (
        "train dataset --system nosuch -o new",
        "--system nosuch: no such system; known are {systems}, or name a .yaml file",
    ),
    "no such system file": (
        "train dataset --system nosuch.yaml -o new",
        "--system nosuch.yaml: no such system; known are {systems}, or name a .yaml file",
    ),
    "setting without a value": (
        "train dataset -o new --set training.max_steps",
        "--set training.max_steps: no value; write it as training.max_steps=300",
    ),
    "setting without a key": (
        "train dataset -o new --set =300",
        "--set =300: no key; write it as training.max_steps=300",
    ),
    "setting in no section": (
        "train dataset -o new --set taining.max_steps=1",
        "taining.max_steps: no section 'taining' in the training configuration; mend its spelling",
    ),
    "train over something else": (
        "train dataset -o small",
        "small: exists and is no model; choose another folder",
    ),
    "no model": (
        "predict nowhere small/documents.jsonl -o out.jsonl",
        "nowhere: no model here (no config.cfg); name a folder made by train",
    ),
    "no input": (
        "predict model nowhere.jsonl -o new/out.jsonl",
        "nowhere.jsonl: no such file; check the path",
    ),
    "output is the input": (
        "predict model small/documents.jsonl -o small/../small/documents.jsonl",
        "small/../small/documents.jsonl: is the input; choose another file",
    ),
    "no predictions": (
        "score nowhere.jsonl --gold dataset",
        "nowhere.jsonl: no such file; check the path",
    ),
    "no gold": (
        "score small/gold.jsonl --gold nowhere",
        (
            "nowhere: no gold file and no dataset here; "
            "name one with --gold, or make one: toolkit build"
        ),
    ),
    "unknown split": (
        "score model --gold dataset --split dev",
        "--split dev: the dataset has train, validation, test",
    ),
    "no server to invite to": (
        "studio invite a1",
        "the local Label Studio is not running; start it: toolkit studio start",
    ),
}


@pytest.mark.parametrize(("line", "told"), CONFIGURATION.values(), ids=CONFIGURATION)
def test_wrong_argument(refused, line, told):
    """A wrong argument is told with its cure and ends with exit code 2."""
    systems = Path(__file__).parent.parent / "benchmarks" / "communique" / "systems"
    known = ", ".join(sorted(path.stem for path in systems.glob("*.yaml")))
    assert refused(line) == (2, "", f"error: {told.format(systems=known)}\n")


def test_schema_that_is_not_there(refused):
    """A corpus names a schema that can be found."""
    change("small/corpus.yaml", "schema: commitments", "schema: nosuch")
    told = "small/corpus.yaml: no schema 'nosuch'; put it in schemas/nosuch.yaml"
    assert refused("check small") == (2, "", f"error: {told}\n")


def test_agreement_of_one(refused):
    """One annotator agrees with nobody."""
    Path("small/annotators/a2.jsonl").unlink()
    told = "small: 1 annotator; agreement takes two: pull a second reading"
    assert refused("agreement small") == (2, "", f"error: {told}\n")


def test_gold_before_dataset(refused):
    """Without gold there is nothing to build."""
    Path(GOLD).unlink()
    told = "small: no gold yet; make it: toolkit adjudicate small"
    assert refused("build small -o dataset") == (2, "", f"error: {told}\n")


def test_annotations_before_gold(refused):
    """Without annotations there is nothing to adjudicate."""
    shutil.rmtree("small/annotators")
    told = "small: no annotations yet; pull them first: toolkit pull"
    assert refused("adjudicate small") == (2, "", f"error: {told}\n")


def test_model_needs_texts(refused):
    """A model cannot be scored on a gold file of which nobody has the texts."""
    shutil.move(GOLD, "gold.jsonl")
    told = "a model needs the texts; name them with --documents"
    assert refused("score model --gold gold.jsonl") == (2, "", f"error: {told}\n")


@pytest.mark.parametrize(
    "line",
    [
        "nosuch",
        "train --nosuch",
        "predict model",
        "train --seed one",
        "predict m i -o o --processes 0",
    ],
    ids=["command", "option", "argument", "number", "range"],
)
def test_misspelt_command_line(refused, line):
    """What the command line does not understand ends with exit code 2 and how it is used."""
    status, out, err = refused(line)
    assert (status, out) == (2, "")
    assert err.startswith("Usage: toolkit ")


# ── server ──────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def closed_port():
    """The number of a port on this machine that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        yield probe.getsockname()[1]  # bound, but not listening: whoever connects is refused


@pytest.mark.parametrize("command", ["push", "pull"])
def test_server_down(refused, monkeypatch, closed_port, command):
    """A server that does not answer is named, with exit code 10."""
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "secret")
    url = f"http://127.0.0.1:{closed_port}"
    told = f"{url}: cannot be reached (ConnectError); check the address, or: toolkit studio start"
    assert refused(f"{command} small --url {url}") == (10, "", f"error: {told}\n")


def test_flag_beats_environment(refused, monkeypatch, closed_port):
    """The address of the flag is used, not the one of the environment."""
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "secret")
    monkeypatch.setenv("LABEL_STUDIO_URL", "https://label-studio.invalid")
    status, _, err = refused(f"push small --url http://127.0.0.1:{closed_port}")
    assert (status, err[:24]) == (10, "error: http://127.0.0.1:")


OPEN = "LABEL_STUDIO_URL: {} would send the token in clear; use https, or set TOOLKIT_ALLOW_HTTP=1 "
CONNECTIONS = {
    "no address": (
        {},
        "LABEL_STUDIO_URL is not set; set it, or start a server: toolkit studio start",
    ),
    "no token": (
        {"LABEL_STUDIO_URL": "https://label-studio.invalid"},
        "LABEL_STUDIO_API_KEY is not set; set it, or start a server: toolkit studio start",
    ),
    "wrong scheme": (
        {"LABEL_STUDIO_URL": "ftp://label-studio.invalid", "LABEL_STUDIO_API_KEY": "secret"},
        "LABEL_STUDIO_URL: 'ftp://label-studio.invalid' is not http(s)://host[:port]; mend it",
    ),
    "no scheme": (
        {"LABEL_STUDIO_URL": "label-studio.invalid", "LABEL_STUDIO_API_KEY": "secret"},
        "LABEL_STUDIO_URL: 'label-studio.invalid' is not http(s)://host[:port]; mend it",
    ),
    "open wire": (
        {"LABEL_STUDIO_URL": "http://label-studio.invalid", "LABEL_STUDIO_API_KEY": "secret"},
        OPEN.format("http://label-studio.invalid") + "inside a trusted network",
    ),
}


@pytest.mark.parametrize(("environment", "told"), CONNECTIONS.values(), ids=CONNECTIONS)
@pytest.mark.parametrize("command", ["push", "pull"])
def test_connection_that_cannot_be(refused, monkeypatch, command, environment, told):
    """An address or token that is missing or unsafe is refused before anything is sent."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert refused(f"{command} small") == (2, "", f"error: {told}\n")


# ── disk ────────────────────────────────────────────────────────────────────────────────────────

WRITING = {
    "adjudicate": ("adjudicate small", "small/gold.jsonl"),
    "build": ("build small -o dataset", "dataset"),
    "train": ("train dataset -o model --force", "model"),
    "predict": ("predict model small/documents.jsonl -o out.jsonl", "out.jsonl"),
}


@contextmanager
def full_disk():
    """A disk that takes no more than a hundred bytes a file."""
    # Only around the command: the tests' own log may be a longer file.
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


@pytest.mark.parametrize(("line", "place"), WRITING.values(), ids=WRITING)
def test_full_disk(here, refused, line, place):
    """What does not fit on the disk is not written at all, and what was there stays: exit code 15."""
    Path("out.jsonl").write_text("as it was\n")
    with full_disk():
        status, out, err = refused(line)
    assert (status, out) == (15, "")
    assert err.startswith(f"error: {place}: cannot be written (")
    assert err.endswith("File too large); free some space or choose another folder\n")


@pytest.mark.parametrize(
    "line",
    [
        "build small -o small/corpus.yaml/dataset",
        "train dataset -o small/corpus.yaml/model",
        "predict model small/documents.jsonl -o small/corpus.yaml/out.jsonl",
    ],
    ids=["build", "train", "predict"],
)
def test_place_that_cannot_be_written(refused, line):
    """A folder that cannot be made is named with exit code 15."""
    status, out, err = refused(line)
    assert (status, out, err.count("\n")) == (15, "", 1)
    assert err.startswith(f"error: {line.split()[-1]}: cannot be written (")


def test_home_that_cannot_be_written(refused, monkeypatch):
    """A private folder that cannot be made is named with exit code 15."""
    monkeypatch.setenv("TOOLKIT_HOME", "small/corpus.yaml/home")
    status, out, err = refused("studio start")
    assert (status, out, err.count("\n")) == (15, "", 1)
    assert err.startswith("error: small/corpus.yaml/home/studio: cannot be ")


COMMAND = [sys.executable, "-m", "toolkit", "check", str(SMALL), "--json"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full here")
def test_result_that_cannot_be_written():
    """A result that goes to a full disk is no success, and no traceback."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(COMMAND, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    told = "error: the disk: cannot be used (No space left on device); "
    assert (done.returncode, done.stderr) == (
        15,
        told + "free some space or choose another place\n",
    )


def test_reader_that_goes_away():
    """Nobody complains when the program that reads the result ends first, as `head` does."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        done = subprocess.run(COMMAND, stdout=pipe, stderr=subprocess.PIPE, text=True, check=False)
    assert done.stderr == ""
