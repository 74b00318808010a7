"""A real HTTP proxy on the loopback address that misbehaves on order.

It stands between the toolkit and a server, pretend or real, hands requests and answers on as they
are, and notes what became of each. A request meets the fault that was ordered for it:

    ok                    no fault
    drop before           closed before the server gets the request
    drop during           closed when the server has half of the request's body
    drop after            carried out by the server, but the client gets nothing
    cut                   the answer's head and half of its body, then closed
    short                 the whole body, of which the head says that more is to come, then closed
    invalid json          half of the answer's body, under a head that fits it
    html [after]          200 and a page that asks to log in, in place of the answer
    late SECONDS          the answer comes that much later
    drip SECONDS          the answer's body one byte at a time, with that pause before each
    twice                 the server gets the request twice; the second answer goes back
    429 VALUE [after]     refused with this Retry-After, whatever it says
    401|403 [after]       refused for want of a right
    500|502|503 [after]   an error in place of the answer
    redirect URL          302 to that address
    refuse SECONDS        every connection is closed, and new ones are refused for so long

What is to come `after` is carried out by the server first. Otherwise, which `before` says too, the
server never sees a request whose answer is replaced.
"""

import random
import socket
import sys
import threading
from collections import deque
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

BLOCK = 65_536
HOP = {"connection", "keep-alive", "proxy-connection", "te", "transfer-encoding"}
"""Headers that concern one connection. A proxy has two."""

ERRORS = {
    "401": b'{"status_code": 401, "detail": "Invalid token."}',
    "403": b'{"status_code": 403, "detail": "No permission."}',
    "429": b'{"status_code": 429, "detail": "Request was throttled."}',
    "500": b'{"status_code": 500, "detail": "database is locked"}',
    "502": b"<html><title>502 Bad Gateway</title></html>",
    "503": b"<html><title>503 Service Unavailable</title></html>",
}
LOGIN = b"<!doctype html><title>Please log in</title>"
TIMED = ("late", "drip", "refuse")
TELLING = {*TIMED, "redirect", "429"}
NAMES = ("ok", "drop", "cut", "short", "invalid json", "html", "twice", "redirect", *TIMED, *ERRORS)
WHEN = {"before", "during", "after"}


@dataclass(frozen=True)
class Kind:
    """A kind of fault as ordered: its name, what was said with it, and when it strikes."""

    name: str
    said: str
    when: str
    text: str

    @classmethod
    def of(cls, text):
        """The kind that the text orders."""
        for name in NAMES:
            if text == name or text.startswith(f"{name} "):
                words = text.removeprefix(name).split()
                when = words.pop() if words[-1:] and words[-1] in WHEN else "before"
                if bool(words) == (name in TELLING) and (when != "during" or name == "drop"):
                    return cls(name, " ".join(words), when, text)
        raise ValueError(f"{text!r} is no kind of fault")

    @property
    def seconds(self):
        """How long it takes."""
        return float(self.said)


OK = Kind.of("ok")


@dataclass
class Seen:
    """What became of a request: how often the server took it, and the status the client was sent.

    The status is None when the client was sent nothing.
    """

    method: str
    path: str
    fault: str
    authorized: bool
    forwarded: int = 0
    status: int | None = None


@dataclass
class Answer:
    """An answer that was read to its end. Without a length in its head it goes out in chunks."""

    status: int
    headers: list
    body: bytes = b""

    def claiming(self, length):
        """The same, with a head that says the body is this long."""
        kept = [header for header in self.headers if header[0].lower() != "content-length"]
        return Answer(self.status, [*kept, ("Content-Length", str(length))], self.body)


class FaultProxy:
    """A proxy before the server at `target`. Use it as a context; `url` leads to it, `log` tells.

    Leaving the context closes every connection, and raises what went wrong in the proxy itself.
    """

    def __init__(self, target):
        self.target = target
        self.log, self.errors = [], []
        self.scripts, self.chance = [], lambda: OK
        self.lock, self.door, self.idle = threading.Lock(), threading.Lock(), threading.Condition()
        self.working, self.sockets = 0, set()
        self.shut, self.ending = False, threading.Event()
        self.server = Listener(("127.0.0.1", 0), Handler)
        self.server.proxy = self
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        self.listen()
        return self

    def __exit__(self, *_):
        self.ending.set()
        with self.door:
            self.stop()
            self.hang_up()
        self.server.server_close()
        if self.errors:
            raise self.errors[0]

    def script(self, method, where, *kinds):
        """Let the next requests of this method and place meet these faults, one each.

        The place is how the path ends, without its query, or a compiled pattern that is searched for
        in path and query. The method `*` is any.
        """
        with self.lock:
            self.scripts.append((method, where, deque(map(Kind.of, kinds))))

    def chaos(self, seed, rate, kinds):
        """From now on let a request that meets nothing scripted meet one of these by chance."""
        drawn, ordered = random.Random(seed), [Kind.of(kind) for kind in kinds]
        self.chance = lambda: drawn.choice(ordered) if drawn.random() < rate else OK

    @property
    def left(self):
        """The scripted faults that no request has met yet."""
        return [kind.text for _, _, kinds in self.scripts for kind in kinds]

    def settle(self):
        """Wait until every request has been carried out, also those whose client is gone."""
        with self.idle:
            assert self.idle.wait_for(lambda: not self.working, timeout=60)

    @contextmanager
    def refusing(self):
        """Close every connection, and refuse new ones for a while."""
        with self.door:
            if not self.ending.is_set():
                self.stop()
                self.server.rest()  # First, so that nobody who is hung up on finds it open.
                self.hang_up()
            yield
            if not self.ending.is_set():
                self.shut = False
                self.listen()

    def listen(self):
        """Take connections."""
        self.server.server_activate()
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def stop(self):
        """Take no more connections."""
        self.server.shutdown()
        self.thread.join()

    def hang_up(self):
        """Close every connection, to clients and to the server."""
        with self.lock:
            self.shut = True
            for one in self.sockets:
                close(one)

    @contextmanager
    def holding(self, one):
        """A socket that `hang_up` closes, also when it comes too late for that."""
        with self.lock:
            self.sockets.add(one)
            if self.shut:
                close(one)
        try:
            yield
        finally:
            with self.lock:
                self.sockets.discard(one)

    @contextmanager
    def at_work(self):
        """Count a request while it is carried out."""
        with self.idle:
            self.working += 1
        try:
            yield
        finally:
            with self.idle:
                self.working -= 1
                self.idle.notify_all()

    def met_by(self, method, path):
        """The fault that this request is to meet."""
        with self.lock:
            for wanted, where, kinds in self.scripts:
                if kinds and wanted in {method, "*"} and is_at(path, where):
                    return kinds.popleft()
            return self.chance()

    def wait(self, seconds):
        """Let time pass, unless the proxy ends meanwhile."""
        if self.ending.wait(seconds):
            raise ConnectionAbortedError("the proxy has ended")


def is_at(path, where):
    """Whether a path with its query is the place that a script names."""
    if isinstance(where, str):
        return path.partition("?")[0].endswith(where)
    return where.search(path) is not None


def close(one):
    """Close a connection that another thread may be waiting on."""
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)


class Listener(ThreadingHTTPServer):
    """The socket that takes connections, each in a thread of its own."""

    daemon_threads = False

    def __init__(self, place, handler):
        super().__init__(place, handler, bind_and_activate=False)
        self.server_bind()

    def rest(self):
        """Refuse connections, but keep the port: it is bound, and nobody listens."""
        self.socket.close()
        self.socket = socket.socket(self.address_family, self.socket_type)
        self.server_bind()

    def handle_error(self, *_):
        """Keep a fault of the proxy's own for the end."""
        self.proxy.errors.append(sys.exception())


class Handler(BaseHTTPRequestHandler):
    """One connection of a client, and a connection to the server for each request of it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        """Stay silent."""

    def handle(self):
        """Requests until either side closes."""
        with self.server.proxy.holding(self.connection), suppress(ConnectionError):
            super().handle()

    def do_GET(self):
        """Any method."""
        self.proxy = self.server.proxy
        kind = self.proxy.met_by(self.command, self.path)
        authorized = "Authorization" in self.headers
        self.seen = Seen(self.command, self.path, kind.text, authorized)
        self.proxy.log.append(self.seen)
        with self.proxy.at_work():
            try:
                self.carry_out(kind)
            except (OSError, HTTPException):
                self.close_connection = True
                if self.seen.status is None and not self.proxy.ending.is_set():
                    # The server gave no answer, or the client is gone and will not see this.
                    self.send(Answer(502, [], ERRORS["502"]).claiming(len(ERRORS["502"])))

    do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = do_GET  # noqa: N815

    def carry_out(self, kind):
        """Do as the fault says."""
        if kind.name == "ok":
            self.stream()
        elif kind.name == "drop":
            self.drop(kind.when)
        elif kind.name == "refuse":
            self.close_connection = True
            with self.proxy.refusing():
                self.proxy.ending.wait(kind.seconds)
        elif (answer := stand_in(kind)) is not None:
            body = b"".join(self.body())
            if kind.when == "after":
                self.whole(body)
            self.send(answer.claiming(len(answer.body)))
        else:
            self.spoil(kind, b"".join(self.body()))

    def stream(self):
        """Hand on the request as it comes in, and the answer as it comes back."""
        with self.asked(self.body()) as answer:
            self.head(answer.status, answer.getheaders())
            length, sent = answer.length, 0
            while block := answer.read1(BLOCK):
                self.write(block)
                sent += len(block)
            if length not in {None, sent}:
                self.close_connection = True
            else:
                self.finish_body()

    def drop(self, when):
        """Close, at one time or another."""
        self.close_connection = True
        body = b"".join(self.body())
        if when == "during":
            with closing(self.headed()) as wire:
                wire.endheaders()
                half = body[: len(body) // 2]
                wire.send(b"%x\r\n%b\r\n" % (len(half), half) if self.chunked else half)
        elif when == "after":
            self.whole(body)

    def spoil(self, kind, body):
        """Have the request carried out, and answer as the fault says."""
        answer = self.whole(body)
        half = answer.body[: len(answer.body) // 2]
        if kind.name == "cut":
            self.head(answer.status, answer.headers)
            self.write(half)
            self.close_connection = True
        elif kind.name == "short":
            self.send(answer.claiming(len(answer.body) + 10))
            self.close_connection = True
        elif kind.name == "invalid json":
            self.send(Answer(answer.status, answer.headers, half).claiming(len(half)))
        elif kind.name == "drip":
            self.send(answer, pause=kind.seconds)
        elif kind.name == "late":
            self.proxy.wait(kind.seconds)
            self.send(answer)
        elif kind.name == "twice":
            self.send(self.whole(body))

    @property
    def chunked(self):
        """Whether the request's body comes in chunks."""
        return self.headers.get("Transfer-Encoding", "").lower() == "chunked"

    def body(self):
        """The request's body, block by block."""
        if not self.chunked:
            yield from self.blocks(int(self.headers.get("Content-Length") or 0))
            return
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            yield from self.blocks(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # Headers after the body are not handed on.

    def blocks(self, size):
        """So many bytes of the request."""
        while size:
            block = self.rfile.read1(min(size, BLOCK))
            if not block:
                raise ConnectionResetError("the client is gone")
            size -= len(block)
            yield block

    def headed(self):
        """A connection to the server, on which the request's head has been put together."""
        place = urlsplit(self.proxy.target)
        wire = HTTPConnection(place.hostname, place.port)
        wire.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in HOP:
                wire.putheader(name, value)
        if self.chunked:
            wire.putheader("Transfer-Encoding", "chunked")
        return wire

    @contextmanager
    def asked(self, body):
        """The server's answer to the request, still to be read."""
        with closing(self.headed()) as wire:
            wire.connect()
            with self.proxy.holding(wire.sock):
                wire.endheaders(body, encode_chunked=self.chunked)
                with closing(wire.getresponse()) as answer:
                    self.seen.forwarded += 1
                    yield answer

    def whole(self, body):
        """The server's answer to the request with this body, read to its end."""
        with self.asked([body]) as answer:
            return Answer(answer.status, answer.getheaders(), answer.read())

    def send(self, answer, pause=None):
        """Answer, maybe byte by byte."""
        self.head(answer.status, answer.headers)
        if pause is None:
            self.write(answer.body)
        else:
            for number in range(len(answer.body)):
                self.proxy.wait(pause)
                self.write(answer.body[number : number + 1])
        self.finish_body()

    def head(self, status, headers):
        """The answer's head: that of the server, but for how the body is sent."""
        self.seen.status = status
        self.send_response_only(status)
        names = {name.lower() for name, _ in headers}
        for name, value in headers:
            if name.lower() not in HOP:
                self.send_header(name, value)
        bodiless = self.command == "HEAD" or status in {204, 304}
        self.in_chunks = not bodiless and "content-length" not in names
        if self.in_chunks:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def write(self, block):
        """A part of the answer's body."""
        if block and self.command != "HEAD":
            self.wfile.write(b"%x\r\n%b\r\n" % (len(block), block) if self.in_chunks else block)

    def finish_body(self):
        """The end of the answer's body."""
        if self.in_chunks:
            self.wfile.write(b"0\r\n\r\n")


def stand_in(kind):
    """What a client gets in place of the server's answer, if anything."""
    if kind.name == "html":
        return Answer(200, [("Content-Type", "text/html; charset=utf-8")], LOGIN)
    if kind.name == "redirect":
        return Answer(302, [("Location", kind.said)])
    if kind.name not in ERRORS:
        return None
    body = ERRORS[kind.name]
    page = "application/json" if body.startswith(b"{") else "text/html"
    more = [("Retry-After", kind.said)] if kind.name == "429" else []
    return Answer(int(kind.name), [("Content-Type", page), *more], body)
