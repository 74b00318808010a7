"""Where a local Label Studio keeps its data: a SQLite file of its own, or a PostgreSQL database.

The database is named by `TOOLKIT_STUDIO_DATABASE`, which holds a password: neither it nor the address
around it is ever printed or written to a file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

from toolkit.errors import UsageError

__all__ = ["SQLITE", "Database", "chosen", "complaint"]

SQLITE = "SQLite"
"""What a server says of its data when they lie in its own file."""

_NAME = "TOOLKIT_STUDIO_DATABASE"
_FORM = "postgresql://user:password@host:port/name"
_COMPLAINT = re.compile(
    r"^django\.db\.\S*\.(?:OperationalError|MigrationSchemaMissing): (.+)", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Database:
    """A database: `place` may be shown, `settings` are what Label Studio must know to open it."""

    place: str = SQLITE
    settings: Mapping[str, str] = field(default_factory=dict, repr=False)


def chosen() -> Database:
    """The database that `TOOLKIT_STUDIO_DATABASE` names; SQLite when it names none.

    Raises `UsageError`, without showing the address, when it is malformed.
    """
    address = os.environ.get(_NAME, "").strip()
    if not address:
        return Database()
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port or 5432
    except ValueError:
        raise _malformed() from None  # The reason would show a part of the password.
    name = unquote(parts.path.removeprefix("/"))
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if not (
        _is_whole(parts) and host and user and name and f"{name}{user}{password}".isprintable()
    ):
        raise _malformed()
    settings = {
        "DJANGO_DB": "default",
        "POSTGRE_NAME": name,
        "POSTGRE_USER": user,
        "POSTGRE_PASSWORD": password,
        "POSTGRE_HOST": host,
        "POSTGRE_PORT": str(port),
    }
    return Database(f"PostgreSQL {host}:{port}/{name}", settings)


def _is_whole(parts: SplitResult) -> bool:
    """Whether an address has the one form we take: nothing in it would be passed over."""
    schemes = {"postgresql", "postgres"}
    return parts.scheme in schemes and not parts.query and not parts.fragment


def _malformed() -> UsageError:
    cure = "mend it, with each of : / ? # @ % inside a name or password percent-encoded"
    return UsageError(f"{_NAME}: the address is not {_FORM}; {cure}")


def complaint(database: Database, log: str) -> UsageError | None:
    """What Label Studio's log says against the database, if that is why it ended."""
    found = _COMPLAINT.findall(log)
    if not found or database.place == SQLITE:
        return None
    reason = " ".join(found[-1].rpartition(" failed: ")[2].removeprefix("FATAL:").split())
    cure = f"make the database, its owner the user that is named, or mend {_NAME}"
    return UsageError(f"{database.place}: cannot be used ({reason}); {cure}")
