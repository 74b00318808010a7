"""The README is run as it stands, the glossary is spoken, every command is documented."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()

NAMED_FILE = re.compile(
    r"^`([\w.]+/[\w/.]+\.(?:yaml|jsonl))`(?:(?!\n\n).)*?:\n\n```(?:yaml|json)\n(.*?)```",
    re.DOTALL | re.MULTILINE,
)
SESSION = re.compile(r"```console\n(.*?)```", re.DOTALL)


def named_files():
    """The files the README tells its reader to write, by path."""
    return dict(NAMED_FILE.findall(README))


def session():
    """The README's commands, in order."""
    return [
        line.removeprefix("$ ")
        for block in SESSION.findall(README)
        for line in block.splitlines()
        if line.startswith("$ ")
    ]


@pytest.fixture
def clone(tmp_path):
    """The parts of the repository that a reader stands in, in a folder of their own."""
    for name in ("schemas", "annotations", "benchmarks"):
        shutil.copytree(ROOT / name, tmp_path / name)
    (tmp_path / ".venv").symlink_to(Path(sys.prefix))
    return tmp_path


def run(command, folder, **environment):
    """Run one line of the README as its reader would, in a shell."""
    return subprocess.run(
        ["sh", "-c", f". .venv/bin/activate && {command}"],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_readme_is_short():
    """A newcomer reads it in five minutes."""
    assert len(README.splitlines()) < 150


def test_readme_names_the_files_of_a_corpus():
    """The section on one's own documents shows every file that is needed."""
    assert sorted(named_files()) == [
        "annotations/deals/corpus.yaml",
        "annotations/deals/documents.jsonl",
        "annotations/deals/splits.yaml",
        "schemas/deals.yaml",
    ]


def test_own_schema_and_documents_are_valid(clone):
    """The files of the README, written as they stand there, pass the check."""
    for name, content in named_files().items():
        path = clone / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    answer = run("toolkit check schemas/deals.yaml annotations/deals", clone)
    assert (answer.returncode, answer.stderr) == (0, "")


@pytest.mark.studio
@pytest.mark.slow
def test_every_command_of_the_readme_runs(clone, studio_command):
    """The README's commands, run one after the other in a real shell, all end well."""
    for name, content in named_files().items():
        path = clone / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    failures = {}
    try:
        for command in session():
            answer = run(command, clone, TOOLKIT_STUDIO_COMMAND=str(studio_command))
            if answer.returncode:
                failures[command] = (answer.returncode, answer.stdout, answer.stderr)
    finally:
        run("toolkit studio stop", clone)
    assert failures == {}


def test_every_command_is_documented():
    """Each command of the program appears in the README with its name."""
    from toolkit.cli import app

    commands = {c.name or c.callback.__name__.rstrip("_") for c in app.registered_commands}
    assert {name for name in commands if f"toolkit {name}" not in README} == set()


# ── docs/reviewing.md ───────────────────────────────────────────────────────────────────────────

REVIEWING = (ROOT / "docs" / "reviewing.md").read_text()


@pytest.fixture
def reviewed_corpus(tmp_path):
    """A folder like the page's reader's: a corpus with one dispute, and a model's predictions."""
    from toolkit import files
    from toolkit.corpus import Corpus

    root = tmp_path / "annotations" / "deals"
    shutil.copytree(ROOT / "tests" / "data" / "small", root)
    (root / "decisions.jsonl").unlink()
    described = (root / "corpus.yaml").read_text().replace("name: small", "name: deals")
    (root / "corpus.yaml").write_text(described.replace('version: "1"', 'version: "1.0.0"'))
    corpus = Corpus.load(root)
    predicted = [replace(a, annotator="model:cnn") for a in corpus.annotations("a1")]
    files.write_jsonl(tmp_path / "build" / "predicted.jsonl", predicted)
    return corpus


def test_every_command_of_the_reviewing_page_runs(
    reviewed_corpus, fake_site, tmp_path, monkeypatch, capsys
):
    """The page's commands end well while a reviewer does what the page asks between them."""
    from toolkit import cli, studio

    monkeypatch.chdir(tmp_path)
    corpus, server = reviewed_corpus, fake_site.server
    monkeypatch.setenv("TOOLKIT_HOME", str(fake_site.home))
    monkeypatch.setenv("LABEL_STUDIO_URL", server.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", server.api_key)
    # In the end the reviewer sees that the model was right.
    answers = {"--push": ("review", "a2"), "--errors": ("errors", "a1")}
    pulled = []
    for line in "".join(SESSION.findall(REVIEWING)).splitlines():
        dollar, toolkit, *words = line.split()
        assert (line, dollar, toolkit, cli.run([*words, "--json"])) == (line, "$", "toolkit", 0)
        out = capsys.readouterr().out
        if line.endswith("--pull"):
            pulled.append(json.loads(out))
        for option in answers.keys() & line.split():
            project, right = answers[option]
            readings = [a for a in corpus.annotations(right) if a.document == "A04"]
            person, texts = fake_site.person("vera"), corpus.texts
            studio.submit(person, corpus.name, project, corpus.schema, texts, readings)
    assert [(told["taken"], told["version"]) for told in pulled] == [(1, "1.0.0"), (1, "1.0.1")]
    party = 'A04 18–25 PARTY "Tovland"'
    assert [[change["text"] for change in told["changes"]] for told in pulled] == [
        [],
        [f"{party} added"],
    ]


# ── docs/schemas.md ─────────────────────────────────────────────────────────────────────────────

SCHEMAS = (ROOT / "docs" / "schemas.md").read_text()


def test_the_schemas_of_the_page_lead_from_one_to_the_next(tmp_path):
    """An annotation of the page's first version is valid under its second, and read as the page says."""
    from toolkit.schema import Schema, Usage, changes, shape_of
    from toolkit.spans import Annotation, Relation, Span

    versions = []
    for text in re.findall(r"```yaml\n(.*?)```", SCHEMAS, re.DOTALL):
        path = tmp_path / "deals.yaml"
        path.write_text(text)
        versions.append(Schema.load(path))
    old, new = versions
    written = Annotation(
        "d1",
        spans=(
            Span(0, 9, "PROMISE", "s1", attributes={"type": "threat", "hard": True}),
            Span(10, 15, "PROMISE", "s2", attributes={"type": "vow"}),
            Span(0, 4, "COMPANY", "s3"),
            Span(0, 4, "STATE", "s4"),
        ),
        relations=(Relation("giver", "s1", "s3"), Relation("giver", "s2", "s4")),
    )
    assert list(old.faults(written, None, place="old")) == []
    read = new.migrate(written)
    assert read == Annotation(
        "d1",
        spans=(
            Span(0, 9, "THREAT", "s1", attributes={"force": "firm"}),
            Span(10, 15, "PLEDGE", "s2"),
            Span(0, 4, "PARTY", "s3"),
        ),
        relations=(Relation("promisor", "s1", "s3"), Relation("promisor", "s2", "s3")),
    )
    assert list(new.faults(read, None, place="new")) == []
    found = changes(shape_of(old), new, Usage.of([written]))
    assert {change.severity for change in found} == {"safe"}


def test_every_state_and_class_is_explained():
    """The words that `check --against-server` uses stand on the page."""
    words = ("safe", "lossy", "breaking", "same", "older", "edited", "foreign")
    assert [word for word in words if word not in SCHEMAS] == []
