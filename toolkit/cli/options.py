"""Arguments and options that several commands share, each said once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

CorpusArgument = Annotated[Path, typer.Argument(metavar="CORPUS", help="Folder of the corpus.")]
ProjectOption = Annotated[
    str,
    typer.Option(
        metavar="NAME", help="Name of the project; one per annotator keeps readings blind."
    ),
]
UrlOption = Annotated[
    str,
    typer.Option(
        metavar="URL",
        help="Label Studio's address; else LABEL_STUDIO_URL, else the local server.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Say what would change; change nothing.")
]
NewOriginOption = Annotated[
    bool, typer.Option("--new-origin", help="The server was set up anew; take its projects.")
]
WaitOption = Annotated[
    float,
    typer.Option(
        "--max-wait", metavar="SECONDS", help="How long to wait for a server that is busy or away."
    ),
]
