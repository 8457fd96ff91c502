"""CarrotKNN against scikit-learn, against the obvious version, and the laws it must obey."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_predict
from sklearn.utils.estimator_checks import parametrize_with_checks

from carrot_core.routers import neighbours
from carrot_core.routers.knn import CarrotKNN
from scripts.bench.knn import make_data, plain, run
from tests.reference import knn as reference

KS = (2, 4, 8, 16, 32, 64)


# Every check that scikit-learn has applies and passes: no list of exceptions.
@pytest.mark.slow
@parametrize_with_checks([CarrotKNN(candidates=(2, 4), n_folds=2), CarrotKNN(n_neighbors=3)])
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def data(n=240, d=12, models=4, missing=0.0, seed=0):
    X, score, tokens = make_data(n, d, models, seed)
    lost = np.random.default_rng(seed + 1).random(score.shape) < missing
    return X, np.where(lost, np.nan, score), np.where(lost, np.nan, tokens)


@pytest.mark.parametrize("seed", range(3))
def test_same_k_and_estimates_as_the_plain_scikit_learn_loop(seed):
    X, score, tokens = data(n=500, seed=seed)
    new = np.random.default_rng(9).normal(size=(60, X.shape[1]))
    ours = CarrotKNN(candidates=KS, seed=seed).fit(X, score, usage=tokens)
    rivals = [plain(X, table, KS, seed) for table in (score, tokens)]
    assert [ours.n_neighbors_, ours.n_neighbors_usage_] == [rival.best_params_["n_neighbors"] for rival in rivals]
    for name, rival in zip(("score", "usage"), rivals, strict=True):
        expected = rival.cv_results_["mean_test_score"]
        np.testing.assert_allclose(ours.cv_results_[f"mean_test_{name}"], expected, rtol=0, atol=1e-9)
    np.testing.assert_allclose(ours.predict(new), rivals[0].predict(new), rtol=0, atol=1e-9)
    held_out = cross_val_predict(rivals[1].best_estimator_, X, tokens, cv=rivals[1].cv)
    factor = tokens.mean(axis=0) / held_out.mean(axis=0)  # by which held-out usage is right on average
    np.testing.assert_allclose(ours.predict_usage(new), factor * rivals[1].predict(new), rtol=1e-9)


def test_one_model_alone_is_the_plain_loop_too():
    X, score, _ = data(n=300)
    ours, rival = CarrotKNN(candidates=KS).fit(X, score[:, 0]), plain(X, score[:, 0], KS, 0)
    assert ours.n_neighbors_ == rival.best_params_["n_neighbors"]
    assert ours.predict(X).shape == (300,)
    np.testing.assert_allclose(ours.predict(X), rival.predict(X), rtol=0, atol=1e-9)


def test_bench_finds_both_in_agreement():
    result = run(n=400, d=16, n_models=3, seed=1)
    assert result["same_k"]
    assert result["same_estimates"]


@pytest.mark.parametrize("criterion", ["r2", "routing"])
@pytest.mark.parametrize("missing", [0.0, 0.4])
def test_criteria_and_estimates_are_the_obvious_ones(criterion, missing):
    X, score, tokens = data(n=90, d=5, missing=missing, seed=3)
    knn = CarrotKNN(candidates=(2, 8, 32), criterion=criterion).fit(X, score, usage=tokens)
    ks, by_score, by_usage = knn.cv_results_.values()
    assert ks.tolist() == [2, 8, 32]
    obvious = reference.cross_validate(X, score, ks, getattr(reference, criterion))
    np.testing.assert_allclose(by_score, obvious, rtol=0, atol=1e-10)
    np.testing.assert_allclose(by_usage, reference.cross_validate(X, tokens, ks, reference.r2), rtol=0, atol=1e-10)
    assert knn.n_neighbors_ == ks[np.argmax(by_score)]
    assert knn.n_neighbors_usage_ == ks[np.argmax(by_usage)]
    new = data(n=20, d=5, seed=4)[0]
    np.testing.assert_allclose(knn.predict(new), reference.estimate(X, score, new, knn.n_neighbors_), atol=1e-12)
    expected = reference.estimate(X, tokens, new, knn.n_neighbors_usage_)
    np.testing.assert_allclose(knn.predict_usage(new), expected * knn.usage_factor_, rtol=1e-12)


def test_shared_difficulty_does_not_move_the_routing_criterion():
    X, score, _ = data(n=400)
    difficulty = np.random.default_rng(5).normal(size=(400, 1)) + 3.0 * np.sign(X[:, :1])
    calm = CarrotKNN(candidates=KS, criterion="routing").fit(X, score).cv_results_["mean_test_score"]
    shifted = CarrotKNN(candidates=KS, criterion="routing").fit(X, score + difficulty)
    np.testing.assert_allclose(shifted.cv_results_["mean_test_score"], calm, rtol=0, atol=1e-9)
    raw = CarrotKNN(candidates=KS).fit(X, score).cv_results_["mean_test_score"]
    raw_shifted = CarrotKNN(candidates=KS).fit(X, score + difficulty).cv_results_["mean_test_score"]
    assert np.abs(raw - raw_shifted).max() > 0.05


def test_a_cell_none_of_the_neighbours_has_is_the_train_mean_of_that_model():
    X = np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]])
    score = np.array([[1.0, np.nan], [0.0, np.nan], [0.0, 0.25], [0.0, 1.0]])
    assert CarrotKNN(n_neighbors=2).fit(X, score).predict([[2.0, 0.0]]).tolist() == [[0.5, 0.625]]


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 5))
def test_equal_texts_at_the_border_count_by_training_row(seed, n, distinct):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(distinct, 7))[rng.integers(distinct, size=n)]
    queries = np.vstack([X[:1], rng.normal(size=(2, 7))])
    k = int(rng.integers(1, n + 1))
    score = rng.random((n, 2))
    knn = CarrotKNN(n_neighbors=k).fit(X, score)
    np.testing.assert_allclose(knn.predict(queries), reference.estimate(X, score, queries, k), atol=1e-12)
    assert knn.kneighbors(queries, k)[1].tolist() == [reference.nearest(X, query, k) for query in queries]


def test_neighbours_that_float32_cannot_tell_apart_are_told_apart():
    rng = np.random.default_rng(0)
    query = rng.normal(size=50)
    X = query + 1e-5 * rng.random((200, 1)) * rng.normal(size=(200, 50))
    knn = CarrotKNN(n_neighbors=16).fit(X, np.arange(200.0))
    similarity, index = knn.kneighbors(query[None], 16)
    assert index[0].tolist() == reference.nearest(X, query, 16)
    assert (np.diff(similarity[0]) <= 0).all()
    assert knn.predict(query[None])[0] == pytest.approx(index[0].mean())


def test_kneighbors_gives_similarities_of_the_training_rows():
    X, score, _ = data()
    similarity, index = CarrotKNN(n_neighbors=2).fit(X, score).kneighbors(X[:4], 5)
    assert index[:, 0].tolist() == [0, 1, 2, 3]
    expected = [[reference.cosine(X[q], X[i]) for i in index[q]] for q in range(4)]
    np.testing.assert_allclose(similarity, expected, atol=1e-12)


@pytest.mark.parametrize("k", [1, 7, 100])
def test_batching_does_not_change_estimates_by_a_single_bit(k, monkeypatch):
    rng = np.random.default_rng(0)
    # Many neighbours within the rounding of a matrix product, whose last digits depend on the batch.
    X = rng.normal(size=(10, 40))[rng.integers(10, size=300)] + 1e-7 * rng.normal(size=(300, 40))
    knn = CarrotKNN(n_neighbors=k).fit(X, rng.random((300, 3)), usage=rng.random((300, 3)))
    together = knn.predict_with_usage(X[:50])
    alone = [np.vstack([predict(row) for row in X[:50, None]]) for predict in (knn.predict, knn.predict_usage)]
    monkeypatch.setattr(neighbours, "_BLOCK_BYTES", 20_000)
    in_blocks = knn.predict_with_usage(X[:50])
    for whole, single, blocks in zip(together, alone, in_blocks, strict=True):
        assert np.array_equal(whole, single)
        assert np.array_equal(whole, blocks)


def test_neighbours_do_not_depend_on_the_prompts_they_are_asked_with():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(10, 40))[rng.integers(10, size=300)] + 1e-7 * rng.normal(size=(300, 40))
    X = X.astype(np.float32)  # as an encoder gives them; the search tells apart what only float64 does
    queries, train = neighbours.unit_vectors(X[:50]), neighbours.unit_vectors(X)
    assert train.exact.dtype == np.float64
    together = neighbours.nearest(queries, train, 7)
    alone = [neighbours.nearest(queries.rows(np.array([row])), train, 7) for row in range(50)]
    for whole, single in zip(together, zip(*alone, strict=True), strict=True):
        assert np.array_equal(whole, np.concatenate(single))
    assert [part.shape for part in neighbours.nearest(queries.rows(np.array([], int)), train, 7)] == [(0, 7)] * 2


def test_blocks_do_not_change_the_choice_of_k(monkeypatch):
    X, score, tokens = data(n=300, missing=0.2)
    whole = CarrotKNN(criterion="routing").fit(X, score, usage=tokens).cv_results_
    monkeypatch.setattr(neighbours, "_BLOCK_BYTES", 40_000)
    blocks = CarrotKNN(criterion="routing").fit(X, score, usage=tokens).cv_results_
    for name, values in whole.items():
        np.testing.assert_allclose(blocks[name], values, rtol=0, atol=1e-12)


def test_sessions_that_search_at_once_get_the_same_answers():
    X, score, _ = data(n=300)
    knn = CarrotKNN(n_neighbors=20).fit(X, score)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: knn.predict(X), range(32)))
    assert all(np.array_equal(answer, answers[0]) for answer in answers)


def test_zero_vectors_and_equal_vectors_are_legal():
    X, score, tokens = data(n=60)
    X[:20] = 0.0
    X[20:] = X[20]
    knn = CarrotKNN().fit(X, score, usage=tokens)
    assert np.isfinite(knn.predict_with_usage(X)).all()
    similarity, index = knn.kneighbors(np.zeros((1, 12)), 3)
    assert similarity.tolist() == [[0.0, 0.0, 0.0]]
    assert index.tolist() == [[0, 1, 2]]


@pytest.mark.parametrize("criterion", ["r2", "routing"])
def test_rounding_in_constant_columns_does_not_choose_k(criterion):
    X, _, _ = data(n=200)
    constant = np.broadcast_to([0.3, 0.7, 0.1], (200, 3))
    knn = CarrotKNN(candidates=KS, criterion=criterion).fit(X, constant, usage=constant)
    assert knn.cv_results_["mean_test_score"].tolist() == [1.0] * len(KS)
    assert (knn.n_neighbors_, knn.n_neighbors_usage_) == (2, 2)
    np.testing.assert_allclose(knn.predict(X), constant, rtol=1e-12)


def test_a_model_seen_in_one_fold_only_is_left_out_of_the_average():
    X, score, _ = data(n=100)
    rare = np.full((100, 1), np.nan)
    rare[[7, 11]] = 1.0
    with_rare = CarrotKNN(candidates=(2, 4)).fit(X, np.hstack([score, rare]))
    without = CarrotKNN(candidates=(2, 4)).fit(X, score)
    folds_of = [np.isin([7, 11], test).sum() for test in _folds(100)]
    assert 2 not in folds_of  # no fold holds out two observed cells of it, so none has an R²
    assert np.array_equal(with_rare.cv_results_["mean_test_score"], without.cv_results_["mean_test_score"])


def _folds(n):
    from sklearn.model_selection import KFold

    return [test for _, test in KFold(5, shuffle=True, random_state=0).split(np.empty(n))]


def test_candidates_that_do_not_fit_a_training_fold_are_dropped():
    X, score, _ = data(n=42)
    assert CarrotKNN().fit(X, score).cv_results_["n_neighbors"].tolist() == [2, 4, 8, 16, 32]
    assert CarrotKNN(candidates=[9, 3, 9]).fit(X, score).cv_results_["n_neighbors"].tolist() == [3, 9]


def test_a_given_k_is_taken_for_scores_and_usage():
    X, score, tokens = data()
    knn = CarrotKNN(n_neighbors=5).fit(X, score, usage=tokens)
    assert (knn.n_neighbors_, knn.n_neighbors_usage_, knn.cv_results_) == (5, 5, None)
    assert knn.usage_factor_.tolist() == [1.0] * 4


ONE_EACH = np.where(np.eye(3, dtype=bool)[np.arange(240) % 3], 1.0, np.nan)


@pytest.mark.parametrize(
    ("params", "change", "message"),
    [
        ({"criterion": "routing"}, {"y": np.ones(240)}, "needs two models"),
        ({"criterion": "routing"}, {"y": ONE_EACH}, "needs two models"),
        ({"n_neighbors": 241}, {}, "241 neighbours asked of 240 training prompts"),
        ({"candidates": (300, 400)}, {}, "Every candidate exceeds the 192 prompts"),
        ({"candidates": (0, 2)}, {}, "whole numbers of at least 1"),
        ({"candidates": (2.5,)}, {}, "whole numbers of at least 1"),
        ({}, {"y": np.ones((239, 4))}, "inconsistent numbers of samples"),
        ({}, {"usage": np.ones((240, 3))}, r"usage is \(240, 3\); 240 prompts x 4 models expected"),
        ({}, {"y": np.hstack([np.ones((240, 1)), np.full((240, 1), np.nan)])}, "Column 1 of y has no observed value"),
        ({}, {"usage": np.full((240, 4), np.nan)}, "Column 0 of usage has no observed value"),
        ({}, {"usage": np.full((240, 4), np.inf)}, "Input usage contains infinity"),
        ({"criterion": "accuracy"}, {}, "criterion"),
        ({"n_folds": 121}, {}, "minimum of 242 is required"),
    ],
)
def test_what_cannot_be_fitted_is_refused_with_the_reason(params, change, message):
    X, score, tokens = data()
    arguments = {"y": score, "usage": None if "y" in change else tokens} | change
    with pytest.raises(ValueError, match=message):
        CarrotKNN(**params).fit(X, **arguments)


def test_too_few_observed_cells_for_any_fold_is_an_error_not_a_guess():
    X, _, _ = data(n=50)
    rare = np.full(50, np.nan)
    rare[3] = 1.0
    with pytest.raises(ValueError, match="No fold has enough observed cells"):
        CarrotKNN().fit(X, rare)
    assert CarrotKNN(n_neighbors=2).fit(X, rare).predict(X[:1]).tolist() == [1.0]


def test_usage_that_was_not_fitted_cannot_be_asked_for():
    X, score, _ = data()
    with pytest.raises(NotFittedError, match="without usage"):
        CarrotKNN(n_neighbors=2).fit(X, score).predict_usage(X)
    with pytest.raises(ValueError, match="300 neighbours asked of 240"):
        CarrotKNN(n_neighbors=2).fit(X, score).kneighbors(X, 300)
