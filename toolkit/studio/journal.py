"""What a push set out to do, written down before it does it, so that an interrupted one is known.

A journal lies in the private folder while its push runs. One that is left over says that an import may
have been carried out without anybody having seen the answer, so the next push looks twice.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from toolkit import files
from toolkit.errors import DiskError

__all__ = ["Journal"]


@dataclass
class Journal:
    """The intents of one push to one project. It goes when the push is done."""

    path: Path
    interrupted: bool = False
    _handle: IO[str] | None = None

    @classmethod
    def of(cls, url: str, project: str) -> Journal:
        """The journal of pushes to this project from this machine."""
        name = hashlib.sha256(f"{url} {project}".encode()).hexdigest()[:16]
        path = files.home() / "journals" / f"{name}.jsonl"
        return cls(path, interrupted=path.is_file())

    def intend(self, documents: Sequence[str]) -> None:
        """Note that these documents are about to be sent; on the disk when this returns."""
        try:
            if self._handle is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._handle = self.path.open("a", encoding="utf-8")
            self._handle.write(json.dumps({"send": list(documents)}) + "\n")
            self._handle.flush()
            os.fsync(self._handle.fileno())
        except OSError as error:
            what = f"{self.path}: cannot be written ({error.strerror})"
            raise DiskError(f"{what}; free some space or set TOOLKIT_HOME") from error

    def close(self, *, done: bool) -> None:
        """End the push; what was intended is forgotten once all of it is known to be done."""
        if self._handle is not None:
            self._handle.close()
            self._handle = None
        if done:
            self.path.unlink(missing_ok=True)
