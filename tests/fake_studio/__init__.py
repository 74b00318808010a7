"""A pretend Label Studio over real HTTP: what the toolkit uses of it, as release 1.23.2 behaves.

Measured on a real server and repeated here, so that one suite of tests runs against both: imports are
all or nothing and never de-duplicate, spans are not checked, configs and titles lose the blanks around
them, personal tokens are exchanged for short-lived access tokens, exports name users by number, and a
deleted user leaves annotations without one. Faults can be ordered in advance with `fail`.

From the ground up: `wire` (requests and answers), `people`, `work` (annotations, drafts and
predictions), `tasks`, `projects`. What of it is contract stands in `tests/test_fake_studio.py`.
"""

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections import deque
from contextlib import contextmanager
from http.server import ThreadingHTTPServer

from fake_studio import people, projects, tasks, work
from fake_studio.wire import RELEASE, Handler

ROUTES = [
    ("GET", "/health/", lambda _: (200, {"status": "UP"})),
    ("GET", "/api/version/", lambda _: (200, {"release": RELEASE, "edition": "Community"})),
    *people.ROUTES,
    *projects.ROUTES,
    *tasks.ROUTES,
    *work.ROUTES,
]


class FakeStudio:
    """One server with its own memory. Use it as a context; `url` and `token` lead to it.

    `redirect` sends every request to another server; `claimed` is said to be the length of task lists;
    `ahead` is by how many seconds its clock is before ours.
    """

    def __init__(self):
        self.token = secrets.token_hex(20)
        self.key = secrets.token_bytes(32)
        self.users, self.sessions = {}, {}
        self.projects, self.tasks = {}, {}
        self.annotations, self.drafts, self.predictions = {}, {}, {}
        self.last = self.working = 0
        self.lock = threading.RLock()
        self.routes = ROUTES
        self.faults = deque()
        self.redirect, self.claimed = "", None
        self.ahead = 0.0
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
