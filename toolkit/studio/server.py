"""A Label Studio of one's own, on this machine alone.

It runs from its own environment, made on first use from a hashed lock, listens on the loopback
address, and starts with a scrubbed environment: Label Studio also reads bare names such as `HOST`,
`PASSWORD` and `DEBUG` from the shell. Its data lie in SQLite or in a PostgreSQL that `database` names.
Sign-up is closed, nothing is sent home, credentials are random and lie in a private folder. A process
is ours only if pid and start time both match, and a port only if our process listens on it.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from toolkit import files
from toolkit.errors import DiskError, UnusableAnswerError, UsageError
from toolkit.studio.database import SQLITE, Database, chosen, complaint
from toolkit.studio.lock import alone

__all__ = ["VERSION", "Server", "environment", "start", "status", "stop", "tidy"]

VERSION = "1.23.2"
"""The Label Studio release that is locked, started and tested."""

PATIENCE = 240
"""Seconds to wait for the first answer. The very first start migrates an empty database."""

_LOCK = Path(__file__).parent.parent / "data" / "label-studio.lock"
_BUILD = Path(__file__).parent.parent / "data" / "build.lock"
"""What packages without a wheel are built with."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Server:
    """A local server and its administrator. `pid` is 0 while it is stopped.

    `database` says where its data lie, without the login; `models` whether it may ask models on this
    machine for suggestions.
    """

    url: str = ""
    pid: int = 0
    born: str = ""
    email: str = "admin@example.com"
    password: str = ""
    api_key: str = ""
    database: str = SQLITE
    models: bool = False

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.url.rpartition(":")[2])

    @property
    def running(self) -> bool:
        """Whether the process we started is alive; another with the same number does not count."""
        return self.pid > 0 and self.born != "" and _born(self.pid) == self.born

    @property
    def healthy(self) -> bool:
        """Whether it answers."""
        return self._status_of("/health/") == 200

    @property
    def knows_us(self) -> bool:
        """Whether it does not refuse our token, as one does whose database was made by others."""
        return self._status_of("/api/current-user/whoami") not in {401, 403}

    def _status_of(self, path: str) -> int:
        """Its answer to us in short; 0 if there is none."""
        wire = HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            wire.request("GET", path, headers={"Authorization": f"Token {self.api_key}"})
            return wire.getresponse().status
        except (OSError, HTTPException):
            return 0
        finally:
            wire.close()


def _folder() -> Path:
    return files.home() / "studio"


def status() -> Server:
    """The local server as it stands; `running` tells whether it is up."""
    path = _folder() / "server.json"
    server = Server(**files.read_json(path)) if path.is_file() else Server()
    return server if server.running else replace(server, pid=0)


def start(*, port: int = 0, models: bool = False, say: Say = lambda _: None) -> Server:
    """The local server, started if it is not running. A second call gives the same one.

    Its data lie in SQLite, or in the PostgreSQL database that `TOOLKIT_STUDIO_DATABASE` names. With
    `models` it may ask models on this machine for suggestions, and whoever has a login can then make it
    send requests to any port here. Raises `UsageError` when the port asked for is taken, the database
    cannot be used, or a server of another database or without `models` runs; `UnusableAnswerError`
    with the end of its log when it dies or never answers.
    """
    database, folder = chosen(), _private(_folder())
    with alone(folder / "lock", "toolkit studio start", patience=PATIENCE), tidy():
        server = status()
        _tell_of_another(server, database, say)
        if server.running and models and not server.models:
            what = "the local Label Studio runs without --models"
            raise UsageError(f"{what}; stop it, then start it again: toolkit studio stop")
        if server.running and _answers(server):
            return server
        if server.running:
            _end(server)
        if not 0 <= port <= 65535:
            raise UsageError(f"port {port}: ports go from 1 to 65535; choose another with --port")
        if port and not _is_free(port):
            cure = f"choose another with --port, or leave --port {port} out"
            raise UsageError(f"port {port} on 127.0.0.1 is taken; {cure}")
        server = replace(server, models=models)
        server = _launch(environment(say), server, database, port or _free_port(), say)
        if not server.knows_us:
            what = (
                f"{database.place} has users of its own, and our administrator is not one of them"
            )
            say(f"{what}: log in as one of them, and set LABEL_STUDIO_API_KEY to their token")
        return server


def _tell_of_another(server: Server, database: Database, say: Say) -> None:
    """Let nobody wonder where their projects are: the data of one database are not in the other."""
    if server.database == database.place:
        return
    if server.running:
        what = f"the local Label Studio runs on {server.database}, not on {database.place}"
        raise UsageError(f"{what}; stop it first: toolkit studio stop")
    if server.url:
        say(f"the data are in {database.place} now; what was in {server.database} stays there")


def _private(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        what = f"{folder}: cannot be written ({error.strerror})"
        raise DiskError(f"{what}; choose another folder with TOOLKIT_HOME") from error
    return folder


def _answers(server: Server) -> bool:
    """Whether it answers within a minute: one that is busy is not dead."""
    return any(server.healthy for _ in range(12))


def stop() -> bool:
    """End the local server. Gives whether one was running."""
    server = status()
    if not server.running:
        return False
    _end(server)
    _save(replace(server, pid=0, born=""))
    return True


def environment(say: Say = lambda _: None) -> Path:
    """The `label-studio` command, in an environment of its own, made from the lock on first use.

    `TOOLKIT_STUDIO_COMMAND` names another installation. The folder is built under another name and
    renamed when it is complete, so an interrupted build is never used.
    """
    given = os.environ.get("TOOLKIT_STUDIO_COMMAND")
    if given:
        return Path(given)
    digest = hashlib.sha256(_LOCK.read_bytes()).hexdigest()[:12]
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    place = _private(_folder()) / f"label-studio-{VERSION}-py{version}-{digest}"
    command = place / "bin" / "label-studio"
    if not command.exists():
        say(f"installing Label Studio {VERSION} into its own environment (once)")
        building = place.with_name(f"{place.name}.building")
        shutil.rmtree(building, ignore_errors=True)
        _install(building)
        building.rename(place)
        _mend_shebangs(place, building)
    return command


def _install(place: Path) -> None:
    python = str(place / "bin" / "python")
    uv = files.find_uv()
    if uv:
        made = [[sys.executable, "-m", "venv", "--without-pip", str(place)]]
        hashed = ["--require-hashes", "--require-build-hashes", "--build-constraints", str(_BUILD)]
        made += [[uv, "pip", "install", "-q", "--python", python, *hashed, "-r", str(_LOCK)]]
    else:
        pip = [python, "-m", "pip", "install", "-q", "--require-hashes"]
        made = [[sys.executable, "-m", "venv", str(place)], [*pip, "-r", str(_BUILD)]]
        made += [[*pip, "--no-build-isolation", "-r", str(_LOCK)]]
    log = place.with_suffix(".log")
    with log.open("wb") as output:
        for step in made:
            if subprocess.run(step, stdout=output, stderr=output, check=False).returncode:
                what = f"Label Studio could not be installed:\n{_tail(log, 8)}"
                cure = "check the package index and the disk, then try again"
                raise UnusableAnswerError(f"{what}\n{cure}")


def _tail(log: Path, lines: int) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def _mend_shebangs(place: Path, building: Path) -> None:
    """Scripts name their interpreter by its full path, which the renaming has changed."""
    for script in (place / "bin").iterdir():
        if script.is_file() and not script.is_symlink():
            content = script.read_bytes()
            if str(building).encode() in content:
                script.write_bytes(content.replace(str(building).encode(), str(place).encode()))


def _launch(command: Path, old: Server, database: Database, port: int, say: Say) -> Server:
    data = _private(_folder() / "data")
    server = replace(
        old,
        url=f"http://127.0.0.1:{port}",
        password=old.password or secrets.token_urlsafe(18),
        api_key=old.api_key or secrets.token_hex(20),
        database=database.place,
    )
    made = any(data.iterdir()) and old.database == database.place
    say("starting Label Studio" + ("" if made else ", and making its database (once)"))
    log = _folder() / "server.log"
    process = None
    try:
        with _undisturbed():  # Between the fork and its pid nobody could end it.
            process = _spawn(command, server, _scrubbed(server, data, database), data, log)
            server = replace(server, pid=process.pid, born=_born(process.pid))
        _save(server)
        _wait(server, database, process, log)
    except BaseException:
        if process is not None:
            _end(server)
            _save(replace(server, pid=0, born="", database=old.database))
            process.wait()
        raise
    # It outlives this program on purpose; without this, Python warns of a forgotten child.
    process.returncode = 0
    return server


def _spawn(
    command: Path, server: Server, settings: dict[str, str], data: Path, log: Path
) -> subprocess.Popen[bytes]:
    """The server's process, at the head of a group of its own."""
    words = ["start", "--no-browser", "--internal-host", "127.0.0.1", "--log-level", "WARNING"]
    try:
        with log.open("wb") as output:
            return subprocess.Popen(
                [str(command), *words, "--port", str(server.port)],
                env=settings,
                cwd=data,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
    except OSError as error:
        what = f"{command}: cannot be started ({error.strerror})"
        raise UsageError(f"{what}; mend TOOLKIT_STUDIO_COMMAND or leave it out") from error


def _wait(server: Server, database: Database, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        ports = _ports(server.pid)
        if ports and server.port not in ports:
            # Label Studio silently moves to the next port.
            what = f"port {server.port} on 127.0.0.1 was taken while Label Studio started"
            raise UsageError(f"{what}; start it again")
        if ports != set() and server.healthy:
            return
        time.sleep(0.3)
    against = complaint(database, log.read_text(errors="replace"))
    if against:
        raise against
    what = "died" if process.poll() is not None else f"did not answer in {PATIENCE} s"
    raise UnusableAnswerError(f"Label Studio {what}; the end of {log}:\n{_tail(log, 20)}")


def _ports(group: int) -> set[int] | None:
    """The TCP ports that processes of a group listen on; None where the system does not tell."""
    if not Path("/proc/net/tcp").exists():
        return None
    listening = {}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A":
            listening[f"socket:[{fields[9]}]"] = int(fields[1].rpartition(":")[2], 16)
    return {listening[held] for held in _held(group) if held in listening}


def _held(group: int) -> Iterator[str]:
    """What the open file descriptors of a process group lead to."""
    for folder in Path("/proc").iterdir():
        # Processes end while one looks.
        with suppress(OSError):
            if folder.name.isdecimal() and os.getpgid(int(folder.name)) == group:
                for descriptor in (folder / "fd").iterdir():
                    yield str(descriptor.readlink())


def _scrubbed(server: Server, data: Path, database: Database) -> dict[str, str]:
    """The server's whole environment."""
    settings = {
        "BASE_DATA_DIR": str(data),
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
        "DISABLE_SIGNUP_WITHOUT_LINK": "true",
        "CORS_ALLOW_ALL_ORIGINS": "false",
        "ALLOWED_HOSTS": "127.0.0.1,localhost",
        "ENABLE_LOCAL_FILES_STORAGE": "false",
        "LOCAL_FILES_SERVING_ENABLED": "false",
        "LS_CSP_REPORT_ONLY": "false",
        "DEBUG": "false",
        "USERNAME": server.email,
        "PASSWORD": server.password,
        "USER_TOKEN": server.api_key,
        "ENABLE_LEGACY_API_TOKEN": "true",
        **database.settings,
        "ML_BLOCK_LOCAL_IP": str(not server.models).lower(),
    }
    basics = {"PATH": "/usr/bin:/bin", "HOME": str(data), "LANG": "C.UTF-8"}
    if database.settings:
        # Otherwise a database that does not answer is waited for over two minutes.
        basics["PGCONNECT_TIMEOUT"] = "10"
    return basics | {f"LABEL_STUDIO_{name}": value for name, value in settings.items()}


def _end(server: Server) -> None:
    """End the server's whole process group, unless its process is gone already."""
    if not server.running:
        return
    for signal_number, patience in ((signal.SIGTERM, 10), (signal.SIGKILL, 5)):
        try:
            # It leads a process group of its own, in which its reloader and workers are.
            os.killpg(server.pid, signal_number)
        except (ProcessLookupError, PermissionError):
            return
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            _reap(server.pid)
            if not server.running:
                return
            time.sleep(0.1)


def _reap(pid: int) -> None:
    # Where another process started it, the system reaps it.
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _born(pid: int) -> str:
    """When a process started, in the system's words; nothing if there is no such process."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            # The name in brackets may hold blanks; the fields behind it are state, …, start time.
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            return ""
        return "" if fields[0] == "Z" else fields[19]
    answer = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    state, _, born = answer.stdout.strip().partition(" ")
    return "" if state.startswith("Z") else born.strip()


def _save(server: Server) -> None:
    import json

    files.write_text(_folder() / "server.json", json.dumps(asdict(server), indent=1), private=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@contextmanager
def tidy() -> Iterator[None]:
    """Let SIGTERM and SIGHUP leave the body as an interrupt does: with its clean-up."""

    def leave(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    held = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:
                held[number] = signal.signal(number, leave)
    try:
        yield
    finally:
        for number, before in held.items():
            signal.signal(number, before)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Signals that would end the program wait until the body is done."""
    came: list[int] = []
    held = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            held[number] = signal.signal(number, lambda number, _frame: came.append(number))
    try:
        yield
    finally:
        for number, before in held.items():
            signal.signal(number, before)
        for waited in came:
            signal.raise_signal(waited)
