"""A benchmark with its results, wherever they are: fitted here, or in a snapshot that ships."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from carrot_core.compare import ANALYSES
from carrot_core.embedding import BUNDLED
from carrot_core.errors import NotFoundError
from carrot_core.evaluation import Setting, make_setting
from carrot_core.evaluation.runs import newest_runs
from carrot_core.figures.scene import Scene, compose
from carrot_core.outcomes import Estimates
from carrot_core.results.snapshot import Snapshot, read, shipped_snapshots
from carrot_core.routers import BASELINES
from carrot_core.store import Store
from carrot_core.theory.dimension import SUBSAMPLE, distinct, spectra, subsample

LEAST_VECTORS = 50  # for a spectrum, and for the graph of neighbours behind Isomap


@dataclass(frozen=True, eq=False)
class Judged:
    """A benchmark whose data are at hand, with the routers fitted on it.

    Attributes
    ----------
    name : of the benchmark.
    made : the protocol.
    estimates : of every fitted router, by its name with parameters and by split.
    vectors : (n, d) of the prompts; None where they were not embedded.
    """

    name: str
    made: Setting
    estimates: Mapping[str, Mapping[str, Estimates]]
    vectors: npt.NDArray[np.float32] | None = None

    @property
    def fitted(self) -> tuple[str, ...]:
        """Names of the fitted routers."""
        return tuple(self.estimates)

    def scene(self, routers: Sequence[str], active: str, reference: str | None = None) -> Scene:
        """One chart of some routers and baselines, on the prompts reported on and the whole pool."""
        return compose(
            self.made,
            {name: self.estimates[name] for name in routers if name not in BASELINES},
            title=self.name,
            active=active,
            reference=reference,
            baselines=[name for name in routers if name in BASELINES],
        )

    def analysis(self, name: str, routers: Sequence[str]) -> pd.DataFrame:
        """A table of `carrot_core.compare` for some routers and baselines."""
        return ANALYSES[name].make(self.made, {router: self._of(router) for router in routers})

    def spectra(self) -> pd.DataFrame | None:
        """Spectra of the prompts' vectors, see `spectra_of`."""
        return spectra_of(self.name, self.vectors)

    def _of(self, router: str) -> Mapping[str, Estimates]:
        return self.made.baselines[router] if router in BASELINES else self.estimates[router]


def spectra_of(name: str, vectors: npt.NDArray[np.float32] | None) -> pd.DataFrame | None:
    """Spectra of a sample of a benchmark's vectors, with its name; some seconds.

    None without vectors, or where fewer than `LEAST_VECTORS` prompts have one of their own.
    """
    own = np.empty((0, 1)) if vectors is None else distinct(vectors[~np.isnan(vectors).any(axis=1)])
    if len(own) < LEAST_VECTORS:
        return None
    return spectra(subsample(own, SUBSAMPLE)).assign(benchmark=name)


def judged_names(store: Store) -> list[str]:
    """Names of all benchmarks in a store, then of the snapshots that ship and are not in it."""
    stored = [info.name for info in store.benchmarks()]
    return [*stored, *(info.name for info in shipped_snapshots() if info.name not in stored)]


def open_judged(store: Store, name: str) -> Judged | Snapshot:
    """A benchmark of a store with the routers fitted on it; else the snapshot of that name.

    Raises
    ------
    NotFoundError
        There is neither.
    """
    if name in {info.name for info in store.benchmarks()}:
        runs = {title: store.load_run(run.run_id) for title, run in newest_runs(store, name).items()}
        bench = store.load(name, encoder=BUNDLED)
        tables = {title: run.estimates or {} for title, run in runs.items()}
        return Judged(name, make_setting(bench), tables, bench.vectors)
    folder = next((info.folder for info in shipped_snapshots() if info.name == name), None)
    if folder is None:
        raise NotFoundError(f"No benchmark {name!r}; there are {', '.join(judged_names(store))}.")
    return read(folder)
