"""The terminal: parse, call, print. The only place where modules meet.

Results go to stdout, everything else to stderr. A `ToolkitError` becomes one line per fault and its
documented exit code; anything else is a bug of ours and shows its traceback. Inside, in this order:
`terminal` (what printing looks like), `checks`, `exchange`, `suggesting`, `teams`, `steps`, `readings`,
`reviews` and `doctor` (what commands do), `demo` (all of it once), `app` (the command line itself),
`options` (what commands share),
and the commands: `server` (a local Label Studio), `annotating` (around annotators), `commands` (the
others) and `serve` (a model back to the annotators).
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import NoReturn

from toolkit.cli import annotating, commands, serve  # noqa: F401 - their commands join the app
from toolkit.cli.app import app
from toolkit.errors import DiskError, InvalidDataError, ToolkitError

__all__ = ["app", "main", "run"]

_DISK = {
    errno.EACCES,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EIO,
    errno.ENOSPC,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
}
"""A full, closed or broken disk can be met anywhere, also inside a library; it is no bug of ours."""


def run(args: Sequence[str] | None = None) -> int:
    """Run one command line and give its exit code."""
    try:
        app(args=None if args is None else list(args), prog_name="toolkit", standalone_mode=True)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(bool(stop.code))
    except ToolkitError as error:
        _print_error(error)
        return error.exit_code
    except OSError as error:
        if error.errno not in _DISK:
            raise
        return _disk_failed(error)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


def main() -> NoReturn:
    """The `toolkit` command."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    status = run()
    try:
        sys.stdout.flush()
    except OSError as error:
        # Python would try again while it ends, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno != errno.EPIPE and status != DiskError.exit_code:
            status = _disk_failed(error)
    sys.exit(status)


def _disk_failed(error: OSError) -> int:
    what = f"{error.filename or 'the disk'}: cannot be used ({error.strerror})"
    _print_error(DiskError(f"{what}; free some space or choose another place"))
    return DiskError.exit_code


def _print_error(error: ToolkitError) -> None:
    from toolkit.cli.terminal import printable

    lines = list(map(str, error.faults)) if isinstance(error, InvalidDataError) else [str(error)]
    for line in lines:
        print(f"error: {printable(line)}", file=sys.stderr)
