"""YAML and JSON Lines to typed values and back: strict to read, canonical and atomic to write.

Reading lists every fault with its line instead of stopping at the first. Writing is canonical (same
value, same bytes) and goes to a temporary file that is renamed when complete, so that a reader sees
the old file or the new one and a re-run that changes nothing leaves the file alone.
"""

from __future__ import annotations

import dataclasses
import filecmp
import json
import math
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, get_args, get_type_hints

from toolkit.errors import DiskError, Fault, InvalidDataError, UsageError
from toolkit.spans import is_storable

if TYPE_CHECKING:
    import yaml

__all__ = [
    "Lines",
    "home",
    "iter_jsonl",
    "json_line",
    "read_json",
    "read_jsonl",
    "read_text",
    "read_yaml",
    "read_yaml_lines",
    "record",
    "render",
    "resource",
    "write_jsonl",
    "write_text",
    "write_yaml",
]

T = TypeVar("T")

YAML_LIMIT = 1 << 20
"""Bytes. A schema or a corpus description larger than this is a mistake or an attack."""

YAML_DEPTH = 32
"""Levels. Over thousands of them the parser takes minutes."""


# ── places ──────────────────────────────────────────────────────────────────────────────────────


def resource(name: str) -> Path:
    """A file or folder that ships with the toolkit: `schemas`, `annotations/communique`, …

    In a wheel these lie in the package; in a clone they lie beside it.
    """
    packaged = Path(str(resources.files("toolkit"))) / "data" / name
    return packaged if packaged.exists() else Path(__file__).parent.parent / name


def home() -> Path:
    """The private folder for servers and secrets: `TOOLKIT_HOME`, else the platform's data folder."""
    chosen = os.environ.get("TOOLKIT_HOME")
    if chosen:
        return Path(chosen)
    import platformdirs

    return Path(platformdirs.user_data_dir("toolkit", appauthor=False))


# ── reading ─────────────────────────────────────────────────────────────────────────────────────


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
    for number, offset, line in _lines(path):
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
    for number, offset, line in _lines(path):
        try:
            value = _strict_object(line)
        except ValueError as error:
            raise InvalidDataError([_line_fault(path, number, offset, error)]) from error
        yield value


def _lines(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Number from 1, offset in bytes, and content of each line."""
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


# ── writing ─────────────────────────────────────────────────────────────────────────────────────


def record(value: Any) -> dict[str, Any]:
    """A dataclass as a JSON object: fields in declared order, those at their default left out."""
    result: dict[str, Any] = {}
    for f in dataclasses.fields(value):
        held = getattr(value, f.name)
        if f.default is not dataclasses.MISSING and held == f.default:
            continue
        if f.default_factory is not dataclasses.MISSING and not held:
            continue
        result[f.name] = _plain(held)
    return result


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return record(value)
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    return value


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
        loader=FileSystemLoader(Path(__file__).parent / "data" / "templates"),
        autoescape=template.endswith(".html"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "sort_keys": True}
    return environment.get_template(template).render(**values)


def write_jsonl(path: Path, values: Iterable[Any]) -> bool:
    """Write one record a line, as they come. Gives whether the file changed."""
    return _write(path, ((json_line(value) + "\n").encode() for value in values), mode=0o644)


def write_text(path: Path, text: str, *, private: bool = False) -> bool:
    """Write the whole file or nothing. Gives whether it changed. `private` means mode 0600."""
    return _write(path, [text.encode()], mode=0o600 if private else 0o644)


def write_yaml(path: Path, value: Any) -> bool:
    """Write a dataclass as YAML, keys in declared order. Gives whether the file changed."""
    import yaml

    text = yaml.safe_dump(record(value), sort_keys=False, allow_unicode=True, width=100)
    return write_text(path, text)


def _write(path: Path, chunks: Iterable[bytes], *, mode: int) -> bool:
    """Write to a temporary file beside it and rename; a file that would not change is not touched.

    Raises `DiskError` when the disk is full or the folder cannot be written; the old file stays.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        with os.fdopen(descriptor, "wb") as handle:
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
    except OSError as error:
        cure = "free some space or choose another folder"
        raise DiskError(f"{path}: cannot be written ({error.strerror}); {cure}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
    return True


# ── YAML ────────────────────────────────────────────────────────────────────────────────────────

Lines = dict[tuple[Any, ...], int]
"""The line of every value of a YAML file, by the keys and positions that lead to it."""

Report = Callable[["yaml.Node", str, str], None]


def read_yaml(path: Path, kind: type[T]) -> T:
    """The value of a YAML file, checked against the dataclass `kind`; unknown keys are faults.

    Duplicate keys and aliases are refused, and so are the bare words YAML 1.1 reads as true or false
    (`NO`, `yes`, `off`). Raises `InvalidDataError` with every fault and its line.
    """
    return read_yaml_lines(path, kind)[0]


def read_yaml_lines(path: Path, kind: type[T]) -> tuple[T, Lines]:
    """As `read_yaml`, with the line of every value, for faults that only its reader can find."""
    from pydantic import TypeAdapter, ValidationError

    lines: Lines = {}
    faults: list[Fault] = []

    def report(node: yaml.Node, what: str, cure: str) -> None:
        faults.append(Fault(str(path), node.start_mark.line + 1, what, cure, "invalid-yaml"))

    parsed = _build(_composed(path), (), lines, report)
    try:
        value = TypeAdapter(kind).validate_python(parsed, strict=False, extra="forbid")
    except ValidationError as error:
        faults += (
            _yaml_fault(path, tuple(part["loc"]), part["type"], part["msg"], part["input"], lines)
            for part in error.errors()
        )
    if faults:
        raise InvalidDataError(sorted(faults))
    return value, lines


_BELONGS = {
    "dataclass_type": "a mapping of keys to values belongs here",
    "dict_type": "a mapping of keys to values belongs here",
    "tuple_type": "a list belongs here",
    "string_type": "text belongs here",
}


def _yaml_fault(
    path: Path, place: tuple[Any, ...], kind: str, what: str, value: Any, lines: Lines
) -> Fault:
    line = next((lines[place[:n]] for n in range(len(place), -1, -1) if place[:n] in lines), 0)
    where = ".".join(map(str, place)) or "the file"
    what = _BELONGS.get(kind, what)
    if kind == "unexpected_keyword_argument":
        what, cure = "unknown key", "remove it or mend its spelling"
    elif kind == "missing":
        cure = "add it"
    elif isinstance(value, bool):
        word = "true" if value else "false"
        cure = f"the word was read as {word}: write it in quotes"
    elif kind == "string_type" and isinstance(value, int | float):
        cure = f'write "{value}" in quotes'
    else:
        cure = f"mend it (found {_shown(value)})"
    return Fault(str(path), line, f"{where}: {what}", cure, "invalid-yaml")


def _shown(value: Any) -> str:
    kinds = {type(None): "nothing", dict: "a mapping", list: "a list"}
    return kinds.get(type(value), repr(value)[:60])


def _composed(path: Path) -> yaml.Node:
    """The file as a tree of YAML nodes, which hold no values yet, but their lines."""
    import yaml

    def refused(mark: Any, what: str, cure: str) -> InvalidDataError:
        line = mark.line + 1 if mark else 0
        return InvalidDataError([Fault(str(path), line, what, cure, "invalid-yaml")])

    text = read_text(path, limit=YAML_LIMIT)
    depth = 0
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > YAML_DEPTH:
                raise refused(event.start_mark, "nested too deep", "mend the YAML")
            if isinstance(event, yaml.AliasEvent):
                raise refused(event.start_mark, f"the alias *{event.anchor}", "write the value out")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.reader.ReaderError as error:
        mark = yaml.Mark("", 0, text.count("\n", 0, error.position), 0, None, 0)
        what = f"the control character #x{error.character:04x}"
        raise refused(mark, what, "remove it") from error
    except yaml.MarkedYAMLError as error:
        what = (error.problem or "not YAML").removeprefix("but ")
        raise refused(error.problem_mark, what, "mend the YAML") from error
    if node is None:
        raise refused(None, "empty", "write its keys and values")
    return node


def _build(node: yaml.Node, place: tuple[Any, ...], lines: Lines, report: Report) -> Any:
    """Plain values of a node, and the line of each under the keys and indexes that lead to it."""
    import yaml

    lines[place] = node.start_mark.line + 1
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node, report)
    if node.tag not in {"tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"}:
        report(node, f"the tag {node.tag.replace('tag:yaml.org,2002:', '!!')}", "remove it")
    if isinstance(node, yaml.SequenceNode):
        return [_build(part, (*place, n), lines, report) for n, part in enumerate(node.value)]
    mapping: dict[str, Any] = {}
    for key_node, value_node in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            report(key_node, "a list or mapping as a key", "use a word")
            continue
        key = str(key_node.value)
        if key in mapping:
            report(key_node, f"the key {key!r} stands twice", "keep one of the two")
        mapping[key] = _build(value_node, (*place, key), lines, report)
        lines[*place, key] = key_node.start_mark.line + 1
    return mapping


_SCALARS: dict[str, Callable[[str], Any]] = {
    "tag:yaml.org,2002:null": lambda _: None,
    # int is strict about 017, which YAML 1.1 counts in eights.
    "tag:yaml.org,2002:int": lambda text: int(text, 0),
    "tag:yaml.org,2002:float": float,
    "tag:yaml.org,2002:str": str,
    # Dates stay text: a calendar is the business of whoever reads the field.
    "tag:yaml.org,2002:timestamp": str,
}


def _scalar(node: yaml.Node, report: Report) -> Any:
    if not is_storable(node.value):
        report(node, "a lone surrogate, which is no character", "remove it")
        return ""
    if node.tag == "tag:yaml.org,2002:bool":
        if node.value.lower() in {"true", "false"}:
            return node.value.lower() == "true"
        cure = f'write "{node.value}" in quotes'
        report(node, f"YAML reads {node.value} as true or false, not as a word", cure)
        return node.value
    try:
        return _SCALARS[node.tag](node.value)
    except (KeyError, ValueError):
        # A tag of another program, or a number such as 12:30 that YAML 1.1 counts in sixties.
        report(node, f"cannot read {node.value!r} as plain text or number", "put it in quotes")
        return node.value
