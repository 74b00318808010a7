"""A request and its answer: who asks, what is said, and the faults that were ordered."""

import json
import re
import secrets
import time
from datetime import UTC, datetime
from http import HTTPStatus
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

RELEASE = "1.23.2"
BROKEN = "<!doctype html><title>Runtime error</title>"
MODELS = {
    "projects": "Project",
    "tasks": "Task",
    "annotations": "Annotation",
    "drafts": "AnnotationDraft",
    "predictions": "Prediction",
    "users": "User",
}


class RefusedError(Exception):
    """An answer other than success."""

    def __init__(self, status, detail, **more):
        super().__init__(detail)
        self.status = status
        self.body = {
            "id": secrets.token_hex(16),
            "status_code": status,
            "version": RELEASE,
            "detail": detail,
            "exc_info": None,
            **more,
        }


def invalid(**errors):
    """Label Studio's answer to a body that is not valid."""
    return RefusedError(400, "Validation error", validation_errors=errors)


def unknown(field, number):
    """The answer to a body that names what is not there."""
    return invalid(**{field: [f'Invalid pk "{number}" - object does not exist.']})


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
        """Answer. A lone surrogate cannot be written, in whatever it stands."""
        try:
            given = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
            text = b"" if body is None else given.encode()
        except UnicodeEncodeError:
            status, text, kind = 500, BROKEN.encode(), "text/html"
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

    def now(self):
        """The time by the server's clock, as Label Studio writes it."""
        moment = datetime.fromtimestamp(time.time() + self.server.studio.ahead, UTC)
        return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")

    def date_time_string(self, timestamp=None):
        """The time by the server's clock, as the head of every answer tells it."""
        return super().date_time_string(timestamp or time.time() + self.server.studio.ahead)

    def answer(self):
        """Status, body, and what else `send` takes."""
        if self.studio.redirect:
            return 302, None
        for method, pattern, carry_out in self.studio.routes:
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
            raise RefusedError(404, f"No {MODELS[table]} matches the given query.") from None

    def page(self, entries):
        """One page of a list."""
        assert self.user
        number, size = int(self.asked("page", 1)), int(self.asked("page_size", 100))
        found = entries[(number - 1) * size : number * size] if number > 0 else []
        if number != 1 and not found:
            raise RefusedError(404, "Invalid page.")
        return found

    def asked(self, name, otherwise=""):
        """What the query says."""
        return self.query.get(name, [otherwise])[0]

    def chosen(self, entries):
        """The fields that `include` names, else all."""
        fields = self.asked("include").split(",")
        if fields == [""]:
            return entries
        return [{name: entry[name] for name in fields if name in entry} for entry in entries]
