"""The random forest of RoRF, as plain arrays: fitted by scikit-learn, kept and read without it."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt


class PackedForest:
    """A binary random forest whose trees are arrays of nodes, one tree after the other.

    Parameters
    ----------
    n_estimators, max_depth, max_features : those of scikit-learn's ``RandomForestClassifier``; by default
        RoRF's 100 trees of at most 20 levels.
    seed : int
        Of the bootstrap samples and the features tried.

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
