"""YAML and JSON Lines to typed values and back: strict to read, canonical and atomic to write.

Reading lists every fault with its line instead of stopping at the first. Writing is canonical (same
value, same bytes) and goes to a temporary file that is renamed when complete, so that a reader sees
the old file or the new one and a re-run that changes nothing leaves the file alone. Inside: `places`,
`reading`, `writing`, `tree` (YAML as a tree whose nodes know their lines), `packages` (data that others
publish on the package index).
"""

from toolkit.files.packages import find_uv, unpack
from toolkit.files.places import home, resource
from toolkit.files.reading import (
    decode,
    decode_each,
    decode_parts,
    iter_jsonl,
    read_bytes,
    read_json,
    read_jsonl,
    read_lines,
    read_text,
    sha256,
    structure,
)
from toolkit.files.tree import Lines, read_yaml, read_yaml_lines
from toolkit.files.writing import (
    json_line,
    record,
    refuse_unwritable,
    render,
    replacing,
    write_jsonl,
    write_lines,
    write_text,
    write_yaml,
)

__all__ = [
    "Lines",
    "decode",
    "decode_each",
    "decode_parts",
    "find_uv",
    "home",
    "iter_jsonl",
    "json_line",
    "read_bytes",
    "read_json",
    "read_jsonl",
    "read_lines",
    "read_text",
    "read_yaml",
    "read_yaml_lines",
    "record",
    "refuse_unwritable",
    "render",
    "replacing",
    "resource",
    "sha256",
    "structure",
    "unpack",
    "write_jsonl",
    "write_lines",
    "write_text",
    "write_yaml",
]
