"""Block by block is as at once: the same rows, vectors, decisions and curve, whoever is killed on the way."""

from __future__ import annotations

import json
import os
import pickle
import secrets
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from pyarrow import fs

from carrot_core import limits, serving
from carrot_core.cli import main
from carrot_core.embedding import BUNDLED, embed
from carrot_core.errors import CarrotError, DataError
from carrot_core.frontier import sweep
from carrot_core.outcomes import Estimates, Outcomes
from carrot_core.scale import Curve, Embed, Estimate, Route, find_inputs, run
from carrot_core.scale import work as scale_work
from carrot_core.scale.blocks import Results, blocks_of, read_block
from carrot_core.scale.work import EDGES, FRONTIER
from carrot_core.serving import CarrotRouter
from carrot_core.serving.summary import route_file
from carrot_core.store.vectors import ENCODER, read_file
from tests.forks import KILLED, Forks
from tests.scale import dying
from tests.serving.test_batch import text_vectors

pytestmark = pytest.mark.slow

N = 230
PROMPTS = [f"Question {number}" for number in range(N)]


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    """A folder of two files of 230 prompts, in row groups of 100 and 30."""
    folder = tmp_path / "prompts"
    folder.mkdir()
    table = pa.table({"prompt_id": [f"p{number}" for number in range(N)], "prompt": PROMPTS})
    pq.write_table(table.slice(0, 130), folder / "a.parquet", row_group_size=100)
    pq.write_table(table.slice(130), folder / "b.parquet", row_group_size=100)
    (folder / "_SUCCESS.parquet").write_bytes(b"")
    return folder


@pytest.fixture
def vectors_of_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Vectors in no time, of 384 numbers."""
    monkeypatch.setattr(serving, "embed", text_vectors)
    monkeypatch.setattr(scale_work, "embed", text_vectors)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Embed:
    monkeypatch.setattr(scale_work, "embed", dying.vectors_of)
    return Embed(encoder="made up")


def as_read(folder: Path | str) -> pd.DataFrame:
    return pq.read_table(folder).to_pandas()


@pytest.mark.parametrize("block_rows", [1, 33, 100, 1000])
def test_blocks_are_all_rows_in_order(quick: Embed, prompts: Path, tmp_path: Path, block_rows: int) -> None:
    before: list[int] = []
    out = tmp_path / "out"
    inputs = find_inputs([str(prompts)])
    report = run(
        quick, inputs, str(out), block_rows=block_rows, progress=lambda done, total: before.append(done - total)
    )
    frame = as_read(out)
    assert frame["prompt"].tolist() == PROMPTS
    assert np.array_equal(np.stack(frame["embedding"]), dying.vectors_of(PROMPTS, ""))
    assert len(list(out.glob("*.parquet"))) == report["blocks"] == len(before)
    assert (before, report["rows"]) == (sorted(before), N)
    assert before[-1] == 0


def test_vectors_are_those_of_one_call_and_say_whose(tmp_path: Path) -> None:
    texts = [*PROMPTS[:20], "What is the capital of France? " * 20, ""]
    pq.write_table(pa.table({"prompt_id": range(22), "prompt": texts}), tmp_path / "in.parquet")
    work = Embed(encoder=BUNDLED, keep=("prompt_id",))
    run(work, find_inputs([str(tmp_path / "in.parquet")]), str(tmp_path / "out"), block_rows=8)
    table = pq.read_table(tmp_path / "out")
    assert table.column_names == ["prompt_id", "embedding"]
    assert table.schema.metadata[ENCODER.encode()].decode() == BUNDLED
    np.testing.assert_allclose(np.stack(table["embedding"].to_numpy()), embed(texts), atol=1e-5)


def test_vectors_are_taken_into_a_store_by_the_name_of_their_encoder(
    quick: Embed, prompts: Path, tmp_path: Path
) -> None:
    run(quick, find_inputs([str(prompts)]), str(tmp_path / "out"), block_rows=50)
    ids, vectors = read_file(tmp_path / "out", quick.encoder, ["p3", "p200"])
    assert ids == ["p3", "p200"]
    np.testing.assert_allclose(vectors, dying.vectors_of([PROMPTS[3], PROMPTS[200]], ""), atol=1e-7)
    with pytest.raises(DataError, match=quick.encoder):
        read_file(tmp_path / "out", BUNDLED, ids)


def test_who_is_killed_leaves_whole_files_and_another_run_goes_on(
    quick: Embed, prompts: Path, tmp_path: Path, forks: Forks
) -> None:
    out, flags = tmp_path / "out", tmp_path / "flags"
    flags.mkdir()
    assert forks.run(dying.main, str(prompts), str(out), str(flags)) == KILLED
    (out / ".part-000003.parquet.0123.part").write_bytes(b"half a fi")
    left = {path: path.stat().st_mtime_ns for path in out.glob("*.parquet")}
    assert 0 < len(left) < 6
    inputs = find_inputs([str(prompts)])
    report = run(quick, inputs, str(out), block_rows=dying.BLOCK_ROWS)
    assert report["done_before"] == len(left)
    assert {path: path.stat().st_mtime_ns for path in left} == left
    assert as_read(out)["prompt"].tolist() == PROMPTS
    assert not list(out.glob(".*"))


def test_a_block_that_was_not_marked_is_done_again_into_the_same_file(
    quick: Embed, prompts: Path, tmp_path: Path
) -> None:
    out, inputs = tmp_path / "out", find_inputs([str(prompts)])
    run(quick, inputs, str(out), block_rows=50)
    (out / "_done" / "000001").unlink()
    (out / "_done" / "000002").write_bytes(b"")  # as power that was lost may leave it
    report = run(quick, inputs, str(out), block_rows=50)
    assert report["done_before"] == report["blocks"] - 2
    assert as_read(out)["prompt"].tolist() == PROMPTS


@pytest.mark.parametrize("change", ["encoder", "block_rows", "inputs"])
def test_results_of_two_runs_are_not_mixed(quick: Embed, prompts: Path, tmp_path: Path, change: str) -> None:
    out = str(tmp_path / "out")
    run(quick, find_inputs([str(prompts)]), out, block_rows=50)
    other = Embed(encoder="other") if change == "encoder" else quick
    inputs = find_inputs([str(prompts / "a.parquet") if change == "inputs" else str(prompts)])
    with pytest.raises(CarrotError, match=change):
        run(other, inputs, out, block_rows=60 if change == "block_rows" else 50)


def test_a_folder_with_other_files_is_left_alone(quick: Embed, prompts: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    (tmp_path / "link").symlink_to(prompts)
    for folder in (out, prompts, f"{prompts}/out", f"{tmp_path}/mine/../prompts/out", f"{tmp_path}/link/out"):
        with pytest.raises(CarrotError, match="give"):
            run(quick, find_inputs([str(prompts)]), str(folder))
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]


def test_a_row_without_a_usable_prompt_has_nulls_and_is_counted(quick: Embed, tmp_path: Path) -> None:
    chat = json.dumps([{"role": "user", "content": "Question 7"}])
    silent = json.dumps([{"role": "system", "content": "Be brief."}])
    texts = ["Question 1", None, "", "x" * (limits.PROMPT_CHARACTERS + 1), chat, silent]
    pq.write_table(pa.table({"prompt": texts}), tmp_path / "in.parquet")
    report = run(quick, find_inputs([str(tmp_path / "in.parquet")]), str(tmp_path / "out"))
    vectors = pq.read_table(tmp_path / "out")["embedding"].to_pylist()
    assert [vector is not None for vector in vectors] == [True, False, True, False, True, False]
    assert report["unused"] == 3
    np.testing.assert_array_equal(np.float32(vectors[4]), dying.vectors_of(["Question 7"], "")[0])


def test_chats_as_structs_are_read(quick: Embed, tmp_path: Path) -> None:
    chats = [[{"role": "user", "content": text}] for text in PROMPTS[:3]]
    pq.write_table(pa.table({"prompt": chats}), tmp_path / "in.parquet")
    run(quick, find_inputs([str(tmp_path / "in.parquet")]), str(tmp_path / "out"))
    vectors = pq.read_table(tmp_path / "out")["embedding"].to_pylist()
    np.testing.assert_array_equal(np.float32(vectors), dying.vectors_of(PROMPTS[:3], ""))


@pytest.mark.parametrize(
    ("columns", "work", "word"),
    [
        ({"text": ["a"]}, Embed(encoder="x"), "prompt"),
        ({"prompt": ["a"], "embedding": [1]}, Embed(encoder="x"), "embedding"),
        ({"prompt": ["a"]}, Embed(encoder="x", keep=("prompt_id",)), "prompt_id"),
        ({"prompt": [1.5]}, Embed(encoder="x"), "float"),
        ({"a": [1.0], "a|est_score": [1.0], "a|est_cost_usd": [1.0]}, Curve(models=("a",)), r"a\|cost_usd"),
        ({"a": [1.0], "a|cost_usd": [1.0]}, Curve(models=()), "carrot scale estimate"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(
    quick: Embed, tmp_path: Path, columns: dict[str, Any], work: Embed | Curve, word: str
) -> None:
    pq.write_table(pa.table(columns), tmp_path / "in.parquet")
    with pytest.raises(CarrotError, match=word):
        run(work, find_inputs([str(tmp_path / "in.parquet")]), str(tmp_path / "out"))


@pytest.mark.parametrize("place", ["nowhere.parquet", "s4://bucket/x", "text.parquet", "empty"])
def test_a_place_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.parquet").write_text("a,b")
    Path("empty").mkdir()
    with pytest.raises(CarrotError, match=place.split(":")[0]):
        find_inputs([place])


class TestDecisions:
    @pytest.fixture
    def router(self, vectors_of_text: None, carrot_home: Path) -> CarrotRouter:
        return CarrotRouter.load("mmlu-pro-cot")

    def test_are_those_of_one_run_on_one_file(self, router: CarrotRouter, prompts: Path, tmp_path: Path) -> None:
        work = Route(router=router, options={"lam": 0.3})
        run(work, find_inputs([str(prompts)]), str(tmp_path / "out"), block_rows=70)
        pq.write_table(pq.read_table(prompts), tmp_path / "one.parquet")
        route_file(router, tmp_path / "one.parquet", tmp_path / "one-out.parquet", **work.options)
        frame, expected = as_read(tmp_path / "out"), as_read(tmp_path / "one-out.parquet")
        assert expected["model"].nunique() > 1
        pd.testing.assert_frame_equal(frame.drop(columns="prompt"), expected, rtol=1e-9)

    def test_estimates_beside_outcomes_are_the_curve_of_one_machine(
        self, router: CarrotRouter, prompts: Path, tmp_path: Path
    ) -> None:
        rng = np.random.default_rng(1)
        wide = pq.read_table(prompts).to_pandas()
        for model in router.models:
            wide[model] = rng.integers(0, 2, N).astype(float)
            wide[f"{model}|cost_usd"] = rng.random(N) / 1_000
        wide.loc[3, router.models[1]] = np.nan
        wide.loc[5, "prompt"] = None
        wide.to_parquet(tmp_path / "wide.parquet", row_group_size=90)
        run(Estimate(router=router), find_inputs([str(tmp_path / "wide.parquet")]), str(tmp_path / "est"))
        estimated = find_inputs([str(tmp_path / "est")])
        report = run(Curve(models=router.models), estimated, str(tmp_path / "curve"), block_rows=50)

        def table(frame: pd.DataFrame, ending: str) -> Any:
            return frame[[f"{model}{ending}" for model in router.models]].to_numpy()

        frame = as_read(tmp_path / "est").drop(index=[3, 5])
        ids = tuple(frame["prompt_id"])
        estimates = Estimates(ids, router.models, table(frame, "|est_score"), table(frame, "|est_cost_usd"))
        outcomes = Outcomes(ids, router.models, table(frame, ""), table(frame, "|cost_usd"))
        one = sweep(estimates, outcomes)
        curve = as_read(tmp_path / "curve" / FRONTIER)
        points = [one.at(rate) for rate in curve["exchange_rate_per_usd"]]
        np.testing.assert_allclose(curve["score"], one.score[points], rtol=1e-12)
        np.testing.assert_allclose(curve["cost_usd"], one.cost_usd[points], rtol=1e-12)
        assert len(set(np.searchsorted(EDGES, one.exchange_rate_per_usd[1:]))) == len(curve) - 1 > 10
        assert report["cost_unit_usd"] == pytest.approx(one.model_cost_usd.max(), rel=1e-12)
        assert report["model_scores"] == pytest.approx(one.strength, rel=1e-12)
        assert report["unused"] == 2

    def test_are_the_same_in_another_process(self, router: CarrotRouter) -> None:
        sent = pickle.loads(pickle.dumps(router))
        assert sent.decide(PROMPTS[:20], lam=0.3).records() == router.decide(PROMPTS[:20], lam=0.3).records()


def test_a_folder_of_results_is_one_place_wherever_a_process_stands(
    quick: Embed, prompts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    inputs, elsewhere = find_inputs(["prompts"]), tmp_path / "elsewhere"
    elsewhere.mkdir()
    run(quick, inputs, "out", progress=lambda *_: os.chdir(elsewhere))
    assert as_read(tmp_path / "out")["prompt"].tolist() == PROMPTS
    assert not list(elsewhere.iterdir())


def test_a_kill_before_the_first_file_leaves_a_folder_to_go_on_with(
    quick: Embed, prompts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs, out = find_inputs([str(prompts)]), tmp_path / "out"

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as killing:
        killing.setattr(Results, "_write", killed)
        with pytest.raises(KeyboardInterrupt):
            run(quick, inputs, str(out))
    (out / "._run.json.0123.part").write_bytes(b"half a fi")
    assert run(quick, inputs, str(out))["done_before"] == 0
    assert as_read(out)["prompt"].tolist() == PROMPTS


def test_a_file_that_several_places_name_is_read_once(prompts: Path) -> None:
    names = [str(prompts / "a.parquet"), f"{prompts}/../prompts", f"file://{prompts}/b.parquet"]
    assert [Path(each.path).name for each in find_inputs(names)] == ["a.parquet", "b.parquet"]


@pytest.mark.parametrize("name", ["a", "b"])  # of two row groups, and of one
def test_a_file_that_lost_its_rows_is_refused(quick: Embed, prompts: Path, name: str) -> None:
    file = prompts / f"{name}.parquet"
    block = blocks_of(find_inputs([str(file)]), 100)[-1]
    assert len(read_block(block, quick.columns)) == block.rows
    pq.write_table(pq.read_table(file).slice(0, 0), file)
    with pytest.raises(CarrotError, match=file.name):
        read_block(block, quick.columns)


def test_task_labels_that_are_no_texts_are_refused(quick: Embed) -> None:
    router: Any = None  # is not reached
    with pytest.raises(DataError, match="task"):
        Route(router=router)(pa.table({"prompt": ["a"], "task": [["x"]]}))


def carrot(*arguments: Any) -> Result:
    return CliRunner().invoke(main, ["scale", *map(str, arguments)])


def test_the_command_line_goes_the_whole_way(quick: Embed, prompts: Path, tmp_path: Path, carrot_home: Path) -> None:
    done = carrot(
        "embed", prompts, "--out", tmp_path / "v", *["--keep", "prompt_id"] * 2, "--block-rows", "64", "--json"
    )
    assert json.loads(done.stdout)["rows"] == N, done.output
    assert as_read(tmp_path / "v").columns.tolist() == ["prompt_id", "embedding"]
    refused = carrot("route", prompts, "--out", tmp_path / "d")
    assert (refused.exit_code, (tmp_path / "d").exists()) == (2, False)
    table = {"a": [0.0, 1.0], "b": [1.0, 0.0], "a|cost_usd": [1.0, 1.0], "b|cost_usd": [2.0, 2.0]}
    table |= {
        "a|est_score": [0.5, 0.6],
        "b|est_score": [0.9, 0.5],
        "a|est_cost_usd": [1.0] * 2,
        "b|est_cost_usd": [2.0] * 2,
    }
    pq.write_table(pa.table(table), tmp_path / "wide.parquet")
    drawn = carrot("frontier", tmp_path / "wide.parquet", "--out", tmp_path / "c", "--json")
    assert json.loads(drawn.stdout)["cost_unit_usd"] == 2.0, drawn.output
    curve = as_read(tmp_path / "c" / FRONTIER)
    assert curve["score"].tolist() == [1.0, 0.5]  # b then a on the first prompt; a on the second
    assert curve["cost_usd"].tolist() == [1.5, 1.0]
    alone = carrot("frontier", tmp_path / "wide.parquet", "--out", tmp_path / "a", *["--pool", "a"] * 2, "--json")
    assert json.loads(alone.stdout)["model_scores"] == {"a": 0.5}, alone.output


def test_no_key_of_an_address_is_printed(quick: Embed, prompts: Path) -> None:
    out = f"fsspec+memory://user:se/cret@bucket{prompts}/out"
    for places in ([prompts], [out]):  # the second is in itself
        report = carrot("embed", *places, "--out", out, "--keep", "prompt")
        assert "/out" in report.output
        assert "cret" not in report.output


def test_buckets_are_read_and_written(quick: Embed, prompts: Path, bucket: str) -> None:
    for file in prompts.glob("[ab].parquet"):
        fs.copy_files(str(file), f"{bucket}/in/{file.name}")
    inputs = find_inputs([f"{bucket}/in"])
    done_before = [run(quick, inputs, f"{bucket}/out", block_rows=60)["done_before"] for _ in range(2)]
    assert as_read(f"{bucket}/out")["prompt"].tolist() == PROMPTS
    assert done_before == [0, 5]
    with pytest.raises(CarrotError, match="no-such"):
        find_inputs([f"{bucket}/no-such.parquet"])


@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install 'carrot-core[scale]'")
def test_a_killed_process_and_a_killed_machine_cost_no_row(prompts: Path, tmp_path: Path) -> None:
    out, flags = tmp_path / "out", tmp_path / "flags"
    flags.mkdir()
    environment = os.environ | {"RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": os.pathsep.join(sys.path)}
    environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}  # no file of it in the home
    command = [sys.executable, "-m", "tests.scale.dying", prompts, out, flags, "ray"]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, env=environment, timeout=300)
    assert ended.returncode == 0, ended.stderr
    report = json.loads(ended.stdout.splitlines()[-1])
    assert {path.name for path in flags.iterdir()} == set(dying.KILLS.values())
    assert (report["rows"], report["machines_lost"]) == (N, 1)
    frame = as_read(out)
    assert frame["prompt"].tolist() == PROMPTS
    assert np.array_equal(np.stack(frame["embedding"]), dying.vectors_of(PROMPTS, ""))
    assert len(list(out.glob("*.parquet"))) == len(list((out / "_done").iterdir())) == report["blocks"]
