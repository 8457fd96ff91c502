"""Tables in JSON documents, workbooks, Arrow and zip, and several files in one import."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import tempfile
import zipfile
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.ipc as ipc
import pyarrow.parquet as pq
import pytest

from carrot_core import limits
from carrot_core.benchmarks import Frames, json_files
from carrot_core.benchmarks.formats.head import preview
from carrot_core.benchmarks.json_files import json_lines
from carrot_core.benchmarks.reading import Reading
from carrot_core.benchmarks.registry import read_any
from carrot_core.errors import DataError, NotFoundError, Problem
from tests.tables import long_table, write

PARTS = ("prompts", "models", "outcomes")


@cache
def plain() -> Frames:
    """The long table as it reads from a plain file."""
    with tempfile.TemporaryDirectory() as folder:
        return read_any(write(long_table(), Path(folder) / "plain.parquet"))


def same(result: Frames) -> None:
    for part in PARTS:
        pd.testing.assert_frame_equal(getattr(result, part), getattr(plain(), part), check_exact=True)


def refused(path: Path, **options: Any) -> Problem:
    with pytest.raises(DataError) as caught:
        read_any(path, **options)
    return caught.value.problems[0]


RECORDS = long_table().to_dict("records")
DOCUMENTS: dict[str, Any] = {
    "array": RECORDS,
    "under a key": {"model": "x", "rows": RECORDS},
    "deep": {"meta": {"ids": [1, 2]}, "run": {"results": RECORDS, "models": [{"name": "a"}, {"name": "b"}]}},
    "columns": long_table().to_dict("list"),
    "columns by row": json.loads(long_table().to_json()),
    "split": json.loads(long_table().to_json(orient="split")),
    "table": json.loads(long_table().to_json(orient="table", index=False)),
}


@pytest.mark.parametrize(
    ("shape", "name", "indent"),
    [
        *((shape, "t.json", place % 2) for place, shape in enumerate(DOCUMENTS)),
        ("array", "t.json.gz", 1),
        ("deep", "t", 1),
    ],
)
def test_records_of_a_document_are_found(tmp_path: Path, shape: str, name: str, indent: int) -> None:
    text = json.dumps(DOCUMENTS[shape], indent=indent or None).encode()
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    frames = read_any(tmp_path / name)
    same(frames)
    assert preview(tmp_path / name, 3)["model"].tolist() == ["small", "large", "small"]
    assert any("run.results" in note for note in frames.warnings) == (shape == "deep")


@pytest.mark.parametrize("indent", [None, 1])
def test_an_array_under_the_name_of_json_lines(tmp_path: Path, indent: int | None) -> None:
    (tmp_path / "t.jsonl").write_text(json.dumps(RECORDS, indent=indent))
    same(read_any(tmp_path / "t.jsonl"))


def test_json_lines_are_known_by_any_name(tmp_path: Path) -> None:
    for name in ("t.json", "t.txt", "t.csv", "t"):
        (tmp_path / name).write_text("\n".join(map(json.dumps, RECORDS)))
        same(read_any(tmp_path / name))


@pytest.mark.parametrize(
    ("text", "says"),
    [('[{"a": 1},\n{"a"]', "line 2"), ('[{"a": 1}', "end"), ("[1, 2]", "no list"), ("{}", ""), ("[" * 90_000, "deep")],
)
def test_a_document_that_cannot_be_read_says_where(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "t.json").write_text(text)
    assert says in refused(tmp_path / "t.json").message


@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
@pytest.mark.parametrize(
    "document",
    [
        RECORDS,
        {"n": 1.5, "other": [{"a": 1}], "run": {"by": None, "rows": RECORDS, "list": [1, [2]]}, "end": {}},
        {"columns": list(RECORDS[0]), "index": [0], "data": [list(record.values()) for record in RECORDS]},
    ],
    ids=["array", "under a key", "split"],
)
def test_a_document_too_large_to_be_held_is_read_in_a_stream(
    document: object, chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, whole, streamed = tmp_path / "t.json", tmp_path / "held.jsonl", tmp_path / "streamed.jsonl"
    path.write_text(json.dumps(document, indent=1))
    notes = json_lines(path, whole)
    monkeypatch.setattr(limits, "JSON_BYTES", 10)
    monkeypatch.setattr(json_files, "_CHUNK", chunk)
    assert json_lines(path, streamed) == notes
    assert streamed.read_text() == whole.read_text()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[{"a": 1}, {"a"', "end"), ('[{"a": 1}', "end"), ('[{"a": 1}] x', "behind its end"), ('[{"a": 1},]', "comma"),
        ("[1, 2, 3, 4, 5]", "without a list"), ('{"a": {"x": 1}, "b": {"x": 2}}', "without a list"),
        ('{"a": [{"b": 1}], "a": [{"b": 1}]}', "twice"), ('[{"a": 1} {"a": 2}]', "missing"),
    ],
)  # fmt: skip
def test_a_stream_that_cannot_be_read_says_why(
    text: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "JSON_BYTES", 4)
    (tmp_path / "t.json").write_text(text)
    assert says in refused(tmp_path / "t.json").message


# Arrow and Parquet


def arrow_table() -> pa.Table:
    """The long table in the types that tools write."""
    table = pa.Table.from_pandas(long_table(), preserve_index=False)
    kinds = {"model": pa.dictionary(pa.int32(), pa.string()), "prompt": pa.large_string(), "task": pa.large_string()}
    for name, kind in kinds.items():
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, table.column(name).cast(kind))
    scores = pa.array([Decimal(str(score)) for score in long_table()["score"]], pa.decimal128(5, 3))
    return table.set_column(table.schema.get_field_index("score"), "score", scores)


def arrow_bytes(kind: str) -> bytes:
    out = io.BytesIO()
    table = arrow_table()
    if kind == "file":
        with ipc.new_file(out, table.schema) as writer:
            writer.write_table(table, max_chunksize=5)
    elif kind == "stream":
        with ipc.new_stream(out, table.schema) as writer:
            writer.write_table(table, max_chunksize=5)
    elif kind == "feather":
        feather.write_feather(table, out, compression="zstd")
    else:
        pq.write_table(table, out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("kind", "name"),
    [("file", "t"), ("stream", "t"), ("feather", "t"), ("parquet", "t"), ("file", "t.feather"), ("parquet", "t.arrow")],
)
def test_binary_tables_are_known_by_their_content(tmp_path: Path, kind: str, name: str) -> None:
    (tmp_path / name).write_bytes(arrow_bytes(kind))
    same(read_any(tmp_path / name))
    assert len(preview(tmp_path / name, 5)) == 5


@pytest.mark.parametrize("kind", ["file", "stream", "feather"])
def test_a_damaged_arrow_file_is_refused(tmp_path: Path, kind: str) -> None:
    whole = arrow_bytes(kind)
    for end in range(8, len(whole) - 20, len(whole) // 6):
        (tmp_path / "t.arrow").write_bytes(whole[:end])
        assert refused(tmp_path / "t.arrow").message


# Workbooks


def workbook(path: Path, sheets: dict[str, list[list[Any]]]) -> Path:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def sheet_of(table: pd.DataFrame) -> list[list[Any]]:
    return [list(table.columns), *table.astype(object).to_numpy().tolist()]


def test_a_sheet_is_a_table(tmp_path: Path) -> None:
    path = workbook(tmp_path / "t.xlsx", {"Sheet1": sheet_of(long_table())})
    frames = read_any(path)
    same(frames)
    assert not frames.warnings
    assert preview(path, 2)["model"].tolist() == ["small", "large"]


def test_the_sheet_with_the_results_is_taken_and_named(tmp_path: Path) -> None:
    others = {"notes": [["written by hand"], [1]], "results": sheet_of(long_table()), "empty": []}
    frames = read_any(workbook(tmp_path / "t.xlsx", others))
    same(frames)
    assert any("'results'" in note and "notes" in note for note in frames.warnings)


def test_hidden_rows_and_columns_of_a_sheet_are_told(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    long_table().to_excel(path, index=False)
    book = openpyxl.load_workbook(path)
    book.active.row_dimensions[3].hidden = book.active.column_dimensions["B"].hidden = True
    book.save(path)
    frames = read_any(path)
    assert any("row 3, column B" in note for note in frames.warnings)
    assert len(frames.outcomes) == len(long_table())


def test_formulas_without_values_and_a_hidden_sheet_are_told(tmp_path: Path) -> None:
    rows = sheet_of(long_table())
    score = rows[0].index("score")
    path = workbook(tmp_path / "t.xlsx", {"r": [rows[0], *([*r[:score], "=1/2", *r[score + 1 :]] for r in rows[1:])]})
    with pytest.raises(DataError, match="Columns score have formulas"):
        read_any(path)
    book = openpyxl.load_workbook(workbook(path, {"r": rows, "about": [["x"]]}))
    book["r"].sheet_state = "hidden"
    book.save(path)
    assert any("hidden sheet 'r'" in note for note in read_any(path).warnings)


def test_cells_of_a_sheet(tmp_path: Path) -> None:
    rows = [
        ["prompt_id", "model", "score", "cost_usd", None],
        [1, "a", True, 0.5, None],
        [None, None, None, None, None],
        [1.0, "b", False, 1, None],
        ["=1+1", "a", "#DIV/0!", 1, None],
    ]
    problem = refused(workbook(tmp_path / "t.xlsx", {"s": rows}))
    assert problem.row == 3
    frames = read_any(workbook(tmp_path / "t.xlsx", {"s": rows[:4]}))
    assert frames.outcomes[["prompt_id", "score"]].to_numpy().tolist() == [["1", 1.0], ["1", 0.0]]


@pytest.mark.parametrize("content", [b"PK\x03\x04", b"PK\x03\x04" + bytes(400)])
def test_a_workbook_that_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.xlsx").write_bytes(content)
    problem = refused(tmp_path / "t.xlsx")
    assert "workbook" in problem.message or "damaged" in problem.message


def test_a_workbook_beyond_the_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = workbook(tmp_path / "t.xlsx", {"s": sheet_of(long_table())})
    monkeypatch.setattr(limits, "SHEET_CELLS", 20)
    assert "cells" in refused(path).message
    monkeypatch.setattr(limits, "SHEET_BYTES", 100)
    assert "unpacks" in refused(path).message


# Several tables


def per_model(folder: Path, kind: str) -> Path:
    """The long table as a file a model, without the column of the model."""
    for model, rows in long_table().groupby("model"):
        path = folder / (f"{model}{kind}" if kind != "folders" else f"{model}/run.csv")
        path.parent.mkdir(parents=True, exist_ok=True)
        write(rows.drop(columns="model"), path)
    return folder


def sorted_outcomes(frames: Frames) -> pd.DataFrame:
    return frames.outcomes.sort_values(["prompt_id", "model"]).reset_index(drop=True)


@pytest.mark.parametrize("kind", [".csv", ".jsonl", ".parquet", ".csv.gz", "folders"])
def test_the_model_is_the_name_of_the_file_or_folder(tmp_path: Path, kind: str) -> None:
    folder = per_model(tmp_path / "runs", kind)
    frames = read_any(folder, reading=Reading(model_from="folder" if kind == "folders" else "file"))
    pd.testing.assert_frame_equal(sorted_outcomes(frames), sorted_outcomes(plain()))
    assert "2 files" in frames.provenance.source


def test_a_stated_name_is_the_model_of_every_row(tmp_path: Path) -> None:
    one = write(long_table().drop(columns="model").drop_duplicates("prompt_id"), tmp_path / "t.csv")
    assert "'gpt-9'" in refused(one, reading=Reading(model_from="gpt-9")).message


def test_without_it_the_remedy_names_the_option(tmp_path: Path) -> None:
    assert "--model-from" in refused(per_model(tmp_path / "runs", ".csv")).remedy


def test_paths_patterns_and_files_of_other_columns_are_one_table(tmp_path: Path) -> None:
    table = long_table()
    first = write(table[:5].drop(columns="task"), tmp_path / "first.csv")
    second = write(table[5:].assign(extra=1), tmp_path / "second.parquet")
    frames = read_any([first, second], where="coalesce(extra, 0) < 2")
    assert len(frames.outcomes) == len(table)
    assert len(read_any(tmp_path / "*.*").outcomes) == len(table)
    assert frames.outcomes["cost_usd"].tolist() == table["cost_usd"].tolist()


def test_a_problem_names_its_file_and_the_row_in_it(tmp_path: Path) -> None:
    table = long_table().astype(object)
    table.loc[7, "score"] = 7
    paths = [write(table[:5].astype({"score": float}), tmp_path / "a.csv"), tmp_path / "b.csv"]
    table[5:].to_csv(paths[1], index=False)
    problem = refused(paths)  # type: ignore[arg-type]
    assert (problem.file, problem.row) == ("b.csv", 3)
    assert "b.csv" in str(problem)
    paths[1].write_text("prompt_id,model,score\na,b\n")
    with pytest.raises(DataError, match=r"b\.csv: row 1"):
        read_any(paths)


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_a_zip_holds_one_table_or_several(tmp_path: Path) -> None:
    text = long_table().to_csv(index=False).encode()
    same(read_any(zipped(tmp_path / "t.zip", {"t.csv": text, "__MACOSX/._t.csv": b"x", "read.me": b"x"})))
    parts = {f"runs/{model}.csv": rows.drop(columns="model").to_csv(index=False).encode()
             for model, rows in long_table().groupby("model")}  # fmt: skip
    frames = read_any(zipped(tmp_path / "t.zip", parts), reading=Reading(model_from="file"))
    assert frames.models["model"].tolist() == ["large", "small"]


@pytest.mark.parametrize("name", ["../../evil.csv", "/abs/evil.csv", "a/../../evil.csv"])
def test_a_zip_writes_nothing_outside(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "deep" / "home"
    home.mkdir(parents=True)
    monkeypatch.setattr("tempfile.tempdir", str(home))
    path = zipped(tmp_path / "t.zip", {name: long_table().to_csv(index=False).encode()})
    assert len(read_any(path).outcomes) == len(long_table())
    assert [file.name for file in tmp_path.rglob("*") if file.is_file()] == ["t.zip"]


def test_a_zip_that_unpacks_to_too_much_or_to_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zipped(tmp_path / "t.zip", {"t.csv": b"prompt_id,model,score\n" * 200_000})
    monkeypatch.setattr(limits, "UNPACKED_BYTES", 1 << 20)
    assert "unpacks to more" in refused(path).message
    assert "no table" in refused(zipped(tmp_path / "u.zip", {"a.exe": b"MZ"})).message
    (tmp_path / "v.zip").write_bytes(path.read_bytes()[:-30])
    assert "damaged" in refused(tmp_path / "v.zip").message


def test_a_path_that_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "no.csv", tmp_path / "*.csv", tmp_path / "empty"):
        with pytest.raises(NotFoundError):
            read_any(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), "XLSX"),
        (bz2.compress(b"prompt_id,model,score"), "gzip"),
        (b"\xef\xbb\xbf \n<!DOCTYPE HTML><html><body>Sign in</body></html>", "log in"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git lfs pull"),
    ],
)
def test_what_is_no_table_is_called_by_its_name(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=says):
        read_any(path)


def test_the_header_of_a_sheet_may_be_further_down(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    rows = [["Results of spring"], [], list(long_table().columns), *long_table().values.tolist()]
    for row in rows:
        book.active.append(row)
    book.save(tmp_path / "t.xlsx")
    frames = read_any(tmp_path / "t.xlsx")
    assert frames.outcomes["score"].tolist() == long_table()["score"].tolist()
    assert any("row 3" in note for note in frames.warnings)


OWN = {"prompt_id": "Frage", "model": "Modell", "score": "Punkte", "cost_usd": "Kosten"}
GERMAN = pd.DataFrame({"Frage": ["query", "q2"] * 2, "Modell": ["a", "a", "b", "b"], "Punkte": [1, 0, 1, 1]}).assign(
    Kosten=0.01
)


def test_columns_with_names_of_their_own_are_mapped(tmp_path: Path) -> None:
    GERMAN.iloc[[0, 2]].to_json(tmp_path / "t.json")  # fewer rows than columns
    assert read_any(tmp_path / "t.json", columns=OWN).prompts["prompt_id"].tolist() == ["query"]
    GERMAN.to_excel(tmp_path / "t.xlsx", index=False)  # a cell of the data has the name of a column
    assert read_any(tmp_path / "t.xlsx", columns=OWN).prompts["prompt_id"].tolist() == ["q2", "query"]


def test_a_wide_table_of_few_prompts_is_read_as_its_columns(tmp_path: Path) -> None:
    columns = {"prompt_id": ["q0", "q1"], "a": [1, 0], "a|cost_usd": [0.1, 0.1], "b": [0, 1], "b|cost_usd": [0.2, 0.2]}
    pd.DataFrame(columns).to_json(tmp_path / "t.json")
    assert read_any(tmp_path / "t.json").prompts["prompt_id"].tolist() == ["q0", "q1"]


def test_records_by_their_ids_are_read_and_lists_beside_are_told(tmp_path: Path) -> None:
    wide = {f"q{at}": {"a": 1, "a|cost_usd": 0.1, "b": 0, "b|cost_usd": 0.2} for at in range(3)}
    (tmp_path / "ids.json").write_text(json.dumps(wide))
    frames = read_any(tmp_path / "ids.json", columns={"prompt_id": "key"})
    assert frames.prompts["prompt_id"].tolist() == list(wide)
    of_model = {name: rows.to_dict("records") for name, rows in long_table().groupby("model")}
    (tmp_path / "lists.json").write_text(json.dumps(of_model))
    with pytest.raises(DataError, match="not read: small"):
        read_any(tmp_path / "lists.json")
