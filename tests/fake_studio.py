"""A pretend Label Studio over real HTTP: what the toolkit uses of it, as release 1.23.2 behaves.

Measured on a real server and repeated here, so that one suite of tests runs against both: imports are
all or nothing and never de-duplicate, spans are not checked, configs and titles lose the blanks around
them, personal tokens are exchanged for short-lived access tokens, exports name users by number, and a
deleted user leaves annotations without one. Faults can be ordered in advance with `fail`.
"""

import base64
import hashlib
import hmac
import json
import re
import secrets
import threading
import time
from collections import deque
from contextlib import contextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree as ET

INVITATION = "/user/signup/?token=invited"


class RefusedError(Exception):
    """An answer other than success."""

    def __init__(self, status, detail, **more):
        super().__init__(detail)
        self.status = status
        self.body = {"id": secrets.token_hex(16), "status_code": status, "detail": detail, **more}


def invalid(**errors):
    """Label Studio's answer to a body that is not valid."""
    return RefusedError(400, "Validation error", validation_errors=errors)


class FakeStudio:
    """One server with its own memory. Use it as a context; `url` and `token` lead to it.

    `redirect` sends every request to another server; `claimed` is said to be the length of task lists.
    """

    def __init__(self):
        self.token = secrets.token_hex(20)
        self.key = secrets.token_bytes(32)
        self.users, self.sessions = {}, {}
        self.projects, self.tasks, self.annotations, self.drafts = {}, {}, {}, {}
        self.last = self.working = 0
        self.lock = threading.RLock()
        self.faults = deque()
        self.redirect, self.claimed = "", None
        self.requests = []
        self.add_user("admin@example.com", token=self.token)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = False
        self.server.studio = self
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def fail(self, method, path, *kinds):
        """Let the next requests whose path ends like this meet these faults, one each.

        `drop`, `html`, `500` and `late` come `before` the request is carried out or `after`; `cut`
        breaks off in the middle of the answer; `twice` carries it out twice; `ok` is no fault.
        """
        self.faults.extend((method, path, kind) for kind in kinds)

    def settle(self):
        """Wait until every request has been carried out, also those whose client is gone."""
        while self.working:
            time.sleep(0.01)

    @contextmanager
    def at_work(self):
        """Count a request while it is carried out."""
        with self.lock:
            self.working += 1
        try:
            yield
        finally:
            with self.lock:
                self.working -= 1

    def add_user(self, email, token=""):
        """A user, and the number of it."""
        user = {"id": self.number(), "email": email, "token": token or secrets.token_hex(20)}
        self.users[user["id"]] = user
        return user["id"]

    def number(self):
        """A number that nothing else has."""
        with self.lock:
            self.last += 1
            return self.last

    def jwt(self, kind, user, expires):
        """A signed token."""
        parts = (
            {"alg": "HS256"},
            {"token_type": kind, "exp": int(expires), "user_id": user},
        )
        body = b".".join(
            base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=") for p in parts
        )
        signature = base64.urlsafe_b64encode(hmac.digest(self.key, body, hashlib.sha256))
        return (body + b"." + signature.rstrip(b"=")).decode()

    def user_of(self, token, kind):
        """The user a signed token of this kind belongs to, or None."""
        try:
            payload = token.split(".")[1]
            said = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        except (IndexError, ValueError):
            return None
        genuine = self.jwt(kind, said["user_id"], said["exp"]) == token
        return said["user_id"] if genuine and said["exp"] > time.time() else None


class Handler(BaseHTTPRequestHandler):
    """One request."""

    def log_message(self, *_):
        """Stay silent."""

    def do_GET(self):
        """Any method."""
        self.studio = self.server.studio
        with self.studio.at_work():
            self.serve()

    def serve(self):
        """Carry out the request and answer, or do what the ordered fault says."""
        parts = urlsplit(self.path)
        self.place, self.query = parts.path, parse_qs(parts.query)
        self.content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.studio.requests.append((self.command, self.place))
        before, _, after = self.fault().partition(" ")
        if after == "before" and self.spoil(before):
            return
        answer = self.answer()
        if before == "twice":
            answer = self.answer()
        if after == "after" and self.spoil(before):
            return
        self.send(*answer, cut=before == "cut")

    do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815

    def fault(self):
        """The fault this request was ordered to meet."""
        with self.studio.lock:
            faults = self.studio.faults
            if faults and faults[0][0] == self.command and self.place.endswith(faults[0][1]):
                return faults.popleft()[2]
        return ""

    def spoil(self, kind):
        """Do what the fault says; True when nothing more is to be answered."""
        if kind == "late":
            time.sleep(1.4)
            return False
        if kind == "html":
            self.send(200, "<!doctype html><title>Please log in</title>", "text/html")
        if kind == "500":
            self.send(500, {"detail": "database is locked", "status_code": 500})
        return True

    def send(self, status, body=None, kind="application/json", cookies=(), cut=False):
        """Answer."""
        text = (
            b"" if body is None else (body if isinstance(body, str) else json.dumps(body)).encode()
        )
        try:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(text)))
            for cookie in cookies:
                self.send_header("Set-Cookie", f"{cookie}; Path=/")
            if status == HTTPStatus.FOUND:
                self.send_header("Location", f"{self.studio.redirect}{self.place}")
            self.end_headers()
            self.wfile.write(text[: len(text) // 2] if cut else text)
        except (BrokenPipeError, ConnectionResetError):
            pass  # The client lost patience.

    def answer(self):
        """Status, body, and what else `send` takes."""
        if self.studio.redirect:
            return 302, None
        for method, pattern, carry_out in ROUTES:
            found = re.fullmatch(pattern, self.place)
            if found and method == self.command:
                try:
                    with self.studio.lock:
                        return carry_out(self, *map(int, found.groups()))
                except RefusedError as refused:
                    return refused.status, refused.body
        return 404, {"detail": "Not found."}

    @property
    def user(self):
        """Who asks."""
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        studio, found = self.studio, None
        if scheme == "Token":
            found = next((u["id"] for u in studio.users.values() if u["token"] == token), None)
        elif scheme == "Bearer":
            found = studio.user_of(token, "access")
        else:
            session = SimpleCookie(self.headers.get("Cookie", "")).get("sessionid")
            found = studio.sessions.get(session.value) if session else None
        if found not in studio.users:
            raise RefusedError(401, "Invalid token.")
        return studio.users[found]

    @property
    def json(self):
        """The body."""
        try:
            return json.loads(self.content)
        except ValueError as error:
            raise RefusedError(400, f"JSON parse error - {error}") from error

    def one(self, table, number):
        """An entry, for a user who may see it."""
        assert self.user
        try:
            return getattr(self.studio, table)[number]
        except KeyError:
            raise RefusedError(404, "No match for the given query.") from None

    def page(self, entries):
        """One page of a list."""
        assert self.user
        number, size = (int(self.query.get(name, [100])[0]) for name in ("page", "page_size"))
        number = number if "page" in self.query else 1
        found = entries[(number - 1) * size : number * size]
        if number > 1 and not found:
            raise RefusedError(404, "Invalid page.")
        return found

    def chosen(self, entries):
        """The fields that `include` names, else all."""
        fields = self.query.get("include", [""])[0].split(",")
        if fields == [""]:
            return entries
        return [{name: entry[name] for name in fields if name in entry} for entry in entries]


def now():
    """The time as Label Studio writes it."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def public(user):
    """What others see of a user."""
    return {"id": user["id"], "email": user["email"], "username": ""}


def refresh(request):
    """A personal token for an access token."""
    user = request.studio.user_of(request.json["refresh"], "refresh")
    if user is None:
        raise RefusedError(401, "Token is invalid")
    return 200, {"access": request.studio.jwt("access", user, time.time() + 300)}


def sign_up(request):
    """A new user, by invitation only."""
    studio = request.studio
    if request.query.get("token") != ["invited"]:
        return 403, "<!doctype html>Sign-up is closed", "text/html"
    form = parse_qs(request.content.decode())
    if form["email"][0] in [user["email"] for user in studio.users.values()]:
        return 200, "<!doctype html>User with this email already exists", "text/html"
    session = secrets.token_hex(8)
    studio.sessions[session] = studio.add_user(form["email"][0])
    return 302, None, "text/html", [f"sessionid={session}"]


def delete_user(request, number):
    """The user goes, the annotations stay."""
    del request.studio.users[request.one("users", number)["id"]]
    for annotation in request.studio.annotations.values():
        if annotation["completed_by"] == number:
            annotation["completed_by"] = None
    return 204, None


def check_config(config):
    """What is stored of a config: all but the blanks around it."""
    try:
        ET.fromstring(config)
    except ET.ParseError as error:
        raise invalid(label_config=[str(error)]) from error
    return config.strip()


def create_project(request):
    """A project."""
    assert request.user
    given = request.json
    title = given["title"].strip()
    if not 3 <= len(title) <= 50:
        raise invalid(title=["Ensure this field has at least 3 characters."])
    project = {
        "id": request.studio.number(),
        "title": title,
        "description": given.get("description", "").strip(),
        "label_config": check_config(given["label_config"]),
        "expert_instruction": given.get("expert_instruction", ""),
        "show_instruction": given.get("show_instruction", False),
    }
    request.studio.projects[project["id"]] = project
    return 201, project


def change_project(request, number):
    """Other settings, unless annotations made here would become invalid."""
    project, given = request.one("projects", number), request.json
    if "label_config" in given:
        given["label_config"] = check_config(given["label_config"])
        names = {tag.get("name") for tag in ET.fromstring(given["label_config"]).iter()}
        for annotation in request.studio.annotations.values():
            used = {item.get("from_name") for item in annotation["result"]} - {None}
            if annotation["project"] == number and used - names:
                what = "Created annotations are incompatible with provided labeling schema"
                raise invalid(label_config=[what])
    project.update(given)
    return 200, project


def list_projects(request):
    """A page of projects, newest first."""
    entries = sorted(request.studio.projects.values(), key=lambda p: -p["id"])
    return 200, {"count": len(entries), "results": request.chosen(request.page(entries))}


def import_tasks(request, number):
    """All or nothing, and never looking at what is there already."""
    project, given = request.one("projects", number), request.json
    needed = re.findall(r'value="\$(\w+)"', project["label_config"])
    for place, part in enumerate(given):
        for name in needed:
            if name not in part["data"]:
                raise invalid(non_field_errors=[f'Error at item {place}: "{name}" key is expected'])
    if not given:
        raise invalid(non_field_errors=["load_tasks: No tasks added"])
    for part in given:
        task = {"id": request.studio.number(), "project": number, "data": part["data"], "meta": {}}
        request.studio.tasks[task["id"]] = task
    return 201, {"task_count": len(given), "annotation_count": 0, "prediction_count": 0}


def counts(request, task):
    """A task with what hangs on it counted."""
    made = [a for a in request.studio.annotations.values() if a["task"] == task["id"]]
    skipped = sum(a["was_cancelled"] for a in made)
    return task | {
        "total_annotations": len(made) - skipped,
        "cancelled_annotations": skipped,
        "total_predictions": 0,
    }


def list_tasks(request):
    """A page of a project's tasks."""
    wanted = int(request.query["project"][0])
    entries = [task for task in request.studio.tasks.values() if task["project"] == wanted]
    found = request.chosen([counts(request, task) for task in request.page(entries)])
    return 200, {"total": request.studio.claimed or len(entries), "tasks": found}


def change_task(request, number):
    """Other data."""
    request.one("tasks", number).update(request.json)
    return 200, counts(request, request.one("tasks", number))


def delete_task(request, number):
    """The task and all that hangs on it."""
    del request.studio.tasks[request.one("tasks", number)["id"]]
    for table in (request.studio.annotations, request.studio.drafts):
        for entry in [entry for entry in table.values() if entry["task"] == number]:
            del table[entry["id"]]
    return 204, None


def annotate(request, number):
    """An annotation, whatever its spans; only its items must be objects."""
    task, given = request.one("tasks", number), request.json
    if not isinstance(given["result"], list):
        raise invalid(result=['annotation "result" field in annotation must be list'])
    if not all(isinstance(item, dict) for item in given["result"]):
        raise RefusedError(500, "'str' object has no attribute 'get'")
    annotation = {
        "id": request.studio.number(),
        "task": number,
        "project": task["project"],
        "completed_by": given.get("completed_by", request.user["id"]),
        "result": given["result"],
        "was_cancelled": given.get("was_cancelled", False),
        "lead_time": None if given.get("lead_time") is None else float(given["lead_time"]),
        "created_at": now(),
        "updated_at": now(),
        "created_username": f" {request.user['email']}, {request.user['id']}",
    }
    request.studio.annotations[annotation["id"]] = annotation
    return 201, annotation


def change_annotation(request, number):
    """An edit keeps the number and moves the time."""
    request.one("annotations", number).update(request.json, updated_at=now())
    return 200, request.one("annotations", number)


def draft(request, number):
    """Work that has not been submitted. Only exports show it to others."""
    entry = {"id": request.studio.number(), "task": request.one("tasks", number)["id"]}
    entry |= {"result": request.json["result"], "user": request.user["email"]}
    request.studio.drafts[entry["id"]] = entry
    return 201, entry


def export(request, number):
    """Tasks with annotations and drafts; users by number. A lone surrogate breaks it for good."""
    request.one("projects", number)
    chosen = [int(one) for one in request.query.get("ids[]", ())]
    everything = request.query.get("download_all_tasks", ["false"])[0].lower() == "true"
    tasks = []
    for task in request.studio.tasks.values():
        if task["project"] != number or (chosen and task["id"] not in chosen):
            continue
        made = [
            {key: value for key, value in entry.items() if key != "created_username"}
            for entry in request.studio.annotations.values()
            if entry["task"] == task["id"]
        ]
        drafts = [d for d in request.studio.drafts.values() if d["task"] == task["id"]]
        if made or everything:
            extras = {"annotations": made, "drafts": drafts, "predictions": []}
            tasks.append(counts(request, task) | extras)
    text = json.dumps(tasks, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RefusedError(500, str(error)) from error
    return 200, text, "application/.json"


ROUTES = [
    ("GET", "/health/", lambda _: (200, {"status": "UP"})),
    ("GET", "/api/current-user/whoami", lambda r: (200, public(r.user))),
    ("GET", "/api/users/", lambda r: (200, [public(u) for u in r.studio.users.values() if r.user])),
    ("DELETE", r"/api/users/(\d+)/", delete_user),
    ("POST", "/api/token/refresh/", refresh),
    ("POST", "/api/token/", lambda r: (201, {"token": r.studio.jwt("refresh", r.user["id"], 9e9)})),
    ("GET", "/api/invite", lambda r: (200, {"invite_url": INVITATION} if r.user else None)),
    ("GET", "/user/login/", lambda _: (200, "<!doctype html>", "text/html", ["csrftoken=c"])),
    ("POST", "/user/signup/", sign_up),
    ("GET", "/api/projects/", list_projects),
    ("POST", "/api/projects/", create_project),
    ("GET", r"/api/projects/(\d+)/", lambda r, n: (200, r.one("projects", n))),
    ("PATCH", r"/api/projects/(\d+)/", change_project),
    ("POST", r"/api/projects/(\d+)/import", import_tasks),
    ("GET", r"/api/projects/(\d+)/export", export),
    ("GET", "/api/tasks/", list_tasks),
    ("PATCH", r"/api/tasks/(\d+)/", change_task),
    ("DELETE", r"/api/tasks/(\d+)/", delete_task),
    ("POST", r"/api/tasks/(\d+)/annotations/", annotate),
    ("POST", r"/api/tasks/(\d+)/drafts", draft),
    ("PATCH", r"/api/annotations/(\d+)/", change_annotation),
]
