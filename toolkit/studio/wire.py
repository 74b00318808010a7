"""The wire to a Label Studio server: requests sent, timed and tried again, its errors as ours.

The SDK authenticates, by either kind of token. Its own requests are repeated when the connection
drops, which imports tasks twice; so a request that changes something is sent once here, and after any
doubt `push` asks the server what it has. Reading is tried again, as long as `max_wait` allows, and so
is what may be said twice: a change that names the whole of what is to be, or a deletion.
"""

from __future__ import annotations

import base64
import json
import os
import random
import time
import warnings
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from toolkit import files
from toolkit.errors import NotAllowedError, UnreachableError, UnusableAnswerError, UsageError

if TYPE_CHECKING:
    import httpx
    from label_studio_sdk import LabelStudio

__all__ = [
    "BrokenError",
    "GoneError",
    "Patience",
    "RefusedError",
    "Wire",
    "our_errors",
    "sdk_errors",
    "wired",
]

T = TypeVar("T")

PATIENCE = 600
"""Seconds for one whole answer: exporting a large project takes minutes."""

MAX_WAIT = 60
"""Seconds to wait, all in all, for a server that is busy or away."""

ATTEMPTS = 6
"""How often something is asked for."""

PAUSE = 0.1
"""Seconds, about a quarter of the first pause between two attempts; a restart takes ten."""

BUSY = frozenset({408, 429, 500, 502, 503, 504})
"""Answers that another try may better. A locked database is a 500."""


REFUSALS = frozenset({400, 413, 422})
"""Answers to what is wrong or too large."""


class GoneError(UnusableAnswerError):
    """What was asked for is not there, or not any more."""


class RefusedError(UnusableAnswerError):
    """The server would not take what was sent, and took none of it. `detail` is what it says."""

    def __init__(self, message: str, detail: str) -> None:
        super().__init__(message)
        self.detail = detail


class BrokenError(UnreachableError):
    """The server failed at what was asked (500), which may be the fault of a single record."""


@dataclass
class Login:
    """A token and what it is exchanged for.

    A personal token is a JWT, good only for getting an access token that lives for minutes; a legacy one
    is used as it is.
    """

    url: str
    api_key: str
    access: str = ""

    @property
    def personal(self) -> bool:
        """Whether it is a personal token. Raises `NotAllowedError` when it has expired."""
        parts = self.api_key.split(".")
        if len(parts) != 3:
            return False
        try:
            said = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
            expires = float(said["exp"])
        except (ValueError, KeyError, TypeError):
            return False
        if expires < time.time():
            raise _refused(self.url)
        return True

    def headers(self, client: httpx.Client) -> dict[str, str]:
        """What says who asks; exchanges a personal token first where that was not done yet."""
        if not self.personal:
            return {"Authorization": f"Token {self.api_key}"}
        if not self.access:
            body = {"refresh": self.api_key}
            answer = client.post(f"{self.url}/api/token/refresh/", json=body)
            if b"matching query does not exist" in answer.content:
                raise _refused(
                    self.url
                )  # Its user was deleted, which the server answers with a 500.
            if not answer.is_success:
                raise _from_answer(self.url, answer)
            self.access = files.decode(answer.content, _Access).access
        return {"Authorization": f"Bearer {self.access}"}

    def forget(self) -> bool:
        """Drop the access token, if there is one, so that the next request gets a new one."""
        held, self.access = self.access, ""
        return bool(held)


@dataclass(frozen=True, slots=True)
class _Access:
    access: str


@dataclass
class Patience:
    """How long something is tried: so often, and with so many seconds of waiting, all in all."""

    max_wait: float
    attempts: int = ATTEMPTS
    made: int = 0
    waited: float = 0

    def after(self, error: Exception) -> None:
        """Wait before the next attempt, or raise the error when there is to be none."""
        self.made += 1
        pause = _pause_before(self.made, getattr(error, "retry_after", None))
        self.waited += pause
        if self.made >= self.attempts or self.waited > self.max_wait:
            raise error
        time.sleep(pause)


@dataclass(frozen=True)
class Wire:
    """Requests to one server as one user."""

    url: str
    login: Login
    client: httpx.Client
    max_wait: float

    def sdk(self) -> LabelStudio:
        """The SDK's client of the same server and user, which sends everything once."""
        with our_errors(self.url):
            from label_studio_sdk import LabelStudio

            return LabelStudio(  # type: ignore[no-untyped-call]
                base_url=f"{self.url}/",
                api_key=self.login.api_key,
                httpx_client=self.client,
                max_retries=0,
            )

    def read(
        self,
        path: str,
        kind: type[T],
        params: Mapping[str, Any] | None = None,
        *,
        attempts: int = ATTEMPTS,
    ) -> T:
        """What a GET answers, as a typed value. Tried again when the server is busy or away."""
        return self._decoded(self._patiently("GET", path, params, attempts=attempts), kind)

    def read_each(
        self, path: str, kind: type[T], params: Mapping[str, Any] | None = None
    ) -> Iterator[T]:
        """The entries of a long list that a GET answers, one at a time, so that memory stays flat."""
        answer = self._patiently("GET", path, params)
        with _understood(self.url):
            yield from files.decode_each(answer.content, kind)

    def _patiently(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None = None,
        content: bytes | None = None,
        *,
        attempts: int = ATTEMPTS,
    ) -> httpx.Response:
        patience = Patience(self.max_wait, attempts)
        while True:
            try:
                return self._request(method, path, params=params, content=content)
            except UnreachableError as error:
                patience.after(error)

    def write(self, method: str, path: str, body: Any = None, kind: type[T] | None = None) -> T:
        """What a request that changes something answers. A POST is sent once; bytes are JSON already.

        When it raises `UnreachableError` or `UnusableAnswerError` it may have been carried out; not so
        with `RefusedError`.
        """
        content = body if isinstance(body, bytes) or body is None else _encoded(body)
        attempts = 1 if method == "POST" else ATTEMPTS
        answer = self._patiently(method, path, content=content, attempts=attempts)
        return self._decoded(answer, kind or Any) if answer.content else None  # type: ignore[return-value]

    def seconds(self) -> float:
        """The server's own clock, as its answers' heads tell it; 0 when they do not."""
        date = self._patiently("GET", "api/version/").headers.get("Date", "")
        try:
            return parsedate_to_datetime(date).timestamp()
        except ValueError:
            return 0.0

    def _decoded(self, answer: httpx.Response, kind: type[T]) -> T:
        with _understood(self.url):
            return files.decode(answer.content, kind)

    def _request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        content: bytes | None = None,
    ) -> httpx.Response:
        with our_errors(self.url):
            answer = self._sent(method, path, params, content)
            if answer.status_code == 401 and self.login.forget():
                # An access token lives for minutes, by a clock that may not be ours.
                answer = self._sent(method, path, params, content)
        if answer.is_success:
            return answer
        raise _from_answer(self.url, answer)

    def _sent(
        self, method: str, path: str, params: Mapping[str, Any] | None, content: bytes | None
    ) -> httpx.Response:
        headers = self.login.headers(self.client)
        if content is not None:
            headers["Content-Type"] = "application/json"
        return self.client.request(
            method, f"{self.url}/{path}", params=params, content=content, headers=headers
        )


def _encoded(body: Any) -> bytes:
    return files.json_line(body).encode()


@contextmanager
def _understood(url: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        what = f"{url}: an answer that cannot be read ({error})"
        raise UnusableAnswerError(f"{what}; is this a Label Studio server?") from error


def _pause_before(attempt: int, retry_after: float | None) -> float:
    """Seconds before the next attempt: as the server wishes, else longer each time, with jitter."""
    if retry_after is not None:
        return retry_after
    jitter = random.uniform(0.75, 1)  # noqa: S311 - no secret
    return min(PAUSE * float(4**attempt), 150 * PAUSE) * jitter


def wired(
    url: str, api_key: str, *, patience: float = PATIENCE, max_wait: float = MAX_WAIT
) -> Wire:
    """A wire to the server at `url`, by either kind of token.

    Arguments beat `LABEL_STUDIO_URL` and `LABEL_STUDIO_API_KEY`. `patience` is the seconds a whole
    answer may take. Raises `UsageError` when one is missing or malformed, `UnreachableError` and
    `NotAllowedError` as the server answers.
    """
    url = (url or os.environ.get("LABEL_STUDIO_URL", "")).strip().rstrip("/")
    api_key = (api_key or os.environ.get("LABEL_STUDIO_API_KEY", "")).strip()
    if not url or not api_key:
        missing = "LABEL_STUDIO_API_KEY" if url else "LABEL_STUDIO_URL"
        raise UsageError(f"{missing} is not set; set it, or start a server: toolkit studio start")
    if not (api_key.isascii() and api_key.isprintable()):
        raise UsageError("LABEL_STUDIO_API_KEY holds characters no token has; copy it again")
    local = _refuse_open_wire(url)
    import httpx

    # A redirect is not followed: it would take the token elsewhere. A proxy is for other machines.
    # Reading in the world's certificates takes time, and is for naught on a plain wire.
    client = httpx.Client(
        timeout=patience,
        trust_env=not local,
        verify=url.startswith("https:"),
        event_hooks={"response": [lambda answer: _bound(answer, patience)]},
    )
    wire = Wire(url, Login(url, api_key), client, max_wait)
    weakref.finalize(wire, client.close)
    return wire


def _bound(answer: httpx.Response, patience: float) -> None:
    """Let the whole answer take no longer than `patience`; httpx itself bounds each part of it."""
    import httpx

    class Timed(httpx.SyncByteStream):
        def __init__(self, stream: Any) -> None:
            self.stream, self.deadline = stream, time.monotonic() + patience

        def __iter__(self) -> Iterator[bytes]:
            for part in self.stream:
                if time.monotonic() > self.deadline:
                    raise httpx.ReadTimeout("the answer takes too long")
                yield part

        def close(self) -> None:
            self.stream.close()

    answer.stream = Timed(answer.stream)


def _refuse_open_wire(url: str) -> bool:
    """Whether the address is on this machine. Refuses one that would show the token to others."""
    try:
        parts = urlsplit(url)
        well_formed = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        well_formed = False
    if not well_formed or parts.username or parts.password:
        shown = repr(url) if "@" not in url else "the address"
        raise UsageError(f"LABEL_STUDIO_URL: {shown} is not http(s)://host[:port]; mend it")
    local = parts.hostname in {"127.0.0.1", "localhost", "::1"}
    if parts.scheme == "http" and not local and not os.environ.get("TOOLKIT_ALLOW_HTTP"):
        what = f"LABEL_STUDIO_URL: {url} would send the token in clear"
        raise UsageError(f"{what}; use https, or set TOOLKIT_ALLOW_HTTP=1 inside a trusted network")
    return local


@contextmanager
def our_errors(url: str) -> Iterator[None]:
    """Their exceptions as ours. Theirs print every header, a session cookie among them."""
    import httpx

    try:
        yield
    except httpx.TimeoutException as error:
        raise UnreachableError(f"{url}: no answer in time; is the server busy?") from error
    except httpx.HTTPStatusError as error:
        raise _from_answer(url, error.response) from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UnreachableError(_unreached(url, error)) from error
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        # An answer of another shape than we expect.
        what = f"{url}: an answer that cannot be read ({type(error).__name__})"
        raise UnusableAnswerError(f"{what}; is this a Label Studio server?") from error


@contextmanager
def sdk_errors(url: str) -> Iterator[None]:
    """The SDK's exceptions as ours. Its own print every header, a session cookie among them."""
    from label_studio_sdk.core.api_error import ApiError
    from label_studio_sdk.core.parse_error import ParsingError

    with our_errors(url), warnings.catch_warnings():
        # The SDK refreshes tokens by a method that pydantic has deprecated.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            yield
        except ApiError as error:
            raise _from_status(url, error.status_code, error.body, None) from error
        except ParsingError as error:
            raise UnusableAnswerError(f"{url}: an answer that cannot be read; try again") from error


def _unreached(url: str, error: Exception) -> str:
    """Why nobody was reached: for a certificate or a name that was refused, in the system's words."""
    said = str(error)
    certificate = "certificate" in said
    telling = certificate or "Name or service" in said or "resolution" in said
    what = (
        f"{url}: cannot be reached ({type(error).__name__}{f': {said[:200]}' if telling else ''})"
    )
    if certificate:
        return f"{what}; mend the certificate, or name the one to trust in SSL_CERT_FILE"
    return f"{what}; check the address, or: toolkit studio start"


def _from_answer(url: str, answer: httpx.Response) -> Exception:
    try:
        body = answer.json()
    except ValueError:
        body = None
    wait, path = answer.headers.get("Retry-After"), answer.request.url.path
    return _from_status(url, answer.status_code, body, wait, path)


def _from_status(
    url: str, status: int | None, body: Any, wait: str | None, path: str = ""
) -> Exception:
    said = body if isinstance(body, dict) else {}
    found = str(said.get("validation_errors") or said.get("detail") or "")[:300]
    detail = f" ({found})" if found else ""
    if status == 401:
        return _refused(url)
    if status == 403:
        cure = "ask the project's owner to let in the user whose token this is"
        return NotAllowedError(f"{url}{path}: not allowed{detail}; {cure}")
    if status in BUSY:
        what = f"{url}: answered {status}{detail}"
        kind = BrokenError if status == 500 else UnreachableError
        return kind(f"{what}; try again later, or see the server's log", _seconds(wait))
    if status == 404:
        return GoneError(f"{url}: answered 404{detail}; it may have been deleted, run it again")
    if status is not None and status < 400:
        what = f"{url}: answered {status}, but not as Label Studio does"
        return UnusableAnswerError(f"{what}; give the address Label Studio's own pages have")
    what = f"{url}: answered {status}{detail}; mend what it names"
    return RefusedError(what, found) if status in REFUSALS else UnusableAnswerError(what)


def _refused(url: str) -> NotAllowedError:
    cure = "check LABEL_STUDIO_API_KEY (Account & Settings in Label Studio shows it)"
    return NotAllowedError(f"{url}: the token was refused; {cure}")


def _seconds(wait: str | None) -> float | None:
    """The seconds of a Retry-After: a number or a date. None when there is none that can be read."""
    if wait is None:
        return None
    try:
        return max(0.0, float(wait))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(wait).timestamp() - time.time())
    except ValueError:
        return None
