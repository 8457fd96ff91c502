"""The reader of SPROUT: what is kept, what is accepted, what is refused, and what is never read."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from carrot_core.benchmarks import Frames, Provenance
from carrot_core.benchmarks.sprout import read_sprout
from carrot_core.errors import DataError, NotFoundError
from carrot_core.prices import Price
from carrot_core.prices.files import shipped_prices
from carrot_core.store import Store
from tests.sprout_files import MODELS, O3MINI, SHARDS, answers, content, shards, table, write

pytestmark = pytest.mark.slow

ORIGIN = Provenance("somebody/SPROUT@0", sha256="0" * 64)
ROOT = Path(__file__).resolve().parents[2]


def read(folder: Path, shard: dict[str, pa.Table], prices: dict[str, Price] | None = None) -> Frames:
    return read_sprout(write(folder, shard), prices=prices or shipped_prices(), provenance=ORIGIN)


def one(shard: pa.Table) -> dict[str, pa.Table]:
    return {"data/test-00000-of-00001.parquet": shard}


def replaced(shard: pa.Table, model: str, **fields: Any) -> pa.Table:
    """A shard in which some fields of one model's answers are others."""
    names = ("num_input_tokens", "num_output_tokens", "score")
    whole = {name: shard.column(model).combine_chunks().field(name) for name in names} | fields
    column = answers(response=["r"] * len(shard), **whole)
    return shard.set_column(shard.column_names.index(model), model, column)


def test_split_text_task_and_every_number_of_every_answer(tmp_path: Path, carrot_home: Path) -> None:
    table = shards()
    frames = read(tmp_path, table)
    prompts = frames.prompts.set_index("prompt_id")
    assert prompts["split"].value_counts().to_dict() == {"train": 34, "validation": 7, "test": 8}
    cells = frames.outcomes.set_index(["prompt_id", "model"])
    assert len(cells) == 49 * 13
    prices = shipped_prices()
    for path, shard in table.items():
        for row in shard.to_pylist():
            prompt = prompts.loc[str(row["key"])]
            assert (prompt["text"], prompt["task"]) == (row["prompt"], row["dataset"])
            assert prompt["split"] == path.removeprefix("data/").partition("-")[0]
            for model in MODELS:
                answer, cell = row[model], cells.loc[(str(row["key"]), model)]
                tokens = (answer["num_input_tokens"], answer["num_output_tokens"])
                assert (cell["score"], cell["input_tokens"], cell["output_tokens"]) == (answer["score"], *tokens)
                price = prices[model]
                paid = tokens[0] * price.input_usd_per_mtok + tokens[1] * price.output_usd_per_mtok
                assert cell["cost_usd"] == pytest.approx(paid / 1e6, rel=1e-12)
    assert frames.provenance.rows == 49 * 13
    assert frames.provenance.licence == ""
    assert frames.warnings == ()


def test_families_are_the_six_sources(tmp_path: Path, carrot_home: Path) -> None:
    frames = read(tmp_path, one(table(8)))
    result = frames.prompts.drop_duplicates("task").set_index("task")["family"].to_dict()
    assert result == {
        "lighteval/MATH/all": "MATH",
        "openhermes/teknium": "openhermes",
        "TIGER-Lab/MMLU-Pro": "MMLU-Pro",
        "Idavidrein/gpqa/gpqa_extended": "gpqa",
    }


def test_both_spellings_are_the_same_content(tmp_path: Path, carrot_home: Path) -> None:
    parts = []
    for number, spelling in enumerate(("_", " ")):
        folder = tmp_path / str(number)
        folder.mkdir()
        table = {path: shard.drop_columns(["key"]) for path, shard in shards(spelling=spelling).items()}
        parts.append(read(folder, table))
    pd.testing.assert_frame_equal(parts[0].prompts, parts[1].prompts)
    pd.testing.assert_frame_equal(parts[0].outcomes, parts[1].outcomes)
    assert parts[0].prompts["prompt_id"][0] == "lighteval/MATH/all:Level 0:0"


def test_the_variant_has_its_fourteenth_model(tmp_path: Path, carrot_home: Path) -> None:
    frames = read(tmp_path, shards(O3MINI))
    assert sorted(frames.models["model"]) == sorted(O3MINI)


def test_order_of_columns_and_of_fields_does_not_matter(tmp_path: Path, carrot_home: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
    shard = table(9)
    turned = {name: shard.column(name) for name in reversed(shard.column_names)}
    for model in MODELS:
        column = shard.column(model).combine_chunks()
        names = [field.name for field in reversed(column.type)]
        turned[model] = pa.StructArray.from_arrays([column.field(name) for name in names], names=names)
    first, second = read(tmp_path / "a", one(shard)), read(tmp_path / "b", one(pa.table(turned)))
    pd.testing.assert_frame_equal(first.outcomes, second.outcomes)


def test_extra_columns_are_left_out_and_said(tmp_path: Path, carrot_home: Path) -> None:
    extra = answers(score=[1.0] * 9)  # a struct, but not that of a model: no tokens
    shard = table(9).append_column("notes", pa.array(["n"] * 9)).append_column("summary", extra)
    frames = read(tmp_path, one(shard))
    assert sorted(frames.models["model"]) == sorted(MODELS)
    assert frames.warnings == ("Columns that are not kept: notes, summary.",)


def test_a_model_with_dots_in_its_name_is_read_by_its_whole_name(tmp_path: Path, carrot_home: Path) -> None:
    shard = table(5, ("m", "m.1", "m.1.score"))
    prices = dict.fromkeys(("m", "m.1", "m.1.score"), Price(1, 1))
    cells = read(tmp_path, one(shard), prices).outcomes.set_index(["prompt_id", "model"])["score"]
    for row in shard.to_pylist():
        for model in prices:
            assert cells[str(row["key"]), model] == row[model]["score"]


def test_an_answer_that_is_not_there_is_not_observed(tmp_path: Path, carrot_home: Path) -> None:
    shard = table(4)
    place = shard.column_names.index(MODELS[0])
    column = shard.column(MODELS[0]).combine_chunks()
    absent = pa.StructArray.from_arrays(
        [column.field(field.name) for field in column.type],
        fields=list(column.type),
        mask=pa.array([True, False, False, False]),
    )
    shard = shard.set_column(place, MODELS[0], absent)
    shard = replaced(shard, MODELS[1], score=[0.5, None, float("nan"), 1.0], num_output_tokens=[1, 1, 1, None])
    frames = read(tmp_path, one(shard))
    prompts = frames.outcomes.groupby("model")["prompt_id"].agg(list)
    assert prompts[MODELS[0]] == ["1", "2", "3"]
    assert prompts[MODELS[1]] == ["0", "3"]
    assert frames.outcomes["cost_usd"].isna().sum() == 1
    assert "3 answers have no score; they count as not observed." in frames.warnings
    assert any("1 outcome has no token counts" in warning for warning in frames.warnings)


def test_keys_that_repeat_give_way_to_unique_names(tmp_path: Path, carrot_home: Path) -> None:
    shard = table(6)
    for column, values in (("key", ["k"] * 6), ("dataset_idx", [0, 0, 0, 1, 2, 3]), ("dataset", ["d"] * 6)):
        shard = shard.set_column(shard.column_names.index(column), column, pa.array(values))
    shard = shard.drop_columns(["dataset_level"])
    frames = read(tmp_path, one(shard))
    assert list(frames.prompts["prompt_id"]) == ["d:0", "d:0#2", "d:0#3", "d:1", "d:2", "d:3"]
    assert any("Keys repeat" in warning for warning in frames.warnings)


def test_what_is_read_goes_into_the_store_with_its_own_split(tmp_path: Path, carrot_home: Path) -> None:
    store = Store(tmp_path / "carrot.duckdb")
    info = store.save_benchmark("sprout", read(tmp_path, shards()))
    assert (info.n_prompts, info.n_models, info.n_missing, info.licence) == (49, 13, 0, "")
    assert info.split_rule == "the source's own split"
    bench = store.load("sprout")
    assert {part: int((bench.split == part).sum()) for part in ("train", "validation", "test")} == {
        "train": 34,
        "validation": 7,
        "test": 8,
    }
    assert bench.usage == "output_tokens"


# Refusals


@pytest.mark.parametrize(
    ("fields", "row", "column", "says"),
    [
        ({"score": [0.5, 1.5, 7.0, 0.0]}, 2, "score", "first of 2"),
        ({"score": [0.5, 0.5, -0.1, 0.0]}, 3, "score", "from 0 to 1"),
        ({"score": ["a", "b", "c", "d"]}, None, "score", "not a number"),
        ({"num_input_tokens": [1, -2, 3, 4]}, 2, "num_input_tokens", "from 0 to"),
        ({"num_output_tokens": [1, 2, 3, 2**62]}, 4, "num_output_tokens", "from 0 to"),
        ({"num_output_tokens": [1.0, 2.5, 3.0, 4.0]}, 2, "num_output_tokens", "whole number"),
        ({"num_output_tokens": [1.0, 2.0, float("inf"), 4.0]}, 3, "num_output_tokens", "from 0 to"),
    ],
)
def test_a_bad_number_is_named_with_its_place(
    tmp_path: Path, carrot_home: Path, fields: dict[str, Any], row: int | None, column: str, says: str
) -> None:
    with pytest.raises(DataError, match=says) as caught:
        read(tmp_path, one(replaced(table(4), MODELS[2], **fields)))
    (problem,) = caught.value.problems
    assert (caught.value.where, problem.row) == ("test-00000-of-00001.parquet", row)
    assert problem.column == f"{MODELS[2]}.{column}"


def test_a_model_without_a_price_is_named_and_where_to_write_it(tmp_path: Path, carrot_home: Path) -> None:
    with pytest.raises(DataError, match=r"no price for acme-large, acme-small.*my_prices\.csv"):
        read(tmp_path, one(table(4, (*MODELS, "acme-small", "acme-large"))))


def test_a_missing_shard_is_named(tmp_path: Path, carrot_home: Path) -> None:
    shard = shards()
    del shard["data/train-00001-of-00003.parquet"]
    with pytest.raises(DataError, match="shard 00001 of the 3 of train"):
        read(tmp_path, shard)


def test_shards_with_different_models_are_refused(tmp_path: Path, carrot_home: Path) -> None:
    shard = shards() | {"data/test-00000-of-00001.parquet": table(8, O3MINI, 41)}
    with pytest.raises(DataError, match=r"test-.*other models.*openai-o3-mini"):
        read(tmp_path, shard)


def test_files_that_are_no_shards(tmp_path: Path, carrot_home: Path) -> None:
    prices = shipped_prices()
    for name, says in (("rows.parquet", "the name must begin with"), ("test.parquet", "cannot be read as Parquet")):
        (tmp_path / name).write_bytes(b"PAR1 and nothing more PAR1")
        with pytest.raises(DataError, match=says):
            read_sprout([tmp_path / name], prices=prices, provenance=ORIGIN)
    with pytest.raises(NotFoundError):
        read_sprout([tmp_path / "absent.parquet"], prices=prices, provenance=ORIGIN)
    with pytest.raises(DataError, match="no files"):
        read_sprout([], prices=prices, provenance=ORIGIN)
    twice = write(tmp_path, one(table(4))) * 2
    with pytest.raises(DataError, match="two files for one shard"):
        read_sprout(twice, prices=prices, provenance=ORIGIN)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_cut_file_is_named_with_what_to_do(tmp_path: Path, carrot_home: Path, share: float) -> None:
    paths = write(tmp_path, shards())
    whole = paths[1].read_bytes()
    paths[1].write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(DataError, match="Pull the file again") as caught:
        read_sprout(paths, prices=shipped_prices(), provenance=ORIGIN)
    assert caught.value.where == paths[1].name


def test_flipped_bits_are_an_error_of_ours_or_another_number(tmp_path: Path, carrot_home: Path) -> None:
    """Regression: a flipped bit in a name of the footer ended in a UnicodeDecodeError."""
    rng, prices, path = random.Random(4), shipped_prices(), tmp_path / "test.parquet"
    whole, refused = content(table(40)), 0
    for flips in [1] * 250 + [20] * 50:
        damaged = bytearray(whole)
        for _ in range(flips):
            damaged[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        try:
            read_sprout([path], prices=prices, provenance=ORIGIN)
        except DataError:
            refused += 1
    assert refused > 50
    path.write_bytes(whole.replace(b"num_output_tokens", b"n\xf5m_output_tokens"))
    with pytest.raises(DataError, match="Pull the file again"):
        read_sprout([path], prices=prices, provenance=ORIGIN)


def test_tables_without_prompts_or_models(tmp_path: Path, carrot_home: Path) -> None:
    with pytest.raises(DataError, match="column 'prompt': the column is missing"):
        read(tmp_path, one(table(4).drop_columns(["prompt"])))
    with pytest.raises(DataError, match="has 1 columns of models"):
        read(tmp_path, one(table(4, MODELS[:1])))


# What is never read

PEAK = """
import json, re, sys
from pathlib import Path
from carrot_core.benchmarks import Provenance
from carrot_core.prices.files import shipped_prices
from carrot_core.benchmarks.sprout import read_sprout
import carrot_core.store
def peak():  # getrusage would begin with the peak of the process that started this one
    return int(re.search("VmHWM:[^0-9]*([0-9]+)", Path("/proc/self/status").read_text())[1]) * 1024
before = peak()
frames = read_sprout([Path(name) for name in sys.argv[1:]], prices=shipped_prices(), provenance=Provenance("made"))
print(json.dumps({"grown": peak() - before, "rows": len(frames.outcomes)}))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is read as on Linux")
def test_answers_are_never_read_into_memory(tmp_path: Path) -> None:
    shard = one(table(200, response_chars=100_000))
    size = 200 * 13 * 100_000  # 260 MB of text, though hardly anything on the disk
    paths = write(tmp_path, shard)
    run = subprocess.run(
        [sys.executable, "-c", PEAK, *map(str, paths)], cwd=ROOT, check=True, capture_output=True, text=True
    )
    result = json.loads(run.stdout)
    assert result["rows"] == 200 * 13
    assert result["grown"] < size / 4


# Real numbers


def test_real_numbers_come_back_at_the_size_of_sprout(tmp_path: Path, shared_data: Path, carrot_home: Path) -> None:
    source = shared_data / "mmlu-pro-cot" / "mmlu_pro_cot.parquet"
    cells = pd.read_parquet(source, columns=["prompt_id", "model", "score", "input_tokens", "output_tokens", "prompt"])
    names = sorted(cells.groupby("model")["prompt_id"].nunique().nlargest(13).index)
    wide = cells[cells["model"].isin(names)].set_index(["prompt_id", "model"]).unstack("model").dropna()
    n = 44_241
    rows = np.resize(np.arange(len(wide)), n)
    scores = {model: wide["score"][model].to_numpy()[rows].astype(float) for model in names}
    columns: dict[str, Any] = {"key": np.arange(n), "dataset": ["mmlu-pro"] * n}
    columns["prompt"] = wide["prompt"][names[0]].to_numpy(dtype=object)[rows]
    for model in names:
        tokens = {f"num_{name}": wide[name][model].to_numpy()[rows].astype(int) for name in TOKENS}
        columns[model] = answers(score=scores[model], response=["r" * 200] * n, **tokens)
    whole, ends = pa.table(columns), np.cumsum([0, 10_323, 10_323, 10_322, 6_636, 6_637])
    shard = {
        path: whole.slice(start, stop - start) for path, start, stop in zip(SHARDS, ends[:-1], ends[1:], strict=True)
    }
    frames = read(tmp_path, shard, dict.fromkeys(names, Price(1.0, 2.0, "2025")))
    assert frames.prompts["split"].value_counts().to_dict() == {"train": 30_968, "validation": 6_636, "test": 6_637}
    assert len(frames.outcomes) == n * 13
    means = frames.outcomes.groupby("model")["score"].mean()
    for model in names:
        assert means[model] == pytest.approx(scores[model].mean(), abs=1e-12)


TOKENS = ("input_tokens", "output_tokens")
