"""The law behind CARROT, tested in simulated worlds and beside real learning curves; what ships of both.

Runs of the simulation, spectra and dimensions of real prompts' vectors ship; vectors never do.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, fields
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from carrot_core.benchmarks.built_in import read_table
from carrot_core.embedding import BUNDLED
from carrot_core.errors import DataError
from carrot_core.evaluation import versions
from carrot_core.figures.exhibit import Exhibit
from carrot_core.figures.theme import (
    THEMES,
    ThemeName,
    axis,
    line_styles,
    plotly_text,
    whiskers,
)
from carrot_core.paths import file_state, shipped
from carrot_core.text import visible
from carrot_core.theory.dimension import SUBSAMPLE, distinct, estimates, log_axis, over_legend, spectra, subsample
from carrot_core.theory.rates import RateCurve, predicted_slope, simulate
from carrot_core.theory.world import BREACHES, Breach, FloatArray, World, possible

__all__ = ["BREACHES", "Breach", "RateCurve", "World", "possible", "predicted_slope", "simulate"]

FOLDER = "theory"
RUNS, SPECTRA, DIMENSIONS, PROVENANCE = "runs.parquet", "spectra.parquet", "dimensions.parquet", "theory.json"
SEED = 0
WORLDS = (
    *(World(d, *exponents) for d in (1, 2, 3) for exponents in ((0.5, 1.0), (1.0, 1.0), (0.5, 2.0))),
    World(2, 2.0, 1.0),
    World(2, 1.0, 0.5),
    *(World(2, breach=breach) for breach in BREACHES if breach != "none"),
)
_SIZES = (1_000, 2_000, 4_000, 8_000)  # sizes of subsamples, besides all vectors
_CONTROLS = [field.name for field in fields(World)]
Progress = Callable[[int, int], None]


def make(
    vectors: Mapping[str, Path],
    folder: Path,
    worlds: Sequence[World] | None = None,
    *,
    progress: Callable[[str, str], AbstractContextManager[Progress]],
) -> None:
    """Simulate every world and measure every file of vectors, and write the tables.

    Parameters
    ----------
    vectors : Parquet file with a column ``embedding``, by the name of the benchmark.
    folder : where the tables are written.
    worlds : `WORLDS` by default.
    progress : called with a step's title and its unit; returns a function of (done, in all).
    """
    folder.mkdir(parents=True, exist_ok=True)
    runs, spectra_tables, dimension_tables, sources = [], [], [], {}
    for world in WORLDS if worlds is None else worlds:
        with progress(f"Simulating {_short(world)}", " runs") as advance:
            runs.append(_rows(simulate(world, seed=SEED, progress=advance)))
    for name, file in vectors.items():
        rows = distinct(_vectors(file))
        sources[name] = {
            "file": file.name,
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            "encoder": BUNDLED,
            "n_distinct_vectors": len(rows),
        }
        with progress(f"Spectra of {name}", " spectra") as advance:
            spectrum = spectra(subsample(rows, SUBSAMPLE, SEED), progress=advance)
            spectra_tables.append(spectrum.assign(benchmark=name))
        with progress(f"Dimension of {name}", " sizes") as advance:
            dimension_tables.append(estimates(rows, _SIZES, seed=SEED, progress=advance).assign(benchmark=name))
    for file_name, frames in ((RUNS, runs), (SPECTRA, spectra_tables), (DIMENSIONS, dimension_tables)):
        if frames:
            pd.concat(frames, ignore_index=True).to_parquet(folder / file_name, index=False, compression="zstd")
    document = {"seed": SEED, "subsample": SUBSAMPLE, "vectors": sources, "versions": versions()}
    (folder / PROVENANCE).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _short(world: World) -> str:
    return f"d={world.dimension}, γ={world.smoothness:g}, α={world.margin:g}, {world.breach}"


def _rows(curve: RateCurve) -> pd.DataFrame:
    table = pd.DataFrame(curve.excess, index=list(curve.sizes)).rename_axis("n").reset_index()
    long = table.melt("n", var_name="repetition", value_name="excess")
    return long.assign(**asdict(curve.world)).astype({"repetition": int})


def _vectors(file: Path) -> FloatArray:
    try:
        return np.array(pd.read_parquet(file, columns=["embedding"])["embedding"].tolist(), np.float64)
    except (OSError, ValueError, KeyError) as error:
        raise DataError(str(file), f"has no column of vectors of one length ({error})") from error


def _table(name: str) -> pd.DataFrame:
    path = shipped(FOLDER) / name
    return _read(path, file_state(path))


@lru_cache(maxsize=8)
def _read(path: Path, _state: tuple[int, int, int]) -> pd.DataFrame:
    return read_table(path)


def simulated_curve(world: World) -> RateCurve | None:
    """The shipped runs of a world; None if it is not among them."""
    table = _table(RUNS)
    for name, value in asdict(world).items():
        table = table[table[name] == value]
    if table.empty:
        return None
    runs = table.pivot(index="n", columns="repetition", values="excess")
    return RateCurve(world, tuple(map(int, runs.index)), runs.to_numpy())


def slopes() -> pd.DataFrame:
    """Measured and predicted slope of every shipped world: columns of the controls, predicted, measured, low, high."""
    controls = _table(RUNS)[_CONTROLS].drop_duplicates()
    rows = []
    for control in controls.to_dict("records"):
        world = World(**{str(name): value for name, value in control.items()})
        curve = simulated_curve(world)
        assert curve is not None  # its controls are in the table
        measured, low, high = curve.slope()
        rows.append({**control, "predicted": predicted_slope(world), "measured": measured, "low": low, "high": high})
    return pd.DataFrame(rows)


def slopes_exhibit(table: pd.DataFrame) -> Exhibit:
    """Measured against predicted slope of many worlds (`slopes`)."""
    lawful = table[table["breach"] == "none"]
    inside = int(((lawful["low"] <= lawful["predicted"]) & (lawful["predicted"] <= lawful["high"])).sum())
    off = (lawful["measured"] - lawful["predicted"]).abs()
    broken = table[table["breach"] != "none"]
    return Exhibit(
        name="theory-slopes",
        title="Measured and predicted slopes of all simulated worlds",
        caption=(
            "One mark a world. On the diagonal the measured slope is the predicted one; bars are 95 % intervals over "
            "repetitions. Above the diagonal the rule learns more slowly than the law says: there stand the worlds "
            "that break an assumption (crosses). Small deviations remain where all holds: the law is about large n, "
            "and at these n constants still count, the more the higher the dimension."
        ),
        alt=(
            f"{len(lawful)} worlds that keep the assumptions: the predicted slope is inside the interval of the "
            f"measured one in {inside}, the mean difference is {off.mean():.2f} and the largest {off.max():.2f}. "
            f"In {len(broken)} worlds that break one the measured slope is above the predicted by "
            f"{(broken['measured'] - broken['predicted']).min():.2f} or more."
        ),
        table=table,
        draw=lambda theme: _slopes(table, theme),
    )


def _slopes(table: pd.DataFrame, theme: ThemeName) -> go.Figure:
    look, figure = THEMES[theme], go.Figure()
    ends = [float(min(table["predicted"].min(), table["low"].min())) - 0.04, float(table["high"].max()) + 0.04]
    figure.add_scatter(
        x=ends, y=ends, mode="lines", hoverinfo="skip", line={"color": look.hull, "dash": "dash"}, name="as predicted"
    )
    groups = [(f"d = {d}", table[(table["dimension"] == d) & (table["breach"] == "none")]) for d in (1, 2, 3)]
    groups.append(("assumption broken", table[table["breach"] != "none"]))
    for place, (name, rows) in enumerate(groups):
        figure.add_scatter(
            x=rows["predicted"],
            y=rows["measured"],
            error_y=whiskers(rows["measured"], rows["low"], rows["high"], thickness=1.2),
            mode="markers",
            marker={
                "color": look.curves[(1, 2, 4, 0)[place]],
                "size": 9,
                "symbol": ("circle", "square", "triangle-up", "x")[place],
            },
            customdata=rows[["dimension", "smoothness", "margin", "breach"]],
            hovertemplate="d %{customdata[0]}, γ %{customdata[1]}, α %{customdata[2]}, %{customdata[3]}<br>"
            "predicted %{x:.2f}, measured %{y:.2f}<extra></extra>",
            name=name,
        )
    figure.update_layout(
        over_legend(look, 440), xaxis=axis(look, "Predicted slope", range=ends), yaxis=axis(look, "Measured slope")
    )
    return figure


METRIC = "aiq"


def loss_table(curves: Mapping[str, pd.DataFrame], metric: str = METRIC) -> pd.DataFrame:
    """Loss of a router with fewer training prompts, from the tables of `carrot_core.compare.studies.learning`.

    Columns: benchmark, router, n, loss, low, high (95 % interval, paired), all means over seeds; without the size with
    all prompts, which loses nothing.
    """
    frames = []
    for benchmark, table in curves.items():
        rows = table[(table["metric"] == metric) & (table["seed"] == "mean")]
        rows = rows[rows["size"] < rows["size"].max()]
        frames.append(
            pd.DataFrame(
                {
                    "benchmark": benchmark,
                    "router": rows["router"],
                    "n": rows["size"],
                    "loss": -rows["lost"],
                    "low": -rows["lost_high"],
                    "high": -rows["lost_low"],
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def learning_exhibit(curves: Mapping[str, pd.DataFrame]) -> Exhibit:
    """Learning curves of real benchmarks on the axes of the theory."""
    table = loss_table(curves)
    rows = table[table["loss"] > 0]
    slopes = {str(name): _slope(rows) for name, rows in rows.groupby("benchmark") if len(rows) > 1}
    slope_list = "; ".join(f"{visible(name)} {slope:.2f}" for name, slope in slopes.items())
    return Exhibit(
        name="theory-learning",
        title="Real learning curves on the same axes",
        caption=(
            "AIQ lost by CARROT-KNN fitted on n training prompts against the fit on all of them, on the same test "
            "prompts; bars are paired 95 % intervals. It is no excess risk: nobody knows a real oracle rule. As n "
            "comes near to all prompts the loss must reach 0, so curves bend down at the right; slopes there say "
            "little. A point at or below 0 has no place on a logarithmic axis and is in the data only; so is an "
            "interval's end there."
        ),
        alt=f"Log-log slopes of the AIQ lost against n, over all sizes drawn: {slope_list or 'none'}.",
        table=table,
        draw=lambda theme: _learning(rows, theme),
    )


def _slope(rows: pd.DataFrame) -> float:
    return float(np.polyfit(np.log(rows["n"]), np.log(rows["loss"]), 1)[0])


def _learning(points: pd.DataFrame, theme: ThemeName) -> go.Figure:
    look, figure = THEMES[theme], go.Figure()
    names = list(dict.fromkeys(points["benchmark"]))
    least = float(points["loss"].min()) / 3 if len(points) else 1e-3
    for name, style in line_styles(names).items():
        rows = points[points["benchmark"] == name]
        figure.add_scatter(
            x=rows["n"],
            y=rows["loss"],
            error_y=whiskers(rows["loss"], rows["low"].clip(lower=least), rows["high"], thickness=1),
            mode="lines+markers",
            line={"color": look.curves[style.color], "dash": style.dash, "width": 2},
            marker={"symbol": style.symbol, "size": 8},
            name=plotly_text(visible(name)),
            hovertemplate="%{x:,} prompts: %{y:.4f} lost<extra></extra>",
        )
    sizes = [*points["n"]] or [100, 1_000]
    values = [*points["loss"], *points["high"], least] if len(points) else [1e-3, 1e-1]
    figure.update_layout(
        over_legend(look, 440),
        xaxis=log_axis(look, "Training prompts n", sizes),
        yaxis=log_axis(look, "AIQ lost against all prompts", values),
    )
    return figure


def shipped_spectra() -> pd.DataFrame:
    """Spectra of real benchmarks: benchmark and the columns of `carrot_core.theory.dimension.spectra`."""
    return _table(SPECTRA)


def shipped_dimensions() -> pd.DataFrame:
    """Dimensions of real benchmarks: benchmark and the columns of `carrot_core.theory.dimension.estimates`."""
    return _table(DIMENSIONS)
