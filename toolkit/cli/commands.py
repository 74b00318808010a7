"""The commands, in the order of the work: the help screen is the pipeline.

Every command is a thin twin of a library function. Heavy libraries are imported when a command runs,
so that `toolkit --help` costs nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from toolkit.cli.app import DEFAULT_CORPUS, DEFAULT_DATASET, app, connection
from toolkit.cli.options import CorpusArgument, JsonOption, UrlOption
from toolkit.cli.terminal import figure, result, say, table
from toolkit.errors import QUARANTINED, UsageError


@app.command()
def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for all it makes.")
    ] = Path("build/demo"),
    keep: Annotated[bool, typer.Option("--keep", help="Leave Label Studio running.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Do the whole job once, on three events, and write a page.

    It uses a Label Studio of its own on this machine; nothing leaves the machine. The annotations of
    two annotators are submitted, pulled, compared and adjudicated; the gold trains a small model.
    """
    from toolkit.cli.demo import demo as run_demo

    told = run_demo(output, keep=keep)
    result(told.facts, as_json=as_json, text=told.text)


@app.command()
def doctor(as_json: JsonOption = False) -> None:
    """See whether this machine and the server are fit for work.

    What needs a look is marked so. Nothing is changed.
    """
    from toolkit.cli.doctor import examine

    findings = examine()
    rows = [("ok" if finding.ok else "look", finding.what, finding.found) for finding in findings]
    told = {finding.what: {"ok": finding.ok, "found": finding.found} for finding in findings}
    result(
        told, as_json=as_json, text="\n".join(f"{row[0]:5} {row[1]:20} {row[2]}" for row in rows)
    )


@app.command()
def check(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PATH", help="Schema files and corpus folders; else all that are here."
        ),
    ] = None,
    with_gate: Annotated[
        bool,
        typer.Option("--corpus", help="Hold corpora to what a benchmark needs as well."),
    ] = False,
    with_audit: Annotated[
        bool, typer.Option("--audit", help="Print a corpus's figures beside their bands as well.")
    ] = False,
    freeze: Annotated[
        bool, typer.Option("--freeze", help="Write slices, twins and SHA256SUMS of each corpus.")
    ] = False,
    against_server: Annotated[
        bool,
        typer.Option("--against-server", help="Hold schemas to the pages on Label Studio as well."),
    ] = False,
    url: UrlOption = "",
    as_json: JsonOption = False,
) -> None:
    """Check schemas and corpora; list every fault with its line.

    With --corpus: also leaks from train to test, slices against their rules, registry against gold,
    and files against their checksums. With --audit: how large each part is, and style, similarity,
    densities, leakage, hardness, numbers and baselines, each figure beside the band it should lie in.
    With --against-server: whether a corpus's projects have the page of its schema, and what the schema
    would change for its annotations.
    """
    from toolkit.cli import checks

    chosen = paths or _everything()
    checked, faults = checks.check_paths(chosen, with_gate=with_gate, freeze=freeze)
    told: dict[str, Any] = {"checked": checked}
    lines = [
        f"{path}: " + ", ".join(f"{number} {what}" for what, number in counts.items())
        for path, counts in checked.items()
    ]
    if with_audit and not faults:
        folders = [path for path in checked if Path(path).is_dir()]
        told["audit"] = {path: checks.audit_facts(Path(path)) for path in folders}
        lines += [checks.audit_text(path, figures) for path, figures in told["audit"].items()]
    if against_server:
        corpora = [path for path in chosen if path.is_dir()]
        told["server"] = checks.server_facts(connection(url), corpora)
        lines.append(checks.server_text(told["server"]))
        faults += checks.server_faults(told["server"])
    told["faults"] = [str(fault) for fault in faults]
    result(told, as_json=as_json, text="\n".join(lines))
    if faults:
        raise checks.refusal(faults)


@app.command()
def convert(
    export: Annotated[
        Path, typer.Argument(metavar="EXPORT", help="A project exported by Label Studio as JSON.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Parquet file to write.")
    ],
    text: Annotated[
        str, typer.Option(metavar="KEY", help="Where a task's data keep its text.")
    ] = "text",
    as_json: JsonOption = False,
) -> None:
    """Turn any raw Label Studio export into a parquet file.

    One row per annotation, skipped ones too, with spans, answers and relations as they are; nested spans
    and several annotators stay. Users are numbers. Nothing is checked against a schema.
    """
    from toolkit.cli.steps import convert_export

    told = convert_export(export, output, text)
    result(
        told,
        as_json=as_json,
        text=f"{output}: {told['annotations']} annotations, {told['spans']} spans",
    )
    if told["refused"]:
        say(f"passed over, not of an export's shape: tasks {told['refused'][:5]} of the file")
        raise typer.Exit(QUARANTINED)


@app.command()
def build(
    root: CorpusArgument = DEFAULT_CORPUS,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder of the dataset.")
    ] = DEFAULT_DATASET,
    allow_disputed: Annotated[
        bool, typer.Option("--allow-disputed", help="Build although disputes are open.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Build the Hugging Face dataset of the gold.

    A gold span that cuts a token is refused, and so is gold with open disputes.
    """
    from toolkit.cli.steps import build_corpus
    from toolkit.corpus import Corpus

    corpus = Corpus.load(root)
    built = build_corpus(corpus, output, allow_disputed=allow_disputed)
    counts = built.counts
    told = {"path": str(output), "sha256": built.facts["sha256"], "splits": counts}
    labels = [label.name for label in corpus.schema.labels]
    head = ["split", "documents", "tokens", *labels, "relations"]
    rows = [[split, *(count[name] for name in head[1:])] for split, count in counts.items()]
    result(told, as_json=as_json, text=table("", head, rows) + f"\n\n{output}")


@app.command()
def train(
    dataset: Annotated[
        Path, typer.Argument(metavar="DATASET", help="Folder made by build.")
    ] = DEFAULT_DATASET,
    system: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="A file in benchmarks/communique/systems, or any .yaml file."
        ),
    ] = "cnn",
    seed: Annotated[
        int, typer.Option(metavar="N", help="The same seed gives the same weights on CPU.")
    ] = 0,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder of the model.")
    ] = Path("build/model"),
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A setting, such as training.max_steps=300; repeatable.",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Train although the model is up to date.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Train a spaCy pipeline with one NER head per layer.

    The step that is best on validation is kept. A model that was made of the same data, settings and
    seed is up to date and stays.
    """
    from toolkit import dataset as datasets
    from toolkit.cli.steps import load_system, train_system

    chosen = load_system(system, set_ or [])
    told = train_system(datasets.load(dataset), chosen, output, seed=seed, force=force)
    text = f"{output}: best step {told['best_step']} of {told['steps']}"
    for layer, f1 in told["validation"].items():
        text += f"\n{layer}: validation F1 {figure(f1)}"
    result(told, as_json=as_json, text=text if told["trained"] else f"{output}: up to date")


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Folder made by train.")],
    input_: Annotated[Path, typer.Argument(metavar="INPUT", help="JSON Lines with id and text.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="JSON Lines to write.")
    ],
    processes: Annotated[
        int, typer.Option(min=1, metavar="N", help="Processes to spread the work over.")
    ] = 1,
    as_json: JsonOption = False,
) -> None:
    """Let a model read documents.

    One record comes out for each that goes in, in order, with its further keys. Zones in a record
    are heeded: no token crosses the edge of one.
    """
    from toolkit.cli.steps import predict_file

    told = predict_file(model, input_, output, processes=processes)
    result(
        told,
        as_json=as_json,
        text=f"{told['documents']} documents, {told['spans']} spans: {output}",
    )


@app.command()
def score(
    predicted: Annotated[
        Path,
        typer.Argument(
            metavar="PREDICTED", help="Predictions (JSON Lines) or the folder of a model."
        ),
    ],
    gold: Annotated[
        Path,
        typer.Option(metavar="PATH", help="Gold (JSON Lines) or the folder of a dataset."),
    ] = DEFAULT_DATASET,
    documents: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Texts for a gold file; else documents.jsonl beside it."),
    ] = None,
    schema: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Schema for a gold file; else commitments."),
    ] = None,
    split: Annotated[str, typer.Option(metavar="NAME", help="Which split of a dataset.")] = "test",
    as_json: JsonOption = False,
) -> None:
    """Score predictions with seqeval, in strict IOB2.

    Layer by layer and label by label; a span counts when both its edges and its label are right.
    """
    from toolkit.cli.steps import score_files, score_text

    told, found = score_files(predicted, gold, documents, schema, split)
    result(told, as_json=as_json, text="" if as_json else score_text(found))


def _everything() -> list[Path]:
    found = [
        *Path("schemas").glob("*.yaml"),
        *(p.parent for p in Path("annotations").glob("*/corpus.yaml")),
    ]
    if not found:
        raise UsageError("nothing to check here; name a schema or a corpus, or go where they are")
    return sorted(found)
