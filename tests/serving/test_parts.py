"""Token counts, intervals and distances of typed prompts."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carrot_core.errors import CarrotError
from carrot_core.routers.baselines import ZeroRouter
from carrot_core.routers.saving import load_router, save_router
from carrot_core.serving.intervals import GROUP, ScoreInterval, UsageInterval
from carrot_core.serving.profile import Distance, InputTokens, piece_count
from tests.made import made

TEXTS = [f"{'word ' * words}and {words} symbols ==" for words in range(3, 203)]
STRANGE = ["", "🥕" * 50, "\ud800\x00", "中文" * 30, "a" * 100_000, "\n" * 100, "<b>&amp;</b>", "\u202eabc"]


def _two_tokenizers() -> np.ndarray:
    pieces = np.array([piece_count(text) for text in TEXTS], dtype=float)
    return np.column_stack([10 + pieces, 3 + 1.4 * pieces])


class TestInputTokens:
    def test_each_model_has_its_own_slope_and_template(self) -> None:
        fitted = InputTokens().fit(TEXTS, _two_tokenizers())
        np.testing.assert_allclose(fitted.slope_, [1.0, 1.4], rtol=1e-3)
        np.testing.assert_allclose(fitted.intercept_, [10.0, 3.0], rtol=1e-2)
        np.testing.assert_allclose(fitted.predict(TEXTS), _two_tokenizers(), rtol=1e-3)

    def test_a_few_odd_counts_move_little(self) -> None:
        counts = _two_tokenizers()
        counts[::20] *= 8
        np.testing.assert_allclose(InputTokens().fit(TEXTS, counts).predict(TEXTS), _two_tokenizers(), rtol=0.02)

    def test_missing_counts_and_texts_are_left_out(self) -> None:
        counts, texts = _two_tokenizers(), [None, *TEXTS[1:]]
        counts[10:30, 0] = np.nan
        counts[0] = 1e6  # of the prompt without text
        np.testing.assert_allclose(InputTokens().fit(texts, counts).predict(TEXTS), _two_tokenizers(), rtol=1e-3)

    def test_a_model_without_counts_gets_the_mean_of_the_others(self) -> None:
        counts = np.column_stack([_two_tokenizers(), np.full(len(TEXTS), np.nan)])
        predicted = InputTokens().fit(TEXTS, counts).predict(TEXTS)
        np.testing.assert_allclose(predicted[:, 2], predicted[:, :2].mean(axis=1), rtol=1e-3)

    def test_nothing_recorded_is_an_error(self) -> None:
        with pytest.raises(CarrotError, match="No input tokens are recorded"):
            InputTokens().fit(TEXTS, np.full((len(TEXTS), 2), np.nan))

    def test_unrelated_counts_never_give_less_than_nothing(self) -> None:
        falling = _two_tokenizers()[::-1]
        fitted = InputTokens().fit(TEXTS, falling)
        assert (fitted.slope_ >= 0).all()
        assert (fitted.predict(["", "x " * 10_000]) >= 0).all()

    @pytest.mark.parametrize("text", STRANGE)
    def test_any_text_has_a_finite_count_alone_as_among_others(self, text: str) -> None:
        fitted = InputTokens().fit(TEXTS, _two_tokenizers())
        alone = fitted.predict([text])
        assert np.isfinite(alone).all()
        np.testing.assert_array_equal(fitted.predict([*STRANGE, text])[-1:], alone)

    def test_an_unbroken_run_counts_by_its_length(self) -> None:
        assert piece_count("a" * 100_000) == 10_000
        assert piece_count("Wie geht's?") == 5
        assert piece_count("") == 0

    @pytest.mark.slow
    @given(st.text(), st.text())
    def test_more_text_never_has_fewer_pieces_than_its_start(self, start: str, end: str) -> None:
        assert piece_count(f"{start} {end}") >= piece_count(start)

    def test_columns_follow_the_order_asked_for(self) -> None:
        fitted = InputTokens().fit(TEXTS, _two_tokenizers())
        np.testing.assert_array_equal(
            fitted.columns(np.array([1, 0])).predict(STRANGE), fitted.predict(STRANGE)[:, ::-1]
        )

    def test_no_texts_give_no_rows(self) -> None:
        assert InputTokens().fit(TEXTS, _two_tokenizers()).predict([]).shape == (0, 2)


def _scores(n: int, seed: int, models: int = 3, error: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Estimates, and answers that are right with those chances."""
    rng = np.random.default_rng(seed)
    chance = rng.uniform(0.1, 0.9, (n, models))
    return chance + rng.choice([-error, error], (n, models)), (rng.random((n, models)) < chance).astype(float)


class TestScoreInterval:
    def test_it_holds_in_nine_of_ten_groups(self) -> None:
        fitted = ScoreInterval().fit(*_scores(20_000, 0))
        assert fitted.coverage(*_scores(20_000, 1)) == pytest.approx(0.9, abs=0.03)
        assert fitted.width_ == pytest.approx(1.645, abs=0.15)  # the normal distribution's, for right chances

    def test_it_widens_where_estimates_err(self) -> None:
        predicted, observed = _scores(5_000, 0)
        wrong = np.clip(predicted + 0.15, 0, 1)
        assert ScoreInterval().fit(wrong, observed).width_ > 1.5 * ScoreInterval().fit(predicted, observed).width_

    def test_few_prompts_give_a_wider_interval_not_a_narrower_one(self) -> None:
        few = [ScoreInterval().fit(*_scores(4 * GROUP, seed)).width_ for seed in range(30)]
        assert np.mean(few) > ScoreInterval().fit(*_scores(20_000, 0)).width_
        predicted, observed = _scores(4 * GROUP, 0)
        assert ScoreInterval().fit(predicted, observed).coverage(predicted, observed) == 1.0  # the largest seen

    @given(st.integers(1, 120), st.integers(1, 3), st.integers(0, 5))
    @settings(max_examples=25, deadline=None)
    def test_ends_are_ordered_within_bounds_and_around_the_estimate(self, n: int, models: int, seed: int) -> None:
        predicted, observed = _scores(n, seed, models)
        low, high = ScoreInterval().fit(predicted, observed).interval(predicted * 3 - 1)
        centre = np.clip(predicted * 3 - 1, 0, 1)
        assert low.shape == high.shape == predicted.shape
        assert ((low >= 0) & (low <= centre) & (centre <= high) & (high <= 1)).all()

    def test_missing_cells_are_left_out(self) -> None:
        predicted, observed = _scores(2_000, 0)
        some = observed.copy()
        some[:, 0] = np.nan
        without_gaps = ScoreInterval().fit(predicted[:, 1:], observed[:, 1:])
        assert ScoreInterval().fit(predicted, some).width_ == without_gaps.width_

    def test_nothing_observed_is_an_error(self) -> None:
        with pytest.raises(CarrotError, match="No scores are observed"):
            ScoreInterval().fit(np.ones((5, 2)), np.full((5, 2), np.nan))


def _usage(n: int, seed: int, unit: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Predictions, and use that is a lognormal multiple of them, wider for the second model."""
    rng = np.random.default_rng(seed)
    predicted = rng.uniform(50, 500, (n, 2)) * unit
    return predicted, predicted * np.exp(rng.normal(scale=[0.3, 0.8], size=(n, 2)))


class TestUsageInterval:
    @pytest.mark.parametrize("unit", [1.0, 1e-6])
    def test_it_holds_in_nine_of_ten_calls_of_tokens_as_of_dollars(self, unit: float) -> None:
        fitted = UsageInterval().fit(*_usage(4_000, 0, unit))
        predicted, observed = _usage(4_000, 1, unit)
        low, high = fitted.interval(predicted)
        inside = (low <= observed) & (observed <= high)
        np.testing.assert_allclose(inside.mean(axis=0), 0.9, atol=0.03)
        assert fitted.coverage(predicted, observed) == inside.mean()
        np.testing.assert_allclose(np.median(high / predicted, axis=0), np.exp([0.3 * 1.645, 0.8 * 1.645]), rtol=0.1)

    def test_a_wrong_factor_is_taken_out(self) -> None:
        predicted, observed = _usage(2_000, 0)
        low, high = UsageInterval().fit(predicted / 3, observed).interval(predicted / 3)
        assert (low[:, 0] > predicted[:, 0] / 3).all()  # three times too low: more than its scatter
        assert ((low <= observed) & (observed <= high)).mean() == pytest.approx(0.9, abs=0.02)

    def test_columns_and_missing_cells(self) -> None:
        predicted, observed = _usage(500, 0)
        observed[::3, 0] = np.nan
        fitted = UsageInterval().fit(predicted, observed)
        swapped = fitted.columns(np.array([1, 0]))
        for part, whole in zip(swapped.interval(predicted[:, ::-1]), fitted.interval(predicted), strict=True):
            np.testing.assert_array_equal(part, whole[:, ::-1])
        alone = UsageInterval().fit(predicted[:, 1:], observed[:, 1:])
        np.testing.assert_allclose(fitted.high_[1:], alone.high_, rtol=1e-12)

    def test_a_model_that_was_never_observed_has_no_interval(self) -> None:
        predicted, observed = _usage(100, 0)
        observed[:, 1] = np.nan
        fitted = UsageInterval().fit(predicted, observed)
        low, high = fitted.interval(predicted)
        assert np.isnan(low[:, 1]).all()
        assert np.isnan(high[:, 1]).all()
        assert 0.85 < fitted.coverage(predicted, observed) <= 1.0

    def test_a_price_a_call_is_in_its_interval_though_rounded(self) -> None:
        observed = np.full((300, 2), 0.0035)
        predicted = observed * np.random.default_rng(0).choice([1.0, 1.0 - 1e-14, 1.0 + 1e-14], observed.shape)
        fitted = UsageInterval().fit(predicted[:200], observed[:200])
        assert fitted.coverage(predicted[200:], observed[200:]) == 1.0
        low, high = fitted.interval(predicted)
        np.testing.assert_allclose([low, high], 0.0035, rtol=1e-4)

    def test_calls_of_no_use_keep_ends_at_zero_or_more(self) -> None:
        predicted, observed = _usage(100, 0)
        observed[:10] = predicted[5:15] = 0.0
        low, high = UsageInterval().fit(predicted, observed).interval(predicted)
        assert (low >= 0).all()
        assert np.isfinite(high).all()


def _directions(n: int, seed: int, kinds: int = 4, d: int = 32) -> np.ndarray:
    """Vectors of length 1 around the same few centres, whatever the seed."""
    centres = np.random.default_rng(7).normal(size=(kinds, d))
    rng = np.random.default_rng(seed)
    vectors = centres[rng.integers(0, kinds, n)] + rng.normal(scale=0.5, size=(n, d))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def _elsewhere(n: int, d: int = 32) -> np.ndarray:
    vectors = np.random.default_rng(99).normal(size=(n, d))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


class TestDistance:
    def test_percentiles_of_prompts_like_the_training_prompts_are_even(self) -> None:
        fitted = Distance().fit(_directions(4_000, 0), _directions(2_000, 1))
        percentile = fitted.percentile(_directions(4_000, 2))
        assert (percentile >= 99).mean() == pytest.approx(0.01, abs=0.006)
        assert (percentile >= 90).mean() == pytest.approx(0.1, abs=0.02)

    def test_prompts_from_elsewhere_are_far(self) -> None:
        fitted = Distance().fit(_directions(4_000, 0), _directions(2_000, 1))
        assert (fitted.percentile(_elsewhere(200)) >= 99).mean() > 0.95

    def test_distances_are_those_of_the_plain_definition(self) -> None:
        train = _directions(40, 0).astype(float)  # too few for more than one centre
        fitted = Distance().fit(train, train)
        covariance = np.cov(train.T, bias=True)
        shrunk = np.linalg.inv(fitted._whitening() @ fitted._whitening().T)
        share = 1 - np.corrcoef(covariance[np.triu_indices(32, 1)], shrunk[np.triu_indices(32, 1)])[0, 1]
        assert share < 0.01  # shrinking scales what is off the diagonal
        off = _elsewhere(5) - train.mean(axis=0)
        expected = np.einsum("ni,ij,nj->n", off, np.linalg.inv(shrunk), off)
        np.testing.assert_allclose(fitted.distances(_elsewhere(5)), expected, rtol=5e-3)

    def test_a_row_does_not_depend_on_its_batch(self) -> None:
        fitted, many = Distance().fit(_directions(500, 0), _directions(200, 1)), _directions(300, 2)
        alone = np.concatenate([fitted.percentile(many[i : i + 1]) for i in range(300)])
        np.testing.assert_array_equal(fitted.percentile(many), alone)

    def test_no_centre_stands_for_few_prompts(self) -> None:
        crowd, lonely = _directions(1_000, 0), _elsewhere(1) * 3
        fitted = Distance().fit(np.vstack([crowd, lonely]), crowd)
        assert fitted.distances(lonely)[0] > fitted.validation_[-1]

    @pytest.mark.parametrize("n", [2, 200])
    def test_few_or_equal_prompts_are_enough(self, n: int) -> None:
        same = np.repeat(_elsewhere(1), n, axis=0)
        fitted = Distance().fit(same, same)
        np.testing.assert_array_equal(fitted.percentile(same[:1]), [0.0])
        np.testing.assert_array_equal(fitted.percentile(-same[:1]), [100.0])

    def test_prompts_without_vectors_are_left_out(self) -> None:
        train, gaps = _directions(300, 0), np.full((3, 32), np.nan, dtype=np.float32)
        with_gaps = Distance().fit(np.vstack([gaps, train]), np.vstack([train, gaps]))
        np.testing.assert_array_equal(
            with_gaps.percentile(_elsewhere(9)), Distance().fit(train, train).percentile(_elsewhere(9))
        )

    def test_what_is_kept_is_small(self) -> None:
        vectors = _directions(3_500, 0, d=384)
        without_gaps = vars(Distance().fit(vectors, vectors[:1_500])).values()
        assert sum(array.nbytes for array in without_gaps) < 150_000


def test_all_parts_are_saved_and_loaded_as_they_were(tmp_path) -> None:
    router, bench = ZeroRouter().fit(made()), made()
    router.parts_ = [
        InputTokens().fit(TEXTS, _two_tokenizers()),
        ScoreInterval().fit(*_scores(200, 0)),
        UsageInterval().fit(*_usage(200, 0)),
        Distance().fit(bench.vectors, bench.vectors),
    ]
    save_router(router, tmp_path)
    assert json.loads((tmp_path / "router.json").read_text())["models"] == list(bench.models)
    tokens, score, usage, distance = load_router(tmp_path).parts_
    before = router.parts_
    np.testing.assert_array_equal(tokens.predict(STRANGE), before[0].predict(STRANGE))
    np.testing.assert_array_equal(score.interval(np.eye(2)), before[1].interval(np.eye(2)))
    np.testing.assert_array_equal(usage.interval(np.ones((4, 2))), before[2].interval(np.ones((4, 2))))
    np.testing.assert_array_equal(distance.percentile(bench.vectors), before[3].percentile(bench.vectors))
