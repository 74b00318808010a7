"""The plan of the house, and the proof that the house is built by it.

A module imports only from floors below its own. Rooms of one floor never import each other: they meet
in `cli`, which passes values between them. Inside a folder the modules import each other in the
order in which the folder's docstring names them. Every outside library has one door, and is imported
there inside functions, so that `toolkit --help` costs nothing.
"""

import ast
import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

import toolkit

PACKAGE = Path(__file__).parent.parent / "toolkit"

FLOORS = (  # from the ground up
    ("errors",),
    ("spans",),
    ("files",),
    ("schema",),
    ("scoring",),
    ("corpus", "ner"),
    ("adjudication",),
    ("dataset", "studio", "report", "audit"),
    ("cli",),
)

DOORS = {
    "label_studio_sdk": "studio",
    "httpx": "studio",
    "markdown_it": "studio",
    "starlette": "studio",
    "uvicorn": "studio",
    "datasets": "dataset",
    "pyarrow": "dataset",
    "huggingface_hub": "dataset",
    "spacy": "ner",
    "seqeval": "scoring",
    "numpy": "scoring",
    "yaml": "files",
    "pydantic": "files",
    "msgspec": "files",
    "jinja2": "files",
    "uv": "files",
    "platformdirs": "files",
    "typer": "cli",
    "rich": "cli",
}

AT_THE_TOP = {
    ("typer", "cli/options.py"),  # it makes commands of functions as they are defined
    ("typer", "cli/server.py"),
    ("typer", "cli/app.py"),
    ("typer", "cli/annotating.py"),
    ("typer", "cli/commands.py"),
    ("typer", "cli/serve.py"),
    ("spacy", "ner/pipeline.py"),  # spaCy itself imports this file, when it is already there
}

DRAWERS = {"utils", "helpers", "core", "common", "types", "constants"}
"""Names for what has no place. A module is named after what it is about."""

HEAVY = (
    "spacy",
    "datasets",
    "seqeval",
    "label_studio_sdk",
    "pydantic",
    "numpy",
    "pandas",
    "rich",
)


# ── the surveyor ────────────────────────────────────────────────────────────────────────────────


def survey(package):
    """Every breach of floors and doors in a package of this plan, as `file:line what`."""
    rooms = {path.stem for path in package.iterdir() if path.suffix == ".py" or is_folder(path)}
    faults = {
        f"{path.relative_to(package)}:{line} {fault}": None
        for path in sorted(package.rglob("*.py"))
        for line, name, at_top in imports(ast.parse(path.read_text("utf-8")))
        if (fault := breach(package, path, rooms, name, at_top))
    }
    return list(faults)


def is_folder(path):
    """Whether the room is a folder of modules."""
    return (path / "__init__.py").is_file()


def imports(tree):
    """Line, dotted name and whether it runs when the module is imported, of every import."""
    types_only = {
        id(node)
        for test in ast.walk(tree)
        if isinstance(test, ast.If) and "TYPE_CHECKING" in ast.unparse(test.test)
        for node in ast.walk(test)
    }
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    later = types_only | inside
    for node in ast.walk(tree):
        at_top = id(node) not in later
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, at_top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}", at_top


def breach(package, path, rooms, name, at_top):
    """What is wrong with one import, or nothing."""
    place = path.relative_to(package)
    room = place.parts[0].removesuffix(".py")
    library, *rest = name.split(".")
    if library in sys.stdlib_module_names:
        return None
    if library != "toolkit":
        return door_breach(place, room, library, at_top)
    if room == "__main__" or rest[0] not in rooms:
        return None  # `python -m toolkit` opens the door; `from toolkit import __version__` is no room.
    if rest[0] == room:
        return order_breach(package, path, rest)
    if room == "__init__":
        return None  # The face shows names of any room; that it shows few is tested below.
    return floor_breach(room, rest[0])


def door_breach(place, room, library, at_top):
    """What is wrong with where an outside library is imported, or nothing."""
    if DOORS.get(library) != room:
        return f"imports {library}, whose door is {DOORS.get(library, 'nowhere')}"
    if at_top and (library, place.as_posix()) not in AT_THE_TOP:
        return f"imports {library} outside a function"
    return None


def floor_breach(room, other):
    """What is wrong with importing one room from another, or nothing."""
    floor = {name: number for number, names in enumerate(FLOORS) for name in names}
    if room not in floor or other not in floor:
        return f"{room if room not in floor else other} stands on no floor"
    if floor[other] == floor[room]:
        return f"imports {other}, a room of the same floor"
    return f"imports {other}, a floor above" if floor[other] > floor[room] else None


def order_breach(package, path, rest):
    """In a folder a module imports only those that the folder's docstring names before it."""
    if path.name == "__init__.py" or len(rest) == 1:
        return None
    docstring = ast.get_docstring(ast.parse((path.parent / "__init__.py").read_text("utf-8"))) or ""
    places = {module: docstring.find(f"`{module}`") for module in (path.stem, rest[1])}
    for module, place in places.items():
        if place < 0:
            return f"{module} is not named in the docstring of {rest[0]}"
    return None if places[rest[1]] < places[path.stem] else f"imports {rest[1]}, which comes later"


# ── the house ───────────────────────────────────────────────────────────────────────────────────


def test_house_is_built_by_the_plan():
    """No module reaches up or sideways, and no library is met outside its door."""
    assert survey(PACKAGE) == []


def test_every_room_stands_on_a_floor():
    """The plan names every module of the package, and no module that is not there."""
    built = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or is_folder(path)}
    assert {name for names in FLOORS for name in names} == built - {"__init__", "__main__"}


def test_every_door_is_used():
    """No door is left in the plan for a library that nobody imports any more."""
    used = {
        name.split(".")[0]
        for path in PACKAGE.rglob("*.py")
        for _, name, _ in imports(ast.parse(path.read_text("utf-8")))
    }
    assert {library for library in DOORS if library not in used} <= {"huggingface_hub"}


BREACHES = {
    "a floor above": ("spans.py", "from toolkit import files", "imports files, a floor above"),
    "a floor above, inside a function": (
        "scoring.py",
        "def score():\n    from toolkit.report import page",
        "imports report, a floor above",
    ),
    "a floor above, for types": (
        "files.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import toolkit.corpus",
        "imports corpus, a floor above",
    ),
    "a room of the same floor": (
        "corpus.py",
        "from toolkit.ner import load",
        "imports ner, a room of the same floor",
    ),
    "a later module of the folder": (
        "ner/first.py",
        "from toolkit.ner.second import load",
        "imports second, which comes later",
    ),
    "a room without a floor": (
        "drawer.py",
        "from toolkit import spans",
        "drawer stands on no floor",
    ),
    "another's door": (
        "report.py",
        "def page():\n    import spacy",
        "imports spacy, whose door is ner",
    ),
    "a library without a door": (
        "report.py",
        "def page():\n    import requests.sessions",
        "imports requests, whose door is nowhere",
    ),
    "a library at the top": (
        "scoring.py",
        "from seqeval.metrics import f1_score",
        "imports seqeval outside a function",
    ),
}


@pytest.mark.parametrize("name", BREACHES)
def test_surveyor_sees_a_breach(tmp_path, name):
    """A small house with one breach is refused for that breach alone."""
    place, source, fault = BREACHES[name]
    for room in ("spans", "files", "scoring", "corpus", "report"):
        (tmp_path / f"{room}.py").touch()
    folder = tmp_path / "ner"
    folder.mkdir()
    (folder / "__init__.py").write_text('"""A folder of `first` and `second`."""')
    (folder / "second.py").touch()
    (folder / "first.py").touch()
    assert survey(tmp_path) == []
    (tmp_path / place).write_text(source)
    assert survey(tmp_path) == [f"{place}:{source.count(chr(10)) + 1} {fault}"]


def test_no_room_is_a_drawer():
    """No module is named after nothing in particular."""
    assert [path for path in PACKAGE.rglob("*.py") if path.stem in DRAWERS] == []


def test_only_the_command_line_prints():
    """Results and messages are printed in `cli`; every other room returns values."""
    printing = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).parts[0] != "cli"
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in {"print", "sys.exit", "sys.stdout.write", "sys.stderr.write"}
    ]
    assert printing == []


def test_functions_are_short():
    """Half of all functions fit into ten lines, and nineteen of twenty into fifty."""
    lengths = [
        node.end_lineno - node.lineno + 1
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert statistics.median(lengths) <= 10
    assert statistics.quantiles(lengths, n=20)[-1] <= 50


def test_modules_are_short():
    """A module that outgrows five hundred lines becomes a folder."""
    lengths = {
        path.relative_to(PACKAGE).as_posix(): len(path.read_text("utf-8").splitlines())
        for path in PACKAGE.rglob("*.py")
    }
    assert {name: lines for name, lines in lengths.items() if lines > 500} == {}


def test_package_shows_a_small_face():
    """The package exports at most ten names, in order, and has every one of them."""
    assert len(toolkit.__all__) <= 10
    assert sorted(toolkit.__all__) == toolkit.__all__
    assert [name for name in toolkit.__all__ if not hasattr(toolkit, name)] == []


def test_help_imports_nothing_heavy():
    """`toolkit --help` answers without the libraries that take seconds to import."""
    program = (
        "import sys, toolkit.cli\n"
        "assert toolkit.cli.run(['--help']) == 0\n"
        f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
    assert done.stderr == "[]\n"
