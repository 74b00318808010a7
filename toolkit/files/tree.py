"""YAML as typed values, every fault with its line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from toolkit.errors import Fault, InvalidDataError
from toolkit.files.reading import read_text
from toolkit.spans import is_storable

if TYPE_CHECKING:
    import yaml

__all__ = ["Lines", "read_yaml", "read_yaml_lines"]

T = TypeVar("T")

YAML_LIMIT = 1 << 20
"""Bytes. A schema or a corpus description larger than this is a mistake or an attack."""

YAML_DEPTH = 32
"""Levels. Over thousands of them the parser takes minutes."""

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
