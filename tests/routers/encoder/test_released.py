"""The published checkpoints, on tiny stand-ins of their layout: what each output is bound to, and its unit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from carrot_core.errors import CarrotError, NotFoundError
from carrot_core.outcomes import Benchmark, Outcomes
from carrot_core.prices.files import shipped_prices
from carrot_core.routers import make_router
from carrot_core.routers.encoder.router import LABELS, CarrotReleased
from carrot_core.routers.saving import load_router, save_router
from tests.encoders import one_thread, tiny_classifier  # noqa: F401  (a fixture)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

LLAMA, MIXTRAL = "wxai-llama-3-405b-instruct", "wxai-mixtral-8x7b-instruct-v01"
# The order of the wrapper that was published with the checkpoints.
WRAPPER = (*LABELS[:-2], MIXTRAL, LLAMA)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("released")
    performance = tiny_classifier(folder / "performance", 13, seed=1)
    return {"performance": performance, "cost": tiny_classifier(folder / "cost", 13, seed=2), "tokenizer": performance}


def bench(models: tuple[str, ...] = LABELS, n: int = 12) -> Benchmark:
    shape = n, len(models)
    texts = tuple(f"question {i} of kind " + "so " * (i % 5 * 3) for i in range(n))
    unseen = Outcomes(tuple(f"p{i}" for i in range(n)), models, *(np.full(shape, np.nan) for _ in range(2)))
    tokens = np.repeat(np.arange(10.0, 10 + n)[:, None], shape[1], axis=1)
    split = np.array(["test"] * n)
    return Benchmark("sprout", unseen, texts, ("",) * n, split, input_tokens=tokens)


def raw(place: str, texts: tuple[str | None, ...]) -> Any:
    """Outputs of one network, one text at a time, with transformers alone."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(place), AutoModelForSequenceClassification.from_pretrained(place)
    with torch.inference_mode():
        return np.vstack([model.eval()(**tokenizer(text, return_tensors="pt")).logits.numpy() for text in texts])


def test_outputs_are_scores_and_thousands_of_tokens_in_the_order_of_training(places: dict[str, str]) -> None:
    data = bench()
    result = make_router("carrot-released", **places).fit(data).estimate(data)
    scores = 1 / (1 + np.exp(-raw(places["performance"], data.texts)))
    output_tokens = np.maximum(1000 * raw(places["cost"], data.texts), 0)
    prices = [shipped_prices()[model] for model in LABELS]
    dollars = data.input_tokens * [price.input_usd_per_mtok / 1e6 for price in prices]
    dollars = dollars + output_tokens * [price.output_usd_per_mtok / 1e6 for price in prices]
    assert result.models == LABELS
    np.testing.assert_allclose(result.score, scores, atol=1e-5)
    np.testing.assert_allclose(result.cost_usd, dollars, rtol=1e-4, atol=1e-9)


def test_the_order_is_that_of_training_not_of_the_published_wrapper() -> None:
    assert tuple(sorted(LABELS)) == LABELS
    assert (LABELS.index(LLAMA), LABELS.index(MIXTRAL)) == (11, 12)
    assert (WRAPPER.index(MIXTRAL), WRAPPER.index(LLAMA)) == (11, 12)
    assert set(LABELS) < set(shipped_prices())


def test_names_in_the_checkpoint_come_first(places: dict[str, str], tmp_path: Path) -> None:
    named = tiny_classifier(tmp_path / "named", 13, labels=WRAPPER, seed=1)
    data = bench()
    plain, bound = (
        make_router("carrot-released", **{**places, "performance": place})
        .fit(data)
        .estimate(data)
        .pool([LLAMA, MIXTRAL])
        for place in (places["performance"], named)
    )
    np.testing.assert_allclose(bound.score, plain.score[:, ::-1], atol=1e-6)
    np.testing.assert_allclose(bound.cost_usd, plain.cost_usd)


def test_part_of_the_pool_in_any_order(places: dict[str, str]) -> None:
    whole = bench()
    expected = make_router("carrot-released", **places).fit(whole).estimate(whole)
    few = whole.pool([MIXTRAL, "openai-gpt-4o", LLAMA])
    result = make_router("carrot-released", **places).fit(few).estimate(few)
    np.testing.assert_array_equal(result.score, expected.pool(few.models).score)
    np.testing.assert_array_equal(result.cost_usd, expected.pool(few.models).cost_usd)


def test_a_prompt_alone_is_the_prompt_in_any_batch(places: dict[str, str]) -> None:
    data = bench()
    router = make_router("carrot-released", **places).fit(data)
    together = router.estimate(data)
    alone = [router.estimate(data.rows(np.array([i]))) for i in range(len(data.texts))]
    np.testing.assert_allclose(np.vstack([each.score for each in alone]), together.score, atol=1e-5)
    np.testing.assert_allclose(np.vstack([each.cost_usd for each in alone]), together.cost_usd, rtol=1e-4, atol=1e-9)


def test_the_authors_rule_is_ours_with_its_cost_unit(places: dict[str, str]) -> None:
    """Their wrapper's ``(1 - mu) * score - mu * cost * 100``, with names put right."""
    data = bench()
    result = make_router("carrot-released", **places).fit(data).estimate(data)
    unit = CarrotReleased.cost_unit_usd
    for mu in (0.0, 0.3, 0.9):
        theirs = ((1 - mu) * result.score - mu * result.cost_usd * 100).argmax(axis=1)
        ours = ((1 - mu) * result.score - mu * result.cost_usd / unit).argmax(axis=1)
        np.testing.assert_array_equal(theirs, ours)


def test_prices_of_the_benchmark_come_before_those_that_ship(places: dict[str, str]) -> None:
    data = bench(("openai-gpt-4o",))
    router = make_router("carrot-released", **places).fit(data)
    double = {"openai-gpt-4o": replace(shipped_prices()["openai-gpt-4o"], input_usd_per_mtok=5, output_usd_per_mtok=20)}
    cost = router.estimate(data).cost_usd
    np.testing.assert_allclose(router.estimate(replace(data, prices=double)).cost_usd, 2 * cost)


def test_input_tokens_are_counted_where_none_are_recorded(places: dict[str, str]) -> None:
    data = replace(bench(), input_tokens=np.empty((0, 0)))
    counted = [len(str(text).split()) + 2 for text in data.texts]
    with_tokens_in = replace(data, input_tokens=np.repeat(np.array(counted, dtype=float)[:, None], 13, axis=1))
    router = make_router("carrot-released", **places).fit(data)
    np.testing.assert_allclose(router.estimate(data).cost_usd, router.estimate(with_tokens_in).cost_usd)


def test_models_it_does_not_know_are_refused(places: dict[str, str]) -> None:
    with pytest.raises(NotFoundError, match="No output for model 'openai-o3-mini'"):
        make_router("carrot-released", **places).fit(bench((*LABELS, "openai-o3-mini")))


def test_unnamed_outputs_of_another_number_are_refused(places: dict[str, str], tmp_path: Path) -> None:
    other = tiny_classifier(tmp_path / "other", 5)
    with pytest.raises(CarrotError, match="5 outputs without names"):
        make_router("carrot-released", **{**places, "cost": other}).fit(bench())


def test_a_named_model_without_a_price_is_refused(places: dict[str, str], tmp_path: Path) -> None:
    names = ("acme/small", "acme/large")
    ours = {name: tiny_classifier(tmp_path / name, 2, labels=names) for name in ("performance", "cost")}
    with pytest.raises(NotFoundError, match="No price of model 'acme/small'"):
        make_router("carrot-released", tokenizer=places["tokenizer"], **ours).fit(bench(names))


def test_it_is_kept_by_the_names_of_its_checkpoints(places: dict[str, str], tmp_path: Path) -> None:
    data = bench()
    router = make_router("carrot-released", **places).fit(data)
    save_router(router, tmp_path)
    result = load_router(tmp_path, models=LABELS[::-1]).estimate(data)
    np.testing.assert_array_equal(result.score, router.estimate(data).score)
    assert (tmp_path / "router.safetensors").stat().st_size < 1000
