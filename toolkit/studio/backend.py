"""A model behind Label Studio's ML-backend protocol: annotators get its suggestions as they open a task.

Label Studio asks without saying who it is, so anybody who reaches the port may ask. What it sends is
checked and forgotten: nothing of a request is logged but counts, and the token in `/setup`, the whole
account of a project's owner, is not even looked at.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import socket
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from toolkit.errors import UsageError
from toolkit.schema import Schema
from toolkit.spans import Annotation, Document, Span, is_storable
from toolkit.studio.arms import in_control
from toolkit.studio.page import LABELS, TEXT
from toolkit.studio.results import to_result
from toolkit.studio.server import tidy

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

__all__ = ["Serving", "ml_backend", "serving"]

LARGEST = 64 * 2**20
"""Bytes of a request body that is still read."""

REMEMBERED = 4096
"""How many texts' spans are kept, the latest asked for."""

PATIENCE = 5
"""Seconds that requests under way have left when the server is ended."""

Predict = Callable[[Sequence[Document]], Iterable[Annotation]]
Say = Callable[[str], None]
Answer = Callable[[Mapping[str, Any]], dict[str, Any]]


# ── answers ─────────────────────────────────────────────────────────────────────────────────────


class _RefusedError(Exception):
    """A body that is not what the protocol says, and the status that says so."""

    def __init__(self, what: str, status: int = 400) -> None:
        super().__init__(what)
        self.status = status


@dataclass
class _Model:
    """The model, one asker at a time, with the spans of the texts it has read lately."""

    predict: Predict
    schema: Schema
    version: str
    control: float
    say: Say
    alone: threading.Lock = field(default_factory=threading.Lock)
    read: OrderedDict[str, tuple[Span, ...]] = field(default_factory=OrderedDict)
    told: set[str] = field(default_factory=set)

    def health(self) -> dict[str, Any]:
        """The answer to whoever asks whether it is there."""
        return {"status": "UP", "model_version": self.version}

    def setup(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to `/setup`. Of the body only the project's labels are looked at."""
        self._known(body, "schema")
        return {"model_version": self.version}

    def suggest(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to `/predict`: one prediction per task, in order; none in the control arm.

        An empty one would read as if annotators had been shown that the model finds nothing.
        """
        tasks = body.get("tasks")
        if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
            raise _RefusedError("tasks is no list of objects; send what Label Studio sends")
        known = self._known(body, "label_config")
        documents = [_document(task) for task in tasks]
        given = [d for d in documents if d]
        read = [d for d in given if not in_control(d.id, self.control)]
        spans = self._spans(read)
        control, without = len(given) - len(read), len(documents) - len(given)
        self.say(f"{len(read)} tasks read, {control} in the control arm, {without} without a text")
        return {"results": [self._prediction(d, spans, known) for d in documents]}

    def _prediction(
        self,
        document: Document | None,
        spans: Mapping[str, Iterable[Span]],
        known: Collection[str],
    ) -> dict[str, Any] | list[Any]:
        if document and in_control(document.id, self.control):
            return []
        result = self._result(document, spans[document.text], known) if document else []
        return {"result": result, "score": None, "model_version": self.version}

    def _known(self, body: Mapping[str, Any], field_name: str) -> Collection[str]:
        """The labels of ours that the project knows; those it does not are said once."""
        ours = [label.name for label in self.schema.labels]
        theirs = _labels(body.get(field_name))
        if theirs is None:
            return ours
        missing = ", ".join(name for name in ours if name not in theirs)
        # A project is named by its number and the time it was made.
        project = str(body.get("project")).partition(".")[0][:20]
        what = f"project {project} does not know {missing}: no suggestions of these labels"
        if missing and what not in self.told and len(self.told) < REMEMBERED:
            self.told.add(what)
            self.say(what)
        return theirs

    def _spans(self, documents: Sequence[Document]) -> dict[str, tuple[Span, ...]]:
        """The spans of each text, predicted or remembered."""
        texts = {_digest(document.text): document for document in documents}
        with self.alone:
            found = {key: self.read[key] for key in texts if key in self.read}
            fresh = [document for key, document in texts.items() if key not in found]
            for document, annotation in zip(fresh, self.predict(fresh), strict=True):
                found[_digest(document.text)] = annotation.spans
            for key, spans in found.items():
                self.read[key] = spans
                self.read.move_to_end(key)
            while len(self.read) > REMEMBERED:
                self.read.popitem(last=False)
        return {document.text: found[key] for key, document in texts.items()}

    def _result(
        self, document: Document, spans: Iterable[Span], known: Collection[str]
    ) -> list[dict[str, Any]]:
        kept = [span for span in spans if span.label in known]
        named = tuple(replace(span, id=f"s{n}") for n, span in enumerate(kept, start=1))
        items = to_result(Annotation(document.id, spans=named), self.schema, document)
        # Label Studio notes `prediction-changed` where an annotator changes one of these.
        return [item | {"origin": "prediction"} for item in items]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _document(task: Mapping[str, Any]) -> Document | None:
    """What a task asks to be read; None when it holds no text."""
    data = task.get("data")
    text = data.get(TEXT) if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(text, str) or not is_storable(text):
        return None
    name = data.get("document")
    return Document(name if isinstance(name, str) else str(task.get("id")), text)


def _labels(config: Any) -> Collection[str] | None:
    """The labels of a labelling config that this server could suggest; None when there is none."""
    if not isinstance(config, str) or not config.strip():
        return None
    # Without a document type there are no entities that could grow.
    if "<!DOCTYPE" in config:
        raise _RefusedError("a labelling config with a document type; take it out")
    try:
        view = ET.fromstring(config)  # noqa: S314 (no entities, see above)
    except (ET.ParseError, ValueError) as error:
        raise _RefusedError("the labelling config is no XML; mend it") from error
    controls = [
        c for c in view.iter("Labels") if (c.get("name"), c.get("toName")) == (LABELS, TEXT)
    ]
    return {str(label.get("value")) for control in controls for label in control.iter("Label")}


# ── requests ────────────────────────────────────────────────────────────────────────────────────


def ml_backend(
    predict: Predict,
    schema: Schema,
    version: str,
    *,
    control: float = 0.0,
    say: Say = lambda _: None,
) -> Starlette:
    """An ASGI application that suggests what `predict` finds, as `version`.

    `schema` is what the model was trained on. Labels that a project does not know are left out of its
    suggestions, and `say` is told once. Documents of the `control` arm get none: see `in_control`.
    """
    from starlette.applications import Starlette
    from starlette.routing import Route

    model = _Model(predict, schema, version, control, say)
    health, heard = _always(model.health()), _always({})
    routes = [
        Route("/", health),
        Route("/health", health),
        Route("/setup", _answering(model.setup, aside=False), methods=["POST"]),
        Route("/predict", _answering(model.suggest, aside=True), methods=["POST"]),
        Route("/webhook", heard, methods=["POST"]),
    ]
    return Starlette(routes=routes)


def _always(told: Mapping[str, Any]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(_: Request) -> Response:
        from starlette.responses import JSONResponse

        return JSONResponse(told)

    return endpoint


def _answering(answer: Answer, *, aside: bool) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint that gives this answer; what takes long is found aside, so that nobody waits."""

    async def endpoint(request: Request) -> Response:
        from starlette.responses import JSONResponse

        try:
            content = await _content(request)
            if aside:
                return JSONResponse(await asyncio.to_thread(lambda: answer(_parsed(content))))
            return JSONResponse(answer(_parsed(content)))
        except _RefusedError as error:
            return JSONResponse({"detail": str(error)}, error.status)

    return endpoint


async def _content(request: Request) -> bytes:
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > LARGEST:
            raise _RefusedError(f"a body of more than {LARGEST} bytes; send fewer tasks", 413)
    return bytes(content)


def _parsed(content: bytes) -> Mapping[str, Any]:
    try:
        body = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _RefusedError("the body is no JSON; send what Label Studio sends") from error
    if not isinstance(body, dict):
        raise _RefusedError("the body is no JSON object; send what Label Studio sends")
    return body


# ── the server ──────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Serving:
    """A server at work: where it is, and a way to wait for its end."""

    url: str
    wait: Callable[[], None]


@contextmanager
def serving(app: Starlette, *, host: str = "127.0.0.1", port: int = 0) -> Iterator[Serving]:
    """The application answering at an address of this machine while the body runs.

    Port 0 takes a free one. Raises `UsageError` when the address cannot be had.
    """
    import uvicorn

    listening = _listen(host, port)
    shown = f"[{host}]" if ":" in host else host
    url = f"http://{shown}:{listening.getsockname()[1]}"
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=PATIENCE,
    )
    server = uvicorn.Server(config)
    # Beside the main thread it leaves signals to us.
    thread = threading.Thread(target=server.run, args=([listening],), name="backend")
    with listening, tidy():
        thread.start()
        try:
            yield Serving(url, thread.join)
        finally:
            server.should_exit = True
            thread.join()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            what, cure = "is taken", "choose another with --port"
        else:
            why = str(error.strerror).partition(" (")[0]
            what, cure = f"cannot be had ({why})", "choose another with --host or --port"
        raise UsageError(f"port {port} on {host} {what}; {cure}") from error
