"""How many dimensions the vectors of prompts really fill: spectra and estimates from distances to neighbours."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from carrot_core.errors import CarrotError
from carrot_core.theory.world import FloatArray

SUBSAMPLE = 2_000  # spectra need every pair
NEIGHBOURS = 15  # of Isomap's graph
MLE_NEIGHBOURS = 20
METHODS = {"pca": "PCA", "kernel-pca": "Kernel PCA", "isomap": "Isomap"}
ESTIMATORS = {"two-nn": "TwoNN", "mle": "Levina-Bickel MLE"}
_COMPONENTS = 100  # of a spectrum that are kept
Progress = Callable[[int, int], None]


def distinct(vectors: NDArray[np.floating]) -> FloatArray:
    """Vectors without copies, in their first order: two equal prompts have no distance to learn from."""
    _, first = np.unique(vectors, axis=0, return_index=True)
    return np.asarray(vectors[np.sort(first)], np.float64)


def subsample(vectors: FloatArray, n: int, seed: int = 0) -> FloatArray:
    """Some of the vectors, drawn without replacement; all where there are no more."""
    if len(vectors) <= n:
        return vectors
    return vectors[np.random.default_rng(seed).choice(len(vectors), n, replace=False)]


def spectra(vectors: FloatArray, *, progress: Progress | None = None) -> pd.DataFrame:
    """Share of the variance that the first components hold, by method.

    PCA of the vectors; kernel PCA with a Gaussian kernel as wide as the median distance; Isomap, that is the
    same for distances along a graph of the `NEIGHBOURS` nearest neighbours, on its largest connected part.

    Columns: method, component (from 1), share, cumulative, n_vectors. Shares are of the sum of all positive
    eigenvalues.
    """
    makers = {"pca": _pca, "kernel-pca": _kernel_pca, "isomap": _isomap}
    frames = []
    for done, (method, make) in enumerate(makers.items(), 1):
        values, n = make(vectors)
        share = np.sort(values[values > 0])[::-1] / values[values > 0].sum()
        largest = share[:_COMPONENTS]
        frames.append(
            pd.DataFrame(
                {
                    "method": method,
                    "component": np.arange(1, len(largest) + 1),
                    "share": largest,
                    "cumulative": np.cumsum(largest),
                    "n_vectors": n,
                }
            )
        )
        if progress is not None:
            progress(done, len(makers))
    return pd.concat(frames, ignore_index=True)


def components_for(spectrum: pd.DataFrame, share: float) -> int | None:
    """How many first components hold a share of the variance; None where those kept do not."""
    enough = spectrum.loc[spectrum["cumulative"] >= share, "component"]
    return None if enough.empty else int(enough.min())


def _pca(vectors: FloatArray) -> tuple[FloatArray, int]:
    lengths: FloatArray = np.linalg.svd(vectors - vectors.mean(axis=0), compute_uv=False)
    return lengths**2, len(vectors)


def _kernel_pca(vectors: FloatArray) -> tuple[FloatArray, int]:
    from sklearn.metrics import pairwise_distances

    squares = pairwise_distances(vectors, metric="sqeuclidean")
    return _centred_spectrum(np.exp(-squares / np.median(squares))), len(vectors)


def _isomap(vectors: FloatArray) -> tuple[FloatArray, int]:
    from scipy.sparse.csgraph import connected_components
    from sklearn.manifold import Isomap
    from sklearn.neighbors import kneighbors_graph

    near = min(NEIGHBOURS, len(vectors) - 1)
    _, part = connected_components(kneighbors_graph(vectors, near), directed=False)
    whole = vectors[part == np.bincount(part).argmax()]
    fitted = Isomap(n_neighbors=min(near, len(whole) - 1), n_components=1).fit(whole)
    return _centred_spectrum(-0.5 * fitted.dist_matrix_**2), len(whole)


def _centred_spectrum(kernel: FloatArray) -> FloatArray:
    """Eigenvalues of a kernel with its rows and columns centred."""
    middle = kernel.mean(axis=0)
    spectrum: FloatArray = np.linalg.eigvalsh(kernel - middle - middle[:, None] + middle.mean())
    return spectrum


def neighbour_distances(vectors: FloatArray, k: int) -> FloatArray:
    """(n, k) distances to the k nearest others, ascending."""
    from sklearn.neighbors import NearestNeighbors

    distances: FloatArray = NearestNeighbors(n_neighbors=k).fit(vectors).kneighbors()[0]  # of others, not of itself
    return distances


def estimates(
    vectors: FloatArray,
    sizes: Sequence[int] = (),
    *,
    seed: int = 0,
    replicates: int = 1000,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Intrinsic dimension with its 95 % bootstrap interval over points, by estimator and size of the subsample.

    ``two-nn``: with μ the second distance over the first, 1 / mean log μ (Facco and others 2017). ``mle``: with
    the k nearest, 1 / mean of log(r_k / r_j) over points and j < k (Levina and Bickel 2004, averaged as MacKay
    and Ghahramani propose).

    Columns: estimator, n_vectors, dimension, low, high. A smaller subsample looks at a coarser scale.
    """
    if len(vectors) <= MLE_NEIGHBOURS:
        raise CarrotError(f"A dimension needs more than {MLE_NEIGHBOURS} different vectors, not {len(vectors)}.")
    chosen = [size for size in dict.fromkeys([*sizes, len(vectors)]) if MLE_NEIGHBOURS < size <= len(vectors)]
    rows = []
    for done, size in enumerate(chosen, 1):
        far = np.maximum(neighbour_distances(subsample(vectors, size, seed), MLE_NEIGHBOURS), 1e-12)
        logs = {"two-nn": np.log(far[:, 1] / far[:, 0]), "mle": np.log(far[:, -1:] / far[:, :-1]).mean(axis=1)}
        for name, log in logs.items():
            low, high = _interval(log, replicates, seed)
            rows.append((name, size, 1 / log.mean(), low, high))
        if progress is not None:
            progress(done, len(chosen))
    return pd.DataFrame(rows, columns=["estimator", "n_vectors", "dimension", "low", "high"])


def _interval(log: FloatArray, replicates: int, seed: int) -> tuple[float, float]:
    rng = np.random.default_rng(seed)
    means = np.array([log[rng.integers(len(log), size=len(log))].mean() for _ in range(replicates)])
    low, high = np.quantile(1 / means, [0.025, 0.975])
    return float(low), float(high)
