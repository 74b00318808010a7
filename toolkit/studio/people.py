"""The users of a server, and the pseudonyms that stand for them in records.

An e-mail address never leaves the private folder: the map from address to pseudonym lies there, and
an address that is not in it becomes a keyed hash, the same every time.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from toolkit import files
from toolkit.errors import NotAllowedError, UnusableAnswerError
from toolkit.studio.client import connect
from toolkit.studio.server import Server

__all__ = ["Person", "invite", "pseudonyms"]


@dataclass(frozen=True, slots=True)
class Person:
    """An annotator with a login of their own."""

    pseudonym: str
    email: str
    password: str
    api_key: str


def _people_path() -> Path:
    return files.home() / "annotators.json"


def _people() -> dict[str, dict[str, str]]:
    """The known people, by e-mail address."""
    path = _people_path()
    return dict(files.read_json(path)) if path.is_file() else {}


def pseudonyms(emails: Iterable[str]) -> Mapping[str, str]:
    """The pseudonym of each address: as it was given by `invite`, else a keyed hash."""
    known = _people()
    return {
        email: known[email]["pseudonym"] if email in known else _hashed(email) for email in emails
    }


def _hashed(email: str) -> str:
    path = files.home() / "pseudonym.key"
    if not path.is_file():
        files.write_text(path, secrets.token_hex(32), private=True)
    key = bytes.fromhex(path.read_text())
    return "u" + hmac.new(key, email.lower().encode(), hashlib.sha256).hexdigest()[:8]


def invite(server: Server, pseudonym: str) -> Person:
    """A user of the local server for this pseudonym, made once, with a token of their own.

    Label Studio's user endpoint ignores the password it is given, so this signs up by an invitation
    link, as a person would.
    """
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
    """The personal token of a new user."""
    import httpx

    admin = {"Authorization": f"Token {server.api_key}"}
    with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as browser:
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
            raise UnusableAnswerError(f"{what}; see the server's log")
        headers = {"X-CSRFToken": browser.cookies["csrftoken"], "Referer": server.url}
        token = browser.post("/api/token/", headers=headers).raise_for_status().json()
    return str(token["token"])
