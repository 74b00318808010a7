"""The commands around annotators: documents to them, their work back, what it is worth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from toolkit.cli.app import DEFAULT_CORPUS, app, connection
from toolkit.cli.options import (
    CorpusArgument,
    DryRunOption,
    JsonOption,
    ProjectOption,
    UrlOption,
    WaitOption,
)
from toolkit.cli.server import studio_app
from toolkit.cli.terminal import result, say
from toolkit.errors import QUARANTINED, UsageError

app.add_typer(studio_app, name="studio")


@app.command()
def push(
    root: CorpusArgument = DEFAULT_CORPUS,
    project: ProjectOption = "main",
    overlap: Annotated[
        int,
        typer.Option(
            min=0, metavar="N", help="How many annotators of the project read each document."
        ),
    ] = 0,
    annotators: Annotated[
        str,
        typer.Option(
            metavar="A,B=2,…", help="One blind project for each; B takes twice as much as A."
        ),
    ] = "",
    readings: Annotated[
        int,
        typer.Option(
            min=0, metavar="N", help="With --annotators: how many read each document; else all do."
        ),
    ] = 0,
    split: Annotated[
        str, typer.Option(metavar="NAME", help="Only documents of train, validation or test.")
    ] = "",
    doubtful_first: Annotated[
        Path | None,
        typer.Option(
            metavar="MODEL",
            help="Only documents nobody has read, which MODEL doubts most first: "
            "a model's folder, or a file with a doubt or score for each.",
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option(min=0, metavar="N", help="Only the first N of the documents.")
    ] = 0,
    suggestions: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A model's predictions, shown to annotators to mend."),
    ] = None,
    control: Annotated[
        float,
        typer.Option(
            min=0.0, max=1.0, metavar="SHARE", help="Share of documents that get no suggestions."
        ),
    ] = 0.0,
    overwrite_page: Annotated[
        bool,
        typer.Option(
            "--overwrite-page", help="Replace a labelling page that was changed in Label Studio."
        ),
    ] = False,
    url: UrlOption = "",
    max_wait: WaitOption = 60,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Send schema and documents to Label Studio projects.

    Only what is missing or changed is sent, so a second push changes nothing. A document that Label
    Studio could not hold is set aside and named; a schema that would break annotations is refused.
    Who reads what follows from the names alone, and nobody loses a document that was dealt before.
    """
    from toolkit.cli.suggesting import Wanted
    from toolkit.cli.teams import push_wanted, pushed_text
    from toolkit.corpus import Corpus

    wanted = Wanted(split, doubtful_first, limit, suggestions, control)
    told = push_wanted(
        connection(url, max_wait),
        Corpus.load(root),
        wanted,
        project=project,
        overlap=overlap,
        annotators=annotators,
        readings=readings,
        overwrite=overwrite_page,
        dry_run=dry_run,
    )
    for line in told["messages"]:
        say(line)
    result(told, as_json=as_json, text=pushed_text(told))
    if told["quarantined"]:
        raise typer.Exit(QUARANTINED)


@app.command()
def pull(
    root: CorpusArgument = DEFAULT_CORPUS,
    project: Annotated[
        str,
        typer.Option(metavar="NAME", help="One project only; else every project of the corpus."),
    ] = "",
    new_origin: Annotated[
        bool,
        typer.Option("--new-origin", help="The server was set up anew; take its projects."),
    ] = False,
    url: UrlOption = "",
    max_wait: WaitOption = 60,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Bring finished annotations back from Label Studio, checked.

    What was ever pulled stays in the corpus's history. What cannot be accepted is set aside with its
    reasons in quarantine.jsonl. Every annotation the server counts is accounted for.
    """
    from toolkit.cli.exchange import pull_corpus, pull_text
    from toolkit.corpus import Corpus

    told = pull_corpus(
        connection(url, max_wait),
        Corpus.load(root),
        project,
        dry_run=dry_run,
        new_origin=new_origin,
    )
    result(told, as_json=as_json, text=f"{_counts(told)}\n{pull_text(told)}")
    if told["quarantined"]:
        say(f"set aside with reasons in {root / 'quarantine.jsonl'}")
        raise typer.Exit(QUARANTINED)


@app.command()
def progress(
    root: CorpusArgument = DEFAULT_CORPUS,
    url: UrlOption = "",
    max_wait: WaitOption = 60,
    as_json: JsonOption = False,
) -> None:
    """Say how far each project and annotator is; nothing is pulled.

    Times are the server's; seconds are the median of a document.
    """
    from toolkit.cli.teams import progress_facts, progress_text
    from toolkit.corpus import Corpus

    told = progress_facts(connection(url, max_wait), Corpus.load(root))
    result(told, as_json=as_json, text=progress_text(told))


@app.command()
def agreement(
    root: CorpusArgument = DEFAULT_CORPUS,
    by: Annotated[
        str, typer.Option("--by", metavar="PART", help="Also for each `split`, `genre` or `event`.")
    ] = "",
    suggestions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Instead, what showing these predictions did to people's readings."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say how far annotators agree, label by label, with counts.

    Intervals come from drawing whole events anew.
    """
    from toolkit.cli.readings import agreements, agreements_text
    from toolkit.cli.suggesting import influence_facts, influence_text
    from toolkit.corpus import Corpus

    corpus = Corpus.load(root)
    if suggestions:
        if by:
            raise UsageError("--by and --suggestions: two questions; ask one at a time")
        told = influence_facts(corpus, suggestions)
        text = influence_text(told)
    else:
        told = agreements(corpus, by)
        text = agreements_text(told, corpus.schema)
    result(told, as_json=as_json, text=text)


@app.command()
def adjudicate(
    root: CorpusArgument = DEFAULT_CORPUS,
    decisions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="How disputes are settled; else decisions.jsonl of the corpus."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make gold of what annotators agree on or decisions settle.

    The rest is listed in the corpus's disputed.jsonl with every reading.
    """
    from toolkit.cli.readings import adjudicate_corpus
    from toolkit.corpus import Corpus

    told = adjudicate_corpus(Corpus.load(root), decisions)
    for item in told["unused"]:
        say(f"settles nothing: {item}; remove it from the decisions")
    text = ", ".join(f"{told[key]} {key}" for key in ("documents", "agreed", "decided", "disputed"))
    result(told, as_json=as_json, text=text)
    if told["disputed"]:
        say(
            f"disputed with every reading in {root / 'disputed.jsonl'}; settle it in decisions.jsonl"
        )


def _counts(told: dict[str, Any]) -> str:
    keys = ("created", "updated", "unchanged", "skipped", "quarantined")
    return ", ".join(f"{key} {told[key]}" for key in keys)
