"""Tables about routers: each against a slow, obvious way to the same numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from carrot_core.compare import ANALYSES, SNAPSHOT_TABLES
from carrot_core.compare.model_shares_agreement import agreement
from carrot_core.evaluation import Setting, setting
from carrot_core.evaluation.tables import LAMS
from carrot_core.frontier import rate_of_lam
from carrot_core.outcomes import Estimates
from tests.made import made


@pytest.fixture(scope="module")
def bench() -> Setting:
    return setting(made(240))


@pytest.fixture(scope="module")
def routers(bench: Setting) -> dict[str, dict[str, Estimates]]:
    return {name: dict(bench.estimates(name, 0)) for name in ("carrot-knn", "zero", "task-lookup")}


def test_agreement_counts_equal_choices(bench: Setting, routers: dict[str, dict[str, Estimates]]) -> None:
    table = agreement(bench, routers)
    for name, other, lam in (("carrot-knn", "zero", 0.3), ("task-lookup", "carrot-knn", 0.0)):
        chosen = []
        for router in (name, other):
            estimates = routers[router]["test"]
            rate = rate_of_lam(lam, bench.cost_unit_usd)
            ranked = [
                sorted(zip(-(s - rate * c), c, estimates.models, strict=True))[0][2]
                for s, c in zip(estimates.score, estimates.cost_usd, strict=True)
            ]
            chosen.append(dict(zip(estimates.prompt_ids, ranked, strict=True)))
        same = np.mean([chosen[0][prompt] == chosen[1][prompt] for prompt in chosen[0]])
        row = table[(table["router"] == name) & (table["other"] == other) & (table["lam"] == lam)]
        assert row["agreement"].item() == pytest.approx(same)


def test_agreement_is_symmetric_and_whole_with_itself(bench: Setting, routers: dict[str, dict[str, Estimates]]) -> None:
    table = agreement(bench, routers)
    for lam in LAMS:
        square = table[table["lam"] == lam].pivot(index="router", columns="other", values="agreement")
        np.testing.assert_array_equal(square.to_numpy(), square.to_numpy().T)
        np.testing.assert_array_equal(np.diag(square.to_numpy()), 1.0)


def test_every_analysis_names_its_routers(bench: Setting, routers: dict[str, dict[str, Estimates]]) -> None:
    for name, analysis in ANALYSES.items():
        table = analysis.make(bench, routers)
        # Baselines are what the gains of "learnable" are measured against.
        assert set(table["router"]) == ({"carrot-knn"} if name == "learnable" else set(routers)), name


def test_no_analysis_that_snapshots_keep_tells_of_single_prompts(
    bench: Setting, routers: dict[str, dict[str, Estimates]], tmp_path: Path
) -> None:
    ids = set(bench.everything.prompt_ids) | {text for text in bench.everything.texts if text}
    for name in SNAPSHOT_TABLES:
        table = ANALYSES[name].make(bench, routers)
        for column in table.select_dtypes(exclude="number"):
            assert not ids & set(table[column]), name
