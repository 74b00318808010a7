"""Values as canonical text, written whole or not at all."""

from __future__ import annotations

import dataclasses
import filecmp
import json
import os
import secrets
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from toolkit.errors import DiskError

__all__ = [
    "json_line",
    "record",
    "refuse_unwritable",
    "render",
    "replacing",
    "write_jsonl",
    "write_lines",
    "write_text",
    "write_yaml",
]


def record(value: Any) -> dict[str, Any]:
    """A dataclass as a JSON object: fields in declared order, those at their default left out."""
    result: dict[str, Any] = {}
    for name, default, made in _fields(value.__class__):
        held = getattr(value, name)
        if held == default if made is None else not held:
            continue
        result[name] = _plain(held)
    return result


@cache
def _fields(kind: type) -> tuple[tuple[str, Any, Any], ...]:
    """Each field's name, its default (which nothing equals if it has none), and what makes one."""
    return tuple(
        (
            field.name,
            field.default,
            None if field.default_factory is dataclasses.MISSING else field.default_factory,
        )
        for field in dataclasses.fields(kind)
    )


_BARE = frozenset((str, int, float, bool, type(None)))


def _plain(value: Any) -> Any:
    if value.__class__ in _BARE:
        return value
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    if isinstance(value, dict | Mapping):  # The first is seldom wrong, and quicker to tell.
        return {key: _plain(part) for key, part in value.items()}
    return record(value) if dataclasses.is_dataclass(value) else value


def json_line(value: Any) -> str:
    """The one canonical JSON text of a value, without a line end."""
    plain = record(value) if dataclasses.is_dataclass(value) else value
    return json.dumps(plain, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def render(template: str, **values: Any) -> str:
    """A template of `data/templates` filled in: HTML with everything escaped, Markdown as it is.

    A name the template does not know is an error, never an empty place.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent.parent / "data" / "templates"),
        autoescape=template.endswith(".html"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "sort_keys": True}
    return environment.get_template(template).render(**values)


def write_jsonl(path: Path, values: Iterable[Any]) -> bool:
    """Write one record a line, as they come. Gives whether the file changed."""
    return _write(path, ((json_line(value) + "\n").encode() for value in values), mode=0o644)


def write_lines(path: Path, lines: Iterable[bytes]) -> bool:
    """Write lines that are canonical already, each without its end. Gives whether the file changed."""
    return _write(path, (line + b"\n" for line in lines), mode=0o644)


def write_text(path: Path, text: str, *, private: bool = False) -> bool:
    """Write the whole file or nothing. Gives whether it changed. `private` means mode 0600."""
    return _write(path, [text.encode()], mode=0o600 if private else 0o644)


def write_yaml(path: Path, value: Any) -> bool:
    """Write a dataclass as YAML, keys in declared order. Gives whether the file changed."""
    import yaml

    text = yaml.safe_dump(record(value), sort_keys=False, allow_unicode=True, width=100)
    return write_text(path, text)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file to fill, which takes the place of `path` when the body is through.

    Raises `DiskError` when the disk is full or the folder cannot be written; the old file stays.
    """
    with _beside(path) as temporary:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A new, private, empty file beside this one, which is gone in the end, whatever happens."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path)
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        yield temporary
    except OSError as error:
        cure = "free some space or choose another folder"
        raise DiskError(f"{path}: cannot be written ({error.strerror}); {cure}") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def refuse_unwritable(folder: Path) -> None:
    """Raises `DiskError` unless files can be made in this folder, or where it would be made."""
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        cure = "make it writable or choose another folder"
        raise DiskError(f"{folder}: cannot be written ({error.strerror}); {cure}") from error


def _remove_leftovers(path: Path) -> None:
    """Remove the temporary files of this one whose writers were killed."""
    prefix = f".{path.name}."
    for found in path.parent.iterdir():
        process = found.name.removeprefix(prefix).partition(".")[0]
        if found.name.startswith(prefix) and process.isdecimal() and not _runs(int(process)):
            found.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True


def _write(path: Path, chunks: Iterable[bytes], *, mode: int) -> bool:
    """Write to a temporary file beside it and rename; a file that would not change is not touched.

    Raises `DiskError` when the disk is full or the folder cannot be written; the old file stays.
    """
    with _beside(path) as temporary:
        with os.fdopen(os.open(temporary, os.O_WRONLY), "wb") as handle:
            for chunk in chunks:
                handle.write(chunk)
            handle.flush()
            os.fsync(handle.fileno())
        if path.is_file() and filecmp.cmp(path, temporary, shallow=False):
            if mode & 0o077 == 0:
                path.chmod(mode)
            return False
        temporary.chmod(mode)
        temporary.replace(path)
    return True
