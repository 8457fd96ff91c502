"""CarrotBlend: the weights find the right part, the parts are what they say, and labels serve training only."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

from carrot_core.routers.blend import CarrotBlend, blend_weights


# Every check that scikit-learn has applies and passes: no list of exceptions.
@parametrize_with_checks([CarrotBlend(n_folds=2, n_landmarks=50)])
@pytest.mark.usefixtures("few_steps")
@pytest.mark.slow
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def data(n=200, missing=0.0, seed=0):
    """Three tasks far apart, each with its own best model; scores, tokens and task labels."""
    rng = np.random.default_rng(seed)
    task = rng.integers(0, 3, n)
    X = np.eye(8)[task] + 0.15 * rng.normal(size=(n, 8))
    score = (rng.random((n, 3)) < np.where(np.eye(3, dtype=bool)[task], 0.9, 0.3)).astype(float)
    tokens = 100.0 * np.exp(0.3 * rng.normal(size=(n, 3)) + task[:, None])
    lost = rng.random(score.shape) < missing
    return X, np.where(lost, np.nan, score), np.where(lost, np.nan, tokens), np.array(list("abc"))[task]


@pytest.fixture(scope="module")
def blend():
    X, score, tokens, tasks = data()
    return CarrotBlend(n_folds=2).fit(X, score, usage=tokens, tasks=tasks)


@pytest.mark.parametrize("right", [0, 1, 2])
def test_weights_recover_the_part_that_is_right(right):
    rng = np.random.default_rng(1)
    truth = rng.random((400, 4))
    parts = [rng.random((400, 4)) for _ in range(3)]
    means = truth.mean(axis=0)
    parts[right] = means + 2.0 * (truth - means)  # right but for twice the departures
    expected = np.zeros(3)
    expected[right] = 0.5
    np.testing.assert_allclose(blend_weights(truth, parts, means, 0.0), expected, atol=0.05)


def test_weights_solve_the_problem_they_state():
    rng = np.random.default_rng(2)
    score = np.where(rng.random((60, 3)) < 0.2, np.nan, rng.random((60, 3)))
    parts, means = [rng.random((60, 3)) for _ in range(3)], np.array([0.4, 0.5, 0.6])

    def contrast_cells(table):
        rows = []
        for row, mask in zip(table - means, ~np.isnan(score), strict=True):
            rows.extend(row[mask] - row[mask].mean() if mask.any() else [])
        return np.array(rows)

    target, columns = contrast_cells(score), np.array([contrast_cells(part) for part in parts])
    penalty = 0.7 * (columns**2).sum(axis=1).mean()

    def loss(w):
        return ((target - w @ columns) ** 2).sum() + penalty * ((w - 1 / 3) ** 2).sum()

    best = minimize(loss, np.full(3, 1 / 3), bounds=[(0, None)] * 3, tol=1e-12).x
    np.testing.assert_allclose(blend_weights(score, parts, means, 0.7), best, atol=1e-5)


def test_a_firm_pull_is_the_plain_mean_and_negative_weights_do_not_occur():
    rng = np.random.default_rng(3)
    score, means = rng.random((50, 3)), np.full(3, 0.5)
    parts = [1 - score, rng.random((50, 3))]
    np.testing.assert_allclose(blend_weights(score, parts, means, 1e9), [0.5, 0.5], atol=1e-6)
    assert blend_weights(score, parts, means, 0.0)[0] == 0.0


def test_it_routes_by_the_task_it_infers(blend):
    new, _, _, tasks = data(seed=1)
    assert blend.parts_ == ("kernel", "mlp", "task")
    chosen = blend.predict(new).argmax(axis=1)
    assert (np.array(list("abc"))[chosen] == tasks).mean() > 0.95
    usage = blend.predict_usage(new)
    assert 4.0 < usage[tasks == "c"].mean() / usage[tasks == "a"].mean() < np.exp(2)  # shrunk, yet in order


def test_estimates_are_the_weighted_departures_of_the_parts(blend):
    X = data(seed=2)[0]
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    tasks = blend._prior.probabilities(unit)
    kernel, kernel_usage = blend._kernel.estimate(unit, tasks)
    mlp, mlp_usage = blend._mlp.estimate(unit)
    parts = [kernel, mlp, tasks @ blend._prior.means_]
    departures = [w * (part - blend.means_) for w, part in zip(blend.blend_weights_, parts, strict=True)]
    score, usage = blend.predict_with_usage(X)
    np.testing.assert_allclose(score, blend.means_ + sum(departures), atol=1e-12)
    np.testing.assert_allclose(usage, (kernel_usage + mlp_usage) / 2)


@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize("tasks", [None, ["one"] * 200])
def test_without_tasks_to_tell_apart_that_part_is_left_out(tasks):
    X, score, _, _ = data()
    blend = CarrotBlend(n_folds=2).fit(X, score, tasks=tasks)
    assert blend.parts_ == ("kernel", "mlp")
    with pytest.raises(NotFittedError, match="without usage"):
        blend.predict_usage(X)


@pytest.mark.usefixtures("few_steps")
def test_missing_cells_are_legal_and_one_prompt_gets_what_it_gets_among_others():
    X, score, tokens, tasks = data(missing=0.3)
    blend = CarrotBlend(n_folds=2).fit(X, score, usage=tokens, tasks=tasks)
    together = blend.predict_with_usage(X)
    for row in (0, 50, 199):
        for whole, alone in zip(together, blend.predict_with_usage(X[[row]]), strict=True):
            np.testing.assert_allclose(alone[0], whole[row], rtol=1e-10)


def test_labels_of_the_wrong_number_are_refused():
    X, score, _, tasks = data()
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        CarrotBlend().fit(X, score, tasks=tasks[:-1])
