"""The simulated world is what its controls say: Hölder exponent, margin, means of the outcomes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carrot_core.errors import CarrotError
from carrot_core.theory.world import BREACHES, World, possible, strokes, zigzag, zigzag_integral
from tests.reference import theory as slow

RNG = np.random.default_rng(0)
WORLDS = [(1, 0.5, 1.0), (2, 1.0, 1.0), (3, 2.0, 1.0), (1, 1.5, 1.0), (2, 0.5, 2.0), (3, 0.5, 0.5), (1, 1.0, 0.5)]


@given(st.floats(0, 1), st.sampled_from([0.25, 0.3, 0.5, 0.7, 0.9, 1.0]))
def test_zigzag_is_the_path_written_out(x: float, exponent: float) -> None:
    value = zigzag(np.array([x]), exponent)[0]
    # Rounding of x is magnified as the function is rough.
    assert value == pytest.approx(slow.zigzag(x, strokes(exponent)), abs=(4e-15) ** exponent + 1e-12)


@pytest.mark.parametrize("exponent", [0.25, 0.3, 0.5, 0.75, 1.0])
def test_zigzag_is_as_rough_as_it_says_and_takes_every_value_equally_often(exponent: float) -> None:
    steps = 2.0 ** -np.arange(3, 19)
    x = RNG.random(20_000)
    most = [np.abs(zigzag(np.minimum(x + h, 1), exponent) - zigzag(x, exponent)).max() for h in steps]
    measured = np.polyfit(np.log(steps), np.log(most), 1)[0]
    assert measured == pytest.approx(exponent, abs=0.05)
    assert (np.array(most) <= 4 * steps**exponent).all()  # one constant for all scales: Hölder
    # Everywhere alike: the largest change near any point is of that order too, so it is no smoother anywhere.
    local = zigzag(np.clip(x[:500, None] + steps[8] * np.linspace(-1, 1, 401), 0, 1), exponent)
    assert ((local.max(axis=1) - local.min(axis=1)) > 0.25 * steps[8] ** exponent).all()
    counts = np.histogram(zigzag(RNG.random(100_000), exponent), 20, (0, 1))[0]
    assert np.abs(counts / 5_000 - 1).max() < 0.07


@pytest.mark.parametrize("exponent", [0.25, 0.5, 0.8, 1.0])
def test_the_integral_is_that_of_the_zigzag(exponent: float) -> None:
    x = np.linspace(0, 1, 400_001)
    z = zigzag(x, exponent)
    summed = np.concatenate([[0], np.cumsum((z[1:] + z[:-1]) / 2)]) * (x[1] - x[0])
    assert np.abs(summed - zigzag_integral(x, exponent)).max() < 1e-5


@pytest.mark.parametrize("world", [World(*w, n_models=2 + 2 * (i % 2)) for i, w in enumerate(WORLDS)], ids=str)
def test_the_margin_has_the_exponent_of_the_control(world: World) -> None:
    utility = np.sort(world.true_utility(world.fresh_prompts(150_000, np.random.default_rng(1))), axis=1)
    gap = utility[:, -1] - utility[:, -2]
    largest = 0.1 * np.quantile(gap, 0.9) if world.margin >= 1 else 0.01 * np.quantile(gap, 0.9)
    levels = np.geomspace(largest / 10, largest, 5)
    mass = [(gap <= t).mean() for t in levels]
    assert np.polyfit(np.log(levels), np.log(mass), 1)[0] == pytest.approx(world.margin, abs=0.1)


@pytest.mark.parametrize("world", [World(*w) for w in WORLDS if w[1] < 1], ids=str)
def test_score_and_cost_have_the_smoothness_of_the_control(world: World) -> None:
    steps = 2.0 ** -np.arange(3, 12) if world.margin > 1 else 2.0 ** -np.arange(6, 19)
    x = world.fresh_prompts(300_000, np.random.default_rng(2))
    close = np.argsort(np.abs(world.steps(x)[:, 0]))[:100]  # a margin above 1 is steepest at the boundary
    x = np.concatenate([x[close], x[:5_000]])
    for which in (0, 1):
        most = []
        for h in steps:
            moved = x.copy()
            moved[:, 0] = np.abs(x[:, 0] - h)
            most.append(np.abs(world.phi(moved)[which] - world.phi(x)[which]).max())
        assert np.polyfit(np.log(steps), np.log(most), 1)[0] == pytest.approx(world.smoothness, abs=0.08)


@pytest.mark.parametrize("smoothness", [1.3, 1.5, 2.0])
def test_above_one_the_derivative_has_what_is_left(smoothness: float) -> None:
    world, x = World(1, smoothness), 0.1 + 0.8 * np.random.default_rng(3).random((20_000, 1))
    steps = 2.0 ** -np.arange(4, 18)
    # Second differences of a function with a (γ - 1)-Hölder derivative go like h^γ.
    most = [np.abs(world.height(x + h) - 2 * world.height(x) + world.height(x - h)).max() for h in steps]
    assert np.polyfit(np.log(steps), np.log(most), 1)[0] == pytest.approx(smoothness, abs=0.08)


@pytest.mark.parametrize("lam", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("n_models", [2, 5])
def test_scores_and_costs_are_in_range_and_outcomes_have_their_means(lam: float, n_models: int) -> None:
    world = World(2, 0.5, 1.0, lam, n_models)
    score, cost = world.phi(world.fresh_prompts(50_000, RNG))
    assert score.min() >= 0
    assert score.max() <= 1
    assert cost.min() >= 0
    assert cost.max() <= 1
    x = np.repeat([[0.3, 0.6]], 60_000, axis=0)
    drawn = world.outcomes(x, np.random.default_rng(4))
    for outcome, mean in zip(drawn, world.phi(x), strict=True):
        assert outcome.mean(axis=0) == pytest.approx(mean[0], abs=0.006)


def test_every_model_is_best_somewhere_and_the_best_changes_at_the_boundaries() -> None:
    world = World(1, 1.0, 1.0, 0.4, 5)
    x = np.linspace(0.001, 0.999, 2_000)[:, None]
    best = world.true_utility(x).argmax(axis=1)
    assert (best == np.searchsorted(world.boundaries, world.height(x))).all()
    assert set(best) == set(range(5))


def test_without_a_margin_the_share_of_close_choices_falls_slower_than_any_power() -> None:
    world = World(1, 1.0, 1.0, breach="no-margin")
    gap = np.abs(world.steps(np.linspace(0, 1, 200_001)[:, None])[:, 0])
    levels = np.array([1e-2, 1e-4, 1e-8, 1e-16])
    mass = np.array([(gap <= t).mean() for t in levels])
    assert (np.diff(np.log(mass)) / np.diff(np.log(levels)) < 0.16).all()
    assert mass[-1] > 0.02  # one prompt in fifty is decided by less than 1e-16


def test_the_thin_world_has_no_training_prompts_near_a_boundary_but_asks_there() -> None:
    world = World(2, breach="thin", n_models=3)
    for draw, share in ((world.fresh_prompts, 0.02), (world.training_prompts, 0.0)):
        x = draw(100_000, np.random.default_rng(5))[:, 0]
        near = np.abs(x[:, None] - world.boundaries).min(axis=1) < 0.005
        assert near.mean() == pytest.approx(share, abs=0.002)


@pytest.mark.parametrize(
    "wrong",
    [
        {"dimension": 0},
        {"dimension": 9},
        {"smoothness": float("nan")},
        {"smoothness": 3.0},
        {"margin": 0.0},
        {"margin": float("inf")},
        {"lam": 1.1},
        {"n_models": 1},
        {"breach": "none of these"},
        {"smoothness": 1.0, "margin": 2.0},
    ],
)
def test_a_world_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(CarrotError):
        World(**wrong)  # type: ignore[arg-type]


def test_what_is_possible() -> None:
    assert possible(2, 1)
    assert possible(0.5, 2)
    assert not possible(1, 2)
    assert not possible(2, 0.75)
    assert set(BREACHES) == {"none", "no-margin", "rough", "thin"}
