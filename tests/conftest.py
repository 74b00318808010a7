"""What every test stands on: no server, no hub and no home of the person who runs them."""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _nobody_home(monkeypatch, tmp_path):
    """No settings of the caller reach a test, and nothing is written to their folders."""
    for name in list(os.environ):
        if name.startswith(("LABEL_STUDIO_", "HF_", "TOOLKIT_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TOOLKIT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


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

    def call(self, method, path, **request):
        """The server's own answer to the administrator."""
        headers = {"Authorization": f"Token {self.server.api_key}"}
        url = f"{self.server.url}{path}"
        answer = httpx.request(method, url, headers=headers, timeout=60, verify=False, **request)
        return answer.raise_for_status().json() if answer.status_code != 204 else None


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.studio)])
def site(request, monkeypatch):
    """The contract: what is tested on it holds on the pretend and on the real Label Studio."""
    found = request.getfixturevalue(f"{request.param}_site")
    monkeypatch.setenv("TOOLKIT_HOME", str(found.home))
    return found


@pytest.fixture(scope="session")
def fake_class():
    """The class of pretend servers."""
    place = Path(__file__).with_name("fake_studio.py")
    spec = importlib.util.spec_from_file_location("fake_studio", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.FakeStudio


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
    from toolkit.studio.server import environment

    given = os.environ.get("TOOLKIT_STUDIO_COMMAND")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOOLKIT_HOME", str(ROOT / "build" / "studio-environment"))
        return Path(given) if given else environment()


@contextmanager
def in_folder(home, command):
    """The toolkit's settings for a while; not over tests, which set and take back their own."""
    with pytest.MonkeyPatch.context() as patch:
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
