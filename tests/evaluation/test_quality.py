"""Quality of predictions against scikit-learn and against numbers worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, r2_score, roc_auc_score

from carrot_core.evaluation import quality, reliability, setting
from carrot_core.evaluation.quality import usage_of
from carrot_core.outcomes import Estimates, Outcomes
from tests.made import made


@pytest.fixture(scope="module")
def judged():
    one = setting(made(400))
    rng = np.random.default_rng(0)
    truth = one.test.outcomes
    guess = np.clip(truth.score * 0.4 + rng.random(truth.shape) * 0.6, 0, 1)
    return one, Estimates(truth.prompt_ids, truth.models, guess, truth.cost_usd * 1.5)


def test_scores_are_judged_as_scikit_learn_judges_them(judged):
    one, table = judged
    rows = quality(one.test, table, one.train).set_index("model")
    for model, column in (("acme/small", 1), ("pooled", slice(None))):
        truth, guess = one.test.outcomes.score[:, column].ravel(), table.score[:, column].ravel()
        assert rows.loc[model, "r2"] == pytest.approx(r2_score(truth, guess))
        assert rows.loc[model, "auc"] == pytest.approx(roc_auc_score(truth, guess))
        assert rows.loc[model, "brier"] == pytest.approx(brier_score_loss(truth, guess))
        assert rows.loc[model, "n"] == len(truth)
        train = one.train.outcomes.score
        mean = np.broadcast_to(train.mean(axis=0), one.test.outcomes.shape)[:, column].ravel()
        assert rows.loc[model, "train_mean_r2"] == pytest.approx(r2_score(truth, mean))


def test_tokens_are_those_behind_the_dollars(judged):
    one, _ = judged
    tokens = np.full(one.test.outcomes.shape, 321.0)
    np.testing.assert_allclose(usage_of(one.test, one.test.cost_usd_of(tokens)), tokens)
    table = Estimates(one.test.prompt_ids, one.models, one.test.outcomes.score, one.test.cost_usd_of(tokens))
    row = quality(one.test, table, one.train).set_index("model").loc["zeta/mid"]
    truth = one.test.output_tokens[:, 2]
    assert row["usage_mae"] == pytest.approx(np.abs(321 - truth).mean())
    assert row["usage_median_relative_error"] == pytest.approx(np.median(np.abs(321 - truth) / truth))
    assert row["usage_bias"] == pytest.approx(321 / truth.mean() - 1)
    mean = one.train.output_tokens[:, 2].mean()
    assert row["train_mean_usage_mae"] == pytest.approx(np.abs(mean - truth).mean())


def test_where_only_dollars_are_recorded_dollars_are_judged(judged):
    one, table = judged
    dollars = replace(one.test, prices={}, input_tokens=np.full(one.test.outcomes.shape, np.nan))
    train = replace(one.train, prices={}, input_tokens=np.full(one.train.outcomes.shape, np.nan))
    row = quality(dollars, table, train).set_index("model").loc["acme/large"]
    assert row["usage_bias"] == pytest.approx(0.5)


def test_where_only_input_is_charged_there_is_nothing_to_judge(judged):
    one, table = judged
    empty = [np.full(part.outcomes.shape, np.nan) for part in (one.test, one.train)]
    rows = quality(replace(one.test, output_tokens=empty[0]), table, replace(one.train, output_tokens=empty[1]))
    assert rows["usage_mae"].isna().all()
    assert (rows["n_usage"] == 0).all()
    assert rows["brier"].notna().all()


def test_unobserved_cells_and_models_out_of_the_routers_pool_are_no_errors(judged):
    one, table = judged
    score = one.test.outcomes.score.copy()
    score[0, 0] = np.nan
    old = one.test.outcomes
    holes = replace(one.test, outcomes=Outcomes(old.prompt_ids, old.models, score, old.cost_usd))
    rows = quality(holes, table.pool(["acme/large", "zeta/mid"]), one.train).set_index("model")
    assert list(rows.index) == ["pooled", "acme/large", "zeta/mid"]
    assert rows.loc["acme/large", "n"] == len(score) - 1


def test_reliability_and_its_error_by_hand(judged):
    one, _ = judged
    prompts = one.test.rows(np.arange(4))
    outcomes = Outcomes(prompts.prompt_ids, ("acme/large",), [[1], [0], [1], [1]], np.ones((4, 1)))
    small = replace(prompts.pool(["acme/large"]), outcomes=outcomes)
    table = Estimates(prompts.prompt_ids, ("acme/large",), [[0.25], [0.21], [0.9], [1.7]], np.ones((4, 1)))
    bins = reliability(small, table).query("model == 'pooled'")
    assert bins[["bin", "n"]].to_numpy().tolist() == [[2, 2], [9, 2]]
    np.testing.assert_allclose(bins["mean_estimate"], [0.23, 0.95])  # 1.7 counts as 1
    np.testing.assert_allclose(bins["mean_score"], [0.5, 1.0])
    ece = quality(small, table, one.train).set_index("model").loc["pooled", "ece"]
    assert ece == pytest.approx((0.27 + 0.05) / 2)


def test_one_cost_a_model_is_one_count_of_tokens_also_of_a_model_that_never_ran():
    bench = made(200)
    part = bench.part("test")
    tokens_in, tokens_out = part.input_tokens.copy(), part.output_tokens.copy()
    tokens_in[:, 2] = tokens_out[:, 2] = np.nan
    never = replace(part, input_tokens=tokens_in, output_tokens=tokens_out)
    blind = setting(bench).estimates("zero")["test"]
    tokens = usage_of(never, blind.cost_usd)
    assert (tokens == tokens[:1]).all()
    price = bench.prices[bench.models[0]]
    paid = part.input_tokens[:, 0].mean() * price.input_usd_per_mtok + tokens[0, 0] * price.output_usd_per_mtok
    assert paid / 1e6 == pytest.approx(blind.cost_usd[0, 0])
