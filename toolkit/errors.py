"""Every error a user can meet, and the exit code it ends with.

    ToolkitError
      UsageError             2   a wrong argument, a missing file, a wrong configuration
      InvalidDataError       3   a schema, corpus, annotation or prediction that is not valid
        DamagedError        14   a history that is not what was pulled
      UnreachableError      10   the server cannot be reached
      NotAllowedError       11   the server refused the token
      UnusableAnswerError   12   the server answered something that cannot be used
      LockedError           13   another run holds the lock
      IntegrityError        14   what was written is not what is there
      DiskError             15   the disk is full or cannot be written

A message says place, fault and cure, in one line. Facts ride on the exception, so that no caller
parses text. Only the command line catches `ToolkitError`; anything else is a bug of ours (exit 1).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = [
    "DamagedError",
    "DiskError",
    "Fault",
    "IntegrityError",
    "InvalidDataError",
    "LockedError",
    "NotAllowedError",
    "ToolkitError",
    "UnreachableError",
    "UnusableAnswerError",
    "UsageError",
]

QUARANTINED = 4
"""Exit code of a command that did its work but had to set something aside."""


class ToolkitError(Exception):
    """Something the user can put right."""

    exit_code = 1


class UsageError(ToolkitError):
    """A wrong argument, a missing file, a wrong configuration."""

    exit_code = 2


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing wrong in a file: where, what, and how to put it right.

    `rule` is a stable word (`unknown-label`, `overlap`, …) for counting and quarantine records.
    `line` counts from 1; 0 means the file as a whole.
    """

    place: str
    line: int
    what: str
    cure: str
    rule: str = "invalid"

    def __str__(self) -> str:
        where = f"{self.place}:{self.line}" if self.line else self.place
        return f"{where}: {self.what}; {self.cure}"


class InvalidDataError(ToolkitError):
    """A schema, corpus, annotation or prediction that is not valid. Carries every `Fault` found."""

    exit_code = 3

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(map(str, self.faults)))


class DamagedError(InvalidDataError):
    """A history whose lines were altered, lost or left half-merged. Carries every `Fault` found."""

    exit_code = 14


class UnreachableError(ToolkitError):
    """The server cannot be reached, did not answer in time, or is too busy.

    `retry_after` is the seconds it asks to be left alone, if it says so.
    """

    exit_code = 10

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NotAllowedError(ToolkitError):
    """The server refused the token or the user."""

    exit_code = 11


class UnusableAnswerError(ToolkitError):
    """The server answered something that cannot be used."""

    exit_code = 12


class LockedError(ToolkitError):
    """Another run holds the lock."""

    exit_code = 13


class IntegrityError(ToolkitError):
    """What was written is not what is there."""

    exit_code = 14


class DiskError(ToolkitError):
    """The disk is full, read-only or gone."""

    exit_code = 15
