"""Write the quiz as tables of every kind: `python tables.py FOLDER`, with pyarrow and openpyxl installed."""

import csv
import gzip
import io
import json
import sys
import zipfile
from decimal import Decimal
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
from quiz import EXPECTED

folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
quiz = json.loads(EXPECTED.read_text())
COLUMNS = ("score", "input_tokens", "output_tokens", "cost_usd", "latency_s")
rows = [
    {"prompt_id": key, "prompt": quiz["prompts"][key]["text"], "model": model} | {c: cell[c] for c in COLUMNS}
    for key, models in quiz["cells"].items()
    for model, cell in models.items()
]

text = io.StringIO(newline="")
writer = csv.DictWriter(text, list(rows[0]))
writer.writeheader()
writer.writerows(rows)
plain = text.getvalue().encode()
(folder / "quiz.csv").write_bytes(plain)
(folder / "quiz.csv.gz").write_bytes(gzip.compress(plain, mtime=0))
(folder / "quiz.csv.zst").write_bytes(pa.Codec("zstd").compress(plain, asbytes=True))
with zipfile.ZipFile(folder / "quiz.zip", "w", zipfile.ZIP_DEFLATED) as archive:
    archive.writestr("results/quiz.csv", plain)

book = openpyxl.Workbook()
book.active.append(list(rows[0]))
for row in rows:
    book.active.append(list(row.values()))
book.save(folder / "quiz.xlsx")

MESSAGE = pa.struct([("role", pa.string()), ("content", pa.large_string())])
table = pa.table(
    {
        "prompt_id": pa.array([row["prompt_id"] for row in rows], pa.large_string()),
        "messages": pa.array([[{"role": "user", "content": row["prompt"]}] for row in rows], pa.list_(MESSAGE)),
        "model": pa.array([row["model"] for row in rows]).dictionary_encode(),
        "score": pa.array([row["score"] == 1 for row in rows]),
        "token_usage": pa.array([{c: row[c] for c in ("input_tokens", "output_tokens")} for row in rows]),
        "cost_usd": pa.array([Decimal(f"{row['cost_usd']:.10f}") for row in rows], pa.decimal128(18, 10)),
    }
)
pa.parquet.write_table(table, folder / "quiz.parquet")
pa.feather.write_feather(table, folder / "quiz.feather")
with pa.ipc.new_stream(folder / "quiz.arrows", table.schema) as stream:
    stream.write_table(table)
