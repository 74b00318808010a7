"""The commands around annotators: documents to them, their work back, what it is worth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolkit.cli.app import DEFAULT_CORPUS, app, connection
from toolkit.cli.options import (
    CorpusArgument,
    DryRunOption,
    JsonOption,
    NewOriginOption,
    ProjectOption,
    UrlOption,
    WaitOption,
)
from toolkit.cli.server import studio_app
from toolkit.cli.terminal import result, say
from toolkit.errors import QUARANTINED, UsageError

if TYPE_CHECKING:
    from toolkit.cli.suggesting import Wanted
    from toolkit.corpus import Corpus
    from toolkit.studio import Studio

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
    errors: Annotated[
        Path | None,
        typer.Option(
            metavar="PREDICTIONS",
            help="Instead: documents that these predictions and gold read differently.",
        ),
    ] = None,
    url: UrlOption = "",
    max_wait: WaitOption = 60,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Send schema and documents to Label Studio projects.

    Only what is missing or changed is sent, so a second push changes nothing. A document that Label
    Studio could not hold is set aside and named; a schema that would break annotations is refused.
    Who reads what follows from the names alone, and nobody loses a document that was dealt before.

    With --errors the documents where a model and gold differ go to the project errors, the worst first,
    so that gold's own errors come to light. Both readings are shown by name, "gold" and the model's:
    blindness would hide what is to be judged. toolkit adjudicate --pull takes the corrections.
    """
    from toolkit import files
    from toolkit.cli.reviews import push_errors
    from toolkit.cli.suggesting import Wanted
    from toolkit.cli.teams import push_wanted, pushed_text
    from toolkit.corpus import Corpus

    wanted = Wanted(split, doubtful_first, limit, suggestions, control)
    _refuse_to_mix(project, errors, wanted, annotators)
    corpus = Corpus.load(root)  # First, so that a fault in it costs no request.
    files.refuse_unwritable(files.home())
    server = connection(url, max_wait)
    if errors:
        told = push_errors(
            server, corpus, errors, limit=limit or None, overwrite=overwrite_page, dry_run=dry_run
        )
        about = f"{told['differing']} documents differ in {told['places']} places"
        text = _pushed_text(told, about)
    else:
        told = push_wanted(
            server,
            corpus,
            wanted,
            project=project,
            overlap=overlap,
            annotators=annotators,
            readings=readings,
            overwrite=overwrite_page,
            dry_run=dry_run,
        )
        text = pushed_text(told)
    for line in told["messages"]:
        say(line)
    result(told, as_json=as_json, text=text)
    if told["quarantined"]:
        raise typer.Exit(QUARANTINED)


def _refuse_to_mix(project: str, errors: Path | None, wanted: Wanted, annotators: str) -> None:
    """Raises `UsageError` where documents would go to a project of the wrong kind."""
    from toolkit.studio import REVIEWS

    if errors and (project != "main" or annotators):
        raise UsageError(
            "--errors goes to the project errors; leave --project and --annotators out"
        )
    if errors and replace(wanted, limit=0) != type(wanted)():
        raise UsageError("--errors chooses the documents itself; only --limit goes with it")
    if project in REVIEWS:
        cure = "toolkit adjudicate --push or toolkit push --errors fills it"
        raise UsageError(f"project {project!r}: is for reviewers; {cure}")


@app.command()
def pull(
    root: CorpusArgument = DEFAULT_CORPUS,
    project: Annotated[
        str,
        typer.Option(metavar="NAME", help="One project only; else every one of annotators."),
    ] = "",
    new_origin: NewOriginOption = False,
    url: UrlOption = "",
    max_wait: WaitOption = 60,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Bring finished annotations back from Label Studio, checked.

    What was ever pulled stays in the corpus's history. What cannot be accepted is set aside with its
    reasons in quarantine.jsonl. Every annotation the server counts is accounted for.
    """
    from toolkit.cli.exchange import pull_corpus, pull_text, refuse_unwritable
    from toolkit.corpus import Corpus

    corpus = Corpus.load(root)
    if not dry_run:
        refuse_unwritable(root)
    told = pull_corpus(
        connection(url, max_wait),
        corpus,
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
    to_review: Annotated[
        bool,
        typer.Option("--push", help="Instead: send disputed documents to the project review."),
    ] = False,
    from_review: Annotated[
        bool,
        typer.Option("--pull", help="First turn what reviewers submitted into decisions."),
    ] = False,
    version: Annotated[
        str,
        typer.Option(metavar="X.Y.Z", help="With --pull: the corpus's version if gold changes."),
    ] = "",
    new_origin: NewOriginOption = False,
    url: UrlOption = "",
    max_wait: WaitOption = 60,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make gold of what annotators agree on or decisions settle.

    The rest is listed in the corpus's disputed.jsonl with every reading.

    With --push the documents with open disputes go to the project review, each with its readings as
    "reading A", "reading B" and so on, in an order that does not tell whose is whose. With --pull the
    newest reading that reviewers submitted of each document, there or in the project errors, replaces
    the document's decisions; what changes in gold is listed. When corrections from errors change gold,
    the corpus's patch number is raised.
    """
    from toolkit.cli.readings import adjudicate_corpus
    from toolkit.corpus import Corpus

    if to_review or from_review:
        if to_review and from_review:
            raise UsageError("--push and --pull: one at a time; pull first what was submitted")
        if from_review and decisions:
            raise UsageError("--pull writes the corpus's decisions.jsonl; leave --decisions out")
        server, corpus = connection(url, max_wait), Corpus.load(root)
        if to_review:
            _push_disputes(server, corpus, decisions, dry_run=dry_run, as_json=as_json)
        else:
            _pull_reviews(
                server,
                corpus,
                version=version,
                new_origin=new_origin,
                dry_run=dry_run,
                as_json=as_json,
            )
        return
    if dry_run or version or new_origin or url:
        raise UsageError("--dry-run, --version, --new-origin and --url go with --push or --pull")
    told = adjudicate_corpus(Corpus.load(root), decisions)
    for item in told["unused"]:
        say(f"settles nothing: {item}; remove it from the decisions")
    text = ", ".join(f"{told[key]} {key}" for key in ("documents", "agreed", "decided", "disputed"))
    result(told, as_json=as_json, text=text)
    if told["disputed"]:
        cure = "settle it in decisions.jsonl, or have it reviewed: toolkit adjudicate --push"
        say(f"disputed with every reading in {root / 'disputed.jsonl'}; {cure}")


def _push_disputes(
    server: Studio, corpus: Corpus, decisions: Path | None, *, dry_run: bool, as_json: bool
) -> None:
    from toolkit.cli.reviews import push_disputes

    told = push_disputes(server, corpus, decisions, dry_run=dry_run)
    for line in told["messages"]:
        say(line)
    about = f"{told['disputed']} disputes, {told['settled']} documents need nothing any more"
    result(told, as_json=as_json, text=_pushed_text(told, about))
    if told["quarantined"]:
        raise typer.Exit(QUARANTINED)


def _pull_reviews(
    server: Studio,
    corpus: Corpus,
    *,
    version: str,
    new_origin: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    from toolkit.cli.reviews import pull_reviews, reviews_messages, reviews_text

    told = pull_reviews(server, corpus, version=version, new_origin=new_origin, dry_run=dry_run)
    result(told, as_json=as_json, text=reviews_text(told))
    for line in reviews_messages(told, corpus.root):
        say(line)
    if told["quarantined"]:
        raise typer.Exit(QUARANTINED)


def _pushed_text(told: dict[str, Any], about: str = "") -> str:
    return "\n".join(line for line in (_counts(told), about, told["url"]) if line)


def _counts(told: dict[str, Any]) -> str:
    keys = ("created", "updated", "unchanged", "skipped", "quarantined")
    return ", ".join(f"{key} {told[key]}" for key in keys)
