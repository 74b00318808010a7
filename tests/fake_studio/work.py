"""What hangs on tasks: annotations, drafts of them, and predictions."""

import uuid
from xml.etree import ElementTree as ET

from fake_studio.wire import RefusedError, invalid, unknown

ONLY_EXPORTED = {"prediction", "result_count", "unique_id"}
CHANGEABLE = {
    "result",
    "was_cancelled",
    "ground_truth",
    "lead_time",
    "completed_by",
    "parent_prediction",
    "unique_id",
}


def touch(request, task, user=True):
    """Move the time of a task: somebody worked on it."""
    task.update(updated_at=request.now(), updated_by=request.user["id"] if user else None)


def live(request, task):
    """What lists show of the work on a task."""
    studio = request.studio
    return {
        "annotations": [shown(a) for a in studio.annotations.values() if a["task"] == task],
        "predictions": [dict(p) for p in studio.predictions.values() if p["task"] == task],
    }


def shown(annotation):
    """An annotation as every answer but an export gives it."""
    return {name: value for name, value in annotation.items() if name not in ONLY_EXPORTED}


# ── annotations ─────────────────────────────────────────────────────────────────────────────────


def who(request, given):
    """The number of the user whose reading is imported: given by number, by address, or the sender."""
    named = given.get("completed_by")
    users = request.studio.users
    if isinstance(named, dict):
        found = [user["id"] for user in users.values() if user["email"] == named["email"]]
        if not found:
            raise invalid(non_field_errors=[f"Unknown annotator's email {named['email']}"])
        return found[0]
    if named is not None and named not in users:
        what = f"completed_by={named} which is not a valid annotator's email or ID"
        raise invalid(non_field_errors=[f"Import data contains {what}"])
    return request.user["id"] if named is None else named


def new_annotation(request, task, given, imported=False):
    """An annotation. An imported one is ground truth unless it says that it is not."""
    maker = who(request, given) if imported else given.get("completed_by", request.user["id"])
    name = request.studio.users[maker]["email"] if maker else ""
    annotation = {
        "id": request.studio.number(),
        "task": task["id"],
        "project": task["project"],
        "completed_by": maker,
        "created_username": f" {name}, {maker}",
        "result": given["result"],
        "was_cancelled": given.get("was_cancelled", False),
        "ground_truth": given.get("ground_truth", imported),
        "lead_time": None if given.get("lead_time") is None else float(given["lead_time"]),
        "created_at": request.now(),
        "updated_at": request.now(),
        "draft_created_at": None,
        "updated_by": None if imported else request.user["id"],
        "parent_prediction": None if imported else given.get("parent_prediction"),
        "import_id": given.get("id") if imported else None,
        "prediction": {} if imported else shown_with(request, task),
        "result_count": 0 if imported else len(given["result"]),
        "unique_id": str(uuid.uuid4()),
    }
    request.studio.annotations[annotation["id"]] = annotation
    return annotation


def shown_with(request, task):
    """The task's first prediction of the model that the project shows, as it is now."""
    version = request.studio.projects[task["project"]]["model_version"]
    guesses = request.studio.predictions.values()
    held = (g for g in guesses if (g["task"], g["model_version"]) == (task["id"], version))
    return dict(next(held, {}))


def check(request, given):
    """Refuse what names users and predictions that are not there, or an identity that is taken."""
    studio = request.studio
    for field, table in (("completed_by", studio.users), ("parent_prediction", studio.predictions)):
        if given.get(field) is not None and given[field] not in table:
            raise unknown(field, given[field])
    if "result" in given and not isinstance(given["result"], list):
        raise invalid(result=['annotation "result" field in annotation must be list'])
    if not all(isinstance(item, dict) for item in given.get("result", ())):
        raise RefusedError(500, "'str' object has no attribute 'get'")


def annotate(request, number):
    """An annotation, whatever its spans; only its items must be objects."""
    task, given = request.one("tasks", number), request.json
    check(request, given)
    studio = request.studio
    if given.get("unique_id") in [a["unique_id"] for a in studio.annotations.values()]:
        raise RefusedError(409, "Annotation with this unique id already exists")
    annotation = new_annotation(request, task, given)
    annotation["unique_id"] = given.get("unique_id", annotation["unique_id"])
    handed_in = studio.drafts.pop(given.get("draft_id"), None)
    if handed_in:
        annotation["draft_created_at"] = handed_in["created_at"]
    touch(request, task)
    return 201, shown(annotation)


def change_annotation(request, number):
    """An edit keeps the number and moves the time."""
    annotation, given = request.one("annotations", number), request.json
    check(request, given)
    annotation.update({name: given[name] for name in given if name in CHANGEABLE})
    annotation.update(updated_at=request.now(), updated_by=request.user["id"])
    touch(request, request.studio.tasks[annotation["task"]])
    return 200, shown(annotation)


def delete_annotation(request, number):
    """The annotation goes with the drafts of it."""
    studio, annotation = request.studio, request.one("annotations", number)
    del studio.annotations[number]
    for entry in [entry for entry in studio.drafts.values() if entry["annotation"] == number]:
        del studio.drafts[entry["id"]]
    touch(request, studio.tasks[annotation["task"]])
    return 204, None


# ── drafts: they leave the task's time as it is ─────────────────────────────────────────────────


def drafts_of(request, task, email=""):
    """The drafts of a task, or those of one user."""
    found = [draft for draft in request.studio.drafts.values() if draft["task"] == task]
    return [draft for draft in found if email in {"", draft["user"]}]


def draft(request, number, annotation=None):
    """Work that has not been submitted."""
    given, email = request.json, request.user["email"]
    request.one("tasks", number)
    entry = {"id": request.studio.number(), "user": email, "result": given["result"]}
    entry |= {
        "lead_time": given.get("lead_time"),
        "created_at": request.now(),
        "updated_at": request.now(),
    }
    entry |= {"task": number, "annotation": annotation}
    request.studio.drafts[entry["id"]] = entry
    return 201, entry


def change_draft(request, number):
    """More work that has not been submitted."""
    entry = request.one("drafts", number)
    entry.update(result=request.json["result"], updated_at=request.now())
    return 200, entry


def delete_draft(request, number):
    """The draft goes."""
    del request.studio.drafts[request.one("drafts", number)["id"]]
    return 204, None


def list_drafts(request, number):
    """Everybody's drafts of a task."""
    request.one("tasks", number)
    return 200, drafts_of(request, number)


# ── predictions ─────────────────────────────────────────────────────────────────────────────────


def new_prediction(request, task, given, version="undefined"):
    """A prediction, beside those that are there."""
    prediction = {
        "id": request.studio.number(),
        "result": given["result"],
        "model_version": given.get("model_version", version),
        "score": given.get("score"),
        "created_at": request.now(),
        "updated_at": request.now(),
        "task": task["id"],
        "project": task["project"],
    }
    request.studio.predictions[prediction["id"]] = prediction
    return prediction


def import_predictions(request, number):
    """Many at once. What does not fit the config is left out without a word; times stay."""
    project, given = request.one("projects", number), request.json
    for part in given:
        task = request.studio.tasks.get(part["task"])
        if task is None or task["project"] != number:
            what = "corresponding task ID couldn't be retrieved from project"
            what = f'contains invalid "task" field: {what} {project["title"]} (id={number}) tasks'
            raise invalid(non_field_errors=[f"{part} {what}"])
    fit = [part for part in given if fits(project, part)]
    for part in fit:
        new_prediction(request, request.studio.tasks[part["task"]], part)
    return 201, {"created": len(fit)}


def fits(project, given):
    """Whether a prediction's labels and score are possible. Offsets are not looked at."""
    labels = {
        control.get("name"): {label.get("value") for label in control}
        for control in ET.fromstring(project["label_config"]).iter("Labels")
    }
    known = all(
        set(item["value"].get("labels", ())) <= labels.get(item["from_name"], set())
        for item in given.get("result", ())
    )
    return "result" in given and known and 0 <= (given.get("score") or 0) <= 1


def create_prediction(request):
    """One prediction, whatever it holds."""
    given = request.json
    if "result" not in given:
        raise invalid(result=["This field is required."])
    task = request.studio.tasks.get(given["task"])
    if task is None:
        raise unknown("task", given["task"])
    touch(request, task)
    return 201, new_prediction(request, task, given, version="")


def list_predictions(request):
    """All at once, of a task or a project."""
    assert request.user
    found = list(request.studio.predictions.values())
    for field in ("task", "project"):
        if field in request.query:
            wanted = int(request.asked(field))
            if wanted not in getattr(request.studio, f"{field}s"):
                what = "Select a valid choice. That choice is not one of the available choices."
                raise invalid(**{field: [what]})
            found = [prediction for prediction in found if prediction[field] == wanted]
    return 200, found


def delete_prediction(request, number):
    """The prediction goes; annotations made from it no longer say so."""
    studio, prediction = request.studio, request.one("predictions", number)
    del studio.predictions[number]
    for annotation in studio.annotations.values():
        if annotation["parent_prediction"] == number:
            annotation["parent_prediction"] = None
    touch(request, studio.tasks[prediction["task"]])
    return 204, None


ROUTES = [
    ("POST", r"/api/tasks/(\d+)/annotations/", annotate),
    ("GET", r"/api/tasks/(\d+)/annotations/", lambda r, n: (200, live(r, n)["annotations"])),
    ("GET", r"/api/annotations/(\d+)/", lambda r, n: (200, shown(r.one("annotations", n)))),
    ("PATCH", r"/api/annotations/(\d+)/", change_annotation),
    ("DELETE", r"/api/annotations/(\d+)/", delete_annotation),
    ("POST", r"/api/tasks/(\d+)/drafts", draft),
    ("POST", r"/api/tasks/(\d+)/annotations/(\d+)/drafts", draft),
    ("GET", r"/api/tasks/(\d+)/drafts", list_drafts),
    ("PATCH", r"/api/drafts/(\d+)/", change_draft),
    ("DELETE", r"/api/drafts/(\d+)/", delete_draft),
    ("POST", r"/api/projects/(\d+)/import/predictions", import_predictions),
    ("GET", "/api/predictions/", list_predictions),
    ("POST", "/api/predictions/", create_prediction),
    ("DELETE", r"/api/predictions/(\d+)/", delete_prediction),
]
