"""The task of a prompt, inferred or told: scikit-learn's probabilities, and estimates that hold with and without it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from carrot_core.errors import CarrotError
from carrot_core.outcomes import Benchmark, Outcomes
from carrot_core.routers import make_router
from carrot_core.routers.blend import left_out
from carrot_core.routers.inputs import TaskInput, TaskPrior
from tests.made import MODELS, made


def data(n=300, tasks=3, seed=0):
    rng = np.random.default_rng(seed)
    task = rng.integers(0, tasks, n)
    X = np.eye(4)[task] + 0.3 * rng.normal(size=(n, 4))
    score = (rng.random((n, 2)) < np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5], [0.5, 0.5]])[task]).astype(float)
    return X, task, score


@pytest.mark.parametrize("tasks", [2, 3])
def test_probabilities_are_those_of_scikit_learn(tasks):
    X, task, score = data(tasks=tasks)
    expected = LogisticRegression(C=10.0, max_iter=30).fit(X, task).predict_proba(X)
    np.testing.assert_allclose(TaskPrior().fit(X, task, score).probabilities(X), expected, atol=1e-6)


def test_means_are_of_the_observed_cells_of_each_task():
    X, task, score = data()
    score[::3, 0] = np.nan
    score[task == 2, 1] = np.nan
    prior = TaskPrior().fit(X, task, score)
    for number in range(3):
        assert prior.means_[number, 0] == pytest.approx(np.nanmean(score[task == number, 0]))
    assert prior.means_[2, 1] == pytest.approx(np.nanmean(score[:, 1]))  # never observed there


def test_a_task_without_prompts_and_a_single_task():
    X, task, score = data()
    only = task == 2
    prior = TaskPrior().fit(X[only], task[only], score[only])
    np.testing.assert_allclose(prior.probabilities(X), np.tile([0.0, 0.0, 1.0], (len(X), 1)))
    np.testing.assert_allclose(prior.probabilities(X) @ prior.means_, np.tile(score[only].mean(axis=0), (len(X), 1)))


def test_left_out_estimates_do_not_depend_on_the_outcome_of_the_prompt():
    X, task, score = data(n=60)
    probabilities, estimate = left_out(X, task, score, 5, 0)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    assert (probabilities.argmax(axis=1) == task).mean() > 0.9
    changed = score.copy()
    changed[7] = 1 - changed[7]
    np.testing.assert_array_equal(left_out(X, task, changed, 5, 0)[1][7], estimate[7])


def told_by_label(n: int = 3000) -> Benchmark:
    """Three tasks that vectors tell apart in most cases only, each with a model that is right far more often."""
    rng = np.random.default_rng(1)
    task = rng.integers(0, 3, n)
    vectors = 0.8 * np.eye(8)[task] + rng.normal(scale=0.5, size=(n, 8))
    score = rng.random((n, 3)) < np.where(np.eye(3)[task] == 1, 0.85, 0.3)
    cost = rng.lognormal(np.log([3.0, 1.0, 2.0]), 0.3, (n, 3)) * (1.0 + task[:, None])
    return Benchmark(
        name="told",
        outcomes=Outcomes(tuple(f"p{i}" for i in range(n)), MODELS, score.astype(float), cost),
        texts=tuple(f"Question {i}" for i in range(n)),
        tasks=tuple(np.array(["law", "physics", "<b>art</b>"])[task]),
        split=np.where(np.arange(n) % 3 == 0, "test", "train"),
        vectors=vectors.astype(np.float32),
        encoder="none",
    )


def without_labels(bench: Benchmark) -> Benchmark:
    return replace(bench, tasks=("",) * len(bench.tasks))


@pytest.fixture(scope="module")
def labelled():
    bench = told_by_label()
    return bench.part("test"), make_router("carrot-linear", use_task=True).fit(bench.part("train"))


def test_without_a_label_it_is_the_mean_over_the_inferred_tasks():
    X, task, score = data()
    names = np.array(["a", "b", "c"])
    tasks = TaskInput().fit(X, names[task].tolist(), score)
    f = np.arange(10.0).reshape(5, 2)  # of the vector's first cell, and of the label

    def predict(beside):
        return beside[:, :1] + beside[:, 4:] @ f[:3], np.exp(beside[:, :1])

    unknown, usage = tasks.estimate(predict, X, [""] * len(X))
    p = tasks.prior_.probabilities(X / np.linalg.norm(X, axis=1, keepdims=True))
    p[p < 0.02 * p.max(axis=1, keepdims=True)] = 0.0
    p /= p.sum(axis=1, keepdims=True)
    by_task = np.array([tasks.estimate(predict, X, [name] * len(X))[0] for name in names])
    np.testing.assert_allclose(unknown, np.einsum("nk,knm->nm", p, by_task))
    np.testing.assert_allclose(usage, tasks.estimate(predict, X, ["a"] * len(X))[1])


@pytest.mark.parametrize("label", ["Law", " law", "law ", "lawyer", "", "\u202elaw", "<script>"])
def test_a_label_that_is_not_one_of_them_letter_by_letter_is_no_label(labelled, label):
    test, router = labelled
    expected = router.estimate(without_labels(test))
    result = router.estimate(replace(test, tasks=(label,) * len(test.tasks)))
    np.testing.assert_array_equal(result.score, expected.score)
    np.testing.assert_array_equal(result.cost_usd, expected.cost_usd)


def test_a_prompt_gets_the_same_alone_and_among_others_with_and_without_a_label(labelled):
    test, router = labelled
    mixed = replace(test, tasks=tuple(task if i % 3 else "" for i, task in enumerate(test.tasks)))
    together = router.estimate(mixed)
    for rows in (np.arange(1), np.arange(5, 7), np.arange(len(test.tasks))[::-1]):
        part = router.estimate(mixed.rows(rows))
        np.testing.assert_allclose(part.score, together.score[rows], rtol=1e-12)
        np.testing.assert_allclose(part.cost_usd, together.cost_usd[rows], rtol=1e-12)


@pytest.mark.parametrize("has_label", [True, False])
def test_estimates_are_calibrated_with_a_label_and_without(labelled, has_label):
    """In tenths of the estimates of each model, and in each task; costs to a few hundredths."""
    test, router = labelled
    table = router.estimate(test if has_label else without_labels(test))
    tasks = np.array(test.tasks)
    for estimate, observed in zip(table.score.T, test.outcomes.score.T, strict=True):
        groups = np.array_split(np.argsort(estimate), 10)
        groups += [np.flatnonzero(tasks == task) for task in set(tasks)] if has_label else []
        errors = [observed[group].mean() - estimate[group].mean() for group in groups]
        spread = [np.sqrt(0.25 / len(group)) for group in groups]
        assert (np.abs(errors) < 3.3 * np.array(spread)).all()
        assert abs(observed.mean() - estimate.mean()) < 3.0 * np.sqrt(0.25 / len(observed))
    np.testing.assert_allclose(table.cost_usd.mean(axis=0), test.outcomes.cost_usd.mean(axis=0), rtol=0.05)


def test_a_label_tells_more_and_its_absence_costs_nothing(labelled):
    test, router = labelled
    plain = make_router("carrot-linear").fit(told_by_label().part("train"))
    errors = [
        np.mean((test.outcomes.score - table.score) ** 2)
        for table in (router.estimate(test), router.estimate(without_labels(test)), plain.estimate(test))
    ]
    assert errors[0] < errors[1] - 0.01
    assert errors[1] < errors[2] + 0.001


@pytest.mark.parametrize("tasks", [("",), ("one",), ("one", "")])
def test_labels_that_tell_nothing_apart_are_refused(tasks):
    bench = made(20)
    bench = replace(bench, tasks=tuple(tasks[i % len(tasks)] for i in range(20)))
    with pytest.raises(CarrotError, match="at least two tasks"):
        make_router("carrot-linear", use_task=True).fit(bench)


def test_prompts_without_a_label_are_learned_from_too(labelled):
    test, whole = labelled
    train = told_by_label().part("train")
    some = replace(train, tasks=tuple(task if i % 4 else "" for i, task in enumerate(train.tasks)))
    router = make_router("carrot-linear", use_task=True).fit(some)
    assert router.tasks_.labels_ == whole.tasks_.labels_
    assert abs(router.estimate(test).score - whole.estimate(test).score).mean() < 0.03
