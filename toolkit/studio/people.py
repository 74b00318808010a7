"""The users of a server, and the pseudonyms that stand for them in records.

An e-mail address never leaves the private folder: the map from address to pseudonym lies there, and
an address that is not in it becomes a keyed hash, the same every time.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from toolkit import files
from toolkit.errors import NotAllowedError, UnusableAnswerError, UsageError
from toolkit.spans import GOLD
from toolkit.studio.client import connect
from toolkit.studio.lock import alone
from toolkit.studio.server import Server
from toolkit.studio.wire import our_errors

__all__ = ["Person", "invite", "is_pseudonym", "pseudonyms", "secret"]


@dataclass(frozen=True, slots=True)
class Person:
    """An annotator with a login of their own."""

    pseudonym: str
    email: str
    password: str
    api_key: str


def pseudonyms(emails: Iterable[str]) -> Mapping[str, str]:
    """The pseudonym of each address: as it was given by `invite`, else a keyed hash."""
    known, wanted = _people(), set(emails)
    given = {email: known[email.lower()]["pseudonym"] for email in wanted if email.lower() in known}
    strangers = wanted - given.keys()
    key = bytes.fromhex(secret("pseudonym")) if strangers else b""
    return given | {email: _hashed(key, email) for email in strangers}


def _people_path() -> Path:
    return files.home() / "annotators.json"


def _people() -> dict[str, dict[str, str]]:
    """The known people, by e-mail address."""
    path = _people_path()
    return dict(files.read_json(path)) if path.is_file() else {}


def secret(name: str) -> str:
    """A secret of this machine in hexadecimal, made on first use and kept in the private folder."""
    path = files.home() / f"{name}.key"
    with alone(files.home() / "people.lock", str(path), patience=60):
        if not path.is_file():
            files.write_text(path, secrets.token_hex(32), private=True)
    return path.read_text()


def _hashed(key: bytes, email: str) -> str:
    return "u" + hmac.new(key, email.lower().encode(), hashlib.sha256).hexdigest()[:8]


def is_pseudonym(name: str) -> bool:
    """Whether the name can stand for an annotator: it becomes a file's name, beside the gold."""
    return bool(re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,31}", name)) and name != GOLD


def invite(server: Server, pseudonym: str) -> Person:
    """A user of the local server for this pseudonym, made once, with a token of their own.

    The pseudonym becomes a file's name. Raises `UsageError` when it cannot.
    """
    if not is_pseudonym(pseudonym):
        cure = "use small letters, digits, - and _, and not the word gold"
        raise UsageError(f"pseudonym {pseudonym!r}: {cure}")
    with alone(files.home() / "people.lock", f"invite {pseudonym}", patience=60):
        return _invited(server, pseudonym)


def _invited(server: Server, pseudonym: str) -> Person:
    email = f"{pseudonym}@example.com"
    known = _people()
    if email in known:
        person = Person(**known[email])
        try:
            connect(server.url, person.api_key)
        except NotAllowedError:
            pass  # The server's database was made anew; so is the user.
        else:
            return person
    password = secrets.token_urlsafe(18)
    person = Person(pseudonym, email, password, _sign_up(server, email, password))
    known[email] = asdict(person)
    files.write_text(_people_path(), json.dumps(known, indent=1), private=True)
    return person


def _sign_up(server: Server, email: str, password: str) -> str:
    """The personal token of a new user.

    Label Studio's user endpoint ignores the password it is given, so this signs up by an invitation
    link, as a person would.
    """
    import httpx

    admin = {"Authorization": f"Token {server.api_key}"}
    client = httpx.Client(base_url=server.url, timeout=60, trust_env=False)
    with our_errors(server.url), client as browser:
        link = browser.get("/api/invite", headers=admin).raise_for_status().json()["invite_url"]
        browser.get("/user/login/")
        form = {
            "email": email,
            "password": password,
            "csrfmiddlewaretoken": browser.cookies["csrftoken"],
        }
        answer = browser.post(link, data=form, headers={"Referer": server.url})
        if answer.status_code != 302:
            what = f"{server.url}: the user {email} could not sign up ({answer.status_code})"
            raise UnusableAnswerError(f"{what}; if it exists already, choose another pseudonym")
        headers = {"X-CSRFToken": browser.cookies["csrftoken"], "Referer": server.url}
        token = browser.post("/api/token/", headers=headers).raise_for_status().json()
        return str(token["token"])
