"""The command line itself: its commands in the order of the work, and the server they talk to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from toolkit.studio import Studio

__all__ = ["DEFAULT_CORPUS", "DEFAULT_DATASET", "app", "connection"]

ORDER = (
    *("demo", "doctor", "check", "studio", "push", "pull", "progress"),
    *("convert", "agreement", "adjudicate"),
    *("build", "train", "predict", "serve", "score"),
)
"""The pipeline: how the help screen lists the commands."""


class _InOrder(TyperGroup):
    """Lists the commands in the order of the work, whichever module they come from."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names, in order."""
        return sorted(super().list_commands(ctx), key=ORDER.index)


app = typer.Typer(
    cls=_InOrder,
    help="Annotate who promised what to whom, how much and by when; train and score models on it.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    rich_markup_mode=None,
)

DEFAULT_CORPUS = Path("annotations/communique")
DEFAULT_DATASET = Path("build/dataset")


def _print_version(wanted: bool) -> None:
    if wanted:
        from toolkit import __version__

        print(__version__)
        raise typer.Exit


@app.callback()
def _toolkit(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    pass


def connection(url: str = "", max_wait: float = 60) -> Studio:
    """The server that is meant: by flag, by environment, or the local one."""
    from toolkit import studio

    if url or os.environ.get("LABEL_STUDIO_URL") or os.environ.get("LABEL_STUDIO_API_KEY"):
        return studio.connect(url, max_wait=max_wait)
    server = studio.status()
    return studio.connect(server.url if server.running else "", server.api_key, max_wait=max_wait)
