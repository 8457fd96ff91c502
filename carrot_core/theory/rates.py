"""How fast the plug-in rule approaches the oracle rule as it learns from more prompts: simulated, beside the law, as
tables and as figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.colors import sample_colorscale
from plotly.subplots import make_subplots

from carrot_core.figures.exhibit import Exhibit
from carrot_core.figures.theme import THEMES, ThemeName, whiskers
from carrot_core.number_formats import percent
from carrot_core.theory.dimension import log_axis, over_legend
from carrot_core.theory.world import FloatArray, World, local_estimate

SIZES = (100, 316, 1_000, 3_162, 10_000, 31_623, 100_000)
_POOL, _CLOSE, _CLEAR = 20_000, 1_200, 400  # prompts drawn in a repetition; tested close and clear ones
Progress = Callable[[int, int], None]


def predicted_slope(world: World) -> float:
    """Slope of log excess risk over log n: -γ(1 + α)/(2γ + d), for the smoothness and margin that the estimator
    assumes."""
    return -world.smoothness * (1 + world.margin) / (2 * world.smoothness + world.dimension)


def neighbours(n: int, world: World) -> int:
    """How many neighbours to average over: of the order n^(2γ/(2γ + d)), which balances bias and noise."""
    least = 1 if world.smoothness <= 1 else 2 * (world.dimension + 1)
    k = round(n ** (2 * world.smoothness / (2 * world.smoothness + world.dimension)))
    return int(min(n, max(least, k)))


def plug_in(world: World, n: int, at: FloatArray, rng: np.random.Generator) -> NDArray[np.int64]:
    """(q,) models that the plug-in rule chooses at some points after learning from n prompts."""
    x = world.training_prompts(n, rng)
    # The estimate is linear in the outcomes, so utility can be estimated directly.
    observed = world.utility(*world.outcomes(x, rng))
    estimate = local_estimate(x, observed, at, neighbours(n, world), degree=int(world.smoothness > 1))
    chosen: NDArray[np.int64] = estimate.argmax(axis=1)
    return chosen


def repetitions(world: World) -> int:
    """Runs of each size: more in one dimension, where few boundary points decide and runs are quick."""
    return 24 if world.dimension == 1 else 10


def questions(world: World, n: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Fresh prompts and their weights, which sum to 1: most of them where the choice is close enough to go wrong.

    Of 20,000 fresh prompts, those whose best two utilities are within about four standard deviations of an estimate's
    noise are sampled separately from the others, and each part is weighted by its size.
    """
    queries = world.fresh_prompts(_POOL, rng)
    best = np.partition(world.true_utility(queries), -2, axis=1)
    close = best[:, -1] - best[:, -2] <= 1 / math.sqrt(neighbours(n, world))
    parts = [(np.flatnonzero(close), _CLOSE), (np.flatnonzero(~close), _CLEAR)]
    subsets = [rows[:most] for rows, most in parts]
    counts = [np.full(len(some), len(rows) / max(len(some), 1)) for some, (rows, _) in zip(subsets, parts, strict=True)]
    return queries[np.concatenate(subsets)], np.concatenate(counts) / _POOL


def utility_loss(world: World, chosen: NDArray[np.int64], at: FloatArray) -> FloatArray:
    """(q,) utility that each choice loses against the oracle rule, from the known Φ: no noise of outcomes."""
    utility = world.true_utility(at)
    short: FloatArray = utility.max(axis=1) - utility[np.arange(len(at)), chosen]
    return short


def excess_risk(world: World, n: int, repetition: int, seed: int = 0) -> float:
    """Excess risk of the plug-in rule on fresh prompts, after learning from n prompts drawn anew."""
    rng = np.random.default_rng([seed, n, repetition])
    at, counts = questions(world, n, rng)
    return float(utility_loss(world, plug_in(world, n, at, rng), at) @ counts)


@dataclass(frozen=True, eq=False)
class RateCurve:
    """Excess risk against n.

    Attributes
    ----------
    world : what was simulated.
    excess : (sizes, repetitions).
    """

    world: World
    sizes: tuple[int, ...]
    excess: FloatArray

    def slope(self, first: int = 0, replicates: int = 1000) -> tuple[float, float, float]:
        """Slope of log mean excess over log n with its 95 % bootstrap interval over repetitions.

        Only sizes from ``first`` on count. NaN, no slope, if the plug-in rule lost nothing at all.
        """
        used = np.array(self.sizes) >= first
        draws, n = self.excess[used], self.excess.shape[1]
        samples = np.random.default_rng(0).integers(n, size=(replicates, used.sum(), n))
        means = np.take_along_axis(np.broadcast_to(draws, (replicates, *draws.shape)), samples, axis=2).mean(axis=2)
        log_n = np.log10(np.array(self.sizes)[used])
        lever = (log_n - log_n.mean()) / ((log_n - log_n.mean()) ** 2).sum()
        with np.errstate(divide="ignore", invalid="ignore"):
            low, high = np.quantile(np.log10(means) @ lever, [0.025, 0.975])
            return float(np.log10(draws.mean(axis=1)) @ lever), float(low), float(high)

    def table(self, replicates: int = 1000) -> pd.DataFrame:
        """One row a size: n, neighbours, excess, low, high (95 % bootstrap over repetitions)."""
        rng, n = np.random.default_rng(0), self.excess.shape[1]
        means = self.excess[:, rng.integers(n, size=(replicates, n))].mean(axis=2)
        low, high = np.quantile(means, [0.025, 0.975], axis=1)
        return pd.DataFrame(
            {
                "n": self.sizes,
                "neighbours": [neighbours(size, self.world) for size in self.sizes],
                "excess": self.excess.mean(axis=1),
                "low": low,
                "high": high,
            }
        )


def simulate(
    world: World,
    sizes: Sequence[int] = SIZES,
    repeats: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    one: Callable[[World, int, int, int], float] = excess_risk,
) -> RateCurve:
    """Excess risk for every size and repetition.

    Parameters
    ----------
    repeats : of each size; `repetitions` by default.
    progress : called with (runs done, runs in all).
    one : computes one run; a caller that stores runs passes its own function.
    """
    excess = np.zeros((len(sizes), repeats or repetitions(world)))
    for done, (row, repetition) in enumerate(np.ndindex(excess.shape)):
        excess[row, repetition] = one(world, sizes[row], repetition, seed)
        if progress is not None:
            progress(done + 1, excess.size)
    return RateCurve(world, tuple(sizes), excess)


_SIDE = 72  # points along a side of a map
_BREACHES = {
    "none": "Assumptions hold",
    "no-margin": "No margin",
    "rough": "Rougher than assumed",
    "thin": "Thin training data",
}


def slope_words(curve: RateCurve) -> str:
    """Measured slope beside the predicted one, in a sentence."""
    measured, low, high = curve.slope()
    promised = predicted_slope(curve.world)
    if not math.isfinite(measured):
        return f"No slope: at some size nothing was lost; predicted slope {promised:.2f}."
    if not (math.isfinite(low) and math.isfinite(high)):
        return (
            f"Measured slope {measured:.2f}, without an interval, since at some size nothing was lost in some samples "
            f"of the repetitions; predicted slope {promised:.2f}."
        )
    inside = "contains" if low <= promised <= high else "does not contain"
    return (
        f"Measured slope {measured:.2f}, 95 % interval {low:.2f} to {high:.2f}; predicted slope {promised:.2f}, which "
        f"the interval {inside}."
    )


def rate_exhibit(curve: RateCurve, reference: RateCurve | None = None) -> Exhibit:
    """Excess risk against n, with the fitted and the predicted line.

    Parameters
    ----------
    reference : the same controls with all assumptions kept, drawn beside a world that breaks one.
    """
    curves = [curve] if reference is None else [curve, reference]
    table = pd.concat([one.table().assign(**asdict(one.world)) for one in curves], ignore_index=True)
    broken = reference is not None
    return Exhibit(
        name="theory-broken" if broken else "theory-rate",
        title="What a broken assumption does" if broken else "Excess risk against the number of training prompts",
        caption=(
            "Dots: mean utility lost against the oracle rule on fresh prompts, computed from the known scores and "
            f"costs, over {curve.excess.shape[1]} repetitions, with 95 % intervals. Both axes are logarithmic, so a "
            "power of n is a straight line. "
            + (
                "The dashed line is what the law predicts for the controls; where an assumption does not hold it "
                "promises nothing."
                if broken
                else "The solid line is fitted to the dots. The dashed one has the predicted slope; its height is set "
                "to the dots, for the law says how fast the excess falls and not from where."
            )
        ),
        alt=f"Excess risk falls from {curve.excess[0].mean():.2g} at n = {curve.sizes[0]:,} to "
        f"{curve.excess[-1].mean():.2g} at n = {curve.sizes[-1]:,}. {slope_words(curve)}"
        + (f" With all assumptions in place: {slope_words(reference)}" if reference is not None else ""),
        table=table,
        draw=lambda theme: _rates(curves, theme),
    )


def _rates(curves: Sequence[RateCurve], theme: ThemeName) -> go.Figure:
    look, figure = THEMES[theme], go.Figure()
    values: list[float] = []
    for place, curve in enumerate(curves):
        table = curve.table()
        rows = table[table["excess"] > 0]
        if len(rows) < 2:
            continue
        name = _BREACHES[curve.world.breach] if len(curves) > 1 else "Measured"
        color = look.curves[place]
        values += [*rows["excess"], *rows["high"], *rows["low"][rows["low"] > 0]]
        figure.add_scatter(
            x=rows["n"],
            y=rows["excess"],
            error_y=whiskers(rows["excess"], rows["low"], rows["high"], color=color),
            mode="markers",
            marker={"color": color, "size": 9, "symbol": ("circle", "square")[place]},
            name=name,
            hovertemplate="n = %{x:,}: %{y:.3g}<extra></extra>",
        )
        slope = curve.slope()[0]
        if math.isfinite(slope):
            figure.add_scatter(
                x=rows["n"], y=_line(rows, slope), mode="lines", hoverinfo="skip",
                line={"color": color, "width": 2, "dash": ("solid", "dot")[place]}, name=f"fitted, slope {slope:.2f}",
            )  # fmt: skip
        if place == len(curves) - 1:
            promised = predicted_slope(curve.world)
            figure.add_scatter(
                x=rows["n"], y=_line(rows, promised), mode="lines", hoverinfo="skip",
                line={"color": look.ink, "width": 2, "dash": "dash"}, name=f"predicted, slope {promised:.2f}",
            )  # fmt: skip
    figure.update_layout(
        over_legend(look, 420),
        xaxis=log_axis(look, "Training prompts n", [size for curve in curves for size in curve.sizes]),
        yaxis=log_axis(look, "Excess risk (utility lost)", values or [1e-3, 1.0]),
    )
    return figure


def _line(rows: pd.DataFrame, slope: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A line with this slope through the middle of the dots."""
    log_n, log_excess = np.log(rows["n"].to_numpy(float)), np.log(rows["excess"].to_numpy())
    line: np.ndarray[Any, np.dtype[np.float64]] = np.exp(log_excess.mean() + slope * (log_n - log_n.mean()))
    return line


def boundary_exhibit(world: World, n: int, seed: int = 0) -> Exhibit:
    """Which model the oracle rule and the plug-in rule choose, over the square of a world of two dimensions."""
    rng = np.random.default_rng([seed, n])
    middle = (np.arange(_SIDE) + 0.5) / _SIDE
    at = np.stack(np.meshgrid(middle, middle), axis=-1).reshape(-1, 2)
    oracle, chosen = world.true_utility(at).argmax(axis=1), plug_in(world, n, at, rng)
    missed = utility_loss(world, chosen, at)
    wrong = missed > 0
    there = missed[wrong].mean() if wrong.any() else 0.0
    table = pd.DataFrame(
        {"x1": at[:, 0], "x2": at[:, 1], "oracle": oracle + 1, "plug_in": chosen + 1, "utility_lost": missed}
    )
    return Exhibit(
        name="theory-boundary",
        title="What the oracle and the plug-in rule choose",
        caption=(
            f"Each point of the square is a prompt, its shade the model that answers it. Left, the oracle rule, which "
            f"knows the scores and costs; right, the plug-in rule after {n:,} training prompts. Marked is where the "
            "two differ: mostly near the boundary, where being wrong costs least."
        ),
        alt=(
            "Two maps of the square. The plug-in rule chooses another model than the oracle on "
            f"{percent(wrong.mean())} of it; there it loses {there:.3f} of utility on average, "
            f"{missed.mean():.4f} over the whole square."
        ),
        table=table,
        draw=lambda theme: _maps(table, world.n_models, theme),
    )


def _maps(table: pd.DataFrame, n_models: int, theme: ThemeName) -> go.Figure:
    look = THEMES[theme]
    far = look.curves[1] if theme != "print" else "#606060"
    shades = sample_colorscale([look.grid, far], np.linspace(0.1, 0.9, n_models))
    steps = [[edge, shades[m]] for m in range(n_models) for edge in (m / n_models, (m + 1) / n_models)]
    figure = make_subplots(1, 2, subplot_titles=("Oracle rule", "Plug-in rule"), horizontal_spacing=0.06)
    middle = sorted(table["x1"].unique())
    for column, rule in enumerate(("oracle", "plug_in"), 1):
        figure.add_heatmap(
            x=middle,
            y=middle,
            z=table[rule].to_numpy().reshape(_SIDE, _SIDE),
            zmin=0.5,
            zmax=n_models + 0.5,
            colorscale=steps,
            showscale=False,
            hovertemplate="model %{z}<extra></extra>",
            row=1,
            col=column,
        )
    wrong = np.where(table["utility_lost"] > 0, 1.0, np.nan).reshape(_SIDE, _SIDE)
    figure.add_heatmap(
        x=middle, y=middle, z=wrong, colorscale=[[0, look.curves[0]], [1, look.curves[0]]],
        showscale=False, hoverinfo="skip", row=1, col=2,
    )  # fmt: skip
    names = [f"model {model}" for model in range(1, n_models + 1)]
    for name, shade in zip([*names, "another than the oracle's"], [*shades, look.curves[0]], strict=True):
        figure.add_scatter(
            x=[None], y=[None], mode="markers", name=name,
            marker={"color": shade, "size": 12, "symbol": "square", "line": {"color": look.muted, "width": 1}},
        )  # fmt: skip
    ticks = {"range": [0, 1], "tickvals": [0, 0.5, 1], "showgrid": False, "constrain": "domain", "color": look.ink}
    figure.update_xaxes(ticks)
    figure.update_yaxes(ticks)
    figure.update_yaxes(showticklabels=False, col=2)
    figure.update_annotations(font={"size": 13, "color": look.ink})
    bottom = {"orientation": "h", "x": 0, "y": -0.1, "yanchor": "top"}
    figure.update_layout(over_legend(look, 440, legend=bottom, margin={"l": 30, "r": 8, "t": 56, "b": 10}))
    return figure
