"""The guarded router: between the zero router and the router within, and never away from it without evidence."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest

from carrot_core.errors import CarrotError
from carrot_core.evaluation import setting
from carrot_core.outcomes import Benchmark
from carrot_core.routers import make_router
from carrot_core.routers.baselines import ZeroRouter
from carrot_core.routers.cascade import _RATES, CarrotGuarded, _gains
from tests.made import made


def unlearnable(bench: Benchmark, seed: int = 0) -> Benchmark:
    """The same prompts with vectors that tell nothing of them, and the same tokens for each."""
    vectors = np.random.default_rng(seed).permutation(bench.vectors)
    tokens = {name: np.full_like(getattr(bench, name), 100.0) for name in ("input_tokens", "output_tokens")}
    cost = np.broadcast_to(bench.outcomes.cost_usd.mean(axis=0), bench.outcomes.shape)
    return replace(bench, vectors=vectors, outcomes=replace(bench.outcomes, cost_usd=cost), prices={}, **tokens)


@pytest.mark.slow
def test_where_routing_can_be_learned_it_leaves_the_single_model_and_gains() -> None:
    bench = made(400, dimensions=16)
    protocol = setting(bench)
    guarded = CarrotGuarded().fit(bench.part("train"))
    assert not guarded.abstains
    assert 0 < guarded.gain_low_ < guarded.gain_
    score = {name: protocol.frontier(protocol.estimates(name), "test").score[0] for name in ("carrot-guarded", "zero")}
    assert score["carrot-guarded"] > score["zero"]


@pytest.mark.parametrize("seed", range(5))
def test_where_nothing_can_be_learned_it_is_the_zero_router_and_says_so(
    seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    bench = unlearnable(made(300, seed=seed, dimensions=8), seed)
    with caplog.at_level(logging.WARNING, "carrot_core"):
        guarded = CarrotGuarded().fit(bench)
    assert guarded.abstains
    assert guarded.gain_ == guarded.gain_low_ == 0
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    table, zero = guarded.estimate(bench), ZeroRouter().fit(bench).estimate(bench)
    np.testing.assert_array_equal(table.score, zero.score)
    np.testing.assert_array_equal(table.cost_usd, zero.cost_usd)


def test_estimates_lie_between_the_train_means_and_those_of_the_router_within() -> None:
    bench = made(300, dimensions=16)
    train, test = bench.part("train"), bench.part("test")
    guarded = CarrotGuarded(base="carrot-knn", n_neighbors=16).fit(train)
    within = make_router("carrot-knn", n_neighbors=16).fit(train).estimate(test)
    means, table = ZeroRouter().fit(train).estimate(test), guarded.estimate(test)
    for factor, name in ((guarded.score_factor_, "score"), (guarded.cost_factor_, "cost_usd")):
        assert 0 <= factor <= 1
        expected = (1 - factor) * getattr(means, name) + factor * getattr(within, name)
        np.testing.assert_allclose(getattr(table, name), expected, rtol=1e-12)


def test_more_confidence_never_leaves_more_of_a_gain_to_luck() -> None:
    train = made(300, dimensions=8).part("train")
    sure, unsure = (CarrotGuarded(confidence=confidence).fit(train) for confidence in (0.999, 0.5))
    assert unsure.gain_low_ == pytest.approx(unsure.gain_)  # at even odds the bound is the mean
    assert sure.gain_low_ < unsure.gain_low_
    assert sure.gain_ <= unsure.gain_


def test_gains_are_those_of_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    estimates, means, outcomes = (tuple(rng.random((2, 6, 3))) for _ in range(3))
    gains = _gains(estimates, means, outcomes)
    for place, rate in enumerate(_RATES):
        lam = rate / (1 + rate)
        for row in range(6):
            utility = [
                [(1 - lam) * score[row, model] - lam * cost[row, model] for model in range(3)]
                for score, cost in (estimates, means, outcomes)
            ]
            chosen, single = (max(range(3), key=each.__getitem__) for each in utility[:2])
            assert gains[place, row] == pytest.approx(utility[2][chosen] - utility[2][single])


@pytest.mark.parametrize(
    ("params", "word"),
    [
        ({"base": "zero"}, "zero"),
        ({"base": "carrot-guarded"}, "carrot-guarded"),
        ({"confidence": 1.0}, "confidence"),
        ({"confidence": 0.4}, "confidence"),
        ({"n_folds": 1}, "n_folds"),
        ({"n_neighbors": 5}, "n_neighbors"),
        ({"base": "carrot-none"}, "carrot-none"),
    ],
)
def test_what_it_cannot_guard_is_refused(params: dict[str, object], word: str) -> None:
    with pytest.raises(CarrotError, match=word):
        make_router("carrot-guarded", **params)
