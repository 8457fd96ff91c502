"""CarrotLinear against scikit-learn's ridge, against the obvious left-out loop, and the laws it must obey."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.utils.estimator_checks import parametrize_with_checks

from carrot_core.frontier import sweep
from carrot_core.metrics import aiq
from carrot_core.outcomes import Estimates, Outcomes
from carrot_core.routers.criteria import Costs, contrast_loss, left_out_aiq
from carrot_core.routers.linear import CarrotLinear, leave_one_out

PENALTIES = (0.1, 1.0, 10.0)


# Every check that scikit-learn has applies and passes: no list of exceptions. The logistic link takes scores from 0 to
# 1 only, and the checks of a regressor have others.
@pytest.mark.slow
@parametrize_with_checks([CarrotLinear(), CarrotLinear(criterion="r2")])
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def data(n=120, d=6, models=4, missing=0.0, seed=0):
    """Vectors of length 1, scores with a linear signal, tokens, and some cells lost."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    score = (rng.random((n, models)) < 0.5 + 0.4 * np.tanh(2 * X @ rng.normal(size=(d, models)))).astype(float)
    tokens = np.exp(4.0 + X @ rng.normal(size=(d, models)) + 0.5 * rng.normal(size=(n, models)))
    lost = rng.random(score.shape) < missing
    return X, np.where(lost, np.nan, score), np.where(lost, np.nan, tokens)


def obvious(X, table, new, penalty):
    """Each model alone: scikit-learn's ridge on the prompts it ran on."""
    columns = []
    for column in table.T:
        mask = ~np.isnan(column)
        columns.append(Ridge(penalty).fit(X[mask], column[mask]).predict(new))
    return np.column_stack(columns)


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_scores_are_those_of_one_ridge_a_model(missing):
    X, score, _ = data(missing=missing)
    new = data(n=20, seed=1)[0]
    linear = CarrotLinear(penalties=(3.0,)).fit(X, score)
    np.testing.assert_allclose(linear.predict(new), obvious(X, score, new, 3.0), rtol=0, atol=1e-10)


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_left_out_predictions_are_those_of_fits_without_the_row(missing):
    X, score, _ = data(n=40, missing=missing)
    left_out = leave_one_out(X, score, np.array(PENALTIES))
    for predictions, penalty in zip(left_out, PENALTIES, strict=True):
        for row in range(len(X)):
            rest = np.arange(len(X)) != row
            alone = obvious(X[rest], score[rest], X[[row]], penalty)[0]
            expected = np.where(np.isnan(score[row]), np.nan, alone)
            np.testing.assert_allclose(predictions[row], expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_the_penalty_is_the_one_whose_left_out_contrasts_err_least(missing):
    X, score, _ = data(missing=missing, seed=3)
    left_out = leave_one_out(X, score, np.array(PENALTIES))
    errors = []
    for predictions in left_out:
        total = 0.0
        for truth, estimate in zip(score, predictions, strict=True):
            error = (truth - estimate)[~np.isnan(truth)]
            total += ((error - error.mean()) ** 2).sum() if error.size else 0.0
        errors.append(total)
    np.testing.assert_allclose(errors, [contrast_loss(score, predictions) for predictions in left_out])
    linear = CarrotLinear(penalties=PENALTIES).fit(X, score)
    assert set(linear.penalty_) == {PENALTIES[int(np.argmin(errors))]}


def test_r2_chooses_for_each_model_alone():
    X, score, _ = data(seed=4)
    score[:, 0] = np.random.default_rng(0).random(len(X))  # nothing to learn
    score[:, 1] = 0.5 + 0.5 * X[:, 0]  # everything
    linear = CarrotLinear(penalties=PENALTIES, criterion="r2").fit(X, score)
    assert linear.penalty_[0] == 10.0
    assert linear.penalty_[1] == 0.1


def test_shared_difficulty_moves_neither_penalty_nor_differences():
    X, score, _ = data()
    difficulty = np.random.default_rng(5).normal(size=(len(X), 1)) + 3.0 * np.sign(X[:, :1])
    calm, shifted = (CarrotLinear().fit(X, table) for table in (score, score + difficulty))
    assert (calm.penalty_ == shifted.penalty_).all()
    differences = [np.diff(linear.predict(X), axis=1) for linear in (calm, shifted)]
    np.testing.assert_allclose(*differences, rtol=0, atol=1e-9)


def test_noise_is_shrunk_to_the_train_means():
    X = data(n=300)[0]
    score = np.random.default_rng(1).random((300, 4)) + np.array([0.0, 0.1, 0.2, 0.3])
    assert np.ptp(CarrotLinear().fit(X, score).predict(X) - score.mean(axis=0), axis=0).max() < 0.02


@pytest.mark.parametrize("unit", [1.0, 1e-6])
def test_usage_has_the_observed_mean_whatever_its_unit(unit):
    X, score, tokens = data(n=2000, seed=2)
    tokens_fit = CarrotLinear().fit(X, score, usage=tokens)
    fitted = CarrotLinear().fit(X, score, usage=tokens * unit)
    predicted = fitted.predict_usage(X)
    np.testing.assert_allclose(predicted, tokens_fit.predict_usage(X) * unit, rtol=1e-9)
    np.testing.assert_allclose(predicted.mean(axis=0), (tokens * unit).mean(axis=0), rtol=0.01)
    assert (fitted.usage_scale_.bias_ < -0.05).all()  # what the way back from logs would have lost


def test_usage_is_never_negative():
    X, score, tokens = data(n=60)
    tokens[::2] = 0.0
    assert CarrotLinear().fit(X, score, usage=tokens).predict_usage(20 * data(n=500, seed=8)[0]).min() >= 0.0


def test_a_prompt_alone_gets_what_it_gets_among_others():
    X, score, tokens = data(missing=0.2)
    linear = CarrotLinear().fit(X, score, usage=tokens)
    together = linear.predict_with_usage(X)
    for row in range(0, len(X), 17):
        for whole, alone in zip(together, linear.predict_with_usage(X[[row]]), strict=True):
            np.testing.assert_allclose(alone[0], whole[row], rtol=1e-12)


def test_a_model_seen_once_gets_its_own_mean():
    X, score, tokens = data()
    score[1:, 0] = np.nan
    linear = CarrotLinear().fit(X, score, usage=np.where(np.isnan(score), np.nan, tokens))
    np.testing.assert_allclose(linear.predict(X)[:, 0], score[0, 0])
    np.testing.assert_allclose(linear.predict_usage(X)[:, 0], tokens[0, 0])


@pytest.mark.parametrize(
    ("params", "change", "message"),
    [
        ({"penalties": (0.0, 1.0)}, {}, "penalties must be greater than 0"),
        ({"criterion": "accuracy"}, {}, "criterion"),
        ({}, {"y": np.ones((119, 4))}, "inconsistent numbers of samples"),
        ({}, {"usage": np.ones((120, 3))}, r"usage is \(120, 3\); 120 prompts x 4 models expected"),
        ({}, {"usage": -np.ones((120, 4))}, "usage must be at least 0"),
        ({}, {"y": np.hstack([np.ones((120, 1)), np.full((120, 1), np.nan)])}, "Column 1 of y has no observed value"),
        ({}, {"usage": np.full((120, 4), np.inf)}, "Input usage contains infinity"),
    ],
)
def test_what_cannot_be_fitted_is_refused_with_the_reason(params, change, message):
    X, score, tokens = data()
    arguments = {"y": score, "usage": None if "y" in change else tokens} | change
    with pytest.raises(ValueError, match=message):
        CarrotLinear(**params).fit(X, **arguments)


def test_usage_that_was_not_fitted_cannot_be_asked_for():
    X, score, _ = data()
    with pytest.raises(NotFittedError, match="without usage"):
        CarrotLinear().fit(X, score).predict_usage(X)


def test_logistic_scores_are_those_of_one_regression_a_model():
    X, score, tokens = data(missing=0.3)
    new = data(n=20, seed=1)[0]
    linear = CarrotLinear(penalties=(0.5,), link="logistic").fit(X, score, usage=tokens)
    for column, estimate in enumerate(linear.predict(new).T):
        mask = ~np.isnan(score[:, column])
        alone = LogisticRegression(C=2.0, max_iter=1000).fit(X[mask], score[mask, column])
        np.testing.assert_allclose(estimate, alone.predict_proba(new)[:, 1], atol=1e-4)
    ridge = CarrotLinear(penalties=(0.5,)).fit(X, score, usage=tokens)
    np.testing.assert_array_equal(linear.predict_usage(new), ridge.predict_usage(new))


def test_a_graded_score_counts_as_so_much_of_an_answer():
    X, _, _ = data(n=60)
    graded = np.clip(0.5 + X[:, [0, 1]], 0.1, 0.9).round(1)
    repeated = np.repeat(X, 10, axis=0)
    answers = np.concatenate([np.arange(10)[:, None] < 10 * row - 1e-9 for row in graded]).astype(float)
    once = CarrotLinear(penalties=(1.0,), link="logistic").fit(X, graded)
    often = CarrotLinear(penalties=(10.0,), link="logistic").fit(repeated, answers)
    np.testing.assert_allclose(once.predict(X), often.predict(X), atol=1e-4)


def test_the_logistic_penalty_is_chosen_by_predictions_of_prompts_not_seen():
    X, score, _ = data(n=200, seed=3)
    noise = np.random.default_rng(0).permutation(score)
    assert CarrotLinear(penalties=PENALTIES, link="logistic").fit(X, noise).penalty_[0] == max(PENALTIES)
    assert CarrotLinear(penalties=(0.1, 1000.0), link="logistic").fit(X, score).penalty_[0] == 0.1


def test_a_model_that_is_always_right_stays_below_one_and_scores_beyond_are_refused():
    X, score, _ = data(n=40)
    score[:, 0] = 1.0
    estimate = CarrotLinear(penalties=(1.0,), link="logistic").fit(X, score).predict(X)
    assert ((estimate > 0) & (estimate < 1)).all()
    assert (estimate[:, 0] > 0.95).all()
    with pytest.raises(ValueError, match="from 0 to 1"):
        CarrotLinear(link="logistic").fit(X, score + 1)


def test_the_next_stronger_penalty_wins_by_aiq_and_never_without_costs():
    X, score, tokens = data(n=200)
    usd = tokens * [1e-6, 2e-6, 4e-6, 8e-6]
    costs = Costs(usd, lambda usage: usage * [1e-6, 2e-6, 4e-6, 8e-6])
    fitted = {}
    for name, known in (("without", None), ("with", costs)):
        fitted[name] = CarrotLinear(penalties=PENALTIES).fit(X, score, tokens, costs=known)
    estimates = leave_one_out(X, score, np.array(PENALTIES))
    least = int(np.argmin([contrast_loss(score, estimate) for estimate in estimates]))
    assert fitted["without"].penalty_[0] == PENALTIES[least] < PENALTIES[-1]
    used = CarrotLinear(penalties=PENALTIES).fit_left_out(X, score, tokens)[1]
    own, stronger = (left_out_aiq(score, estimates[place], used, costs) for place in (least, least + 1))
    assert fitted["with"].penalty_[0] == PENALTIES[least + (stronger > own)]


def test_the_aiq_of_left_out_estimates_is_that_of_their_frontier():
    _, score, tokens = data(n=80)
    names = tuple("abcd")
    ids = tuple(f"p{i}" for i in range(80))
    estimate = np.random.default_rng(5).random(score.shape)
    costs = Costs(tokens, lambda usage: 2.0 * usage)
    curve = sweep(Estimates(ids, names, estimate, 2.0 * tokens), Outcomes(ids, names, score, tokens))
    single = tokens.mean(axis=0)
    expected = aiq(curve.cost_usd, curve.score, single.min(), single.max())
    assert left_out_aiq(score, estimate, tokens, costs) == pytest.approx(float(expected))
    gap = np.where(np.arange(80)[:, None] < 31, np.nan, estimate)
    assert np.isnan(left_out_aiq(score, gap, tokens, costs))  # 49 prompts tell nothing
