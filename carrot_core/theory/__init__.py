"""The law behind CARROT, tested in a simulated world, and the dimension of real prompts' vectors.

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

from carrot_core.benchmarks.built_in import read_table
from carrot_core.embedding import BUNDLED
from carrot_core.errors import DataError
from carrot_core.evaluation import versions
from carrot_core.paths import file_state, shipped
from carrot_core.theory.dimension import SUBSAMPLE, distinct, estimates, spectra, subsample
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


def shipped_spectra() -> pd.DataFrame:
    """Spectra of real benchmarks: benchmark and the columns of `carrot_core.theory.dimension.spectra`."""
    return _table(SPECTRA)


def shipped_dimensions() -> pd.DataFrame:
    """Dimensions of real benchmarks: benchmark and the columns of `carrot_core.theory.dimension.estimates`."""
    return _table(DIMENSIONS)
