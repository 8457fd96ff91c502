"""The cost-accuracy chart as a plain function of results."""

from __future__ import annotations

import itertools
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from carrot_core.benchmarks.model_facts_arms import ModelFacts
from carrot_core.compare.model_shares_agreement import share_figure
from carrot_core.curve import thin
from carrot_core.dashboard.components.frontier_chart import build_payload
from carrot_core.errors import CarrotError
from carrot_core.figures import alt_text, caption, frontier_figure, read_out, saving
from carrot_core.figures.benchmark import model_groupings
from carrot_core.figures.frontier import sides
from carrot_core.figures.scene import Curve, Scene
from carrot_core.figures.theme import (
    THEMES,
    ThemeName,
    counterparts,
    cut_names,
    group_looks,
    line_styles,
    model_colors,
    model_looks,
    plotly_text,
    scene_looks,
)
from carrot_core.frontier import Frontier, rate_of_lam
from carrot_core.number_formats import money
from carrot_core.outcomes import Outcomes
from carrot_core.paper.curves import curve_table
from carrot_core.routers import LABELS, ROUTERS
from carrot_core.routers.cascade import undominated, verified_cascades
from tests.scenes import MODELS, observed, router, scene

CONFIG = Path(__file__).resolve().parents[2] / ".streamlit" / "config.toml"


@pytest.fixture(scope="module")
def chart() -> Scene:
    return scene(400)


def linear(color: str) -> np.ndarray:
    """Red, green and blue as amounts of light, 0 to 1."""
    channels = np.array([int(color[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def luminance(color: str) -> float:
    return float(linear(color) @ [0.2126, 0.7152, 0.0722])


def contrast(one: str, other: str) -> float:
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("name", THEMES)
def test_lines_and_marks_stand_out_from_the_ground(name: ThemeName) -> None:
    theme = THEMES[name]
    for color in (*theme.curves, theme.hull, *model_colors(30, name)):
        assert contrast(color, theme.ground) >= 3, color
    for color in (theme.ink, theme.muted):
        assert contrast(color, theme.ground) >= 4.5, color


@pytest.mark.parametrize("name", THEMES)
def test_hover_text_can_be_read(chart: Scene, name: ThemeName) -> None:
    for figure in (frontier_figure(chart, theme=name), share_figure(chart, name)):
        label = figure.layout.hoverlabel
        assert contrast(label.font.color, label.bgcolor) >= 4.5


def test_who_answers_among_many_models_names_those_that_answer_much() -> None:
    pool = scene(400, [f"maker/model-{number:02}" for number in range(50)])
    figure, frontier = share_figure(pool), pool.active_curve.frontier
    total = np.sum([trace.y for trace in figure.data], axis=0)
    np.testing.assert_allclose(total, 100)
    named = {trace.name: np.asarray(trace.y) for trace in figure.data}
    (others,) = (name for name in named if name.endswith(" other models"))
    most = frontier.shares(frontier.exchange_rate_per_usd).max(axis=0)
    least = min(share.max() for name, share in named.items() if name != others)
    assert least >= 1
    assert len(named) <= 21
    rest = [k for k, model in enumerate(pool.models) if pool.short_names[model] not in named and most[k] > 0]
    assert others == f"{len(rest)} other models"
    assert 100 * most[rest].max() <= least + 1e-9


def test_where_names_have_no_room_those_of_the_front_are_written() -> None:
    points, names, size = np.array([[6.0, 10.0], [6.0, 12.0]]), ["short-name", "other-name"], (120.0, 24.0)
    at_first = [bool(side) for side in sides(points, names, [], size, first=[0])]
    by_height = [bool(side) for side in sides(points, names, [], size)]
    assert (at_first, by_height) == ([True, False], [False, True])
    chart = scene(300)
    front = [chart.models[k] for k in chart.front]
    cost, score = chart.model_cost_usd, chart.model_score
    for k, model in enumerate(chart.models):
        beaten = ((cost <= cost[k]) & (score >= score[k]) & ((cost < cost[k]) | (score > score[k]))).any()
        assert (model in front) == (not beaten)
    order = [chart.models[k] for k in build_payload(chart)["labelOrder"]]
    lead = list(dict.fromkeys([chart.best_single, chart.reference, *front]))
    assert order[: len(lead)] == lead


def test_cascades_are_a_line_on_the_same_axes_and_in_the_data() -> None:
    plain, verifier = scene(300), (0.8, 0.95)
    outcomes = plain.active_curve.frontier.outcomes
    table = undominated(verified_cascades(outcomes, *verifier))
    chart = replace(plain, cascades=table, verifier=verifier)
    (line,) = (trace for trace in frontier_figure(chart).data if trace.meta["role"] == "cascades")
    assert line.x == pytest.approx(chart.basis.calls * table["cost_usd"])
    assert line.y == pytest.approx(100 * table["score"])
    assert "80 %" in caption(chart)
    assert "95 %" in caption(chart)
    rows = curve_table(chart)
    pd.testing.assert_frame_equal(
        rows.loc[rows["kind"] == "cascade", ["cost_usd", "score"]].reset_index(drop=True), table[["cost_usd", "score"]]
    )
    sent = build_payload(chart)
    assert len(sent["perSolved"]) == len(sent["figure"]["data"])
    for without in (frontier_figure(plain).data, build_payload(plain)["figure"]["data"]):
        assert "cascades" not in {trace["meta"]["role"] for trace in without}
    assert "ascade" not in caption(plain)


def test_names_that_begin_alike_are_told_apart_where_they_are_cut() -> None:
    names = ["gemini-2.5-flash-preview-05-20", "gemini-2.5-flash-preview-05-20:thinking", "a-name-of-this-very-length"]
    cut = cut_names(names, 24, middle=True)
    assert cut == ["gemini-2.5-…review-05-20", "gemini-2.5-…-20:thinking", "a-name-of-t…-very-length"]
    alike = ["one-and-the-same-" + middle + "-to-its-very-end" for middle in "ab"]
    assert cut_names(alike, 24, middle=True) == alike


def test_words_are_cut_and_never_markup() -> None:
    assert plotly_text('<b>&"', 3) == "&lt;b…"
    assert plotly_text('<b>&"') == '&lt;b&gt;&amp;"'


@pytest.mark.parametrize("name", THEMES)
def test_the_more_expensive_a_model_the_darker(name: ThemeName) -> None:
    shades = [luminance(color) for color in model_colors(30, name)]
    assert all(next_one < shade for shade, next_one in itertools.pairwise(shades))


def oklab(color: str) -> np.ndarray:
    """Where equal distances look equally large (B. Ottosson, 2020)."""
    cones = np.cbrt(
        [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
         [0.0883024619, 0.2817188376, 0.6299787005]] @ linear(color)
    )  # fmt: skip
    return np.array(
        [[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
         [0.0259040371, 0.7827717662, -0.8086757660]]
    ) @ cones  # fmt: skip


def distance(one: str, other: str) -> float:
    return float(np.linalg.norm(oklab(one) - oklab(other)))


@pytest.mark.parametrize("name", ["light", "dark"])
def test_models_have_colours_of_their_own_and_neighbours_differ(name: ThemeName) -> None:
    for n_models in (2, 5, 34):
        colors = model_colors(n_models, name)
        assert min(itertools.starmap(distance, itertools.product(colors, THEMES[name].curves))) > 0.05
        assert min(itertools.starmap(distance, itertools.pairwise(colors))) > 0.1
    # In a bar two of one hue may touch where the model between them does not answer.
    looks = list(model_looks([str(k) for k in range(34)], name).values())
    for place in range(28):
        for sign in ("hatch", "pattern"):
            assert len({getattr(looks[place + 2 * step], sign) for step in range(4)}) == 4


def test_a_model_has_one_pattern_in_the_bar_and_in_the_chart_of_who_answers_whatever_the_pool(chart: Scene) -> None:
    palette = tuple(sorted(chart.models, key=chart.shades.__getitem__))
    marks = []
    for models in (MODELS, MODELS[3:]):
        drawn = replace(scene(400, models), palette=palette)
        sent = {model["short"]: model for model in build_payload(drawn)["models"]}
        areas = [area for area in share_figure(drawn).data if area.name in sent]
        assert len(areas) > 3
        for area in areas:
            own = sent[area.name]
            marks.append((area.name, own["color"], own["hatch"], area.fillcolor, area.fillpattern.shape))
    assert len({mark[1:] for mark in marks}) == len({name for name, *_ in marks}) < len(marks)
    assert all(in_bar == in_chart for _, in_bar, _, in_chart, _ in marks)
    assert len({(hatch, pattern) for *_, hatch, _, pattern in marks}) == 4


def test_a_model_keeps_its_colour_whatever_else_is_drawn_and_whatever_it_costs(chart: Scene) -> None:
    whole = dict(zip(chart.models, scene_looks(chart, "light"), strict=True))
    palette = tuple(sorted(chart.models, key=chart.shades.__getitem__))
    some = replace(
        chart,
        models=chart.models[1:],
        model_score=chart.model_score[1:],
        model_cost_usd=chart.model_cost_usd[1:][::-1],
        best_single=chart.models[1],
        reference=chart.models[1],
        palette=palette,
    )
    assert dict(zip(some.models, scene_looks(some, "light"), strict=True)).items() <= whole.items()


@pytest.mark.parametrize("name", ["light", "dark"])
def test_charts_use_the_colours_of_the_dashboard(name: ThemeName) -> None:
    configured = tomllib.loads(CONFIG.read_text(encoding="utf-8"))["theme"][name]["chartCategoricalColors"]
    assert list(THEMES[name].curves) == configured


def test_no_two_routers_share_colour_dash_and_marker() -> None:
    names = ["carrot-knn", "mine", "task-lookup", "task-lookup-input", "oracle", "third"]
    styles = line_styles(names).values()
    for one, other in itertools.combinations(styles, 2):
        assert one.color != other.color
        assert one.symbol != other.symbol


def test_styles_differ_without_colour() -> None:
    """As in print."""
    styles = line_styles([f"router {place}" for place in range(7)]).values()
    assert len({style.dash for style in styles}) == len({style.symbol for style in styles}) == 7


def test_every_router_has_a_name_for_readers() -> None:
    assert set(LABELS) == set(ROUTERS)


def test_many_routers_still_differ_in_colour_dash_or_marker() -> None:
    styles = line_styles([*ROUTERS, "mine", "theirs", "third"]).values()
    assert len(set(styles)) == len(styles)


def test_a_router_keeps_its_style_whatever_else_is_drawn() -> None:
    for others in (["carrot-knn"], ["carrot-knn", "oracle", "mine"], ["mine", "carrot-knn"]):
        assert line_styles(others)["carrot-knn"] == line_styles(["carrot-knn"])["carrot-knn"]


def recolored(value: object, colors: dict[str, str]) -> object:
    if isinstance(value, dict):
        return {key: recolored(item, colors) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [recolored(item, colors) for item in value]
    return colors.get(value, value) if isinstance(value, str) else value


def test_light_figure_recoloured_is_the_dark_figure(chart: Scene) -> None:
    light, dark = (frontier_figure(chart, theme=name).to_plotly_json() for name in ("light", "dark"))
    colors = counterparts(len(chart.models))
    assert recolored(light["layout"], colors) == recolored(dark["layout"], {})
    for one, other in zip(light["data"], dark["data"], strict=True):
        for part in ("line", "marker", "fillcolor", "textfont"):
            assert recolored(one.get(part), colors) == recolored(other.get(part), {})


def furthest_left_out(frontier: Frontier, rest: np.ndarray, axis: np.ndarray) -> float:
    """Slow and obvious: every point's distance to the drawn segment that skips it, extents scaled to 1."""
    points = np.column_stack([axis, frontier.score])
    points = (points - points.min(axis=0)) / np.ptp(points, axis=0)
    worst = 0.0
    for first, last in itertools.pairwise(rest):
        chord = points[last] - points[first]
        for point in points[first + 1 : last]:
            along = np.clip((point - points[first]) @ chord / (chord @ chord), 0, 1)
            worst = max(worst, float(np.linalg.norm(point - points[first] - along * chord)))
    return worst


@pytest.mark.parametrize("tolerance", [1e-2, 1e-3, 1e-4])
def test_thinning_leaves_out_nothing_further_than_its_tolerance(chart: Scene, tolerance: float) -> None:
    frontier = chart.active_curve.frontier
    rest = thin(frontier, tolerance)
    assert (rest[0], rest[-1]) == (0, len(frontier.score) - 1)
    assert len(rest) < len(frontier.score)
    for axis in (frontier.cost_usd, np.log(frontier.cost_usd)):
        assert furthest_left_out(frontier, rest, axis) <= tolerance


def test_thinning_keeps_a_curve_of_one_or_two_points() -> None:
    for models, points in ((MODELS[:1], 1), (MODELS[:2], 2)):
        outcomes, _ = observed(30, models)
        frontier = router(outcomes, np.broadcast_to(np.arange(len(models), dtype=float), outcomes.shape))
        assert list(thin(frontier)) == list(range(points))


def test_names_cannot_be_markup(chart: Scene) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    models = (hostile, *chart.models[1:])
    curves = (Curve("carrot-knn", hostile, chart.active_curve.frontier),)
    figure = frontier_figure(
        replace(chart, models=models, best_single=hostile, reference=hostile, curves=curves, active="carrot-knn")
    )
    for trace in figure.data:
        texts = [trace.name or "", *(trace.text if trace.text is not None else [])]
        texts += [str(value) for value in (trace.customdata if trace.customdata is not None else [])]
        assert not any("<" in text for text in texts), trace.name


def test_only_the_active_band_is_drawn_and_only_once(chart: Scene) -> None:
    roles = [trace.meta["role"] for trace in frontier_figure(chart).data]
    assert roles.count("band") == 1
    lookup = replace(chart, active="task-lookup")
    assert "band" not in [trace.meta["role"] for trace in frontier_figure(lookup).data]


def test_a_free_model_has_no_place_on_a_log_axis(chart: Scene) -> None:
    free = replace(chart, model_cost_usd=chart.model_cost_usd * (np.arange(len(MODELS)) > 0))
    assert frontier_figure(chart).layout.xaxis.type == "log"
    assert not free.can_log
    assert frontier_figure(free).layout.xaxis.type is None


@pytest.mark.parametrize("wrong", ["active", "best_single", "reference"])
def test_scene_refuses_a_name_that_is_not_on_it(chart: Scene, wrong: str) -> None:
    with pytest.raises(CarrotError, match="nobody"):
        replace(chart, **{wrong: "nobody"})


@pytest.mark.parametrize("lam", [0.0, 0.2, 0.9, 0.999, 1.0])
def test_read_out_is_the_choice_at_lam(chart: Scene, lam: float) -> None:
    frontier, point = chart.active_curve.frontier, read_out(chart, lam)
    chosen = frontier.choices(rate_of_lam(lam, chart.cost_unit_usd))
    rows = np.arange(len(chosen))
    assert point.score == pytest.approx(frontier.outcomes.score[rows, chosen].mean())
    assert point.cost_usd == pytest.approx(frontier.outcomes.cost_usd[rows, chosen].mean())
    assert point.shares == pytest.approx(np.bincount(chosen, minlength=len(MODELS)) / len(chosen))


def test_shares_follow_names_when_the_chart_orders_models_differently(chart: Scene) -> None:
    backwards = replace(
        chart,
        models=chart.models[::-1],
        model_score=chart.model_score[::-1],
        model_cost_usd=chart.model_cost_usd[::-1],
    )
    assert read_out(backwards, 0.4).shares == pytest.approx(read_out(chart, 0.4).shares[::-1])


def test_a_saving_is_claimed_only_at_equal_score(chart: Scene) -> None:
    cheapest, best = chart.models[int(chart.model_cost_usd.argmin())], chart.best_single
    point = read_out(chart, 1.0)
    assert saving(chart, point, best) is None
    assert saving(chart, point, cheapest) == pytest.approx(0.0)
    middle = read_out(chart, 0.3)
    column = chart.models.index(cheapest)
    assert saving(chart, middle, cheapest) == pytest.approx(1 - middle.cost_usd / chart.model_cost_usd[column])


@pytest.mark.parametrize(
    ("usd", "text"),
    [
        (0.0, "$0"),
        (0.0000525, "$0.0000525"),
        (0.0023, "$0.00230"),
        (0.9996, "$1.00"),
        (12.34, "$12.3"),
        (1234.5, "$1,230"),
        (float("inf"), "$∞"),
    ],
)
def test_money_has_three_digits_that_count(usd: float, text: str) -> None:
    assert money(usd) == text


def test_words_name_the_point_the_best_model_and_what_was_left_out(chart: Scene) -> None:
    point = read_out(chart, 0.4)
    words = alt_text(chart, 0.4)
    assert f"At λ 0.4: {100 * point.score:.1f} % at {money(1000 * point.cost_usd)} per 1k calls." in words
    assert f"Best single model: {chart.best_single}" in words
    assert "left out" not in caption(chart)
    assert "1,200 more are left out" in caption(replace(chart, n_dropped=1200))


def test_costs_are_read_on_a_chart_over_twelve_decades() -> None:
    for power in range(-6, 7):
        expensive = scene(40, MODELS[:4], dollars=10.0**power)
        drawn = frontier_figure(expensive)
        (models,) = (trace for trace in drawn.data if trace.meta["role"] == "models")
        assert np.allclose(np.array(models.x) / expensive.basis.calls, expensive.model_cost_usd)
        assert expensive.basis.words in drawn.layout.xaxis.title.text
        ticks, texts = drawn.layout.xaxis.tickvals, drawn.layout.xaxis.ticktext
        assert [float(text.strip("$").replace(",", "")) for text in texts] == list(ticks)
        assert sum(models.x.min() / 10 <= tick <= 10 * models.x.max() for tick in ticks) >= 3
        assert alt_text(expensive, 0.4).endswith(f"{expensive.basis.words}.")


def test_one_model_and_one_prompt_make_a_chart() -> None:
    outcomes = Outcomes(["p"], ["only"], [[1.0]], [[0.002]])
    one = Scene(
        title="One",
        curves=(Curve("carrot-knn", "CARROT-KNN", router(outcomes, outcomes.score)),),
        models=("only",),
        model_score=np.array([1.0]),
        model_cost_usd=np.array([0.002]),
        hull_cost_usd=np.array([0.002]),
        hull_score=np.array([1.0]),
        best_single="only",
        reference="only",
        cost_unit_usd=0.002,
        n_prompts=1,
        n_dropped=0,
        active="carrot-knn",
    )
    roles = [trace.meta["role"] for trace in frontier_figure(one).data]
    assert roles == ["hull", "curve", "models", "best"]  # which is the reference, too
    assert "100.0 % at $2.00" in alt_text(one, 0.5)


def test_models_are_grouped_by_the_facts_that_tell_them_apart() -> None:
    facts = {
        "a": ModelFacts("west", open_weights=True, release_date="2025-11-03", effort="high"),
        "b": ModelFacts("west", open_weights=False, release_date="2025-02", effort="high"),
        "c": ModelFacts("east", release_date="2026-01-31", effort="high"),
    }
    groupings = model_groupings([*facts, "d"], facts)
    assert groupings["Provider"].groups == (("west", ("a", "b")), ("east", ("c",)), ("not known", ("d",)))
    assert [name for name, _ in groupings["Release"].groups] == ["2025 Q1", "2025 Q4", "2026 Q1", "not known"]
    assert dict(groupings["Open weights"].groups) == {"closed": ("b",), "open": ("a",), "not known": ("c", "d")}
    assert "Effort" not in model_groupings(list(facts), facts)  # it tells none of them apart
    years = model_groupings(list(facts), facts | {"a": ModelFacts(release_date="2024")})["Release"]
    assert [name for name, _ in years.groups] == ["2024", "2025", "2026"]
    makers = {f"m{k}": ModelFacts(f"maker {k}") for k in range(20)}
    grouping = model_groupings(list(makers), makers)["Provider"]
    assert sorted(model for _, models in grouping.groups for model in models) == sorted(makers)
    assert grouping.groups[-1][0] == "14 other providers"
    assert not model_groupings(list(facts), {})


@pytest.mark.parametrize("title", ["Provider", "Release"])
def test_groups_of_models_replace_their_colours_and_share_one_area(chart: Scene, title: str) -> None:
    dates = {"north": "2024", "river": "2025", "atlas": "2025", "orbit": ""}
    facts = {model: ModelFacts(maker := model.split("/")[0], release_date=dates[maker]) for model in MODELS}
    grouping = model_groupings(MODELS, facts)[title]
    grouped = replace(chart, grouping=grouping)
    marks = {trace.name: trace for trace in frontier_figure(grouped).data if trace.meta["role"] == "group"}
    assert list(marks) == [name for name, _ in grouping.groups]
    assert {name: set(trace.customdata) for name, trace in marks.items()} == {
        name: set(models) for name, models in grouping.groups
    }
    for theme in ("light", "dark", "print"):
        looks = group_looks(grouping, theme)
        assert len(set(looks.values())) == len(looks)
        assert all(contrast(color, THEMES[theme].ground) >= 3 for color in (look.color for look in looks.values()))
    areas = share_figure(grouped).data
    assert [area.name for area in areas] == list(marks)
    assert sum(np.asarray(area.y) for area in areas) == pytest.approx(100)
    payload = build_payload(grouped)
    assert {group["name"]: len(group["models"]) for group in payload["groups"]} == {
        name: len(models) for name, models in grouping.groups
    }
    assert {group["color"] for group in payload["groups"]} <= payload["dark"].keys()
    assert [(group["color"], area.fillcolor) for group, area in zip(payload["groups"], areas, strict=True)] == [
        (look.color, look.color) for name, look in group_looks(grouping, "light").items() if name in marks
    ]
    hypothetical = replace(grouped, models=("new", *chart.models[1:]), best_single="new", reference="new")
    assert sum(map(len, hypothetical.columns_by_group.values())) == len(chart.models)
    assert grouping.by in caption(grouped)
