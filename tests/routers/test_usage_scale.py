"""The log scale of usage: there and back, and the bias of the way back; and what routed prompts cost against what was
expected.

`python -m tests.routers.test_usage_scale FOLDER [BENCHMARK ...]` prints the last for the real benchmarks in a folder.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carrot_core.benchmarks.built_in import BUILT_IN
from carrot_core.bootstrap import Interval, bootstrap_counts
from carrot_core.frontier import rate_of_lam, sweep
from carrot_core.outcomes import Estimates, Outcomes
from carrot_core.routers.criteria import UsageScale
from carrot_core.store import Store
from tests.test_promise import RECIPE, benchmark, out_of_fold, world

ROUTERS = ("carrot-knn", "carrot-linear", "carrot-mlp", "carrot-blend")
LAMBDAS = (0.1, 0.2, 0.3, 0.5, 0.7)


@given(st.integers(0, 10**6), st.floats(1e-7, 1e4))
def test_there_and_back_is_the_same(seed, unit):
    usage = unit * np.random.default_rng(seed).exponential(size=(20, 3))
    scale = UsageScale().fit(usage)
    np.testing.assert_allclose(scale.usage(scale.logs(usage)), usage, rtol=1e-9, atol=1e-12 * unit)


def test_predicting_the_mean_log_gives_the_mean_usage_once_corrected():
    usage = np.exp(5 + np.random.default_rng(0).normal(size=(5000, 1)))
    scale = UsageScale().fit(usage)
    logs = np.full_like(usage, scale.logs(usage).mean())
    assert scale.usage(logs)[0, 0] < 0.75 * usage.mean()
    scale.correct(logs, usage)
    assert scale.usage(logs)[0, 0] == pytest.approx(usage.mean())
    assert -0.45 < scale.bias_[0] < -0.25  # a log-normal with variance 1 loses 1 - exp(-1/2) = 39 %


def test_predictions_drawn_towards_the_middle_are_right_in_every_range_once_corrected():
    rng = np.random.default_rng(1)
    truth = np.exp(rng.normal(5.0, 1.0, size=(6000, 2)))
    usage = truth * rng.gamma(4.0, 0.25, size=truth.shape)  # mean 1
    scale = UsageScale().fit(usage)
    logs = 0.6 * scale.logs(truth) + 0.4 * scale.logs(truth).mean(axis=0)
    few = np.argsort(logs[3000:, 0])[:600]  # the least predicted use of prompts that the correction has not seen
    errors = []
    for _ in range(2):
        expected = scale.usage(logs[3000:])[few, 0]
        errors.append(expected.mean() / usage[3000:][few, 0].mean() - 1.0)
        scale.correct(logs[:3000], usage[:3000])
    assert errors[0] > 0.5
    assert abs(errors[1]) < 0.15
    order = np.argsort(logs[:, 1])
    assert (np.diff(scale.usage(logs)[order, 1]) >= 0.0).all()  # more predicted is never less expected


def test_missing_cells_are_left_out_and_a_model_never_predicted_is_not_corrected():
    usage = np.array([[100.0, 5.0, 1.0], [np.nan, 5.0, np.nan], [300.0, 5.0, np.nan]])
    scale = UsageScale().fit(usage)
    logs = scale.logs(np.array([[200.0, 5.0, np.nan]] * 3))
    scale.correct(logs, usage)
    np.testing.assert_allclose(scale.unit_, [2.0, 0.05, 0.01])
    np.testing.assert_allclose(scale.factor_, [1.0, 1.0, 1.0])
    np.testing.assert_allclose(scale.bias_, 0.0, atol=1e-12)


def test_a_model_that_never_uses_anything_stays_at_nothing():
    usage = np.zeros((4, 1))
    scale = UsageScale().fit(usage)
    logs = scale.logs(usage)
    assert scale.correct(logs, usage).usage(logs).max() == 0.0


def test_negative_usage_is_refused():
    with pytest.raises(ValueError, match="at least 0"):
        UsageScale().fit(np.array([[-1.0]]))


def excess(estimates: Estimates, outcomes: Outcomes, lam: float) -> Interval:
    """By what part the expected mean cost of the choices at λ is above what they cost, with its 95 % interval."""
    curve = sweep(estimates, outcomes)
    unit = float(curve.model_cost_usd.max())
    at = np.arange(curve.n_prompts), curve.choices(float(rate_of_lam(lam, unit)))
    expected, paid = estimates.cost_usd[at], curve.paid_usd[at]
    counts = bootstrap_counts(curve.n_prompts, 1000)
    return Interval.of(float(expected.mean() / paid.mean() - 1), expected @ counts / (paid @ counts) - 1)


def test_the_excess_is_what_was_expected_of_the_choices_over_what_they_cost():
    estimates, outcomes = world(400, 0)
    for lam in LAMBDAS:
        twice = Estimates(estimates.prompt_ids, estimates.models, estimates.score, 2 * outcomes.cost_usd)
        exact = excess(twice, outcomes, lam)
        assert (exact.value, exact.low, exact.high) == pytest.approx((1.0, 1.0, 1.0))
        wide = excess(estimates, outcomes, lam)
        assert wide.low < wide.value < wide.high


def main(folder: Path, names: Sequence[str]) -> None:
    """Print the excess of each CARROT router on these benchmarks, or on all, out of fold."""
    with TemporaryDirectory() as home:
        store = Store(Path(home))
        for name in names:
            bench = benchmark(store, folder, name)
            for router in ROUTERS:
                estimates = out_of_fold(bench, router)
                cells = [excess(estimates, bench.measured, lam) for lam in LAMBDAS]
                figures = [f"{100 * one.value:+.1f} [{100 * one.low:+.1f}, {100 * one.high:+.1f}]" for one in cells]
                print(f"| {name} | {router} | " + " | ".join(figures) + " |", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:] or (*BUILT_IN, *RECIPE))
