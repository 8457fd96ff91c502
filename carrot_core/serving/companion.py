"""What a fitted router needs beside its estimates to answer prompts that are in no benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from carrot_core.errors import CarrotError
from carrot_core.evaluation import Setting
from carrot_core.evaluation.quality import usage_of
from carrot_core.frontier import Frontier, lam_of_rate
from carrot_core.kept_curve import KeptCurve, keep
from carrot_core.operating_point import cheapest_reaching
from carrot_core.outcomes import Benchmark, Estimates, FloatTable, Usage
from carrot_core.pricing import Price
from carrot_core.routers import Router
from carrot_core.routers.base import texts_of
from carrot_core.serving.calibration import Calibration
from carrot_core.serving.distance import Distance
from carrot_core.serving.input_tokens import InputTokens
from carrot_core.serving.intervals import LEVEL, ScoreInterval, UsageInterval

UNLIKE_FROM = 99.0  # percentile of the distance to the train prompts
# Their scores are accuracies of every model on a prompt, from nothing but the prompt. Left out are those that
# read outcomes or a task label and the binary ones, whose scores are chances that a small model suffices.
SERVABLE = (
    "carrot-knn",
    "carrot-linear",
    "carrot-mlp",
    "carrot-blend",
    "carrot-encoder",
    "carrot-released",
    "routerbench-knn",
    "routerbench-mlp",
    "zero",
)


@dataclass(frozen=True, eq=False)
class Companion:
    """Fitted on train, set on validation, its coverage measured on test.

    Attributes
    ----------
    benchmark, data_hash : what it was fitted on.
    encoder : of the prompt vectors; None for a benchmark without texts.
    usage : what the router predicts beside scores (`carrot_core.outcomes.Usage`).
    prices : price by model; empty where the benchmark records only dollars.
    cost_unit_usd : u, US dollars.
    best_single : best single model on validation.
    default_lam : λ that is as good as it on validation, as cheap as possible; 0.5 where out of reach.
    curves : the router's curve on "validation", where λ is chosen, and on "test".
    input_tokens : tokens a text is charged for by each model; None where cost is predicted in dollars.
    score_interval, usage_interval : around estimates; no usage interval where only the input is charged.
    distance : how unlike the training prompts a prompt is; None without vectors.
    coverage : on test, of the intervals meant to hold in ``nominal`` of cases: ``score``, ``usage``, and
        ``unlike``, the share of test prompts at the 99th percentile of distance or above.
    n_train : prompts learned from.
    calibration : how far means of many decisions lie from what is expected.
    """

    benchmark: str
    data_hash: str
    encoder: str | None
    usage: Usage
    prices: Mapping[str, Price]
    cost_unit_usd: float
    best_single: str
    default_lam: float
    curves: Mapping[str, KeptCurve]
    input_tokens: InputTokens | None
    score_interval: ScoreInterval
    usage_interval: UsageInterval | None
    distance: Distance | None
    coverage: Mapping[str, float | None]
    n_train: int
    calibration: Calibration


def companion_of(made: Setting, router: Router, estimates: Mapping[str, Estimates]) -> Companion:
    """The companion of a router fitted on the train prompts of a setting.

    Parameters
    ----------
    estimates : of the router on "validation" and "test", as `Setting.fit` gives them.

    Raises
    ------
    CarrotError
        A router whose scores are not every model's accuracy on a typed prompt.
    """
    if router.name not in SERVABLE:
        raise CarrotError(f"{router.name} cannot answer typed prompts; {', '.join(SERVABLE)} can.")
    models, train = router.models_, made.train
    if models != made.models:
        raise CarrotError(f"{router.name} chooses among {len(models)} of {len(made.models)} models only.")
    parts = {name: made.part(name) for name in ("validation", "test")}
    usage = {name: _usage(part, estimates[name], train.usage) for name, part in parts.items()}
    curves = {name: made.frontier(estimates, name) for name in parts}
    score_interval = ScoreInterval().fit(estimates["validation"].score, parts["validation"].outcomes.score)
    usage_interval = None
    if train.usage != "input_only":
        usage_interval = UsageInterval().fit(*usage["validation"])
    distance, unlike = _distance(train, **parts)
    input_tokens = _input_tokens(train)
    typed = _as_typed(parts["validation"], estimates["validation"], input_tokens)
    return Companion(
        benchmark=train.name,
        data_hash=train.data_hash,
        encoder=train.encoder,
        usage=train.usage,
        prices=dict(train.prices) if train.usage != "cost_usd" else {},
        cost_unit_usd=made.cost_unit_usd,
        best_single=made.best_single,
        default_lam=_default_lam(made, curves["validation"]),
        curves={name: keep(curve) for name, curve in curves.items()},
        input_tokens=input_tokens,
        score_interval=score_interval,
        usage_interval=usage_interval,
        distance=distance,
        coverage={
            "nominal": LEVEL,
            "score": score_interval.coverage(estimates["test"].score, parts["test"].outcomes.score),
            "usage": None if usage_interval is None else usage_interval.coverage(*usage["test"]),
            "unlike": unlike,
        },
        n_train=len(train.prompt_ids),
        calibration=Calibration().fit(typed, parts["validation"].outcomes, curves["validation"]),
    )


def _usage(part: Benchmark, estimates: Estimates, usage: Usage) -> tuple[FloatTable, FloatTable]:
    """(n, M) predicted and observed usage."""
    return usage_of(part, estimates.cost_usd, usage), part.usage_table(usage)


def _as_typed(part: Benchmark, estimates: Estimates, input_tokens: InputTokens | None) -> Estimates:
    """The estimates at the input tokens that the texts would be charged for if they had been typed."""
    if input_tokens is None:
        return estimates
    typed = replace(part, input_tokens=input_tokens.predict(texts_of(part)))
    return replace(estimates, cost_usd=typed.cost_usd_of(usage_of(part, estimates.cost_usd, part.usage), part.usage))


def _distance(train: Benchmark, validation: Benchmark, test: Benchmark) -> tuple[Distance | None, float | None]:
    """The distance to the train prompts, and the share of the test prompts that it calls unlike them."""
    if train.vectors is None or validation.vectors is None or test.vectors is None:
        return None, None
    distance = Distance().fit(train.vectors, validation.vectors)
    return distance, float((distance.percentile(test.vectors) >= UNLIKE_FROM).mean())


def _input_tokens(train: Benchmark) -> InputTokens | None:
    if train.usage == "cost_usd":
        return None
    return InputTokens().fit(texts_of(train), train.input_tokens)


def _default_lam(made: Setting, validation: Frontier) -> float:
    column = validation.models.index(made.best_single)
    rate = cheapest_reaching(validation, float(validation.outcomes.score[:, column].mean()))
    return 0.5 if rate is None else float(lam_of_rate(rate, made.cost_unit_usd))
