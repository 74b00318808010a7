"""The proxy that misbehaves on order: what a client sees of each fault, and what the server saw."""

import json
import queue
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from toolkit import studio
from toolkit.schema import Schema
from toolkit.spans import Document

LOGIN = "<!doctype html><title>Please log in</title>"
CLOSED = "Server disconnected without sending a response."


class Echo(BaseHTTPRequestHandler):
    """Answers with what it was asked, in chunks where the path says so."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        """Stay silent."""

    def do_GET(self):
        """Any method."""
        try:
            content = b"".join(self.content()).decode()
        except ConnectionError:
            self.close_connection = True
            return
        self.server.asked.append((self.command, self.path, content, self.headers.items()))
        self.server.told.put(self.path)
        body = json.dumps([self.command, self.path, content]).encode()
        self.send_response(201)
        self.send_header("Set-Cookie", "a=1")
        self.send_header("Set-Cookie", "b=2")
        chunked = "chunks" in self.path
        framing = ("Transfer-Encoding", "chunked") if chunked else ("Content-Length", len(body))
        self.send_header(*map(str, framing))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked else body)

    do_POST = do_HEAD = do_GET  # noqa: N815

    def content(self):
        """What was sent, of which every part is told at once. Raises when it breaks off."""
        if "Transfer-Encoding" not in self.headers:
            yield self.part(int(self.headers.get("Content-Length") or 0))
            return
        while size := int(self.rfile.readline() or b"-1", 16):
            yield self.part(size)
            self.rfile.readline()
        self.rfile.readline()

    def part(self, size):
        """So many bytes."""
        found = self.rfile.read(max(size, 0))
        self.server.told.put(found.decode())
        if len(found) != size:
            raise ConnectionResetError
        return found


class Gate(Echo):
    """Answers by halves: the second when it is told to go on."""

    def do_GET(self):
        """A half, and the other."""
        self.send_response(200)
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"one")
        self.server.go_on.wait(5)
        self.wfile.write(b"two")


@pytest.fixture
def serve(request):
    """Start a server that keeps what it was asked."""

    def started(handler):
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = False
        server.asked, server.told = [], queue.Queue()
        server.go_on = threading.Event()
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()

        def end():
            server.shutdown()
            thread.join()
            server.server_close()

        request.addfinalizer(end)
        return server

    return started


@pytest.fixture
def echo(serve):
    """A server that echoes."""
    return serve(Echo)


@pytest.fixture
def proxy(proxy_class, echo):
    """A proxy before it."""
    with proxy_class(echo.url) as between:
        yield between


@pytest.fixture
def client(proxy):
    """A client of the proxy."""
    with httpx.Client(base_url=proxy.url, timeout=5, trust_env=False) as one:
        yield one


def asked(echo):
    """What the server was asked, less the headers."""
    return [what[:3] for what in echo.asked]


def received(client, method, path, content=""):
    """Status, the part of the body that came, and the fault that broke it off."""
    parts = []
    try:
        with client.stream(method, path, content=content) as answer:
            parts.extend(answer.iter_raw(1))
            return answer.status_code, b"".join(parts).decode(), ""
    except httpx.TransportError as error:
        return None, b"".join(parts).decode(), f"{type(error).__name__}: {error}"


# ── no fault ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", ["/a/?b=c%20d", "/chunks/?b=c%20d"])
@pytest.mark.parametrize("content", ["", "é" * 100_000, [b"one", b"two"]], ids=type)
def test_request_and_answer_are_handed_on_as_they_are(echo, proxy, client, path, content):
    """Method, path, query, headers, body, status and cookies arrive, however the bodies are framed."""
    headers = [("X-A", "1"), ("x-a", "2"), ("Authorization", "Token t")]
    sent = content if isinstance(content, str) else b"".join(content).decode()
    answer = client.post(path, content=iter(content) if sent != content else sent, headers=headers)
    assert (answer.status_code, answer.json()) == (201, ["POST", path, sent])
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert answer.headers.get("transfer-encoding") == ("chunked" if "chunks" in path else None)
    assert asked(echo) == [("POST", path, sent)]
    arrived = [(n, v) for n, v in echo.asked[0][3] if n.lower() in {"x-a", "authorization", "host"}]
    assert arrived == [("Host", proxy.url.removeprefix("http://")), *headers]
    assert "connection" not in answer.headers


def test_head_of_an_answer_comes_without_its_body(client):
    """A HEAD is answered with the length, and the connection stays in step."""
    assert client.head("/a").headers["content-length"] == "18"
    assert client.get("/a").json() == ["GET", "/a", ""]


def test_connection_is_kept(client):
    """Two requests come over one connection."""
    streams = [client.get("/a").extensions["network_stream"] for _ in range(2)]
    assert streams[0] is streams[1]


def test_answer_is_streamed(proxy_class, serve):
    """The first half of an answer is here before the server has sent the second."""
    gate = serve(Gate)
    with proxy_class(gate.url) as proxy, httpx.stream("GET", proxy.url, timeout=5) as answer:
        parts = answer.iter_raw()
        assert next(parts) == b"one"
        gate.go_on.set()
        assert b"".join(parts) == b"two"


def test_request_is_streamed(echo, client):
    """The first part of a request is with the server before the client has sent the second."""

    def parts():
        yield b"one"
        assert echo.told.get(timeout=5) == "one"
        yield b"two"

    assert client.post("/a", content=parts()).json() == ["POST", "/a", "onetwo"]


def test_log_tells_what_became_of_each_request(proxy, client):
    """Every request is noted, in order, with its fault and whether it carried a token."""
    proxy.script("GET", "/a", "500 after", "twice", "drop before")
    for headers in ({"Authorization": "Token t"}, {}):
        client.get("/a?b=1", headers=headers)
    received(client, "GET", "/a")
    client.post("/b")
    assert [
        (s.method, s.path, s.fault, s.authorized, s.forwarded, s.status) for s in proxy.log
    ] == [
        ("GET", "/a?b=1", "500 after", True, 1, 500),
        ("GET", "/a?b=1", "twice", False, 2, 201),
        ("GET", "/a", "drop before", False, 0, None),
        ("POST", "/b", "ok", False, 1, 201),
    ]


# ── faults ──────────────────────────────────────────────────────────────────────────────────────

WHOLE = '["POST", "/a", "hello"]'
BROKEN = "RemoteProtocolError: peer closed connection without sending complete message body"
OF_LENGTH = f"{BROKEN} (received {{}} bytes, expected {{}})"
LOCKED = '{"status_code": 500, "detail": "database is locked"}'
THROTTLED = '{"status_code": 429, "detail": "Request was throttled."}'
BAD_GATEWAY = "<html><title>502 Bad Gateway</title></html>"
UNAVAILABLE = "<html><title>503 Service Unavailable</title></html>"

FAULTS = {  # what the client receives, and how often the server carried it out
    "ok": ((201, WHOLE, ""), 1),
    "drop before": ((None, "", f"RemoteProtocolError: {CLOSED}"), 0),
    "drop after": ((None, "", f"RemoteProtocolError: {CLOSED}"), 1),
    "cut": ((None, WHOLE[:11], OF_LENGTH.format(11, 23)), 1),
    "short": ((None, WHOLE, OF_LENGTH.format(23, 33)), 1),
    "invalid json": ((201, WHOLE[:11], ""), 1),
    "html": ((200, LOGIN, ""), 0),
    "html before": ((200, LOGIN, ""), 0),
    "html after": ((200, LOGIN, ""), 1),
    "late 0.01": ((201, WHOLE, ""), 1),
    "drip 0.001": ((201, WHOLE, ""), 1),
    "twice": ((201, WHOLE, ""), 2),
    "429 5": ((429, THROTTLED, ""), 0),
    "429 5 after": ((429, THROTTLED, ""), 1),
    "401": ((401, '{"status_code": 401, "detail": "Invalid token."}', ""), 0),
    "403 after": ((403, '{"status_code": 403, "detail": "No permission."}', ""), 1),
    "500 before": ((500, LOCKED, ""), 0),
    "500 after": ((500, LOCKED, ""), 1),
    "502 before": ((502, BAD_GATEWAY, ""), 0),
    "502 after": ((502, BAD_GATEWAY, ""), 1),
    "503 before": ((503, UNAVAILABLE, ""), 0),
    "503 after": ((503, UNAVAILABLE, ""), 1),
    "redirect http://127.0.0.1:1/x": ((302, "", ""), 0),
    "refuse 0": ((None, "", f"RemoteProtocolError: {CLOSED}"), 0),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_fault_is_seen_once(echo, proxy, client, kind):
    """Each kind gives the client and the server what it says, and the next request meets none."""
    expected, times = FAULTS[kind]
    proxy.script("POST", "/a", kind)
    assert received(client, "POST", "/a", "hello") == expected
    proxy.settle()
    assert asked(echo) == [("POST", "/a", "hello")] * times
    assert received(client, "POST", "/a", "hello") == FAULTS["ok"][0]
    assert (proxy.left, [seen.fault for seen in proxy.log]) == ([], [kind, "ok"])


def test_answer_in_chunks_is_cut_too(echo, proxy, client):
    """Without a length, the missing end of the chunks tells the client."""
    proxy.script("POST", "/chunks", "cut")
    whole = '["POST", "/chunks", "hello"]'
    fault = f"{BROKEN} (incomplete chunked read)"
    assert received(client, "POST", "/chunks", "hello") == (None, whole[:14], fault)
    assert asked(echo) == [("POST", "/chunks", "hello")]


@pytest.mark.parametrize("content", ["hello!", [b"hello!"]], ids=["length", "chunks"])
def test_dropped_during_the_request_the_server_has_half_of_it(echo, proxy, client, content):
    """The server waits for the rest in vain."""
    proxy.script("POST", "/a", "drop during")
    message = f"RemoteProtocolError: {CLOSED}"
    sent = content if isinstance(content, str) else iter(content)
    assert received(client, "POST", "/a", sent) == (None, "", message)
    assert (echo.told.get(timeout=5), asked(echo)) == ("hel", [])


@pytest.mark.parametrize("value", ["0", "86400", "garbage", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_retry_after_says_what_was_ordered(proxy, client, value):
    """Whatever is to stand in Retry-After stands there."""
    proxy.script("GET", "/", f"429 {value}")
    answer = client.get("/")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, value)


def test_redirect_leads_where_it_was_ordered(proxy, client):
    """The address of a redirect is handed on as it is."""
    proxy.script("GET", "/", "redirect http://127.0.0.1:1/x?y=z")
    assert client.get("/").headers["location"] == "http://127.0.0.1:1/x?y=z"


def test_late_answer_outlasts_the_patience_of_a_client(echo, proxy, client):
    """The client gives up; the server has carried the request out all the same."""
    proxy.script("POST", "/a", "late 0.3")
    with pytest.raises(httpx.ReadTimeout):
        client.post("/a", timeout=0.1)
    proxy.settle()
    assert asked(echo) == [("POST", "/a", "")]


def test_dripping_answer_outlasts_a_limit_on_each_read(proxy, client):
    """Every byte comes in time; all of them together take longer than any one may."""
    proxy.script("GET", "/a", "drip 0.02")
    start = time.monotonic()
    assert client.get("/a", timeout=0.2).json() == ["GET", "/a", ""]
    assert time.monotonic() - start > 0.3


def test_refused_for_a_while(proxy, client):
    """While nobody listens connections are refused and kept ones are closed; then all is as before."""
    kept = client.get("/a").extensions["network_stream"].get_extra_info("socket")
    with proxy.refusing():
        assert kept.recv(1) == b""
        refused = (None, "", "ConnectError: [Errno 111] Connection refused")
        assert received(client, "GET", "/a") == refused
    assert client.get("/a").json() == ["GET", "/a", ""]


def test_refused_from_another_request_on(proxy):
    """A request may be the one at which the server goes away."""
    proxy.script("GET", "/a", "refuse 0.5")
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"{proxy.url}/a")
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{proxy.url}/a")
    proxy.settle()
    assert httpx.get(f"{proxy.url}/a").status_code == 201


def test_server_that_is_gone_is_a_bad_gateway(proxy_class):
    """A proxy without a server says so."""
    with proxy_class("http://127.0.0.1:1") as proxy:
        assert httpx.get(proxy.url).text == BAD_GATEWAY
    assert [(seen.status, seen.forwarded) for seen in proxy.log] == [(502, 0)]


# ── orders ──────────────────────────────────────────────────────────────────────────────────────


def test_scripts_meet_only_their_own_requests(proxy, client):
    """A script names a method or any, and a place by its end or by a pattern."""
    proxy.script("POST", "/a", "500")
    proxy.script("*", re.compile(r"page=\d\d"), "502", "ok", "503")
    paths = ["/a?page=1", "/b?page=10", "/b?page=11", "/a?page=12", "/b?page=13"]
    assert [client.get(path).status_code for path in paths] == [201, 502, 201, 503, 201]
    assert proxy.left == ["500"]
    assert [client.post(path).status_code for path in ("/b/a/c", "/b/a", "/b/a")] == [201, 500, 201]


@pytest.mark.parametrize(
    "kind", ["", "off", "late", "ok 5", "drop twice", "cut during", "redirect", "404 before"]
)
def test_unknown_fault_is_refused(proxy, kind):
    """A fault that no request could meet is a mistake of the test that orders it."""
    with pytest.raises(ValueError, match=f"^{kind!r} is no kind of fault$"):
        proxy.script("GET", "/", kind)
    with pytest.raises(ValueError, match=f"^{kind!r} is no kind of fault$"):
        proxy.chaos(1, 0.5, ["ok", kind])


def test_chance_is_the_same_for_the_same_seed(proxy, client):
    """Chaos can be repeated; what is scripted comes first, and a rate of 0 ends it."""

    def draw(seed, rate=0.5):
        proxy.chaos(seed, rate, ["500", "503"])
        return [client.get("/a").status_code for _ in range(20)]

    first = draw(1)
    assert set(first) == {201, 500, 503}
    assert draw(1) == first
    assert draw(2) != first
    proxy.script("GET", "/a", "502", "ok")
    assert draw(3, rate=1)[:2] == [502, 201]
    assert draw(1, rate=0) == [201] * 20


# ── the end ─────────────────────────────────────────────────────────────────────────────────────


def test_nothing_is_left_behind(proxy_class, echo):
    """Leaving ends what is under way: open connections, drips, delays and refusals; no thread stays."""
    before = threading.active_count()
    with proxy_class(echo.url) as proxy:
        proxy.script("GET", "/drip", "drip 60")
        proxy.script("GET", "/late", "late 60")
        outcomes = queue.Queue()
        askers = [
            threading.Thread(target=lambda p=p: outcomes.put(received(httpx, "GET", p)[2]))
            for p in (f"{proxy.url}/drip", f"{proxy.url}/late")
        ]
        for asker in askers:
            asker.start()
        paths = {"/drip", "/late"}
        while paths:
            paths.discard(echo.told.get(timeout=5))
    for asker in askers:
        asker.join()
    assert sorted(outcomes.get() for _ in askers) == [
        f"RemoteProtocolError: {CLOSED}",
        OF_LENGTH.format(0, 20),
    ]
    with pytest.raises(httpx.ConnectError):
        httpx.get(proxy.url)
    echo.shutdown()
    assert threading.active_count() <= before


def test_toolkit_pushes_through_it(site, proxy_class):
    """A push through a proxy without faults is a push; the token is seen on every request of it."""
    schema = Schema.load(Path(__file__).parent.parent / "schemas" / "commitments.yaml")
    with proxy_class(site.server.url) as proxy:
        admin = studio.connect(proxy.url, site.server.api_key)
        done = studio.push(admin, site.corpus(), "main", schema, [Document("d", "Paris")])
    assert done.created == 1
    assert {seen.fault for seen in proxy.log} == {"ok"}
    assert all(seen.authorized and seen.forwarded == 1 for seen in proxy.log)
