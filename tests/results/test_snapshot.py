"""Snapshots: what is kept of a judged benchmark is what the data would show, and none of the data."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from carrot_core import curve
from carrot_core.benchmarks.built_in import BUILT_IN, folder_of, read_built_in
from carrot_core.benchmarks.long_wide_tables import read_long_table
from carrot_core.bootstrap import bootstrap_counts
from carrot_core.errors import DataError, NotFoundError
from carrot_core.evaluation import Setting, setting
from carrot_core.evaluation.tables import by_task, task_labels
from carrot_core.figures.frontier import frontier_figure
from carrot_core.figures.scene import read_out
from carrot_core.frontier import lam_of_rate, rate_of_lam
from carrot_core.metrics import latency_of_models
from carrot_core.operating_point import (
    best_within_budget,
    cheapest_reaching,
    match_model,
    operating_point,
    rate_inside,
    solve_target,
)
from carrot_core.outcomes import Benchmark
from carrot_core.paths import shipped
from carrot_core.prices import INFERRED
from carrot_core.promise import CONFIDENCE, default_confidence
from carrot_core.results import Results, list_prices, shipped_snapshots
from carrot_core.results.snapshot import LATENCY, NoPromptsError, SnapshotResults, read
from carrot_core.results.source import StoredResults
from carrot_core.store import Store
from scripts.results.build import make_snapshot, write
from tests.made import made, write_files

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bench() -> Benchmark:
    bench = made(2400)
    return replace(bench, latency_s=np.random.default_rng(3).exponential(2.0, bench.outcomes.shape))


@pytest.fixture(scope="module")
def protocol(bench: Benchmark) -> Setting:
    return setting(bench)


@pytest.fixture(scope="module")
def estimates(protocol: Setting) -> dict[str, object]:
    return protocol.estimates("carrot-knn")


@pytest.fixture(scope="module")
def snapshot_of_all(bench: Benchmark, estimates: dict, tmp_path_factory: pytest.TempPathFactory) -> SnapshotResults:
    folder = tmp_path_factory.mktemp("store")
    store = Store(folder / "carrot.duckdb")
    info = store.save_benchmark("made", read_long_table(write_files(bench, folder)[0]))
    return make_snapshot(bench, info, {"carrot-knn": estimates})


@pytest.fixture(scope="module")
def folder(snapshot_of_all: SnapshotResults, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The snapshot's folder; for reading only."""
    folder = tmp_path_factory.mktemp("snapshot") / "made"
    write(snapshot_of_all, folder)
    return folder


@pytest.fixture
def own_folder(folder: Path, tmp_path: Path) -> Path:
    """The same, of the test's own."""
    return Path(shutil.copytree(folder, tmp_path / "made"))


def test_latency_is_kept_where_it_is_recorded_and_an_old_snapshot_does_without(
    folder: Path, protocol: Setting, estimates: dict
) -> None:
    copy = read(folder)
    exact, scene = protocol.frontier(estimates, "test"), copy.scene(("carrot-knn",), "carrot-knn")
    curve = copy.curve("carrot-knn")
    there = [exact.at(rate) for rate in curve.exchange_rate_per_usd]
    np.testing.assert_allclose(curve.latency_s, exact.latency_s[:, there], rtol=1e-6)
    np.testing.assert_allclose(scene.model_latency_s, latency_of_models(exact.call_s))
    assert scene.hull_latency_s is not None
    document = json.loads(json.dumps(copy.document))
    for single in document["single_models"].values():
        del single["latency_s"], single["latency_p95_s"]
    tables = {**copy.tables, "curves": copy.tables["curves"].drop(columns=list(LATENCY))}
    old = SnapshotResults(document, tables, copy.analyses, copy.folder)
    scene = old.scene(("carrot-knn",), "carrot-knn")
    assert old.curve("carrot-knn").latency_s is scene.model_latency_s is scene.hull_latency_s is None


def test_facts_of_the_models_of_snapshots_that_ship_have_sources_and_stand_at_their_models() -> None:
    table = pd.read_csv(shipped("models.csv"), dtype=str, keep_default_na=False)
    states = table[["provider", "open_weights", "release_date", "effort"]].ne("").any(axis=1)
    assert states.equals(table["source"].ne(""))
    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    _, _, section = page.partition("#### Facts of the models that ship")
    names = ("date: in its name", "way of calling", *re.findall(r"^\| (\w[\w ]+) \|", section, re.MULTILINE))
    assert all(part.startswith(names) for part in "; ".join(table.loc[states, "source"]).split("; "))
    infos = shipped_snapshots()
    assert set(table["model"]) == {model for info in infos for model in info.models}
    for info in infos:
        for model, facts in info.facts_by_model.items():
            (row,) = table[table["model"] == model].to_dict("records")
            stated = {"true": True, "false": False, "": None}[row["open_weights"]]
            assert (facts.provider, facts.open_weights) == (row["provider"], stated)
            assert (facts.release_date, facts.base_model) == (row["release_date"], row["base_model"])
        assert read(info.folder).info.facts == info.facts


def test_list_prices_stand_beside_the_snapshots_whose_costs_are_computed_at_them() -> None:
    for info in shipped_snapshots():
        prices = list_prices(info.folder)
        assert set(prices["model"]) == (set() if info.costs.startswith("recorded dollars") else set(info.models))
        if not prices.empty:
            assert (prices["input_usd_per_mtok"] > 0).all()
            assert prices["source"].ne("").all()
            assert all(info.costs.startswith(f"list prices of {date}") for date in prices["as_of"].dropna())


@pytest.mark.parametrize("router", ["carrot-knn", "task-lookup", "oracle", "zero"])
@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_small_curve_is_kept_whole(folder: Path, protocol: Setting, estimates: dict, router: str, split: str) -> None:
    exact = protocol.frontier(protocol.baselines.get(router, estimates), split)
    copy = read(folder).curve(router, split)
    assert (copy.models, copy.n_prompts, copy.n_points) == (exact.models, exact.n_prompts, len(exact.score))
    np.testing.assert_array_equal(copy.exchange_rate_per_usd, exact.exchange_rate_per_usd)
    np.testing.assert_allclose(copy.score, exact.score, rtol=1e-6)
    np.testing.assert_allclose(copy.cost_usd, exact.cost_usd, rtol=1e-6)
    rates = [0.0, *exact.exchange_rate_per_usd[::7], np.inf]
    np.testing.assert_allclose(copy.shares(rates), exact.shares(rates), atol=1e-6)


def test_a_large_curve_keeps_its_line_both_ends_and_all_a_budget_may_choose(
    monkeypatch: pytest.MonkeyPatch, protocol: Setting
) -> None:
    monkeypatch.setattr(curve, "MOST_POINTS", 20)
    # Without latency, which is noise here, so that its line needs every point.
    exact = replace(protocol.frontier(protocol.estimates("carrot-knn"), "test"), call_s=None)
    copy = curve.save_curve(exact)
    assert 20 <= len(copy.score) < len(exact.score) == copy.n_points
    assert copy.exchange_rate_per_usd[[0, -1]].tolist() == exact.exchange_rate_per_usd[[0, -1]].tolist()
    at = [exact.at(rate) for rate in copy.exchange_rate_per_usd]
    np.testing.assert_array_equal(copy.score, exact.score[at])
    for budget in np.linspace(exact.cost_usd.min() * 0.9, exact.cost_usd.max(), 50):
        assert best_within_budget(copy, budget) == best_within_budget(exact, budget)
    for target in np.linspace(exact.score.min(), exact.score.max() * 1.01, 50):
        assert cheapest_reaching(copy, target) == cheapest_reaching(exact, target)


def test_the_scene_reads_as_that_of_the_data(folder: Path, protocol: Setting, estimates: dict) -> None:
    scene = read(folder).scene(("carrot-knn", "oracle"), "carrot-knn")
    exact = protocol.frontier(estimates, "test")
    assert scene.best_single == protocol.best_single
    assert frontier_figure(scene).data
    for lam in (0.0, 0.02, 0.3, 1.0):
        point, at = read_out(scene, lam), exact.at(rate_of_lam(lam, protocol.cost_unit_usd))
        assert point.score == pytest.approx(exact.score[at])
        assert point.cost_usd == pytest.approx(exact.cost_usd[at])
    assert scene.active_curve.band is not None
    assert scene.curves[1].band is None
    zero = protocol.frontier(protocol.baselines["zero"], "test")  # not the hull of the test means: it never saw them
    assert scene.hull_score == pytest.approx(zero.score[::-1])
    assert scene.hull_cost_usd == pytest.approx(zero.cost_usd[::-1])


def test_the_matching_point_is_the_one_chosen_on_validation(folder: Path, protocol: Setting, estimates: dict) -> None:
    point = read(folder).matching_point("carrot-knn")
    chosen = protocol.frontier(estimates, "validation")
    solution = match_model(chosen, protocol.best_single, CONFIDENCE)
    rate = solution.exchange_rate_per_usd
    assert solution.reached
    assert point is not None
    assert point.promise == solution.promise
    assert point.exchange_rate_per_usd == pytest.approx(rate)
    curve = protocol.frontier(estimates, "test")
    assert point.score.value == pytest.approx(curve.score[curve.at(rate)])
    assert point.score.low <= point.score.value <= point.score.high


def test_paired_errors_are_those_of_replicates(folder: Path, protocol: Setting, estimates: dict) -> None:
    curve, shares = protocol.frontier(estimates, "test"), read(folder).tables["shares"]
    own = shares[(shares["router"] == "carrot-knn") & (shares["split"] == "test")].iloc[::40]
    assert len(own) > 2
    for row in own.itertuples():
        rate, drawn = row.exchange_rate_per_usd, bootstrap_counts(curve.n_prompts)
        point = operating_point(curve, rate, protocol.best_single, protocol.cost_unit_usd, drawn)
        for error, interval in (
            (row.score_difference_error, point.score_difference),
            (row.saving_error, point.saving),
        ):
            assert error == pytest.approx((interval.high - interval.low) / (2 * 1.96), rel=0.1)


def test_slices_by_task_are_those_of_a_point_of_the_curve(folder: Path, protocol: Setting, estimates: dict) -> None:
    exact = protocol.frontier(estimates, "test")
    copy, against = read(folder).by_task("carrot-knn", rate_inside(exact, 0))
    assert against == protocol.best_single
    whole = by_task(exact, task_labels(protocol, exact), 0.0, protocol.best_single)
    pd.testing.assert_frame_equal(
        copy[whole.columns], whole, check_dtype=False, check_index_type=False, rtol=1e-5, obj="slices at rate 0"
    )


def test_slices_are_those_of_the_nearest_kept_lam(folder: Path, protocol: Setting) -> None:
    copy, unit = read(folder), protocol.cost_unit_usd
    lams = lam_of_rate(copy.tables["tasks"].query("router == 'carrot-knn'")["exchange_rate_per_usd"].unique(), unit)
    for lam in (0.0, 0.013, 0.3, 0.77, 1.0):
        rate = copy.task_rate("carrot-knn", rate_of_lam(lam, unit))
        assert abs(lam_of_rate(rate, unit) - lam) == pytest.approx(np.abs(lams - lam).min())
        assert set(copy.by_task("carrot-knn", rate_of_lam(lam, unit))[0]["exchange_rate_per_usd"]) == {rate}


def test_stored_and_shipped_results_answer_alike(folder: Path, protocol: Setting, estimates: dict) -> None:
    stored, snapshot = StoredResults("made", protocol, {"carrot-knn": estimates}), read(folder)
    one: Results
    for one in (stored, snapshot):
        assert (one.name, one.fitted, one.models) == ("made", ("carrot-knn",), protocol.models)
        assert one.best_single() == protocol.best_single
        assert one.best_single() in one.matchable()
        point = one.matching_point("carrot-knn")
        solution = one.match("carrot-knn", protocol.best_single)
        assert point is not None
        assert solution is not None
        assert solution.exchange_rate_per_usd == point.exchange_rate_per_usd
        assert solution.promise == point.promise
        assert point.promise is not None
        validation = one.curve("carrot-knn", "validation")
        assert default_confidence(validation) == CONFIDENCE
        assert solve_target(validation, 0.6, CONFIDENCE).reached
    assert stored.tasks == snapshot.tasks
    here, there = (one.matching_point("carrot-knn") for one in (stored, snapshot))
    assert (here.lam, here.score.value, here.saving.value) == (there.lam, there.score.value, there.saving.value)
    rate = snapshot.task_rate("carrot-knn", 40.0)
    slices, other = stored.by_task("carrot-knn", rate), snapshot.by_task("carrot-knn", rate)
    assert slices[1] == other[1]
    assert slices[0]["score"].to_numpy() == pytest.approx(other[0]["score"].to_numpy())


def test_a_snapshot_says_beforehand_what_it_cannot_do_and_refuses_it(folder: Path, protocol: Setting) -> None:
    snapshot: Results = read(folder)
    assert not snapshot.has_prompts
    assert not snapshot.can_filter
    some = protocol.models[:2]
    refusals: list[Callable[[], object]] = [
        snapshot.narrowed,
        lambda: snapshot.estimates("carrot-knn"),
        lambda: snapshot.run("carrot-knn"),
        lambda: snapshot.exact_curve("carrot-knn", "test"),
        lambda: snapshot.flips("carrot-knn", 0.0, 1.0),
        lambda: snapshot.scene(("carrot-knn",), "carrot-knn", some),
        lambda: snapshot.curve("carrot-knn", "test", some),
        lambda: snapshot.best_single((), ("kind 0",)),
    ]
    for ask in refusals:
        with pytest.raises(NoPromptsError, match="holds no prompts"):
            ask()
    with pytest.raises(NotFoundError):
        snapshot.match("carrot-knn", "acme/small", snapshot.curve("carrot-knn", "validation"))


def test_no_prompt_is_in_any_file(folder: Path, bench: Benchmark) -> None:
    content = b"".join(path.read_bytes() for path in folder.iterdir())
    frames = "".join(pd.read_parquet(path).to_csv() for path in folder.glob("*.parquet"))
    for prompt_id, text in list(zip(bench.prompt_ids, bench.texts, strict=True))[::50]:
        assert prompt_id not in frames
        assert text is not None
        assert text.encode() not in content
        assert text not in frames


@pytest.mark.parametrize("name", ["snapshot.json", "curves.parquet", "analysis-agreement.parquet"])
@pytest.mark.parametrize("damage", ["gone", "half", "empty"])
def test_a_damaged_part_of_a_snapshot_is_named_where_it_is_wanted(own_folder: Path, name: str, damage: str) -> None:
    folder, path = own_folder, own_folder / name
    content = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes(content[: len(content) // 2] if damage == "half" else b"")
    uses = {
        "snapshot.json": lambda: read(folder),
        "curves.parquet": lambda: read(folder).curve("oracle"),
        "analysis-agreement.parquet": lambda: read(folder).analysis("agreement", ("carrot-knn", "zero")),
    }
    for part, use in uses.items():
        if part == name and (part.startswith("analysis"), damage) != (True, "gone"):
            with pytest.raises(DataError, match=f"made/{name}"):
                use()
        elif name != "snapshot.json":
            use()


def test_a_later_format_is_named(own_folder: Path) -> None:
    path = own_folder / "snapshot.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 2}))
    with pytest.raises(DataError, match="format 2"):
        read(own_folder)


def test_what_ships_can_be_opened() -> None:
    infos = shipped_snapshots()
    assert "mmlu-pro-cot" in {info.name for info in infos}
    for info in infos:
        copy = read(info.folder)
        assert (copy.info.name, copy.info.data_hash) == (info.name, info.data_hash)
        scene = copy.scene(copy.routers[:2], copy.routers[0])
        assert scene.n_prompts > 50
        assert np.all(np.diff(copy.curve(copy.routers[0]).exchange_rate_per_usd) > 0)


def test_what_costs_are_is_told_of_every_benchmark(tmp_path: Path) -> None:
    shipped = {info.name: info for info in shipped_snapshots()}
    assert shipped["routerbench-subset"].costs.startswith("recorded dollars")
    assert shipped["mmlu-pro-cot"].costs == "list prices of 2024"
    assert {info.era for info in shipped.values()} == {"2023-24"}
    store = Store(tmp_path / "carrot.store")
    for name in BUILT_IN:
        store.save_benchmark(name, read_built_in(folder_of(name)), shadow=True)
    assert store.info("openhands-index").costs == "recorded dollars"  # it has list prices and no tokens
    assert store.info("misguided-attention").costs == "prices of 2025-07"
    frames = read_built_in(folder_of("misguided-attention"))
    undated = replace(frames, models=frames.models.assign(as_of=""))
    store.save_benchmark("undated", undated)
    assert store.info("undated").costs == "undated prices"
    store.save_benchmark("inferred", replace(undated, models=undated.models.assign(source=INFERRED)))
    assert store.info("inferred").costs == "recorded dollars"
    store.save_benchmark(
        "two dates", replace(frames, models=frames.models.assign(as_of=_two_dates(len(frames.models))))
    )
    assert store.info("two dates").costs == "prices of 2024-01 to 2025-02"


def _two_dates(number: int) -> list[str]:
    return ["2025-02" if k % 2 else "2024-01" for k in range(number)]
