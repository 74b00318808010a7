"""What the toolkit asks of a Label Studio server: few verbs, typed values."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from toolkit.errors import NotAllowedError, UnusableAnswerError, UsageError
from toolkit.studio.wire import (
    ATTEMPTS,
    MAX_WAIT,
    PATIENCE,
    BrokenError,
    GoneError,
    Wire,
    sdk_errors,
    wired,
)

if TYPE_CHECKING:
    from label_studio_sdk import LabelStudio

__all__ = ["Exported", "Made", "Predicted", "Project", "Studio", "Task", "connect"]

BACKEND = "Made by toolkit serve; keep this line"
"""Description of the ML backends that are ours."""

_ONCE: Any = {"max_retries": 0}

PAGE = 1000
"""Entries of a list per request."""

PASSES = 3
"""How often a list that does not add up is read anew."""


@dataclass(frozen=True, slots=True)
class Project:
    """A Label Studio project, with how many tasks and annotations the server counts in it.

    `made` is when it was created, by the server's clock: with the id, what tells it from another
    project that has its place after a server was set up anew. Skipped documents count as annotated.
    `shown` is the model whose suggestions annotators see.
    """

    id: int
    title: str
    description: str
    config: str
    made: str = ""
    tasks: int = 0
    annotations: int = 0
    overlap: int = 1
    shown: str = ""


@dataclass(frozen=True, slots=True)
class Task:
    """A task as listed: its own data if they were asked for, and how much work hangs on it.

    `changed` is when its data or annotations last changed, by the server's clock.
    """

    id: int
    data: Mapping[str, Any]
    annotations: int = 0
    changed: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """Whose suggestions lay before the annotator.

    The server notes it when an annotation is made, if the task then had a suggestion of the model that
    the project shows; what comes later, or from another model, is not noted.
    """

    model_version: str | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """An annotation as exported. `completed_by` is the user's number, None when the user is gone."""

    id: int
    result: list[Any] | None = None
    completed_by: int | None = None
    was_cancelled: bool = False
    lead_time: float | None = None
    updated_at: str = ""
    prediction: Shown | None = None


@dataclass(frozen=True, slots=True)
class Exported:
    """A task as exported, with every annotation that was submitted, skipped ones too.

    `updated_at` is when the task or its annotations last changed, by the server's clock.
    """

    id: int
    updated_at: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    annotations: list[Made] = field(default_factory=list)
    drafts: list[Any] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Predicted:
    """A prediction as listed."""

    id: int
    task: int
    result: list[Any] = field(default_factory=list)
    model_version: str | None = None


@dataclass(frozen=True, slots=True)
class _Listed:
    id: int
    data: dict[str, Any] = field(default_factory=dict)
    total_annotations: int | None = 0
    cancelled_annotations: int | None = 0
    updated_at: str | None = ""


@dataclass(frozen=True, slots=True)
class _TaskPage:
    total: int
    tasks: list[_Listed]


@dataclass(frozen=True, slots=True)
class _ListedProject:
    id: int
    title: str | None = None
    description: str | None = None
    label_config: str | None = None
    created_at: str | None = None
    maximum_annotations: int | None = None
    model_version: str | None = ""
    task_number: int | None = None
    total_annotations_number: int | None = None
    skipped_annotations_number: int | None = None


@dataclass(frozen=True, slots=True)
class _ProjectPage:
    count: int
    results: list[_ListedProject]


@dataclass(frozen=True, slots=True)
class _Imported:
    task_count: int = 0
    task_ids: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _User:
    id: int
    email: str


@dataclass(frozen=True)
class Studio:
    """A connection to one server as one user."""

    wire: Wire
    email: str
    user: int

    @property
    def url(self) -> str:
        """The server's address."""
        return self.wire.url

    # ── projects ────────────────────────────────────────────────────────────────────────────────

    def projects(self) -> list[Project]:
        """Every project this user can see.

        The list comes in pages, which shift when a project is made or deleted meanwhile; it is
        believed when every page counts as many as were seen.
        """
        for _ in range(PASSES):
            pages = list(self._project_pages())
            found = {listed.id: _project(listed) for page in pages for listed in page.results}
            if {page.count for page in pages} == {len(found)}:
                return list(found.values())
        what = f"{self.url}: the list of projects changed each time it was read"
        raise UnusableAnswerError(f"{what}; run it again")

    def _project_pages(self) -> Iterator[_ProjectPage]:
        wanted = {"include": ",".join(f.name for f in fields(_ListedProject)), "page_size": 100}
        seen = number = 0
        while True:
            number += 1
            try:
                page = self.wire.read("api/projects/", _ProjectPage, wanted | {"page": number})
            except GoneError:
                return  # It ends before this page by now.
            yield page
            seen += len(page.results)
            if not page.results or seen >= page.count:
                return

    def project(self, number: int) -> Project:
        """One project as it stands now."""
        return _project(self.wire.read(f"api/projects/{number}/", _ListedProject))

    def create_project(self, title: str, description: str, config: str, help_html: str) -> Project:
        """A new project whose annotators see the instructions first."""
        facts = {"title": title[:50], "description": description}
        body = facts | _settings(config, help_html)
        return _project(self.wire.write("POST", "api/projects/", body, _ListedProject))

    def update_project(self, project: Project, config: str, help_html: str) -> None:
        """Give a project a new labelling page and new instructions."""
        self.wire.write("PATCH", f"api/projects/{project.id}/", _settings(config, help_html))

    def share(self, project: Project, annotators: int) -> Project:
        """Let each task be given to so many different annotators."""
        body = {"maximum_annotations": annotators}
        self.wire.write("PATCH", f"api/projects/{project.id}/", body)
        return replace(project, overlap=annotators)

    # ── tasks ───────────────────────────────────────────────────────────────────────────────────

    def tasks(self, project: Project, *, data: bool = True, since: str = "") -> list[Task]:
        """The project's tasks by id: all, or those that changed since a time of the server's clock.

        Each page begins after the last task of the one before, so that tasks which are added or
        deleted meanwhile shift no other out of sight.
        """
        shown = "id,updated_at,total_annotations,cancelled_annotations"
        wanted: dict[str, Any] = {"project": project.id, "fields": "task_only", "page_size": PAGE}
        wanted["include"] = f"{shown},data" if data else shown
        found: list[Task] = []
        for _ in range(PASSES):
            page = self._page(wanted | {"query": _query(since, found[-1].id if found else 0)})
            while page.tasks:
                found += map(_task, page.tasks)
                if len(page.tasks) >= page.total:
                    return found
                page = self._page(wanted | {"query": _query(since, found[-1].id)})
            if not page.total:
                return found
        what = f"{self.url}: {len(found)} tasks were listed, and {page.total} more are said to be there"
        raise UnusableAnswerError(f"{what}; run it again")

    def numbers(self, project: Project) -> range:
        """From the id of the project's first task to that of its last; other projects' lie among them."""
        wanted = {"project": project.id, "fields": "task_only", "include": "id", "page_size": 1}
        ends = [
            task.id
            for order in ("tasks:id", "-tasks:id")
            for task in self._page(wanted | {"query": _query(order=order)}).tasks
        ]
        return range(ends[0], ends[1] + 1) if ends else range(0)

    def import_tasks(self, project: Project, tasks: Sequence[bytes]) -> list[int]:
        """Send tasks once, each the JSON of `{"data", "predictions"}`; gives their numbers, in order.

        Fewer numbers than tasks, or none, mean that the answer is in doubt.
        """
        path = f"api/projects/{project.id}/import?return_task_ids=true"
        answer = self.wire.write("POST", path, b"[" + b",".join(tasks) + b"]", _Imported)
        return answer.task_ids if answer.task_count == len(tasks) else []

    def update_task(self, task: int, data: Mapping[str, Any]) -> None:
        """Replace the data of one task."""
        self.wire.write("PATCH", f"api/tasks/{task}/", {"data": dict(data)})

    def delete_task(self, task: int) -> None:
        """Delete one task, unless somebody has."""
        with suppress(GoneError):
            self.wire.write("DELETE", f"api/tasks/{task}/")

    # ── readings ────────────────────────────────────────────────────────────────────────────────

    def annotate(self, task: int, result: list[dict[str, Any]], **facts: Any) -> None:
        """Submit an annotation of a task as this user."""
        body = {"result": result, "completed_by": self.user, **facts}
        self.wire.write("POST", f"api/tasks/{task}/annotations/", body)

    def export(
        self,
        project: Project,
        tasks: Sequence[int],
        *,
        annotated: bool = False,
        attempts: int = ATTEMPTS,
    ) -> list[Exported]:
        """Those of these tasks that are the project's, with every annotation: raw JSON loses nothing.

        With `annotated`, tasks without annotations are left out.
        """
        everything = str(not annotated).lower()
        wanted = {"exportType": "JSON", "download_all_tasks": everything, "ids[]": list(tasks)}
        path = f"api/projects/{project.id}/export"
        return self.wire.read(path, list[Exported], wanted, attempts=attempts)

    def readable(self, task: int) -> bool:
        """Whether the server can tell of a task at all: one that holds a lone surrogate it cannot."""
        try:
            self.wire.read(f"api/tasks/{task}/", dict[str, Any], attempts=2)
        except BrokenError:
            return False
        return True

    def predictions(self, project: Project) -> Iterator[Predicted]:
        """Every prediction of the project, one at a time."""
        return self.wire.read_each("api/predictions/", Predicted, {"project": project.id})

    def predict(self, project: Project, predictions: Sequence[Mapping[str, Any]]) -> None:
        """Add predictions to tasks that are there: each `{"task", "result", "model_version"}`."""
        self.wire.write("POST", f"api/projects/{project.id}/import/predictions", list(predictions))

    def show(self, project: Project, model: str) -> None:
        """Let annotators see what this model suggests, which must be there, and no other's."""
        body = {"show_collab_predictions": True, "model_version": model}
        self.wire.write("PATCH", f"api/projects/{project.id}/", body)

    def delete_prediction(self, prediction: int) -> None:
        """Delete one prediction, unless somebody has."""
        with suppress(GoneError):
            self.wire.write("DELETE", f"api/predictions/{prediction}/")

    def emails(self) -> dict[int, str]:
        """The e-mail address of each user id. It stays in memory: records hold pseudonyms."""
        return {user.id: user.email for user in self.wire.read("api/users/", list[_User])}

    def _page(self, wanted: Mapping[str, Any]) -> _TaskPage:
        """A page of tasks. Where an entry breaks it, that one is told without what breaks it."""
        try:
            return self.wire.read("api/tasks/", _TaskPage, wanted)
        except BrokenError:
            if ",data" not in wanted["include"]:
                raise
        bare = {**wanted, "include": wanted["include"].removesuffix(",data")}
        page = self.wire.read("api/tasks/", _TaskPage, bare)
        return replace(page, tasks=[self._whole(entry) for entry in page.tasks])

    def _whole(self, listed: _Listed) -> _Listed:
        try:
            path = f"api/tasks/{listed.id}/"
            return replace(listed, data=self.wire.read(path, _Listed, attempts=1).data)
        except BrokenError:
            return listed

    # ── models ──────────────────────────────────────────────────────────────────────────────────

    def attach(self, projects: Sequence[Project], url: str, version: str) -> None:
        """Let the projects ask the model at `url`, which is of this version, and show what it says.

        One that was attached before is given the new address. Raises `UsageError` when a project has
        somebody else's, since Label Studio asks only the first; then nothing was changed.
        """
        sdk = self.wire.sdk()
        held = {project.id: self._backends(sdk, project.id) for project in projects}
        for project, other in ((n, b) for n, found in held.items() for b in found):
            if other.description != BACKEND:
                what = f"project {project} asks another model, at {other.url}"
                raise UsageError(f"{what}; take that out in the project's settings, under Model")
        facts = {"url": url, "title": version, "description": BACKEND}
        for project, found in held.items():
            number = int(found[0].id) if found else self._add_backend(sdk, project, facts)
            with sdk_errors(self.url):
                sdk.ml.update(number, project=project, request_options=_ONCE, **facts)
                # What the backend whose title is the project's model version says is shown.
                sdk.projects.update(
                    project,
                    show_collab_predictions=True,
                    model_version=version,
                    request_options=_ONCE,
                )

    def _backends(self, sdk: LabelStudio, project: int) -> list[Any]:
        with sdk_errors(self.url):
            return list(sdk.ml.list(project=project, request_options=_ONCE))

    def _add_backend(self, sdk: LabelStudio, project: int, facts: Mapping[str, Any]) -> int:
        """A backend's number. On this machine it is made although the server says it is not allowed:

        Label Studio keeps it, then wants to tell it of all that happens, and refuses that alone.
        """
        try:
            with sdk_errors(self.url):
                made = sdk.ml.create(project=project, request_options=_ONCE, **facts)
                return int(made.id or 0)
        except NotAllowedError:
            for made in self._backends(sdk, project):
                if made.url == facts["url"]:
                    return int(made.id or 0)
            raise


def connect(
    url: str = "", api_key: str = "", *, patience: float = PATIENCE, max_wait: float = MAX_WAIT
) -> Studio:
    """A connection to the server at `url`, by either kind of token; see `wired`."""
    wire = wired(url, api_key, patience=patience, max_wait=max_wait)
    user = wire.read("api/current-user/whoami", _User, attempts=1)
    return Studio(wire, user.email, user.id)


def _settings(config: str, help_html: str) -> dict[str, Any]:
    return {
        "label_config": config,
        "expert_instruction": help_html,
        "show_instruction": bool(help_html),
    }


def _query(since: str = "", after: int = 0, order: str = "tasks:id") -> str:
    """The data manager's query: tasks that changed after a time, with ids beyond one, by id."""
    values = (("updated_at", "Datetime", since), ("id", "Number", after))
    items = [
        {"filter": f"filter:tasks:{name}", "operator": "greater", "type": kind, "value": value}
        for name, kind, value in values
        if value
    ]
    return json.dumps({"filters": {"conjunction": "and", "items": items}, "ordering": [order]})


def _project(found: _ListedProject) -> Project:
    return Project(
        id=found.id,
        title=found.title or "",
        description=found.description or "",
        config=found.label_config or "",
        made=found.created_at or "",
        tasks=found.task_number or 0,
        annotations=(found.total_annotations_number or 0) + (found.skipped_annotations_number or 0),
        overlap=found.maximum_annotations or 1,
        shown=found.model_version or "",
    )


def _task(found: _Listed) -> Task:
    annotations = (found.total_annotations or 0) + (found.cancelled_annotations or 0)
    return Task(found.id, found.data, annotations, found.updated_at or "")
