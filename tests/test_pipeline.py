"""The whole job, once, on a real Label Studio: what `toolkit demo` promises."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from toolkit import files
from toolkit.cli.demo import ANNOTATORS, EVENTS

CORPUS = Path(__file__).parent.parent / "annotations" / "communique"

pytestmark = [pytest.mark.studio, pytest.mark.slow]

PROGRAM = """
import json, pathlib, sys
from toolkit.cli.demo import demo
print(json.dumps(demo(pathlib.Path(sys.argv[1]), max_steps=20).facts))
"""


def program(*words):
    """Run a Python program in the toolkit's environment; its result, which must be success."""
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr if done.returncode else "") == (0, "")
    return json.loads(done.stdout)


def toolkit(*words):
    """Run a command."""
    return program("-m", "toolkit", *map(str, words), "--json")


def servers(home):
    """The processes that were started to work in this home."""
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            settings = environ.read_bytes().split(b"\0")
        except OSError:
            continue
        if f"LABEL_STUDIO_BASE_DATA_DIR={home / 'studio' / 'data'}".encode() in settings:
            found.append(int(environ.parent.name))
    return found


def published(annotator):
    """The lines of the repository's readings of the demo's events."""
    documents = {d["id"]: d["event"] for d in files.iter_jsonl(CORPUS / "documents.jsonl")}
    lines = (CORPUS / "annotators" / f"{annotator}.jsonl").read_bytes().splitlines(keepends=True)
    return b"".join(line for line in lines if documents[json.loads(line)["document"]] in EVENTS)


def test_demo_brings_back_what_was_submitted(fresh_home, tmp_path):
    """Pushed, submitted by two users, pulled: not a byte of the readings differs, and nothing stays.

    Afterwards push and pull have nothing to do.
    """
    output = tmp_path / "demo"
    told = program("-c", PROGRAM, str(output))
    assert told["differences"] == 0
    assert told["adjudicated"]["disputed"] == 0
    assert Path(told["page"]).read_text().lower().startswith("<!doctype html>")
    assert told["page"] == str(output / "index.html")
    assert servers(fresh_home) == []

    written = {
        path.name: path.read_bytes() for path in (output / "communique" / "annotators").iterdir()
    }
    assert written == {f"{name}.jsonl": published(name) for name in ANNOTATORS}

    toolkit("studio", "start")
    try:
        for name in ANNOTATORS:
            again = toolkit("push", output / "communique", "--project", name)
            keys = ("created", "updated", "unchanged", "quarantined", "schema_updated")
            assert [again[key] for key in keys] == [0, 0, told["documents"], 0, False]
        again = toolkit("pull", output / "communique")
        keys = ("created", "updated", "unchanged", "quarantined")
        assert [again[key] for key in keys] == [0, 0, 2 * told["documents"], 0]
    finally:
        assert toolkit("studio", "stop") == {"stopped": True}
    assert servers(fresh_home) == []
    assert {
        path.name: path.read_bytes() for path in (output / "communique" / "annotators").iterdir()
    } == written


def test_demo_that_is_ended_leaves_no_server(fresh_home, tmp_path):
    """A demo that is terminated while its server starts takes the server with it."""
    words = [sys.executable, "-m", "toolkit", "demo", "-o", str(tmp_path / "demo")]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if "starting Label Studio" in line:
                break
        process.terminate()
        process.stderr.read()
    assert process.returncode == 143
    assert servers(fresh_home) == []
