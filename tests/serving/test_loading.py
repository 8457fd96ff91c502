"""Where routers for typed prompts come from, and that a file decides as the router it was made from."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from itertools import product
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from carrot_core import CarrotRouter
from carrot_core.embedding import BUNDLED
from carrot_core.errors import CarrotError, DataError, NotFoundError
from carrot_core.evaluation import setting
from carrot_core.frontier import rate_of_lam
from carrot_core.outcomes import Benchmark
from carrot_core.points.formats import format_for
from carrot_core.routers.saving import save_router
from carrot_core.serving import loading
from carrot_core.serving.loading import shipped_head, shipped_heads
from carrot_core.serving.point import PointFile, differences, write_point
from carrot_core.serving.profile import profile_of
from carrot_core.store import Store
from tests.made import MODELS, fill, made

ROOT = Path(__file__).resolve().parents[2]
TEXTS = [f"Question {i} of kind {i % 2}" for i in range(40)]


@pytest.fixture(scope="module")
def bench() -> Benchmark:
    return made(400)


@pytest.fixture(scope="module")
def store(bench: Benchmark, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store that holds the made-up benchmark."""
    store = Store(tmp_path_factory.mktemp("store") / "carrot.duckdb")
    for name in ("made", "made.JSON", "routellm"):
        fill(store, replace(bench, name=name))
    return store


@pytest.fixture
def nothing(tmp_path: Path) -> Store:
    return Store(tmp_path / "nothing.duckdb")


@pytest.fixture(scope="module")
def folder(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A router saved with what typed prompts need."""
    folder = tmp_path_factory.mktemp("saved")
    protocol = setting(store.load("made", encoder=BUNDLED))
    fitted, estimates = protocol.fit("carrot-linear")
    save_router(fitted, folder, {}, profile_of(protocol, fitted, estimates))
    return folder


def test_every_shipped_head_answers_and_says_how_far_its_intervals_hold(nothing: Store) -> None:
    names = shipped_heads()
    assert "mmlu-pro-cot" in names
    for name in names:
        router = CarrotRouter.load(name, store=nothing)
        about = router.profile
        assert (router.router, about.benchmark, about.best_single in router.models) == ("carrot-mlp", name, True)
        assert router.route("What is 2 + 2?", lam=1.0) in router.models
        assert about.coverage["nominal"] == 0.9
        assert about.coverage["score"] is not None
        assert about.coverage["score"] > 0.85
        assert about.coverage["usage"] is None or 0.87 < about.coverage["usage"] < 0.95
        assert about.coverage["unlike"] is not None
        assert about.coverage["unlike"] < 0.02
        assert {len(curve.score) > 1 for curve in about.curves.values()} == {True}


def test_a_head_has_no_neighbours_without_its_data(nothing: Store) -> None:
    assert CarrotRouter.load("mmlu-pro-cot", store=nothing).explain("x").nearest is None


def test_a_benchmark_in_the_store_is_fitted_and_shows_neighbours(store: Store) -> None:
    router = CarrotRouter.load("made", store=store)
    assert router.router == "carrot-knn"
    nearest = router.explain(TEXTS[0]).nearest
    assert nearest is not None
    assert nearest["similarity"].is_monotonic_decreasing
    train = store.load("made").part("train")
    for _, row in nearest.iterrows():
        at = train.texts.index(row["prompt"])
        assert row["task"] == train.tasks[at]
        np.testing.assert_array_equal(row[list(train.models)].to_numpy(dtype=float), train.outcomes.score[at])
    assert CarrotRouter.load("made", router="carrot-linear", store=store).router == "carrot-linear"


def test_a_label_changes_what_is_fitted_only_where_there_are_labels_that_the_router_can_read(
    nothing: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "_load_fitted", lambda _path, _version, *fit: fit)
    small = made(20)
    for name, tasks in (("labelled", small.tasks), ("one label", ("", "only") * 10), ("none", ("",) * 20)):
        fill(nothing, replace(small, name=name, tasks=tasks))
        for router, use_task in product((None, "carrot-knn", "carrot-linear"), (False, True)):
            labelled = use_task and name == "labelled" and router != "carrot-knn"
            expected = router or ("carrot-linear" if labelled else "carrot-knn")
            assert loading._load_source(name, router, nothing, use_task) == (name, expected, labelled)


def test_a_router_fitted_here_reads_task_labels_where_that_is_wanted_and_it_can(store: Store, tmp_path: Path) -> None:
    labelled, plain = (
        CarrotRouter.load("made", store=store, use_task=True, router=name) for name in (None, "carrot-knn")
    )
    assert labelled.router == "carrot-linear"
    assert set(labelled.task_labels) == set(store.load("made").tasks)
    assert plain.task_labels == CarrotRouter.load("made", router="carrot-linear", store=store).task_labels == ()
    one, other = (labelled.decide(TEXTS[:1], task=label).estimates for label in labelled.task_labels[:2])
    assert (one.score != other.score).any()
    labelled.save_point(tmp_path / "point.json", lam=0.1)
    assert CarrotRouter.load(tmp_path / "point.json", store=store).task_labels == labelled.task_labels


def test_a_saved_router_finds_its_training_prompts_in_the_store(folder: Path, store: Store, nothing: Store) -> None:
    assert CarrotRouter.load(folder, store=store).explain("x").nearest is not None
    assert CarrotRouter.load(folder, store=nothing).explain("x").nearest is None


def test_a_saved_router_decides_as_before(folder: Path, store: Store, nothing: Store) -> None:
    fitted = CarrotRouter.load("made", router="carrot-linear", store=store)
    saved = CarrotRouter.load(str(folder), store=nothing)
    for lam in (0.0, 0.05, 0.5, 1.0):
        expected, result = (router.decide(TEXTS, lam=lam) for router in (fitted, saved))
        np.testing.assert_array_equal(result.estimates.score, expected.estimates.score)
        np.testing.assert_array_equal(result.estimates.cost_usd, expected.estimates.cost_usd)
        assert result.models == expected.models


def test_a_router_saved_without_what_typed_prompts_need_says_so(bench: Benchmark, tmp_path: Path, store: Store) -> None:
    fitted, _ = setting(bench).fit("carrot-linear")
    save_router(fitted, tmp_path / "old")
    with pytest.raises(DataError, match="save it again with `carrot router save`"):
        CarrotRouter.load(tmp_path / "old", store=store)


def test_a_router_that_is_not_there_is_refused_and_no_other_answers(folder: Path, store: Store, nothing: Store) -> None:
    assert CarrotRouter.load(folder, router="carrot-linear", store=nothing).router == "carrot-linear"
    with pytest.raises(CarrotError, match="is carrot-linear, not carrot-knn"):
        CarrotRouter.load(folder, router="carrot-knn", store=store)
    with pytest.raises(NotFoundError, match="carrot-knn cannot be fitted on 'mmlu-pro-cot': the benchmark is not"):
        CarrotRouter.load("mmlu-pro-cot", router="carrot-knn", store=nothing)


def test_an_encoder_that_only_a_file_names_is_not_fetched(store: Store, tmp_path: Path) -> None:
    protocol = setting(store.load("made", encoder=BUNDLED))
    fitted, estimates = protocol.fit("carrot-linear")
    save_router(fitted, tmp_path / "saved", {}, replace(profile_of(protocol, fitted, estimates), encoder="acme/none"))
    with pytest.raises(CarrotError, match="'acme/none', which is not on this machine"):
        CarrotRouter.load(tmp_path / "saved", store=store)


def test_what_there_is_not_is_told_with_what_there_is(nothing: Store, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="mmlu-pro-cot"):
        CarrotRouter.load("no such", store=nothing)
    with pytest.raises(NotFoundError, match="no such"):
        CarrotRouter.load(tmp_path / "no such", store=nothing)


@pytest.fixture
def point(folder: Path, store: Store, tmp_path: Path) -> Path:
    router = CarrotRouter.load(folder, store=store)
    router.save_point(
        tmp_path / "point.json",
        lam=0.07,
        pool=MODELS[1:],
        prices={"acme/small": (0.3, 0.9)},
        fallback="zeta/mid",
        fallback_above=40.0,
    )
    return tmp_path / "point.json"


def test_a_point_decides_as_what_it_was_exported_from(point: Path, folder: Path, nothing: Store) -> None:
    options: dict[str, Any] = {"pool": MODELS[1:], "prices": {"acme/small": (0.3, 0.9)}, "fallback": "zeta/mid"}
    expected = CarrotRouter.load(folder, store=nothing).decide(TEXTS, lam=0.07, fallback_above=40.0, **options)
    loaded = CarrotRouter.load(point, store=nothing)
    result = loaded.decide(TEXTS)
    assert result.lam == loaded.default_lam == 0.07
    assert result.models == expected.models
    assert result.estimates.models == MODELS[1:]
    np.testing.assert_array_equal(result.fell_back, expected.fell_back)
    np.testing.assert_array_equal(result.estimates.cost_usd, expected.estimates.cost_usd)
    assert loaded.decide(TEXTS, lam=1.0, pool=MODELS[2:]).models == [MODELS[2]] * len(TEXTS)
    with pytest.raises(CarrotError, match="is carrot-linear, not zero"):
        CarrotRouter.load(point, router="zero", store=nothing)


def test_a_point_s_pool_and_fallback_are_left_out_replaced_or_switched_off(point: Path, nothing: Store) -> None:
    loaded = CarrotRouter.load(point, store=nothing)
    assert loaded.decide(TEXTS, fallback_above=0.0).fell_back.all()
    assert not loaded.decide(TEXTS, fallback_above=0.0, fallback=None).fell_back.any()
    assert loaded.decide(TEXTS, fallback_above=0.0, fallback=MODELS[1]).models == [MODELS[1]] * len(TEXTS)
    assert loaded.point_file(fallback=None).fallback is None
    assert loaded.point_file().fallback == loaded.point.fallback == "zeta/mid"
    assert loaded.decide(TEXTS, pool=None).estimates.models == MODELS[1:]
    with pytest.raises(CarrotError, match="at least one model"):
        loaded.decide(TEXTS, pool=[])
    with pytest.raises(CarrotError, match="at least one model"):
        loaded.estimate(TEXTS, pool=[])


def test_a_point_on_a_budget_keeps_the_solved_lambda(folder: Path, nothing: Store, tmp_path: Path) -> None:
    router = CarrotRouter.load(folder, store=nothing)
    curve = router.profile.curves["validation"]
    budget = 1000 * float(np.median(curve.cost_usd))
    router.save_point(tmp_path / "p.json", budget=budget)
    loaded = CarrotRouter.load(tmp_path / "p.json", store=nothing)
    assert loaded.route(TEXTS) == router.route(TEXTS, budget=budget)


def test_a_name_means_one_thing_or_is_refused(
    store: Store, folder: Path, point: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A benchmark whose name looks like a file's, beside files and folders whose names are a benchmark's."""
    monkeypatch.chdir(tmp_path)
    assert CarrotRouter.load("made.JSON", store=store).profile.benchmark == "made.JSON"
    point.rename("made.JSON")
    copytree(folder, "mmlu-pro-cot")
    for name in ("made.JSON", "mmlu-pro-cot"):
        with pytest.raises(CarrotError, match=f"write './{name}'"):
            CarrotRouter.load(name, store=store)
    assert (
        CarrotRouter.load("./made.JSON", store=store).point == CarrotRouter.load(Path("made.JSON"), store=store).point
    )
    assert CarrotRouter.load("./mmlu-pro-cot", store=store).router == "carrot-linear"


@pytest.mark.parametrize("ending", [".json", ".JSON", ".yaml", ".yml", ".YML"])
def test_a_point_is_read_whatever_letters_its_ending_has(
    ending: str, point: Path, nothing: Store, tmp_path: Path
) -> None:
    router = CarrotRouter.load(point, store=nothing)
    path = tmp_path / f"other{ending}"
    path.write_bytes(format_for(path.name).make(router, router.point))
    assert CarrotRouter.load(str(path), store=nothing).point == router.point


def test_own_results_under_the_name_of_a_shipped_head_are_what_the_name_means(store: Store, nothing: Store) -> None:
    own, head = CarrotRouter.load("routellm", store=store), shipped_head("routellm", nothing)
    assert own.profile.data_hash == store.info("made").data_hash != head.profile.data_hash
    assert own.models == MODELS
    assert CarrotRouter.load("routellm", store=nothing).artefact == head.artefact
    assert (store.shadows("routellm"), nothing.shadows("routellm"), store.shadows("made")) == (True, False, False)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"lam": 1.5}, "lam"),
        ({"lam": None}, "lam"),
        ({"pool": []}, "pool"),
        ({"prices": {"acme/small": {"input_usd_per_mtok": -1, "output_usd_per_mtok": 1}}}, "acme/small"),
        ({"unknown": 1}, "unknown"),
        ({"format": 2}, "format"),
        ({"artefact": "0" * 64}, "rests on other fitted numbers"),
        ({"data_hash": "0" * 64}, "rests on other data"),
        ({"cost_unit_usd": 1.0}, "rests on other cost unit"),
        ({"router": "zero"}, "rests on other router"),
        ({"source": "point.json"}, "names another operating point"),
        ({"source": "x" * 300}, "There is no router 'xxx"),
        ({"source": "x" * 5000}, "at most 4096 characters"),
        ({"pool": ["nobody"]}, "'nobody'"),
        ({"fallback": "nobody"}, "'nobody'"),
    ],
)
def test_a_point_that_is_not_whole_is_refused(point: Path, nothing: Store, change: dict[str, Any], says: str) -> None:
    changed = json.loads(point.read_text()) | change
    point.write_text(json.dumps(changed))
    with pytest.raises(CarrotError):
        CarrotRouter.load(point, store=nothing)
    with suppress(ValidationError):  # sealed again by somebody who knows how
        write_point(PointFile.model_validate(changed).sealed(), point)
    with pytest.raises(CarrotError, match=says):
        CarrotRouter.load(point, store=nothing)


def test_numbers_changed_by_hand_are_noticed(point: Path, nothing: Store) -> None:
    document = json.loads(point.read_text())
    for change in ({"lam": 0.08}, {"note": "x"}, {"pool": document["pool"][::-1]}, {"sha256": ""}):
        point.write_text(json.dumps(document | change))
        with pytest.raises(DataError, match="was changed after it was exported"):
            CarrotRouter.load(point, store=nothing)


def test_a_point_says_what_to_expect_where_that_was_measured(folder: Path, store: Store, nothing: Store) -> None:
    router = CarrotRouter.load(folder, store=nothing)
    protocol = setting(store.load("made", encoder=BUNDLED))
    estimates = protocol.estimates("carrot-linear")
    for lam in (0.0, 0.03, 0.2, 1.0):
        point = router.point_file(lam=lam)
        for split, figures in (("validation", point.validation), ("test", point.test)):
            curve = protocol.frontier(estimates, "validation" if split == "validation" else protocol.report_on)
            at = curve.at(rate_of_lam(lam, protocol.cost_unit_usd))
            assert figures is not None
            assert figures.score == pytest.approx(curve.score[at], abs=1e-6)
            assert figures.cost_usd == pytest.approx(curve.cost_usd[at], rel=1e-6)
            chosen = curve.outcomes.score[np.arange(curve.n_prompts), curve.choices(curve.exchange_rate_per_usd[at])]
            error = chosen.std() / np.sqrt(len(chosen))
            assert figures.score_high == pytest.approx(figures.score + 1.96 * error, abs=1e-4)
        assert sum((point.shares or {}).values()) == pytest.approx(1, abs=1e-5)
    assert router.point_file(lam=0.1, pool=MODELS[:2]).test is None
    assert router.point_file(lam=0.1, prices={MODELS[0]: (1.0, 1.0)}).test is None


def test_points_are_compared_field_by_field(folder: Path, nothing: Store) -> None:
    router = CarrotRouter.load(folder, store=nothing)
    one, same = router.point_file(lam=0.0), router.point_file(lam=0.0)
    assert differences(one, same) == {}
    result = differences(one, router.point_file(lam=1.0, fallback=MODELS[0]))
    assert result["lam"] == (0.0, 1.0)
    assert result["fallback"] == (None, MODELS[0])
    assert "test: score" in result


def test_the_schema_that_is_published_is_that_of_the_document() -> None:
    published = json.loads((ROOT / "docs" / "point.schema.json").read_text())
    assert published == PointFile.model_json_schema()


@pytest.mark.parametrize("text", ["", "[]", "{", "null", '{"lam": NaN}', "[" * 100_000])
def test_a_file_that_is_no_point_is_refused(nothing: Store, tmp_path: Path, text: str) -> None:
    path = tmp_path / "point.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"point\.json"):
        CarrotRouter.load(path, store=nothing)
    with pytest.raises(NotFoundError, match="no file"):
        CarrotRouter.load(tmp_path / "none.json", store=nothing)
