"""CarrotKNN against the plain scikit-learn loop: same k, same estimates, how much less time."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from statistics import median
from time import perf_counter, process_time
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.neighbors import KNeighborsRegressor

from carrot_core.outcomes import FloatTable
from carrot_core.routers.knn import CarrotKNN

Result = TypeVar("Result")


def plain(X: FloatTable, table: FloatTable, candidates: tuple[int, ...], seed: int) -> GridSearchCV:
    """What one would write with scikit-learn alone, for scores or for usage."""
    return GridSearchCV(
        KNeighborsRegressor(metric="cosine"),
        {"n_neighbors": list(candidates)},
        scoring="r2",
        cv=KFold(5, shuffle=True, random_state=seed),
    ).fit(X, table)


def make_data(n: int, d: int, n_models: int, seed: int) -> tuple[FloatTable, FloatTable, FloatTable]:
    """(n, d) vectors, (n, n_models) scores of 0 or 1 and output tokens that depend on them."""
    rng = np.random.default_rng(seed)
    topics = rng.normal(size=(40, d))
    X = topics[rng.integers(len(topics), size=n)] + rng.normal(size=(n, d))
    signal = X @ rng.normal(size=(d, n_models)) / np.sqrt(2 * d)
    score = (signal + rng.normal(size=signal.shape) > 0).astype(np.float64)
    output_tokens = np.round(np.exp(5.0 + 0.5 * signal + 0.5 * rng.normal(size=signal.shape)))
    return X, score, output_tokens


def run(n: int = 8000, d: int = 384, n_models: int = 13, seed: int = 0) -> dict[str, Any]:
    """Fit both on the same data in one process, and compare.

    Parameters
    ----------
    n, d, n_models : prompts, width of the vectors, models.
    seed : seed of the data and of the folds.

    Returns
    -------
    dict
        ``sklearn_seconds`` and ``carrot_seconds`` of choosing k for scores and usage, compilation
        excluded, and ``speedup``; CarrotKNN is fitted before, between and after the two searches of
        scikit-learn, and its median counts, so that a busy moment of the machine weighs on both. The same
        with ``_cpu`` in seconds of processor time, and with ``_predict`` for estimating n // 4 new
        prompts. The chosen k of both; ``same_k`` and ``same_estimates`` (to 1e-9, relative for tokens);
        ``load_average`` of the machine before.
    """
    X, score, output_tokens = make_data(n + n // 4, d, n_models, seed)
    new, X, score, output_tokens = X[n:], X[:n], score[:n], output_tokens[:n]
    candidates = tuple(k for k in CarrotKNN().candidates if k <= n - -(-n // 5))
    warm = CarrotKNN(candidates=(2,)).fit(X[:20], score[:20], usage=output_tokens[:20])
    warm.predict_with_usage(X[:2])  # compiles
    load = os.getloadavg()[0]

    def fit() -> CarrotKNN:
        knn = CarrotKNN(seed=seed)
        knn.fit(X, score, usage=output_tokens)
        return knn

    fits, searches = [_timed(fit)], []
    for table in (score, output_tokens):
        searches.append(_timed(partial(plain, X, table, candidates, seed)))
        fits.append(_timed(fit))
    knn, rivals = fits[0].result, [search.result for search in searches]
    ours, theirs = _timed(lambda: knn.predict_with_usage(new)), _timed(lambda: [r.predict(new) for r in rivals])

    chosen = [knn.n_neighbors_, knn.n_neighbors_usage_]
    plain_chosen = [rival.best_params_["n_neighbors"] for rival in rivals]
    expected = (theirs.result[0], theirs.result[1] * knn.usage_factor_)  # scikit-learn's loop corrects no bias
    same = [np.allclose(a, b, rtol=1e-9, atol=1e-9) for a, b in zip(ours.result, expected, strict=True)]
    return {
        "n": n,
        "d": d,
        "n_models": n_models,
        "seed": seed,
        "load_average": load,
        **_compared("", median(f.wall for f in fits), sum(s.wall for s in searches)),
        **_compared("_cpu", median(f.cpu for f in fits), sum(s.cpu for s in searches)),
        **_compared("_predict", ours.wall, theirs.wall),
        **_compared("_predict_cpu", ours.cpu, theirs.cpu),
        "n_neighbors": chosen,
        "sklearn_n_neighbors": plain_chosen,
        "same_k": chosen == plain_chosen,
        "same_estimates": all(same),
    }


def report(result: dict[str, Any]) -> str:
    """The result of `run` as a few lines to read."""
    lines = [
        f"{result['n']:,} prompts x {result['d']}, {result['n_models']} models; "
        f"k for scores and tokens {result['n_neighbors']}, scikit-learn {result['sklearn_n_neighbors']}; "
        f"same estimates: {'yes' if result['same_estimates'] else 'NO'}"
    ]
    for name, kind in (("choose k", ""), ("choose k, processor", "_cpu"), ("estimate", "_predict")):
        lines.append(
            f"{name:<20} scikit-learn {result['sklearn_seconds' + kind]:8.3f} s   "
            f"CarrotKNN {result['carrot_seconds' + kind]:7.3f} s   {result['speedup' + kind]:6.1f}x"
        )
    return "\n".join([*lines, f"load average before: {result['load_average']:.2f}"])


class _Timed(NamedTuple, Generic[Result]):
    wall: float
    cpu: float
    result: Result


def _timed(work: Callable[[], Result]) -> _Timed[Result]:
    wall, cpu = perf_counter(), process_time()
    result = work()
    return _Timed(perf_counter() - wall, process_time() - cpu, result)


def _compared(kind: str, carrot: float, sklearn: float) -> dict[str, float]:
    return {f"carrot_seconds{kind}": carrot, f"sklearn_seconds{kind}": sklearn, f"speedup{kind}": sklearn / carrot}
