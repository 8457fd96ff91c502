"""Result snapshots: the results of a benchmark without any of its prompts or outcomes.

A snapshot is a folder of a JSON document and Parquet tables: every router's curve at the points that draw it, the
models' shares along it, its figures by task and its figures with intervals. Pages open it if the benchmark itself is
not available; it cannot be fitted, filtered or swept again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd

from carrot_core.benchmarks.built_in import Tables, read_table
from carrot_core.bootstrap import Interval
from carrot_core.curve import SavedCurve
from carrot_core.errors import CarrotError, DataError, NotFoundError
from carrot_core.evaluation import MEAN, Comparison
from carrot_core.evaluation.comparison import records
from carrot_core.figures.scene import Band, Curve, Scene, by_cost, label
from carrot_core.frontier import lam_of_rate
from carrot_core.number_formats import CostBasis, cost_basis
from carrot_core.operating_point import Point, Solution, same_rate, saved_point
from carrot_core.outcomes import positions
from carrot_core.paths import read_document, shipped_data
from carrot_core.promise import Promise
from carrot_core.results import DOCUMENT, Names, facts_of
from carrot_core.routers import BASELINES
from carrot_core.serving.loading import LABELLED_HEAD, SHIPPED_ROUTER, shipped_heads
from carrot_core.store import BenchmarkInfo
from carrot_core.theory import shipped_spectra

FORMAT = 1
ERRORS = ("score_error", "cost_error_usd")  # standard errors beside the shares; older snapshots have none
# Paired errors of the difference and the saving against the best single model; older snapshots have none.
PAIRED_ERRORS = ("score_difference_error", "saving_error")
LATENCY = ("latency_s", "latency_p95_s")  # of the points of curves and of single models, if recorded
TABLES = ("curves", "shares", "bands", "tasks")
ANALYSIS = "analysis-"
COMPARISON = "comparison.json"
COMPARED = ("figures", "differences", "pairs", "quality")  # tables of a comparison, too long for JSON


class NoPromptsError(CarrotError):
    """A request that needs prompts, of a snapshot, which has none."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name!r} is a snapshot, which holds no prompts: load the benchmark itself for this.")


@dataclass(frozen=True, eq=False)
class SnapshotResults:
    """A benchmark's results from a snapshot: the whole pool, all tasks, no single prompt.

    One of the two kinds of `carrot_core.results.Results`, which documents its methods.

    Attributes
    ----------
    document : ``snapshot.json``: provenance, models, figures of every router with their intervals.
    tables : Parquet tables by name; ``curves`` (router, split, exchange_rate_per_usd, score, cost_usd, and `LATENCY`
        where recorded), ``shares`` (router, split, exchange_rate_per_usd, one column a model, `ERRORS`,
        `PAIRED_ERRORS`), ``bands`` (router, cost_usd, score_low, score_high), ``tasks`` (router, exchange_rate_per_usd
        and the columns of `carrot_core.evaluation.tables.by_task` against the best single model).
    analyses : the tables of `carrot_core.compare` by name, for all routers.
    folder : folder it was read from; None for one that is not written yet.
    """

    document: Mapping[str, Any]
    tables: Mapping[str, pd.DataFrame]
    analyses: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    folder: Path | None = None

    @property
    def name(self) -> str:
        return self.info.name

    @property
    def has_prompts(self) -> bool:
        return False

    @property
    def can_filter(self) -> bool:
        return False

    @property
    def models(self) -> tuple[str, ...]:
        return tuple(self.document["models"])

    @property
    def tasks(self) -> tuple[str, ...]:
        return tuple(self.document["tasks"])

    @property
    def cost_unit_usd(self) -> float:
        return float(self.document["cost_unit_usd"])

    def within(self, pool: Names = (), tasks: Names = ()) -> SnapshotResults:
        self._check_whole(pool, tasks)
        return self

    @property
    def palette(self) -> tuple[str, ...]:
        singles = self.document["single_models"]
        return by_cost(self.models, [singles[model]["cost_usd"] for model in self.models])

    @property
    def basis(self) -> CostBasis:
        return cost_basis([single["cost_usd"] for single in self.document["single_models"].values()])

    def best_single(self, pool: Names = (), tasks: Names = ()) -> str:
        self._check_whole(pool, tasks)
        return str(self.document["best_single"])

    @property
    def routers(self) -> tuple[str, ...]:
        """Names of all routers with a curve, baselines included, in their original order."""
        return tuple(self.document["routers"])

    @property
    def fitted(self) -> tuple[str, ...]:
        """Names of the routers except baselines: the best one, CARROT-KNN, then the others.

        A head that was not compared with others is left out.
        """
        names = [name for name in self.routers if name not in (*BASELINES, LABELLED_HEAD)]
        return tuple(sorted(names, key=lambda name: (name != names[0], name != "carrot-knn")))

    @property
    def runnable(self) -> tuple[str, ...]:
        if self.name not in shipped_heads() or shipped_data().get(self.name) != self.info.data_hash:
            return ()
        return (LABELLED_HEAD if LABELLED_HEAD in self.routers else SHIPPED_ROUTER,)

    @property
    def baselines(self) -> tuple[str, ...]:
        return tuple(name for name in BASELINES if name in self.routers)  # an older snapshot has fewer

    @cached_property
    def info(self) -> BenchmarkInfo:
        """Description of the benchmark, from its store."""
        entry = self.document["benchmark"]
        values = {each.name: entry[each.name] for each in fields(BenchmarkInfo) if each.name in entry}
        texts = {name: tuple(values[name]) for name in ("models", "warnings")}
        return BenchmarkInfo(**values | texts | {"facts": facts_of(entry)})

    def curve(self, router: str, split: str = "test", pool: Names = (), tasks: Names = ()) -> SavedCurve:
        self._check_whole(pool, tasks)
        about = self.document["routers"][router]
        points, shares = self._of("curves", router, split), self._of("shares", router, split)
        models, seconds = tuple(about["models"]), points.reindex(columns=list(LATENCY))
        return SavedCurve(
            models,
            about["n_prompts"][split],
            about["n_points"][split],
            points["exchange_rate_per_usd"].to_numpy(),
            points["score"].to_numpy(np.float64),
            points["cost_usd"].to_numpy(np.float64),
            shares["exchange_rate_per_usd"].to_numpy(),
            shares[list(models)].to_numpy(np.float64),
            shares[list(ERRORS)].to_numpy(np.float64).T if set(ERRORS) <= set(shares.columns) else None,
            None if seconds.isna().all(axis=None) else seconds.to_numpy(np.float64).T,
        )

    def scene(
        self, routers: Names, active: str, pool: Names = (), tasks: Names = (), reference: str | None = None
    ) -> Scene:
        self._check_whole(pool, tasks)
        single = self.document["single_models"]
        score, cost = (np.array([single[model][key] for model in self.models]) for key in ("score", "cost_usd"))
        latency = np.array([[single[model].get(key, np.nan) for model in self.models] for key in LATENCY])
        zero = self.curve("zero")
        curves = {name: self.curve(name) for name in routers}
        return Scene(
            title=self.info.name,
            curves=tuple(
                Curve(name, label(name), curve, self._band(name) if name == active else None)
                for name, curve in curves.items()
            ),
            models=self.models,
            model_score=score,
            model_cost_usd=cost,
            hull_cost_usd=zero.cost_usd[::-1],
            hull_score=zero.score[::-1],
            best_single=self.best_single(),
            reference=reference or self.best_single(),
            cost_unit_usd=self.document["cost_unit_usd"],
            n_prompts=self.document["n_prompts"],
            n_dropped=self.document["n_dropped"],
            n_incomplete=self.document.get("n_incomplete", 0),
            active=active,
            chosen_on=self.curve(active, "validation"),
            model_latency_s=None if np.isnan(latency).any() else latency,
            hull_latency_s=None if zero.latency_s is None else zero.latency_s[0, ::-1],
        )

    def matching_point(self, router: str) -> Point | None:
        entry = self.document["routers"][router]["figures"]["match_best_single"]
        if entry is None:
            return None
        values: dict[str, Any] = {
            name: Interval.of_document(value) if isinstance(value, dict) else value
            for name, value in entry.items()
            if name != "promise"
        }
        promise = entry.get("promise")  # older snapshots have none
        if values["exchange_rate_per_usd"] is None:  # JSON has no infinity: λ = 1
            values["exchange_rate_per_usd"] = float("inf")
        return Point(**values, promise=None if promise is None else Promise(**promise))

    def figures(self, router: str) -> Mapping[str, Any]:
        figures: Mapping[str, Any] = self.document["routers"][router]["figures"]
        return figures

    def point_at(
        self, router: str, rate: float, reference: str | None = None, pool: Names = (), tasks: Names = ()
    ) -> Point:
        self._check_whole(pool, tasks)
        best, match = self.best_single(), self.matching_point(router)
        if match is not None and reference in (None, best) and same_rate(rate, match.exchange_rate_per_usd):
            return match
        single, shares = self.document["single_models"][reference or best], self._of("shares", router, "test")
        paired = shares.reindex(columns=list(PAIRED_ERRORS)) if reference in (None, best) else None
        errors = None if paired is None else paired.to_numpy(np.float64).T
        return saved_point(self.curve(router), rate, single["score"], single["cost_usd"], self.cost_unit_usd, errors)

    def matchable(self, pool: Names = ()) -> Names:
        return (self.best_single(),)

    def match(self, router: str, model: str, pool: Names = (), tasks: Names = ()) -> Solution | None:
        positions([model], self.matchable(pool))
        point = self.matching_point(router)
        return None if point is None else Solution(point.exchange_rate_per_usd, promise=point.promise)

    def by_task(
        self, router: str, rate: float, reference: str | None = None, pool: Names = (), tasks: Names = ()
    ) -> tuple[pd.DataFrame, str]:
        self._check_whole(pool, tasks)
        slices = self._of("tasks", router, rate=self.task_rate(router, rate))
        return slices.reset_index(drop=True), self.best_single()

    def task_rate(self, router: str, exchange_rate_per_usd: float) -> float:
        """The rate with stored figures by task whose λ is nearest to that of a rate."""
        unit = self.document["cost_unit_usd"]
        rates = self._of("tasks", router)["exchange_rate_per_usd"].unique()
        apart = np.abs(lam_of_rate(rates, unit) - lam_of_rate(exchange_rate_per_usd, unit))
        return float(rates[apart.argmin()])

    def analysis(self, name: str, routers: Names) -> pd.DataFrame | None:
        if name not in self.analyses:
            return None
        table = self.analyses[name]
        sides = [column for column in ("router", "other") if column in table.columns]
        chosen = table[table[sides].isin(list(routers)).all(axis=1)]
        place = {router: k for k, router in enumerate(routers)}
        return chosen.sort_values(sides, key=lambda side: side.map(place), kind="stable", ignore_index=True)

    def spectra(self) -> pd.DataFrame | None:
        table = shipped_spectra()
        own = table[table["benchmark"] == self.info.name]
        return None if own.empty else own.reset_index(drop=True)

    def seeds(self, routers: Names) -> tuple[int, ...]:
        return self.comparison_of_seeds.seeds

    def comparison(self, routers: Names, seeds: tuple[int, ...]) -> tuple[pd.DataFrame, pd.DataFrame, str]:
        comparison = self.comparison_of_seeds
        return comparison.figures, comparison.pairs, MEAN if len(seeds) > 1 else str(seeds[0])

    @cached_property
    def comparison_of_seeds(self) -> Comparison:
        """The comparison of all routers that was stored beside the snapshot.

        Raises
        ------
        NotFoundError
            The snapshot was not read from a folder.
        """
        if self.folder is None:
            raise NotFoundError(f"The snapshot of {self.name!r} has no comparison of seeds: it is not written yet.")
        document = read_comparison(self.folder)
        frames = {name: pd.DataFrame(document[name]) for name in ("protocol", "quality")}
        for name in ("figures", "pairs"):  # tables, since the document has no infinity
            path = self.folder / f"{name}.parquet"
            frames[name] = read_table(path) if path.exists() else pd.DataFrame()
        return Comparison(
            benchmark=document["benchmark"],
            report_on=document["evaluated_on"],
            models=tuple(document["models"]),
            routers=tuple(document["routers"]),
            seeds=tuple(document["seeds"]),
            replicates=document["replicates"],
            protocol=frames["protocol"],
            figures=frames["figures"],
            differences=pd.DataFrame(),
            bands=pd.DataFrame(),
            quality=frames["quality"],
            pairs=frames["pairs"],
        )

    def _refuse(self, *args: object, **kwargs: object) -> NoReturn:
        raise NoPromptsError(self.name)

    narrowed = estimates = run = exact_curve = flips = _refuse

    def _check_whole(self, pool: Names, tasks: Names) -> None:
        if pool or tasks:
            raise NoPromptsError(self.name)

    def _band(self, router: str) -> Band:
        table = self._of("bands", router)
        return Band(*(table[name].to_numpy(np.float64) for name in ("cost_usd", "score_low", "score_high")))

    def _of(self, table: str, router: str, split: str | None = None, rate: float | None = None) -> pd.DataFrame:
        rows: pd.DataFrame = self.tables[table]
        for column, target in (("router", router), ("split", split), ("exchange_rate_per_usd", rate)):
            if target is not None:
                rows = rows[rows[column] == target]
        return rows


def read(folder: Path) -> SnapshotResults:
    """A snapshot from its folder; each table is read on first use, and raises a `DataError` then if damaged.

    Raises
    ------
    DataError
        Its document is missing or damaged, or of a format this version does not know.
    """
    document = read_document(folder / DOCUMENT)
    if document.get("format") != FORMAT:
        raise DataError(str(folder), f"has format {document.get('format')!r}; this version reads format {FORMAT}")
    tables = Tables({name: folder / f"{name}.parquet" for name in TABLES})
    analyses = {path.stem.removeprefix(ANALYSIS): path for path in sorted(folder.glob(f"{ANALYSIS}*.parquet"))}
    return SnapshotResults(document, tables, Tables(analyses), folder)


def read_comparison(folder: Path) -> dict[str, Any]:
    """The `carrot_core.evaluation.Comparison.document` stored in the folder of a snapshot.

    Without pairs if the snapshot is older than these; raises a `DataError` if a file is missing or damaged.
    """
    paths = {name: folder / f"{name}.parquet" for name in COMPARED}
    tables = {name: records(read_table(path)) for name, path in paths.items() if path.exists()}
    return read_document(folder / COMPARISON) | tables
