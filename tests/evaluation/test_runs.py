"""Several routers over several seeds on a store: what is done once is not done again, and nothing drops silently."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
import weakref
from dataclasses import replace

import numpy as np
import pytest

from carrot_core import CarrotRouter
from carrot_core.benchmarks.registry import read_any
from carrot_core.errors import CarrotError, NotFoundError, StoreError
from carrot_core.evaluation import evaluate, runs, setting_for
from carrot_core.evaluation.runs import (
    Trial,
    compare_routers,
    estimates_on,
    routers_of,
    run_router,
    stored_run,
    tables_of,
)
from carrot_core.routers import BY_NAME_ONLY, ROUTERS, ZeroRouter
from carrot_core.routers.saving import router_from_bytes
from tests.made import MODELS, fill, long_frame, made

pytestmark = pytest.mark.slow

FAST = ("task-lookup", "zero")


@pytest.fixture
def store(store_of):
    return store_of()


@pytest.fixture(autouse=True)
def no_encoder(monkeypatch):
    """Embedding a text takes seconds to load; its time is not what is tested here."""
    monkeypatch.setattr(runs, "embed", lambda texts, encoder: np.zeros((len(texts), 384)))


def load(store):
    return store.load("made", encoder="all-MiniLM-L6-v2")


def compared(store, routers=FAST, seeds=(0, 1), **asked):
    return compare_routers(store, load(store), routers, seeds, replicates=20, **asked)


@pytest.mark.parametrize("given", [{"seeds": ()}, {"seeds": (-1,)}, {"routers": ()}])
def test_nothing_to_compare_is_refused_in_words(store, given):
    with pytest.raises(CarrotError, match="at least one"):
        compared(store, **given)


def test_seeds_are_splits_and_the_first_is_the_stored_one(store):
    result = compared(store)
    assert result.protocol["split_seed"].isna().tolist() == [True, False]
    assert result.protocol["split_seed"].iloc[1] == 1
    stored = load(store)
    runs = {(run.router, run.seed): store.load_run(run.run_id) for run in store.runs("made")}
    assert set(runs) == {(name, seed) for name in FAST for seed in (0, 1)}
    assert runs["zero", 0].estimates["test"].prompt_ids == stored.part("test").prompt_ids
    assert runs["zero", 1].estimates["test"].prompt_ids != stored.part("test").prompt_ids
    assert runs["zero", 1].split_seed == 1


def test_a_router_evaluated_alone_is_the_same_run_as_seed_0(store):
    alone = evaluate(load(store), "zero", replicates=20)
    compared(store, ("zero",), (0,))
    (run,) = store.runs("made")
    assert run.run_id == alone.run_id
    assert run.run_id != evaluate(load(store), "zero", seed=0, split_seed=1, replicates=5).run_id


def test_what_is_stored_is_not_fitted_again_unless_asked(store, monkeypatch):
    first = compared(store)
    with monkeypatch.context() as patch:
        patch.setattr(runs, "evaluate", lambda *a, **k: pytest.fail("fitted twice"))
        second = compared(store)
    assert first.figures.equals(second.figures)
    assert first.differences.equals(second.differences)
    fits = []
    monkeypatch.setattr(runs, "evaluate", lambda bench, name, **k: fits.append(name) or evaluate(bench, name, **k))
    compared(store, again=True)
    assert fits == [*FAST, *FAST]


def test_other_data_are_fitted_again(store):
    before = compared(store)
    fill(store, made(seed=5))
    after = compared(store)
    assert after.data_hash != before.data_hash
    assert not after.figures.equals(before.figures)


def test_an_interrupted_comparison_goes_on_where_it_stopped(store, monkeypatch):
    def stop_at(done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compared(store, progress=stop_at)
    assert len(store.runs("made")) == 3
    fits = []
    monkeypatch.setattr(runs, "evaluate", lambda bench, name, **k: fits.append(name) or evaluate(bench, name, **k))
    compared(store)
    assert fits == ["zero"]


@pytest.mark.slow
def test_a_killed_comparison_goes_on_where_it_stopped(store, tmp_path):
    command = [
        sys.executable,
        "-m",
        "carrot_core.cli",
        "evaluate",
        "made",
        "--routers",
        "carrot-knn",
        "--seeds",
        "0-60",
    ]
    code = "import sys; from carrot_core.cli import main; main(sys.argv[1:])"
    worker = subprocess.Popen([command[0], "-c", code, *command[3:]], stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 120
    while len(store.runs("made")) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(worker.pid, signal.SIGKILL)
    assert worker.wait() == -signal.SIGKILL
    before = {run.run_id: run.created_at for run in store.runs("made")}
    assert 3 <= len(before) < 61
    compared(store, ("carrot-knn",), range(4))
    after = {run.run_id: run.created_at for run in store.runs("made")}
    assert before.items() <= after.items()


def test_a_router_that_cannot_run_is_reported_with_its_reason(store, monkeypatch):
    class Picky:
        def fit(self, train):
            raise CarrotError("It needs better prompts.")

    monkeypatch.setitem(ROUTERS, "picky", lambda seed: Picky())
    result = compared(store, ("picky", "zero"))
    assert result.skipped == {"picky": "It needs better prompts."}
    assert result.routers == ("zero",)
    with pytest.raises(CarrotError, match=r"None of the routers.*better prompts"):
        compared(store, ("picky",))


def test_all_routers_are_those_that_need_neither_download_nor_hours():
    assert routers_of(["all"]) == [name for name in ROUTERS if name not in BY_NAME_ONLY]
    assert routers_of(["carrot-encoder", "zero", "zero"]) == ["carrot-encoder", "zero"]
    with pytest.raises(NotFoundError, match="no-such"):
        routers_of(["no-such"])


def test_the_sources_own_split_stays_and_only_the_routers_seed_varies(store, tmp_path):
    bench = made(seed=3)
    frame = long_frame(bench).assign(split=np.repeat(bench.split, 3))
    frame.to_parquet(tmp_path / "own.parquet")
    store.save_benchmark("own", read_any(tmp_path / "own.parquet"))
    result = compare_routers(store, store.load("own"), FAST, (0, 3), replicates=10)
    assert result.protocol["split_seed"].isna().all()
    assert result.protocol["n_judged"].nunique() == 1
    first = store.load_run(store.runs("own")[0].run_id)
    assert first.estimates["test"].prompt_ids == store.load("own").part("test").prompt_ids


def test_learning_elsewhere_and_judging_every_prompt(store):
    fill(store, replace(made(120, seed=8), name="held"))
    held = store.load("held", encoder="all-MiniLM-L6-v2")
    first = compare_routers(store, held, ("carrot-knn", "zero"), (0, 1), fit_on=load(store), replicates=20)
    assert (first.report_on, first.fit_on) == ("all", "made")
    assert (first.protocol["n_judged"] == 120).all()
    again = compare_routers(store, held, ("carrot-knn", "zero"), (0, 1), fit_on=load(store), replicates=20)
    assert first.figures.equals(again.figures)


def test_estimates_of_a_run_on_another_split_come_from_its_own_train_prompts(store):
    compared(store, ("zero",), (2,))
    run = store.load_run(store.runs("made")[0].run_id)
    train = estimates_on(run, load(store), "train")
    assert set(train.prompt_ids).isdisjoint(run.estimates["test"].prompt_ids)
    np.testing.assert_allclose(train.score[0], run.estimates["test"].score[0])


def test_waiting_times_have_every_step(store):
    table = compared(store, ("carrot-knn", "zero"), (0,)).latency.set_index(["router", "step"])
    assert set(table.loc["carrot-knn"].index) == {"embed", "estimate", "choose", "total"}
    assert set(table.loc["zero"].index) == {"estimate", "choose", "total"}
    assert (table["p50_ms"] <= table["p95_ms"]).all()
    assert table.loc[("carrot-knn", "total"), "p50_ms"] >= table.loc[("carrot-knn", "estimate"), "p50_ms"]


def test_a_run_keeps_the_router_its_estimates_are_of(store):
    run_router(store, load(store), "carrot-linear")
    (listed,) = store.runs("made")
    run = store.load_run(listed.run_id, router=True)
    assert (listed.router_json, store.load_run(listed.run_id).router_safetensors) == (None, None)
    fitted, profile = router_from_bytes(run.router_json, run.router_safetensors)
    again = fitted.estimate(load(store).part("test"))
    assert profile is None
    assert np.array_equal(again.score, run.estimates["test"].score)
    assert np.array_equal(again.cost_usd, run.estimates["test"].cost_usd)


def test_a_run_on_another_benchmark_keeps_both_of_its_fits(store, monkeypatch):
    fill(store, replace(made(120, seed=8), name="held"))
    bench, source = store.load("held"), store.load("made")
    run = run_router(store, bench, "zero", fit_on=source)
    protocol = setting_for(bench, source)
    expected = protocol.fit("zero")[1]
    monkeypatch.setitem(ROUTERS, "zero", lambda: pytest.fail("fitted again"))
    assert np.array_equal(tables_of(run, protocol)["validation"].score, expected["validation"].score)
    assert np.array_equal(estimates_on(run, bench, "train", source).score[0], expected["all"].score[0])
    assert not np.array_equal(expected["validation"].score[0], expected["all"].score[0])


def test_a_router_that_was_not_stored_is_fitted_once_and_stored(store, monkeypatch):
    bench = load(store)
    run = evaluate(bench, "zero", replicates=5)
    store.save_run(replace(run, router_json=None, router_safetensors=None))
    fits = []
    monkeypatch.setitem(ROUTERS, "zero", lambda: fits.append("zero") or ZeroRouter())
    monkeypatch.setattr(runs, "evaluate", lambda *a, **k: pytest.fail("judged again"))
    first = run_router(store, bench, "zero")
    assert (first.created_at, first.router_json, len(fits)) == (run.created_at, run.router_json, 1)
    second = run_router(store, bench, "zero")
    assert (second.router_safetensors, len(fits)) == (run.router_safetensors, 1)


def test_a_router_that_cannot_be_stored_is_there_all_the_same(store, monkeypatch, caplog):
    bench = load(store)
    store.save_run(replace(evaluate(bench, "zero", replicates=5), router_json=None, router_safetensors=None))

    def refuse(run):
        raise StoreError("The store may only be read.")

    monkeypatch.setattr(store, "save_run", refuse)
    assert run_router(store, bench, "zero").router_json is not None
    assert "may only be read" in caplog.text


@pytest.mark.parametrize(
    "other",
    [{"seed": 1}, {"params": {"k": 1}}, {"pool": MODELS[:2]}, {"split_seed": 1}, {"router": "task-lookup"}],
    ids=lambda other: next(iter(other)),
)
def test_a_stored_run_stands_for_exactly_itself(store, other):
    bench = load(store)
    store.save_run(evaluate(bench, "zero", replicates=5))
    trial = Trial(bench, "zero")
    assert stored_run(store, trial) is not None
    assert stored_run(store, replace(trial, **other)) is None
    assert stored_run(store, replace(trial, bench=replace(bench, data_hash="other"))) is None
    assert stored_run(store, replace(trial, fit_on=bench)) is None


def test_what_is_known_of_a_setting_goes_with_it(store):
    """A server evaluates for weeks: nothing may hold a benchmark, with its vectors, after it."""
    bench = load(store)
    references = weakref.ref(bench.vectors), weakref.ref(bench)
    evaluate(bench, "zero", replicates=5)
    CarrotRouter.load("made", router="zero", store=store)
    del bench
    gc.collect()
    assert [reference() for reference in references] == [None, None]
