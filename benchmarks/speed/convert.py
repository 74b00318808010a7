"""How fast a raw export becomes parquet, beside typed decoding alone and the SDK's own converter.

Run as `python benchmarks/speed/convert.py [TASKS]`. Needs no server.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from data import readings

from toolkit.cli.steps import convert_export
from toolkit.files import resource
from toolkit.schema import Schema
from toolkit.studio.exports import _tasks
from toolkit.studio.page import page
from toolkit.studio.results import to_result

REPEATS = 3


def write_export(path: Path, count: int, schema: Schema) -> None:
    """A raw export as Label Studio writes it."""
    tasks = []
    for number, (document, reading) in enumerate(readings(count), start=1):
        made = {
            "id": number,
            "completed_by": 1,
            "result": to_result(reading, schema, document),
            "was_cancelled": False,
            "lead_time": 3.5,
            "created_at": "2031-05-18T09:00:00.000000Z",
            "updated_at": "2031-05-18T09:00:00.000000Z",
        }
        data = {"document": document.id, "text": document.text}
        tasks.append({"id": number, "data": data, "annotations": [made], "predictions": []})
    path.write_text(json.dumps(tasks))


def best(step: Callable[[], object], repeats: int = REPEATS) -> float:
    """The quickest of some runs, in seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return min(times)


def main(count: int) -> None:
    """Print the table."""
    from label_studio_sdk.converter import Converter

    schema = Schema.load(resource("schemas/commitments.yaml"))
    with tempfile.TemporaryDirectory() as folder:
        export = Path(folder) / "export.json"
        write_export(export, count, schema)
        size = export.stat().st_size / 1e6
        ours = best(lambda: convert_export(export, Path(folder) / "out.parquet", "text"))
        decoding = best(lambda: sum(1 for _ in _tasks(export)))
        converter = Converter(page(schema), folder, download_resources=False)
        theirs = Path(folder) / "conll"
        sdk = best(
            lambda: converter.convert_to_conll2003(str(export), str(theirs), is_dir=False), 1
        )
    print(f"{count} tasks, {size:.0f} MB of JSON; best of {REPEATS} runs, of 1 for the SDK")
    print(f"toolkit convert to parquet       {ours:8.2f} s")
    print(f"typed decoding alone             {decoding:8.2f} s  ours takes {ours / decoding:.1f} ×")
    print(f"the SDK's converter (CoNLL)      {sdk:8.2f} s  ours is {sdk / ours:.0f} × faster")


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 10_000)
