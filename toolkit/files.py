"""YAML and JSON Lines to typed values and back: strict to read, canonical and atomic to write.

Reading lists every fault with its line instead of stopping at the first. Writing is canonical (same
value, same bytes) and goes to a temporary file that is renamed when complete, so that a reader sees
the old file or the new one and a re-run that changes nothing leaves the file alone.
"""

from __future__ import annotations

import dataclasses
import filecmp
import json
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
    "home",
    "iter_jsonl",
    "json_line",
    "read_json",
    "read_jsonl",
    "read_text",
    "read_yaml",
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


def read_text(path: Path) -> str:
    """The file's text, exactly: UTF-8, line ends as they are."""
    with _opened(path) as handle:
        content = handle.read()
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _not_utf8(path, line, error.start, content[error.start]) from error


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
    for number, line in _lines(path):
        try:
            records.append(_decode(line, kind, lenient))
        except ValueError as error:
            cure = "mend the line"
            if "surrogate" in str(error):
                cure = "remove it: Label Studio cannot export a project that holds one"
            rule = "lone-surrogate" if "surrogate" in str(error) else "invalid-record"
            faults.append(Fault(str(path), number, str(error), cure, rule))
    if faults:
        raise InvalidDataError(faults)
    return records


def iter_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a large JSON Lines file as dictionaries, one at a time, nothing left out.

    Raises `InvalidDataError` at the first line that is not a JSON object.
    """
    for number, line in _lines(path):
        try:
            yield _strict_object(line)
        except ValueError as error:
            raise InvalidDataError(
                [Fault(str(path), number, str(error), "mend the line", "invalid-record")]
            ) from error


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    # Only "\n" ends a record: str.splitlines also breaks at U+2028 and U+0085, which text may hold.
    offset = 0
    with _opened(path) as handle:
        for number, line in enumerate(handle, start=1):
            try:
                yield number, line.decode().removesuffix("\n")
            except UnicodeDecodeError as error:
                raise _not_utf8(path, number, offset + error.start, line[error.start]) from error
            offset += len(line)


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such file; check the path") from error
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; check the path and its permissions") from error


def _not_utf8(path: Path, line: int, offset: int, byte: int) -> InvalidDataError:
    what = f"byte {offset} is not UTF-8 (0x{byte:02x})"
    return InvalidDataError(
        [Fault(str(path), line, what, "save the file as UTF-8", "invalid-utf8")]
    )


def _decode(line: str, kind: type[T], lenient: bool) -> T:
    import msgspec

    value = _strict_object(line)
    if not lenient:
        _refuse_unknown_keys(value, kind)
    try:
        return msgspec.convert(value, kind, strict=True)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error


def _strict_object(line: str) -> dict[str, Any]:
    if not line.strip():
        raise ValueError("blank line")
    try:
        value = json.loads(line, object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON at column {error.colno}: {error.msg}") from error
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    if "\\u" in line and not is_storable(json.dumps(value, ensure_ascii=False)):
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


def read_yaml(path: Path, kind: type[T]) -> T:
    """The value of a YAML file, checked against the dataclass `kind`; unknown keys are faults.

    Duplicate keys and aliases are refused, and so are the bare words YAML 1.1 reads as true or false
    (`NO`, `yes`, `off`). Raises `InvalidDataError` with every fault and its line.
    """
    value, lines = _parse_yaml(path)
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(kind).validate_python(value, strict=False, extra="forbid")
    except ValidationError as error:
        raise InvalidDataError(
            _yaml_fault(path, tuple(part["loc"]), part["msg"], part["input"], lines)
            for part in error.errors()
        ) from error


Lines = dict[tuple[Any, ...], int]


def _yaml_fault(path: Path, place: tuple[Any, ...], what: str, value: Any, lines: Lines) -> Fault:
    line = next((lines[place[:n]] for n in range(len(place), -1, -1) if place[:n] in lines), 0)
    where = ".".join(map(str, place)) or "the file"
    cure = f"found {value!r}" if not isinstance(value, dict | list) else "see the README"
    if isinstance(value, bool):
        word = "true" if value else "false"
        cure = f"the word was read as {word}: write it in quotes"
    if what.startswith("Unexpected keyword"):
        what, cure = "unknown key", "remove it or mend its spelling"
    if what == "Field required":
        cure = "add it"
    return Fault(str(path), line, f"{where}: {what}", cure, "invalid-yaml")


def _parse_yaml(path: Path) -> tuple[Any, Lines]:
    import yaml

    text = read_text(path)
    if len(text) > YAML_LIMIT:
        raise InvalidDataError(
            [Fault(str(path), 0, "larger than 1 MiB", "split it", "invalid-yaml")]
        )
    lines: Lines = {}
    faults: list[Fault] = []
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise InvalidDataError([_alias_fault(path, event)])
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or str(error).splitlines()[0]
        line = mark.line + 1 if mark else 0
        fault = Fault(str(path), line, what, "mend the YAML", "invalid-yaml")
        raise InvalidDataError([fault]) from error
    if node is None:
        raise InvalidDataError([Fault(str(path), 0, "empty", "write the schema", "invalid-yaml")])

    def report(node: yaml.Node, what: str, cure: str) -> None:
        faults.append(Fault(str(path), node.start_mark.line + 1, what, cure, "invalid-yaml"))

    value = _build(node, (), lines, report)
    if faults:
        raise InvalidDataError(faults)
    return value, lines


def _alias_fault(path: Path, event: Any) -> Fault:
    line = event.start_mark.line + 1
    what = f"the alias *{event.anchor}"
    return Fault(str(path), line, what, "write the value out", "invalid-yaml")


Report = Callable[["yaml.Node", str, str], None]


def _build(node: yaml.Node, place: tuple[Any, ...], lines: Lines, report: Report) -> Any:
    """The plain value of a node, with the line of every place inside it noted."""
    import yaml

    lines[place] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            if key in mapping:
                report(key_node, f"the key {key!r} stands twice", "keep one of the two")
            mapping[key] = _build(value_node, (*place, key), lines, report)
        return mapping
    if isinstance(node, yaml.SequenceNode):
        return [_build(part, (*place, n), lines, report) for n, part in enumerate(node.value)]
    return _scalar(node, report)


_SCALARS: dict[str, Callable[[str], Any]] = {
    "tag:yaml.org,2002:null": lambda _: None,
    "tag:yaml.org,2002:int": int,
    "tag:yaml.org,2002:float": float,
    "tag:yaml.org,2002:str": str,
    # Dates stay text: a calendar is the business of whoever reads the field.
    "tag:yaml.org,2002:timestamp": str,
}


def _scalar(node: yaml.Node, report: Report) -> Any:
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
