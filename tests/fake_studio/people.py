"""Users, their tokens, and how they come and go."""

import secrets
import time
from urllib.parse import parse_qs

from fake_studio.wire import RefusedError

INVITATION = "/user/signup/?token=invited"


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
    """The user goes with the drafts; the annotations stay, and nobody has made or changed them."""
    email = request.one("users", number)["email"]
    studio = request.studio
    del studio.users[number]
    for draft in [draft for draft in studio.drafts.values() if draft["user"] == email]:
        del studio.drafts[draft["id"]]
    for entry in (*studio.annotations.values(), *studio.tasks.values()):
        for field in ("completed_by", "updated_by"):
            if entry.get(field) == number:
                entry[field] = None
    return 204, None


ROUTES = [
    ("GET", "/api/current-user/whoami", lambda r: (200, public(r.user))),
    ("GET", "/api/users/", lambda r: (200, [public(u) for u in r.studio.users.values() if r.user])),
    ("DELETE", r"/api/users/(\d+)/", delete_user),
    ("POST", "/api/token/refresh/", refresh),
    ("POST", "/api/token/", lambda r: (201, {"token": r.studio.jwt("refresh", r.user["id"], 9e9)})),
    ("GET", "/api/invite", lambda r: (200, {"invite_url": INVITATION} if r.user else None)),
    ("GET", "/user/login/", lambda _: (200, "<!doctype html>", "text/html", ["csrftoken=c"])),
    ("POST", "/user/signup/", sign_up),
]
