"""What a decision costs beside the encoder's own work, and beside the two networks of the released wrapper."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from carrot_core.embedding import MAX_TOKENS, batches, bundled_folder
from carrot_core.serving import CarrotRouter
from scripts.bench import http_load
from scripts.bench.frontier import clocked
from scripts.simulated import simulate

if TYPE_CHECKING:
    import torch

MOST_TIMES_BARE, LEAST_TIMES_FASTER, LEAST_SHARE, MOST_OVERHEAD_MS = 2.0, 6.0, 0.9, 15.0
_LAM = 0.3
_ROBERTA_TOKENS = 512


def run(
    source: str = "mmlu-pro-cot",
    n_prompts: int = 48,
    n_batched: int = 1000,
    rounds: int = 3,
    clients: int = 64,
    seconds: float = 60.0,
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Time one prompt at a time and many at once, each beside the bare encoder, turn about.

    Parameters
    ----------
    source : router, as `CarrotRouter.load` takes it.
    n_prompts : prompts of the simulated benchmark, evenly from the shortest to the longest.
    n_batched : prompts of the same benchmark, drawn at random, for one call of `CarrotRouter.decide`.
    rounds : of that call and of the bare encoder's work for it, in turn.
    clients, seconds : of `scripts.bench.http_load.run`; no clients leave HTTP out.

    Returns
    -------
    dict
        ``route_ms``, ``bare_ms`` (encoder called on prepared tokens) and ``roberta_ms`` (two passes of
        RoBERTa-base, random weights, on as many tokens as the bundled tokenizer makes of the text, at most 512)
        are medians; ``times_bare`` and ``times_faster_than_roberta`` medians of each prompt's own ratio.
        ``batched_per_second``, ``bare_per_second`` and ``share_of_bare`` for many prompts, in the same batches,
        from the quickest round of each: what else the machine does only adds to a round. ``http`` is what
        `http_load.run` returns, or None. ``met`` says which targets were.
    """
    router, bare = CarrotRouter.load(source), _Bare()
    texts = [str(text) for text in simulate(seed).prompts["text"]]
    single = _one_by_one(router, bare, of_all_lengths(texts, n_prompts), seed, progress)
    sample = np.random.default_rng(seed).choice(len(texts), n_batched, replace=n_batched > len(texts))
    batched = _together(router, bare, [texts[row] for row in sample], rounds)
    http = http_load.run(clients, seconds, source=source) if clients else None
    result = {"source": source, "n_prompts": n_prompts, "n_batched": n_batched, **single, **batched, "http": http}
    return {**result, "met": _met(result)}


def of_all_lengths(texts: Sequence[str], count: int) -> list[str]:
    ordered = sorted(texts, key=len)
    quantiles = [ordered[row] for row in np.linspace(0, len(ordered) - 1, count).round().astype(int)]
    return [quantiles[row] for row in np.random.default_rng(0).permutation(count)]


class _Bare:
    """The bundled encoder and its tokenizer, and nothing around them."""

    def __init__(self) -> None:
        from carrot_core import minilm

        self._tokenizer, self._encoder = minilm.load(bundled_folder())

    def tokens(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text).ids
        return ids

    def work(self, tokens: Sequence[Sequence[int]]) -> Callable[[], torch.Tensor]:
        """One pass on one batch, whose tensors are ready."""
        import torch

        cut = [torch.tensor(ids[:MAX_TOKENS]) for ids in tokens]
        ids = torch.nn.utils.rnn.pad_sequence(cut, batch_first=True)
        lengths = torch.tensor([len(ids) for ids in cut])
        mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()

        def work() -> torch.Tensor:
            with torch.inference_mode():
                states: torch.Tensor = self._encoder(ids, mask)
            return states

        return work


def _one_by_one(
    router: CarrotRouter,
    bare: _Bare,
    texts: Sequence[str],
    seed: int,
    progress: Callable[[int, int], None] | None,
) -> dict[str, Any]:
    two_networks, rng = _roberta(seed), np.random.default_rng(seed)
    tokens, seconds = [bare.tokens(text) for text in texts], []
    for row in [0, *range(len(texts))]:
        others = rng.integers(5, 50_000, min(len(tokens[row]), _ROBERTA_TOKENS)).tolist()
        works: list[Callable[[], object]] = [
            partial(router.route, texts[row], lam=_LAM),
            bare.work([tokens[row]]),
            partial(two_networks, others),
        ]
        seconds.append([_seconds(work) for work in works])
        if progress is not None:
            progress(len(seconds), len(texts) + 1)
    route, encode, roberta = np.array(seconds[1:]).T  # the first calls compile and allocate
    return {
        "fewest_tokens": min(map(len, tokens)),
        "most_tokens": max(map(len, tokens)),
        "route_ms": 1e3 * float(np.median(route)),
        "bare_ms": 1e3 * float(np.median(encode)),
        "roberta_ms": 1e3 * float(np.median(roberta)),
        "times_bare": float(np.median(route / encode)),
        "times_faster_than_roberta": float(np.median(roberta / route)),
    }


def _roberta(seed: int) -> Callable[[list[int]], object]:
    """Two networks of RoBERTa-base's shape run on the same tokens; in memory they are one."""
    import torch
    from transformers import RobertaConfig, RobertaModel

    torch.manual_seed(seed)
    config = RobertaConfig(max_position_embeddings=_ROBERTA_TOKENS + 2)  # it counts positions from 2
    network = RobertaModel(config, add_pooling_layer=False).eval()

    def twice(tokens: list[int]) -> list[torch.Tensor]:
        ids = torch.tensor([tokens])
        with torch.inference_mode():
            return [network(input_ids=ids).last_hidden_state for _ in range(2)]

    return twice


def _together(router: CarrotRouter, bare: _Bare, texts: Sequence[str], rounds: int) -> dict[str, Any]:
    tokens = [bare.tokens(text)[:MAX_TOKENS] for text in texts]
    works = [bare.work([tokens[row] for row in batch]) for batch in batches([len(ids) for ids in tokens])]
    decide = partial(router.decide, texts, lam=_LAM)
    both = np.array([(_seconds(decide), sum(map(_seconds, works))) for _ in range(rounds)])
    decided, encoded = both.min(axis=0).tolist()
    *_, decided_cpu = clocked(decide)
    return {
        "batched_per_second": len(texts) / decided,
        "batched_per_cpu_second": len(texts) / decided_cpu,
        "bare_per_second": len(texts) / encoded,
        "share_of_bare": encoded / decided,
    }


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _met(result: dict[str, Any]) -> dict[str, bool]:
    met = {
        "times_bare": result["times_bare"] <= MOST_TIMES_BARE,
        "times_faster_than_roberta": result["times_faster_than_roberta"] >= LEAST_TIMES_FASTER,
        "share_of_bare": result["share_of_bare"] >= LEAST_SHARE,
    }
    if result["http"] is not None:
        met["http_overhead"] = result["http"]["overhead_ms"]["p95"] < MOST_OVERHEAD_MS
        met["http_errors"] = result["http"]["errors"] == 0
    return met


def report(result: dict[str, Any]) -> str:
    """The result of `run` as sentences to read."""
    missed = [name for name, met in result["met"].items() if not met]
    lines = [
        f"one prompt ({result['fewest_tokens']} to {result['most_tokens']} tokens): embed, "
        f"estimate and choose {result['route_ms']:.1f} ms, {result['times_bare']:.2f} times the bare encoder "
        f"({result['bare_ms']:.1f} ms); two passes of RoBERTa-base {result['roberta_ms']:.0f} ms, "
        f"{result['times_faster_than_roberta']:.1f} times as long",
        f"{result['n_batched']:,} prompts at once: {result['batched_per_second']:.0f} a second, "
        f"{result['share_of_bare']:.1%} of the bare encoder's {result['bare_per_second']:.0f}",
    ]
    if result["http"] is not None:
        lines.append(http_load.report(result["http"]))
    return "\n".join([*lines, f"targets missed: {', '.join(missed)}" if missed else "all targets met"])
