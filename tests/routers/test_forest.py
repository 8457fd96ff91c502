"""The packed forest against scikit-learn's own."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from carrot_core.routers.pairs import PackedForest


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 12)).astype(np.float32)
    return X, rng.random(400) < 1 / (1 + np.exp(-3 * X[:, 0] * X[:, 1]))


def theirs(X: np.ndarray, y: np.ndarray, **settings: object) -> RandomForestClassifier:
    return RandomForestClassifier(random_state=5, **settings).fit(X, y)


@pytest.mark.parametrize(
    "settings", [{"max_depth": 20}, {"max_depth": 3, "n_estimators": 7}, {"max_depth": None, "max_features": 0.5}]
)
def test_it_predicts_what_scikit_learn_predicts(data, settings):
    X, y = data
    packed, forest = PackedForest(**settings, seed=5).fit(X, y), theirs(X, y, **settings)
    new = np.random.default_rng(1).normal(size=(500, 12))
    for vectors in (X, new):
        np.testing.assert_allclose(packed.predict_proba(vectors), forest.predict_proba(vectors), rtol=0, atol=1e-12)


def test_on_a_threshold_it_goes_left_as_scikit_learn_does():
    X = np.array([[0.0], [1.0], [2.0], [3.0]] * 5, dtype=np.float32)
    y = np.array([False, False, True, True] * 5)
    packed, forest = PackedForest(n_estimators=20, seed=5).fit(X, y), theirs(X, y, n_estimators=20, max_depth=20)
    edges = np.unique(packed.threshold_[packed.left_ != packed.right_])[:, None]
    assert len(edges) > 0
    near = np.concatenate([edges, np.nextafter(edges.astype(np.float32), np.float32(9)), edges + 1e-9])
    np.testing.assert_allclose(packed.predict_proba(near), forest.predict_proba(near), rtol=0, atol=1e-12)


def test_the_depth_asked_for_is_the_depth_there_is(data):
    X, y = data
    shallow, deep = (PackedForest(max_depth=depth, n_estimators=10).fit(X, y) for depth in (2, 20))
    assert shallow.depth_ == 2 < deep.depth_ <= 20
    assert len(shallow.left_) <= 10 * 7
    assert (shallow.predict_proba(X) != deep.predict_proba(X)).any()


def test_the_seed_decides(data):
    X, y = data
    one, same, other = (PackedForest(seed=seed, n_estimators=5).fit(X, y).predict_proba(X) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()
