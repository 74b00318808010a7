"""The team's server of docs/team-server: its files hold what the page promises, and they are run.

There are no containers here. The environment that the compose file gives Label Studio, its health check
and the Caddyfile are used as they stand, with a Label Studio and a PostgreSQL of the tests' own.
"""

import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote, urlsplit

import httpx
import pytest
import yaml

from toolkit import studio
from toolkit.cli import run
from toolkit.studio.server import VERSION

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docs" / "team-server"
PAGE = (ROOT / "docs" / "team-server.md").read_text()
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
VARIABLE = re.compile(r"\$\{(\w+)(:\?[^}]*)?\}")
SECRETS = {"TEAM_SECRET_KEY", "TEAM_ADMIN_PASSWORD", "TEAM_DATABASE_PASSWORD"}
ADMIN = "lead@example.com"
SITE = "127.0.0.2"
"""An address of this machine that the toolkit treats like any other: it verifies certificates there."""


# ── the files ───────────────────────────────────────────────────────────────────────────────────


def test_release_is_the_tested_one():
    """The image is pinned to the release that is locked and tested."""
    assert SERVICES["studio"]["image"] == f"heartexlabs/label-studio:{VERSION}"


def test_only_the_proxy_can_be_reached():
    """Label Studio and the database publish no port and stand in a network without a way out."""
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["proxy"]
    assert {name: service["networks"] for name, service in SERVICES.items()} == {
        "proxy": ["outside", "inside"],
        "studio": ["inside"],
        "database": ["inside"],
    }
    assert COMPOSE["networks"]["inside"] == {"internal": True}


def test_what_must_last_lies_in_declared_volumes():
    """Database, files and certificates outlive their containers."""
    named = [
        volume.split(":")[0]
        for service in SERVICES.values()
        for volume in service["volumes"]
        if not volume.startswith("./")
    ]
    assert sorted(named) == sorted(COMPOSE["volumes"])
    assert (FOLDER / "Caddyfile").is_file()


def test_no_secret_has_a_default():
    """Every value that is secret must be given, and compose refuses to start without it."""
    text = (FOLDER / "compose.yaml").read_text()
    used = {name: cure for name, cure in VARIABLE.findall(text) if cure}
    assert used.keys() >= SECRETS
    assert {name for name, _ in VARIABLE.findall(text)} == used.keys()
    assert not re.search(r"\$\{\w+:?-", text)
    secret = re.compile(r"PASSWORD|SECRET|TOKEN")
    values = {
        f"{service}.{key}": value
        for service in SERVICES
        for key, value in SERVICES[service]["environment"].items()
        if secret.search(key) and key != "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN"
    }
    assert len(values) == 4
    assert [key for key, value in values.items() if not VARIABLE.fullmatch(value)] == []


def test_page_makes_every_variable():
    """The page's `.env` gives each variable that the compose file asks for, and no other."""
    made = set(re.findall(r"^(TEAM_\w+)=", PAGE, re.MULTILINE))
    wanted = {name for name, _ in VARIABLE.findall((FOLDER / "compose.yaml").read_text())}
    assert made == wanted


def test_team_server_is_as_closed_as_the_local_one(tmp_path):
    """What the local server closes is closed here too, but for what a proxy and people need."""
    from toolkit.studio.database import Database
    from toolkit.studio.server import Server, _scrubbed

    local = _scrubbed(Server(), tmp_path, Database())
    given = SERVICES["studio"]["environment"]
    closed = {name for name in local if name.startswith("LABEL_STUDIO_")}
    assert closed - given.keys() == {"LABEL_STUDIO_USER_TOKEN"}
    assert {name for name in closed & given.keys() if local[name] != given[name]} == {
        "LABEL_STUDIO_ALLOWED_HOSTS",
        "LABEL_STUDIO_BASE_DATA_DIR",
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN",
        "LABEL_STUDIO_PASSWORD",
        "LABEL_STUDIO_USERNAME",
    }


@pytest.mark.studio
def test_every_setting_is_one_that_label_studio_reads(studio_command):
    """A name that Label Studio does not know would close nothing."""
    (package,) = studio_command.parent.parent.glob("lib/python*/site-packages/label_studio")
    source = "\n".join(path.read_text(errors="replace") for path in package.rglob("*.py"))
    read = set(re.findall(r"\bget_\w*env\w*\(\s*['\"](\w+)['\"]", source))
    names = [n for n in SERVICES["studio"]["environment"] if n.startswith("LABEL_STUDIO_")]
    assert len(names) > 20
    assert [n for n in names if n.removeprefix("LABEL_STUDIO_") not in read and n not in read] == []


# ── the server ──────────────────────────────────────────────────────────────────────────────────


def free_port():
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


@contextmanager
def running(words, log, **options):
    """A program for a while; ended by its number, with those it started."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(word) for word in words],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            **options,
        )
    try:
        yield process
    finally:
        # The server's worker is in the same group.
        os.killpg(process.pid, 15)
        process.wait(30)


def wait_for(process, log, is_up):
    """Until it is up; its log when it is not within eight minutes."""
    deadline = time.monotonic() + 480
    while time.monotonic() < deadline and process.poll() is None:
        if is_up():
            return
        time.sleep(0.3)
    raise AssertionError(log.read_text(errors="replace")[-2000:])


def answers(port):
    """Whether something listens on a port of the site."""
    with socket.socket() as wire:
        return wire.connect_ex((SITE, port)) == 0


def is_healthy(port):
    """The compose file's own health check."""
    words = SERVICES["studio"]["healthcheck"]["test"]
    assert words[:3] == ["CMD", "python3", "-c"]
    program = words[3].replace(":8080/", f":{port}/")
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.run([sys.executable, "-c", program], check=False, **silent).returncode == 0


def settings(service, given, **others):
    """A service's environment as compose would make it."""
    made = {
        key: VARIABLE.sub(lambda found: given[found[1]], value)
        for key, value in SERVICES[service]["environment"].items()
    }
    return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"} | made | others


@pytest.fixture(scope="session")
def team(postgres, studio_command, tmp_path_factory):
    """The team's server: where it is, its first user, the certificate it shows."""
    caddy = shutil.which("caddy")
    if not caddy:
        pytest.skip("Caddy is not installed")
    if not Path("/proc/net/tcp").exists():
        pytest.skip(f"{SITE} is this machine on Linux alone")
    home = tmp_path_factory.mktemp("team")
    inside, plain, secure = free_port(), free_port(), free_port()
    given = {
        "TEAM_SITE": SITE,
        "TEAM_TLS": "internal",
        "TEAM_SECRET_KEY": os.urandom(20).hex(),
        "TEAM_ADMIN_EMAIL": ADMIN,
        "TEAM_ADMIN_PASSWORD": os.urandom(12).hex(),
        "TEAM_DATABASE_PASSWORD": "",
    }
    database = urlsplit(postgres.database("team"))
    ours = {
        "LABEL_STUDIO_POSTGRE_HOST": database.hostname,
        "LABEL_STUDIO_POSTGRE_PORT": str(database.port),
        "LABEL_STUDIO_POSTGRE_NAME": database.path[1:],
        "LABEL_STUDIO_POSTGRE_USER": database.username,
        "LABEL_STUDIO_POSTGRE_PASSWORD": unquote(database.password),
        "LABEL_STUDIO_BASE_DATA_DIR": str(home / "files"),
        # The site has the ports 80 and 443 to itself; a test has not.
        "LABEL_STUDIO_HOST": f"https://{SITE}:{secure}",
        "LABEL_STUDIO_CSRF_TRUSTED_ORIGINS": f"https://{SITE}:{secure}",
        "HOME": str(home),
    }
    places = {
        "TEAM_STUDIO": f"127.0.0.1:{inside}",
        "TEAM_BIND": SITE,
        "TEAM_HTTP_PORT": str(plain),
        "TEAM_HTTPS_PORT": str(secure),
        "XDG_DATA_HOME": str(home / "certificates"),
        "XDG_CONFIG_HOME": str(home),
    }
    (home / "files").mkdir()
    start = [studio_command, *SERVICES["studio"]["command"][1:]]
    start += ["--internal-host", "127.0.0.1", "--port", inside]
    proxy = [caddy, "run", "--config", FOLDER / "Caddyfile", "--adapter", "caddyfile"]
    log, proxy_log = home / "studio.log", home / "proxy.log"
    with (
        running(start, log, env=settings("studio", given, **ours), cwd=home) as server,
        running(proxy, proxy_log, env=settings("proxy", given, **places), cwd=home) as front,
    ):
        root = home / "certificates" / "caddy" / "pki" / "authorities" / "local" / "root.crt"
        wait_for(server, log, lambda: is_healthy(inside))
        wait_for(front, proxy_log, lambda: root.is_file() and answers(secure))
        yield SimpleNamespace(
            url=f"https://{SITE}:{secure}",
            plain=f"http://{SITE}:{plain}",
            inside=inside,
            password=given["TEAM_ADMIN_PASSWORD"],
            certificate=root,
            settings=settings("studio", given, **ours),
        )


@contextmanager
def browser(team):
    """A browser that trusts the certificate; cookies are kept, as far as TLS lets them."""
    trusted = ssl.create_default_context(cafile=team.certificate)
    with httpx.Client(base_url=team.url, timeout=60, verify=trusted) as client:
        yield client


def submit(client, path, **form):
    """A form of a page, sent as a browser sends it."""
    client.get(path)
    form["csrfmiddlewaretoken"] = client.cookies["csrftoken"]
    headers = {"Referer": f"{client.base_url}", "Origin": str(client.base_url).rstrip("/")}
    return client.post(path, data=form, headers=headers)


def token(client):
    """A personal token of who is logged in, as Account & Settings makes it."""
    headers = {"X-CSRFToken": client.cookies["csrftoken"], "Referer": str(client.base_url)}
    return client.post("/api/token/", headers=headers).raise_for_status().json()["token"]


@pytest.fixture(scope="session")
def lead(team):
    """The first user's personal token."""
    with browser(team) as client:
        answer = submit(client, "/user/login/", email=ADMIN, password=team.password)
        assert answer.status_code == 302
        return token(client)


@pytest.mark.studio
@pytest.mark.postgres
def test_documents_and_annotations_travel_over_tls(team, lead, monkeypatch, tmp_path):
    """Push and pull work with the first user's token once the certificate's authority is trusted."""
    monkeypatch.setenv("LABEL_STUDIO_URL", team.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", lead)
    small = tmp_path / "small"
    shutil.copytree(ROOT / "tests" / "data" / "small", small)
    assert run(["push", str(small), "--project", "a1"]) == 10
    monkeypatch.setenv("SSL_CERT_FILE", str(team.certificate))
    assert run(["push", str(small), "--project", "a1"]) == 0
    (project,) = studio.connect().projects()
    assert project.title.endswith(" · a1")
    assert run(["pull", str(small)]) == 0


@pytest.mark.studio
@pytest.mark.postgres
def test_people_come_in_by_invitation_alone(team, lead):
    """A stranger is refused; the link that the organisation's page shows makes a login and a token."""
    person = {"email": "anna@example.com", "password": "A-long-passw0rd"}
    with browser(team) as stranger:
        assert submit(stranger, "/user/signup/", **person).status_code == 403
    with browser(team) as anna:
        assert submit(anna, invitation(team), **person).status_code == 302
        assert studio_of(team, token(anna)) == "anna@example.com"


@pytest.mark.studio
@pytest.mark.postgres
def test_forgotten_password_is_replaced(team, studio_command):
    """The page's command asks for a new password, and then that one is the way in."""
    (words,) = re.findall(r"exec studio label-studio (.*) anna@example.com", PAGE)
    person = {"email": "bea@example.com", "password": "A-long-passw0rd"}
    with browser(team) as bea:
        submit(bea, invitation(team), **person)
    subprocess.run(
        [studio_command, *words.split(), person["email"]],
        env=team.settings,
        input="Another-l0ng-one\n",  # without a terminal it is read from here
        text=True,
        check=True,
        capture_output=True,
        start_new_session=True,
        timeout=240,
    )
    for password, status in ((person["password"], 200), ("Another-l0ng-one", 302)):
        with browser(team) as bea:
            form = {"email": person["email"], "password": password}
            assert submit(bea, "/user/login/", **form).status_code == status


def invitation(team):
    """The link that lets people sign up, as the first user sees it."""
    with browser(team) as client:
        submit(client, "/user/login/", email=ADMIN, password=team.password)
        return client.get("/api/invite").raise_for_status().json()["invite_url"]


def studio_of(team, key):
    """Whose token it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(team.certificate))
        return studio.connect(team.url, key).email


@pytest.mark.studio
@pytest.mark.postgres
def test_site_is_reached_by_its_name_over_tls_alone(team):
    """Plain HTTP is sent on, another name gets nothing, and cookies do not leave TLS."""
    answer = httpx.get(f"{team.plain}/user/login/", timeout=60)
    # Caddy leaves the port out, which is the usual one where it is not a test's.
    assert (answer.status_code, answer.headers["location"]) == (308, f"https://{SITE}/user/login/")
    evil = httpx.get(
        f"http://127.0.0.1:{team.inside}/api/version/", headers={"Host": "evil.example.com"}
    )
    assert evil.status_code == 400
    with browser(team) as client:
        page = client.get("/user/login/")
        assert page.headers["strict-transport-security"] == "max-age=31536000"
        assert "content-security-policy" in page.headers
        cookies = page.headers.get_list("set-cookie")
        assert cookies
        assert [cookie for cookie in cookies if "Secure" not in cookie] == []
        origin = client.get("/api/version/", headers={"Origin": "https://evil.example.com"})
        assert "access-control-allow-origin" not in origin.headers


@pytest.mark.studio
@pytest.mark.postgres
@pytest.mark.parametrize("path", ["/metrics", "/metrics/", "/trigger500/", "/docs/api/schema/"])
def test_pages_for_anybody_are_closed_by_the_proxy(team, path):
    """What Label Studio answers to strangers does not pass."""
    with browser(team) as client:
        assert client.get(path).status_code == 404


@pytest.mark.studio
@pytest.mark.postgres
def test_legacy_tokens_are_off(team, lead):
    """A token that never ends is no way in, also for the first user."""
    with browser(team) as client:
        submit(client, "/user/login/", email=ADMIN, password=team.password)
        legacy = client.get("/api/current-user/token").json()["token"]
    assert len(legacy) == 40
    with browser(team) as client:
        headers = {"Authorization": f"Token {legacy}"}
        assert client.get("/api/current-user/whoami", headers=headers).status_code == 401


@pytest.mark.studio
@pytest.mark.postgres
def test_backup_restores_what_was_backed_up(postgres, team, lead):
    """The page's pg_dump and pg_restore bring every row of a Label Studio into an empty database."""
    (dump,) = re.findall(r" pg_dump -U studio (.*) studio >", PAGE)
    (restore,) = re.findall(r" pg_restore -U studio -d studio (.*) <", PAGE)
    server = ("-h", "127.0.0.1", "-p", str(postgres.port), "-U", "toolkit")
    kept = str(postgres.folder / "studio.dump")
    postgres.run("pg_dump", *server, *dump.split(), "-f", kept, "team")
    postgres.database("restored")
    postgres.run("pg_restore", *server, "-d", "restored", *restore.split(), kept)
    rows = {}
    for name in ("team", "restored"):
        plain = postgres.folder / f"{name}.sql"
        postgres.run("pg_dump", *server, "--data-only", "-f", str(plain), name)
        rows[name] = sorted(line for line in plain.read_text().splitlines() if "\t" in line)
    assert ADMIN in "\n".join(rows["team"])
    assert rows["restored"] == rows["team"]
