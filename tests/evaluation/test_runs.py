"""Several routers over several seeds on a store: what is done once is not done again, and nothing drops silently."""

from __future__ import annotations

import gc
import os
import signal
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
    fitted_router,
    routers_of,
    run_router,
    stored_run,
    tables_of,
)
from carrot_core.routers import BY_NAME_ONLY, ROUTERS, ZeroRouter
from carrot_core.routers.saving import router_from_bytes
from carrot_core.store import Store
from tests.forks import KILLED
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


def compared(store, routers=FAST, seeds=(0, 1), **options):
    return compare_routers(store, load(store), routers, seeds, replicates=20, **options)


@pytest.mark.parametrize("options", [{"seeds": ()}, {"seeds": (-1,)}, {"routers": ()}])
def test_nothing_to_compare_is_refused_in_words(store, options):
    with pytest.raises(CarrotError, match="at least one"):
        compared(store, **options)


def test_every_seed_of_a_router_is_judged_on_all_prompts_in_the_same_folds(store):
    result = compared(store)
    assert (result.report_on, result.protocol["n_folds"].tolist()) == ("all", [5, 5])
    assert (result.protocol["n_judged"] == len(load(store).prompt_ids)).all()
    runs = {(run.router, run.seed): store.load_run(run.run_id) for run in store.runs("made")}
    assert set(runs) == {(name, seed) for name in FAST for seed in (0, 1)}
    assert all(run.estimates["all"].prompt_ids == load(store).prompt_ids for run in runs.values())


def test_a_router_evaluated_alone_is_the_same_run_as_one_that_is_compared(store):
    alone = evaluate(load(store), "zero", replicates=20)
    compared(store, ("zero",), (0,))
    (run,) = store.runs("made")
    assert run.run_id == alone.run_id
    assert run.run_id != evaluate(load(store), "zero", n_folds=4, replicates=5).run_id


def test_what_is_stored_is_not_fitted_again_unless_asked(store, monkeypatch):
    first = compared(store, seeds=(0,))
    with monkeypatch.context() as patch:
        patch.setattr(runs, "evaluate", lambda *a, **k: pytest.fail("fitted twice"))
        second = compared(store, seeds=(0,))
    assert first.figures.equals(second.figures)
    assert first.differences.equals(second.differences)
    fits = []
    monkeypatch.setattr(runs, "evaluate", lambda bench, name, **k: fits.append(name) or evaluate(bench, name, **k))
    compared(store, seeds=(0,), again=True)
    assert fits == [*FAST]


def test_other_data_are_fitted_again(store):
    before = compared(store, ("zero",), (0,))
    fill(store, made(seed=5))
    after = compared(store, ("zero",), (0,))
    assert after.data_hash != before.data_hash
    assert not after.figures.equals(before.figures)


def test_a_run_on_gaps_without_donors_is_fitted_again(store):
    bench = load(store)
    score = bench.outcomes.score.copy()
    score[0, 0] = np.nan
    bench = replace(bench, outcomes=bench.outcomes.with_values(score, bench.outcomes.cost_usd))
    run_router(store, bench, "zero")
    (run,) = store.runs("made")
    assert runs.stored_runs(store, bench)
    figures = {name: value for name, value in run.metrics["all"].items() if name != "oracle_least"}
    store.save_run(replace(store.load_run(run.run_id), metrics=run.metrics | {"all": figures}))
    assert not runs.stored_runs(store, bench)


def test_an_interrupted_comparison_goes_on_where_it_stopped(store, monkeypatch):
    def stop_at(done, total):
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compared(store, ("zero",), progress=stop_at)
    assert len(store.runs("made")) == 1
    fits = []
    monkeypatch.setattr(runs, "evaluate", lambda bench, name, **k: fits.append(name) or evaluate(bench, name, **k))
    compared(store, ("zero",))
    assert fits == ["zero"]


def compare_many_seeds():
    compared(Store(), ("carrot-knn",), range(60))


def test_a_killed_comparison_goes_on_where_it_stopped(store, carrot_home, forks):
    (process,) = forks.start((compare_many_seeds, ()), environment={"CARROT_HOME": str(carrot_home)})
    deadline = time.monotonic() + 120
    while len(store.runs("made")) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process, signal.SIGKILL)
    assert forks.ends() == [KILLED]
    before = {run.run_id: run.created_at for run in store.runs("made")}
    assert 3 <= len(before) < 60
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
    result = compare_routers(store, store.load("own"), ("zero",), (0, 3), replicates=10)
    assert (result.report_on, result.protocol["n_folds"].tolist()) == ("test", [0, 0])
    first = store.load_run(store.runs("own")[0].run_id)
    assert first.estimates["test"].prompt_ids == store.load("own").part("test").prompt_ids
    beside = compare_routers(store, store.load("own"), ("zero",), n_folds=4, replicates=10)
    assert beside.protocol["n_judged"].item() == len(bench.prompt_ids)


def test_learning_elsewhere_and_judging_every_prompt(store):
    fill(store, replace(made(120, seed=8), name="held"))
    other = store.load("held", encoder="all-MiniLM-L6-v2")
    first = compare_routers(store, other, ("carrot-knn",), (0,), fit_on=load(store), replicates=20)
    assert (first.report_on, first.fit_on) == ("all", "made")
    assert (first.protocol["n_judged"] == 120).all()
    again = compare_routers(store, other, ("carrot-knn",), (0,), fit_on=load(store), replicates=20)
    assert first.figures.equals(again.figures)


def test_train_prompts_of_a_split_get_their_estimates_from_the_router_that_learned_from_them():
    bench = made()
    run = evaluate(bench, "zero", replicates=5)
    train = estimates_on(run, bench, "train")
    assert train.prompt_ids == bench.part("train").prompt_ids
    np.testing.assert_allclose(train.score[0], run.estimates["test"].score[0])


def test_waiting_times_have_every_step(store):
    table = compared(store, ("carrot-knn", "zero"), (0,)).latency.set_index(["router", "step"])
    assert set(table.loc["carrot-knn"].index) == {"embed", "estimate", "choose", "total"}
    assert set(table.loc["zero"].index) == {"estimate", "choose", "total"}
    assert (table["p50_ms"] <= table["p95_ms"]).all()
    assert table.loc[("carrot-knn", "total"), "p50_ms"] >= table.loc[("carrot-knn", "estimate"), "p50_ms"]


def test_a_run_keeps_the_router_its_estimates_are_of(store):
    bench = replace(load(store), split_is_ours=False)
    run_router(store, bench, "carrot-linear")
    (listed,) = store.runs("made")
    run = store.load_run(listed.run_id, router=True)
    assert (listed.router_json, store.load_run(listed.run_id).router_safetensors) == (None, None)
    fitted, profile = router_from_bytes(run.router_json, run.router_safetensors)
    again = fitted.estimate(bench.part("test"))
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
    bench = replace(load(store), split_is_ours=False)
    run = evaluate(bench, "zero", replicates=5)
    store.save_run(replace(run, router_json=None, router_safetensors=None))
    fits = []
    monkeypatch.setitem(ROUTERS, "zero", lambda: fits.append("zero") or ZeroRouter())
    monkeypatch.setattr(runs, "evaluate", lambda *a, **k: pytest.fail("judged again"))
    fitted_router(store, Trial(bench, "zero"))
    stored = store.load_run(run.run_id, router=True)
    assert (stored.created_at, stored.router_json, len(fits)) == (run.created_at, run.router_json, 1)
    fitted_router(store, Trial(bench, "zero"))
    assert (stored.router_safetensors, len(fits)) == (run.router_safetensors, 1)


def test_a_router_that_a_viewer_looks_at_is_not_stored(store, monkeypatch):
    bench = load(store)
    store.save_run(replace(evaluate(bench, "zero", replicates=5), router_json=None, router_safetensors=None))
    monkeypatch.setenv("CARROT_MODE", "team")
    monkeypatch.setattr(store, "save_run", lambda run: pytest.fail("a line of the log says that it was refused"))
    assert fitted_router(store, Trial(bench, "zero"))[0].name == "zero"


def test_a_router_that_cannot_be_stored_is_there_all_the_same(store, monkeypatch, caplog):
    bench = load(store)
    store.save_run(replace(evaluate(bench, "zero", replicates=5), router_json=None, router_safetensors=None))

    def refuse(run):
        raise StoreError("The store may only be read.")

    monkeypatch.setattr(store, "save_run", refuse)
    assert fitted_router(store, Trial(bench, "zero"))[0].name == "zero"
    assert "may only be read" in caplog.text


def test_a_stored_run_stands_for_exactly_itself(store):
    bench = load(store)
    store.save_run(evaluate(bench, "zero", replicates=5))
    trial = Trial(bench, "zero")
    assert stored_run(store, trial) is not None
    others = ({"seed": 1}, {"params": {"k": 1}}, {"pool": MODELS[:2]}, {"n_folds": 4}, {"router": "task-lookup"},
              {"bench": replace(bench, data_hash="other")}, {"fit_on": bench})  # fmt: skip
    for other in others:
        assert stored_run(store, replace(trial, **other)) is None, other


def test_what_is_known_of_a_setting_goes_with_it(store):
    """A server evaluates for weeks: nothing may hold a benchmark, with its vectors, after it."""
    bench = load(store)
    references = weakref.ref(bench.vectors), weakref.ref(bench)
    evaluate(bench, "zero", replicates=5)
    CarrotRouter.load("made", router="zero", store=store)
    del bench
    gc.collect()
    assert [reference() for reference in references] == [None, None]
