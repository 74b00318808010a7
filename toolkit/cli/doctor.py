"""Whether this machine and the server are fit for work."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata

from toolkit import files
from toolkit.errors import ToolkitError

__all__ = ["Finding", "examine"]

ROOM = 3
"""Gigabytes that Label Studio's environment, a dataset and a model need."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    what: str
    ok: bool
    found: str


def examine() -> list[Finding]:
    """Everything worth a look before work starts."""
    return [*_machine(), *_packages(), _server()]


def _machine() -> Iterator[Finding]:
    version = sys.version_info
    fits = (3, 11) <= version[:2] < (3, 14)
    yield Finding("Python", fits, f"{version.major}.{version.minor}.{version.micro}")
    place = files.home()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free / 1e9
    yield Finding("disk", free > ROOM, f"{free:.0f} GB free at {place}")
    private = files.home() / "studio"
    closed = not private.exists() or not private.stat().st_mode & 0o077
    yield Finding(
        "private folder",
        closed,
        f"{private}" if closed else f"{private} is open to others: chmod 700",
    )


def _packages() -> Iterator[Finding]:
    for name in ("label-studio-sdk", "datasets", "spacy", "seqeval"):
        try:
            yield Finding(name, True, metadata.version(name))
        except metadata.PackageNotFoundError:
            yield Finding(name, False, "missing: install communique-toolkit again")


def _server() -> Finding:
    from toolkit import studio

    url = os.environ.get("LABEL_STUDIO_URL", "")
    local = studio.status()
    if not url and not local.running:
        return Finding("Label Studio", True, "none; start one: toolkit studio start")
    try:
        connection = studio.connect() if url else studio.connect(local.url, local.api_key)
    except ToolkitError as error:
        return Finding("Label Studio", False, str(error))
    return Finding("Label Studio", True, f"{connection.url} as {connection.email}")
