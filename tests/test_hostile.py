"""What hostile texts, names and answers of a server do to terminal, page and files: nothing."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from toolkit import cli, files, studio
from toolkit.schema import Schema
from toolkit.spans import Document

ROOT = Path(__file__).parent.parent
SCHEMA = Schema.load(ROOT / "schemas" / "commitments.yaml")
HOSTILE = (
    "\x1b]0;owned\x07\x1b[2J\u202e<script>alert(1)</script>'\"&amp;{{7*7}}$text\r\n]]>../../etc"
)
TEXT = f"Paris {HOSTILE} will pay Rome. {HOSTILE}"


def harmless(told):
    """Whether what was printed cannot drive a terminal or turn its text around."""
    return all(c == "\n" or c.isprintable() for c in told.out + told.err)


@pytest.fixture
def pulled(fake_site, tmp_path, monkeypatch, capsys):
    """A corpus whose document, label, answer, user and model are all hostile, pushed and pulled."""
    monkeypatch.setenv("TOOLKIT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LABEL_STUDIO_URL", fake_site.server.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", fake_site.server.api_key)
    root, name = tmp_path / "c", fake_site.corpus()
    files.write_text(root / "corpus.yaml", f"name: {name}\nschema: commitments\n")
    documents = [Document(f"d{n}{HOSTILE}", TEXT, genre=HOSTILE) for n in range(2)]
    files.write_jsonl(root / "documents.jsonl", documents)
    assert cli.run(["push", str(root)]) == 0
    admin = fake_site.admin()
    (project,) = studio.find(admin, name)
    span = {"start": 0, "end": 5, "labels": ["COMMITMENT"], "text": HOSTILE}
    names = {"id": HOSTILE, "from_name": "label", "to_name": "text", "type": "labels"}
    region = names | {"value": span}
    said = {"id": HOSTILE, "from_name": "commitment_id", "type": "textarea"}
    said |= {"value": {"text": [HOSTILE]}}
    first, second = (task.id for task in admin.tasks(project))
    admin.annotate(first, [region, said])
    admin.annotate(second, [region | {"value": span | {"labels": [HOSTILE]}}])
    assert cli.run(["pull", str(root)]) == 4
    return root, project, capsys.readouterr()


def test_terminal_is_not_driven(pulled, capsys):
    """Every command that speaks of them prints escapes in their place."""
    root, _, told = pulled
    assert harmless(told)
    for words in (["check"], ["progress"], ["pull", "--json"], ["push", "--dry-run"]):
        cli.run([words[0], str(root), *words[1:]])
        assert harmless(capsys.readouterr()), words
    cli.run(["adjudicate", str(root)])
    assert harmless(capsys.readouterr())


def test_files_hold_them_as_plain_values(pulled):
    """They come back exactly, in files that lie where they belong and hold no raw control character."""
    root, _, _ = pulled
    (line,) = (root / "annotators").glob("*.jsonl")
    (reading,) = files.iter_jsonl(line)
    assert reading["spans"][0]["attributes"] == {"commitment_id": HOSTILE}
    (record,) = files.iter_jsonl(root / "quarantine.jsonl")
    assert record["rules"] == ["unknown-label"]
    for path in root.rglob("*"):
        assert path.resolve().is_relative_to(root.resolve())
        if path.is_file():
            assert not set(path.read_bytes()) & (set(range(32)) - {10}), path
    names = {"annotators", "corpus.yaml", "documents.jsonl", "history", "quarantine.jsonl"}
    assert {path.name for path in root.iterdir()} == names


def test_page_holds_none_of_them(pulled):
    """The labelling page is made of the schema alone; a hostile schema's words stay words."""
    _, project, _ = pulled
    assert "owned" not in project.config
    values = {node.get("value") for node in ET.fromstring(project.config).iter("Label")}
    assert values == {label.name for label in SCHEMA.labels}


class Answering(BaseHTTPRequestHandler):
    """A server that answers anything with a hostile refusal."""

    def do_GET(self):
        """Any request."""
        body = json.dumps({"detail": HOSTILE, "validation_errors": {HOSTILE: HOSTILE}}).encode()
        self.send_response(400)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Stay silent."""


def test_answer_of_a_hostile_server_is_one_plain_line(tmp_path, monkeypatch, capsys):
    """What it says is shown as escapes, shortened, in one line."""
    files.write_text(tmp_path / "corpus.yaml", "name: c\nschema: commitments\n")
    files.write_jsonl(tmp_path / "documents.jsonl", [Document("d", "text")])
    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        monkeypatch.setenv("LABEL_STUDIO_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("LABEL_STUDIO_API_KEY", "0" * 40)
        try:
            assert cli.run(["push", str(tmp_path)]) == 12
        finally:
            server.shutdown()
            thread.join()
    told = capsys.readouterr()
    assert harmless(told)
    assert (told.out, told.err.count("\n"), len(told.err) < 900) == ("", 1, True)
