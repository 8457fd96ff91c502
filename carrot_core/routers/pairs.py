"""Binary routers (RouteLLM, RoRF): the probability that a small model suffices in place of a large one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from carrot_core.errors import CarrotError
from carrot_core.frontier import most_accurate
from carrot_core.outcomes import Benchmark, Estimates, FloatTable
from carrot_core.routers.base import vectors_of
from carrot_core.routers.baselines import ZeroRouter

# (large, small) of CARROT's experiments (arXiv 2502.03261), by the models' names in SPROUT, the Open LLM
# Leaderboard and RouterBench.
PAPER_PAIRS = (
    ("openai-gpt-4o", "openai-gpt-4o-mini"),
    ("Qwen/Qwen2.5-72B-Instruct", "Qwen/Qwen2.5-7B-Instruct"),
    ("gpt-4-1106-preview", "mistralai/mixtral-8x7b-chat"),
)


class PairRouter(ABC):
    """A router between two models of the pool.

    The small model suffices on a prompt if its score is at least the large model's: a tie, even at 0, is not worth the
    large model's price. This is learned from the prompts on which both were observed. Only the two models are
    estimated; no other is ever chosen.

    Parameters
    ----------
    large, small : str or None
        Names of the pair; None (both) takes `default_pair` of the training prompts.
    """

    name: ClassVar[str]
    models_: tuple[str, ...]

    def __init__(self, large: str | None = None, small: str | None = None) -> None:
        self.large, self.small = large, small

    def fit(self, train: Benchmark) -> Self:
        """Learn where the small model suffices.

        Raises
        ------
        CarrotError
            Only one name of the pair is given, the pool lacks a model, the small model is not the cheaper one, or no
            training prompt has an outcome of both.
        """
        self.models_ = self._pair(train)
        pair = train.pool(self.models_)
        complete = np.asarray(~np.isnan(pair.outcomes.score).any(axis=1))
        if not complete.any():
            raise CarrotError(
                f"No training prompt of {train.name!r} has an outcome of both {' and '.join(self.models_)}."
            )
        self.cost_usd_ = ZeroRouter().fit(pair).cost_usd_
        if self.cost_usd_[1] >= self.cost_usd_[0]:
            raise CarrotError(
                f"{self.models_[1]!r} is not cheaper than {self.models_[0]!r}: name the pair the other way."
            )
        self._learn(pair.rows(complete), small_suffices(pair.outcomes.score[complete]))
        return self

    def estimate(self, bench: Benchmark) -> Estimates:
        """Estimates of the pair: 1 and P(small suffices), at mean train costs."""
        # Just under 1 even where it is certain, so that λ = 0 is a threshold that no prompt passes.
        suffices = np.minimum(self._probability(bench), np.nextafter(1.0, 0.0))
        score = np.column_stack([np.ones(len(suffices)), suffices])
        return Estimates(bench.prompt_ids, self.models_, score, np.broadcast_to(self.cost_usd_, score.shape))

    def _pair(self, train: Benchmark) -> tuple[str, str]:
        if self.large is None and self.small is None:
            return default_pair(train)
        if self.large is None or self.small is None or self.large == self.small:
            raise CarrotError(f"{self.name} needs two models, large= and small=, or neither.")
        return self.large, self.small

    @abstractmethod
    def _learn(self, prompts: Benchmark, suffices: npt.NDArray[np.bool_]) -> None:
        """Fit on the (n,) prompts with both outcomes."""

    @abstractmethod
    def _probability(self, prompts: Benchmark) -> npt.NDArray[np.float64]:
        """(n,) P(small suffices) in [0, 1]: a probability, not a logit."""


class VectorPairRouter(PairRouter):
    """A router of a pair around a classifier of prompt vectors with ``fit(X, y)`` and ``predict_proba(X)``."""

    def __init__(self, classifier: Any, large: str | None = None, small: str | None = None) -> None:
        super().__init__(large, small)
        self.classifier = classifier

    def _learn(self, prompts: Benchmark, suffices: npt.NDArray[np.bool_]) -> None:
        self.encoder_ = prompts.encoder
        self.always_ = float(suffices[0]) if len(set(suffices.tolist())) == 1 else None
        if self.always_ is None:
            try:
                self.classifier.fit(vectors_of(prompts, self.encoder_), suffices)
            except ValueError as error:  # scikit-learn's error for unusable data and parameters
                raise CarrotError(f"{self.name} cannot be fitted on {prompts.name!r}: {error}") from error

    def _probability(self, prompts: Benchmark) -> npt.NDArray[np.float64]:
        vectors = vectors_of(prompts, self.encoder_)
        if self.always_ is not None:
            return np.full(len(vectors), self.always_)
        probability: npt.NDArray[np.float64] = self.classifier.predict_proba(vectors)[:, 1]
        return probability


def small_suffices(score: FloatTable) -> npt.NDArray[np.bool_]:
    """(n,) whether the small model's score is at least the large one's; (n, 2) scores, large and small."""
    suffices: npt.NDArray[np.bool_] = score[:, 1] >= score[:, 0]
    return suffices


def default_pair(train: Benchmark) -> tuple[str, str]:
    """(large, small): the published pair of this pool, else the first step down the single models' hull.

    The second rule is that of the zero router: the large model is the most accurate on the training
    prompts (`most_accurate`), the small one the cheaper model that loses least accuracy per dollar saved.
    """
    for pair in PAPER_PAIRS:
        if set(pair) <= set(train.models):
            return pair
    zero = ZeroRouter().fit(train)
    score, cost = zero.score_, zero.cost_usd_
    large = most_accurate(score, cost, train.models)
    cheaper = np.flatnonzero(cost < cost[large])
    if not cheaper.size:
        raise CarrotError(
            f"{train.models[large]!r} is both the most accurate and the cheapest model of {train.name!r}, so there is "
            "no pair to choose by default: name one with large= and small=."
        )
    rate = (score[large] - score[cheaper]) / (cost[large] - cost[cheaper])
    return train.models[large], train.models[cheaper[np.lexsort([cost[cheaper], rate])[0]]]


class RoRF(VectorPairRouter):
    """RoRF: a random forest on prompt vectors (Not Diamond, github.com/Not-Diamond/RoRF).

    Two labels instead of the original's four, which assigns a prompt on which both models fail to the large one; here
    the small one suffices (see `PairRouter`).
    """

    name = "rorf"

    def __init__(self, seed: int = 0, large: str | None = None, small: str | None = None, **params: Any) -> None:

        super().__init__(PackedForest(seed=seed, **params), large, small)


class RouteLLMMF(VectorPairRouter):
    """RouteLLM's matrix factorisation, fitted on the pair's own outcomes (arXiv 2406.18665)."""

    name = "routellm-mf"

    def __init__(self, seed: int = 0, large: str | None = None, small: str | None = None, **params: Any) -> None:

        super().__init__(PairFactorisation(seed=seed, **params), large, small)


class PackedForest:
    """A binary random forest whose trees are arrays of nodes, one tree after the other.

    Parameters
    ----------
    n_estimators, max_depth, max_features : those of scikit-learn's ``RandomForestClassifier``; by default
        RoRF's 100 trees of at most 20 levels.
    seed : int
        Seed of the bootstrap samples and the features tried.

    Attributes
    ----------
    roots_ : (T,) node at which each tree begins.
    left_, right_ : (N,) child nodes; a leaf's are itself.
    feature_, threshold_ : (N,) go left where the float32 feature is at most the threshold.
    share_ : (N,) share of the second class among the training samples of the node.
    depth_ : levels of the deepest tree.
    """

    def __init__(
        self,
        n_estimators: int = 100,
        max_depth: int | None = 20,
        max_features: float | str | None = "sqrt",
        seed: int = 0,
    ) -> None:
        self.n_estimators, self.max_depth = n_estimators, max_depth
        self.max_features, self.seed = max_features, seed

    def fit(self, X: npt.NDArray[np.floating], y: npt.NDArray[np.bool_]) -> Self:
        """Grow the trees on (n, d) vectors and (n,) labels of both kinds."""
        from sklearn.ensemble import RandomForestClassifier  # slow to import, and not needed to predict

        forest = RandomForestClassifier(
            self.n_estimators,
            max_depth=self.max_depth,
            max_features=self.max_features,
            random_state=self.seed,
            n_jobs=-1,
        ).fit(X, y)
        trees = [estimator.tree_ for estimator in forest.estimators_]
        ends = np.cumsum([tree.node_count for tree in trees])
        self.roots_ = ends - [tree.node_count for tree in trees]
        self.depth_ = max(tree.max_depth for tree in trees)
        self.left_, self.right_ = (self._children(trees, side) for side in ("children_left", "children_right"))
        self.feature_ = np.maximum(np.concatenate([tree.feature for tree in trees]), 0).astype(np.int32)
        self.threshold_ = np.concatenate([tree.threshold for tree in trees])
        self.share_ = np.concatenate([tree.value[:, 0, 1] / tree.value[:, 0].sum(axis=1) for tree in trees])
        return self

    def _children(self, trees: list[Any], side: str) -> npt.NDArray[np.int32]:
        children = [
            np.where((own := getattr(tree, side)) < 0, np.arange(tree.node_count), own) + root
            for tree, root in zip(trees, self.roots_, strict=True)
        ]
        return np.concatenate(children).astype(np.int32)

    def predict_proba(self, X: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """(n, 2) mean over the trees of the shares of both classes in the leaf that each vector reaches."""
        vectors, rows = X.astype(np.float32), np.arange(len(X))[:, None]
        node = np.broadcast_to(self.roots_, (len(X), len(self.roots_)))
        for _ in range(self.depth_):
            low = vectors[rows, self.feature_[node]] <= self.threshold_[node]
            node = np.where(low, self.left_[node], self.right_[node])
        second = self.share_[node].mean(axis=1)
        return np.column_stack([1 - second, second])


_PENALTIES = tuple(float(value) for value in 10.0 ** np.arange(-2, 4.01, 0.5))


class PairFactorisation:
    """P(small suffices) by RouteLLM's matrix factorisation, from the outcomes of one pair.

    RouteLLM gives a model m on a prompt with vector x the strength δ(m, x) = w · (v_m * (W x + b)) with a
    learned embedding v_m, and takes σ(δ(small, x) - δ(large, x)) for the probability. With one pair only the difference
    of the embeddings counts: the logit is θ · x + β with θ = Wᵀ(w * (v_small - v_large)), and every θ and β can be
    written so. This class fits θ and β themselves, by the same binary cross-entropy: the same family of functions
    without its many equal optima. RouteLLM's weight decay of all factors, which for one pair either does almost nothing
    or sets θ to 0, is replaced by a penalty times half the squared length of θ, added to the sum of the
    cross-entropies.

    Parameters
    ----------
    penalties : sequence of float above 0
        Candidates; one is chosen by the cross-entropy of stratified cross-validation, ties go to the largest.
    n_folds : int of at least 2
        Fewer if a label is rarer; with a single example of a label, the largest penalty is taken.
    seed : int
        Of the folds.

    Attributes
    ----------
    coef_, intercept_ : (d,) θ, and β.
    penalty_ : the chosen one.

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
