"""Learning curves and left-out tasks: what is learned from, and that it is judged on the same ground."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from carrot_core.errors import CarrotError, NotFoundError
from carrot_core.evaluation import learning, setting, split_by_seed
from carrot_core.evaluation.learning import LEFT_OUT, learning_curve, leave_one_task_out, new_model_curve, sizes_to
from carrot_core.evaluation.protocol import Setting
from tests.made import made


@pytest.fixture(scope="module")
def settings():
    bench = made(400)
    return {seed: setting(split_by_seed(bench, seed)) for seed in (0, 1)}


@pytest.fixture
def learned(monkeypatch):
    """Every benchmark a router is fitted on."""
    sizes = []
    fit = Setting.fit

    def watching(self, *arguments):
        sizes.append(self.train)
        return fit(self, *arguments)

    monkeypatch.setattr(Setting, "fit", watching)
    return sizes


def test_sizes_double_up_to_all():
    assert sizes_to(1000) == (100, 200, 400, 800, 1000)
    assert sizes_to(800) == (100, 200, 400, 800)
    assert sizes_to(60) == (60,)


def test_each_part_holds_the_one_before_and_the_last_is_all(settings, learned):
    curve = learning_curve({0: settings[0]}, "zero", (20, 50, 280), replicates=10)
    ids = [set(train.prompt_ids) for train in learned]
    assert [len(part) for part in ids] == [20, 50, 280]
    assert ids[0] < ids[1] < ids[2] == set(settings[0].train.prompt_ids)
    whole = settings[0].estimates("zero")["test"]
    np.testing.assert_array_equal(settings[0].frontier({"test": whole}, "test").score[0], _accuracy(curve, 280, "0"))


def _accuracy(curve, n, seed):
    return curve.figures.query("size == @n and seed == @seed and metric == 'routing_accuracy'")["value"].item()


def test_more_prompts_make_a_better_router_and_the_loss_is_paired(settings):
    curve = learning_curve(settings, "carrot-knn", (8, 280), params={"n_neighbors": 8}, replicates=50)
    table = curve.figures.query("metric == 'aiq' and seed == 'mean'").set_index("size")
    assert table.loc[280, "value"] > table.loc[8, "value"]
    lost = curve.lost.query("metric == 'aiq' and seed == 'mean'").set_index("size")
    assert lost.loc[8, "value"] == pytest.approx(table.loc[8, "value"] - table.loc[280, "value"])
    assert lost.loc[8, "high"] < 0
    assert curve.sizes == (8, 280)
    assert set(curve.quality["size"]) == {8, 280}


def test_a_new_model_has_only_its_scored_prompts_and_the_others_all(settings, learned):
    curve = new_model_curve({0: settings[0]}, "zero", "zeta/mid", (0, 30, 280), replicates=10)
    none, some, every = learned
    assert none.models == ("acme/large", "acme/small")
    assert (~np.isnan(some.outcomes.score)).sum(axis=0).tolist() == [280, 280, 30]
    assert (~np.isnan(some.output_tokens)).sum(axis=0).tolist() == [280, 280, 30]
    assert not np.isnan(every.outcomes.score).any()
    judged = curve.comparison.protocol
    assert judged["n_judged"].item() == len(settings[0].test.prompt_ids)
    assert set(curve.quality.query("model == 'zeta/mid'")["size"]) == {30, 280}
    assert curve.new_model == "zeta/mid"


def test_unscored_prompts_of_the_model_are_never_counted_as_scored(learned):
    bench = made(300)
    score, cost = bench.outcomes.score.copy(), bench.outcomes.cost_usd.copy()
    score[::2, 2] = cost[::2, 2] = np.nan
    holes = replace(bench, outcomes=replace(bench.outcomes, score=score, cost_usd=cost))
    new_model_curve({0: setting(holes)}, "zero", "zeta/mid", (10, 40), replicates=5)
    assert [int((~np.isnan(train.outcomes.score[:, 2])).sum()) for train in learned] == [10, 40]


def test_where_another_benchmark_is_judged_validation_is_still_unseen(monkeypatch):
    here, there = made(200, seed=1), made(300)
    there = replace(there, texts=tuple(f"There: {text}" for text in there.texts))
    one, inner = setting(here, fit_on=there), []
    fit = Setting.fit

    def watching(self, *arguments):
        inner.append(set(self.inner_train.prompt_ids))
        return fit(self, *arguments)

    monkeypatch.setattr(Setting, "fit", watching)
    learning_curve({0: one}, "zero", (50, 300), replicates=5)
    new_model_curve({0: one}, "zero", "zeta/mid", (0, 20), replicates=5)
    validation = set(one.validation.prompt_ids)
    assert len(inner) == 4
    assert all(ids and not ids & validation for ids in inner)


def test_default_sizes_of_a_new_model_begin_without_it(settings, monkeypatch):
    monkeypatch.setattr(learning, "compare", lambda *a, **k: None)
    assert new_model_curve(settings, "zero", "zeta/mid").sizes == (0, 25, 50, 100, 200, 280)


def test_sizes_and_models_that_do_not_exist_are_refused(settings):
    with pytest.raises(CarrotError, match="280"):
        learning_curve(settings, "zero", (10, 281))
    with pytest.raises(NotFoundError, match="ghost"):
        new_model_curve(settings, "zero", "ghost")


def test_a_left_out_task_is_never_learned_from(settings, learned):
    transfer = leave_one_task_out({0: settings[0]}, "task-lookup", replicates=20)
    assert [set(train.tasks) for train in learned[:2]] == [{"kind 1"}, {"kind 0"}]
    assert transfer.overall.routers == (LEFT_OUT, "task-lookup", "zero")
    # A task lookup that has not seen a task knows no more than the means of the others.
    worse = transfer.overall.difference(LEFT_OUT, "task-lookup", "aiq")
    assert worse.high < 0
    table = transfer.by_task.query("metric == 'routing_accuracy' and seed == '0'")
    assert table["task"].tolist() == ["kind 0", "kind 1"]
    assert table["n_prompts"].sum() == len(settings[0].test.prompt_ids)
    for row in table.itertuples():
        assert row.difference == pytest.approx(row.left_out - row.usual)


def test_left_out_estimates_cover_every_prompt_in_order(settings):
    transfer = leave_one_task_out({0: settings[0]}, "zero", replicates=5)
    assert transfer.overall.protocol["n_judged"].item() == len(settings[0].test.prompt_ids)


def test_prompts_without_a_task_are_not_judged_where_tasks_are_left_out():
    bench = made(300)
    some = replace(bench, tasks=("",) * 15 + bench.tasks[15:])
    one = setting(some)
    transfer = leave_one_task_out({0: one}, "zero", replicates=5)
    assert transfer.overall.protocol["n_judged"].item() == sum(task != "" for task in one.test.tasks)


def test_one_task_cannot_be_left_out():
    bench = made(200)
    alike = replace(bench, tasks=("kind 0",) * 200)
    with pytest.raises(CarrotError, match="at least two tasks"):
        leave_one_task_out({0: setting(alike)}, "zero")
