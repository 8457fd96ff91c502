"""CARROT with a fine-tuned encoder: what it estimates, from what, and how it is kept."""

from __future__ import annotations

import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from carrot_core.embedding import BUNDLED
from carrot_core.errors import CarrotError, DataError
from carrot_core.outcomes import Benchmark, Outcomes
from carrot_core.routers import make_router
from carrot_core.routers.criteria import contrasts
from carrot_core.routers.encoder import ONLINE, chosen_encoder
from carrot_core.routers.saving import load_router, router_as_bytes, router_from_bytes, save_router
from tests.encoders import one_thread, tiny_encoder  # noqa: F401  (a fixture)
from tests.made import MODELS, made

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_encoder(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def bench() -> Benchmark:
    """Kinds of prompts that only their words tell apart; vectors of another size would be no use."""
    return replace(made(240), vectors=None, encoder=None)


def fitted(bench: Benchmark, encoder: str, **params: Any) -> Any:
    chosen: dict[str, Any] = {"epochs": 2, "learning_rate": 1e-3, **params}
    return make_router("carrot-encoder", encoder=encoder, **chosen).fit(bench)


@pytest.fixture(scope="module")
def router(bench: Benchmark, encoder: str) -> Any:
    return fitted(bench.part("train"), encoder)


# What it learns


def test_it_reads_from_the_words_which_model_is_good(bench: Benchmark, router: Any) -> None:
    test = bench.part("test")
    score = router.estimate(test).score
    kind = np.array([task == "kind 1" for task in test.tasks])
    small, mid = MODELS.index("acme/small"), MODELS.index("zeta/mid")
    assert (score[~kind, small] > score[~kind, mid] + 0.2).all()
    assert (score[kind, mid] > score[kind, small] + 0.2).all()


def test_usage_is_right_on_average(bench: Benchmark, router: Any) -> None:
    test = bench.part("test")
    estimated, observed = router.estimate(test).cost_usd.mean(axis=0), test.outcomes.cost_usd.mean(axis=0)
    np.testing.assert_allclose(estimated, observed, rtol=0.35)
    assert router.usage_scale_.bias_.shape == (3,)


def test_dollars_where_there_are_no_tokens_and_nothing_where_only_input_is_charged(
    bench: Benchmark, encoder: str
) -> None:
    dollars = replace(bench, input_tokens=np.empty((0, 0)), output_tokens=np.empty((0, 0)), prices={})
    costs = fitted(dollars.part("train"), encoder, epochs=0).estimate(dollars.part("test")).cost_usd.mean(axis=0)
    np.testing.assert_allclose(costs, bench.part("test").outcomes.cost_usd.mean(axis=0), rtol=0.35)
    free = replace(bench, output_tokens=np.full(bench.outcomes.shape, np.nan))
    estimate = fitted(free.part("train"), encoder, epochs=0).estimate(free.part("test"))
    charged = free.part("test").input_tokens * [free.prices[model].input_usd_per_mtok / 1e6 for model in MODELS]
    np.testing.assert_allclose(estimate.cost_usd, charged)


def test_new_prices_need_no_refit(bench: Benchmark, router: Any) -> None:
    test = bench.part("test")
    free_output = {name: replace(price, output_usd_per_mtok=0.0) for name, price in test.prices.items()}
    estimate = router.estimate(replace(test, prices=free_output))
    np.testing.assert_array_equal(estimate.score, router.estimate(test).score)
    assert (estimate.cost_usd < router.estimate(test).cost_usd).all()


def test_unobserved_cells_weigh_nothing(bench: Benchmark, encoder: str) -> None:
    """What an unobserved cell would have been changes nothing, and neither does a prompt with none observed."""
    train = bench.part("train")
    hidden = np.random.default_rng(1).random(train.outcomes.shape) < 0.3
    hidden[5] = True

    def router(score: Any) -> Any:
        outcomes = train.outcomes
        observed = np.where(hidden, np.nan, score)
        cost, tokens = np.where(hidden, np.nan, outcomes.cost_usd), np.where(hidden, np.nan, train.output_tokens)
        with_gaps = Outcomes(outcomes.prompt_ids, outcomes.models, observed, cost)
        return fitted(replace(train, outcomes=with_gaps, output_tokens=tokens), encoder, epochs=1)

    one, other = router(train.outcomes.score), router(np.where(hidden, 0.5, train.outcomes.score))
    estimates = [each.estimate(bench.part("test")).score for each in (one, other)]
    np.testing.assert_array_equal(*estimates)
    assert np.isfinite(estimates[0]).all()


def test_differences_are_drawn_towards_the_means_by_the_best_factor() -> None:
    from carrot_core.routers.encoder.router import _slope

    rng = np.random.default_rng(0)
    truth = rng.normal(size=(4000, 5))
    noisy = truth + rng.normal(scale=1.0, size=truth.shape)
    assert _slope(noisy, truth) == pytest.approx(0.5, abs=0.02)
    grid = np.linspace(0, 1, 1001)
    errors = [((a * contrasts(noisy) - contrasts(truth)) ** 2).sum() for a in grid]
    assert _slope(noisy, truth) == pytest.approx(grid[int(np.argmin(errors))], abs=1e-3)
    assert _slope(-noisy, truth) == 0.0
    assert _slope(np.zeros((3, 2)), truth[:3, :2]) == 1.0
    missing = np.where(rng.random(truth.shape) < 0.3, np.nan, truth)
    assert _slope(noisy, missing) == pytest.approx(0.5, abs=0.03)


# What its estimates depend on


def test_a_prompt_alone_is_the_prompt_in_any_batch(bench: Benchmark, router: Any) -> None:
    test = bench.part("test")
    texts = ("", *(("question " * (7 * i)) + str(i) for i in range(1, len(test.texts))))
    test = replace(test, texts=texts)
    together = router.estimate(test)
    alone = [router.estimate(test.rows(np.array([i]))) for i in range(12)]
    np.testing.assert_allclose(np.vstack([each.score for each in alone]), together.score[:12], atol=1e-5)
    np.testing.assert_allclose(np.vstack([each.cost_usd for each in alone]), together.cost_usd[:12], rtol=1e-4)
    backwards = router.estimate(test.rows(np.arange(len(texts))[::-1]))
    np.testing.assert_allclose(backwards.score[::-1], together.score, atol=1e-5)


def test_no_outcome_and_no_task_is_read(bench: Benchmark, router: Any) -> None:
    test = bench.part("test")
    blind = Outcomes(test.prompt_ids, test.models, *(np.full(test.outcomes.shape, np.nan) for _ in range(2)))
    hidden = replace(test, outcomes=blind, tasks=("",) * len(test.tasks), output_tokens=np.empty((0, 0)))
    np.testing.assert_array_equal(router.estimate(hidden).score, router.estimate(test).score)
    np.testing.assert_array_equal(router.estimate(hidden).cost_usd, router.estimate(test).cost_usd)


def test_the_same_seed_gives_the_same_router(bench: Benchmark, encoder: str) -> None:
    train, test = bench.part("train"), bench.part("test")
    one, again, other = (fitted(train, encoder, epochs=1, seed=seed).estimate(test).score for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


def test_models_are_bound_by_name(bench: Benchmark, router: Any) -> None:
    test = bench.part("test")
    np.testing.assert_array_equal(
        router.estimate(test.pool(MODELS[::-1])).pool(MODELS).score, router.estimate(test).score
    )


@pytest.mark.parametrize("text", ["", "\ud800", " " * 100_000, "x" * 100_000, "long " * 5_000, "\x00"])
def test_no_text_is_too_odd(bench: Benchmark, router: Any, text: str) -> None:
    odd = replace(bench.part("test").rows(np.array([0])), texts=(text,))
    assert np.isfinite(router.estimate(odd).score).all()


# What it refuses


def test_prompts_without_text_are_refused(bench: Benchmark, router: Any) -> None:
    mute = replace(bench, texts=(None, *bench.texts[1:]))
    for act in (router.estimate, make_router("carrot-encoder").fit):
        with pytest.raises(CarrotError, match="1 prompts of 'made' have no text"):
            act(mute)


def test_a_model_never_observed_is_refused(bench: Benchmark, encoder: str) -> None:
    score = bench.outcomes.score.copy()
    score[:, 1] = np.nan
    never = replace(bench, outcomes=replace(bench.outcomes, score=score))
    with pytest.raises(CarrotError, match="'acme/small' has no score"):
        fitted(never, encoder)


def test_one_text_is_too_few(bench: Benchmark, encoder: str) -> None:
    with pytest.raises(CarrotError, match="two different texts"):
        fitted(replace(bench, texts=("same",) * len(bench.texts)), encoder)


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": -1},
        {"trainer": "magic"},
        {"held_out": 1.0},
        {"max_length": 513},
        {"precision": "float8"},
        {"wide": 1},
    ],
)
def test_parameters_out_of_bounds_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(CarrotError, match=next(iter(wrong))):
        make_router("carrot-encoder", **wrong)


def test_an_encoder_that_is_none_is_refused(bench: Benchmark, tmp_path: Path) -> None:
    with pytest.raises(CarrotError, match="could not be loaded"):
        fitted(bench, str(tmp_path))


# Which encoder


def test_auto_is_the_papers_encoder_where_the_hub_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("carrot_core.routers.encoder._at_hand", lambda repo: True)
    assert chosen_encoder("auto") == ONLINE == "roberta-base"


def test_auto_is_the_bundled_one_offline_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: None)
    with caplog.at_level(logging.WARNING):
        assert chosen_encoder("auto") == BUNDLED
    assert f"encoder='auto' is the bundled {BUNDLED}" in caplog.text


def test_a_name_is_that_encoder_and_no_other() -> None:
    assert chosen_encoder("some/encoder") == "some/encoder"


def test_the_encoder_used_is_kept(router: Any, encoder: str) -> None:
    assert router.encoder_ == encoder


def test_the_bundled_encoder_can_be_trained(bench: Benchmark) -> None:
    router = make_router("carrot-encoder", encoder=BUNDLED, epochs=1, max_length=16).fit(bench.rows(np.arange(40)))
    assert router.encoder_ == BUNDLED
    assert np.isfinite(router.estimate(bench.part("test")).score).all()


# How it is kept


def test_plain_transformers_open_what_is_saved(bench: Benchmark, router: Any, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    save_router(router, tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".bin", ".pkl", ".pt", ".pth")]
    model = AutoModel.from_pretrained(tmp_path / "network").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "network")
    text = str(bench.texts[0])
    with torch.inference_mode():
        hidden = model(**tokenizer([text], return_tensors="pt")).last_hidden_state.mean(dim=1)
        unit = torch.nn.functional.normalize(hidden, dim=1) * hidden.shape[1] ** 0.5
        outputs = router.network.module.head(unit)
    np.testing.assert_allclose(outputs.numpy(), router.network.outputs([text]), atol=1e-5)


def test_saved_over_and_again(bench: Benchmark, router: Any, tmp_path: Path) -> None:
    save_router(router, tmp_path / "one")
    loaded = load_router(tmp_path / "one")
    save_router(loaded, tmp_path / "two")
    save_router(loaded, tmp_path / "two")
    expected, result = router.estimate(bench), load_router(tmp_path / "two").estimate(bench)
    np.testing.assert_array_equal(result.score, expected.score)
    np.testing.assert_array_equal(result.cost_usd, expected.cost_usd)
    assert loaded.history_ == router.history_


def test_as_a_run_keeps_it_the_weights_and_the_tokenizer_go_along(bench: Benchmark, router: Any) -> None:
    again, profile = router_from_bytes(*router_as_bytes(router))
    expected, result = router.estimate(bench), again.estimate(bench)
    assert profile is None
    np.testing.assert_array_equal(result.score, expected.score)
    np.testing.assert_array_equal(result.cost_usd, expected.cost_usd)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_files_that_were_changed_or_lost_are_refused(router: Any, tmp_path: Path, name: str) -> None:
    save_router(router, tmp_path)
    file = tmp_path / "network" / name
    file.write_bytes(file.read_bytes()[:-1] + b" ")
    with pytest.raises(DataError, match=f"network/{name}"):
        load_router(tmp_path)
    file.unlink()
    with pytest.raises(DataError, match=name):
        load_router(tmp_path)


def test_torch_is_loaded_only_where_an_encoder_is(tmp_path: Path) -> None:
    code = (
        "import sys, carrot_core.routers.saving, carrot_core.routers.mlp; from carrot_core.routers import make_router\n"
        "for name in ('carrot-encoder', 'routellm-bert', 'carrot-released', 'carrot-mlp'): make_router(name)\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
