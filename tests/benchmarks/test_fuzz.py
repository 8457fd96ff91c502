"""Changed files: read with right numbers or refused in words, and nothing run. `fuzz` does thousands."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import pyarrow as pa
import pyarrow.ipc as ipc
import pytest

from carrot_core.benchmarks.registry import read_any
from carrot_core.errors import DataError
from tests.benchmarks.formats.fuzz import fuzz as fuzz_formats
from tests.benchmarks.fuzz import KINDS, fuzz_tables, table

pytestmark = pytest.mark.slow


def test_changed_files_of_tools_are_read_or_refused_in_words() -> None:
    tallies = fuzz_formats(400, seed=1)
    assert sum(tally["read"] for tally in tallies.values()) > 50
    assert all(tally["refused"] for tally in tallies.values())


def test_changed_tables_are_read_right_or_refused_in_words() -> None:
    tallies = fuzz_tables(4 * len(KINDS), seed=1)
    assert tallies.keys() == KINDS.keys()
    assert sum(tally["compared"] for tally in tallies.values()) > 8
    assert sum(tally["refused"] for tally in tallies.values()) > 8


def test_arrow_whose_texts_point_outside_of_the_file_is_refused(tmp_path: Path) -> None:
    rows = pa.table(table())
    rows = rows.set_column(0, "prompt_id", rows["prompt_id"].cast(pa.string()))
    out = io.BytesIO()
    with ipc.new_stream(out, rows.schema) as writer:
        writer.write_table(rows)
    offsets = struct.pack("<4i", 0, 2, 4, 6)
    assert out.getvalue().count(offsets) == 1
    path = tmp_path / "t.arrow"
    path.write_bytes(out.getvalue().replace(offsets, struct.pack("<4i", 0, 2, 1 << 30, 6)))
    with pytest.raises(DataError, match="Arrow"):
        read_any(path)
