"""RouterBench: its columns become prompts, models and outcomes, and what does not fit is said."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from carrot_core import limits
from carrot_core.benchmarks import NONE_STATED
from carrot_core.benchmarks.pickles import read_pickled_table
from carrot_core.benchmarks.registry import read_any, reader_for
from carrot_core.benchmarks.routerbench import COST, family, is_chinese, read_routerbench, turns_text
from carrot_core.cli import main
from carrot_core.errors import DataError
from carrot_core.prices import Price
from carrot_core.store import Store
from tests.routerbench_files import MODELS, published

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("in_this_process")]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "routerbench_0shot.pkl"
    published().to_pickle(path)
    return path


def test_every_cell_comes_through(file: Path) -> None:
    table, frames = published(), read_routerbench(file)
    assert frames.models["model"].tolist() == sorted(MODELS)
    outcomes = frames.outcomes.set_index(["prompt_id", "model"])
    assert len(outcomes) == frames.provenance.rows == 12 * 3
    for row in table.to_dict("records"):
        for model in MODELS:
            cell = outcomes.loc[(row["sample_id"], model)]
            assert (cell["score"], cell["cost_usd"]) == (row[model], row[model + COST])
    assert frames.outcomes[["input_tokens", "output_tokens"]].isna().all(axis=None)
    assert frames.models[["input_usd_per_mtok", "output_usd_per_mtok"]].isna().all(axis=None)
    assert any("cannot be re-priced" in warning for warning in frames.warnings)
    assert frames.provenance.licence == NONE_STATED


@pytest.mark.parametrize("name", ["routerbench.pkl.gz", "routerbench.csv", "routerbench.csv.gz", "results.txt"])
def test_other_packings_and_a_csv_are_the_same_table(file: Path, tmp_path: Path, name: str) -> None:
    path, table = tmp_path / name, published()
    table.to_pickle(path) if ".pkl" in name else table.to_csv(path, index=False)
    assert reader_for(path) == "routerbench"
    frames, expected = read_any(path), read_routerbench(file)
    pd.testing.assert_frame_equal(frames.outcomes, expected.outcomes)
    pd.testing.assert_frame_equal(frames.prompts, expected.prompts)


def test_a_packed_pickle_that_is_no_pickle_or_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "routerbench.pkl.gz"
    path.write_bytes(gzip.compress(b"\x80\x04" + b"no pickle"))
    with pytest.raises(DataError):
        read_routerbench(path)
    path.write_bytes(gzip.compress(b"\x80\x04" + bytes(1000))[:-12])
    with pytest.raises(DataError):
        read_routerbench(path)
    path.write_bytes(gzip.compress(b"\x80\x04" + bytes(5000)))
    monkeypatch.setattr(limits, "PICKLE_BYTES", 4000)
    with pytest.raises(DataError, match="unpacks to more"):
        read_pickled_table(path)


def test_prompts_have_their_text_task_and_family(file: Path) -> None:
    prompts = read_routerbench(file).prompts.set_index("prompt_id")
    assert prompts.index.is_monotonic_increasing
    row = prompts.loc["mmlu-anatomy.val.0"]
    assert row["text"] == 'It\'s question 0\nof "mmlu-anatomy" – 猜'
    assert (row["task"], row["family"], row["split"]) == ("mmlu-anatomy", "mmlu", None)


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("['one']", "one"),
        ('["it\'s"]', "it's"),
        ("['first turn', \"it's the second\"]", "first turn\n\nit's the second"),
        (repr(["a\n\t\\ 'b' \"c\" \x00 é 猜 \U0001f955"]), "a\n\t\\ 'b' \"c\" \x00 é 猜 \U0001f955"),
        ("plain text, [not] a list", "plain text, [not] a list"),
        ("[]", "[]"),
        ("[1, 2]", "[1, 2]"),
        ("['a'] + ['b']", "['a'] + ['b']"),
        ("['a', __import__('os')]", "['a', __import__('os')]"),
        (r"['\ud800']", r"['\ud800']"),
        (r"['\d']", r"['\d']"),
        ("['open", "['open"),
    ],
)
def test_a_list_as_text_becomes_its_turns(written: str, text: str) -> None:
    assert turns_text(written) == text


def test_a_hostile_prompt_costs_its_length() -> None:
    """Brackets nested a million deep overflow a parser; unclosed quotes make a careless pattern quadratic."""
    for hostile in ("[" * 1_000_000, "['" + "\\'" * 500_000, "[" + "'a', " * 200_000, "['" + "a" * 1_000_000):
        assert turns_text(hostile) == hostile
    assert turns_text(repr(["x\n" * 500_000])) == "x\n" * 500_000


@pytest.mark.parametrize(
    ("task", "name", "chinese"),
    [
        ("mmlu-professional-law", "mmlu", False),
        ("mtbench", "mtbench", False),
        ("mtbench-reference", "mtbench", False),
        ("Chinese_character_riddles", "chinese", True),
        ("chinese-remainder-theorem", "chinese", True),
        ("grade-school-math", "gsm8k", False),
        ("arc-challenge", "arc-challenge", False),
        ("mmluish", "mmluish", False),
    ],
)
def test_tasks_belong_to_families(task: str, name: str, chinese: bool) -> None:
    assert (family(task), is_chinese(task)) == (name, chinese)


def test_chinese_tasks_are_dropped_when_asked(file: Path) -> None:
    frames = read_any(file, drop_chinese=True)
    assert set(frames.prompts["task"]) == {"mmlu-anatomy", "grade-school-math", "mtbench-math", "mbpp"}
    assert set(frames.outcomes["prompt_id"]) == set(frames.prompts["prompt_id"])
    assert "4 prompts of tasks named chinese… are left out." in frames.warnings


def test_only_routerbench_has_chinese_tasks_to_drop(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_text("prompt_id,model,score\n")
    with pytest.raises(DataError, match="only RouterBench"):
        read_any(path, drop_chinese=True)


def test_rows_are_chosen_as_in_the_long_format(file: Path) -> None:
    frames = read_any(file, where="benchmark = 'mmlu' and model <> 'claude-v1' and prompt like 'It%'")
    assert set(frames.prompts["task"]) == {"mmlu-anatomy"}
    assert frames.models["model"].tolist() == [MODELS[0], MODELS[2]]
    assert len(frames.outcomes) == frames.provenance.rows == 4
    assert "rows where" in frames.provenance.note


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("model = 'claude-v1'", "keeps 1 models"),
        ("score > 7", "keeps 0 models"),
        ("nonsense", "cannot be used"),
        ("true) union (select 1", "cannot be used"),
        ("exists(from read_text('/etc/passwd'))", "cannot be used"),
    ],
)
def test_a_predicate_that_cannot_be_used_is_refused(file: Path, where: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_routerbench(file, where=where)


def test_prices_are_of_no_use(file: Path) -> None:
    assert any(
        "Prices not used" in message for message in read_routerbench(file, prices={MODELS[0]: Price(1, 1)}).warnings
    )


def test_a_cell_without_a_score_is_not_observed(tmp_path: Path) -> None:
    table = published()
    table.loc[2, MODELS[1]] = None
    table.loc[3, list(MODELS)] = np.nan
    table.to_pickle(tmp_path / "x.pkl")
    frames = read_routerbench(tmp_path / "x.pkl")
    assert len(frames.outcomes) == 36 - 4
    assert len(frames.prompts) == 11


def test_an_id_in_several_rows_is_left_out_and_said(tmp_path: Path) -> None:
    pd.concat([published(), published().iloc[[5]]]).to_pickle(tmp_path / "x.pkl")
    frames = read_routerbench(tmp_path / "x.pkl")
    assert "mbpp.val.5" not in set(frames.prompts["prompt_id"])
    assert "1 sample_ids stand in several rows (2 in all); these are left out." in frames.warnings


@pytest.mark.parametrize(
    ("row", "column", "value", "message"),
    [
        (3, MODELS[0], 1.5, "row 4, column 'WizardLM/WizardLM-13B-V1.2': must be a number from 0 to 1 (found 1.5)"),
        (
            0,
            MODELS[1] + COST,
            -1.0,
            "row 1, column 'claude-v1|total_cost': must be a number from 0 to 1,000,000,000,000",
        ),
        (2, "sample_id", None, "row 3, column 'sample_id': is empty or no text"),
        (2, "eval_name", " ", "row 3, column 'eval_name': is empty or no text"),
        (1, MODELS[2], np.inf, "row 2, column 'mistralai/mistral-7b-chat': must be a number"),
    ],
)
def test_a_bad_value_is_named_with_its_place(
    tmp_path: Path, row: int, column: str, value: object, message: str
) -> None:
    table = published()
    table.loc[row, column] = value
    table.to_pickle(tmp_path / "x.pkl")
    with pytest.raises(DataError) as error:
        read_routerbench(tmp_path / "x.pkl")
    assert message in str(error.value)


def test_text_in_a_column_of_scores_is_refused(tmp_path: Path) -> None:
    published().assign(**{MODELS[0]: "good"}).to_pickle(tmp_path / "x.pkl")
    with pytest.raises(DataError, match="must be a number"):
        read_routerbench(tmp_path / "x.pkl")


@pytest.mark.parametrize("missing", ["sample_id", "prompt", "eval_name", MODELS[1]])
def test_a_missing_column_is_named(tmp_path: Path, missing: str) -> None:
    published().drop(columns=missing).to_pickle(tmp_path / "x.pkl")
    with pytest.raises(DataError, match=f"column '{missing}': the column is missing"):
        read_routerbench(tmp_path / "x.pkl")


def test_a_frame_of_something_else_is_refused(tmp_path: Path) -> None:
    published()[["sample_id", "prompt", "eval_name", MODELS[0], MODELS[0] + COST]].to_pickle(tmp_path / "x.pkl")
    with pytest.raises(DataError, match="1 columns end in"):
        read_routerbench(tmp_path / "x.pkl")


def test_a_prompt_without_text_is_kept(tmp_path: Path) -> None:
    published().assign(prompt=None).to_pickle(tmp_path / "x.pkl")
    assert read_routerbench(tmp_path / "x.pkl").prompts["text"].isna().all()


def test_the_command_line_imports_it(file: Path, carrot_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert reader_for(file) == "routerbench"
    arguments = ["data", "import", str(file), "--name", "rb", "--drop-chinese"]
    with pytest.raises(SystemExit) as done:
        main(arguments)
    assert done.value.code in (0, None), capsys.readouterr().err
    (info,) = Store().benchmarks()
    assert (info.name, info.n_prompts, info.n_models, info.n_missing) == ("rb", 8, 3, 0)


def test_real_rows_come_back_as_they_are(shared_data: Path, tmp_path: Path) -> None:
    long = pd.read_parquet(shared_data / "routerbench-subset" / "routerbench_0shot.parquet")
    wide = long.drop_duplicates("prompt_id")[["prompt_id", "prompt", "task"]]
    wide.columns = ["sample_id", "prompt", "eval_name"]
    wide = wide.assign(prompt=[repr([text]) if isinstance(text, str) else None for text in wide["prompt"]])
    for what, suffix in (("score", ""), ("cost_usd", COST)):
        cells = long.pivot(index="prompt_id", columns="model", values=what).add_suffix(suffix)
        wide = wide.merge(cells, left_on="sample_id", right_index=True)
    wide.to_pickle(tmp_path / "real.pkl")
    frames = read_routerbench(tmp_path / "real.pkl")
    key = ["prompt_id", "model"]
    got = frames.outcomes.sort_values(key)
    want = long.sort_values(key)
    assert got[key].to_numpy().tolist() == want[key].to_numpy().tolist()
    assert np.array_equal(got["score"].to_numpy(np.float32), want["score"].to_numpy())
    assert np.array_equal(got["cost_usd"], want["cost_usd"])
    texts = long.drop_duplicates("prompt_id").set_index("prompt_id")["prompt"].reindex(frames.prompts["prompt_id"])
    assert all(text == (result or "") for text, result in zip(texts.fillna(""), frames.prompts["text"], strict=True))
