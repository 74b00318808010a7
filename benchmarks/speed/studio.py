"""How fast push and pull are, beside the server's own bulk requests for the same data in the same run.

Run as `python benchmarks/speed/studio.py [TASKS]`. It starts a Label Studio of its own on SQLite, in a
temporary folder, on the loopback address, and ends it. Every figure of ours is of a process of its own,
so that its peak memory is its own too, interpreter and imports among it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
from data import readings

from toolkit import files, studio
from toolkit.cli.exchange import pull_corpus
from toolkit.corpus import Corpus, read_predictions
from toolkit.studio.page import page
from toolkit.studio.planning import task_data
from toolkit.studio.pulling import OVERLAP
from toolkit.studio.results import to_result

NAME = "speed"


def make(root: Path, count: int) -> None:
    """A corpus of so many documents, and suggestions for each."""
    files.write_text(root / "corpus.yaml", f"name: {NAME}\nschema: commitments\n")
    made = list(readings(count))
    files.write_jsonl(root / "documents.jsonl", (document for document, _ in made))
    files.write_jsonl(root / "suggestions.jsonl", (reading for _, reading in made))


def timed(root: Path, step: str) -> dict[str, float]:
    """Seconds and peak megabytes of one of our steps, in a process of its own."""
    command = [sys.executable, __file__, step, str(root)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def run_step(step: str, root: Path) -> None:
    """One of our steps; prints its seconds and this process's peak memory."""
    corpus = Corpus.load(root)
    local = studio.status()
    connection = studio.connect(local.url, local.api_key)
    suggestions = {}
    if step == "push":
        read = read_predictions(root / "suggestions.jsonl", corpus.schema, corpus.texts)
        suggestions = {reading.document: [("model:speed", reading)] for reading in read}
    start = time.perf_counter()
    if step == "push":
        documents = corpus.documents
        studio.push(connection, NAME, "push", corpus.schema, documents, suggestions=suggestions)
    else:
        pull_corpus(connection, corpus, "pull")
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "megabytes": peak()}))


def peak() -> float:
    """This process's peak memory in megabytes. The usual count starts with that of its parent."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


class Peer:
    """The server's own bulk requests, with nothing before or after them."""

    def __init__(self, local: studio.Server, root: Path) -> None:
        token = {"Authorization": f"Token {local.api_key}"}
        self.wire = httpx.Client(base_url=local.url, headers=token, timeout=3600)
        self.root = root

    def project(self, key: str) -> int:
        """An empty project; with a key it passes for one of ours."""
        body = {
            "title": f"bulk {key}",
            "label_config": page(Corpus.load(self.root).schema),
            "description": f"[toolkit:{NAME}/{key}]" if key else "",
        }
        return int(self.wire.post("/api/projects/", json=body).raise_for_status().json()["id"])

    def load(self, key: str, kind: str) -> tuple[float, int]:
        """Import every task with its spans as `kind` in one request: seconds, and the project."""
        corpus = Corpus.load(self.root)
        tasks = []
        for reading in read_predictions(
            self.root / "suggestions.jsonl", corpus.schema, corpus.texts
        ):
            document = corpus.texts[reading.document]
            work = {"result": to_result(reading, corpus.schema, document)}
            work |= {"model_version": "model:speed"} if kind == "predictions" else {}
            tasks.append({"data": task_data(document), kind: [work]})
        project, body = self.project(key), json.dumps(tasks).encode()
        head = {"Content-Type": "application/json"}
        start = time.perf_counter()
        path = f"/api/projects/{project}/import"
        self.wire.post(path, content=body, headers=head).raise_for_status()
        return time.perf_counter() - start, project

    def export(self, project: int) -> float:
        """Export the whole project in one request: seconds."""
        start = time.perf_counter()
        wanted = {"exportType": "JSON", "download_all_tasks": "true"}
        self.wire.get(f"/api/projects/{project}/export", params=wanted).raise_for_status()
        return time.perf_counter() - start


def main(count: int) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TOOLKIT_HOME"] = folder
        root = Path(folder) / NAME
        make(root, count)
        local = studio.start(say=lambda message: print(message, file=sys.stderr))
        try:
            report(count, Peer(local, root), root)
        finally:
            studio.stop()


def report(count: int, peer: Peer, root: Path) -> None:
    """Measure, ours between two of the peer's, and print ratios to the mean of the two."""
    before, _ = peer.load("", "predictions")
    ours = timed(root, "push")
    after, _ = peer.load("", "predictions")
    print(f"{count} tasks of 2,000 characters and 15 spans, Label Studio on SQLite, one run")
    row("bulk import, one request", (before + after) / 2)
    row("push with suggestions, read back", ours["seconds"], (before + after) / 2, ours)
    _, project = peer.load("pull", "annotations")
    time.sleep(OVERLAP + 1)  # A pull looks that far back; what was written since would be new.
    before = peer.export(project)
    ours = timed(root, "pull")
    after = peer.export(project)
    bulk = (before + after) / 2
    row("bulk export, one request", bulk)
    row("pull, checked and written", ours["seconds"], bulk, ours)
    again = timed(root, "pull")
    row("pull again, unchanged", again["seconds"], bulk, again)


def row(what: str, seconds: float, peer: float = 0, ours: dict[str, float] | None = None) -> None:
    """One line of the table."""
    ratio = f"{seconds / peer:6.2f} ×" if peer else ""
    memory = f"{ours['megabytes']:6.0f} MB" if ours else ""
    print(f"{what:36}{seconds:8.2f} s  {ratio:9}{memory}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1] in {"push", "pull"}:
        run_step(sys.argv[1], Path(sys.argv[2]))
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else 10_000)
