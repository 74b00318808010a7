"""What commands print: results to stdout, messages and progress to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

__all__ = ["figure", "printable", "progress", "result", "say", "table"]


def result(value: Mapping[str, Any], *, as_json: bool, text: str = "") -> None:
    """Print the command's result: exactly one JSON object, or the text people read."""
    if as_json:
        # All ASCII: it cannot drive a terminal, and every encoding can carry it.
        print(json.dumps(value, allow_nan=False))
    elif text:
        print(printable(text))


def say(message: str) -> None:
    """A message for the person at the terminal."""
    print(printable(message), file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """The text with control and direction characters shown as escapes: data must not drive a terminal."""
    return "".join(c if c == "\n" or c.isprintable() else _escape(c) for c in text)


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def figure(value: float | None) -> str:
    """A ratio as people read it, or a dash where there is none."""
    return "–" if value is None else f"{value:.3f}"


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Rows in columns: words to the left, figures to the right."""
    cells = [[printable(str(cell)) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[n]) for row in cells) for n in range(len(head))]
    lines = [title] if title else []
    for number, row in enumerate(cells):
        first = row[0].ljust(widths[0])
        rest = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        lines.append("  ".join([first, *rest]).rstrip())
        if number == 0:
            lines.append("  ".join("─" * width for width in widths))
    return "\n".join(lines)


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr while something takes long; nothing when stderr is not a terminal.

    A total of 0 means that it is not known.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(what, total=None)

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total or None)

        yield advance
