"""The paper's figures: on a fitted benchmark and on snapshots, in every theme and form; what is missing, in words."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from carrot_core.cli import main
from carrot_core.errors import CarrotError, NotFoundError
from carrot_core.evaluation import setting
from carrot_core.figures import exhibit
from carrot_core.figures.exhibit import as_html, as_json, as_latex, folder_name, write_exhibits
from carrot_core.figures.frontier import box, sides
from carrot_core.figures.theme import THEMES
from carrot_core.outcomes import Benchmark, Outcomes
from carrot_core.paper import PRESETS, PUBLISHED, ROWS, NotDrawnError, knn_accuracy
from carrot_core.paper.curves import accuracy_range, chart_exhibit, deferral_figure
from carrot_core.paper.spider import AUTHORS, HONEST, MOST_TASKS, axis_labels, kept_share, spider
from carrot_core.results import Results, shipped_snapshots
from carrot_core.results.snapshot import read
from carrot_core.results.source import StoredResults, open_results, result_names
from carrot_core.store import Store
from scripts.results.build import make_snapshot, write
from tests.figures.test_exhibit import HOSTILE
from tests.made import MODELS, made
from tests.scenes import scene as made_scene

pytestmark = pytest.mark.slow

RESULTS = [name for name in PRESETS if name != "embedding-dimension"]  # the rest, of vectors alone, is no result
FITTED = ("carrot-knn", "rorf", "routellm-mf", "routerbench-knn")
_COLOR = re.compile(r"#[0-9a-fA-F]{3,8}\b|rgba?\([^)]*\)")


def _bench(tasks: int = 4, name: str = "made") -> Benchmark:
    bench = made(240)
    return replace(bench, name=name, tasks=tuple(f"kind {i % tasks}" for i in range(240)))


def _stored(bench: Benchmark, fitted: tuple[str, ...] = FITTED) -> StoredResults:
    result = setting(bench)
    return StoredResults(bench.name, result, {router: result.estimates(router) for router in fitted})


@pytest.fixture(scope="module")
def stored() -> StoredResults:
    return _stored(_bench())


@pytest.fixture(scope="module")
def snapshot(stored: StoredResults, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """A snapshot of the same benchmark, written and read."""
    any_info = read(shipped_snapshots()[0].folder).info
    info = replace(any_info, name="made", models=stored.setting.models)
    path = tmp_path_factory.mktemp("snapshot")
    write(make_snapshot(_bench(), info, stored.tables), path)
    return read(path)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key != "legendgroup":  # never shown
                yield from _texts(item)
    elif isinstance(value, list | tuple | np.ndarray):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value


def _channels(color: str) -> list[str]:
    if color.startswith("#"):
        return [color[place : place + 2] for place in (1, 3, 5)] if len(color) >= 7 else list(color[1:4])
    return [part.strip() for part in color[color.index("(") + 1 : -1].split(",")[:3]]


def _curves(figure: Any) -> list[Any]:
    return [trace for trace in figure.data if trace.mode and "lines" in trace.mode and trace.fill is None]


@pytest.mark.parametrize("name", RESULTS)
@pytest.mark.parametrize("where", ["stored", "snapshot"])
def test_every_figure_is_whole_wherever_the_results_are(name: str, where: str, request: pytest.FixtureRequest) -> None:
    exhibit = PRESETS[name].make(request.getfixturevalue(where))
    assert exhibit.name == name
    assert exhibit.title
    assert exhibit.caption.endswith(".")
    assert len(exhibit.alt) > 60
    assert "nan" not in f"{exhibit.title} {exhibit.caption} {exhibit.alt}"
    assert len(exhibit.table)
    if exhibit.draw is None:
        assert name == "knn-accuracy"
        return
    drawn = {theme: exhibit.draw(theme) for theme in THEMES}
    assert all(len(_curves(figure)) >= 3 for figure in drawn.values())
    colors = [color for text in _texts(drawn["print"].to_plotly_json()) for color in _COLOR.findall(text)]
    assert colors
    assert all(len(set(_channels(color))) == 1 for color in colors)
    looks = {(line.name, line.line.dash, line.marker.symbol, line.line.width) for line in _curves(drawn["print"])}
    assert len({look[1:] for look in looks}) == len({look[0] for look in looks}) == len(looks)


@pytest.mark.parametrize("name", RESULTS)
def test_a_snapshot_shows_what_the_benchmark_shows(name: str, stored: StoredResults, snapshot: Results) -> None:
    here, other = PRESETS[name].make(stored), PRESETS[name].make(snapshot)
    assert here.alt == other.alt
    assert list(here.table.columns) == list(other.table.columns)
    if name in ("spider", "knn-accuracy"):
        pd.testing.assert_frame_equal(here.table, other.table, rtol=1e-5, check_dtype=False)


@pytest.mark.parametrize("name", RESULTS)
def test_tables_for_papers_and_documents_are_well_formed(name: str, stored: StoredResults) -> None:
    exhibit = PRESETS[name].make(stored)
    text = as_latex(exhibit).decode()
    body = [line for line in text.splitlines() if not line.startswith("%")]
    plain = re.sub(r"\\[{}%&#$_]", "", "\n".join(body))
    assert plain.count("{") == plain.count("}")
    assert plain.count("$") % 2 == 0
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 1
    cells = [line.count("&") for line in plain.splitlines() if line.endswith(r"\\")]
    assert set(cells) == {exhibit.table.shape[1] - 1}
    assert len(cells) == len(exhibit.table) + 1
    document = json.loads(as_json(exhibit), parse_constant=lambda constant: pytest.fail(constant))
    assert len(document["rows"]) == len(exhibit.table)
    assert html.escape(exhibit.caption) in as_html(exhibit, "print").decode()


@pytest.mark.parametrize("name", [info.name for info in shipped_snapshots()])
def test_the_snapshots_that_ship_have_their_figures(name: str, carrot_home: Path) -> None:
    view = open_results(Store(), name)
    for preset in map(PRESETS.__getitem__, RESULTS):
        table = {"spider": "spider", "knn-accuracy": "accuracy"}.get(preset.name)
        if table is not None and view.analysis(table, view.fitted) is None:
            with pytest.raises(NotDrawnError, match="made without"):
                preset.make(view)
            continue
        exhibit = preset.make(view)
        assert exhibit.draw is None or len(exhibit.draw("light").data) >= 4
        assert "nan" not in exhibit.caption + exhibit.alt


def test_the_chart_ends_where_single_models_do_and_hides_none_without_a_word(stored: StoredResults) -> None:
    scene = stored.scene(("carrot-knn", "rorf"), "carrot-knn")
    drawn = deferral_figure(scene, "light")
    low, high = (10**end / 1000 for end in drawn.layout.xaxis.range)
    assert low < scene.model_cost_usd.min() < scene.model_cost_usd.max() < high
    assert high / scene.model_cost_usd.max() < 1.5
    view = next(trace for trace in drawn.data if trace.name == "Single models")
    below = (scene.model_score < accuracy_range(scene)[0]).sum()
    assert len(view.x) == len(scene.models) - below
    caption = PRESETS["binary-routers"].make(stored).caption
    assert (f"{below} single" in caption) == bool(below)


def test_a_reference_below_the_axis_is_no_obstacle(stored: StoredResults) -> None:
    scene = stored.scene(("carrot-knn",), "carrot-knn")
    weakest = scene.models[int(scene.model_score.argmin())]
    weak = replace(scene, reference=weakest, model_score=scene.model_score - (np.array(scene.models) == weakest))
    assert weak.model_score.min() < accuracy_range(weak)[0]
    assert len(chart_exhibit(weak).draw("light").data)  # type: ignore[misc]
    assert "1 single model stands below" in chart_exhibit(weak).caption


@given(st.lists(st.tuples(st.floats(0, 760), st.floats(0, 320), st.integers(0, 30)), min_size=1, max_size=20))
def test_names_cover_no_other_name_no_point_and_no_edge(spots: list[tuple[float, float, int]]) -> None:
    points, names = np.array([spot[:2] for spot in spots]), ["n" * spot[2] for spot in spots]
    result = sides(points, names, [np.array([[0.0, 0.0], [760.0, 320.0]])], (760, 320))
    boxes = [box(at, name, side) for at, name, side in zip(points, names, result, strict=True) if side]
    for k, (left, bottom, right, top) in enumerate(boxes):
        assert left >= 0
        assert bottom >= 0
        assert right <= 760
        assert top <= 320
        assert not any(left - 5.99 < x < right + 5.99 and bottom - 5.99 < y < top + 5.99 for x, y in points)
        for other in boxes[:k]:
            assert left >= other[2] or right <= other[0] or bottom >= other[3] or top <= other[1]
    assert not any(side for side, name in zip(result, names, strict=True) if not name)


def test_a_name_alone_is_written_off_the_line_and_the_best_one_has_the_room() -> None:
    line = np.array([[0.0, 160.0], [760.0, 160.0]])
    assert sides(np.array([[380.0, 160.0]]), ["alone"], [line], (760, 320))[0] in ("top center", "bottom center")
    assert sides(np.array([[20.0, 20.0]]), ["wide"], [], (30, 320)) == [""]
    crowd = np.array([[60.0, 4.0 * k + 40] for k in range(20)])
    result = sides(crowd, [f"model {k}" for k in range(20)], [], (120, 160))
    assert result[-1]
    assert "" in result
    chart = deferral_figure(made_scene(400), "light")
    models = next(trace for trace in chart.data if trace.name == "Single models")
    assert sum(map(bool, models.text)) > len(models.text) / 2


def test_the_mixing_line_is_told_of_only_where_it_is_drawn(stored: StoredResults) -> None:
    for name in ("binary-routers", "zero-router"):
        exhibit = PRESETS[name].make(stored)
        assert exhibit.draw is not None
        drawn = "hull" in [trace.meta["role"] for trace in exhibit.draw("light").data]
        assert ("thin dotted line" in exhibit.caption) == drawn == (name == "binary-routers")


def test_tasks_that_are_numbers_are_names_all_the_same() -> None:
    bench = _bench()
    levels = replace(bench, tasks=tuple(f"Level {i % 5 + 1}" for i in range(240)))
    exhibit = spider(_stored(levels, ("carrot-knn",)))
    assert exhibit.draw is not None
    figure = exhibit.draw("light")
    assert set(figure.data[0].theta) == set("12345")
    assert {figure.layout[polar].angularaxis.type for polar in ("polar", "polar2")} == {"category"}


def test_the_oracle_is_drawn_when_asked_for(stored: StoredResults) -> None:
    without, with_it = (PRESETS["zero-router"].make(stored, oracle=oracle) for oracle in (False, True))
    assert "oracle" not in set(without.table["name"])
    assert "oracle" in set(with_it.table["name"])


def test_what_is_not_fitted_is_said(stored: StoredResults) -> None:
    alone = StoredResults("made", stored.setting, {"carrot-knn": stored.tables["carrot-knn"]})
    text = PRESETS["binary-routers"].make(alone).caption
    assert all(name in text for name in ("RouteLLM-MF", "RouteLLM-BERT", "RoRF"))
    rule = dict.fromkeys(("carrot-knn", "routerbench-knn", "routerbench-mlp"), stored.tables["carrot-knn"])
    assert "Not fitted" not in PRESETS["routerbench-rule"].make(StoredResults("made", stored.setting, rule)).caption
    for preset in map(PRESETS.__getitem__, RESULTS):
        with pytest.raises(NotDrawnError, match="fit"):
            preset.make(StoredResults("made", stored.setting, {}))


def test_another_router_may_be_asked_for_and_must_be_there(stored: StoredResults) -> None:
    assert spider(stored, router="rorf").title.startswith("RoRF")
    assert spider(stored, router="task-lookup").title.startswith("Task lookup")
    with pytest.raises(NotFoundError, match="router 'nobody'"):
        spider(stored, router="nobody")


def test_prompts_without_tasks_have_no_spider(stored: StoredResults) -> None:
    bench = replace(_bench(), tasks=("",) * 240)
    with pytest.raises(NotDrawnError, match="no task labels"):
        spider(_stored(bench, ("carrot-knn",)))


def test_two_tasks_make_a_table_and_many_the_largest(stored: StoredResults) -> None:
    two = spider(_stored(_bench(2), ("carrot-knn",)))
    assert two.draw is None
    assert "there are 2 here, so this is a table" in two.caption
    bench = _stored(_bench(20), ("carrot-knn",))
    many, there = spider(bench), len(set(bench.setting.test.tasks))
    assert many.draw is not None
    assert len(set(many.draw("light").data[0].theta)) == MOST_TASKS
    assert many.table["task"].nunique() == there > MOST_TASKS
    assert f"all {there}" in many.caption


def test_one_model_is_nothing_to_route_between() -> None:
    alone = _stored(_bench().pool(MODELS[:1]), ("carrot-knn",))
    for name in ("binary-routers", "routerbench-rule", "zero-router"):
        with pytest.raises(NotDrawnError, match="nothing to route between"):
            PRESETS[name].make(alone)
    assert "No λ costs as little as" in spider(alone).caption


def test_hostile_names_stay_text() -> None:
    bench = _bench(name=HOSTILE)
    outcomes = Outcomes(bench.prompt_ids, (HOSTILE, *MODELS[1:]), bench.outcomes.score, bench.outcomes.cost_usd)
    tasks = tuple(f"{task}{HOSTILE}" for task in bench.tasks)
    view = replace(_stored(replace(bench, outcomes=outcomes, prices={}, tasks=tasks)), vectors=bench.vectors)
    for preset in PRESETS.values():
        exhibit = preset.make(view)
        assert "<script>alert" not in as_html(exhibit).decode()
        if exhibit.draw is not None:
            assert not any("<script" in text for text in _texts(exhibit.draw("light").to_plotly_json()))


def test_spectra_are_of_the_benchmarks_own_vectors_or_of_those_that_ship(
    stored: StoredResults, carrot_home: Path
) -> None:
    preset = PRESETS["embedding-dimension"]
    for view in (replace(stored, vectors=made(240).vectors), open_results(Store(), "routerbench-subset")):
        exhibit = preset.make(view)
        assert exhibit.name == preset.name
        assert exhibit.draw is not None
        assert exhibit.table["benchmark"].nunique() == 1
        assert set(exhibit.table["method"]) == {"pca", "kernel-pca", "isomap"}
        drawn = {theme: exhibit.draw(theme).to_plotly_json() for theme in THEMES}
        colors = [color for text in _texts(drawn["print"]) for color in _COLOR.findall(text)]
        assert colors
        assert all(len(set(_channels(color))) == 1 for color in colors)


def test_without_vectors_spectra_are_missing_in_words(stored: StoredResults, carrot_home: Path) -> None:
    for view in (stored, replace(stored, vectors=made(40).vectors), open_results(Store(), "frugalgpt-overruling")):
        with pytest.raises(NotDrawnError, match="vectors"):
            PRESETS["embedding-dimension"].make(view)


def test_axis_labels_are_short_and_never_alike() -> None:
    assert axis_labels(["mmlu_pro_law", "mmlu_pro_computer_science"]) == ["law", "computer<br>science"]
    alike = [f"the_very_same_beginning_{k}_and_the_very_same_long_end_of_it" for k in range(12)]
    assert len(set(axis_labels([*alike, "other"]))) == 13
    assert axis_labels(["a"]) == ["a"]
    assert all(len(line) <= 17 for label in axis_labels(["x" * 80, "y z" * 30]) for line in label.split("<br>"))


def test_shares_over_all_prompts_are_those_of_the_curve(stored: StoredResults) -> None:
    table = spider(stored).table
    curve = stored.setting.frontier(stored.tables["carrot-knn"], "test")
    rows = table[(table["way"] == HONEST) & (table["budget_share"] == 0.3)]
    at = curve.at(rows["exchange_rate_per_usd"].iloc[0])
    column = curve.models.index(rows["reference"].iloc[0])
    score, cost = kept_share(table, HONEST, 0.3)
    assert score == pytest.approx(curve.score[at] / curve.outcomes.score[:, column].mean(), rel=1e-5)
    assert cost == pytest.approx(curve.cost_usd[at] / curve.outcomes.cost_usd[:, column].mean(), rel=1e-5)
    assert kept_share(table, AUTHORS, 0.3)[1] <= 0.3 + 1e-6


def test_published_rows_stand_beside_their_benchmark_only(stored: StoredResults) -> None:
    assert ROWS[3] not in set(knn_accuracy(stored).table["row"])
    bench = _bench()
    theirs = sorted(PUBLISHED[0].models)
    rng = np.random.default_rng(0)
    score = (rng.random((240, len(theirs))) < 0.5).astype(float)
    cost = np.outer(np.ones(240), np.linspace(1, 11, len(theirs))) * 1e-3 * rng.uniform(0.5, 1.5, (240, 1))
    same = Benchmark("rb", Outcomes(bench.prompt_ids, theirs, score, cost), bench.texts, bench.tasks, bench.split,
                     vectors=bench.vectors, encoder=bench.encoder)  # fmt: skip
    exhibit = knn_accuracy(_stored(same, ("carrot-knn",)))
    row = exhibit.table.set_index("row").loc[ROWS[3]]
    assert (row["n_test"], row["models"], row["routing_accuracy"]) == (7143, 11, 0.7870)
    assert "order of size" in exhibit.caption


@pytest.mark.parametrize(
    "name", ["../../up", "a/b", "", ".hidden", "con:", "tab\tname", "Ω", "\udc80", "x" * 300, "-rf"]
)
def test_folders_of_hostile_names_stay_inside_and_apart(name: str) -> None:
    safe = folder_name(name)
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", safe)
    assert len(safe) < 80
    assert safe != folder_name(name + "!")
    assert folder_name("mmlu-pro-cot") == "mmlu-pro-cot"


def test_files_are_whole_or_absent(stored: StoredResults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figure = PRESETS["zero-router"].make(stored)
    files = write_exhibits([("a/b", figure)], tmp_path, ("csv", "json", "tex", "html"), "print")
    names = sorted(path.name for path in files)
    assert names == ["zero-router-print.html", "zero-router.csv", "zero-router.json", "zero-router.tex"]
    assert all((tmp_path / path).is_file() for path in files)
    before = {path: (tmp_path / path).read_bytes() for path in files}
    monkeypatch.setattr(exhibit, "ENDINGS", {**exhibit.ENDINGS, "csv": replace(exhibit.ENDINGS["csv"], make=_fails)})
    with pytest.raises(RuntimeError, match="half way"):
        write_exhibits([("a/b", figure)], tmp_path, ("json", "csv"))
    assert {path: (tmp_path / path).read_bytes() for path in files} == before
    assert [path.name for path in tmp_path.iterdir()] == [files[0].parent.name]


def _fails(*_: object) -> bytes:
    raise RuntimeError("half way")


def test_without_a_browser_all_but_pictures_is_written(
    stored: StoredResults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exhibit, "browser", lambda: None)
    with pytest.raises(CarrotError, match="SVG, PDF are drawn by Chromium or Chrome"):
        write_exhibits([("made", PRESETS["spider"].make(stored))], tmp_path, ("svg", "pdf", "html", "csv"))
    assert {path.name for path in (tmp_path / "made").iterdir()} == {"spider.html", "spider.csv"}


def test_a_table_needs_no_browser(stored: StoredResults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exhibit, "browser", lambda: None)
    files = write_exhibits([("made", knn_accuracy(stored))], tmp_path, ("svg", "tex"))
    assert [path.name for path in files] == ["knn-accuracy.tex"]


def test_a_folder_that_cannot_be_written_is_said(stored: StoredResults, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CarrotError, match="Cannot write to"):
        write_exhibits([("made", knn_accuracy(stored))], tmp_path / "file", ("csv",))


def test_pictures_are_what_their_endings_say(stored: StoredResults, tmp_path: Path) -> None:
    made_of = [("made", PRESETS[name].make(stored)) for name in ("spider", "binary-routers")]
    files = write_exhibits(made_of, tmp_path, ("svg", "png", "pdf"), "print")
    starts = {".svg": b"<svg", ".png": b"\x89PNG", ".pdf": b"%PDF"}
    assert len(files) == 6
    for path in files:
        assert (tmp_path / path).read_bytes().lstrip().startswith(starts[path.suffix])
        assert path.stem.endswith("-print")


class TestCommand:
    def test_list(self, carrot_home: Path) -> None:
        run = CliRunner().invoke(main, ["figures", "--list", "--json"])
        document = json.loads(run.output)
        assert list(document["figures"]) == list(PRESETS)
        assert document["benchmarks"] == result_names(Store()) == [info.name for info in shipped_snapshots()]

    def test_draws_a_snapshot_and_says_what_it_did(self, carrot_home: Path, tmp_path: Path) -> None:
        arguments = [
            "figures",
            "mmlu-pro-cot",
            "--out",
            str(tmp_path / "out"),
            "--only",
            "zero-router",
            "--format",
            "csv,tex",
        ]
        run = CliRunner().invoke(main, [*arguments, "--oracle", "--json"])
        assert run.exit_code == 0, run.output
        document = json.loads(run.stdout)
        assert document["files"] == ["mmlu-pro-cot/zero-router.csv", "mmlu-pro-cot/zero-router.tex"]
        assert "oracle" in (tmp_path / "out" / document["files"][0]).read_text()

    @pytest.mark.parametrize(
        ("arguments", "code", "text"),
        [
            (["--only", "zero-router"], 2, "--out"),
            (["--out", "x", "--only", "nothing"], 2, "'nothing' is none of"),
            (["--out", "x", "--format", "gif"], 2, "'gif' is none of"),
            (["nowhere", "--out", "x"], 3, "No benchmark 'nowhere'"),
        ],
    )
    def test_refuses(
        self, arguments: list[str], code: int, text: str, carrot_home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(carrot_home)
        run = CliRunner().invoke(main, ["figures", *arguments])
        assert run.exit_code == code
        assert text in run.output

    def test_nothing_fitted_is_an_error_that_says_what_to_do(self, carrot_home: Path, tmp_path: Path) -> None:
        from tests.tables import frames

        Store().save_benchmark("bare", frames())
        run = CliRunner().invoke(main, ["figures", "bare", "--out", str(tmp_path / "out")])
        assert run.exit_code == 1
        assert "carrot fit" in run.output
        assert not (tmp_path / "out").exists()
