"""Anybody's raw export as columns and as parquet: what converters drop is kept."""

import json
from pathlib import Path

import pytest

from toolkit import cli, studio
from toolkit.errors import InvalidDataError


def region(identifier, start, end, *labels, control="label"):
    """A region as an export has it."""
    value = {"start": start, "end": end, "text": "x", "labels": list(labels)}
    names = {"id": identifier, "from_name": control, "to_name": "text", "type": "labels"}
    return names | {"value": value}


def choice(identifier, control, *values, kind="choices"):
    """What is said of a region, as an export has it."""
    value = {"start": 0, "end": 5, kind: list(values)}
    return {"id": identifier, "from_name": control, "type": kind, "value": value}


def arrow(head, tail, *labels, direction="right"):
    """A relation as an export has it."""
    ends = {"from_id": head, "to_id": tail, "direction": direction, "labels": list(labels)}
    return {"type": "relation", **ends}


NESTED = [
    region("r1", 0, 20, "COMMITMENT"),
    region("r2", 2, 7, "PARTY", control="mentions"),
    region("r3", 8, 12, "PARTY", "ORG", control="mentions"),
    choice("r1", "kind", "pledge"),
    choice("r1", "note", "as said", kind="text"),
    choice("r1", "flags", "a", "b"),
    arrow("r1", "r2", "promisor"),
    arrow("r2", "r1", "promisor", direction="left"),
    arrow("r1", "r3"),
]
EXPORT = [
    {
        "id": 7,
        "data": {"document": "d1", "text": "😀 Paris will pay Rome"},
        "annotations": [
            {
                "id": 1,
                "completed_by": 3,
                "result": NESTED,
                "lead_time": 2.5,
                "was_cancelled": False,
            },
            {"id": 2, "completed_by": {"id": 4, "email": "ann@example.com"}, "result": []},
            {"id": 3, "completed_by": None, "result": [], "was_cancelled": True},
        ],
        "drafts": [{"result": [region("d", 0, 3, "PARTY")]}],
    },
    {"id": 8, "data": {"body": "no text here"}, "annotations": [{"id": 4, "result": None}]},
    {"id": 9, "data": {"text": "nobody read this"}, "annotations": []},
]


@pytest.fixture
def export(tmp_path):
    """The export as a file."""
    path = tmp_path / "export.json"
    path.write_text(json.dumps(EXPORT))
    return path


def test_every_annotation_is_a_row(export):
    """Several annotators, skips and empty submissions are rows; drafts and untouched tasks are none."""
    found = studio.columns(export)
    assert found.rows == {
        "task": [7, 7, 7, 8],
        "document": ["d1", "d1", "d1", "8"],
        "text": ["😀 Paris will pay Rome"] * 3 + [None],
        "annotation": [1, 2, 3, 4],
        "user": [3, 4, None, None],
        "skipped": [False, False, True, False],
        "lead_time": [2.5, None, None, None],
        "updated_at": [""] * 4,
    }
    assert found.refused == []


def test_nested_spans_answers_and_relations_are_kept(export):
    """Spans of several controls, nested or with several labels, and all that is said of them."""
    found = studio.columns(export)
    assert list(zip(*found.spans.values(), strict=True)) == [
        ("r1", 0, 20, "COMMITMENT", "label"),
        ("r2", 2, 7, "PARTY", "mentions"),
        ("r3", 8, 12, "PARTY", "mentions"),
        ("r3", 8, 12, "ORG", "mentions"),
    ]
    assert list(zip(*found.answers.values(), strict=True)) == [
        ("r1", "kind", "pledge"),
        ("r1", "note", "as said"),
        ("r1", "flags", "a"),
        ("r1", "flags", "b"),
    ]
    assert list(zip(*found.relations.values(), strict=True)) == [
        ("promisor", "r1", "r2"),
        ("promisor", "r1", "r2"),
        ("", "r1", "r3"),
    ]
    assert found.ends == {"spans": [4] * 4, "answers": [4] * 4, "relations": [3] * 4}


def test_parquet_opens_as_a_dataset(export, tmp_path, capsys):
    """The command writes what `datasets` reads: typed columns, lists of records, no address."""
    import datasets

    output = tmp_path / "out" / "a.parquet"
    assert cli.run(["convert", str(export), "-o", str(output), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    counts = {"annotations": 4, "spans": 4, "relations": 3, "refused": []}
    assert told == {"output": str(output)} | counts
    assert b"ann@example" not in output.read_bytes()
    made = datasets.load_dataset(
        "parquet", data_files=str(output), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert made[0]["spans"][1] == {
        "id": "r2",
        "start": 2,
        "end": 7,
        "label": "PARTY",
        "control": "mentions",
    }
    assert [len(row["spans"]) for row in made] == [4, 0, 0, 0]
    assert made.features["user"].dtype == "int64"
    assert made.features["lead_time"].dtype == "float64"


def test_an_export_without_times_has_the_same_types(tmp_path):
    """A column that is empty throughout keeps its type, so that files can be read together."""
    from pyarrow import parquet

    path = tmp_path / "e.json"
    path.write_text(json.dumps([{"id": 1, "data": {}, "annotations": [{"id": 1}]}]))
    assert cli.run(["convert", str(path), "-o", str(tmp_path / "a.parquet")]) == 0
    schema = parquet.read_schema(tmp_path / "a.parquet")
    assert [str(schema.field(name).type) for name in ("lead_time", "user", "text")] == [
        "double",
        "int64",
        "string",
    ]


def test_a_task_of_another_shape_is_counted(tmp_path, capsys):
    """One task that cannot be read costs itself alone: it is named, and the exit code is 4."""
    path = tmp_path / "e.json"
    broken = {"id": 2, "data": {}, "annotations": [{"id": 1, "result": [{"id": "r", "value": 7}]}]}
    path.write_text(json.dumps([EXPORT[0], broken]))
    assert cli.run(["convert", str(path), "-o", str(tmp_path / "a.parquet")]) == 4
    told = capsys.readouterr()
    assert told.out == f"{tmp_path / 'a.parquet'}: 3 annotations, 4 spans\n"
    assert told.err == "passed over, not of an export's shape: tasks [2] of the file\n"


@pytest.mark.parametrize(
    "content", [b"{}", b"[1,", b"", b"\xff"], ids=["object", "cut", "empty", "bytes"]
)
def test_what_is_no_export_is_refused(tmp_path, content):
    """A file that is no list of tasks is named with its cure."""
    path = tmp_path / "e.json"
    path.write_bytes(content)
    with pytest.raises(InvalidDataError) as error:
        studio.columns(path)
    assert str(error.value).startswith(f"{path}: not a list of tasks: ")
    assert str(error.value).endswith("; export the project as JSON")


def test_output_is_not_the_input(export, capsys):
    """The export is not written over."""
    before = export.read_bytes()
    assert cli.run(["convert", str(export), "-o", str(Path(export.parent, ".", export.name))]) == 2
    assert (export.read_bytes(), "is the input" in capsys.readouterr().err) == (before, True)
