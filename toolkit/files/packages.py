"""Packages from the index that others load, unpacked into folders of their own; nothing of them is run."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from toolkit.errors import UnusableAnswerError
from toolkit.files.writing import refuse_unwritable

__all__ = ["find_uv", "unpack"]


def find_uv() -> str | None:
    """The `uv` program: the one that came with the toolkit, else the one on PATH."""
    try:
        from uv import find_uv_bin

        return find_uv_bin()
    except (ImportError, FileNotFoundError):
        return shutil.which("uv")


def unpack(lock: Path, place: Path) -> None:
    """Put what a hashed lock names, and nothing that it needs, into the folder `place`.

    The folder is there whole or not at all. Raises `UnusableAnswerError` with what the installer says.
    """
    refuse_unwritable(place)
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=f".{place.name}.") as name:
        made = Path(name) / "made"
        done = subprocess.run(
            [
                *_installer(),
                "--no-deps",
                "--require-hashes",
                "--target",
                str(made),
                "-r",
                str(lock),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = "\n".join(done.stderr.strip().splitlines()[-3:])
            what = f"{lock.stem}: could not be fetched from the package index:\n{said}"
            raise UnusableAnswerError(f"{what}\ncheck the connection and the disk, then try again")
        if not place.exists():
            made.rename(place)


def _installer() -> list[str]:
    """A package of data runs on any Python, whatever it asks for."""
    uv = find_uv()
    if uv:
        return [
            uv,
            "pip",
            "install",
            "--quiet",
            "--python",
            sys.executable,
            "--python-version",
            "3.12",
        ]
    return [sys.executable, "-m", "pip", "install", "--quiet", "--ignore-requires-python"]
