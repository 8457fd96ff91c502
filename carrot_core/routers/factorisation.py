"""RouteLLM's matrix factorisation for one pair of models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from carrot_core.errors import CarrotError

_PENALTIES = tuple(float(value) for value in 10.0 ** np.arange(-2, 4.01, 0.5))


class PairFactorisation:
    """P(small suffices) by RouteLLM's matrix factorisation, from the outcomes of one pair.

    RouteLLM gives a model m on a prompt with vector x the strength δ(m, x) = w · (v_m * (W x + b)) with a
    learned embedding v_m, and takes σ(δ(small, x) - δ(large, x)) for the probability. With one pair the
    embeddings enter through their difference alone: the logit is θ · x + β with θ = Wᵀ(w * (v_small - v_large)),
    and every θ and β can be had so. This fits θ and β themselves, by the same binary cross-entropy: the
    same family of functions without its many equal optima. In place of RouteLLM's weight decay of all
    factors, which for one pair either does next to nothing or sets θ to 0, half the squared length of θ
    times a penalty is added to the sum of the cross-entropies.

    Parameters
    ----------
    penalties : sequence of float above 0
        Chosen from by the cross-entropy of stratified cross-validation; ties go to the largest.
    n_folds : int of at least 2
        Fewer where a label is rarer; with a single example of a label, the largest penalty is taken.
    seed : int
        Of the folds.

    Attributes
    ----------
    coef_, intercept_ : (d,) θ, and β.
    penalty_ : the one chosen.

    References
    ----------
    RouteLLM: Learning to Route LLMs with Preference Data, arXiv 2406.18665, section 4.2. There, embeddings of
    64 models are learned from human votes between many pairs.
    """

    def __init__(self, penalties: Sequence[float] = _PENALTIES, n_folds: int = 5, seed: int = 0) -> None:
        if not penalties or min(penalties) <= 0 or n_folds < 2:
            raise CarrotError("A factorisation needs penalties above 0 and at least 2 folds.")
        self.penalties, self.n_folds, self.seed = tuple(penalties), n_folds, seed

    def fit(self, X: npt.NDArray[np.floating], y: npt.NDArray[np.bool_]) -> Self:
        """Learn from (n, d) vectors and (n,) labels of both kinds."""
        from sklearn.linear_model import LogisticRegression  # slow to import, and not needed to predict

        vectors = X.astype(np.float64)
        self.penalty_ = self._choose(vectors, y)
        fitted = LogisticRegression(C=1 / self.penalty_, max_iter=1000).fit(vectors, y)
        self.coef_, self.intercept_ = fitted.coef_[0], float(fitted.intercept_[0])
        return self

    def predict_proba(self, X: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """(n, 2) probabilities that the small model does not, and does, suffice."""
        logit = X.astype(np.float64) @ self.coef_ + self.intercept_
        return np.column_stack([expit(-logit), expit(logit)])

    def _choose(self, X: npt.NDArray[np.floating], y: npt.NDArray[np.bool_]) -> float:
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import GridSearchCV, StratifiedKFold

        penalties = sorted(self.penalties, reverse=True)
        n_folds = min(self.n_folds, int(y.sum()), int((~y).sum()))
        if n_folds < 2 or len(penalties) == 1:
            return penalties[0]
        search = GridSearchCV(
            LogisticRegression(max_iter=1000),
            {"C": [1 / penalty for penalty in penalties]},
            scoring="neg_log_loss",
            cv=StratifiedKFold(n_folds, shuffle=True, random_state=self.seed),
            refit=False,
        ).fit(X, y)
        return float(penalties[search.best_index_])
