"""Tasks: imported, made one by one, listed by filters, changed and exported."""

import json
import operator
import re
from datetime import datetime

from fake_studio.wire import RefusedError, invalid
from fake_studio.work import drafts_of, live, new_annotation, new_prediction, who

OPERATORS = {
    "greater": operator.gt,
    "greater_or_equal": operator.ge,
    "less": operator.lt,
    "less_or_equal": operator.le,
    "in_list": lambda held, wanted: held in wanted,
}
"""Any other counts as `equal`."""

EXPECTED = 'key is expected in task data [assume: item["data"] = task root with values]'


def new_task(request, project, data, meta=None):
    """A task that nobody has worked on."""
    studio = request.studio
    task = {"id": studio.number(), "data": data, "meta": meta or {}, "project": project["id"]}
    task |= {"created_at": request.now(), "updated_at": request.now(), "updated_by": None}
    studio.tasks[task["id"]] = task
    return task


def needed(project):
    """The keys that a task's data must have."""
    return re.findall(r'value="\$(\w+)"', project["label_config"])


def create_task(request):
    """One task; readings and guesses that come with it are passed over."""
    given = request.json
    for field in ("project", "data"):
        if field not in given:
            raise invalid(**{field: ["This field is required."]})
    project = request.one("projects", given["project"])
    for name in needed(project):
        if name not in given["data"]:
            raise invalid(non_field_errors=[f'"{name}" {EXPECTED}'])
    return 201, counted(request, new_task(request, project, given["data"], given.get("meta")))


def import_tasks(request, number):
    """All or nothing, and never looking at what is there already."""
    project, given = request.one("projects", number), request.json
    given = given if isinstance(given, list) else [given]
    check(request, project, given)
    if not given:
        raise invalid(non_field_errors=["load_tasks: No tasks added"])
    made = {"annotation": 0, "prediction": 0}
    numbers = []
    for part in given:
        task = new_task(request, project, part["data"], part.get("meta"))
        numbers.append(task["id"])
        for reading in part.get("annotations", ()):
            new_annotation(request, task, reading, imported=True)
            made["annotation"] += 1
        for guess in part.get("predictions", ()):
            last = new_prediction(request, task, guess)["model_version"]
            made["prediction"] += 1
    if made["prediction"] and not project["model_version"]:
        project["model_version"] = last
    answer = {"task_count": len(given)} | {f"{name}_count": n for name, n in made.items()}
    wanted = request.asked("return_task_ids").lower() in {"true", "1"}
    return 201, answer | ({"task_ids": numbers} if wanted else {})


def check(request, project, given):
    """Refuse the whole batch for one task of it. Spans and labels are not looked at."""
    faults = [fault_of(project, part) for part in given]
    if any(faults):
        lines = [
            fault and f"Error at item {place}: {fault} :: {part}"
            for place, (fault, part) in enumerate(zip(faults, given, strict=True))
        ]
        raise invalid(non_field_errors=[line or {} for line in lines])
    for part in given:
        for reading in part.get("annotations", ()):
            who(request, reading)


def fault_of(project, part):
    """What is wrong with a task to be imported, or nothing."""
    for name in needed(project):
        if name not in part["data"]:
            return f'"{name}" {EXPECTED}'
    kinds = ("annotation", "prediction")
    return next(filter(None, (lacking(kind, part.get(f"{kind}s", [])) for kind in kinds)), "")


def lacking(kind, work):
    """What is wrong with how the work on a task is put down, or nothing."""
    if not isinstance(work, list):
        return f"Task[{kind}s] must be list"
    if not all("result" in entry for entry in work):
        return f'{kind.capitalize()} must have "result" fields'
    if not all(isinstance(entry["result"], list) for entry in work):
        return f'"result" field in {kind} must be list'
    return ""


def counted(request, task):
    """A task with what hangs on it counted."""
    studio = request.studio
    made = [a for a in studio.annotations.values() if a["task"] == task["id"]]
    skipped = sum(a["was_cancelled"] for a in made)
    makers = {a["completed_by"] for a in made if not a["was_cancelled"]}
    wanted = studio.projects[task["project"]]["maximum_annotations"]
    return task | {
        "is_labeled": len(makers) >= wanted,
        "total_annotations": len(made) - skipped,
        "cancelled_annotations": skipped,
        "total_predictions": sum(p["task"] == task["id"] for p in studio.predictions.values()),
    }


def tasks_of(request, project):
    """The tasks of a project."""
    tasks = request.studio.tasks.values()
    return [counted(request, task) for task in tasks if task["project"] == project]


def view(request, task):
    """A task as lists and a look at it show it. Of drafts one sees one's own."""
    found = live(request, task["id"])
    found["drafts"] = drafts_of(request, task["id"], request.user["email"])
    by = [{"user_id": task["updated_by"]}] if task["updated_by"] else []
    return counted(request, task) | found | {"updated_by": by}


def get_task(request, number):
    """A task with its readings, whose makers are written out."""
    found = view(request, request.one("tasks", number))
    for annotation in found["annotations"]:
        maker = request.studio.users.get(annotation["completed_by"])
        annotation["completed_by"] = maker and {"id": maker["id"], "email": maker["email"]}
    return 200, found


def list_tasks(request):
    """A page of a project's tasks, by filters and in an order if the query says so."""
    project = request.one("projects", int(request.asked("project")))
    entries = filtered(tasks_of(request, project["id"]), request.asked("query", "{}"))
    shown = [view(request, request.studio.tasks[task["id"]]) for task in request.page(entries)]
    for task in shown if request.asked("fields") != "all" else ():
        del task["annotations"], task["predictions"]
        task["drafts"] = []
    return 200, {
        "total_annotations": sum(task["total_annotations"] for task in entries),
        "total_predictions": sum(task["total_predictions"] for task in entries),
        "total": request.studio.claimed or len(entries),
        "tasks": request.chosen(shown),
    }


def filtered(tasks, query):
    """The tasks that a query of the list asks for, in its order."""
    try:
        asked = json.loads(query)
    except ValueError:
        raise RefusedError(500, "Expected object or value") from None
    filters = asked.get("filters", {})
    joined = any if filters.get("conjunction") == "or" else all
    if filters.get("items"):
        tasks = [task for task in tasks if joined(meets(task, item) for item in filters["items"])]
    for field in reversed(asked.get("ordering", ())):
        name = field.lstrip("-").removeprefix("tasks:")
        tasks = sorted(tasks, key=lambda task: task[name], reverse=field.startswith("-"))
    return tasks


def meets(task, item):
    """Whether a task meets one filter."""
    name, wanted = item["filter"].removeprefix("filter:tasks:"), item["value"]
    if name.startswith("data."):
        held = task["data"].get(name.removeprefix("data."))
    elif name in task:
        held = task[name]
    else:
        raise RefusedError(500, f"Cannot resolve keyword '{name}' into field.")
    if item["type"] == "Datetime":
        held, wanted = moment(held), moment(wanted)
    elif isinstance(held, int) and not isinstance(wanted, list):
        wanted = int(wanted)
    return OPERATORS.get(item["operator"], operator.eq)(held, wanted)


def moment(text):
    """A time, which must be written with a fraction of its second."""
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ")  # noqa: DTZ007
    except ValueError as error:
        raise RefusedError(500, str(error)) from error


def change_task(request, number):
    """Other data, which is not looked at."""
    task, given = request.one("tasks", number), request.json
    task.update(
        {name: given[name] for name in ("data", "meta") if name in given}, updated_at=request.now()
    )
    return 200, counted(request, task) | live(request, number)


def delete_task(request, number):
    """The task and all that hangs on it."""
    del request.studio.tasks[request.one("tasks", number)["id"]]
    for table in ("annotations", "drafts", "predictions"):
        kept = getattr(request.studio, table)
        for entry in [entry for entry in kept.values() if entry["task"] == number]:
            del kept[entry["id"]]
    return 204, None


def export(request, number):
    """Tasks with annotations and everybody's drafts. A lone surrogate breaks what it is part of."""
    request.one("projects", number)
    chosen = [int(one) for one in request.query.get("ids[]", ())]
    everything = request.asked("download_all_tasks", "false").lower() == "true"
    tasks = []
    for task in request.studio.tasks.values():
        if task["project"] != number or (chosen and task["id"] not in chosen):
            continue
        made = [
            {key: value for key, value in entry.items() if key != "created_username"}
            for entry in request.studio.annotations.values()
            if entry["task"] == task["id"]
        ]
        if made or everything:
            found = counted(request, task) | {"annotations": made}
            found["drafts"] = drafts_of(request, task["id"])
            found["predictions"] = [p["id"] for p in live(request, task["id"])["predictions"]]
            del found["is_labeled"]
            tasks.append(found)
    text = json.dumps(tasks, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RefusedError(500, str(error)) from error
    return 200, text, "application/.json"


ROUTES = [
    ("POST", r"/api/projects/(\d+)/import", import_tasks),
    ("GET", r"/api/projects/(\d+)/export", export),
    ("GET", "/api/tasks/", list_tasks),
    ("POST", "/api/tasks/", create_task),
    ("GET", r"/api/tasks/(\d+)/", get_task),
    ("PATCH", r"/api/tasks/(\d+)/", change_task),
    ("DELETE", r"/api/tasks/(\d+)/", delete_task),
]
