"""How sure a point is: against sweeping the drawn prompts anew, against each task by itself, and in every round."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from carrot_core.bootstrap import bootstrap_counts
from carrot_core.cli import main
from carrot_core.curve import save_curve
from carrot_core.evaluation import Setting, setting
from carrot_core.evaluation.solve import Goal, solve, solve_on
from carrot_core.evaluation.stability import Stability, by_task, solve_again, stability
from carrot_core.figures.stability import (
    detail,
    goal_text,
    of_rounds,
    of_tasks,
    stability_exhibit,
    tasks_exhibit,
    verdict,
)
from carrot_core.frontier import Frontier, rate_of_lam, sweep
from carrot_core.outcomes import Estimates, Outcomes
from carrot_core.promise import EVEN
from tests.made import MODELS, made, write_files

GOALS = {
    "budget": Goal(budget_usd=0.0006),
    "budget out of reach": Goal(budget_usd=1e-6),
    "target": Goal(target_score=0.8),
    "target out of reach": Goal(target_score=0.999),
    "match": Goal(match=MODELS[0]),
    "cap": Goal(cap_usd=0.002),
    "per solved": Goal(per_solved_usd=0.0008),
    "least per solved": Goal(least_per_solved=True),
    "cap out of reach": Goal(cap_usd=1e-6),
}


@pytest.fixture(scope="module")
def protocol() -> Setting:
    return setting(made(600))


@pytest.fixture(scope="module")
def estimates(protocol: Setting) -> dict[str, Estimates]:
    return protocol.estimates("carrot-linear")


@pytest.fixture(scope="module")
def validation(protocol: Setting, estimates: dict[str, Estimates]) -> Frontier:
    return protocol.frontier(estimates, "validation")


def drawn(curve: Frontier, counts: np.ndarray) -> Frontier:
    """The curve swept anew on prompts repeated as often as they were drawn."""
    rows = np.repeat(np.arange(curve.n_prompts), counts)
    ids = tuple(map(str, range(len(rows))))
    tables = [(type(table), table.score[rows], table.cost_usd[rows]) for table in (curve.estimates, curve.outcomes)]
    made_anew = [kind(ids, curve.models, score, cost) for kind, score, cost in tables]
    assert isinstance(made_anew[0], Estimates)
    assert isinstance(made_anew[1], Outcomes)
    return sweep(made_anew[0], made_anew[1])


@pytest.mark.parametrize("goal", GOALS.values(), ids=GOALS)
def test_a_sample_is_solved_as_if_its_prompts_were_swept_anew(validation: Frontier, goal: Goal) -> None:
    goal = replace(goal, confidence=EVEN)  # a margin is that of the whole curve
    weights = bootstrap_counts(validation.n_prompts, 40, seed=3)
    again = solve_again(validation, goal, weights)
    for counts, rate, reached in zip(weights.T, again.rate_per_usd, again.reached, strict=True):
        anew = drawn(validation, counts)
        expected = solve_on(anew, goal)
        assert reached == (not expected.shortfall)
        # The rates may differ within a stretch in which no drawn prompt changes its model.
        assert np.array_equal(anew.choices(rate), anew.choices(expected.exchange_rate_per_usd))


def test_blocks_of_samples_are_the_samples(validation: Frontier, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = bootstrap_counts(validation.n_prompts, 30, seed=4)
    whole = solve_again(validation, GOALS["match"], weights)
    monkeypatch.setattr("carrot_core.evaluation.stability._CELLS", 7 * len(validation.exchange_rate_per_usd))
    parts = solve_again(validation, GOALS["match"], weights)
    assert np.array_equal(whole.rate_per_usd, parts.rate_per_usd)
    assert np.array_equal(whole.reached, parts.reached)


@pytest.mark.parametrize("goal", GOALS.values(), ids=GOALS)
def test_a_task_alone_is_the_goal_solved_on_that_task(
    protocol: Setting, estimates: dict[str, Estimates], goal: Goal
) -> None:
    rate = solve(protocol, estimates, goal, replicates=20).solution.exchange_rate_per_usd
    table = by_task(protocol, estimates, goal, rate, replicates=100).set_index("task")
    assert list(table.index) == ["kind 0", "kind 1"]
    for task, row in table.iterrows():
        only = protocol.narrowed(tasks=[str(task)])
        alone = solve(only, estimates, replace(goal, confidence=EVEN), replicates=20)
        assert row["reached_alone"] == (not alone.solution.shortfall)
        assert row["score_alone"] == pytest.approx(alone.points["test"].score.value)
        assert row["cost_usd_alone"] == pytest.approx(alone.points["test"].cost_usd.value)
        curve = only.frontier(estimates, "test")
        assert row["score"] == pytest.approx(curve.score[curve.at(rate)])
        assert row["cost_usd"] == pytest.approx(curve.cost_usd[curve.at(rate)])
        assert row["n_reported"] == curve.n_prompts
        assert row["score_low"] <= row["score"] <= row["score_high"]


def test_a_task_without_validation_prompts_has_no_point_of_its_own(
    protocol: Setting, estimates: dict[str, Estimates]
) -> None:
    part = protocol.validation
    reason = part.rows(np.array([task != "kind 1" for task in part.tasks]))
    table = by_task(replace(protocol, validation=reason), estimates, GOALS["budget"], 1.0).set_index("task")
    assert np.isnan(table.loc["kind 1", "lam_alone"])
    assert table.loc["kind 1", "reached_alone"] is None
    assert not np.isnan(table.loc["kind 1", "score"])


@pytest.fixture(scope="module")
def answers(protocol: Setting, estimates: dict[str, Estimates]) -> dict[str, Stability]:
    return {name: stability(protocol, estimates, goal, 300) for name, goal in GOALS.items()}


def test_the_point_itself_is_the_one_that_solve_finds(
    protocol: Setting, estimates: dict[str, Estimates], answers: dict[str, Stability]
) -> None:
    for name, goal in GOALS.items():
        expected = solve(protocol, estimates, goal, replicates=20)
        assert answers[name].lam == expected.lam
        assert answers[name].score.value == pytest.approx(expected.points["test"].score.value)
        assert answers[name].cost_usd.value == pytest.approx(expected.points["test"].cost_usd.value)


def test_intervals_hold_what_they_are_of(answers: dict[str, Stability]) -> None:
    for each in answers.values():
        samples = each.samples
        assert each.lam_interval.low <= each.lam_interval.high
        for name, interval in (("score", each.score), ("cost_usd", each.cost_usd)):
            within = samples[name].between(interval.low, interval.high)
            assert within.mean() >= 0.94
        # What the luck of the test prompts adds makes an interval no narrower.
        assert each.score_in_all.high - each.score_in_all.low >= each.score.high - each.score.low
    assert answers["budget out of reach"].reached == answers["target out of reach"].reached == 0.0
    assert answers["budget"].reached == 1.0


def test_whether_a_goal_is_kept_is_counted_on_the_drawn_test_prompts(
    protocol: Setting, estimates: dict[str, Estimates], answers: dict[str, Stability]
) -> None:
    curve = protocol.frontier(estimates, "test")
    again = bootstrap_counts(curve.n_prompts, 300, seed=1)
    promise = solve_on(protocol.frontier(estimates, "validation"), GOALS["least per solved"]).promise
    assert promise is not None
    for name, goal in GOALS.items():
        for place in (0, 17, 123):
            anew, row = drawn(curve, again[:, place]), answers[name].samples.iloc[place]
            at = anew.at(row["exchange_rate_per_usd"])
            choice = anew.choices(row["exchange_rate_per_usd"])
            highest = anew.estimates.cost_usd[np.arange(anew.n_prompts), choice].max()
            expected = {
                "budget_usd": anew.cost_usd[at] <= (goal.budget_usd or 0) + 1e-15,
                "target_score": anew.score[at] >= (goal.target_score or 0) - 1e-12,
                "match": anew.score[at] >= anew.outcomes.score[:, 0].mean() - 1e-12,
                "cap_usd": highest <= (goal.cap_usd or 0),
                "per_solved_usd": anew.cost_usd[at] / anew.score[at] <= (goal.per_solved_usd or 0) + 1e-15,
                "least_per_solved": anew.cost_usd[at] / anew.score[at] <= promise.bound + 1e-15,
            }
            (kind,) = (key for key in expected if vars(goal)[key] not in (None, False))
            assert row["kept"] == expected[kind], name
            assert row["score_drawn"] == pytest.approx(anew.score[at])


@pytest.mark.parametrize("n_solved", [0, 1])
def test_halves_that_solve_nothing_promise_no_cost_per_solved_task_so_none_is_kept(n_solved: int) -> None:
    bench = made(200)
    score = np.zeros(bench.outcomes.shape)
    score[np.flatnonzero(bench.split == "validation")[:n_solved]] = 1.0
    hopeless = setting(replace(bench, outcomes=replace(bench.outcomes, score=score)))
    few = replace(hopeless, validation=hopeless.validation.rows(np.arange(2)))
    sure = stability(few, few.baselines["zero"], Goal(least_per_solved=True), 20)
    assert sure.reached == sure.success_share == 0.0
    assert "promised" in verdict(sure)
    assert "probably" not in verdict(sure)
    json.dumps(sure.document(), allow_nan=False)


@pytest.mark.parametrize("lam", [0.0, 0.3, 1.0])
def test_a_lam_that_is_set_stays_and_only_what_it_does_varies(
    protocol: Setting, estimates: dict[str, Estimates], lam: float
) -> None:
    rate = rate_of_lam(lam, protocol.cost_unit_usd)
    answers = stability(protocol, estimates, Goal(rate_per_usd=rate), 200)
    assert not answers.is_solved
    assert answers.lam == answers.lam_interval.low == answers.lam_interval.high == pytest.approx(lam)
    assert answers.score.low == answers.score.high
    assert answers.score_in_all.low < answers.score.value < answers.score_in_all.high
    assert "other prompts would not change it" in verdict(answers)
    assert detail(answers) == of_tasks(answers) == ""
    assert json.loads(json.dumps(answers.document(), allow_nan=False))["kept_on_test"] is None


def test_the_words_say_how_sure_it_is(answers: dict[str, Stability]) -> None:
    assert "probably miss" in verdict(answers["target out of reach"])
    samples = answers["budget"].samples
    for share, words in (
        (1.0, "sure to keep"),
        (0.7, "will probably keep"),
        (0.5, "about even"),
        (0.2, "probably miss"),
    ):
        as_if = replace(answers["budget"], samples=samples.assign(kept=np.arange(300) < 300 * share))
        assert words in verdict(as_if)
    assert "at most $0.600 per 1k calls holds on test" in verdict(answers["budget"])
    assert "no point reaches it" in detail(answers["target out of reach"])
    assert "95 % of them" in detail(answers["match"])
    assert "2 tasks alone" in of_tasks(answers["match"])
    assert {goal_text(goal) for goal in GOALS.values()} >= {
        "at least 80.00 % accuracy",
        "as accurate as acme/large alone",
    }
    json.dumps([each.document() for each in answers.values()], allow_nan=False)


def test_the_pictures_hold_every_sample_and_task(
    protocol: Setting, estimates: dict[str, Estimates], answers: dict[str, Stability]
) -> None:
    curve = protocol.frontier(estimates, "test")
    for each in answers.values():
        exhibit = stability_exhibit(each, curve)
        assert exhibit.draw is not None
        for theme in ("light", "dark", "print"):
            figure = exhibit.draw(theme)
            assert len(figure.data[0].x) == len(each.samples)
        tasks = tasks_exhibit(each)
        assert tasks is not None
        assert tasks.draw is not None
        assert list(tasks.draw("light").layout.yaxis.ticktext) == tasks.table["task"].tolist()
        assert verdict(each) in exhibit.alt
    assert tasks_exhibit(replace(answers["match"], tasks=answers["match"].tasks.iloc[:0])) is None


def test_in_print_the_curve_is_no_sample_and_a_free_point_has_its_place(
    protocol: Setting, estimates: dict[str, Estimates], answers: dict[str, Stability]
) -> None:
    curve = save_curve(protocol.frontier(estimates, "test"))
    draw = stability_exhibit(answers["match"], replace(curve, cost_usd=curve.cost_usd - curve.cost_usd.min())).draw
    assert draw is not None
    samples, line, *_ = draw("print").data
    assert samples.marker.color != line.line.color
    assert 0.0 in line.x


def carrot(*arguments: object, code: int = 0) -> str:
    done = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert done.exit_code == code, done.output
    return done.stdout


@pytest.mark.slow
def test_the_command_line_tells_samples_tasks_and_rounds(carrot_home: Path, tmp_path: Path) -> None:
    for name, seed in (("made", 0), ("other", 5)):
        results, vectors = write_files(made(200, seed=seed), tmp_path, name)
        carrot("data", "import", results, "--name", name, "--embeddings", vectors)
    wish = ("solve", "made", "--target", 0.8, "--router", "carrot-linear", "--stability")
    message = carrot(*wish)
    assert "in each of 5 rounds" in message
    assert "  round 5: λ" in message
    assert "kind 0" in message
    document = json.loads(carrot(*wish, "--json"))
    rounds = document["stability"]["rounds"]
    assert len(rounds) == 5
    assert {each["cost_unit_usd"] for each in rounds} == {document["cost_unit_usd"]}
    assert len({each["lam"] for each in rounds}) > 1
    set_ = json.loads(carrot("solve", "made", "--lam", 0.25, "--router", "carrot-linear", "--stability", "--json"))
    assert set_["lam"] == pytest.approx(0.25)
    assert set_["stability"]["kept_on_test"] is None
    elsewhere = carrot("solve", "made", "--target", 0.8, "--fit-on", "other", "--stability", "--json")
    assert json.loads(elsewhere)["stability"]["rounds"] == []


def test_without_rounds_nothing_is_said_of_them(answers: dict[str, Stability]) -> None:
    assert of_rounds([]) == ""
    assert "rounds" not in stability_exhibit(answers["match"], None).caption
