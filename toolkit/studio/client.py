"""The wire to a Label Studio server, through its SDK: few verbs, our errors, no retried writes.

The SDK repeats a request when the connection drops, and so imports tasks twice; every write here is
sent once, and after any doubt `sync` asks the server what it has.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from toolkit.errors import NotAllowedError, UnreachableError, UnusableAnswerError, UsageError

if TYPE_CHECKING:
    from label_studio_sdk import LabelStudio

__all__ = ["Project", "Studio", "Task", "connect"]

_ONCE: Any = {"max_retries": 0, "timeout_in_seconds": 600}
_READ: Any = {"timeout_in_seconds": 600}


@dataclass(frozen=True, slots=True)
class Project:
    """A Label Studio project of ours."""

    id: int
    title: str
    description: str
    config: str
    instructions: str = ""


@dataclass(frozen=True, slots=True)
class Task:
    """A task as listed: its own data and how much work hangs on it."""

    id: int
    data: Mapping[str, Any]
    annotations: int


@dataclass(frozen=True)
class Studio:
    """A connection to one server as one user."""

    url: str
    sdk: LabelStudio
    email: str
    user: int

    def projects(self) -> list[Project]:
        """Every project this user can see."""
        with _our_errors(self.url):
            listed: Any = self.sdk.projects.list(page_size=100)
            return [_project(found) for found in listed]

    def create_project(self, title: str, description: str, config: str, help_html: str) -> Project:
        """A new project whose annotators see the instructions first."""
        with _our_errors(self.url):
            made: Any = self.sdk.projects.create(
                title=title[:50],
                description=description,
                label_config=config,
                expert_instruction=help_html,
                show_instruction=bool(help_html),
                request_options=_ONCE,
            )
            return Project(made.id, title, description, config, help_html)

    def update_project(self, project: Project, config: str, help_html: str) -> None:
        """Give a project a new labelling page and new instructions."""
        with _our_errors(self.url):
            self.sdk.projects.update(
                project.id,
                label_config=config,
                expert_instruction=help_html,
                request_options=_ONCE,
            )

    def tasks(self, project: Project) -> list[Task]:
        """The project's tasks by id, with their data."""
        with _our_errors(self.url):
            found: Any = self.sdk.tasks.list(
                project=project.id, fields="all", page_size=500, request_options=_READ
            )
            return sorted((_task(task) for task in found), key=lambda task: task.id)

    def import_tasks(self, project: Project, data: Sequence[Mapping[str, Any]]) -> int:
        """Send tasks once; gives how many the server says it took."""
        with _our_errors(self.url):
            request: Any = [{"data": dict(part)} for part in data]
            answer = self.sdk.projects.import_tasks(
                project.id, request=request, request_options=_ONCE
            )
            return int(answer.task_count or 0)

    def update_task(self, task: int, data: Mapping[str, Any]) -> None:
        """Replace the data of one task."""
        with _our_errors(self.url):
            self.sdk.tasks.update(str(task), data=dict(data), request_options=_ONCE)

    def annotate(self, task: int, result: list[dict[str, Any]], **facts: Any) -> None:
        """Submit an annotation of a task as this user."""
        with _our_errors(self.url):
            self.sdk.annotations.create(
                task, result=result, completed_by=self.user, request_options=_ONCE, **facts
            )

    def export(self, project: Project) -> list[dict[str, Any]]:
        """The project's tasks with every annotation, as raw JSON: the one form that loses nothing."""
        import msgspec

        with _our_errors(self.url):
            chunks = self.sdk.projects.exports.download_sync(
                project.id, export_type="JSON", download_all_tasks=True, request_options=_READ
            )
            content = b"".join(chunks)
        try:
            tasks: list[dict[str, Any]] = msgspec.json.decode(content, type=list[dict[str, Any]])
        except msgspec.MsgspecError as error:
            what = (
                f"{self.url}: the export of project {project.id} is not a list of tasks ({error})"
            )
            raise UnusableAnswerError(f"{what}; nothing was written, try again") from error
        return tasks

    def emails(self) -> dict[int, str]:
        """The e-mail address of each user id. It stays in memory: records hold pseudonyms."""
        with _our_errors(self.url):
            return {int(user.id): str(user.email) for user in self.sdk.users.list()}


def connect(url: str = "", api_key: str = "") -> Studio:
    """A connection to the server at `url`, by either kind of token.

    Arguments beat `LABEL_STUDIO_URL` and `LABEL_STUDIO_API_KEY`. Raises `UsageError` when one is
    missing, `UnreachableError` and `NotAllowedError` as the server answers.
    """
    url = (url or os.environ.get("LABEL_STUDIO_URL", "")).rstrip("/")
    api_key = api_key or os.environ.get("LABEL_STUDIO_API_KEY", "")
    if not url or not api_key:
        missing = "LABEL_STUDIO_API_KEY" if url else "LABEL_STUDIO_URL"
        raise UsageError(f"{missing} is not set; set it, or start a server: toolkit studio start")
    _refuse_open_wire(url)
    from label_studio_sdk import LabelStudio

    with _our_errors(url):
        # A personal token is exchanged for an access token here, a legacy one is used as it is.
        sdk = LabelStudio(base_url=url, api_key=api_key)  # type: ignore[no-untyped-call]
        user = sdk.users.whoami(request_options=_READ)
    return Studio(url, sdk, str(user.email), int(user.id or 0))


def _refuse_open_wire(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UsageError(f"LABEL_STUDIO_URL: {url!r} is no address; write http(s)://host[:port]")
    local = parts.hostname in {"127.0.0.1", "localhost", "::1"}
    if parts.scheme == "http" and not local and not os.environ.get("TOOLKIT_ALLOW_HTTP"):
        what = f"LABEL_STUDIO_URL: {url} would send the token in clear"
        raise UsageError(f"{what}; use https, or set TOOLKIT_ALLOW_HTTP=1 inside a trusted network")


@contextmanager
def _our_errors(url: str) -> Iterator[None]:
    """Their exceptions as ours. Theirs print every header, a session cookie among them."""
    import httpx
    from label_studio_sdk.core.api_error import ApiError

    try:
        yield
    except httpx.TimeoutException as error:
        raise UnreachableError(f"{url}: no answer in time; is the server busy?") from error
    except httpx.TransportError as error:
        what = f"{url}: cannot be reached ({type(error).__name__})"
        raise UnreachableError(f"{what}; check the address, or: toolkit studio start") from error
    except ApiError as error:
        raise _from_status(url, error.status_code, error.body) from error
    except ValueError as error:
        # pydantic's and json's errors: an answer of another shape than the SDK expects.
        what = f"{url}: an answer that cannot be read ({type(error).__name__})"
        raise UnusableAnswerError(f"{what}; is this a Label Studio server?") from error


def _from_status(url: str, status: int | None, body: Any) -> Exception:
    detail = ""
    if isinstance(body, dict):
        detail = str(body.get("validation_errors") or body.get("detail") or "")[:300]
    if status == 401:
        cure = "check LABEL_STUDIO_API_KEY (Account & Settings in Label Studio shows it)"
        return NotAllowedError(f"{url}: the token was refused; {cure}")
    if status == 403:
        return NotAllowedError(f"{url}: not allowed ({detail}); ask the project's owner")
    return UnusableAnswerError(f"{url}: answered {status} {detail}; see the server's log")


def _project(found: Any) -> Project:
    return Project(
        found.id,
        found.title or "",
        found.description or "",
        found.label_config or "",
        found.expert_instruction or "",
    )


def _task(found: Any) -> Task:
    total, cancelled = found.total_annotations or 0, found.cancelled_annotations or 0
    return Task(int(found.id), found.data or {}, total + cancelled)
