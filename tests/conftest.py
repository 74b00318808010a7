"""What every test stands on: no server, no hub and no home of the person who runs them."""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parent.parent

LONGEST = ("test_docs", "test_fault_table", "test_studio", "test_sweeps", "test_review_loop")
"""Files of tests that take minutes. A process that began one last would work on alone."""


def pytest_collection_modifyitems(items):
    """The longest files first."""
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(LONGEST)))


@pytest.fixture(autouse=True)
def _nobody_home(monkeypatch, tmp_path):
    """No settings of the caller reach a test, and nothing is written to their folders."""
    for name in list(os.environ):
        if name.startswith(("LABEL_STUDIO_", "HF_", "TOOLKIT_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TOOLKIT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    # A server that is made to fail is asked again at once.
    monkeypatch.setattr("toolkit.studio.wire.PAUSE", 0.001)


@dataclass
class Site:
    """A Label Studio that tests talk to, pretend or real: its server and the toolkit's folder."""

    server: object
    home: Path
    numbers: itertools.count = field(default_factory=itertools.count)

    def admin(self, **options):
        """A connection of the administrator, by a legacy token."""
        from toolkit import studio

        return studio.connect(self.server.url, self.server.api_key, **options)

    def person(self, pseudonym="a1"):
        """A connection of an annotator, by a personal token."""
        from toolkit import studio

        return studio.connect(self.server.url, studio.invite(self.server, pseudonym).api_key)

    def corpus(self):
        """A name that no other test gives its corpus."""
        return f"c{next(self.numbers)}"

    def take(self, connection, corpus, schema, documents, root):
        """What a pull of a corpus's first project brings into an empty history: readings, the rest."""
        from toolkit import files, studio
        from toolkit.spans import Annotation

        (project, *_), history = studio.find(connection, corpus), studio.History(root, "main")
        done = studio.pull(connection, project, history, schema, documents)
        lines = [line for by in done.lines.values() for line in by.values() if line]
        return [files.decode(line, Annotation) for line in lines], done

    def call(self, method, path, headers=(), **request):
        """The server's own answer to the administrator."""
        headers = {"Authorization": f"Token {self.server.api_key}", **dict(headers)}
        url = f"{self.server.url}{path}"
        answer = httpx.request(method, url, headers=headers, timeout=60, verify=False, **request)
        return answer.raise_for_status().json() if answer.status_code != 204 else None


@pytest.fixture
def standing(request, monkeypatch):
    """Gives a test the server of a kind: `fake`, `real` (on SQLite) or `postgres`."""

    def call(kind):
        found = request.getfixturevalue(f"{kind}_site")
        monkeypatch.setenv("TOOLKIT_HOME", str(found.home))
        return found

    return call


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.studio)])
def site(request, standing):
    """What is tested on it holds on the pretend and on the real Label Studio."""
    return standing(request.param)


def load(name):
    """A module or a folder of modules beside this file that is no test."""
    place = Path(__file__).with_name(name)
    place = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    spec = importlib.util.spec_from_file_location(name, place)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def fake_class():
    """The class of pretend servers."""
    return load("fake_studio").FakeStudio


@pytest.fixture(scope="session")
def proxy_class():
    """The class of proxies that misbehave on order."""
    return load("fault_proxy").FaultProxy


@pytest.fixture(scope="session")
def fake_site(fake_class, tmp_path_factory):
    """A pretend server for the whole session."""
    from toolkit.studio import Server

    with fake_class() as fake:
        server = Server(url=fake.url, api_key=fake.token)
        yield Site(server, tmp_path_factory.mktemp("fake"))


@pytest.fixture(scope="session")
def studio_command():
    """A real Label Studio's command: `TOOLKIT_STUDIO_COMMAND`, else from the lock, kept in build/."""
    from toolkit.studio.lock import alone
    from toolkit.studio.server import PATIENCE, environment

    given, kept = os.environ.get("TOOLKIT_STUDIO_COMMAND"), ROOT / "build" / "studio-environment"
    if given:
        return Path(given)
    # Several processes run the tests, and one of them makes it for all.
    with pytest.MonkeyPatch.context() as patch, alone(kept / "lock", "tests", patience=PATIENCE):
        patch.setenv("TOOLKIT_HOME", str(kept))
        return environment()


@contextmanager
def in_folder(home, command, **settings):
    """The toolkit's settings for a while; not over tests, which set and take back their own."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        patch.setenv("TOOLKIT_HOME", str(home))
        patch.setenv("TOOLKIT_STUDIO_COMMAND", str(command))
        yield


@pytest.fixture(scope="session")
def real_site(studio_command, tmp_path_factory):
    """A real server for the whole session, with an empty database."""
    from toolkit import studio

    home = tmp_path_factory.mktemp("real")
    with in_folder(home, studio_command):
        server = studio.start()
    try:
        shutil.copytree(home / "studio", home / "empty" / "studio")
        yield Site(server, home)
    finally:
        with in_folder(home, studio_command):
            stopped = studio.stop()
    assert stopped


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium of this machine; where there is none, what asks for it is skipped.

    Closed after each file of tests: while it is open, its thread has an event loop that runs, and
    other tests could start none of their own.
    """
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if not found:
        pytest.skip("Chromium is not installed; on Debian and Ubuntu: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    # Root, as in a container, has no sandbox; a small /dev/shm would end the tab.
    options = ["--no-sandbox"] * (os.name == "posix" and os.geteuid() == 0)
    with sync_api.sync_playwright() as playwright:
        options.append("--disable-dev-shm-usage")
        opened = playwright.chromium.launch(executable_path=found, args=options)
        yield opened
        opened.close()


@pytest.fixture
def fresh_home(real_site, studio_command, tmp_path, monkeypatch):
    """A toolkit's folder with a stopped server and its empty database: starts in seconds."""
    home = tmp_path / "fresh"
    shutil.copytree(real_site.home / "empty", home)
    described = home / "studio" / "server.json"
    described.write_text(json.dumps(json.loads(described.read_text()) | {"pid": 0, "born": ""}))
    monkeypatch.setenv("TOOLKIT_HOME", str(home))
    monkeypatch.setenv("TOOLKIT_STUDIO_COMMAND", str(studio_command))
    return home


@dataclass
class Cluster:
    """A PostgreSQL of the tests' own, its data in `folder`, on a free port of the loopback address."""

    programs: Path
    folder: Path
    port: int = 0
    password: str = field(default_factory=secrets.token_hex)

    def run(self, program, *words):
        """Run one of PostgreSQL's programs, never as root: it refuses that."""
        user, group = self.owner
        person = {"user": user, "group": group, "extra_groups": ()}
        subprocess.run(
            [self.programs / program, *words],
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "PGPASSWORD": self.password},
            cwd=self.folder,
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=120,
            **(person if os.geteuid() == 0 else {}),
        )

    @property
    def owner(self):
        """The number and group of the user it runs as where the tests run as root."""
        known = {user.pw_name: user for user in pwd.getpwall()}
        user = known.get("postgres") or known["nobody"]
        return user.pw_uid, user.pw_gid

    def database(self, name):
        """The address of a new database."""
        server = ("-h", "127.0.0.1", "-p", str(self.port), "-U", "toolkit")
        self.run("createdb", *server, name)
        return self.address(name)

    def address(self, name):
        """The address of a database, whether it is there or not."""
        return f"postgresql://toolkit:{self.password}@127.0.0.1:{self.port}/{name}"


def postgres_programs():
    """The folder of PostgreSQL's programs; distributions keep most of them outside PATH."""
    on_path = [Path(folder) for folder in os.get_exec_path()]
    versions = Path("/usr/lib/postgresql").glob("*/bin")
    found = sorted(versions, key=lambda path: -float(path.parent.name)) + on_path
    needed = ("initdb", "pg_ctl", "postgres", "createdb")
    whole = [folder for folder in found if all((folder / name).exists() for name in needed)]
    if not whole:
        pytest.skip("PostgreSQL is not installed")
    return whole[0]


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL for the whole session."""
    programs = postgres_programs()
    # Not below pytest's own folder, which is closed to the user that PostgreSQL runs as.
    with tempfile.TemporaryDirectory(prefix="toolkit-postgres-") as name:
        cluster = Cluster(programs, Path(name))
        secret = cluster.folder / "password"
        secret.write_text(cluster.password)
        if os.geteuid() == 0:
            for path in (cluster.folder, secret):
                os.chown(path, *cluster.owner)
        with socket.create_server(("127.0.0.1", 0)) as free:
            cluster.port = free.getsockname()[1]
        data = str(cluster.folder / "data")
        login = ("--username=toolkit", f"--pwfile={secret}", "--auth=scram-sha-256")
        cluster.run("initdb", "-D", data, *login, "--encoding=UTF8", "--no-sync")
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": cluster.port,
            "unix_socket_directories": "",
            "fsync": "off",
        }
        words = " ".join(f"-c {key}='{value}'" for key, value in settings.items())
        log = str(cluster.folder / "log")
        cluster.run("pg_ctl", "start", "-D", data, "-w", "-l", log, "-o", words)
        try:
            yield cluster
        finally:
            cluster.run("pg_ctl", "stop", "-D", data, "-w", "-m", "immediate")


@pytest.fixture(scope="session")
def postgres_site(postgres, studio_command, tmp_path_factory):
    """A real server for the whole session, whose data lie in PostgreSQL."""
    from toolkit import studio

    home = tmp_path_factory.mktemp("postgres")
    address = {"TOOLKIT_STUDIO_DATABASE": postgres.database("contract")}
    with in_folder(home, studio_command, **address):
        server = studio.start()
    try:
        yield Site(server, home)
    finally:
        with in_folder(home, studio_command, **address):
            stopped = studio.stop()
    assert stopped
