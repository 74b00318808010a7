"""Systems to train, the training run, and trained models that predict.

Training is a function of (data, system, seed): two runs on CPU give the same weights.
"""

from __future__ import annotations

import io
import json
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from itertools import pairwise, tee
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit import files
from toolkit.errors import DiskError, Fault, InvalidDataError, UsageError
from toolkit.ner.tokens import TOKENIZER, to_doc, tokenize
from toolkit.ner.weights import copy_encoder, weights
from toolkit.schema import Schema
from toolkit.spans import Annotation, Document, Span

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

__all__ = ["Model", "System", "Trained", "load", "train"]

_WIDTH = 8
"""How many ways to read a paragraph are weighed."""

_BLANK_LINE = re.compile(r"\n\s*\n")

Reading = tuple[Document, Annotation]
"""A document with its tokens, and what is to be learnt from it."""

Progress = Callable[[int, int, float | None], None]
"""Called with the step, the last step there can be, and the score on validation when one was taken."""


@dataclass(frozen=True, slots=True)
class System:
    """A way to make a model: a file in `benchmarks/<name>/systems/`.

    `weights` names a spaCy pipeline whose vectors are taken, and whose NER encoder training starts
    from: `en_core_web_md`, or a folder. `overrides` are dotted settings of spaCy's training
    configuration, such as `training.max_steps`.
    """

    name: str
    engine: str
    description: str
    overrides: dict[str, Any] = field(default_factory=dict)
    weights: str = ""

    @classmethod
    def load(cls, path: Path) -> System:
        """The system of a YAML file. Raises `InvalidDataError`."""
        system = files.read_yaml(path, cls)
        if system.engine != "spacy":
            what = f"engine {system.engine!r} is not known"
            raise InvalidDataError([Fault(str(path), 0, what, "use spacy")])
        return system


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training run gave: its best step, and that step's F1 on validation by layer, 0 to 1.

    There is none for a layer of which neither side has a span.
    """

    path: Path
    steps: int
    best_step: int
    validation: dict[str, float | None]


@dataclass(frozen=True)
class Model:
    """A trained pipeline that reads documents."""

    name: str
    nlp: Language
    layers: tuple[str, ...]
    facts: dict[str, Any]

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels it gives, layer by layer."""
        return tuple(label for name in self._heads() for label in self.nlp.pipe_labels[name])

    def predict(self, documents: Iterable[Document], *, processes: int = 1) -> Iterator[Annotation]:
        """One annotation per document, in order, by `model:<name>`.

        Documents that carry tokens keep them; others are cut by the toolkit's tokenizer.
        """
        documents, again = tee(documents)
        docs = map(self._doc, documents)
        for document, doc in zip(again, self.nlp.pipe(docs, n_process=processes), strict=True):
            spans = sorted(self._spans(doc), key=lambda s: (s.start, -s.end, s.label))
            yield Annotation(document.id, f"model:{self.name}", tuple(spans))

    def doubt(self, documents: Iterable[Document]) -> Iterator[float]:
        """How unsure the model is of each document, in order: 0 for certain, up to 1 for lost.

        Of each paragraph every head gives the likeliest sets of spans with their probabilities (a
        beam search over the probabilities of its actions). Spans in the best set and in another
        agree, spans in one of the two are disputed; doubt is the expected number of disputed spans
        over all of both, to which one is added, so that a document in which next to nothing is likely
        is not in doubt. After the n-best measures of Settles & Craven (2008), taken over spans so that
        length makes no difference.
        """
        for document in documents:
            whole = passages(self._cut(document), Annotation(document.id))
            agreed = disputed = 0.0
            for doc in self.nlp.pipe(to_doc(part, self.nlp.vocab) for part, _ in whole):
                for name in self._heads():
                    head: Any = self.nlp.get_pipe(name)
                    found = head.analyses(doc, width=_WIDTH)
                    best = found[0][1]
                    agreed += sum(p * len(best & spans) for p, spans in found)
                    disputed += sum(p * len(best ^ spans) for p, spans in found)
            yield disputed / (1 + agreed + disputed)

    def _heads(self) -> list[str]:
        names = self.nlp.pipe_names
        return [name for name in names if self.nlp.get_pipe_meta(name).factory == "layer_ner"]

    def _doc(self, document: Document) -> Doc:
        return to_doc(self._cut(document), self.nlp.vocab)

    def _cut(self, document: Document) -> Document:
        if document.tokens:
            return document
        return replace(document, tokens=tokenize(document, str(self.nlp.lang)))

    def _spans(self, doc: Doc) -> Iterator[Span]:
        for layer in self.layers:
            for span in doc.spans.get(layer, ()):
                yield Span(span.start_char, span.end_char, span.label_, text=span.text)


def load(path: Path) -> Model:
    """The model in this folder. Only folders are loaded: a package's name would run its code."""
    if not (path / "config.cfg").is_file():
        raise UsageError(f"{path}: no model here (no config.cfg); name a folder made by train")
    import spacy

    try:
        nlp = spacy.load(path)
    except (OSError, ValueError, KeyError) as error:
        what = f"{path}: the model cannot be loaded ({_first_line(error)})"
        raise UsageError(f"{what}; train it again") from error
    facts = dict(nlp.meta.get("toolkit", {}))
    layers = tuple(
        nlp.get_pipe_config(name)["layer"]
        for name in nlp.pipe_names
        if nlp.get_pipe_meta(name).factory == "layer_ner"
    )
    if not layers:
        raise UsageError(
            f"{path}: a pipeline without a layer_ner head; name a folder made by train"
        )
    return Model(str(facts.get("system", path.name)), nlp, layers, facts)


def train(
    training: Sequence[Reading],
    validation: Sequence[Reading],
    schema: Schema,
    system: System,
    output: Path,
    *,
    seed: int = 0,
    facts: dict[str, Any] | None = None,
    progress: Progress | None = None,
) -> Trained:
    """Train one pipeline with a head per layer and keep the step that is best on validation.

    The folder `output` holds the old model or the new one, never a half-written one. `facts` (data
    hash, versions) are kept in the model's `meta.json`.
    """
    if not training or not validation:
        raise UsageError("training needs documents for train and for validation; see splits.yaml")
    if output.exists() and not (output / "config.cfg").is_file():
        raise UsageError(f"{output}: exists and is no model; choose another folder")
    facts = {**(facts or {}), "system": system.name, "seed": seed, "tokenizer": TOKENIZER}
    if system.weights:
        facts["weights"] = Path(system.weights).name
    with _disk_errors(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as name:
            trained = _run(training, validation, schema, system, Path(name), seed, facts, progress)
            _exchange(trained.path, output, aside=Path(name) / "old")
    return replace(trained, path=output)


def _exchange(new: Path, output: Path, *, aside: Path) -> None:
    """Put the new folder in place of the old one, which comes back if that fails."""
    if output.exists():
        output.rename(aside)
    try:
        new.rename(output)
    except OSError:
        if aside.exists():
            aside.rename(output)
        raise


@contextmanager
def _disk_errors(output: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        what = f"{output}: cannot be written ({error.strerror or _first_line(error)})"
        raise DiskError(f"{what}; free some space or choose another folder") from error


def _run(
    training: Sequence[Reading],
    validation: Sequence[Reading],
    schema: Schema,
    system: System,
    folder: Path,
    seed: int,
    facts: dict[str, Any],
    progress: Progress | None,
) -> Trained:
    from spacy.training.loop import train as train_loop

    for name, readings in (("train", training), ("dev", validation)):
        _write_docbin(folder / f"{name}.spacy", readings, schema)
    config = _config(schema, system, folder, seed)
    _register_logger()
    log = _Log(config["training"]["max_steps"], progress)
    token = _LOG.set(log)
    try:
        nlp = _begin(config, system)
        nlp.meta["toolkit"] = facts
        train_loop(nlp, folder, stdout=io.StringIO(), stderr=io.StringIO())
    finally:
        _LOG.reset(token)
    best = folder / "model-best"
    f1 = {layer.name: log.scores.get(f"spans_{layer.name}_f") for layer in schema.layers}
    found = {"steps": log.steps, "best_step": log.best_step, "validation": f1}
    _settle_meta(best, facts | found)
    _forget_places(best)
    return Trained(best, log.steps, log.best_step, f1)


def _begin(config: Any, system: System) -> Language:
    """The untrained pipeline. The settings are all that spaCy can refuse here: the data are checked."""
    from spacy.training.initialize import init_nlp

    try:
        nlp: Language = init_nlp(config)
    except (ValueError, TypeError, ImportError, OSError) as error:
        what = f"system {system.name}: spaCy refuses its settings ({_first_line(error)})"
        raise UsageError(f"{what}; mend its overrides or --set") from error
    for place in system.overrides:
        if not _has(nlp.config, place):
            raise UsageError(f"{place}: spaCy knows no such setting; mend its spelling")
    if system.weights:
        copy_encoder(weights(system.weights), nlp)
    return nlp


def _has(config: Any, place: str) -> bool:
    """Whether the filled-in configuration has the setting: spaCy drops those it does not know."""
    for key in place.split("."):
        if not isinstance(config, Mapping) or key not in config:
            return False
        config = config[key]
    return True


def _first_line(error: BaseException) -> str:
    """What an error of spaCy's says, in one line: the first fault of a list, or the first sentence."""
    for fault in getattr(error, "errors", None) or ():
        return f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), repr(error))
    return line.partition(". ")[0]


def _settle_meta(path: Path, facts: dict[str, Any]) -> None:
    meta = files.read_json(path / "meta.json")
    meta["toolkit"] = facts
    files.write_text(path / "meta.json", json.dumps(meta, indent=2, ensure_ascii=False) + "\n")


def _forget_places(path: Path) -> None:
    """Take out where this machine kept what the model was made of: it reads without any of it."""
    from spacy.util import load_config

    config = load_config(path / "config.cfg", interpolate=False)
    for corpus in config["corpora"]:
        config["corpora"][corpus]["path"] = config["paths"][corpus] = None
    config["initialize"]["vectors"] = None
    config.to_disk(path / "config.cfg")


def _config(schema: Schema, system: System, folder: Path, seed: int) -> Any:
    """spaCy's configuration: the base, a head per layer, the system's overrides."""
    from spacy.util import load_config

    config = load_config(Path(__file__).parent / "two_layer.cfg", interpolate=False)
    config["nlp"]["lang"] = schema.language
    shares: dict[str, float] = {}
    for number, layer in enumerate(schema.layers):
        # The last layer holds the innermost spans: those are what spaCy users expect in doc.ents.
        head: dict[str, Any] = {"factory": "layer_ner", "layer": layer.name}
        head["entities"] = number == len(schema.layers) - 1
        head["model"] = {"tok2vec": {"width": "${components.tok2vec.model.encode.width}"}}
        config["nlp"]["pipeline"].append(f"{layer.name}_ner")
        config["components"][f"{layer.name}_ner"] = head
        shares[f"spans_{layer.name}_f"] = round(1 / len(schema.layers), 4)
    config["training"]["score_weights"] = shares
    config["paths"] = {"train": str(folder / "train.spacy"), "dev": str(folder / "dev.spacy")}
    config["initialize"]["vectors"] = str(weights(system.weights)) if system.weights else None
    config["system"]["seed"] = seed
    for place, value in system.overrides.items():
        _override(config, place, value)
    _evaluate_once(config["training"])
    return config.interpolate()


def _evaluate_once(training: dict[str, Any]) -> None:
    """Let a run that is shorter than the time between evaluations be evaluated at its end.

    Otherwise its best step were step 0, and the model kept an untrained one.
    """
    steps, every = training["max_steps"], training["eval_frequency"]
    if isinstance(steps, int) and isinstance(every, int) and 0 < steps < every:
        training["eval_frequency"] = steps


def _override(config: Any, place: str, value: Any) -> None:
    *sections, key = place.split(".")
    part = config
    for section in sections:
        part = part.get(section)
        if not isinstance(part, dict):
            what = f"{place}: no section {section!r} in the training configuration"
            raise UsageError(f"{what}; mend its spelling")
    part[key] = value


def _write_docbin(path: Path, readings: Sequence[Reading], schema: Schema) -> None:
    from spacy.tokens import DocBin
    from spacy.vocab import Vocab

    vocab = Vocab()
    docbin = DocBin()
    for reading in readings:
        for document, annotation in passages(*reading):
            docbin.add(_gold_doc(document, annotation, schema, vocab))
    docbin.to_disk(path)


def passages(document: Document, annotation: Annotation) -> Iterator[Reading]:
    """The document cut at blank lines that no span crosses, each part with its own spans.

    Short examples make more steps of the same words, and a model that has seen single paragraphs
    reads them as well as whole pages.
    """
    cuts = [m.end() for m in _BLANK_LINE.finditer(document.text)]
    whole = [cut for cut in cuts if not any(s.start < cut < s.end for s in annotation.spans)]
    edges = [0, *whole, len(document.text)]
    for start, end in pairwise(dict.fromkeys(edges)):
        tokens = tuple((a - start, b - start) for a, b in document.tokens if start <= a < end)
        spans = tuple(
            replace(span, start=span.start - start, end=span.end - start)
            for span in annotation.spans
            if start <= span.start < end
        )
        if tokens:
            text = document.text[start:end]
            part = replace(document, text=text, tokens=tokens, zones=())
            yield part, replace(annotation, spans=spans, relations=())


def _gold_doc(document: Document, annotation: Annotation, schema: Schema, vocab: Any) -> Doc:
    doc = to_doc(document, vocab)
    for layer in schema.layers:
        spans = []
        for span in annotation.layer(layer.names):
            found = doc.char_span(span.start, span.end, label=span.label)
            # char_span gives None for a span that cuts a token. The dataset has none; never lose one.
            if found is None:
                what = f"{document.id}: {span.label} {span.start}–{span.end} cuts a token"
                raise InvalidDataError([Fault("dataset", 0, what, "build it again", "cuts-token")])
            spans.append(found)
        doc.spans[layer.name] = spans
    return doc


# ── progress ────────────────────────────────────────────────────────────────────────────────────


@dataclass
class _Log:
    """What the training loop reports, kept and passed on."""

    last: int
    progress: Progress | None
    steps: int = 0
    best_step: int = 0
    best: float = -1.0
    scores: dict[str, Any] = field(default_factory=dict)

    def __call__(self, info: dict[str, Any] | None) -> None:
        if info is None:
            return
        self.steps = info["step"]
        score = info["score"]
        # spaCy keeps the last of several equal best steps.
        if score is not None and score >= self.best:
            self.best, self.best_step = score, info["step"]
            self.scores = dict(info["other_scores"])
        if self.progress is not None:
            self.progress(info["step"], self.last, score)


_LOG: ContextVar[_Log] = ContextVar("training log")
# spaCy builds its logger from the configuration, so a callable has to reach it by another way.


def _register_logger() -> None:
    from spacy.util import registry

    def logger() -> Callable[..., tuple[Callable[[Any], None], Callable[[], None]]]:
        def setup(*_: Any) -> tuple[Callable[[Any], None], Callable[[], None]]:
            return _LOG.get(), lambda: None

        return setup

    registry.loggers.register("toolkit.Progress.v1", func=logger)
