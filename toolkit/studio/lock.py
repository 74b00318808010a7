"""One at a time: a lock that the system frees when its holder dies."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from toolkit.errors import DiskError, LockedError

__all__ = ["alone"]


@contextmanager
def alone(path: Path, what: str, *, patience: float = 0) -> Iterator[None]:
    """Hold the lock at `path` while the body runs.

    Raises `LockedError`, naming the process that holds it, after `patience` seconds of waiting.
    """
    with _opened(path) as handle:
        deadline = time.monotonic() + patience
        while not _taken(handle):
            if time.monotonic() >= deadline:
                handle.seek(0)
                holder = handle.read().strip() or "another process"
                raise LockedError(f"{what}: {holder} is at it; wait for it to end")
            time.sleep(0.2)
        handle.truncate(0)
        handle.write(f"process {os.getpid()}")
        handle.flush()
        yield


def _opened(path: Path) -> IO[str]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a+")
    except OSError as error:
        what = f"{path}: cannot be written ({error.strerror})"
        raise DiskError(f"{what}; choose another folder with TOOLKIT_HOME") from error


def _taken(handle: IO[str]) -> bool:
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
