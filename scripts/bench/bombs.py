"""What small files cost that become large: seconds, memory and disk until each is refused, in the way of an upload."""

from __future__ import annotations

import gzip
import os
import pickle
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

LIMIT_S, LIMIT_MEMORY, LIMIT_DISK = 10.0, 500e6, 1e9  # of the first five together: seconds and disk added up
_MEGABYTE = b"0" * 1_000_000
_HEADER = b"prompt_id,model,score,cost_usd,prompt\n"
_FIRST = 5  # bombs that the limits are for
# As an upload: a look, then all of it. A plain process for what is compared: the same readers without a budget.
_UPLOAD = """
import sys, time
from pathlib import Path
from carrot_core.store import Store
from carrot_core.store.intake import bring_in, look_at
path, place = Path(sys.argv[1]), Path(sys.argv[2])
print(time.process_time(), flush=True)
look_at([path], 100, place=place)
bring_in(Store(place / "carrot.duckdb"), "bomb", [path], place=place)
"""
_PLAIN = """
import sys, time
from pathlib import Path
from carrot_core.benchmarks.formats.head import preview
from carrot_core.benchmarks.registry import read_any
path = Path(sys.argv[1])
print(time.process_time(), flush=True)
if path.suffix != ".pkl":
    preview(path, 100)
read_any(path)
"""


def _cells(path: Path) -> None:
    """200 rows that name one cell of 100 MB."""
    cell = pa.array(["x" * 100_000_000])
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 200, pa.int32()), cell)
    names = pa.array([f"p{row}" for row in range(200)])
    zeros = pa.array([0.0] * 200)
    table = {"prompt_id": names, "model": pa.array(["a", "b"] * 100), "score": zeros, "cost_usd": zeros}
    pq.write_table(pa.table({**table, "prompt": texts}), path, compression="zstd")


def _zeros(path: Path) -> None:
    """10 GB of zeros in frames of 100 MB."""
    frame = pa.compress(_MEGABYTE * 100, codec="zstd", asbytes=True)
    path.write_bytes(frame * 100)


def _dictionaries(path: Path) -> None:
    level: object = np.ones(3)
    for _ in range(8):
        level = {str(number): level for number in range(10)}
    path.write_bytes(pickle.dumps(level))


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("t.csv", "w") as file:
        file.write(_HEADER)
        for _ in range(1000):
            file.write(_MEGABYTE)


def _rows(path: Path) -> None:
    """Three hundred million equal rows."""
    rows = pa.table({"prompt_id": ["p"] * 1_000_000, "model": ["m"] * 1_000_000, "score": [1.0] * 1_000_000})
    with pq.ParquetWriter(path, rows.schema, compression="zstd") as writer:
        for _ in range(300):
            writer.write_table(rows)


def _gzip(path: Path) -> None:
    path.write_bytes(gzip.compress(gzip.compress(_MEGABYTE * 300)))


def _objects(path: Path) -> None:
    """Ten million empty objects in an array: as text within every limit, in memory seventy times that."""
    path.write_bytes(gzip.compress(b"[" + b"{}," * 10_000_000 + b"{}]"))


def _levels(path: Path) -> None:
    path.write_bytes(b"[" * 5_000_000 + b"]" * 5_000_000)


def _columns(path: Path) -> None:
    path.write_bytes(b",".join(b"c%d" % number for number in range(1_000_000)) + b"\n")


def _cell(path: Path) -> None:
    path.write_bytes(gzip.compress(_HEADER + b'p,m,1,0,"' + _MEGABYTE * 400 + b'"\n'))


def _sheet(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
        with archive.open("xl/worksheets/sheet1.xml", "w") as file:
            for _ in range(1000):
                file.write(_MEGABYTE)


BOMBS: dict[str, Callable[[Path], None]] = {
    "cells.parquet": _cells, "zeros.jsonl.zst": _zeros, "dictionaries.pkl": _dictionaries, "table.zip": _zip,
    "rows.parquet": _rows, "twice.csv.gz": _gzip, "objects.json.gz": _objects, "levels.json": _levels,
    "columns.csv": _columns, "cell.csv.gz": _cell, "sheet.xlsx": _sheet,
}  # fmt: skip


def run(progress: Callable[[str], object], *, plain: bool = False) -> list[dict[str, Any]]:
    """Make each bomb and read it.

    Parameters
    ----------
    progress : called with each name.
    plain : read without a budget, as the command line does.

    Returns
    -------
    For each: ``name``, ``bytes``, ``seconds``, ``processor_s``, ``memory_bytes`` (the
    most of all processes together, beyond what the server has without it), ``disk_bytes`` (the most in its folder)
    and ``refusal``, "" where it was read.
    """
    results = []
    for name, make in BOMBS.items():
        progress(name)
        with tempfile.TemporaryDirectory(prefix="carrot-bombs-") as folder:
            path, place = Path(folder, name), Path(folder, "place")
            make(path)
            place.mkdir()
            results.append({"name": name, "bytes": path.stat().st_size, **_measure(path, place, plain)})
    return results


def _measure(path: Path, place: Path, plain: bool) -> dict[str, Any]:
    command = [sys.executable, "-c", _PLAIN if plain else _UPLOAD, str(path), str(place)]
    environment = {**os.environ, "TMPDIR": str(place)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True)
    assert process.stdout is not None
    used = float(process.stdout.readline())  # what the server took to start, which is there in any case
    start, before = time.monotonic(), _rss(process.pid)
    others = resource.getrusage(resource.RUSAGE_CHILDREN)
    memory = disk = 0
    while process.poll() is None:
        memory = max(memory, _rss(process.pid) - before + sum(map(_rss, _below(process.pid))))
        disk = max(disk, sum(state.st_blocks * 512 for state in _files(place)))
        time.sleep(0.01)
    _, output = process.communicate()
    lines = output.strip().splitlines()
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = ended.ru_utime + ended.ru_stime - others.ru_utime - others.ru_stime - used
    return {
        "seconds": time.monotonic() - start, "processor_s": processor, "memory_bytes": memory, "disk_bytes": disk,
        "refusal": lines[-1].rpartition("errors.")[2] if lines else "",
    }  # fmt: skip


def _below(process: int) -> Iterator[int]:
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            children = list(map(int, task.read_text().split()))
        except OSError:
            continue
        for child in children:
            yield child
            yield from _below(child)


def _rss(process: int) -> int:
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def _files(folder: Path) -> Iterator[os.stat_result]:
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                yield os.lstat(os.path.join(place, name))
            except OSError:
                continue


def report(results: list[dict[str, Any]]) -> str:
    """A line for each, and whether the first five together are within the limits."""
    lines = [
        f"{row['name']:18} {row['bytes'] / 1e3:10,.1f} kB {row['seconds']:6.1f} s "
        f"({row['processor_s']:4.1f} of the processor) {row['memory_bytes'] / 1e6:7,.0f} MB "
        f"of memory {row['disk_bytes'] / 1e6:8,.1f} MB of disk  {row['refusal'][:110] or 'read'}"
        for row in results
    ]
    first = results[:_FIRST]
    seconds, disk = sum(row["seconds"] for row in first), sum(row["disk_bytes"] for row in first)
    memory = max(row["memory_bytes"] for row in first)
    within = seconds < LIMIT_S and memory < LIMIT_MEMORY and disk < LIMIT_DISK and all(row["refusal"] for row in first)
    lines.append(
        f"The first five: {seconds:.1f} s, {memory / 1e6:,.0f} MB of memory, {disk / 1e6:,.0f} MB of disk; limits "
        f"{LIMIT_S:g} s, {LIMIT_MEMORY / 1e6:g} MB, {LIMIT_DISK / 1e6:g} MB: {'met' if within else 'NOT met'}"
    )
    return "\n".join(lines)
