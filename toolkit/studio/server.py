"""A Label Studio of one's own, on this machine alone.

It runs from its own environment, made on first use from a hashed lock, listens on the loopback
address, and starts with a scrubbed environment: Label Studio also reads bare names such as `HOST`,
`PASSWORD` and `DEBUG` from the shell. Sign-up is closed, nothing is sent home, credentials are random
and lie in a private folder. A process is ours only if pid and start time both match.
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
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from toolkit import files
from toolkit.errors import LockedError, UnusableAnswerError, UsageError

__all__ = ["VERSION", "Server", "environment", "start", "status", "stop"]

VERSION = "1.23.2"
"""The Label Studio release that is locked, started and tested."""

PATIENCE = 240
"""Seconds to wait for the first answer. The very first start migrates an empty database."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Server:
    """A local server and its administrator. `pid` is 0 while it is stopped."""

    url: str = ""
    pid: int = 0
    born: str = ""
    email: str = "admin@example.com"
    password: str = ""
    api_key: str = ""

    @property
    def running(self) -> bool:
        """Whether the process we started is alive; another with the same number does not count."""
        return self.pid > 0 and _born(self.pid) == self.born

    @property
    def healthy(self) -> bool:
        """Whether it answers."""
        import httpx

        try:
            answer = httpx.get(f"{self.url}/health/", timeout=5, trust_env=False)
        except httpx.HTTPError:
            return False
        return answer.status_code == 200


def _folder() -> Path:
    return files.home() / "studio"


def status() -> Server:
    """The local server as it stands; `running` tells whether it is up."""
    path = _folder() / "server.json"
    server = Server(**files.read_json(path)) if path.is_file() else Server()
    return server if server.running else replace(server, pid=0)


def start(*, port: int = 0, say: Say = lambda _: None) -> Server:
    """The local server, started if it is not running. A second call gives the same one.

    Raises `UsageError` when the port asked for is taken, `UnusableAnswerError` with the end of its
    log when it dies or never answers.
    """
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    with _lock(folder / "lock"):
        server = status()
        if server.running and server.healthy:
            return server
        if server.running:
            _end(server)
        command = environment(say)
        return _launch(command, server, port or _free_port(), asked=port, say=say)


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
    lock = files.resource("label-studio.lock")
    lock = lock if lock.is_file() else Path(__file__).parent.parent / "data" / "label-studio.lock"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    place = _folder() / f"label-studio-{VERSION}-py{version}-{digest}"
    command = place / "bin" / "label-studio"
    if not command.exists():
        say(f"installing Label Studio {VERSION} into its own environment (once)")
        building = place.with_name(f"{place.name}.building")
        shutil.rmtree(building, ignore_errors=True)
        _install(lock, building)
        building.rename(place)
        _mend_shebangs(place, building)
    return command


def _install(lock: Path, place: Path) -> None:
    log = place.with_suffix(".log")
    python = str(place / "bin" / "python")
    steps = [[sys.executable, "-m", "venv", "--without-pip", str(place)]]
    uv = _uv()
    if uv:
        steps.append(
            [uv, "pip", "install", "-q", "--python", python, "--require-hashes", "-r", str(lock)]
        )
    else:
        steps[0].remove("--without-pip")
        steps.append([python, "-m", "pip", "install", "-q", "--require-hashes", "-r", str(lock)])
    with log.open("wb") as output:
        for step in steps:
            if subprocess.run(step, stdout=output, stderr=output, check=False).returncode:
                tail = "\n".join(log.read_text(errors="replace").splitlines()[-8:])
                what = f"Label Studio could not be installed:\n{tail}\n"
                raise UnusableAnswerError(
                    f"{what}check the package index and the disk, then try again"
                )


def _uv() -> str | None:
    try:
        from uv import find_uv_bin

        return find_uv_bin()
    except (ImportError, FileNotFoundError):
        return shutil.which("uv")


def _mend_shebangs(place: Path, building: Path) -> None:
    """Scripts name their interpreter by its full path, which the renaming has changed."""
    for script in (place / "bin").iterdir():
        if script.is_file() and not script.is_symlink():
            content = script.read_bytes()
            if str(building).encode() in content:
                script.write_bytes(content.replace(str(building).encode(), str(place).encode()))


def _launch(command: Path, old: Server, port: int, *, asked: int, say: Say) -> Server:
    if not _is_free(port):
        cure = f"choose another with --port, or leave --port {asked} out"
        raise UsageError(f"port {port} on 127.0.0.1 is taken; {cure}")
    data = _folder() / "data"
    data.mkdir(exist_ok=True)
    server = replace(
        old,
        url=f"http://127.0.0.1:{port}",
        password=old.password or secrets.token_urlsafe(18),
        api_key=old.api_key or secrets.token_hex(20),
    )
    say(
        "starting Label Studio"
        + ("" if any(data.iterdir()) else ", and making its database (once)")
    )
    log = _folder() / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                str(command), "start", "--no-browser", "--internal-host", "127.0.0.1",
                "--port", str(port), "--log-level", "WARNING",
            ],
            env=_scrubbed(server, data),
            cwd=data,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )  # fmt: skip
    server = replace(server, pid=process.pid, born=_born(process.pid))
    _save(server)
    try:
        _wait(server, process, log)
    except BaseException:
        _end(server)
        _save(replace(server, pid=0, born=""))
        raise
    return server


def _wait(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        if server.healthy:
            return
        time.sleep(0.3)
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
    what = "died" if process.poll() is not None else f"did not answer in {PATIENCE} s"
    raise UnusableAnswerError(f"Label Studio {what}; the end of {log}:\n{tail}")


def _scrubbed(server: Server, data: Path) -> dict[str, str]:
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
    }
    basics = {"PATH": "/usr/bin:/bin", "HOME": str(data), "LANG": "C.UTF-8"}
    return basics | {f"LABEL_STUDIO_{name}": value for name, value in settings.items()}


def _end(server: Server) -> None:
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
def _lock(path: Path) -> Iterator[None]:
    """One start at a time. The system frees the lock of a process that dies."""
    import fcntl

    with path.open("a+") as handle:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if time.monotonic() > deadline:
                    what = f"{path}: another start holds the lock"
                    raise LockedError(f"{what}; wait for it to end") from error
                time.sleep(0.5)
        yield
