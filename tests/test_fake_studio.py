"""What the toolkit relies on of Label Studio, shown on the pretend and on the real server alike."""

import json
import uuid

import httpx
import pytest

from toolkit import studio

CONFIG = """<View><Labels name="label" toName="text"><Label value="PARTY"/><Label value="DATE"/>
</Labels><Text name="text" value="$text"/></View>"""
SURROGATE = "\\ud800"
"""A lone surrogate as JSON writes it."""

SPAN = {
    "id": "s1",
    "from_name": "label",
    "to_name": "text",
    "type": "labels",
    "value": {"start": 0, "end": 5, "labels": ["PARTY"]},
}
NOPE = SPAN | {"value": {"start": 9, "end": 1, "labels": ["NOPE"]}}
TASK = {"data": {"text": "Paris"}}


class Room:
    """A project of one test, and short words for what is asked about it."""

    def __init__(self, site, **settings):
        self.site, self.headers = site, {"Authorization": f"Token {site.server.api_key}"}
        body = {"title": f"contract {site.corpus()}", "label_config": CONFIG, **settings}
        self.made = site.call("POST", "/api/projects/", json=body)
        self.id = self.made["id"]
        self.path = f"/api/projects/{self.id}"

    def ask(self, method, path, headers=None, **request):
        """The status and the body of an answer."""
        url, headers = f"{self.site.server.url}{path}", headers or self.headers
        found = httpx.request(method, url, headers=headers, timeout=60, **request)
        is_json = "json" in found.headers.get("content-type", "")
        return found.status_code, found.json() if is_json and found.content else found.text

    def faults(self, method, path, **request):
        """The status of a refusal, and what it finds invalid or else its detail."""
        status, body = self.ask(method, path, **request)
        return status, body.get("validation_errors", body["detail"])

    def take_in(self, *tasks):
        """Import tasks; gives their numbers."""
        path = f"{self.path}/import?return_task_ids=true"
        return self.site.call("POST", path, json=list(tasks))["task_ids"]

    def texts(self, number):
        """So many tasks."""
        return self.take_in(*({"data": {"text": f"Paris {n}"}} for n in range(number)))

    def annotate(self, task, **given):
        """Submit an annotation; gives it."""
        return self.site.call(
            "POST", f"/api/tasks/{task}/annotations/", json={"result": []} | given
        )

    def predict(self, *predictions):
        """Import predictions; gives how many were taken."""
        path = f"{self.path}/import/predictions"
        return self.site.call("POST", path, json=list(predictions))["created"]

    def predictions(self, **which):
        """Predictions: their task, version and score."""
        found = self.site.call("GET", "/api/predictions/", params=which or {"project": self.id})
        return [(p["task"], p["model_version"], p["score"]) for p in found]

    def list(self, *fields, **params):
        """The fields of every task listed."""
        params = {"project": self.id, "include": ",".join(fields)} | params
        found = self.site.call("GET", "/api/tasks/", params=params)["tasks"]
        return [task[fields[0]] if len(fields) == 1 else task for task in found]

    def where(self, field, operator, value, kind="Number", **params):
        """The numbers of the tasks that a filter finds."""
        item = {"filter": f"filter:tasks:{field}", "operator": operator}
        item |= {"type": kind, "value": value}
        filters = {"filters": {"conjunction": "and", "items": [item]}, "ordering": ["tasks:id"]}
        return self.list("id", query=json.dumps(filters), **params)

    def export(self, *tasks, **params):
        """The exported tasks by number."""
        params = {"exportType": "JSON", "ids[]": tasks, "download_all_tasks": "true"} | params
        return {t["id"]: t for t in self.site.call("GET", f"{self.path}/export", params=params)}

    def times(self):
        """When each task last changed."""
        return {task["id"]: task["updated_at"] for task in self.list("id", "updated_at")}

    def numbers(self):
        """What the project counts, once the list of projects has said the same."""
        names = ("task_number", "total_annotations_number", "skipped_annotations_number")
        names += ("ground_truth_number", "total_predictions_number", "finished_task_number")
        found = self.site.call("GET", f"{self.path}/")
        listed = self.site.call(
            "GET", "/api/projects/", params={"include": ",".join(("id", *names))}
        )
        counted = [found[name] for name in names]
        assert {"id": self.id, **dict(zip(names, counted, strict=True))} in listed["results"]
        return counted


@pytest.fixture
def room(site):
    """A project of the test's own."""
    return Room(site)


@pytest.fixture
def person(site):
    """The headers of another user, and the number."""
    body = {"refresh": studio.invite(site.server, "a1").api_key}
    access = site.call("POST", "/api/token/refresh/", json=body)["access"]
    headers = {"Authorization": f"Bearer {access}"}
    url = f"{site.server.url}/api/current-user/whoami"
    return headers, httpx.get(url, headers=headers).json()["id"]


def pick(entry, *names):
    """Some fields of an entry."""
    return [entry[name] for name in names]


# ── the list of tasks ───────────────────────────────────────────────────────────────────────────


def test_version_needs_no_token(room):
    """The release can be asked before anything else."""
    status, body = room.ask("GET", "/api/version/", headers={"X-Nobody": "1"})
    assert (status, body["release"], body["edition"]) == (200, "1.23.2", "Community")


def test_tasks_are_found_by_number_and_by_data(room):
    """Filters take numbers, lists and keys of the data; nothing found is an empty first page."""
    tasks = room.texts(5)
    assert room.where("id", "greater", tasks[2]) == tasks[3:]
    assert room.where("id", "greater", str(tasks[2])) == tasks[3:]
    assert room.where("id", "greater_or_equal", tasks[2]) == tasks[2:]
    assert room.where("id", "less", tasks[2]) == tasks[:2]
    assert room.where("id", "in_list", [tasks[3], tasks[0], 10**9], "List") == [tasks[0], tasks[3]]
    assert room.where("id", "in_list", [], "List") == []
    assert room.where("id", "greater", tasks[4]) == []
    assert room.where("data.text", "equal", "Paris 1", "String") == [tasks[1]]
    assert room.where("data.text", "in_list", ["Paris 1", "Paris 3"], "List") == tasks[1:4:2]
    assert room.where("id", "no such operator", tasks[2]) == [tasks[2]]


def test_tasks_are_found_by_time_with_a_fraction_only(room):
    """A time is compared to the microsecond, and must be written with one and a `Z`."""
    tasks = room.texts(4)
    times = room.times()
    assert room.where("updated_at", "greater", times[tasks[1]], "Datetime") == tasks[2:]
    assert room.where("updated_at", "greater_or_equal", times[tasks[1]], "Datetime") == tasks[1:]
    for wrong in ("2026-11-22T13:05:49Z", "2026-11-22T13:05:49.436310+00:00", "yesterday"):
        item = {"filter": "filter:tasks:updated_at", "operator": "greater"}
        item |= {"type": "Datetime", "value": wrong}
        query = json.dumps({"filters": {"conjunction": "and", "items": [item]}})
        assert room.faults("GET", "/api/tasks/", params={"project": room.id, "query": query}) == (
            500,
            f"time data '{wrong}' does not match format '%Y-%m-%dT%H:%M:%S.%fZ'",
        )


def test_query_that_cannot_be_read_breaks_the_server(room):
    """Half a query, or a field that is not there, is a 500."""
    room.texts(1)
    params = {"project": room.id, "query": "{"}
    assert room.faults("GET", "/api/tasks/", params=params) == (500, "Expected object or value")
    item = {"filter": "filter:tasks:nothing", "operator": "equal", "type": "Number", "value": 1}
    params["query"] = json.dumps({"filters": {"conjunction": "and", "items": [item]}})
    status, detail = room.faults("GET", "/api/tasks/", params=params)
    assert (status, detail[:44]) == (500, "Cannot resolve keyword 'nothing' into field.")


def test_filters_join_and_order(room):
    """Filters hold all or any; an order may be turned round."""
    tasks = room.texts(4)
    items = [
        {"filter": "filter:tasks:id", "operator": operator, "type": "Number", "value": tasks[2]}
        for operator in ("equal", "greater")
    ]
    asked = {"filters": {"conjunction": "or", "items": items}, "ordering": ["-tasks:id"]}
    assert room.list("id", query=json.dumps(asked)) == [tasks[3], tasks[2]]
    asked["filters"]["conjunction"] = "and"
    assert room.list("id", query=json.dumps(asked)) == []


def test_pages_of_a_filtered_list(room):
    """The total counts what the filter finds; the last page may be short, the one after is a 404."""
    tasks = room.texts(4)
    pages = [
        room.where("id", "greater", tasks[0], page=page, page_size=2, include="id")
        for page in (1, 2)
    ]
    assert pages == [tasks[1:3], tasks[3:]]
    for page in (0, 3):
        params = {"project": room.id, "page": page, "page_size": 4}
        assert room.faults("GET", "/api/tasks/", params=params) == (404, "Invalid page.")
    room.annotate(tasks[3])
    found = room.site.call("GET", "/api/tasks/", params={"project": room.id, "page_size": 1})
    assert pick(found, "total", "total_annotations", "total_predictions") == [4, 1, 0]
    params = {"project": 10**9}
    assert room.faults("GET", "/api/tasks/", params=params) == (
        404,
        "No Project matches the given query.",
    )


def test_list_gives_what_is_asked_for(room):
    """`include` names fields; work is written out only by `fields=all`."""
    task = room.take_in({"data": {"text": "Paris"}, "predictions": [{"result": [SPAN]}]})[0]
    room.annotate(task, result=[SPAN])
    fields = ("id", "total_annotations", "cancelled_annotations", "total_predictions", "is_labeled")
    assert room.list(*fields, "nothing") == [dict(zip(fields, (task, 1, 0, 1, True), strict=True))]
    params = {"project": room.id}
    found = room.site.call("GET", "/api/tasks/", params=params)["tasks"][0]
    assert ("annotations" in found, "predictions" in found, found["drafts"]) == (False, False, [])
    found = room.site.call("GET", "/api/tasks/", params=params | {"fields": "all"})["tasks"][0]
    assert [a["result"] for a in found["annotations"] + found["predictions"]] == [[SPAN], [SPAN]]


def test_what_moves_the_time_of_a_task(room):
    """Annotations made, changed or deleted do, and changes of the task; drafts do not.

    The task's time is later than the annotation's.
    """
    task, other = room.texts(2)
    moved, before = [], room.times()

    def call(what, method, path, body=None):
        nonlocal before
        answer = room.site.call(method, path, json=body)
        after = room.times()
        assert after[other] == before[other]
        if after[task] != before[task]:
            assert after[task] > before[task]
            moved.append(what)
        before = after
        return answer

    made = call("annotate", "POST", f"/api/tasks/{task}/annotations/", {"result": []})
    assert made["updated_at"] < before[task]
    place = f"/api/annotations/{made['id']}/"
    call("change", "PATCH", place, {"result": [SPAN]})
    call("change nothing", "PATCH", place, {"result": [SPAN]})
    call("skip", "PATCH", place, {"was_cancelled": True})
    draft = call("draft", "POST", f"/api/tasks/{task}/drafts", {"result": []})
    call("change draft", "PATCH", f"/api/drafts/{draft['id']}/", {"result": [SPAN]})
    call("delete draft", "DELETE", f"/api/drafts/{draft['id']}/")
    call("delete", "DELETE", place)
    call("task", "PATCH", f"/api/tasks/{task}/", {"data": {"text": "New"}})
    call("same task", "PATCH", f"/api/tasks/{task}/", {"data": {"text": "New"}})
    prediction = {"task": task, "result": []}
    call("predict", "POST", "/api/predictions/", prediction)
    call("import prediction", "POST", f"{room.path}/import/predictions", [prediction])
    first = room.site.call("GET", "/api/predictions/", params={"task": task})[0]["id"]
    call("delete prediction", "DELETE", f"/api/predictions/{first}/")
    call("settings", "PATCH", f"{room.path}/", {"maximum_annotations": 2})
    assert moved == [
        *("annotate", "change", "change nothing", "skip", "delete"),
        *("task", "same task", "predict", "delete prediction"),
    ]


# ── predictions ─────────────────────────────────────────────────────────────────────────────────


def test_predictions_come_with_tasks_whatever_they_hold(room):
    """Those in an import are not looked at; a version that is not given is `undefined`."""
    given = [{"result": [SPAN]}, {"result": [NOPE], "model_version": "m", "score": 9}]
    body = [{"data": {"text": "Paris"}, "predictions": given}]
    done = room.site.call("POST", f"{room.path}/import?return_task_ids=true", json=body)
    assert pick(done, "task_count", "annotation_count", "prediction_count") == [1, 0, 2]
    (task,) = done["task_ids"]
    assert room.predictions() == [(task, "undefined", None), (task, "m", 9.0)]
    for wrong, fault in (
        ([{"score": 1}], 'Prediction must have "result" fields'),
        ({"result": []}, "Task[predictions] must be list"),
    ):
        body = [{"data": {"text": "x"}}, {"data": {"text": "y"}, "predictions": wrong}]
        status, faults = room.faults("POST", f"{room.path}/import", json=body)
        good, line = faults["non_field_errors"]
        assert (status, good) == (400, {})
        assert line == f"Error at item 1: {fault} :: {body[1]}"
    assert room.list("id") == [task]


def test_imported_predictions_are_added_or_left_out_without_a_word(room):
    """The same twice is two; what has an unknown label or an impossible score is not taken."""
    first, second = room.texts(2)
    good = {"task": first, "result": [SPAN], "model_version": "m", "score": 0.5}
    assert room.predict(good, good) == 2
    assert room.predict(good | {"task": second, "result": []}) == 1
    reversed_span = SPAN | {"value": {"start": 3, "end": 1, "labels": ["PARTY"]}}
    assert room.predict({"task": second, "result": [reversed_span]}) == 1
    assert room.predict(good | {"result": [NOPE]}) == 0
    assert room.predict(good | {"result": [SPAN | {"from_name": "other"}]}) == 0
    assert room.predict(good | {"score": 7}) == 0
    assert room.predict({"task": first, "model_version": "m"}, good) == 1
    assert room.predict() == 0
    assert room.predictions(task=first) == [(first, "m", 0.5)] * 3
    assert room.predictions() == [
        *[(first, "m", 0.5)] * 2,
        (second, "m", 0.5),
        (second, "undefined", None),
        (first, "m", 0.5),
    ]
    assert room.list("total_predictions") == [3, 2]


def test_predictions_for_strange_tasks_are_refused_together(room, site):
    """A task of another project spoils the batch."""
    (ours,), (theirs,) = room.texts(1), Room(site).texts(1)
    body = [{"task": ours, "result": []}, {"task": theirs, "result": []}]
    what = "corresponding task ID couldn't be retrieved from project"
    line = (
        f'{body[1]} contains invalid "task" field: {what} {room.made["title"]} (id={room.id}) tasks'
    )
    assert room.faults("POST", f"{room.path}/import/predictions", json=body) == (
        400,
        {"non_field_errors": [line]},
    )
    assert room.predictions() == []


def test_single_prediction_is_not_looked_at(room):
    """One by one they are taken as they are, without a version; the task must be there."""
    (task,) = room.texts(1)
    body = {"task": task, "result": [NOPE], "score": 5}
    made = room.site.call("POST", "/api/predictions/", json=body)
    assert pick(made, "task", "project", "model_version", "score") == [task, room.id, "", 5.0]
    assert room.faults("POST", "/api/predictions/", json={"task": task}) == (
        400,
        {"result": ["This field is required."]},
    )
    body["task"] = 10**9
    line = 'Invalid pk "1000000000" - object does not exist.'
    assert room.faults("POST", "/api/predictions/", json=body) == (400, {"task": [line]})


def test_prediction_is_deleted(room):
    """It is gone at once; a second time it is not there. What it is asked of must be."""
    (task,) = room.texts(1)
    room.predict(*[{"task": task, "result": []}] * 2)
    number = room.site.call("GET", "/api/predictions/", params={"task": task})[0]["id"]
    assert room.ask("DELETE", f"/api/predictions/{number}/")[0] == 204
    gone = (404, "No Prediction matches the given query.")
    assert room.faults("DELETE", f"/api/predictions/{number}/") == gone
    assert (room.list("total_predictions"), len(room.predictions())) == ([1], 1)
    what = "Select a valid choice. That choice is not one of the available choices."
    for field in ("task", "project"):
        found = room.faults("GET", "/api/predictions/", params={field: 10**9})
        assert found == (400, {field: [what]})


def test_exports_name_predictions_by_number(room):
    """A look at a task shows a prediction whole, an export only its number."""
    given = [{"result": [SPAN], "model_version": "m", "score": 0.5}]
    (task,) = room.take_in({"data": {"text": "Paris"}, "predictions": given})
    (seen,) = room.site.call("GET", f"/api/tasks/{task}/")["predictions"]
    assert pick(seen, "result", "model_version", "score", "task") == [[SPAN], "m", 0.5, task]
    assert room.export()[task]["predictions"] == [seen["id"]]
    assert room.export(download_all_tasks="false") == {}


def test_annotation_says_from_which_prediction_it_was_made(room):
    """Its number is kept as long as the prediction is there; what no project shows is not kept at all."""
    task, other = room.texts(2)
    room.predict({"task": task, "result": [SPAN]})
    number = room.site.call("GET", "/api/predictions/", params={"task": task})[0]["id"]
    made = room.annotate(task, result=[SPAN], parent_prediction=number)
    assert made["parent_prediction"] == number
    assert room.annotate(other, parent_prediction=number)["parent_prediction"] == number
    line = 'Invalid pk "1000000000" - object does not exist.'
    body = {"result": [], "parent_prediction": 10**9}
    found = room.faults("POST", f"/api/tasks/{task}/annotations/", json=body)
    assert found == (400, {"parent_prediction": [line]})
    (exported,) = room.export(task)[task]["annotations"]
    assert pick(exported, "parent_prediction", "prediction") == [number, {}]
    room.site.call("DELETE", f"/api/predictions/{number}/")
    (after,) = room.export(task)[task]["annotations"]
    assert after == exported | {"parent_prediction": None}


def test_annotation_keeps_the_suggestion_that_was_shown_when_it_was_made(room):
    """Of the model that the project shows, as it was then; whether it was made from it or not."""
    guess = {"result": [SPAN], "model_version": "m"}
    with_it, other = room.take_in({"data": {"text": "Paris"}, "predictions": [guess]}, TASK)
    room.annotate(with_it)
    room.annotate(other)
    room.predict({"task": other, "result": [SPAN], "model_version": "n"})
    room.annotate(other)
    room.site.call("PATCH", f"{room.path}/", json={"model_version": "n"})
    room.annotate(other, was_cancelled=True)
    room.annotate(with_it)
    exported = room.export()
    shown = {
        task: [made["prediction"].get("model_version") for made in exported[task]["annotations"]]
        for task in (with_it, other)
    }
    assert shown == {with_it: ["m", None], other: [None, None, "n"]}
    number = room.site.call("GET", "/api/predictions/", params={"task": with_it})[0]["id"]
    room.site.call("DELETE", f"/api/predictions/{number}/")
    kept = room.export()[with_it]["annotations"][0]["prediction"]
    assert pick(kept, "id", "result", "model_version") == [number, [SPAN], "m"]


def test_project_shows_the_model_that_came_first(room):
    """Suggestions that come with tasks are shown if none were; others have to be there to be shown."""
    room.take_in({"data": {"text": "Paris"}, "predictions": [{"result": [], "model_version": "m"}]})
    room.take_in({"data": {"text": "Paris"}, "predictions": [{"result": [], "model_version": "n"}]})
    assert room.site.call("GET", f"{room.path}/")["model_version"] == "m"
    line = "Model version doesn't exist either as live model or as static predictions."
    found = room.faults("PATCH", f"{room.path}/", json={"model_version": "o"})
    assert found == (400, {"model_version": [line]})
    made = room.site.call("PATCH", f"{room.path}/", json={"model_version": "n"})
    assert made["model_version"] == "n"


# ── annotations ─────────────────────────────────────────────────────────────────────────────────


def test_annotations_come_with_tasks(room, site):
    """Maker, skips and lead times are kept, and an old number; times and identities are not."""
    identity = str(uuid.uuid4())
    full = {"result": [SPAN], "completed_by": {"email": site.admin().email}, "lead_time": 4}
    full |= {"unique_id": identity, "id": 777, "created_at": "2001-01-01T00:00:00Z"}
    bare = {"result": [], "was_cancelled": True, "completed_by": None, "ground_truth": False}
    again = {"result": ["not an object"], "unique_id": identity}
    body = [{"data": {"text": "Paris"}, "annotations": [full, bare, again]}]
    done = site.call("POST", f"{room.path}/import?return_task_ids=1", json=body)
    assert pick(done, "task_count", "annotation_count", "prediction_count") == [1, 3, 0]
    exported = room.export()[done["task_ids"][0]]
    names = ("completed_by", "result", "was_cancelled", "ground_truth", "lead_time", "import_id")
    me = site.admin().user
    # What does not say that it is no ground truth is ground truth.
    assert [pick(a, *names) for a in exported["annotations"]] == [
        [me, [SPAN], False, True, 4.0, 777],
        [me, [], True, False, None, None],
        [me, ["not an object"], False, True, None, None],
    ]
    assert {(a["result_count"], a["updated_by"]) for a in exported["annotations"]} == {(0, None)}
    assert all(a["created_at"] > "2026" for a in exported["annotations"])
    assert len({identity, *(a["unique_id"] for a in exported["annotations"])}) == 4
    assert pick(exported, "total_annotations", "cancelled_annotations") == [2, 1]


@pytest.mark.parametrize(
    ("annotations", "fault"),
    [
        (
            [{"result": [], "completed_by": 10**9}],
            "Import data contains completed_by=1000000000 which is not a valid annotator's email or ID",
        ),
        (
            [{"result": [], "completed_by": {"email": "nobody@example.com"}}],
            "Unknown annotator's email nobody@example.com",
        ),
        ([{"result": "x"}], 'Error at item 1: "result" field in annotation must be list'),
        ([{"lead_time": 1}], 'Error at item 1: Annotation must have "result" fields'),
        ({"result": []}, "Error at item 1: Task[annotations] must be list"),
    ],
    ids=["number", "address", "result", "no result", "no list"],
)
def test_one_bad_annotation_spoils_the_batch(room, annotations, fault):
    """Of a batch with one that cannot be taken nothing is."""
    good = {"data": {"text": "Paris"}, "annotations": [{"result": []}]}
    bad = {"data": {"text": "Paris"}, "annotations": annotations}
    status, faults = room.faults("POST", f"{room.path}/import", json=[good, bad])
    lines = [{}, f"{fault} :: {bad}"] if fault.startswith("Error at") else [fault]
    assert (status, faults) == (400, {"non_field_errors": lines})
    assert room.list("id") == []


def test_numbers_of_tasks_come_in_order_if_asked_for(room):
    """`return_task_ids` gives them; without it nothing names the tasks."""
    body = [{"data": {"text": f"{n}"}} for n in range(3)]
    assert "task_ids" not in room.site.call("POST", f"{room.path}/import", json=body)
    assert "task_ids" not in room.site.call(
        "POST", f"{room.path}/import?return_task_ids=false", json=body[0]
    )
    numbers = room.take_in(*body)
    assert room.list("id")[4:] == numbers
    assert [room.export()[n]["data"]["text"] for n in numbers] == ["0", "1", "2"]


def test_annotation_as_submitted_and_as_exported(room, person):
    """Only an export tells the identity; an edit by another says by whom, and keeps the maker."""
    headers, number = person
    (task,) = room.texts(1)
    identity = str(uuid.uuid4())
    body = {"result": [SPAN], "unique_id": identity, "lead_time": 2, "ground_truth": True}
    place = f"/api/tasks/{task}/annotations/"
    status, made = room.ask("POST", place, headers=headers, json=body)
    assert (status, "unique_id" in made, "prediction" in made) == (201, False, False)
    taken = (409, "Annotation with this unique id already exists")
    assert room.faults("POST", place, json=body) == taken
    me = room.site.admin().user
    edited = room.site.call("PATCH", f"/api/annotations/{made['id']}/", json={"result": []})
    names = ("id", "result", "completed_by", "updated_by")
    assert pick(edited, *names) == [made["id"], [], number, me]
    (exported,) = room.export()[task]["annotations"]
    names = ("id", "completed_by", "updated_by", "unique_id", "lead_time", "ground_truth")
    assert pick(exported, *names) == [made["id"], number, me, identity, 2.0, True]
    assert pick(exported, "was_cancelled", "prediction", "parent_prediction") == [False, {}, None]
    assert exported["created_at"] == made["created_at"] < exported["updated_at"]


def test_annotation_in_the_name_of_another(room, person):
    """Anybody may submit for anybody who is there, and hand over an annotation later."""
    (task,), (_, number) = room.texts(1), person
    me = room.site.admin().user
    made = room.annotate(task, completed_by=number)
    assert pick(made, "completed_by", "updated_by") == [number, me]
    body = {"completed_by": me, "ground_truth": True, "lead_time": 9}
    edited = room.site.call("PATCH", f"/api/annotations/{made['id']}/", json=body)
    assert pick(edited, "completed_by", "ground_truth", "lead_time") == [me, True, 9.0]
    line = 'Invalid pk "1000000000" - object does not exist.'
    body = {"result": [], "completed_by": 10**9}
    found = room.faults("POST", f"/api/tasks/{task}/annotations/", json=body)
    assert found == (400, {"completed_by": [line]})


def test_deleted_annotation_is_gone(room):
    """A second time it is not there, by any way to it."""
    (task,) = room.texts(1)
    place = f"/api/annotations/{room.annotate(task)['id']}/"
    assert room.ask("DELETE", place)[0] == 204
    gone = (404, "No Annotation matches the given query.")
    assert [room.faults(method, place) for method in ("DELETE", "GET")] == [gone, gone]
    assert room.export()[task]["annotations"] == []
    assert room.faults("POST", "/api/tasks/1000000000/annotations/", json={"result": []}) == (
        404,
        "No Task matches the given query.",
    )


# ── projects, tasks, drafts ─────────────────────────────────────────────────────────────────────


def test_numbers_of_a_project_follow_at_once(site, person):
    """A project and the list of them count alike, skips apart; a new project does not count yet."""
    room = Room(site, maximum_annotations=2, show_collab_predictions=False)
    assert pick(room.made, "maximum_annotations", "show_collab_predictions") == [2, False]
    assert pick(room.made, "task_number", "total_annotations_number") == [None, None]
    assert room.numbers() == [0, 0, 0, 0, 0, 0]
    given = {"data": {"text": "Paris"}, "predictions": [{"result": []}]}
    first, second = room.take_in(given, given)
    made = [room.annotate(first), room.annotate(first, was_cancelled=True)]
    assert room.numbers() == [2, 1, 1, 0, 2, 0]
    room.annotate(second, ground_truth=True)
    room.annotate(second, completed_by=person[1])
    assert room.numbers() == [2, 3, 1, 1, 2, 1]
    for annotation in made:
        site.call("DELETE", f"/api/annotations/{annotation['id']}/")
    assert room.numbers() == [2, 2, 0, 1, 2, 1]
    site.call("DELETE", f"/api/tasks/{second}/")
    assert room.numbers() == [1, 0, 0, 0, 1, 0]
    site.call("PATCH", f"{room.path}/", json={"maximum_annotations": 3, "task_number": 77})
    after = site.call("GET", f"{room.path}/")
    assert pick(after, "maximum_annotations", "task_number") == [3, 1]


def test_finished_is_as_many_annotators_as_wanted(room, person):
    """Skips and second annotations of one user do not count; the number wanted is the one of now."""
    (task,) = room.texts(1)
    room.site.call("PATCH", f"{room.path}/", json={"maximum_annotations": 2})
    room.annotate(task)
    room.annotate(task)
    room.annotate(task, was_cancelled=True, completed_by=person[1])
    assert room.list("is_labeled") == [False]
    room.site.call("PATCH", f"{room.path}/", json={"maximum_annotations": 1})
    assert room.list("is_labeled") == [True]


def test_deleted_project_is_gone(room):
    """With its tasks."""
    (task,) = room.texts(1)
    assert room.ask("DELETE", f"{room.path}/")[0] == 204
    assert room.faults("GET", f"{room.path}/") == (404, "No Project matches the given query.")
    assert room.faults("GET", f"/api/tasks/{task}/") == (404, "No Task matches the given query.")


def test_task_made_alone_comes_without_work(room):
    """What an import takes along is passed over; the keys of the config must be there."""
    work = {"annotations": [{"result": []}], "predictions": [{"result": []}]}
    body = {"project": room.id, "data": {"text": "Paris"}, "meta": {"a": 1}}
    made = room.site.call("POST", "/api/tasks/", json=body | work)
    assert pick(made, "data", "meta", "project") == [{"text": "Paris"}, {"a": 1}, room.id]
    assert room.list("id", "total_annotations", "total_predictions") == [
        {"id": made["id"], "total_annotations": 0, "total_predictions": 0}
    ]
    line = '"text" key is expected in task data [assume: item["data"] = task root with values]'
    found = room.faults("POST", "/api/tasks/", json=body | {"data": {"x": ""}})
    assert found == (400, {"non_field_errors": [line]})
    for field in ("project", "data"):
        less = {name: value for name, value in body.items() if name != field}
        assert room.faults("POST", "/api/tasks/", json=less) == (
            400,
            {field: ["This field is required."]},
        )


def test_changed_task_is_not_checked(room):
    """A change may take away what an import must have."""
    (task,) = room.texts(1)
    room.site.call("PATCH", f"/api/tasks/{task}/", json={"data": {"x": "y"}})
    assert room.list("data") == [{"x": "y"}]


def test_drafts_of_two_users(room, person):
    """Everybody's drafts are in the task's own list and in exports; elsewhere one sees one's own."""
    headers, _ = person
    (task,) = room.texts(1)
    place = f"/api/tasks/{task}/drafts"
    mine = room.site.call("POST", place, json={"result": [SPAN], "lead_time": 1.5})["id"]
    theirs = [room.ask("POST", place, headers, json={"result": []})[1]["id"] for _ in range(2)]
    everybody = [mine, *theirs]
    assert [d["id"] for d in room.site.call("GET", place)] == everybody
    exported = room.export()[task]["drafts"]
    assert [(d["id"], d["result"], d["annotation"]) for d in exported] == [
        (mine, [SPAN], None),
        *((number, [], None) for number in theirs),
    ]
    assert exported[0]["user"] == room.site.admin().email
    assert [d["id"] for d in room.site.call("GET", f"/api/tasks/{task}/")["drafts"]] == [mine]
    seen = room.ask("GET", f"/api/tasks/{task}/", headers)[1]["drafts"]
    assert [d["id"] for d in seen] == theirs
    assert room.export(download_all_tasks="false") == {}


def test_draft_goes_when_it_is_handed_in_or_its_annotation_is_deleted(room):
    """An annotation made of a draft says when that was begun; drafts of an edit go with it."""
    (task,) = room.texts(1)
    place = f"/api/tasks/{task}/drafts"
    begun, kept = (room.site.call("POST", place, json={"result": []}) for _ in range(2))
    made = room.annotate(task, draft_id=begun["id"])
    assert made["draft_created_at"] == begun["created_at"]
    path = f"/api/tasks/{task}/annotations/{made['id']}/drafts"
    edit = room.site.call("POST", path, json={"result": [SPAN]})
    assert edit["annotation"] == made["id"]
    assert [d["id"] for d in room.export()[task]["drafts"]] == [kept["id"], edit["id"]]
    room.site.call("DELETE", f"/api/annotations/{made['id']}/")
    assert [d["id"] for d in room.export()[task]["drafts"]] == [kept["id"]]


# ── lone surrogates ─────────────────────────────────────────────────────────────────────────────


def test_lone_surrogate_breaks_what_it_is_part_of(room):
    """Exports and lists with the one task in them fail; without it, or without its data, they do not."""
    body = ",".join(f'{{"data": {{"text": "{text}"}}}}' for text in ("one", SURROGATE, "three"))
    path = f"{room.path}/import?return_task_ids=true"
    first, broken, third = room.ask("POST", path, content=f"[{body}]", headers=as_json(room))[1][
        "task_ids"
    ]
    assert list(room.export(first, third)) == [first, third]
    for chosen in ([], [broken], [first, broken]):
        params = {"exportType": "JSON", "download_all_tasks": "true", "ids[]": chosen}
        status, detail = room.faults("GET", f"{room.path}/export", params=params)
        assert (status, detail.partition(" in position ")[0]) == (
            500,
            "'utf-8' codec can't encode character '\\ud800'",
        )
    listed = {"project": room.id, "include": "id,data"}
    for place, params in ((f"/api/tasks/{broken}/", {}), ("/api/tasks/", listed)):
        status, page = room.ask("GET", place, params=params)
        assert (status, page.strip()[:15]) == (500, "<!doctype html>")
    assert room.list("id", "updated_at")[1]["id"] == broken
    assert room.list("id", "data", page_size=1, page=3) == [
        {"id": third, "data": {"text": "three"}}
    ]
    assert room.site.call("GET", f"/api/tasks/{broken}/annotations/") == []
    room.site.call("PATCH", f"/api/tasks/{broken}/", json={"data": {"text": "mended"}})
    assert list(room.export()) == [first, broken, third]


def test_lone_surrogate_in_an_annotation_is_refused_and_kept(room):
    """The server breaks on its own answer: the annotation is there, and the task can be deleted."""
    first, second = room.texts(2)
    content = f'{{"result": [{{"id": "{SURROGATE}"}}]}}'
    path = f"/api/tasks/{first}/annotations/"
    assert room.ask("POST", path, content=content, headers=as_json(room))[0] == 500
    assert room.list("total_annotations") == [1, 0]
    assert [room.ask("GET", place)[0] for place in (path, f"/api/tasks/{first}/")] == [500, 500]
    assert list(room.export(second)) == [second]
    assert room.ask("DELETE", f"/api/tasks/{first}/")[0] == 204
    assert list(room.export()) == [second]


def as_json(room):
    """The headers of a body that is JSON already."""
    return room.headers | {"Content-Type": "application/json"}
