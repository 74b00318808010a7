"""The wire to a Label Studio server: requests sent, timed and tried again, its errors as ours.

The SDK authenticates, by either kind of token. Its own requests are repeated when the connection
drops, which imports tasks twice; so a request that changes something is sent once here, and after any
doubt `push` asks the server what it has. Reading is tried again, as long as `max_wait` allows.
"""

from __future__ import annotations

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

__all__ = ["BrokenError", "GoneError", "Wire", "our_errors", "pause_before", "wired"]

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


class GoneError(UnusableAnswerError):
    """What was asked for is not there, or not any more."""


class BrokenError(UnreachableError):
    """The server failed at what was asked (500), which may be the fault of a single record."""


@dataclass(frozen=True)
class Wire:
    """Requests to one server as one user."""

    url: str
    sdk: LabelStudio
    client: httpx.Client
    max_wait: float

    def read(
        self,
        path: str,
        kind: type[T],
        params: Mapping[str, Any] | None = None,
        *,
        attempts: int = ATTEMPTS,
    ) -> T:
        """What a GET answers, as a typed value. Tried again when the server is busy or away."""
        return self._decoded(self._patiently(path, params, attempts), kind)

    def read_each(
        self, path: str, kind: type[T], params: Mapping[str, Any] | None = None
    ) -> Iterator[T]:
        """The entries of a long list that a GET answers, one at a time, so that memory stays flat."""
        answer = self._patiently(path, params, ATTEMPTS)
        with _understood(self.url):
            yield from files.decode_each(answer.content, kind)

    def _patiently(
        self, path: str, params: Mapping[str, Any] | None, attempts: int
    ) -> httpx.Response:
        waited = 0.0
        for attempt in range(1, attempts + 1):
            try:
                return self._request("GET", path, params=params)
            except UnreachableError as error:
                pause = pause_before(attempt, error.retry_after)
                waited += pause
                if attempt == attempts or waited > self.max_wait:
                    raise
                time.sleep(pause)
        raise AssertionError  # The last attempt returns or raises.

    def write(self, method: str, path: str, body: Any = None, kind: type[T] | None = None) -> T:
        """What a request that changes something answers. It is sent once.

        When it raises `UnreachableError` or `UnusableAnswerError` it may have been carried out.
        """
        content = None if body is None else files.json_line(body).encode()
        answer = self._request(method, path, content=content)
        return self._decoded(answer, kind or Any) if answer.content else None  # type: ignore[return-value]

    def seconds(self) -> float:
        """The server's own clock, as its answers' heads tell it; 0 when they do not."""
        date = self._patiently("api/version/", None, ATTEMPTS).headers.get("Date", "")
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
            if answer.status_code == 401 and self._forget_access():
                # An access token lives for minutes, by a clock that may not be ours.
                answer = self._sent(method, path, params, content)
        if answer.is_success:
            return answer
        raise _from_answer(self.url, answer)

    def _sent(
        self, method: str, path: str, params: Mapping[str, Any] | None, content: bytes | None
    ) -> httpx.Response:
        headers = self.sdk._client_wrapper.get_headers()
        if content is not None:
            headers["Content-Type"] = "application/json"
        return self.client.request(
            method, f"{self.url}/{path}", params=params, content=content, headers=headers
        )

    def _forget_access(self) -> bool:
        """Drop the access token, so that the next request exchanges the personal one anew."""
        tokens = self.sdk._client_wrapper._tokens_client
        held = tokens._access_token is not None
        tokens._access_token = None
        return held


@contextmanager
def _understood(url: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        what = f"{url}: an answer that cannot be read ({error})"
        raise UnusableAnswerError(f"{what}; is this a Label Studio server?") from error


def pause_before(attempt: int, retry_after: float | None) -> float:
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
    from label_studio_sdk import LabelStudio

    # A redirect is not followed: it would take the token elsewhere. A proxy is for other machines.
    # Reading in the world's certificates takes time, and is for naught on a plain wire.
    client = httpx.Client(
        timeout=patience,
        trust_env=not local,
        verify=url.startswith("https:"),
        event_hooks={"response": [lambda answer: _bound(answer, patience)]},
    )
    try:
        with our_errors(url):
            # A personal token is exchanged for an access token here, a legacy one is used as it is.
            sdk = LabelStudio(  # type: ignore[no-untyped-call]
                base_url=f"{url}/", api_key=api_key, httpx_client=client, max_retries=0
            )
    except BaseException:
        client.close()
        raise
    wire = Wire(url, sdk, client, max_wait)
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
    from label_studio_sdk.core.api_error import ApiError
    from label_studio_sdk.core.parse_error import ParsingError

    try:
        with warnings.catch_warnings():
            # The SDK refreshes tokens by a method that pydantic has deprecated.
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    except httpx.TimeoutException as error:
        raise UnreachableError(f"{url}: no answer in time; is the server busy?") from error
    except httpx.HTTPStatusError as error:
        raise _from_answer(url, error.response) from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        what = f"{url}: cannot be reached ({type(error).__name__}{_reason(error)})"
        raise UnreachableError(f"{what}; check the address, or: toolkit studio start") from error
    except ApiError as error:
        raise _from_status(url, error.status_code, error.body, None) from error
    except (ParsingError, ValueError, TypeError, AttributeError, LookupError) as error:
        # An answer of another shape than the SDK or we expect.
        what = f"{url}: an answer that cannot be read ({type(error).__name__})"
        raise UnusableAnswerError(f"{what}; is this a Label Studio server?") from error


def _reason(error: Exception) -> str:
    """Why a certificate or a name was refused, in the system's words."""
    said = str(error)
    telling = "certificate" in said or "Name or service" in said or "resolution" in said
    return f": {said[:200]}" if telling else ""


def _from_answer(url: str, answer: httpx.Response) -> Exception:
    try:
        body = answer.json()
    except ValueError:
        body = None
    return _from_status(url, answer.status_code, body, answer.headers.get("Retry-After"))


def _from_status(url: str, status: int | None, body: Any, wait: str | None) -> Exception:
    detail = ""
    if isinstance(body, dict):
        found = str(body.get("validation_errors") or body.get("detail") or "")[:300]
        detail = f" ({found})" if found else ""
    if status == 401:
        cure = "check LABEL_STUDIO_API_KEY (Account & Settings in Label Studio shows it)"
        return NotAllowedError(f"{url}: the token was refused; {cure}")
    if status == 403:
        return NotAllowedError(f"{url}: not allowed{detail}; ask the project's owner")
    if status in BUSY:
        what = f"{url}: answered {status}{detail}"
        kind = BrokenError if status == 500 else UnreachableError
        return kind(f"{what}; try again later, or see the server's log", _seconds(wait))
    if status == 404:
        return GoneError(f"{url}: answered 404{detail}; it may have been deleted, run it again")
    if status is not None and status < 400:
        what = f"{url}: answered {status}, but not as Label Studio does"
        return UnusableAnswerError(f"{what}; give the address Label Studio's own pages have")
    return UnusableAnswerError(f"{url}: answered {status}{detail}; mend what it names")


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
