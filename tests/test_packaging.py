"""What is shipped: no addresses or paths of one machine, hashed locks, a complete wheel, scripts."""

import configparser
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPTS = sorted(path for path in (ROOT / "scripts").iterdir() if path.is_file())
LOCKS = sorted([*(ROOT / "scripts/locks").glob("*.txt"), *(ROOT / "toolkit/data").glob("*.lock")])

# Written in pieces, so that this file does not hold what it looks for.
FORBIDDEN = {
    "address of a package index": "|".join(
        [
            ":/" + r"/[^\s\"'<>]*/simple\b",
            r"(?<![\w.-])/" + "packages/",
            "index" + "[-_]url",
            r"[\"']resolved[\"']: *[\"']\w+:" + "//",
            "pypi" + r"\.org|python" + r"hosted\.org|npmjs" + r"\.(?:org|com)",
        ]
    ),
    "path of one machine": "|".join(
        [
            r"(?<![\w.-])/" + "work/",
            r"(?<![\w.-])/" + "root/",
            r"(?<![\w.-])/" + r"home/\w",
        ]
    ),
}


def shipped_files():
    """Every file git tracks or would add."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.is_file()]


@pytest.mark.parametrize("what", FORBIDDEN)
def test_files_name_no_address_or_machine(what):
    """No file that is shipped holds an index address or a path of the machine it was made on."""
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in shipped_files()
        for match in re.finditer(FORBIDDEN[what], path.read_text("utf-8", errors="replace"))
    ]
    assert found == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_locks_are_hashed_and_portable(lock):
    """A lock pins every package with a hash and holds no address at all."""
    text = lock.read_text("utf-8")
    entries = text.replace("\\\n", "").splitlines()
    assert ":/" + "/" not in text
    assert [
        e for e in entries if not re.match(r"[\w.-]+==\S+.* --hash=sha256:[0-9a-f]{64}", e)
    ] == []


def test_locks_hold_every_declared_dependency():
    """What pyproject.toml asks for is in the locks the environment is made of."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    declared = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    names = {re.match(r"[\w.-]+", requirement)[0].lower() for requirement in declared}
    locked = (ROOT / "scripts/locks/dev.txt").read_text() + (
        ROOT / "scripts/locks/uv.txt"
    ).read_text()
    assert names - set(re.findall(r"^([\w.-]+)==", locked, re.MULTILINE)) == set()


def test_label_studio_lock_pins_label_studio():
    """Label Studio's own lock is the closure of the version the toolkit was tried with."""
    assert re.search(
        r"^label-studio==1\.23\.2\b",
        (ROOT / "toolkit/data/label-studio.lock").read_text(),
        re.MULTILINE,
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of the tree as it is, opened."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "hatchling",
        "build",
        "--target",
        "wheel",
        "--directory",
        folder,
    ]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as opened:
        yield opened


@pytest.mark.parametrize(
    "name",
    [
        "toolkit/py.typed",
        "toolkit/data/build.lock",
        "toolkit/data/label-studio.lock",
        "toolkit/data/schemas/commitments.yaml",
        "toolkit/data/annotations/communique/documents.jsonl",
    ],
)
def test_wheel_holds_its_data(wheel, name):
    """An installed toolkit brings its schema, its corpus, the server's lock and its types."""
    assert name in wheel.namelist()


def test_wheel_declares_every_entry_point(wheel):
    """The command and the spaCy components are found by the names pyproject.toml gives them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    name = next(n for n in wheel.namelist() if n.endswith(".dist-info/entry_points.txt"))
    declared = configparser.ConfigParser(delimiters="=")
    declared.optionxform = str
    declared.read_string(wheel.read(name).decode())
    expected = {"console_scripts": project["scripts"], **project["entry-points"]}
    assert {group: dict(declared[group]) for group in declared.sections()} == expected


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_executable_sh_with_a_purpose(script):
    """Each script can be run, is sound POSIX shell, and says in its second line what it is for."""
    shebang, purpose = script.read_text("utf-8").splitlines()[:2]
    assert os.access(script, os.X_OK)
    assert shebang == "#!/bin/sh"
    assert re.fullmatch(r"# [A-Z].+\.", purpose)
    subprocess.run(["sh", "-n", script], check=True)


def bootstrap(folder, *, interpreter):
    """Runs a copy of scripts/bootstrap where `python3` is the given shell code and nothing else is."""
    shutil.copytree(ROOT / "scripts", folder / "scripts")
    (folder / "bin").mkdir()
    (folder / "bin/dirname").symlink_to(shutil.which("dirname"))
    python = folder / "bin/python3"
    python.write_text(f"#!/bin/sh\n{interpreter}\n")
    python.chmod(0o755)
    command = [shutil.which("sh"), folder / "scripts/bootstrap"]
    environment = {"PATH": str(folder / "bin")}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("interpreter", ["exit 127", "echo 3.10", "echo 3.14"])
def test_bootstrap_asks_for_a_python_that_fits(tmp_path, interpreter):
    """Without a working Python 3.11 to 3.13, bootstrap says in one line that one is needed."""
    done = bootstrap(tmp_path, interpreter=interpreter)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "Python 3.11, 3.12 or 3.13 is needed and none was found on PATH; "
        "install one, then run this again.\n"
    )


def test_bootstrap_names_the_package_that_makes_environments(tmp_path):
    """Where Python comes without `ensurepip`, bootstrap names the Debian package that has it."""
    interpreter = 'case $2 in *ensurepip*) exit 1 ;; esac; echo "3.12"'
    done = bootstrap(tmp_path, interpreter=interpreter)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "python3.12 cannot make environments; "
        "on Debian and Ubuntu: apt-get install python3.12-venv; then run this again.\n"
    )
