"""`toolkit serve`: a trained model as Label Studio's ML backend, so that annotators get suggestions."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolkit import files
from toolkit.cli.app import app, connection
from toolkit.cli.options import JsonOption, UrlOption
from toolkit.cli.terminal import result, say
from toolkit.errors import UsageError
from toolkit.schema import Schema
from toolkit.spans import Annotation, Document

if TYPE_CHECKING:
    from toolkit.corpus import Corpus
    from toolkit.ner import Model
    from toolkit.studio import Studio
    from toolkit.studio.client import Project

__all__ = ["app", "serve"]


@app.command()
def serve(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Folder made by train.")],
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="N", help="Port; 0 takes a free one.")
    ] = 9090,
    host: Annotated[
        str,
        typer.Option(metavar="ADDRESS", help="Address to listen on; whoever reaches it may ask."),
    ] = "127.0.0.1",
    attach: Annotated[
        Path | None,
        typer.Option(metavar="CORPUS", help="Add it to the projects of this corpus."),
    ] = None,
    project: Annotated[
        str, typer.Option(metavar="NAME", help="With --attach: one project only; else every one.")
    ] = "",
    schema: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The model's schema; else the corpus's, else commitments."
        ),
    ] = None,
    control: Annotated[
        float,
        typer.Option(
            min=0.0, max=1.0, metavar="SHARE", help="Share of documents that get no suggestions."
        ),
    ] = 0.0,
    url: UrlOption = "",
    as_json: JsonOption = False,
) -> None:
    """Suggest a model's spans to annotators in Label Studio.

    It answers Label Studio's requests until Ctrl-C. The local Label Studio asks it only when it was
    started with --models. Which documents the control arm holds is decided by their ids alone.
    """
    from toolkit import ner, studio
    from toolkit.corpus import Corpus

    if project and not attach:
        raise UsageError(f"--project {project}: of which corpus? Name it with --attach")
    loaded = ner.load(model)
    corpus = Corpus.load(attach) if attach else None
    known = _schema(model, loaded, corpus, schema)
    askers = _askers(connection(url), corpus, project, host) if corpus else None
    version = _version(model, loaded)
    told: dict[str, Any] = {"url": "", "model_version": version, "control": control, "projects": []}
    suggesting = studio.ml_backend(
        _reader(loaded, corpus), known, version, control=control, say=say
    )
    with studio.serving(suggesting, host=host, port=port) as serving, suppress(KeyboardInterrupt):
        if askers:
            askers.studio.attach(askers.projects, serving.url, version)
            told["projects"] = [found.id for found in askers.projects]
        told["url"] = serving.url
        result(told, as_json=as_json, text=f"{serving.url} suggests as {version}; Ctrl-C ends it")
        sys.stdout.flush()
        serving.wait()
    say("stopped")


@dataclass(frozen=True, slots=True)
class _Askers:
    """The projects that are to ask the model, and the server they are on."""

    studio: Studio
    projects: Sequence[Project]


def _schema(path: Path, model: Model, corpus: Corpus | None, given: Path | None) -> Schema:
    """The schema meant, which must have every label of the model."""
    default = files.resource("schemas/commitments.yaml")
    schema = corpus.schema if corpus and not given else Schema.load(given or default)
    strange = sorted(set(model.labels) - {label.name for label in schema.labels})
    if strange:
        what = f"{path}: labels that the schema {schema.name} lacks ({', '.join(strange)})"
        raise UsageError(f"{what}; name the model's schema with --schema")
    return schema


def _askers(studio: Studio, corpus: Corpus, project: str, host: str) -> _Askers:
    from toolkit.cli.exchange import annotators_projects
    from toolkit.studio.server import status

    if host in {"", "0.0.0.0", "::"}:  # noqa: S104 (it is refused)
        what = f"--host {host}: no address that Label Studio could ask"
        raise UsageError(f"{what}; with --attach name the one this machine has")
    local = status()
    if local.running and local.url == studio.url and not local.models:
        what = "the local Label Studio runs without --models and may not ask a model here"
        cure = "toolkit studio stop, then toolkit studio start --models"
        raise UsageError(f"{what}; {cure}")
    return _Askers(studio, annotators_projects(studio, corpus, project))


def _reader(
    model: Model, corpus: Corpus | None
) -> Callable[[Sequence[Document]], Iterator[Annotation]]:
    """The model as it reads tasks. Of the corpus's documents it knows the zones, which tasks lack."""
    texts = corpus.texts if corpus else {}

    def read(documents: Sequence[Document]) -> Iterator[Annotation]:
        held = [texts.get(document.id, document) for document in documents]
        pairs = zip(documents, held, strict=True)
        return model.predict(own if own.text == sent.text else sent for sent, own in pairs)

    return read


def _version(path: Path, model: Model) -> str:
    """The model's name and a digest of its files: Label Studio asks a new version again."""
    total = hashlib.sha256()
    for part in sorted(part for part in path.rglob("*") if part.is_file()):
        total.update(part.relative_to(path).as_posix().encode() + b"\0")
        total.update(hashlib.sha256(part.read_bytes()).digest())
    return f"{model.name}-{total.hexdigest()[:8]}"
