"""Result snapshots: what a judged benchmark shows, kept without any of its prompts or outcomes.

A snapshot is a folder of a JSON document and Parquet tables: every router's curve at the points that draw
it, who answers along it, its slices by task and its figures with intervals. Pages open it where the
benchmark itself is not at hand; it cannot be fitted, filtered or swept again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from carrot_core.bootstrap import Interval
from carrot_core.compare import ANALYSES, KEPT
from carrot_core.curve import SavedCurve, evenly, keep
from carrot_core.errors import DataError
from carrot_core.evaluation import Setting, judge, make_setting, single_models, versions
from carrot_core.evaluation.breakdown import by_task, task_labels
from carrot_core.figures.scene import Band, Curve, Scene, band, label
from carrot_core.frontier import Frontier, lam_of_rate
from carrot_core.operating_point import Point
from carrot_core.outcomes import Benchmark, Estimates
from carrot_core.paths import shipped
from carrot_core.routers import BASELINES
from carrot_core.store import BenchmarkInfo
from carrot_core.theory.shipped import kept_spectra

FORMAT = 1
FOLDER = "snapshots"
_DOCUMENT = "snapshot.json"
_TABLES = ("curves", "shares", "bands", "tasks")
_ANALYSIS = "analysis-"
_SPLITS = ("validation", "test")
_TASK_POINTS = 25


@dataclass(frozen=True)
class SnapshotInfo(BenchmarkInfo):
    """A benchmark of which only results are here, in ``folder``."""

    folder: Path = Path()


@dataclass(frozen=True, eq=False)
class Snapshot:
    """An opened snapshot.

    Attributes
    ----------
    document : ``snapshot.json``: provenance, models, figures of every router with their intervals.
    tables : Parquet tables by name; ``curves`` (router, split, exchange_rate_per_usd, score, cost_usd),
        ``shares`` (router, split, exchange_rate_per_usd, one column a model), ``bands`` (router, cost_usd,
        score_low, score_high), ``tasks`` (router, exchange_rate_per_usd and the columns of
        `carrot_core.evaluation.breakdown.by_task` against the best single model).
    analyses : the tables of `carrot_core.compare` by name, for all routers.
    """

    document: Mapping[str, Any]
    tables: Mapping[str, pd.DataFrame]
    analyses: Mapping[str, pd.DataFrame] = field(default_factory=dict)

    @property
    def models(self) -> tuple[str, ...]:
        return tuple(self.document["models"])

    @property
    def best_single(self) -> str:
        return str(self.document["best_single"])

    @property
    def routers(self) -> tuple[str, ...]:
        """Names of all routers with a curve, baselines included, in the order they were given."""
        return tuple(self.document["routers"])

    @property
    def fitted(self) -> tuple[str, ...]:
        """Names of the routers that are no baselines: the best one, CARROT-KNN, then the others."""
        names = [name for name in self.routers if name not in BASELINES]
        return tuple(sorted(names, key=lambda name: (name != names[0], name != "carrot-knn")))

    @cached_property
    def info(self) -> BenchmarkInfo:
        """The benchmark as its store described it."""
        kept = self.document["benchmark"]
        named = {each.name: kept[each.name] for each in fields(BenchmarkInfo)}
        return BenchmarkInfo(**{**named, "models": tuple(named["models"]), "warnings": tuple(named["warnings"])})

    def curve(self, router: str, split: str = "test") -> SavedCurve:
        """One router's curve on one split."""
        about = self.document["routers"][router]
        points, shares = self._of("curves", router, split), self._of("shares", router, split)
        models = tuple(about["models"])
        return SavedCurve(
            models,
            about["n_prompts"][split],
            about["n_points"][split],
            points["exchange_rate_per_usd"].to_numpy(),
            points["score"].to_numpy(np.float64),
            points["cost_usd"].to_numpy(np.float64),
            shares["exchange_rate_per_usd"].to_numpy(),
            shares[list(models)].to_numpy(np.float64),
        )

    def scene(self, routers: Sequence[str], active: str, reference: str | None = None) -> Scene:
        """One chart of some of the routers, on the test prompts and the whole pool."""
        single = self.document["single_models"]
        score, cost = (np.array([single[model][key] for model in self.models]) for key in ("score", "cost_usd"))
        zero = self.curve("zero")
        shown = {name: self.curve(name) for name in routers}
        return Scene(
            title=self.info.name,
            curves=tuple(
                Curve(name, label(name), curve, self._band(name) if name == active else None)
                for name, curve in shown.items()
            ),
            models=self.models,
            model_score=score,
            model_cost_usd=cost,
            hull_cost_usd=zero.cost_usd[::-1],
            hull_score=zero.score[::-1],
            best_single=self.best_single,
            reference=reference or self.best_single,
            cost_unit_usd=self.document["cost_unit_usd"],
            n_prompts=self.document["n_prompts"],
            n_dropped=self.document["n_dropped"],
            active=active,
            chosen_on=self.curve(active, "validation"),
        )

    def matching_point(self, router: str) -> Point | None:
        """The point chosen on validation to match the best single model, as it does on test."""
        kept = self.document["routers"][router]["figures"]["match_best_single"]
        if kept is None:
            return None
        known: dict[str, Any] = {
            name: _interval(value) if isinstance(value, dict) else value for name, value in kept.items()
        }
        if known["exchange_rate_per_usd"] is None:  # JSON has no infinity: λ = 1
            known["exchange_rate_per_usd"] = float("inf")
        return Point(**known)

    def by_task(self, router: str, exchange_rate_per_usd: float) -> pd.DataFrame:
        """Slices by task at `task_rate`; columns as in `carrot_core.evaluation.breakdown.by_task`."""
        rate = self.task_rate(router, exchange_rate_per_usd)
        return self._of("tasks", router, rate=rate).reset_index(drop=True)

    def task_rate(self, router: str, exchange_rate_per_usd: float) -> float:
        """The rate with kept slices whose λ is nearest to that of a rate."""
        unit = self.document["cost_unit_usd"]
        rates = self._of("tasks", router)["exchange_rate_per_usd"].unique()
        apart = np.abs(lam_of_rate(rates, unit) - lam_of_rate(exchange_rate_per_usd, unit))
        return float(rates[apart.argmin()])

    def analysis(self, name: str, routers: Sequence[str]) -> pd.DataFrame | None:
        """A table of `carrot_core.compare` for some of the routers, in their order; None where it was not kept."""
        if name not in self.analyses:
            return None
        table = self.analyses[name]
        sides = [column for column in ("router", "other") if column in table.columns]
        chosen = table[table[sides].isin(list(routers)).all(axis=1)]
        place = {router: k for k, router in enumerate(routers)}
        return chosen.sort_values(sides, key=lambda side: side.map(place), kind="stable", ignore_index=True)

    def spectra(self) -> pd.DataFrame | None:
        """Spectra of the prompts' vectors, as they ship (`carrot_core.theory.shipped`); None where there are none."""
        table = kept_spectra()
        own = table[table["benchmark"] == self.info.name]
        return None if own.empty else own.reset_index(drop=True)

    def _band(self, router: str) -> Band:
        table = self._of("bands", router)
        return Band(*(table[name].to_numpy(np.float64) for name in ("cost_usd", "score_low", "score_high")))

    def _of(self, table: str, router: str, split: str | None = None, rate: float | None = None) -> pd.DataFrame:
        rows: pd.DataFrame = self.tables[table]
        for column, wanted in (("router", router), ("split", split), ("exchange_rate_per_usd", rate)):
            if wanted is not None:
                rows = rows[rows[column] == wanted]
        return rows


def take(bench: Benchmark, info: BenchmarkInfo, routers: Mapping[str, Mapping[str, Estimates]]) -> Snapshot:
    """A snapshot of some fitted routers and all baselines on one benchmark.

    Parameters
    ----------
    bench : the benchmark with its stored split.
    info : its description.
    routers : estimates on validation and test by router, as `carrot_core.evaluation.evaluate` keeps them.
    """
    made = make_setting(bench)
    estimates = {**routers, **made.baselines}
    parts: dict[str, list[pd.DataFrame]] = {name: [] for name in _TABLES}
    described = {}
    for name, table in estimates.items():
        curves = {split: made.frontier(table, split) for split in _SPLITS}
        for split, curve in curves.items():
            kept = keep(curve)
            parts["curves"].append(_points(kept).assign(router=name, split=split))
            parts["shares"].append(_shares(kept).assign(router=name, split=split))
        parts["bands"].append(_band_table(curves["test"]).assign(router=name))
        parts["tasks"].append(_tasks(made, curves["test"]).assign(router=name))
        described[name] = {
            "models": list(curves["test"].models),
            "n_prompts": {split: curve.n_prompts for split, curve in curves.items()},
            "n_points": {split: len(curve.exchange_rate_per_usd) for split, curve in curves.items()},
            "figures": judge(made, table, "test"),
        }
    oracle = made.frontier(made.baselines["oracle"], "test")
    document = {
        "format": FORMAT,
        "benchmark": asdict(info),
        "models": list(made.models),
        "best_single": made.best_single,
        "cost_unit_usd": made.cost_unit_usd,
        "single_models": single_models(made),
        "tasks": sorted(set(made.test.tasks) - {""}),
        "n_prompts": oracle.n_prompts,
        "n_dropped": made.frontier(made.baselines["zero"], "test").n_dropped,
        "n_without_text": made.n_without_text,
        "versions": versions(),
        "routers": described,
    }
    tables = {name: pd.concat(frames, ignore_index=True) for name, frames in parts.items()}
    return Snapshot(document, tables, {name: ANALYSES[name].make(made, estimates) for name in KEPT})


def _points(curve: SavedCurve) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "exchange_rate_per_usd": curve.exchange_rate_per_usd,
            "score": curve.score.astype(np.float32),
            "cost_usd": curve.cost_usd.astype(np.float32),
        }
    )


def _shares(curve: SavedCurve) -> pd.DataFrame:
    table = pd.DataFrame(curve.share, columns=list(curve.models))
    return table.assign(exchange_rate_per_usd=curve.share_rates)


def _band_table(curve: Frontier) -> pd.DataFrame:
    drawn = band(curve)
    columns = {"cost_usd": drawn.cost_usd, "score_low": drawn.score_low, "score_high": drawn.score_high}
    return pd.DataFrame({name: values.astype(np.float32) for name, values in columns.items()})


def _tasks(made: Setting, curve: Frontier) -> pd.DataFrame:
    tasks = task_labels(made, curve)
    frames = [
        by_task(curve, tasks, rate, made.best_single).assign(exchange_rate_per_usd=rate)
        for rate in evenly(curve.exchange_rate_per_usd, _TASK_POINTS)
    ]
    table = pd.concat(frames, ignore_index=True)
    small = table.select_dtypes("float64").columns.drop("exchange_rate_per_usd")
    return table.astype(dict.fromkeys(small, np.float32))


def write(snapshot: Snapshot, folder: Path) -> None:
    """Write a snapshot into a folder, over one that is there."""
    folder.mkdir(parents=True, exist_ok=True)
    analyses = {f"{_ANALYSIS}{name}": table for name, table in snapshot.analyses.items()}
    for name, table in {**snapshot.tables, **analyses}.items():
        table.to_parquet(folder / f"{name}.parquet", index=False, compression="zstd")
    text = json.dumps(snapshot.document, ensure_ascii=False, indent=1, allow_nan=False)
    (folder / _DOCUMENT).write_text(text + "\n", encoding="utf-8")


def read(folder: Path) -> Snapshot:
    """A snapshot from its folder.

    Raises
    ------
    DataError
        A file is missing or damaged, or of a format this version does not know.
    """
    try:
        document = json.loads((folder / _DOCUMENT).read_text(encoding="utf-8"))
        tables = {name: pd.read_parquet(folder / f"{name}.parquet") for name in _TABLES}
        analyses = {
            path.stem.removeprefix(_ANALYSIS): pd.read_parquet(path) for path in folder.glob(f"{_ANALYSIS}*.parquet")
        }
        version = document["format"]
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise DataError(str(folder), f"is not a whole snapshot ({error})") from error
    if version != FORMAT:
        raise DataError(str(folder), f"has format {version!r}; this version reads format {FORMAT}")
    return Snapshot(document, tables, analyses)


def shipped_snapshots() -> list[SnapshotInfo]:
    """Descriptions of the snapshots that ship with the project, by name."""
    found = []
    for document in sorted(shipped(FOLDER).glob(f"*/{_DOCUMENT}")):
        kept = json.loads(document.read_text(encoding="utf-8"))["benchmark"]
        found.append(SnapshotInfo(**{**kept, "folder": document.parent}))
    return [replace(info, models=tuple(info.models), warnings=tuple(info.warnings)) for info in found]


def _interval(kept: Mapping[str, float | None]) -> Interval:
    return Interval(**{name: float("nan") if value is None else value for name, value in kept.items()})
