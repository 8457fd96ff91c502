"""Changed files through every reader: each is read or refused in words, with right numbers, and nothing is run.

``python -m tests.benchmarks.fuzz 10000`` changes that many files in all, half of them of evaluation tools and gateways
(`tests.benchmarks.formats.fuzz`), half tables, and prints a line a kind: how many were read, how many were refused.
The first that does anything else ends it.
"""

from __future__ import annotations

import gzip
import io
import json
import math
import random
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.ipc as ipc
import pyarrow.parquet as pq
from openpyxl.utils.exceptions import IllegalCharacterError

from carrot_core.benchmarks import Frames
from carrot_core.benchmarks.registry import read_any
from carrot_core.errors import CarrotError
from tests.benchmarks.formats.fuzz import broken
from tests.benchmarks.formats.fuzz import fuzz as fuzz_formats

KEY = ["prompt_id", "model"]
NUMBERS = ["score", "input_tokens", "output_tokens", "cost_usd"]
CELLS: list[Any] = [
    "", " ", "nan", "NULL", "x", "=1+1", "'1", "1_0", "0x1", "1e-3", "1e400", "-0.5", "0.5", "0,5", "1.000,5", "١",
    "1 ", "+1",
    "true", "C", '"', ",", ";", "\n", "\t", "\0", "\ufeff", "\ud800", "💥", "9" * 400, "../x", None, True, 0, 2,
    -1, 0.25, 10**19, math.inf,
]  # fmt: skip
# What a reader of data has no business to do.
_FORBIDDEN = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "socket.connect",
              "pickle.find_class")  # fmt: skip
_watching: list[bool] = []


def table() -> pd.DataFrame:
    """A right table of 12 prompts and 3 models, no two numbers of a column alike."""
    rows = [
        {
            "prompt_id": f"p{prompt}",
            "model": model,
            "score": (prompt * 3 + place) / 64,
            "prompt": f"Question {prompt}?",
            "task": "a" if prompt % 2 else "b",
            "input_tokens": 100 + prompt * 3 + place,
            "output_tokens": 1000 + prompt * 3 + place,
            "cost_usd": (1 + prompt * 3 + place) / 1024,
        }
        for prompt in range(12)
        for place, model in enumerate(("acme/small", "acme/large", "other"))
    ]
    return pd.DataFrame(rows)


def _csv(separator: str = ",", decimal: str = ".") -> Callable[[pd.DataFrame], bytes]:
    return lambda frame: frame.to_csv(index=False, sep=separator, decimal=decimal).encode("utf-8", "surrogatepass")


def _json(frame: pd.DataFrame) -> str:
    return json.dumps(frame.astype(object).where(frame.notna(), None).to_dict("records"), allow_nan=True)


def _lines(frame: pd.DataFrame) -> bytes:
    return "\n".join(json.dumps(row) for row in json.loads(_json(frame))).encode()


def _binary(write: Callable[[pd.DataFrame, io.BytesIO], object]) -> Callable[[pd.DataFrame], bytes]:
    def as_bytes(frame: pd.DataFrame) -> bytes:
        out = io.BytesIO()
        write(frame, out)
        return out.getvalue()

    return as_bytes


def _arrow_stream(frame: pd.DataFrame, out: io.BytesIO) -> None:
    rows = pa.Table.from_pandas(frame, preserve_index=False)
    with ipc.new_stream(out, rows.schema) as writer:
        writer.write_table(rows)


def _zip(frame: pd.DataFrame, out: io.BytesIO) -> None:
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, (_, part) in enumerate(frame.groupby("task", sort=False, dropna=False)):
            archive.writestr(f"part{number}.csv", _csv()(part))


def _from_zip(raw: bytes) -> pd.DataFrame:
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        return pd.concat([_from_csv()(archive.read(name)) for name in archive.namelist()])


def _from_csv(separator: str = ",", decimal: str = ".") -> Callable[[bytes], pd.DataFrame]:
    return lambda raw: pd.read_csv(io.BytesIO(raw), sep=separator, decimal=decimal)


def _from_lines(raw: bytes) -> pd.DataFrame:
    return pd.DataFrame([json.loads(line) for line in raw.decode("utf-8-sig").split("\n") if line.strip()])


# By name: the ending of the file, what writes it, and what reads it but our readers.
KINDS: dict[str, tuple[str, Callable[[pd.DataFrame], bytes], Callable[[bytes], pd.DataFrame]]] = {
    "csv": (".csv", _csv(), _from_csv()),
    "csv, semicolons and decimal commas": (".csv", _csv(";", ","), _from_csv(";", ",")),
    "tsv": (".tsv", _csv("\t"), _from_csv("\t")),
    "json lines": (".jsonl", _lines, _from_lines),
    "json": (".json", lambda frame: _json(frame).encode(), lambda raw: pd.DataFrame(json.loads(raw))),
    "json under a key": (
        ".json",
        lambda frame: f'{{"run": {{"n": 1, "rows": {_json(frame)}}}}}'.encode(),
        lambda raw: pd.DataFrame(json.loads(raw)["run"]["rows"]),
    ),
    "parquet": (
        ".parquet",
        _binary(lambda frame, out: frame.to_parquet(out, index=False)),
        lambda raw: pq.read_table(io.BytesIO(raw)).to_pandas(),
    ),
    "feather": (
        ".feather",
        _binary(lambda frame, out: feather.write_feather(frame, out)),
        lambda raw: feather.read_feather(io.BytesIO(raw)),
    ),
    "arrow stream": (".arrow", _binary(_arrow_stream), lambda raw: ipc.open_stream(raw).read_all().to_pandas()),
    "xlsx": (
        ".xlsx",
        _binary(lambda frame, out: frame.to_excel(out, index=False)),
        lambda raw: pd.read_excel(io.BytesIO(raw)),
    ),
    "csv.gz": (".csv.gz", lambda frame: gzip.compress(_csv()(frame)), lambda raw: _from_csv()(gzip.decompress(raw))),
    "csv.zst": (
        ".csv.zst",
        lambda frame: pa.compress(_csv()(frame), codec="zstd", asbytes=True),
        lambda raw: _from_csv()(pa.input_stream(pa.py_buffer(raw), compression="zstd").read()),
    ),
    "zip": (".zip", _binary(_zip), _from_zip),
}


_CHECKED = ("csv.gz", "zip", "xlsx")


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching and event in _FORBIDDEN:
        raise AssertionError(f"a reader does {event} {arguments!r}")


@contextmanager
def _nothing_run() -> Iterator[None]:
    _watching.append(True)
    try:
        yield
    finally:
        _watching.pop()


def _number(value: object) -> float | None:
    """A number as pandas or a person reads it; None where that is not plain."""
    try:
        return None if isinstance(value, bool) or value is None else float(str(value))
    except ValueError:
        return None


def differences(frames: Frames, other: pd.DataFrame) -> list[str]:
    """Numbers that are not those of another reader of the same file; what it does not read as a number counts not."""
    expected: dict[tuple[str, str], list[dict[Any, Any]]] = {}
    for row in other.to_dict("records"):
        expected.setdefault((str(row.get("prompt_id")), str(row.get("model"))), []).append(row)
    wrong = []
    for row in frames.outcomes.to_dict("records"):
        candidates = expected.get((row["prompt_id"], row["model"]), [])
        for name in NUMBERS:
            stated = [_number(each.get(name)) for each in candidates if name in each]
            if not stated or None in stated or pd.isna(row[name]):
                continue  # an empty cell, a cost of 0 that counts as not recorded: no number is claimed
            if not any(math.isclose(row[name], value, rel_tol=1e-12) for value in stated if value is not None):
                wrong.append(f"{row['prompt_id']} {row['model']}: {name} is {row[name]!r}, elsewhere {stated!r}")
    return wrong


def _changed(frame: pd.DataFrame, chance: random.Random) -> pd.DataFrame:
    """A table with one cell changed."""
    frame = frame.astype(object)
    frame.iat[chance.randrange(len(frame)), chance.randrange(frame.shape[1])] = chance.choice(CELLS)
    return frame


def _mutated(kind: str, right: pd.DataFrame, chance: random.Random) -> tuple[bytes, pd.DataFrame | None]:
    """A file with a cell changed, and what is in it; or with a few bytes changed, and what is in it if that is known.

    One that carries a checksum is as it was, or refused.
    """
    write = KINDS[kind][1]
    if chance.random() < 0.5:
        raw = broken(write(right), chance)
        return raw, right if kind in _CHECKED else _other(raw, kind)
    while True:
        frame = _changed(right, chance)
        for as_texts in (False, True):
            try:
                each = frame.map(lambda value: None if value is None else str(value)) if as_texts else frame
                return write(each), each
            except (pa.ArrowException, IllegalCharacterError, ValueError, OverflowError, TypeError):
                continue  # a file that this kind cannot be


def _other(raw: bytes, kind: str) -> pd.DataFrame | None:
    """The file as pandas reads it; None where it does not."""
    try:
        return KINDS[kind][2](raw)
    except Exception:  # whatever pandas raises of a damaged file
        return None


def fuzz_tables(count: int, seed: int = 0) -> dict[str, dict[str, int]]:
    """Read that many changed tables; of each kind how many were read, compared, and refused."""
    chance, right, tallies = random.Random(seed), table(), {}
    with tempfile.TemporaryDirectory() as folder:
        for kind, (ending, write, _) in KINDS.items():
            path = Path(folder, f"whole{ending}")
            path.write_bytes(write(right))
            frames = read_any(path)
            assert len(frames.outcomes) == len(right), kind
            assert differences(frames, right) == [], kind
        for number in range(count):
            kind = list(KINDS)[number % len(KINDS)]
            tally = tallies.setdefault(kind, {"read": 0, "compared": 0, "refused": 0})
            path = Path(folder, f"case{KINDS[kind][0]}")
            raw, content = _mutated(kind, right, chance)
            path.write_bytes(raw)
            try:
                with _nothing_run():
                    frames = read_any(path)
            except CarrotError:
                tally["refused"] += 1
                continue
            tally["read"] += 1
            tally["compared"] += content is not None
            wrong = [] if content is None else differences(frames, content)
            assert not wrong, f"{kind}: case {number} of seed {seed}, {wrong[:3]}"
            assert frames.outcomes["score"].dropna().between(0, 1).all(), f"{kind}: case {number} of seed {seed}"
    return tallies


def fuzz(count: int, seed: int = 0) -> dict[str, dict[str, int]]:
    """Read that many changed files of all kinds."""
    return fuzz_formats(count // 2, seed) | fuzz_tables(count - count // 2, seed)


sys.addaudithook(_watch)

if __name__ == "__main__":
    began = time.perf_counter()
    tallies = fuzz(int(sys.argv[1]))
    for name, tally in tallies.items():
        print(f"| {name} | {' | '.join(f'{key} {value:,}' for key, value in tally.items())} |")
    print(f"{sum(tally['read'] + tally['refused'] for tally in tallies.values()):,} files, "
          f"{time.perf_counter() - began:,.0f} s")  # fmt: skip
