"""The wire to a Label Studio server, through its SDK: few verbs, our errors, no retried writes.

The SDK repeats a request when the connection drops, and so imports tasks twice; every write here is
sent once, and after any doubt `sync` asks the server what it has.
"""

from __future__ import annotations

import json
import os
import warnings
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from toolkit.errors import NotAllowedError, UnreachableError, UnusableAnswerError, UsageError

if TYPE_CHECKING:
    from label_studio_sdk import LabelStudio

__all__ = ["Project", "Studio", "Task", "connect", "our_errors"]

PATIENCE = 600
"""Seconds to wait for an answer: exporting a large project takes minutes."""

BACKEND = "Made by toolkit serve; keep this line"
"""Description of the ML backends that are ours."""

_ONCE: Any = {"max_retries": 0}
_READ: Any = {"max_retries": 2}


@dataclass(frozen=True, slots=True)
class Project:
    """A Label Studio project of ours."""

    id: int
    title: str
    description: str
    config: str


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
        with our_errors(self.url):
            include = "id,title,description,label_config"
            first: Any = self.sdk.projects.list(
                include=include, page_size=100, request_options=_READ
            )
            return [_project(found) for found in _pages(self.url, first, first.response.count)]

    def create_project(self, title: str, description: str, config: str, help_html: str) -> Project:
        """A new project whose annotators see the instructions first."""
        with our_errors(self.url):
            made: Any = self.sdk.projects.create(
                title=title[:50],
                description=description,
                label_config=config,
                expert_instruction=help_html,
                show_instruction=bool(help_html),
                request_options=_ONCE,
            )
            return Project(made.id, title, description, config)

    def update_project(self, project: Project, config: str, help_html: str) -> None:
        """Give a project a new labelling page and new instructions."""
        with our_errors(self.url):
            self.sdk.projects.update(
                project.id,
                label_config=config,
                expert_instruction=help_html,
                show_instruction=bool(help_html),
                request_options=_ONCE,
            )

    def tasks(self, project: Project) -> list[Task]:
        """The project's tasks by id, with their data."""
        with our_errors(self.url):
            first: Any = self.sdk.tasks.list(
                project=project.id,
                fields="task_only",
                include="id,data,total_annotations,cancelled_annotations",
                page_size=500,
                request_options=_READ,
            )
            found = [_task(task) for task in _pages(self.url, first, first.response.total)]
            return sorted(found, key=lambda task: task.id)

    def import_tasks(self, project: Project, data: Sequence[Mapping[str, Any]]) -> int:
        """Send tasks once; gives how many the server says it took."""
        with our_errors(self.url):
            request: Any = [{"data": dict(part)} for part in data]
            answer = self.sdk.projects.import_tasks(
                project.id, request=request, request_options=_ONCE
            )
            return int(answer.task_count or 0)

    def update_task(self, task: int, data: Mapping[str, Any]) -> None:
        """Replace the data of one task."""
        with our_errors(self.url):
            self.sdk.tasks.update(str(task), data=dict(data), request_options=_ONCE)

    def delete_task(self, task: int) -> None:
        """Delete one task."""
        with our_errors(self.url):
            self.sdk.tasks.delete(str(task), request_options=_ONCE)

    def annotate(self, task: int, result: list[dict[str, Any]], **facts: Any) -> None:
        """Submit an annotation of a task as this user."""
        with our_errors(self.url):
            self.sdk.annotations.create(
                task, result=result, completed_by=self.user, request_options=_ONCE, **facts
            )

    def export(self, project: Project, tasks: Sequence[int] = ()) -> list[dict[str, Any]]:
        """The project's tasks, or some of them, with every annotation: the raw JSON loses nothing."""
        if not tasks:
            return self._export(project, {})
        # The SDK's own parameter for ids goes by a name that the server passes over.
        parts = (tasks[start : start + 200] for start in range(0, len(tasks), 200))
        asked = ({"additional_query_parameters": {"ids[]": list(part)}} for part in parts)
        return [task for options in asked for task in self._export(project, options)]

    def _export(self, project: Project, options: dict[str, Any]) -> list[dict[str, Any]]:
        with our_errors(self.url):
            chunks = self.sdk.projects.exports.download_sync(
                project.id,
                export_type="JSON",
                download_all_tasks=True,
                request_options=_READ | options,
            )
            content = b"".join(chunks)
        try:
            tasks = json.loads(content)
        except ValueError:
            tasks = None
        if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
            what = f"{self.url}: the export of project {project.id} is not a list of tasks"
            raise UnusableAnswerError(f"{what}; nothing was written, try again")
        return tasks

    def emails(self) -> dict[int, str]:
        """The e-mail address of each user id. It stays in memory: records hold pseudonyms."""
        with our_errors(self.url):
            return {
                int(user.id): str(user.email) for user in self.sdk.users.list(request_options=_READ)
            }

    def attach(self, projects: Sequence[Project], url: str, version: str) -> None:
        """Let the projects ask the model at `url`, which is of this version, and show what it says.

        One that was attached before is given the new address. Raises `UsageError` when a project has
        somebody else's, since Label Studio asks only the first; then nothing was changed.
        """
        held = {project.id: self._backends(project.id) for project in projects}
        for project, other in ((n, b) for n, found in held.items() for b in found):
            if other.description != BACKEND:
                what = f"project {project} asks another model, at {other.url}"
                raise UsageError(f"{what}; take that out in the project's settings, under Model")
        facts = {"url": url, "title": version, "description": BACKEND}
        for project, found in held.items():
            number = int(found[0].id) if found else self._add_backend(project, facts)
            with our_errors(self.url):
                self.sdk.ml.update(number, project=project, request_options=_ONCE, **facts)
                # What the backend whose title is the project's model version says is shown.
                self.sdk.projects.update(
                    project,
                    show_collab_predictions=True,
                    model_version=version,
                    request_options=_ONCE,
                )

    def _backends(self, project: int) -> list[Any]:
        with our_errors(self.url):
            return list(self.sdk.ml.list(project=project, request_options=_READ))

    def _add_backend(self, project: int, facts: Mapping[str, Any]) -> int:
        """A backend's number. On this machine it is made although the server says it is not allowed:

        Label Studio keeps it, then wants to tell it of all that happens, and refuses that alone.
        """
        try:
            with our_errors(self.url):
                made = self.sdk.ml.create(project=project, request_options=_ONCE, **facts)
                return int(made.id or 0)
        except NotAllowedError:
            for made in self._backends(project):
                if made.url == facts["url"]:
                    return int(made.id or 0)
            raise


def connect(url: str = "", api_key: str = "", *, patience: float = PATIENCE) -> Studio:
    """A connection to the server at `url`, by either kind of token.

    Arguments beat `LABEL_STUDIO_URL` and `LABEL_STUDIO_API_KEY`. `patience` is the seconds an answer
    may take. Raises `UsageError` when one is missing or malformed, `UnreachableError` and
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
    wire = httpx.Client(timeout=patience, trust_env=not local, verify=url.startswith("https:"))
    try:
        with our_errors(url):
            # A personal token is exchanged for an access token here, a legacy one is used as it is.
            sdk = LabelStudio(  # type: ignore[no-untyped-call]
                base_url=f"{url}/", api_key=api_key, httpx_client=wire, max_retries=0
            )
            user = sdk.users.whoami(request_options=_ONCE)
            studio = Studio(url, sdk, str(user.email), int(user.id))
    except BaseException:
        wire.close()
        raise
    weakref.finalize(studio, wire.close)
    return studio


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
        raise _from_status(url, error.response.status_code, None) from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        what = f"{url}: cannot be reached ({type(error).__name__})"
        raise UnreachableError(f"{what}; check the address, or: toolkit studio start") from error
    except ApiError as error:
        raise _from_status(url, error.status_code, error.body) from error
    except (ParsingError, ValueError, TypeError, AttributeError, LookupError) as error:
        # An answer of another shape than the SDK or we expect.
        what = f"{url}: an answer that cannot be read ({type(error).__name__})"
        raise UnusableAnswerError(f"{what}; is this a Label Studio server?") from error


def _from_status(url: str, status: int | None, body: Any) -> Exception:
    detail = ""
    if isinstance(body, dict):
        found = str(body.get("validation_errors") or body.get("detail") or "")[:300]
        detail = f" ({found})" if found else ""
    if status == 401:
        cure = "check LABEL_STUDIO_API_KEY (Account & Settings in Label Studio shows it)"
        return NotAllowedError(f"{url}: the token was refused; {cure}")
    if status == 403:
        return NotAllowedError(f"{url}: not allowed{detail}; ask the project's owner")
    if status is not None and status < 400:
        what = f"{url}: answered {status}, but not as Label Studio does"
        return UnusableAnswerError(f"{what}; give the address Label Studio's own pages have")
    cure = "see the server's log" if status is None or status >= 500 else "mend what it names"
    return UnusableAnswerError(f"{url}: answered {status}{detail}; {cure}")


def _pages(url: str, page: Any, total: int) -> list[Any]:
    """Every entry of a paged list, of which `page` is the first page, in the order of the pages.

    The SDK itself goes on until a 404 and takes any 404 for the end, also where a list has become
    shorter meanwhile and entries slipped past.
    """
    from label_studio_sdk.core.api_error import ApiError

    found = {int(entry.id): entry for entry in page.items}
    try:
        while len(found) < total and page.items:
            page = page.next_page()
            found |= {int(entry.id): entry for entry in page.items}
    except ApiError as error:
        if error.status_code != 404:
            raise
    if len(found) < total:
        what = f"{url}: {len(found)} of {total} were listed, as the list changed meanwhile"
        raise UnusableAnswerError(f"{what}; run it again")
    return list(found.values())


def _project(found: Any) -> Project:
    return Project(
        found.id,
        found.title or "",
        found.description or "",
        found.label_config or "",
    )


def _task(found: Any) -> Task:
    total, cancelled = found.total_annotations or 0, found.cancelled_annotations or 0
    return Task(int(found.id), found.data or {}, total + cancelled)
