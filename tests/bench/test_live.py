import math
from functools import partial

import pytest

from scripts.bench import live
from scripts.simulated import simulate


@pytest.mark.slow
def test_ratios_come_from_the_times_and_targets_from_the_ratios(monkeypatch: pytest.MonkeyPatch) -> None:
    """With few prompts to choose from and one layer of RoBERTa's twelve: what is tested is not their time."""
    from transformers import RobertaConfig  # seconds, which only this test needs

    monkeypatch.setattr(live, "simulate", partial(simulate, n_prompts=300))
    monkeypatch.setattr("transformers.RobertaConfig", partial(RobertaConfig, num_hidden_layers=1))
    steps: list[tuple[int, int]] = []
    result = live.run(n_prompts=3, n_batched=10, rounds=2, clients=0, progress=lambda *at: steps.append(at))
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert 0 < result["fewest_tokens"] < result["most_tokens"]
    numbers = ("route_ms", "bare_ms", "roberta_ms", "times_bare", "times_faster_than_roberta")
    numbers += ("batched_per_second", "bare_per_second", "share_of_bare")
    assert all(math.isfinite(result[name]) and result[name] > 0 for name in numbers)
    assert result["http"] is None
    assert result["met"] == {
        "times_bare": result["times_bare"] <= 2,
        "times_faster_than_roberta": result["times_faster_than_roberta"] >= 6,
        "share_of_bare": result["share_of_bare"] >= 0.9,
    }
    assert "RoBERTa" in live.report(result)
    assert "HTTP" not in live.report(result)


@pytest.mark.parametrize(
    ("p95", "errors", "missed"), [(14.9, 0, []), (15.0, 0, ["http_overhead"]), (1, 2, ["http_errors"])]
)
def test_http_is_judged_by_its_overhead_and_errors(p95: float, errors: int, missed: list[str]) -> None:
    ratios = {"times_bare": 2.0, "times_faster_than_roberta": 6.0, "share_of_bare": 0.9}
    met = live._met({**ratios, "http": {"overhead_ms": {"p95": p95}, "errors": errors}})
    assert [name for name, fine in met.items() if not fine] == missed


def test_prompts_of_all_lengths_are_taken() -> None:
    texts = list(simulate(0, 300).prompts["text"])
    lengths = sorted(map(len, live.of_all_lengths(texts, 5)))
    assert lengths[0] == min(map(len, texts))
    assert lengths[-1] == max(map(len, texts))
    assert len(set(lengths)) == 5
