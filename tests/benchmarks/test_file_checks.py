"""Hostile files are refused in words, before anything large is made of them."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from carrot_core import limits
from carrot_core.benchmarks import file_checks
from carrot_core.benchmarks.formats.head import preview
from carrot_core.benchmarks.registry import read_any
from carrot_core.errors import DataError, Problem
from tests.tables import long_table, write

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
HEADER = b"prompt_id,model,score,cost_usd\n"
ROW = b"a,m,1,0\n"


def refused(path: Path, content: bytes) -> Problem:
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_any(path)
    return caught.value.problems[0]


@pytest.mark.parametrize("name", ["t.csv.gz", "t.csv.zst", "t.jsonl.gz"])
def test_a_file_that_unpacks_without_end_is_refused(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "UNPACKED_BYTES", 3 << 20)
    raw = HEADER + ROW * 600_000
    packed = gzip.compress(raw) if name.endswith(".gz") else pa.compress(raw, codec="zstd", asbytes=True)
    assert len(packed) < len(raw) / 100
    assert "unpacks to more than" in refused(tmp_path / name, packed).message


def test_a_bomb_is_left_at_the_limit_not_at_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "UNPACKED_BYTES", 5 << 20)
    messages = []
    chunks = file_checks.chunks
    monkeypatch.setattr(file_checks, "chunks", lambda path: (messages.append(len(c)) or c for c in chunks(path)))
    refused(tmp_path / "t.csv.gz", gzip.compress(HEADER + b"\n" * (50 << 20)))
    assert sum(messages) <= 9 << 20


def test_a_parquet_file_of_few_bytes_and_many_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ROWS", 100_000)
    path = tmp_path / "t.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"copy (select 'p' as prompt_id from range(1000000)) to '{path}'")
    assert path.stat().st_size < 20_000
    assert "1,000,000 rows" in refused(path, path.read_bytes()).message


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.jsonl", "t.parquet", "t.csv.gz"])
def test_ten_thousand_columns(tmp_path: Path, name: str) -> None:
    row = {f"c{number}": 1 for number in range(10_000)}
    separator = "\t" if ".tsv" in name else ","
    text = separator.join(row) + "\n" + separator.join(map(str, row.values()))
    content = (json.dumps(row) if ".jsonl" in name else text).encode()
    if name == "t.parquet":
        pq.write_table(pa.table({key: [1] for key in row}), tmp_path / name)
        content = (tmp_path / name).read_bytes()
    problem = refused(tmp_path / name, gzip.compress(content) if name.endswith(".gz") else content)
    assert problem.message.replace(" or more", "") == "has 10,000 columns, the most is 2,000"
    with pytest.raises(DataError, match="10,000 columns"):
        preview(tmp_path / name, 5)


@pytest.mark.parametrize(
    ("name", "content", "row"),
    [
        ("t.csv", HEADER + ROW * 40_000 + b"b,m\xff,1,0\nc,\xc3\xa9,1,0\n", 40_001),
        ("t.csv", HEADER + b'"a\nb",m,1,0\n' + b"b,m\xff,\xc3\xa9,0\n", None),
        ("t.jsonl", b'{"prompt_id": "a"}\n{"prompt_id": "\xc3\x28\x81"}\n', 2),
        ("t.csv", b"prompt_id,mod\xe9l\x8d\n", None),
    ],
)
def test_what_is_not_utf8_is_said_with_its_row_where_that_is_known(
    tmp_path: Path, name: str, content: bytes, row: int | None
) -> None:
    problem = refused(tmp_path / name, content)
    assert "UTF-" in problem.message
    assert problem.row == row
    assert "UTF-8" in problem.remedy


def test_a_character_cut_by_the_end_of_the_file_is_refused(tmp_path: Path) -> None:
    assert "UTF-8" in refused(tmp_path / "t.csv", HEADER + ROW + b"b,m\xe2\x82").message


def test_a_character_across_two_chunks_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_checks, "_CHUNK", 7)
    table = long_table().replace({"small": "模型-é-💥"})
    assert "模型-é-💥" in read_any(write(table, tmp_path / "t.csv")).models["model"].tolist()


@pytest.mark.parametrize("name", ["t.csv.gz", "t.csv.zst"])
def test_a_packed_file_without_its_end(tmp_path: Path, name: str) -> None:
    raw = os.urandom(5000).hex().encode()
    packed = gzip.compress(raw) if name.endswith(".gz") else pa.compress(raw, codec="zstd", asbytes=True)
    assert "cannot be read" in refused(tmp_path / name, packed[:-900]).message


def test_nul_bytes_in_a_name_are_told_with_row_and_column(tmp_path: Path) -> None:
    problem = refused(tmp_path / "t.csv", HEADER + ROW + b"a,m\0n,1,0\n")
    assert (problem.row, problem.column) == (2, "model")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"[" * 300_000, "cannot be read"),
        (b'{"a":' * 1_500 + b"1" + b"}" * 1_500, "cannot be read"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "100,000 columns or more"),
    ],
)
def test_json_that_is_nested_without_end(tmp_path: Path, content: bytes, says: str) -> None:
    assert says in refused(tmp_path / "t.jsonl", content).message


def test_names_right_to_left_or_with_unseen_characters_are_compared_exactly(tmp_path: Path) -> None:
    names = ("gpt", "gpt\u200b", "\u202egpt", "אבג", "gpt ", "é", "e\u0301")
    frames = read_any(write(long_table(models=names), tmp_path / "t.csv"))
    assert set(frames.models["model"]) == set(names)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is read as on Linux")
def test_fuzzed_uploads_are_accepted_or_refused_in_bounded_time_and_memory() -> None:
    count = os.environ.get("CARROT_FUZZ", "100")
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz_uploads", count], cwd=ROOT, capture_output=True, text=True, timeout=3600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    message = json.loads(done.stdout)
    assert message["uploads"] >= int(count)
    assert message["accepted"] > int(count) / 100
    assert message["peak_bytes"] < 1 << 30


def very_many(kind: str) -> bytes:
    """A table of some hundred thousand columns."""
    if kind == "csv":
        return b"a," * 300_000
    if kind == "one line.jsonl":
        return json.dumps({f"column {i}": 1 for i in range(100_000)}).encode()
    if kind == "many lines.jsonl":
        return b"\n".join(json.dumps({f"column {i}": 1}).encode() for i in range(30_000))
    sink = io.BytesIO()
    pq.write_table(pa.table({f"column {i}": [1] for i in range(10_000)}), sink)
    return sink.getvalue()


@pytest.mark.parametrize("name", ["t.jsonl", "t.jsonl.gz"])
def test_a_preview_reads_the_head_alone(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path, line = tmp_path / name, b'{"prompt_id": "a", "model": "m", "score": 1, "prompt": "' + b"x" * 2_000 + b'"}\n'
    content = 4_000 * line + b"\xff \xc3\xa9\n"
    path.write_bytes(gzip.compress(content, 1) if name.endswith(".gz") else content)
    sizes: list[int] = []
    chunks = file_checks.chunks
    monkeypatch.setattr(
        file_checks, "chunks", lambda path: (sizes.append(len(chunk)) or chunk for chunk in chunks(path))
    )
    first = preview(path, 5)
    assert (len(first), list(first.columns)) == (5, ["prompt_id", "model", "score", "prompt"])
    assert sum(sizes) <= 1 << 20
    with pytest.raises(DataError, match="UTF-8"):
        read_any(path)


@pytest.mark.parametrize("kind", ["csv", "one line.jsonl", "many lines.jsonl", "parquet"])
@pytest.mark.parametrize("reads", [lambda path: preview(path, 5), read_any], ids=["preview", "import"])
def test_very_many_columns_are_refused_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, reads: Callable[[Path], object]
) -> None:
    path = tmp_path / f"x.{kind}"
    path.write_bytes(very_many(kind))
    monkeypatch.setattr("carrot_core.benchmarks.file_checks.private_connection", lambda: pytest.fail("was read"))
    with pytest.raises(DataError, match=r"has [\d,]+ columns.*, the most is 2,000"):
        reads(path)
