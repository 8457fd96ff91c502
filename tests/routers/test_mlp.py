"""CarrotMLP: what it learns, what its loss is, and that estimates need neither PyTorch nor batch mates."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.utils.estimator_checks import parametrize_with_checks

from carrot_core.routers import mlp
from carrot_core.routers.mlp import CarrotMLP


# Every check that scikit-learn has applies and passes: no list of exceptions.
@parametrize_with_checks([CarrotMLP(hidden=16, n_networks=2, max_epochs=20)])
@pytest.mark.usefixtures("few_steps")
@pytest.mark.slow
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def data(n=400, d=6, missing=0.0, seed=0):
    """Three models: which of the first two is right turns on a bend no linear rule follows."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    first = np.abs(X[:, 0]) > 0.35
    score = np.column_stack([first, ~first, np.full(n, 0.5)]).astype(float)
    tokens = np.exp(5.0 + X[:, [1]] + 0.5 * rng.normal(size=(n, 3)))
    lost = rng.random(score.shape) < missing
    return X, np.where(lost, np.nan, score), np.where(lost, np.nan, tokens)


@pytest.mark.slow
def test_it_learns_a_bend():
    X, score, tokens = data(missing=0.3)
    new, truth, _ = data(seed=1)
    fitted = CarrotMLP(n_networks=2).fit(X, score, usage=tokens)
    chosen = fitted.predict(new)[:, :2].argmax(axis=1)
    assert (truth[np.arange(len(new)), chosen] == 1.0).mean() > 0.85
    expected = np.exp(5.0 + new[:, 1] + 0.125)
    assert np.corrcoef(fitted.predict_usage(new)[:, 0], expected)[0, 1] > 0.8
    assert fitted.predict_usage(new).mean() == pytest.approx(expected.mean(), rel=0.15)


def test_the_loss_is_that_of_the_definition():
    rng = np.random.default_rng(0)
    outputs, target = rng.normal(size=(2, 5, 6))
    target[[0, 2, 2], [1, 0, 1]] = np.nan  # prompt 2 has one model left
    target[3, 4] = np.nan
    error = outputs - target
    contrast = error[:, :3] - np.nanmean(error[:, :3], axis=1, keepdims=True)
    parts = [np.nanmean(part**2) for part in (contrast, error[:, :3], error[:, 3:])]
    result = mlp._loss(torch.tensor(outputs), torch.tensor(target), 3)
    assert float(result) == pytest.approx(parts[0] + 0.1 * parts[1] + 0.1 * parts[2])


def test_estimates_are_the_mean_of_the_networks():
    X, score, _ = data(n=60)
    fitted = CarrotMLP(n_networks=3, max_epochs=2).fit(X, score)
    weights_in, bias_in, weights_out, bias_out = fitted.layers_
    assert weights_in.shape == (3, 6, 32)
    rows = []
    for x in X * np.sqrt(6):
        each = [np.maximum(x @ weights_in[e] + bias_in[e], 0) @ weights_out[e] + bias_out[e] for e in range(3)]
        rows.append(np.mean(each, axis=0) * fitted.scale_ + fitted.centre_)
    np.testing.assert_allclose(fitted.predict(X), rows, rtol=1e-6)


def test_left_out_estimates_come_from_the_network_that_has_not_seen_the_prompt(monkeypatch):
    X, score, _ = data(n=60)
    calls = []
    train = CarrotMLP._train
    monkeypatch.setattr(CarrotMLP, "_train", lambda self, *args: calls.append(args[3:]) or train(self, *args))
    fitted = CarrotMLP(n_networks=3, max_epochs=2)
    left_out, usage = fitted.fit_left_out(X, score)
    assert usage is None
    for network, (rows, held_out) in enumerate(calls):
        assert sorted([*rows, *held_out]) == list(range(60))
        alone = mlp.Network(*(layer[network] for layer in fitted.layers_))
        expected = mlp._forward(X[held_out], alone) * fitted.scale_ + fitted.centre_
        np.testing.assert_allclose(left_out[held_out], expected, rtol=1e-9)


def test_the_weights_kept_are_those_of_the_best_pass_and_not_of_the_last(monkeypatch):
    X, score, _ = data(n=150)
    passes = []
    network = mlp._network
    monkeypatch.setattr(mlp, "_network", lambda module: passes.append(network(module)) or passes[-1])
    folds = [(np.arange(50, 150), np.arange(50))]
    monkeypatch.setattr(mlp.KFold, "split", lambda self, X: iter(folds))
    left_out, _ = CarrotMLP(max_epochs=400, patience=5).fit_left_out(X, score)
    assert 8 < len(passes) < 401  # the first is before training
    assert not np.shares_memory(passes[-1].weights_in, passes[-2].weights_in)
    spread, mean = np.sqrt(score.var(axis=0).mean()), score.mean(axis=0)
    target = (score - mean) / spread
    errors = [mlp.contrast_loss(target[:50], mlp._forward(X[:50], each)) for each in passes[1:]]
    best = int(np.argmin(errors))
    assert best == len(errors) - 6
    np.testing.assert_allclose(left_out[:50], mlp._forward(X[:50], passes[best + 1]) * spread + mean, atol=1e-9)


def test_a_prompt_alone_gets_what_it_gets_among_others():
    X, score, tokens = data(n=60)
    fitted = CarrotMLP(n_networks=2, max_epochs=3).fit(X, score, usage=tokens)
    together = fitted.predict_with_usage(X)
    for row in range(0, 60, 7):
        for whole, alone in zip(together, fitted.predict_with_usage(X[[row]]), strict=True):
            np.testing.assert_allclose(alone[0], whole[row], rtol=1e-12)


def test_the_seed_decides_and_global_random_numbers_are_left_alone():
    X, score, _ = data(n=60)
    state = torch.random.get_rng_state()
    first, again, other = (CarrotMLP(max_epochs=3, seed=seed).fit(X, score).predict(X) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize(
    ("params", "message"),
    [({"hidden": 0}, "hidden"), ({"dropout": 1.0}, "dropout"), ({"n_networks": 1}, "n_networks")],
)
def test_parameters_out_of_range_are_refused(params, message):
    X, score, _ = data(n=30)
    with pytest.raises(ValueError, match=message):
        CarrotMLP(**params).fit(X, score)
