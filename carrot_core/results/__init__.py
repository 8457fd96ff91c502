"""A benchmark with its results (`Results`), from a store or a snapshot, and the snapshots that ship."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from carrot_core.benchmarks.model_facts_arms import NOTHING, ModelFacts, read_model_facts
from carrot_core.errors import DataError
from carrot_core.evaluation import Setting
from carrot_core.figures.scene import Scene
from carrot_core.frontier import Frontier, ReadableCurve
from carrot_core.number_formats import CostBasis
from carrot_core.operating_point import Point, Solution
from carrot_core.outcomes import Estimates
from carrot_core.paths import damage, file_state, shipped, shipped_benchmarks
from carrot_core.results.recipes import RECIPES
from carrot_core.store import BenchmarkInfo, Run

Names = tuple[str, ...]
FOLDER = "snapshots"
DOCUMENT = "snapshot.json"
MODELS = "models.csv"  # facts of the models of all snapshots
PRICES = "list_prices.csv"  # prices of a snapshot's costs, maintained by hand beside it


class Results(Protocol):
    """A benchmark with its results, the interface for pages, figures and commands.

    ``pool`` and ``tasks`` are the selected models and tasks; empty means all. Routers are named with their parameters;
    baselines are always included. Methods that need missing data raise `carrot_core.results.snapshot.NoPromptsError`;
    two attributes tell beforehand.

    Attributes
    ----------
    name : of the benchmark.
    has_prompts : whether its prompts, their outcomes and every router's estimates are available. Without them,
        `narrowed`, `estimates`, `run`, `exact_curve` and `flips` raise, and some tables of `analysis` may be missing.
    can_filter : whether ``pool`` and ``tasks`` can be given.
    fitted : names of the fitted routers, learned ones first.
    runnable : names of routers that can answer typed prompts here, the best on validation first.
    baselines : names of the baselines.
    models, tasks : the whole pool, and all task labels.
    cost_unit_usd : u of the whole pool on all tasks.
    palette : models of the whole pool from the cheapest to the most expensive, which determines their colours.
    basis : the basis on which costs are shown.
    """

    @property
    def name(self) -> str: ...
    @property
    def has_prompts(self) -> bool: ...
    @property
    def can_filter(self) -> bool: ...
    @property
    def fitted(self) -> Names: ...
    @property
    def runnable(self) -> Names: ...
    @property
    def baselines(self) -> Names: ...
    @property
    def models(self) -> Names: ...
    @property
    def tasks(self) -> Names: ...
    @property
    def cost_unit_usd(self) -> float: ...
    @property
    def palette(self) -> Names: ...
    @property
    def basis(self) -> CostBasis: ...

    def within(self, pool: Names = (), tasks: Names = ()) -> Results:
        """The results on some of the models and tasks only, with the routers that can be used on them."""
        ...

    def best_single(self, pool: Names = (), tasks: Names = ()) -> str:
        """Best single model on validation."""
        ...

    def scene(
        self, routers: Names, active: str, pool: Names = (), tasks: Names = (), reference: str | None = None
    ) -> Scene:
        """One chart of some routers and baselines, on the prompts reported on."""
        ...

    def curve(self, router: str, split: str = "test", pool: Names = (), tasks: Names = ()) -> ReadableCurve:
        """One router's curve on "test", the prompts reported on, or on "validation", where λ is chosen."""
        ...

    def exact_curve(self, router: str, split: str, pool: Names = (), tasks: Names = ()) -> Frontier:
        """The same curve prompt by prompt."""
        ...

    def matching_point(self, router: str) -> Point | None:
        """The cheapest point that promises to be as good as the best single model, on test; None if there is none."""
        ...

    def figures(self, router: str) -> Mapping[str, Any] | None:
        """Figures of a fitted router (`carrot_core.evaluation.measure_router`); None if none were stored."""
        ...

    def point_at(
        self, router: str, rate: float, reference: str | None = None, pool: Names = (), tasks: Names = ()
    ) -> Point:
        """Figures of a point on test, against the reference (by default the best single model).

        At the rate of `match`, each prompt's figures are at a rate that was chosen without it. The difference and the
        saving may have no interval.
        """
        ...

    def matchable(self, pool: Names = ()) -> Names:
        """Models that `match` can take."""
        ...

    def match(self, router: str, model: str, pool: Names = (), tasks: Names = ()) -> Solution | None:
        """The cheapest point of a router's validation curve that promises to be as good as a model alone; None if not
        even the nearest one is known."""
        ...

    def by_task(
        self, router: str, rate: float, reference: str | None = None, pool: Names = (), tasks: Names = ()
    ) -> tuple[pd.DataFrame, str]:
        """Figures on test by task (`carrot_core.evaluation.tables.by_task`) at `task_rate`, and the model they are
        compared with: the reference if it can be chosen."""
        ...

    def task_rate(self, router: str, rate: float) -> float:
        """The rate of the figures that `by_task` returns for a rate: the same, or the nearest stored one."""
        ...

    def flips(self, router: str, before: float, after: float, pool: Names = (), tasks: Names = ()) -> pd.DataFrame:
        """Test prompts that get another model between two rates."""
        ...

    def analysis(self, name: str, routers: Names) -> pd.DataFrame | None:
        """A table of `carrot_core.compare` for some routers, in their order; None if there is none."""
        ...

    def spectra(self) -> pd.DataFrame | None:
        """Spectra of the prompts' vectors (`carrot_core.theory.dimension.spectra`) and benchmark; None without any."""
        ...

    def seeds(self, routers: Names) -> tuple[int, ...]:
        """Seeds for which all of the routers have results."""
        ...

    def comparison(self, routers: Names, seeds: tuple[int, ...]) -> tuple[pd.DataFrame, pd.DataFrame, str]:
        """Figures and pairs (`carrot_core.evaluation.Comparison`), and the seed whose rows are those of the seeds.

        Pairs may exist for the mean over all seeds only.
        """
        ...

    def narrowed(self, pool: Names = (), tasks: Names = ()) -> Setting:
        """The protocol on some of the models and tasks."""
        ...

    def estimates(self, router: str, pool: Names = (), tasks: Names = ()) -> Mapping[str, Estimates]:
        """Estimates of a router by split; of a baseline on some of the models and tasks."""
        ...

    def run(self, router: str) -> Run | None:
        """The stored run of a fitted router; None for a baseline."""
        ...


@dataclass(frozen=True)
class SnapshotInfo(BenchmarkInfo):
    """A benchmark with only results, in ``folder``; its models came out in the years ``era``.

    ``date`` and ``caveats`` are those of its source (`carrot_core.results.recipes.Recipe`).
    """

    folder: Path = Path()
    era: str = ""
    date: str = ""
    caveats: Names = ()

    @property
    def has_prompts(self) -> bool:
        return False


def facts_of(entry: Mapping[str, Any]) -> tuple[ModelFacts, ...]:
    """Facts of a benchmark's models: its own if it has any, else those of ``data/models.csv``."""
    own = tuple(ModelFacts(**each) for each in entry.get("facts", ()))
    if own:
        return own
    facts = shipped_facts()
    return tuple(facts.get(model, NOTHING) for model in entry["models"])


def shipped_facts() -> dict[str, ModelFacts]:
    """Facts of the models of the snapshots that ship, by model name; each row of the file has its source.

    Empty if the file is damaged, which `damaged_snapshots` reports.
    """
    facts = _read_facts()
    return {} if isinstance(facts, DataError) else facts


def _read_facts() -> dict[str, ModelFacts] | DataError:
    try:
        return _facts_in(shipped(MODELS), file_state(shipped(MODELS)))
    except DataError as error:
        return error


@lru_cache(maxsize=1)
def _facts_in(path: Path, _state: tuple[int, int, int]) -> dict[str, ModelFacts]:
    return read_model_facts(path)


def list_prices(folder: Path) -> pd.DataFrame:
    """List prices by which a snapshot's costs are computed, a row for each model: US dollars per million tokens, date
    and source, if known; no rows if its costs are recorded dollars.

    Raises
    ------
    DataError
        The file is damaged.
    """
    path = folder / PRICES
    if not path.exists():
        return pd.DataFrame(columns=["model"])
    try:
        return pd.read_csv(path, index_col="model", dtype={"as_of": str}).reset_index()
    except (OSError, ValueError) as error:
        raise damage(path, error) from error


def shipped_snapshots() -> list[SnapshotInfo]:
    """Descriptions of the readable snapshots that ship, by name; `damaged_snapshots` has the others."""
    return [info for info in _descriptions().values() if isinstance(info, SnapshotInfo)]


def damaged_snapshots() -> dict[str, str]:
    """Errors of shipped snapshots whose description, or whose facts of models, cannot be read, by name; empty if all
    can."""
    parts = {**_descriptions(), MODELS: _read_facts()}
    return {name: str(part) for name, part in parts.items() if isinstance(part, DataError)}


def _descriptions() -> dict[str, SnapshotInfo | DataError]:
    by_name = {recipe.name: recipe for recipe in RECIPES}
    descriptions: dict[str, SnapshotInfo | DataError] = {}
    for name, about in shipped_benchmarks(FOLDER).items():
        try:
            if isinstance(about, DataError):
                raise about
            texts, recipe = {key: tuple(about[key]) for key in ("models", "warnings")}, by_name[about["name"]]
            of_recipe = {key: getattr(recipe, key) for key in ("costs", "era", "source", "date", "licence", "caveats")}
            more = {"folder": shipped(FOLDER) / name} | of_recipe
            descriptions[name] = SnapshotInfo(**about | texts | more | {"facts": facts_of(about)})
        except DataError as error:
            descriptions[name] = error
        except (KeyError, TypeError) as error:
            descriptions[name] = damage(shipped(FOLDER) / name / DOCUMENT, error)
    return descriptions
