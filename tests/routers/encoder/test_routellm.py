"""RouteLLM's classifier: P(small suffices) from the text, for a pair."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from carrot_core.errors import CarrotError
from carrot_core.frontier import sweep
from carrot_core.outcomes import Benchmark
from carrot_core.routers import make_router
from carrot_core.routers.saving import load_router, save_router
from tests.encoders import one_thread, tiny_encoder  # noqa: F401  (a fixture)
from tests.made import made

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]
PAIR = {"large": "acme/large", "small": "acme/small"}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_encoder(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def bench() -> Benchmark:
    return replace(made(240), vectors=None, encoder=None)


@pytest.fixture
def router(bench: Benchmark, encoder: str) -> Any:
    params = {"epochs": 1, "learning_rate": 1e-3, **PAIR}
    return make_router("routellm-bert", encoder=encoder, **params).fit(bench.part("train"))


def test_the_small_model_suffices_where_its_kind_of_prompt_is(bench: Benchmark, router: Any) -> None:
    test = bench.part("test")
    estimate = router.estimate(test)
    assert estimate.models == ("acme/large", "acme/small")
    kind = np.array([task == "kind 1" for task in test.tasks])
    chance = estimate.score[:, 1]
    assert chance[~kind].min() > chance[kind].max()
    assert ((chance > 0) & (chance < 1)).all()
    np.testing.assert_array_equal(estimate.score[:, 0], 1.0)


def test_probabilities_are_those_of_the_labels(bench: Benchmark, router: Any) -> None:
    """On average over a kind they are how often the small model is at least as good there."""
    test = bench.part("test")
    score = bench.outcomes.pool(list(PAIR.values())).score
    kinds = np.array(bench.tasks)
    chance = router.estimate(test).score[:, 1]
    for kind in ("kind 0", "kind 1"):
        often = (score[:, 1] >= score[:, 0])[kinds == kind].mean()
        assert chance[np.array(test.tasks) == kind].mean() == pytest.approx(often, abs=0.12)


def test_the_sweep_goes_from_all_large_to_all_small(bench: Benchmark, router: Any) -> None:
    test = bench.part("test")
    curve = sweep(router.estimate(test), test.outcomes.pool(router.models_))
    large, small = (test.outcomes.pool(router.models_).cost_usd.mean(axis=0)[i] for i in (0, 1))
    assert curve.cost_usd[0] == pytest.approx(large)
    assert curve.cost_usd[-1] == pytest.approx(small)


def test_costs_are_the_train_means(bench: Benchmark, router: Any) -> None:
    train = bench.part("train").outcomes.pool(router.models_)
    np.testing.assert_allclose(router.estimate(bench).cost_usd[3], train.cost_usd.mean(axis=0))


def test_it_is_kept(bench: Benchmark, router: Any, tmp_path: Path) -> None:
    save_router(router, tmp_path)
    np.testing.assert_array_equal(load_router(tmp_path).estimate(bench).score, router.estimate(bench).score)


def test_a_pair_where_the_small_one_always_suffices(bench: Benchmark, encoder: str) -> None:
    score = bench.outcomes.score.copy()
    score[:] = 1.0
    easy = replace(bench, outcomes=replace(bench.outcomes, score=score))
    router = make_router("routellm-bert", encoder=encoder, epochs=0, **PAIR).fit(easy)
    assert (router.estimate(easy).score[:, 1] > 0.8).all()


def test_half_a_pair_is_refused(bench: Benchmark, encoder: str) -> None:
    with pytest.raises(CarrotError, match="needs two models"):
        make_router("routellm-bert", encoder=encoder, large="acme/large").fit(bench)
    with pytest.raises(CarrotError, match="have no text"):
        make_router("routellm-bert", encoder=encoder, **PAIR).fit(replace(bench, texts=(None,) * len(bench.texts)))
