"""Uploads nobody would make, through the door every upload takes, under limits of time and memory.

``python -m tests.fuzz_uploads 400`` prints one JSON object: how many were accepted, the slowest, and the
peak of memory. The first one that is neither accepted nor refused in words ends it.
"""

from __future__ import annotations

import gzip
import io
import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carrot_core.benchmarks.columns import guess_columns
from carrot_core.benchmarks.formats.head import preview
from carrot_core.benchmarks.long_wide_tables import OF_PROMPT, is_wide
from carrot_core.benchmarks.registry import read_any
from carrot_core.csv_latex import problems_frame, safe_csv
from carrot_core.errors import DataError, PricesNeededError
from carrot_core.prices import Price
from carrot_core.store.content import content_of
from carrot_core.text import visible

MOST_S = 5.0  # of the processor's time: the machine may be busy with other things
MOST_BYTES = 1 << 30

NASTY = ["", " ", "nan", "NULL", "a\0", "\u202egnp.exe", "gpt\u200b", "gpt", "GPT", "=1+1", "-1", "é", "e\u0301", "|",
         "|cost_usd", "x|cost_usd", "'", '"', "a\nb", "a,b", "\ufeff", "אבג", "💥", "\ud800",
         "9" * 400, "../x"]  # fmt: skip
NAMES = st.one_of(st.sampled_from(NASTY), st.text(max_size=5), st.sampled_from(["p1", "p2", "p3", "m1", "m2"]))
NUMBERS = st.one_of(
    st.sampled_from(
        [0, 1, 0.5, -1, 2, 1e308, -0.0, "0.5", "x", "", "1_0", "0x1", "NaN", "inf", True, None, [1], {"a": 1}]
    ),
    st.floats(0, 1),
    st.integers(),
)
LONG = [
    "prompt_id",
    "model",
    "score",
    "prompt",
    "task",
    "split",
    "input_tokens",
    "output_tokens",
    "cost_usd",
    "LLM",
    "id",
]
PACK = {"": lambda raw: raw, ".gz": gzip.compress, ".zst": lambda raw: pa.compress(raw, codec="zstd", asbytes=True)}
ENDINGS = [".csv", ".tsv", ".jsonl", ".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".parquet", ".xlsx", ""]


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    """A right table, long or wide, in which up to four cells and two names are made wrong."""
    models = draw(st.lists(st.one_of(st.sampled_from(["m1", "m2"]), NAMES), min_size=2, max_size=3, unique=True))
    ids = draw(st.lists(st.one_of(st.integers(1, 9).map(str), NAMES), min_size=1, max_size=4, unique=True))
    if draw(st.booleans()):
        header = ["prompt_id", "model", "score", "prompt", "input_tokens", "output_tokens", "cost_usd"]
        rows: list[list[Any]] = [[i, model, 0.5, f"text {i}", 10, 20, 0.001] for i in ids for model in models]
    else:
        header = ["prompt_id", *(c for model in models for c in (model, f"{model}|cost_usd", f"{model}|output_tokens"))]
        rows = [[i, *[1, 0.001, 20] * len(models)] for i in ids]
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2, 4]))):
        row = draw(st.sampled_from(rows))
        row[draw(st.integers(0, len(row) - 1))] = draw(st.one_of(NAMES, NUMBERS))
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        header[draw(st.integers(0, len(header) - 1))] = draw(st.one_of(NAMES, st.sampled_from(LONG)))
    return pd.DataFrame(rows, columns=pd.Index(header, dtype=object), dtype=object)


def as_bytes(table: pd.DataFrame, ending: str) -> bytes:
    """The table in a format; in JSON the last of two columns of one name counts."""
    if ending == ".parquet":
        out = io.BytesIO()
        table.astype(str).to_parquet(out) if table.columns.is_unique else out.write(b"PAR1")  # Parquet has no such
        return out.getvalue()
    if ending in (".jsonl", ".ndjson"):
        rows = (dict(zip(table.columns, row, strict=True)) for row in table.itertuples(index=False))
        return "\n".join(json.dumps(row) for row in rows).encode()
    return table.to_csv(index=False, sep="\t" if ending == ".tsv" else ",").encode("utf-8", "surrogatepass")


@st.composite
def uploads(draw: st.DrawFn) -> tuple[str, bytes]:
    """Name and bytes of one upload."""
    ending, packing = draw(st.sampled_from(ENDINGS)), draw(st.sampled_from(["", "", ".gz", ".zst"]))
    kind = draw(st.integers(0, 9))
    if kind < 7:
        try:
            raw = as_bytes(draw(tables()), ending)
        except (UnicodeEncodeError, pa.ArrowException):
            raw = b"\xed\xa0\x80"
    elif kind == 7:
        raw = draw(
            st.one_of(st.binary(max_size=300), st.text('prompt_idmodelscore,\n"{}[]:01.', max_size=300).map(str.encode))
        )
    elif kind == 8:
        raw = draw(st.sampled_from([b",", b"[", b'{"a":', b"0", b"\0", b'"', b"\n", b"\xff", b"a,"])) * draw(
            st.sampled_from([1, 100, 10_000, 300_000])
        )
    else:
        count = draw(st.sampled_from([100, 2_001, 10_000]))
        raw = ",".join(f"c{number}" for number in range(count)).encode() + b"\n" + b",".join([b"1"] * count)
    raw = PACK[packing](raw)
    if draw(st.integers(0, 3)) == 0 and raw:
        broken = bytearray(raw)
        for _ in range(draw(st.integers(1, 4))):
            broken[draw(st.integers(0, len(broken) - 1))] = draw(st.integers(0, 255))
        raw = bytes(broken[: draw(st.integers(1, len(broken)))])
    return f"upload{ending}{packing}", raw


def take(path: Path) -> bool:
    """What the panel does with a file, widgets aside; whether it became a benchmark."""
    try:
        first = preview(path, 5)
        names = [str(name) for name in first.columns]
        first.map(lambda value: visible(value, " ") if isinstance(value, str) else "")
        wide = is_wide(names)
        guessed = {name: source for name, source in guess_columns(names).items() if not wide or name in OF_PROMPT}
        layout, columns = ("wide" if wide else "long"), {k: v for k, v in guessed.items() if k != v}
        try:
            frames = read_any(path, format=layout, columns=columns or None)
        except PricesNeededError as error:
            prices = dict.fromkeys(error.models, Price(1.0, 2.0))
            frames = read_any(path, format=layout, columns=columns or None, prices=prices)
    except DataError as error:
        return not safe_csv(problems_frame(error))
    content_of(frames, 0)
    assert frames.outcomes["score"].between(0, 1).all()
    assert not frames.outcomes["cost_usd"].lt(0).any()
    return True


def run(count: int) -> dict[str, Any]:
    """Take that many uploads; what happened."""
    totals = {"uploads": 0, "accepted": 0, "slowest_s": 0.0, "bytes_most": 0}

    with tempfile.TemporaryDirectory() as folder:

        @settings(
            max_examples=count, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
        )
        @given(upload=uploads())
        def fuzz(upload: tuple[str, bytes]) -> None:
            path = Path(folder, upload[0])
            path.write_bytes(upload[1])
            began = time.process_time()
            totals["accepted"] += take(path)
            took = time.process_time() - began
            path.unlink()
            totals["uploads"] += 1
            totals["slowest_s"] = max(totals["slowest_s"], round(took, 2))
            totals["bytes_most"] = max(totals["bytes_most"], len(upload[1]))
            assert took < MOST_S, f"{upload[0]} took {took:.1f} s"
            assert peak_bytes() < MOST_BYTES, f"{upload[0]} took {peak_bytes():,} bytes"

        fuzz()
    return totals | {"peak_bytes": peak_bytes()}


def peak_bytes() -> int:
    """The most memory this program has used so far.

    Not ``ru_maxrss``: a process inherits that from the one that started it.
    """
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return 1024 * int(line.split()[1])


if __name__ == "__main__":
    # One upload that asks for very much at once ends here. Libraries reserve more than they use (stacks of
    # threads, arenas): what is really used is looked at after every upload.
    resource.setrlimit(resource.RLIMIT_DATA, (4 * MOST_BYTES, 4 * MOST_BYTES))
    print(json.dumps(run(int(sys.argv[1]))))
