"""The local server: ours alone, on this machine alone, and never somebody else's process.

Most of it is shown with a stand-in for Label Studio's command that starts in no time; what only the
real one can show is marked.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

import httpx
import pytest

from toolkit import studio
from toolkit.cli import run
from toolkit.errors import LockedError, UnusableAnswerError, UsageError
from toolkit.studio import database
from toolkit.studio.lock import alone

STAND_IN = """#!{python} -S
import http.server, os, sys, time
port = int(sys.argv[sys.argv.index("--port") + 1])
host = sys.argv[sys.argv.index("--internal-host") + 1]

class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health/" else 404)
        self.end_headers()
    def log_message(self, *_): pass

{act}
"""
SERVE = "http.server.HTTPServer((host, port), Health).serve_forever()"
MOVE = "http.server.HTTPServer((host, port + 1), Health).serve_forever()"
DIE = "print('no such table'); print('giving up'); sys.exit(3)"
HANG = "time.sleep(600)"

linux = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs /proc")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The toolkit's folder; whatever is started in it is ended."""
    monkeypatch.setenv("TOOLKIT_HOME", str(tmp_path / "home"))
    yield tmp_path / "home"
    studio.stop()


@pytest.fixture
def command(tmp_path, monkeypatch, home):
    """Let a stand-in that acts so be the Label Studio that is started."""

    def chosen(act):
        script = tmp_path / "label-studio"
        script.write_text(STAND_IN.format(python=sys.executable, act=act))
        script.chmod(0o755)
        monkeypatch.setenv("TOOLKIT_STUDIO_COMMAND", str(script))
        return script

    return chosen


def is_alive(pid):
    """Whether there is such a process, zombies not counted."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


def described(home):
    """What the toolkit wrote of its server."""
    return json.loads((home / "studio" / "server.json").read_text())


def wait_for(what):
    """The first value that is true, within ten seconds."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        found = what()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen")


# ── start and stop ──────────────────────────────────────────────────────────────────────────────


def test_second_start_gives_the_same_server(command):
    """Started twice it is one process; stopped it is none, and another start keeps its login."""
    command(SERVE)
    first = studio.start()
    assert studio.start() == first == studio.status()
    assert (first.running, first.healthy) == (True, True)
    assert (studio.stop(), is_alive(first.pid), studio.status().running) == (True, False, False)
    assert studio.stop() is False
    again = studio.start()
    assert again.pid != first.pid
    assert (again.password, again.api_key) == (first.password, first.api_key)


def test_two_starts_at_once_make_one_server(command):
    """The second waits for the first and takes its server."""
    command(SERVE)
    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(lambda _: studio.start(), range(2))
    assert one == two


def test_credentials_are_private(command, home):
    """Password and token are random and lie in a file only their owner can read."""
    command(SERVE)
    server = studio.start()
    assert (home / "studio").stat().st_mode & 0o777 == 0o700
    assert (home / "studio" / "server.json").stat().st_mode & 0o777 == 0o600
    assert (home / "studio" / "data").stat().st_mode & 0o777 == 0o700
    assert (len(server.password), len(server.api_key)) == (24, 40)
    command_line = Path(f"/proc/{server.pid}/cmdline")
    if command_line.exists():
        shown = command_line.read_bytes()
        assert server.password.encode() not in shown
        assert server.api_key.encode() not in shown


@pytest.fixture
def busy_port():
    """A port on which somebody else listens."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


def test_taken_port_is_exit_2(command, busy_port, capsys):
    """A port that is taken is named before anything is started."""
    command(SERVE)
    code = run(["studio", "start", "--port", str(busy_port)])
    cure = f"choose another with --port, or leave --port {busy_port} out"
    assert code == 2
    assert capsys.readouterr().err == f"error: port {busy_port} on 127.0.0.1 is taken; {cure}\n"
    assert studio.status().pid == 0


@pytest.mark.parametrize("port", [-1, 65536])
def test_number_that_is_no_port_is_an_error_of_use(command, port):
    """There are 65535 ports."""
    with pytest.raises(UsageError) as error:
        studio.start(port=port)
    cure = "ports go from 1 to 65535; choose another with --port"
    assert str(error.value) == f"port {port}: {cure}"


@linux
def test_server_on_another_port_is_not_taken_for_ours(command, home):
    """Label Studio moves on silently when its port is taken meanwhile; that is noticed and ended."""
    command(MOVE)
    with pytest.raises(UsageError) as error:
        studio.start()
    port = described(home)["url"].rpartition(":")[2]
    what = f"port {port} on 127.0.0.1 was taken while Label Studio started"
    assert str(error.value) == f"{what}; start it again"
    assert described(home)["pid"] == 0
    assert processes_in(home) == []


def test_server_that_dies_shows_the_end_of_its_log(command, home):
    """The last lines it wrote are in the error, with the log's path."""
    command(DIE)
    with pytest.raises(UnusableAnswerError) as error:
        studio.start()
    log = home / "studio" / "server.log"
    what = f"Label Studio died; the end of {log}:"
    assert str(error.value) == f"{what}\nno such table\ngiving up"
    assert (described(home)["pid"], studio.stop()) == (0, False)


def test_command_that_is_not_there_is_an_error_of_use(home, monkeypatch):
    """A wrong TOOLKIT_STUDIO_COMMAND is named with the cure."""
    monkeypatch.setenv("TOOLKIT_STUDIO_COMMAND", str(home / "nothing"))
    with pytest.raises(UsageError) as error:
        studio.start()
    what = f"{home / 'nothing'}: cannot be started (No such file or directory)"
    assert str(error.value) == f"{what}; mend TOOLKIT_STUDIO_COMMAND or leave it out"


# ── interrupted starts and stale records ────────────────────────────────────────────────────────


def starting(home):
    """A `toolkit studio start` in a process of its own, and the server it has just started."""
    program = "import toolkit.cli; toolkit.cli.main()"
    words = [sys.executable, "-c", program, "studio", "start"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: (home / "studio" / "server.json").is_file() and described(home)["pid"])
    except BaseException:
        process.kill()
        process.wait()
        raise
    return process, described(home)["pid"]


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGINT, 130), (signal.SIGHUP, 129)],
    ids=["terminated", "interrupted", "hung up"],
)
def test_start_that_is_ended_leaves_no_process(command, home, number, code):
    """Whoever stops a start half-way is left with nothing running."""
    command(HANG)
    process, pid = starting(home)
    process.send_signal(number)
    assert process.wait(20) == code
    assert (is_alive(pid), described(home)["pid"]) == (False, 0)


def test_signal_waits_until_the_new_process_is_known(command, home, monkeypatch):
    """Between the fork and its number nobody could end the server."""
    from toolkit.studio import server

    command(HANG)
    spawn, made = server._spawn, []

    def interrupted(*given):
        process = spawn(*given)
        made.append(process.pid)
        signal.raise_signal(signal.SIGTERM)
        return process

    monkeypatch.setattr(server, "_spawn", interrupted)
    with pytest.raises(SystemExit):
        studio.start()
    assert [is_alive(pid) for pid in made] == [False]


def test_start_that_is_killed_is_cleaned_up_by_stop(command, home):
    """What a killed start left behind is known and can be stopped."""
    command(HANG)
    process, pid = starting(home)
    process.kill()
    process.wait()
    assert is_alive(pid)
    assert (studio.stop(), is_alive(pid)) == (True, False)


def record(home, **facts):
    """A server.json as an earlier run may have left it."""
    folder = home / "studio"
    folder.mkdir(parents=True)
    server = studio.Server("http://127.0.0.1:1", password="p", api_key="k")
    (folder / "server.json").write_text(json.dumps(asdict(replace(server, **facts))))


def test_foreign_process_is_never_ended(command, home):
    """After a restart of the machine our number may be another's; only the start time tells."""
    with subprocess.Popen([sys.executable, "-c", f"import time; {HANG}"]) as stranger:
        try:
            record(home, pid=stranger.pid, born="1")
            assert (studio.status().running, studio.stop()) == (False, False)
            command(SERVE)
            assert studio.start().pid != stranger.pid
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_dead_process_is_passed_over(command, home):
    """A record of a server that is gone is no obstacle, and its login stays."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    record(home, pid=gone.pid, born="1")
    command(SERVE)
    assert studio.stop() is False
    server = studio.start()
    assert (server.running, server.password, server.api_key) == (True, "p", "k")


@pytest.mark.parametrize(
    "facts", [{"pid": 0, "born": "1"}, {"pid": 2**22 + 1, "born": ""}], ids=["no pid", "no time"]
)
def test_record_without_a_process_ends_nothing(home, facts):
    """Number 0 would mean our own process group; a process without a start time is nobody's."""
    record(home, **facts)
    assert (studio.status().running, studio.stop()) == (False, False)


def test_lock_names_its_holder_and_is_freed(tmp_path):
    """One at a time; the error says which process; the end of the body frees the lock."""
    path = tmp_path / "lock"
    with (
        alone(path, "the first"),
        pytest.raises(LockedError) as error,
        alone(path, "the second"),
    ):
        pass
    assert str(error.value) == f"the second: process {os.getpid()} is at it; wait for it to end"
    with alone(path, "the third"):
        pass


# ── what surrounds it ───────────────────────────────────────────────────────────────────────────


def processes_in(home):
    """The processes that work on this home's database."""
    needle = f"LABEL_STUDIO_BASE_DATA_DIR={home / 'studio' / 'data'}".encode()
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if needle in environ.read_bytes().split(b"\0"):
                found.append(int(environ.parent.name))
        except OSError:
            continue
    return found


def settings_of(pid):
    """The environment a process was started with."""
    lines = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(line.split("=", 1) for line in lines if line)


SAFE = {
    "LABEL_STUDIO_ALLOWED_HOSTS": "127.0.0.1,localhost",
    "LABEL_STUDIO_COLLECT_ANALYTICS": "false",
    "LABEL_STUDIO_CORS_ALLOW_ALL_ORIGINS": "false",
    "LABEL_STUDIO_DEBUG": "false",
    "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
    "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
    "LABEL_STUDIO_ENABLE_LOCAL_FILES_STORAGE": "false",
    "LABEL_STUDIO_FRONTEND_SENTRY_DSN": "",
    "LABEL_STUDIO_LATEST_VERSION_CHECK": "false",
    "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "false",
    "LABEL_STUDIO_LS_CSP_REPORT_ONLY": "false",
    "LABEL_STUDIO_ML_BLOCK_LOCAL_IP": "true",
    "LABEL_STUDIO_SENTRY_DSN": "",
}
OWN = {
    *("PATH", "HOME", "LANG", "LC_CTYPE"),
    *("LABEL_STUDIO_BASE_DATA_DIR", "LABEL_STUDIO_USERNAME"),
    *("LABEL_STUDIO_PASSWORD", "LABEL_STUDIO_USER_TOKEN"),
}


@linux
def test_environment_of_the_caller_does_not_reach_the_server(command, monkeypatch):
    """Label Studio reads bare names too: none of the caller's variables is handed on."""
    for name in ("HOST", "PASSWORD", "USERNAME", "DEBUG", "SENTRY_DSN", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "from the caller")
    monkeypatch.setenv("LABEL_STUDIO_HOST", "from the caller")
    command(SERVE)
    settings = settings_of(studio.start().pid)
    assert settings.keys() - OWN == SAFE.keys()
    assert {name: settings[name] for name in SAFE} == SAFE


@linux
def test_models_on_this_machine_are_asked_only_when_told(command, home):
    """A start with `models` opens that one setting, is written down, and lasts until the next start."""
    command(SERVE)
    server = studio.start(models=True)
    opened = {**SAFE, "LABEL_STUDIO_ML_BLOCK_LOCAL_IP": "false"}
    settings = settings_of(server.pid)
    assert {name: settings[name] for name in SAFE} == opened
    assert (studio.start(), studio.start(models=True)) == (server, server)
    assert (described(home)["models"], studio.stop()) == (True, True)
    closed = studio.start()
    assert settings_of(closed.pid)["LABEL_STUDIO_ML_BLOCK_LOCAL_IP"] == "true"
    assert described(home)["models"] is False


def test_running_server_is_not_opened_to_models(command):
    """A server that runs without `models` must be stopped first: it is left as it is."""
    command(SERVE)
    server = studio.start()
    with pytest.raises(UsageError) as refused:
        studio.start(models=True)
    assert str(refused.value) == (
        "the local Label Studio runs without --models; "
        "stop it, then start it again: toolkit studio stop"
    )
    assert studio.status() == server


@linux
@pytest.mark.studio
def test_real_server_runs_with_our_settings_alone(real_site):
    """What holds for the stand-in holds for the real one."""
    settings = settings_of(real_site.server.pid)
    assert {name: settings[name] for name in SAFE} == SAFE
    assert {name for name in settings if name not in SAFE and name not in OWN} == set()


def libpq(address):
    """What a server is told of the database at this address."""
    user, password, host, port, name = address
    return {
        "LABEL_STUDIO_DJANGO_DB": "default",
        "LABEL_STUDIO_POSTGRE_HOST": host,
        "LABEL_STUDIO_POSTGRE_NAME": name,
        "LABEL_STUDIO_POSTGRE_PASSWORD": password,
        "LABEL_STUDIO_POSTGRE_PORT": port,
        "LABEL_STUDIO_POSTGRE_USER": user,
        "PGCONNECT_TIMEOUT": "10",
    }


@linux
@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("postgresql://u:p@db.example.com:6543/n", ("u", "p", "db.example.com", "6543", "n")),
        ("postgres://u:p@127.0.0.1/n", ("u", "p", "127.0.0.1", "5432", "n")),
        ("postgresql://u@[::1]/n", ("u", "", "::1", "5432", "n")),
        (
            "postgresql://a%40b:%2F%3A%23%25%20é@h/my%20name",
            ("a@b", "/:#% é", "h", "5432", "my name"),
        ),
    ],
    ids=["whole", "without a port", "without a password", "percent-encoded"],
)
def test_address_of_a_database_reaches_the_server(command, monkeypatch, address, parts):
    """Every part of it is handed on, unquoted, and nothing else changes."""
    monkeypatch.setenv("TOOLKIT_STUDIO_DATABASE", address)
    command(SERVE)
    settings = settings_of(studio.start().pid)
    assert settings.keys() - OWN == SAFE.keys() | libpq(parts).keys()
    assert {name: settings[name] for name in libpq(parts)} == libpq(parts)


SECRET = "postgresql://someone:s3cret@127.0.0.1:5432/deals"


def test_address_of_a_database_is_never_shown(command, home, monkeypatch, capsys):
    """Where the data lie is said, by start and status; login and password are in no file or output."""
    monkeypatch.setenv("TOOLKIT_STUDIO_DATABASE", SECRET)
    command(SERVE)
    assert run(["studio", "start", "--json"]) == 0
    assert run(["studio", "status"]) == 0
    printed = capsys.readouterr()
    url = studio.status().url
    assert json.loads(printed.out.splitlines()[0])["database"] == "PostgreSQL 127.0.0.1:5432/deals"
    assert printed.out.splitlines()[1] == f"{url}, data in PostgreSQL 127.0.0.1:5432/deals"
    written = [path.read_text() for path in home.rglob("*") if path.is_file()]
    shown = [printed.out, printed.err, repr(database.chosen()), *written]
    assert [text for text in shown if "s3cret" in text or "someone" in text] == []
    assert described(home)["database"] == "PostgreSQL 127.0.0.1:5432/deals"


@pytest.mark.parametrize(
    "address",
    [
        "deals",
        "mysql://u:p@h/n",
        "postgresql://u:p@h",
        "postgresql://u:p@h/",
        "postgresql://:p@h/n",
        "postgresql://u:p@/n",
        "postgresql://u:p@h:port/n",
        "postgresql://u:p@h:99999/n",
        "postgresql://u:p#w@h/n",
        "postgresql://u:p/w@h/n",
        "postgresql://u:p@h/n?sslmode=require",
        "postgresql://u:p@[h/n",
        "postgresql://u:p%00@h/n",
    ],
)
def test_malformed_address_of_a_database_is_exit_2(home, monkeypatch, capsys, address):
    """One line that says the form and does not repeat the address; nothing is started or made."""
    monkeypatch.setenv("TOOLKIT_STUDIO_DATABASE", address)
    assert run(["studio", "start"]) == 2
    form = "postgresql://user:password@host:port/name"
    cure = "mend it, with each of : / ? # @ % inside a name or password percent-encoded"
    line = f"error: TOOLKIT_STUDIO_DATABASE: the address is not {form}; {cure}\n"
    assert capsys.readouterr().err == line
    assert not home.exists()


def test_other_database_is_not_taken_for_the_one_that_runs(command, home, monkeypatch):
    """A running server keeps its database; another is said when it is chosen, and SQLite is back."""
    command(SERVE)
    said = []
    first = studio.start(say=said.append)
    monkeypatch.setenv("TOOLKIT_STUDIO_DATABASE", SECRET)
    with pytest.raises(UsageError) as error:
        studio.start()
    place = "PostgreSQL 127.0.0.1:5432/deals"
    what = f"the local Label Studio runs on SQLite, not on {place}"
    assert str(error.value) == f"{what}; stop it first: toolkit studio stop"
    assert studio.status() == first
    studio.stop()
    assert studio.start(say=said.append).database == place
    assert f"the data are in {place} now; what was in SQLite stays there" in said
    studio.stop()
    monkeypatch.delenv("TOOLKIT_STUDIO_DATABASE")
    assert studio.start(say=said.append).database == "SQLite"
    assert f"the data are in SQLite now; what was in {place} stays there" in said


COMPLAIN = """
print("Traceback (most recent call last):")
print('django.db.utils.OperationalError: connection failed: connection to server at "127.0.0.1", '
      'port 5432 failed: FATAL:  database "deals" does not exist')
sys.exit(1)
"""


def test_database_that_is_not_there_is_exit_2(command, home, monkeypatch, capsys):
    """One line with the reason, and no trace of Label Studio's log; what was there before holds."""
    monkeypatch.setenv("TOOLKIT_STUDIO_DATABASE", SECRET)
    command(COMPLAIN)
    assert run(["studio", "start"]) == 2
    reason = 'PostgreSQL 127.0.0.1:5432/deals: cannot be used (database "deals" does not exist)'
    cure = "make the database, its owner the user that is named, or mend TOOLKIT_STUDIO_DATABASE"
    assert capsys.readouterr().err.splitlines()[-1] == f"error: {reason}; {cure}"
    assert (described(home)["pid"], described(home)["database"]) == (0, "SQLite")


def test_fault_of_a_server_on_sqlite_is_no_fault_of_an_address(command):
    """Without an address there is none to mend: the log is shown."""
    command(COMPLAIN)
    with pytest.raises(UnusableAnswerError) as error:
        studio.start()
    assert str(error.value).endswith('database "deals" does not exist')


@pytest.mark.studio
@pytest.mark.postgres
@pytest.mark.parametrize("fault", ["no database", "wrong password", "nobody listens"])
def test_real_server_says_what_is_wrong_with_its_database(
    home, postgres, studio_command, monkeypatch, busy_port, fault
):
    """The real Label Studio's words for what can go wrong, in one line."""
    address, place = postgres.address("nowhere"), f"127.0.0.1:{postgres.port}/nowhere"
    reason = 'database "nowhere" does not exist'
    if fault == "wrong password":
        address = address.replace(postgres.password, "wrong")
        reason = 'password authentication failed for user "toolkit"'
    if fault == "nobody listens":
        address, place = (text.replace(str(postgres.port), "1") for text in (address, place))
        reason = "Connection refused"
    monkeypatch.setenv("TOOLKIT_STUDIO_DATABASE", address)
    monkeypatch.setenv("TOOLKIT_STUDIO_COMMAND", str(studio_command))
    with pytest.raises(UsageError) as error:
        studio.start()
    cure = "make the database, its owner the user that is named, or mend TOOLKIT_STUDIO_DATABASE"
    assert str(error.value) == f"PostgreSQL {place}: cannot be used ({reason}); {cure}"


@pytest.mark.studio
@pytest.mark.postgres
def test_database_of_others_is_served_and_its_users_kept(
    home, postgres, postgres_site, studio_command, monkeypatch
):
    """A second folder on the same database shows its projects; that our token is strange to it is said."""
    title = f"{postgres_site.corpus()} of others"
    postgres_site.call("POST", "/api/projects/", json={"title": title})
    monkeypatch.setenv("TOOLKIT_STUDIO_DATABASE", postgres.address("contract"))
    monkeypatch.setenv("TOOLKIT_STUDIO_COMMAND", str(studio_command))
    said = []
    server = studio.start(say=said.append)
    assert (server.database, server.knows_us) == (postgres_site.server.database, False)
    what = f"{server.database} has users of its own, and our administrator is not one of them"
    assert f"{what}: log in as one of them, and set LABEL_STUDIO_API_KEY to their token" in said
    theirs = studio.connect(server.url, postgres_site.server.api_key)
    assert title in {project.title for project in theirs.projects()}


def listening(pid):
    """The addresses on which the processes of this group listen, as the kernel writes them."""
    sockets = set()
    for folder in Path("/proc").glob("[0-9]*/fd"):
        try:
            if os.getpgid(int(folder.parent.name)) == pid:
                sockets |= {str(descriptor.readlink()) for descriptor in folder.iterdir()}
        except OSError:
            continue
    lines = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    ]
    return {f[1] for f in lines if f[3] == "0A" and f"socket:[{f[9]}]" in sockets}


@linux
@pytest.mark.studio
def test_real_server_listens_on_the_loopback_alone(real_site):
    """One socket, on 127.0.0.1, on the port it was given."""
    port = int(real_site.server.url.rpartition(":")[2])
    assert listening(real_site.server.pid) == {f"0100007F:{port:04X}"}


@pytest.mark.studio
def test_real_server_takes_no_uninvited_users(real_site):
    """A stranger's sign-up is refused, with and without a made-up invitation."""
    form = {"email": "stranger@example.com", "password": "A-long-passw0rd"}
    with httpx.Client(base_url=real_site.server.url, timeout=60, verify=False) as browser:
        browser.get("/user/login/")
        form["csrfmiddlewaretoken"] = browser.cookies["csrftoken"]
        headers = {"Referer": real_site.server.url}
        answers = [
            browser.post(path, data=form, headers=headers).status_code
            for path in ("/user/signup/", "/user/signup/?token=made-up")
        ]
    assert answers == [403, 403]
    known = {user["email"] for user in real_site.call("GET", "/api/users/")}
    assert "stranger@example.com" not in known


@pytest.mark.studio
def test_real_server_answers_to_its_own_names_only(real_site):
    """A page that leads another name to this machine gets nothing."""
    answer = httpx.get(
        f"{real_site.server.url}/api/version/", headers={"Host": "evil.example.com"}, verify=False
    )
    assert answer.status_code == 400


@pytest.mark.studio
def test_real_server_is_started_once(real_site, monkeypatch, capsys):
    """A second start gives the same server; asking for a taken port is exit 2 elsewhere."""
    monkeypatch.setenv("TOOLKIT_HOME", str(real_site.home))
    assert studio.start() == real_site.server
    assert run(["studio", "status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "running": True,
        "url": real_site.server.url,
        "pid": real_site.server.pid,
        "database": "SQLite",
    }


@pytest.mark.studio
def test_version_is_the_one_that_is_locked(real_site):
    """The server says the release that the toolkit is tested with, and the lock holds it."""
    release = real_site.call("GET", "/api/version/")["release"]
    lock = Path(studio.__file__).parent.parent / "data" / "label-studio.lock"
    assert release == studio.server.VERSION
    assert f"label-studio=={release} " in lock.read_text()
