"""Text, JSON and JSON Lines, read strictly."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, get_args, get_type_hints

from toolkit.errors import Fault, InvalidDataError, UsageError
from toolkit.spans import is_storable

__all__ = [
    "decode",
    "decode_each",
    "decode_parts",
    "iter_jsonl",
    "read_bytes",
    "read_json",
    "read_jsonl",
    "read_lines",
    "read_text",
    "sha256",
    "structure",
]

T = TypeVar("T")


def read_text(path: Path, *, limit: int = -1) -> str:
    """The file's text, exactly: UTF-8, line ends as they are. Refused beyond `limit` bytes."""
    with _opened(path) as handle:
        content = handle.read(limit + 1 if limit >= 0 else -1)
    if 0 <= limit < len(content):
        what = f"larger than {limit:,} bytes"
        raise InvalidDataError([Fault(str(path), 0, what, "split it", "too-large")])
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        fault = _not_utf8(path, line, error.start, content[error.start])
        raise InvalidDataError([fault]) from error


def sha256(path: Path) -> str:
    """The fingerprint of a file's bytes; of nothing at all when there is no such file."""
    if not path.is_file():
        return hashlib.sha256().hexdigest()
    digest = hashlib.sha256()
    with _opened(path) as handle:
        while part := handle.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


def read_bytes(path: Path) -> bytes:
    """The file's bytes."""
    with _opened(path) as handle:
        return handle.read()


def read_json(path: Path) -> Any:
    """The JSON value of a small file of our own."""
    try:
        return json.loads(read_text(path))
    except ValueError as error:
        raise InvalidDataError(
            [Fault(str(path), 0, f"not JSON: {error}", "mend or delete it")]
        ) from error


def read_jsonl(path: Path, kind: type[T], *, lenient: bool = False) -> list[T]:
    """Every record of a JSON Lines file, each checked against the dataclass `kind`.

    Record n stands on line n. Unknown keys, duplicate keys, NaN, lone surrogates and blank lines are
    faults; with `lenient`, unknown keys are passed over, as for files that other programs wrote.
    Raises `InvalidDataError` with one fault per bad line.
    """
    records: list[T] = []
    faults: list[Fault] = []
    for number, offset, line in read_lines(path):
        try:
            records.append(_decode(line, kind, lenient))
        except ValueError as error:
            faults.append(_line_fault(path, number, offset, error))
    if faults:
        raise InvalidDataError(faults)
    return records


def iter_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a large JSON Lines file as dictionaries, one at a time, nothing left out.

    Raises `InvalidDataError` at the first line that is not a JSON object.
    """
    for number, offset, line in read_lines(path):
        try:
            value = _strict_object(line)
        except ValueError as error:
            raise InvalidDataError([_line_fault(path, number, offset, error)]) from error
        yield value


def read_lines(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Number from 1, offset in bytes, and content of each line of a file."""
    # Only "\n" ends a record: str.splitlines also breaks at U+2028 and U+0085, which text may hold.
    offset = 0
    with _opened(path) as handle:
        for number, line in enumerate(handle, start=1):
            yield number, offset, line.removesuffix(b"\n")
            offset += len(line)


def _line_fault(path: Path, line: int, offset: int, error: ValueError) -> Fault:
    if isinstance(error, UnicodeDecodeError):
        return _not_utf8(path, line, offset + error.start, error.object[error.start])
    if "surrogate" in str(error):
        cure = "remove it: Label Studio cannot export a project that holds one"
        return Fault(str(path), line, str(error), cure, "lone-surrogate")
    return Fault(str(path), line, str(error), "mend the line", "invalid-record")


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such file; check the path") from error
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; check the path and its permissions") from error


def _not_utf8(path: Path, line: int, offset: int, byte: int) -> Fault:
    what = f"byte {offset} is not UTF-8 (0x{byte:02x})"
    return Fault(str(path), line, what, "save the file as UTF-8", "invalid-utf8")


def _decode(line: bytes, kind: type[T], lenient: bool) -> T:
    import msgspec

    value = _strict_object(line)
    if not lenient:
        _refuse_unknown_keys(value, kind)
    try:
        return msgspec.convert(value, kind, strict=True)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error


def _strict_object(line: bytes) -> dict[str, Any]:
    text = line.decode()
    if not text.strip():
        raise ValueError("blank line")
    try:
        value = json.loads(
            text,
            object_pairs_hook=_unique_keys,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON at column {error.colno}: {error.msg}") from error
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    if "\\u" in text and not is_storable(json.dumps(value, ensure_ascii=False)):
        raise ValueError("a lone surrogate, which is no character")
    return value


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} stands twice")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _finite(number: str) -> float:
    value = float(number)
    if math.isinf(value):
        raise ValueError(f"{number} is too large a number")
    return value


def _refuse_unknown_keys(value: Mapping[str, Any], kind: type) -> None:
    known = _inner_dataclasses(kind)
    unknown = sorted(value.keys() - known.keys())
    if unknown:
        raise ValueError(f"unknown key {unknown[0]!r}; known are {', '.join(known)}")
    for name, inner in value.items():
        element = known[name]
        if element is not None and isinstance(inner, list):
            for part in inner:
                if isinstance(part, dict):
                    _refuse_unknown_keys(part, element)


@cache
def _inner_dataclasses(kind: type) -> dict[str, type | None]:
    """The fields of a dataclass, each with the dataclass `X` inside its `tuple[X, ...]`, if any."""
    inner: dict[str, type | None] = {}
    for name, hint in get_type_hints(kind).items():
        parts: list[Any] = [part for part in get_args(hint) if dataclasses.is_dataclass(part)]
        inner[name] = parts[0] if parts else None
    return inner


def decode(content: bytes, kind: type[T]) -> T:
    """The value of a JSON text, fast and typed, keys that the type does not name passed over.

    For what comes over the wire in bulk. Raises `ValueError`.
    """
    import msgspec

    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from error


def structure(name: str, **fields: tuple[Any, Any]) -> Any:
    """A light record type for `decode`: each field with its type and its default.

    For values by the hundred thousand, which dataclasses are too slow for.
    """
    import msgspec

    return msgspec.defstruct(name, [(field, *rest) for field, rest in fields.items()])


def decode_each(content: bytes, kind: type[T]) -> Iterator[T]:
    """The entries of a JSON list, one at a time, as `decode` gives them. Raises `ValueError`."""
    return (decode(part, kind) for part in decode_parts(content))


def decode_parts(content: bytes) -> Iterator[bytes]:
    """The entries of a JSON list as they stand, not decoded yet. Raises `ValueError`."""
    import msgspec

    try:
        parts = msgspec.json.decode(content, type=list[msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from error
    return (memoryview(part) for part in parts)  # type: ignore[misc]
