"""The whole job once: three events, two annotators, a real Label Studio, a small model, one page."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit import files
from toolkit.cli import exchange, readings, steps
from toolkit.cli.terminal import figure, progress, say
from toolkit.errors import IntegrityError
from toolkit.spans import GOLD, Annotation

if TYPE_CHECKING:
    from toolkit.adjudication import Agreement
    from toolkit.corpus import Corpus
    from toolkit.dataset import Built
    from toolkit.ner import Model
    from toolkit.report import Step
    from toolkit.scoring import Score
    from toolkit.studio import Server

__all__ = ["Told", "demo"]

EVENTS = ("e001", "e002", "e003")
ANNOTATORS = ("a1", "a2")
STEPS = 400
"""Training steps: enough to see the two heads learn, not enough to learn well."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the demo did, as values and as the closing words."""

    facts: dict[str, Any]
    text: str


@dataclass
class _Diary:
    """The steps as they happen: told on the terminal, kept for the page."""

    steps: list[Step] = field(default_factory=list)

    @contextmanager
    def step(self, title: str, command: str) -> Iterator[list[str]]:
        """Time a step; what the body appends is its outcome."""
        from toolkit.report import Step

        started, outcome = time.monotonic(), list[str]()
        yield outcome
        seconds = time.monotonic() - started
        step = Step(title, command, "; ".join(outcome), seconds)
        self.steps.append(step)
        say(f"✓ {title:<12} {seconds:6.1f} s  {step.outcome}")


def demo(output: Path, *, keep: bool = False, max_steps: int = STEPS) -> Told:
    """Run the pipeline into `output` and write `index.html` there.

    A second run reuses the server, its tasks and annotations, and an up-to-date model. The server is
    left running if it ran before, or with `keep`.
    """
    from toolkit import studio
    from toolkit.studio.server import tidy

    say(f"The whole job once, into {output}. Nothing leaves this machine.")
    diary = _Diary()
    was_running = studio.status().running
    with tidy():
        try:
            told = _run(output, diary, max_steps)
        finally:
            if not keep and not was_running:
                studio.stop()
    return _close(told, output, running=keep or was_running)


def _run(output: Path, diary: _Diary, max_steps: int) -> dict[str, Any]:
    from toolkit.corpus import Corpus

    source = Corpus.load(files.resource("annotations/communique"))
    corpus, root = _corpus(source, output / "communique", diary), output / "communique"
    differences = _label(source, corpus, diary)
    agreements = _agree(corpus, diary)
    with diary.step("Adjudicate", f"toolkit adjudicate {root}") as outcome:
        settled = readings.adjudicate_corpus(corpus)
        outcome.append(f"{settled['agreed']} spans agreed, {settled['decided']} decided")
        outcome.append(f"{settled['disputed']} still disputed")
    with diary.step("Build", f"toolkit build {root} -o {output / 'dataset'}") as outcome:
        built = steps.build_corpus(corpus, output / "dataset")
        counts = built.counts
        outcome.append(
            ", ".join(f"{split} {count['documents']}" for split, count in counts.items())
        )
        outcome.append("no span cuts a token")
    model, score, predicted = _learn(built, output, diary, max_steps)
    page = _page(output, corpus, built, diary, agreements, score, predicted, model)
    return {
        "page": str(page),
        "documents": len(corpus.documents),
        "differences": differences,
        "agreement": [readings.agreement_facts(pair) for pair in agreements],
        "adjudicated": settled,
        "score": steps.score_facts(score),
        "seconds": {step.title: round(step.seconds, 1) for step in diary.steps},
    }


def _corpus(source: Corpus, root: Path, diary: _Diary) -> Corpus:
    with diary.step("Documents", f"toolkit check {root}") as outcome:
        corpus = source.copy(root, name=f"demo-{_fingerprint(source)}", events=EVENTS)
        outcome.append(f"{len(corpus.documents)} documents on {len(EVENTS)} events")
        outcome.append(f"schema {corpus.schema.name} {corpus.schema.version}")
    return corpus


def _fingerprint(source: Corpus) -> str:
    """What tells this demo's projects from those of an earlier release that may be on the server."""
    digest = hashlib.sha256(source.schema.sha256.encode())
    for path in (source.root / "documents.jsonl", *map(source.path_of, ANNOTATORS)):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:8]


def _label(source: Corpus, corpus: Corpus, diary: _Diary) -> int:
    """Push, submit each pass as its own user, pull. Gives how many readings came back changed."""
    from toolkit import studio

    root = corpus.root
    with diary.step("Studio", "toolkit studio start") as outcome:
        server = studio.start(say=say)
        admin = studio.connect(server.url, server.api_key)
        outcome.append(f"Label Studio at {server.url}")
    with diary.step("Push", f"toolkit push {root} --project a1") as outcome:
        for name in ANNOTATORS:
            done = studio.push(admin, corpus.name, name, corpus.schema, corpus.documents)
            outcome.append(f"project {name}: created {done.created}, unchanged {done.unchanged}")
    with diary.step("Label", "") as outcome:
        for name in ANNOTATORS:
            outcome.append(f"{name} submitted {_submit(source, corpus, server, name)}")
    with diary.step("Pull", f"toolkit pull {root}") as outcome:
        told = exchange.pull_corpus(admin, corpus)
        differences = _differences(source, corpus)
        keys = ("created", "updated", "unchanged", "quarantined")
        outcome.append(", ".join(f"{key} {told[key]}" for key in keys))
        outcome.append(f"{differences} differences from what was submitted")
    if differences:
        raise IntegrityError(
            f"{root}: {differences} readings came back changed; please report this"
        )
    return differences


def _submit(source: Corpus, corpus: Corpus, server: Server, name: str) -> int:
    from toolkit import studio

    person = studio.invite(server, name)
    user = studio.connect(server.url, person.api_key)
    readings = _readings(source, corpus, name)
    with progress(f"{name} submits") as advance:
        return studio.submit(
            user, corpus.name, name, corpus.schema, corpus.texts, readings, progress=advance
        )


def _readings(source: Corpus, corpus: Corpus, name: str) -> list[Annotation]:
    return [a for a in source.annotations(name) if a.document in corpus.texts]


def _differences(source: Corpus, corpus: Corpus) -> int:
    """Spans, attributes and relations that differ between what was submitted and what came back."""
    count = 0
    for name in ANNOTATORS:
        sent = {a.document: a for a in _readings(source, corpus, name)}
        held = {a.document: a for a in corpus.annotations(name)}
        for document in sent.keys() | held.keys():
            one, other = sent.get(document), held.get(document)
            if one is None or other is None:
                count += 1
                continue
            count += len({*map(repr, one.spans)} ^ {*map(repr, other.spans)})
            count += len({*one.relations} ^ {*other.relations})
    return count


def _agree(corpus: Corpus, diary: _Diary) -> list[Agreement]:
    from toolkit import adjudication

    with diary.step("Agreement", f"toolkit agreement {corpus.root}") as outcome:
        readings = {name: corpus.annotations(name) for name in corpus.annotators}
        agreements = adjudication.agreement(readings, corpus.schema, spans_only=corpus.spans_only)
        for pair in agreements:
            exact, overlap = pair.exact["all"], pair.overlap["all"]
            outcome.append(f"span F1 exact {figure(exact.f1)}, by overlap {figure(overlap.f1)}")
    return agreements


def _learn(
    built: Built, output: Path, diary: _Diary, max_steps: int
) -> tuple[Model, Score, list[Annotation]]:
    from toolkit import ner, scoring

    path, data = output / "model", output / "dataset"
    system = steps.load_system("cnn", [f"training.max_steps={max_steps}"])
    command = f"toolkit train {data} --system cnn --set training.max_steps={max_steps} -o {path}"
    with diary.step("Train", command) as outcome:
        told = steps.train_system(built, system, path)
        outcome.append("trained" if told["trained"] else "up to date")
        outcome.append(f"best step {told['best_step']} of {told['steps']}")
    with diary.step("Score", f"toolkit score {path} --gold {data}") as outcome:
        model = ner.load(path)
        readings = built.splits["test"]
        predicted = list(model.predict([document for document, _ in readings]))
        gold = [annotation for _, annotation in readings]
        score = scoring.score(gold, predicted, built.schema)
        for name, layer in score.layers.items():
            outcome.append(f"{name} micro F1 {figure(layer.micro.f1)}")
        files.write_jsonl(output / "predicted.jsonl", predicted)
    return model, score, predicted


NOTES = (
    (
        "The model saw five training documents on one event and stopped early: it shows that the "
        "parts work together, not how well they can do."
    ),
    (
        "Both annotators are language models reading by the guideline, blind to each other. "
        "Agreement between models of one kind is no evidence that the labels are right."
    ),
    (
        "The test event is real (the Tokyo summit of October 2025), retold from notes of five "
        "outlets; the other two events, with their states and people, are invented."
    ),
)

INTRO = (
    "Fifteen documents on three international deals went into a Label Studio on this machine. Two "
    "annotators labelled them blind; their work came back, was compared and adjudicated into gold, "
    "became a dataset, trained a small model with one NER head per layer, and scored it on the event "
    "it had not seen."
)


def _page(
    output: Path,
    corpus: Corpus,
    built: Built,
    diary: _Diary,
    agreements: Sequence[Agreement],
    score: Score,
    predicted: Sequence[Annotation],
    model: Model,
) -> Path:
    from toolkit import __version__, report

    shown = [document for document, _ in built.splits["test"]]
    facts = {
        "data": f"{built.facts['name']} {built.facts['version']}, sha256 {built.facts['sha256'][:16]}",
        "schema": str(built.facts["schema"]),
        "model": f"{model.name}, seed {model.facts['seed']}, best step {model.facts['best_step']}",
        "toolkit": __version__,
        "spaCy": metadata.version("spacy"),
    }
    html = report.demo_page(
        title="Communiqué: the whole job, once",
        intro=INTRO,
        steps=diary.steps,
        agreements=agreements,
        score=score,
        schema=corpus.schema,
        documents=shown,
        gold={annotation.document: annotation for annotation in corpus.annotations(GOLD)},
        predicted={annotation.document: annotation for annotation in predicted},
        facts=facts,
        notes=NOTES,
    )
    path = output / "index.html"
    files.write_text(path, html)
    return path


def _close(told: dict[str, Any], output: Path, *, running: bool) -> Told:
    from toolkit import studio

    lines = ["", f"Open {Path(told['page']).resolve().as_uri()}", ""]
    if running:
        server = studio.status()
        lines += [
            f"Label Studio is running at {server.url}",
            f"  log in as {server.email} with {server.password}",
            "  stop it with: toolkit studio stop",
        ]
        told["server"] = server.url
    else:
        lines.append("Label Studio is stopped. To look into it: toolkit demo --keep")
    lines += [
        "",
        "Next:",
        f"  toolkit agreement {output / 'communique'}",
        f"  toolkit score {output / 'model'} --gold {output / 'dataset'}",
        "  toolkit push YOUR/CORPUS     (README: your own schema, documents and server)",
    ]
    return Told(told, "\n".join(lines))
