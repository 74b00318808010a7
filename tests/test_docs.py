"""The README is run as it stands, the glossary is spoken, every command is documented."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
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
