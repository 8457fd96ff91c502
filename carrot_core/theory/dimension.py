"""The dimension of prompts' vectors: spectra, estimates from neighbours, and their figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from carrot_core.errors import CarrotError
from carrot_core.figures.exhibit import Exhibit
from carrot_core.figures.theme import (
    THEMES,
    Theme,
    ThemeName,
    axis,
    layout,
    line_styles,
    plotly_text,
    whiskers,
)
from carrot_core.number_formats import percent
from carrot_core.text import visible
from carrot_core.theory.world import FloatArray

SUBSAMPLE = 2_000  # spectra need every pair
LEAST_VECTORS = 50  # for a spectrum, and for the graph of neighbours behind Isomap
NEIGHBOURS = 15  # neighbours in Isomap's graph
MLE_NEIGHBOURS = 20
METHODS = {"pca": "PCA", "kernel-pca": "Kernel PCA", "isomap": "Isomap"}
ESTIMATORS = {"two-nn": "TwoNN", "mle": "Levina-Bickel MLE"}
_COMPONENTS = 100  # components of a spectrum in the table
Progress = Callable[[int, int], None]


def distinct(vectors: NDArray[np.floating]) -> FloatArray:
    """Vectors without copies, in order of first occurrence, since equal prompts have no informative distance."""
    _, first = np.unique(vectors, axis=0, return_index=True)
    return np.asarray(vectors[np.sort(first)], np.float64)


def subsample(vectors: FloatArray, n: int, seed: int = 0) -> FloatArray:
    """At most n of the vectors, drawn without replacement."""
    if len(vectors) <= n:
        return vectors
    return vectors[np.random.default_rng(seed).choice(len(vectors), n, replace=False)]


def spectra(vectors: FloatArray, *, progress: Progress | None = None) -> pd.DataFrame:
    """Share of the variance in the first components, by method.

    PCA of the vectors; kernel PCA with a Gaussian kernel as wide as the median distance; Isomap: PCA of distances along
    a graph of the `NEIGHBOURS` nearest neighbours, on its largest connected part.

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


def spectra_of(name: str, vectors: NDArray[np.floating] | None) -> pd.DataFrame | None:
    """Spectra of a sample of a benchmark's vectors, with its name; takes some seconds.

    None without vectors, or with fewer than `LEAST_VECTORS` different ones.
    """
    own = np.empty((0, 1)) if vectors is None else distinct(vectors[~np.isnan(vectors).any(axis=1)])
    if len(own) < LEAST_VECTORS:
        return None
    return spectra(subsample(own, SUBSAMPLE)).assign(benchmark=name)


def components_for(spectrum: pd.DataFrame, share: float) -> int | None:
    """Number of first components with a share of the variance; None if those in the table have less."""
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

    distances: FloatArray = NearestNeighbors(n_neighbors=k).fit(vectors).kneighbors()[0]  # without itself
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

    Columns: estimator, n_vectors, dimension, low, high. A smaller subsample measures at a coarser scale.
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


def spectra_exhibit(table: pd.DataFrame) -> Exhibit:
    """Cumulative share of the variance by number of components, one panel a method, one line a benchmark.

    Parameters
    ----------
    table : columns ``benchmark``, ``method``, ``component``, ``cumulative``, ``n_vectors``
        (`carrot_core.theory.dimension.spectra`).
    """
    parts = []
    for (benchmark, method), rows in table.groupby(["benchmark", "method"], sort=False):
        half = components_for(rows, 0.5)
        last = rows.iloc[-1]
        summary = (
            f"half the variance in {half} components"
            if half
            else f"{last['component']} components hold {percent(last['cumulative'], digits=0)}"
        )
        parts.append(f"{visible(str(benchmark))}, {METHODS[str(method)]}: {summary}")
    return Exhibit(
        name="theory-spectra",
        title="Spectra of the vectors of real prompts",
        caption=(
            f"Share of the variance that the first components hold, of a random sample of {table['n_vectors'].max():,} "
            "prompts' MiniLM vectors (384 numbers each). PCA looks for flat directions. Kernel PCA (Gaussian kernel, "
            f"width the median distance) and Isomap (distances along the {NEIGHBOURS} nearest neighbours) allow the "
            "vectors to lie on something curved. A curve that rises fast says that few directions are enough."
        ),
        alt="; ".join(parts) + ".",
        table=table,
        draw=lambda theme: _spectra(table, theme),
    )


def _spectra(table: pd.DataFrame, theme: ThemeName) -> go.Figure:
    from plotly.subplots import make_subplots

    look = THEMES[theme]
    methods = [method for method in METHODS if (table["method"] == method).any()]
    figure = make_subplots(1, len(methods), subplot_titles=[METHODS[m] for m in methods], shared_yaxes=True)
    styles = line_styles(list(dict.fromkeys(table["benchmark"])))
    for column, method in enumerate(methods, 1):
        for name, style in styles.items():
            rows = table[(table["benchmark"] == name) & (table["method"] == method)]
            figure.add_scatter(
                x=rows["component"],
                y=100 * rows["cumulative"],
                mode="lines",
                line={"color": look.curves[style.color], "dash": style.dash, "width": 2},
                name=plotly_text(visible(str(name))),
                legendgroup=str(name),
                showlegend=column == 1,
                hovertemplate="%{x} components: %{y:.1f} %<extra></extra>",
                row=1,
                col=column,
            )
    figure.update_xaxes(axis(look, range=[0, 101], tickvals=[1, 50, 100]))
    figure.update_xaxes(title="Components", col=(len(methods) + 1) // 2)
    figure.update_yaxes(axis(look, range=[0, 100]))
    figure.update_yaxes(title="Share of variance, %", col=1)
    figure.update_annotations(font={"size": 13, "color": look.ink})
    figure.update_layout(over_legend(look, 400, margin={"l": 55, "r": 18, "t": 30, "b": 10}))
    return figure


def dimension_exhibit(table: pd.DataFrame) -> Exhibit:
    """Estimates of the intrinsic dimension against the number of vectors (`carrot_core.theory.dimension.estimates`)."""
    full = table.sort_values("n_vectors").groupby(["benchmark", "estimator"], sort=False).last().reset_index()
    parts = [
        f"{visible(str(row.benchmark))}, {ESTIMATORS[str(row.estimator)]}: {row.dimension:.1f} "
        f"({row.low:.1f} to {row.high:.1f})"
        for row in full.itertuples()
    ]
    return Exhibit(
        name="theory-dimension",
        title="Intrinsic dimension of real prompts' vectors",
        caption=(
            "How many dimensions the vectors fill around a point, judged by distances to near neighbours: TwoNN by "
            "the nearest two, the Levina-Bickel estimate by twenty. Bars are 95 % bootstrap intervals over prompts. "
            "More vectors mean a closer look: where the estimate falls with n, prompts stand in tight groups "
            "(templates, variants of one question); where both settle, that is the dimension at that scale. Both run "
            "low when the true dimension is high: they find 16 to 18 for 20."
        ),
        alt="With all vectors: " + "; ".join(parts) + ".",
        table=table,
        draw=lambda theme: _dimensions(table, theme),
    )


def _dimensions(table: pd.DataFrame, theme: ThemeName) -> go.Figure:
    look, figure = THEMES[theme], go.Figure()
    styles = line_styles(list(dict.fromkeys(table["benchmark"])))
    for name, style in styles.items():
        for estimator, label in ESTIMATORS.items():
            rows = table[(table["benchmark"] == name) & (table["estimator"] == estimator)].sort_values("n_vectors")
            near = estimator == "two-nn"
            figure.add_scatter(
                x=rows["n_vectors"],
                y=rows["dimension"],
                error_y=whiskers(rows["dimension"], rows["low"], rows["high"], thickness=1),
                mode="lines+markers",
                line={"color": look.curves[style.color], "dash": "dot" if near else "solid", "width": 2},
                marker={"symbol": style.symbol + ("-open" if near else ""), "size": 8},
                name=f"{plotly_text(visible(str(name)))}, {label}",
                hovertemplate="%{x:,} vectors: %{y:.1f}<extra></extra>",
            )
    ticks = {
        "tickvals": [1_000, 2_000, 4_000, 8_000, 16_000],
        "ticktext": ["1,000", "2,000", "4,000", "8,000", "16,000"],
    }
    figure.update_layout(
        over_legend(look, 460),
        xaxis=axis(look, "Vectors", type="log", **ticks),
        yaxis=axis(look, "Dimension", rangemode="tozero"),
    )
    return figure


def over_legend(look: Theme, height: int, **more: Any) -> dict[str, Any]:
    """A layout with the legend below."""
    below = {"orientation": "h", "x": 0, "y": -0.22, "yanchor": "top"}
    return layout(look, height, **{"legend": below, "margin": {"l": 74, "r": 12, "t": 12, "b": 10}} | more)


def log_axis(look: Theme, title: str, values: Sequence[float], **more: Any) -> dict[str, Any]:
    """A logarithmic axis from the least to the largest value; ticks at powers of ten, and 2 and 5 times if few."""
    powers = range(math.floor(math.log10(min(values))), math.ceil(math.log10(max(values))) + 1)
    ends = [math.log10(min(values)) - 0.1, math.log10(max(values)) + 0.1]
    marks = [times * 10.0**p for p in powers for times in ((1, 2, 5) if ends[1] - ends[0] < 2.6 else (1,))]
    ticks = {"tickvals": marks, "ticktext": [f"{mark:,.6f}".rstrip("0").rstrip(".") for mark in marks]}
    return axis(look, title, type="log", range=ends, **ticks, **more)
