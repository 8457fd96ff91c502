"""Verdicts: what intervals allow, in one sentence, and the same for a snapshot as for the data behind it."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan

import numpy as np
import pytest

from carrot_core.bootstrap import Interval
from carrot_core.number_formats import call_cost, percent
from carrot_core.points import figures_of
from carrot_core.points.formats.report import _known, as_html
from carrot_core.results import SnapshotInfo, shipped_snapshots
from carrot_core.results.snapshot import read
from carrot_core.serving import CarrotRouter
from carrot_core.verdict import SAME_WITHIN, Verdict, cheapest_mixture, name_among, sentence, verdict_on
from scripts.results.page import _headline as verdict_of_page

pytestmark = pytest.mark.slow

SHIPPED = {info.name: info for info in shipped_snapshots()}
EXAMPLE = Verdict(
    "made", "carrot-knn", "acme/large", "large", 0.1, Interval(0.7, 0.68, 0.72), Interval(0.01, 0.009, 0.011),
    Interval(0.0, -0.01, 0.01), Interval(0.2, 0.15, 0.25), {"zero": 0.06, "task-lookup": -inf}, 1455,
)  # fmt: skip


@pytest.mark.parametrize(
    ("low", "high", "standing"),
    [
        (0.001, 0.02, "better"),
        (-0.02, -0.001, "worse"),
        (-SAME_WITHIN, 0.01, "same"),
        (-SAME_WITHIN - 0.001, 0.05, "too few"),
        (0.0, 0.0, "same"),
        (nan, nan, "not known"),
    ],
)
def test_the_standing_is_what_the_interval_allows(low: float, high: float, standing: str) -> None:
    assert replace(EXAMPLE, difference=Interval(0.0, low, high)).standing == standing


def test_the_sentence_names_both_sides_the_saving_the_rivals_and_the_prompts() -> None:
    text = sentence(EXAMPLE)
    for part in ("CARROT-KNN", "as well as large", "20 % [15, 25] less", "blindly would save 6 %", "1,455 prompts"):
        assert part in text
    assert "lookup by task never gets there" in text
    assert text.count(". ") == 0


def test_a_rival_that_saves_more_than_the_router_is_said_to() -> None:
    ahead = replace(EXAMPLE, rivals={"zero": 0.26, "task-lookup": 0.1})
    assert sentence(ahead).count("more than the router") == 1
    assert "26 % (more" in sentence(ahead)
    assert "more than the router" not in sentence(EXAMPLE)


def test_a_single_model_that_is_as_accurate_for_less_is_named() -> None:
    """Regression: a router that was worse than one model alone was only said to save less than blind mixing."""
    text = sentence(replace(EXAMPLE, rivals={"zero": 0.4, "task-lookup": -inf}, single=("mid", 0.38)))
    assert "mid alone would save 38 % (more than the router)" in text
    assert "blindly" not in text
    results = read(SHIPPED["routerbench-subset"].folder)
    router, best, alone = results.runnable[0], results.best_single(), "mistralai/mixtral-8x7b-chat"
    cost, score = (results.document["single_models"][alone][field] for field in ("cost_usd", "score"))
    point = results.point_at(router, 10.0)
    for above, times, named in ((-1e-4, 2.0, True), (-1e-4, 0.5, False), (1e-4, 2.0, False)):
        moved = replace(
            point,
            score=replace(point.score, value=score + above),
            cost_usd=replace(point.cost_usd, value=times * cost),
            saving=replace(point.saving, value=1 - times * cost / results.document["single_models"][best]["cost_usd"]),
        )
        single = verdict_on(results, router, moved, best).single
        assert (single is not None and single[0] in alone) is named
        if single is not None and named:
            assert single[1] == pytest.approx(1 - cost / results.document["single_models"][best]["cost_usd"], abs=1e-6)


@pytest.mark.parametrize(
    ("saving", "part"),
    [
        (Interval(0.0, 0.0, 0.0), "the same cost"),
        (Interval(-0.12, -0.2, -0.05), "12 % [5, 20] more"),
        (Interval(0.03, -0.02, 0.08), "not measurably different"),
        (Interval(nan, nan, nan), "free"),
    ],
)
def test_what_is_no_saving_is_not_called_one(saving: Interval, part: str) -> None:
    text = sentence(replace(EXAMPLE, saving=saving))
    assert part in text
    assert "0.0 %" not in text
    assert "nan" not in text


def test_a_handful_of_prompts_that_agree_tell_nothing() -> None:
    agreed = replace(EXAMPLE, difference=Interval(0.0, 0.0, 0.0), saving=Interval(0.29, 0.15, 0.48), n_prompts=6)
    assert agreed.standing == "too few"
    assert "6 prompts are too few" in sentence(agreed)
    assert "[" not in sentence(agreed)


def test_a_free_point_is_compared_with_rivals_that_are_free_or_never_get_there() -> None:
    results = read(next(iter(SHIPPED.values())).folder)
    point, best = results.point_at("zero", inf), results.best_single()
    free = replace(
        point, score=Interval(2.0, 2.0, 2.0), cost_usd=Interval(0.0, 0.0, 0.0), saving=Interval(1.0, 1.0, 1.0)
    )
    rivals = verdict_on(results, results.runnable[0], free, best).rivals
    assert set(rivals.values()) == {-inf}


def test_the_reference_itself_is_compared_with_nothing() -> None:
    nothing = Interval(0.0, 0.0, 0.0)
    text = sentence(replace(EXAMPLE, difference=nothing, saving=nothing))
    assert "sends every prompt to large" in text
    assert "%" not in text


@pytest.mark.parametrize("info", SHIPPED.values(), ids=SHIPPED)
def test_no_two_places_disagree_on_a_snapshot(info: SnapshotInfo) -> None:
    results, router = read(info.folder), CarrotRouter.load(info.name)
    best, document = results.best_single(), results.document
    curves = {name: results.curve(name) for name in results.routers}
    unpaired = document["n_incomplete"] / document["n_prompts"]  # differences are of prompts both answered
    for name in results.routers:
        match, single = results.matching_point(name), document["single_models"][best]
        assert repr(results.point_at(name, 10.0, best)) == repr(results.point_at(name, 10.0))
        ends = [0.0, inf] if name in results.runnable else []
        for rate in (10.0, *ends, *([] if match is None else [match.exchange_rate_per_usd])):
            point = results.point_at(name, rate)
            verdict = verdict_on(results, name, point, best)
            assert verdict.difference.value == pytest.approx(point.score.value - single["score"], abs=1e-6 + unpaired)
            assert verdict.saving.value == pytest.approx(
                1 - point.cost_usd.value / single["cost_usd"], abs=1e-6 + unpaired
            )
            for rival, other in verdict.rivals.items():
                needed = cheapest_mixture(curves[rival], point.score.value)
                assert other == pytest.approx(1 - needed / single["cost_usd"], rel=1e-4, abs=1e-4)
            assert verdict.n_prompts == curves[name].n_prompts
            assert sentence(verdict) == verdict.document()["sentence"]
        if match is not None:
            assert vars(results.point_at(name, match.exchange_rate_per_usd)) == vars(match)
    (served,) = results.runnable
    point = router.point_file(lam=router.default_lam)
    assert point.test is not None
    assert point.exchange_rate_per_usd is not None
    rate = point.exchange_rate_per_usd
    assert name_among(results, router.router, rate, point.test.score, point.test.cost_usd) == served
    own = sentence(verdict_on(results, served, results.point_at(served, rate), best))
    assert _known(point)[2] == own
    verdict, figures = verdict_on(results, served, results.point_at(served, rate), best), figures_of(point, results)
    assert figures is not None
    assert figures.score == pytest.approx(verdict.score.value)
    assert figures.cost_usd == pytest.approx(verdict.cost_usd.value)
    for text in (percent(verdict.score.value, digits=2), call_cost(verdict.cost_usd.value).split(" ")[0]):
        assert text in as_html(router, point).decode()
    if results.matching_point(served) is not None:
        assert verdict_of_page(results) == f"{own}\n"


def test_a_router_of_other_figures_is_not_taken_for_the_one_among_results() -> None:
    results = read(next(iter(SHIPPED.values())).folder)
    (served,) = results.runnable
    curve = results.curve(served)
    score, cost = float(curve.score[0]), float(curve.cost_usd[0])
    assert name_among(results, served, 0.0, score, cost) == served
    assert name_among(results, served, 0.0, score + 0.01, cost) is None
    assert name_among(results, "carrot-blend", 0.0, score, cost) is None


def test_a_mixture_reaches_what_lies_between_two_points_and_nothing_above() -> None:
    curve = read(next(iter(SHIPPED.values())).folder).curve("zero")
    two = replace(
        curve, exchange_rate_per_usd=np.array([0.0, 1.0]), score=np.array([0.9, 0.5]), cost_usd=np.array([3.0, 1.0])
    )
    assert cheapest_mixture(two, 0.7) == pytest.approx(2.0)
    assert cheapest_mixture(two, 0.4) == pytest.approx(1.0)
    assert cheapest_mixture(two, 0.91) == inf
