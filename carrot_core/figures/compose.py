"""From a judged benchmark to the scene of one chart: every curve on the same prompts and the same pool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from carrot_core.errors import CarrotError
from carrot_core.evaluation import Setting
from carrot_core.figures.scene import Band, Curve, Scene
from carrot_core.frontier import Frontier
from carrot_core.outcomes import Estimates
from carrot_core.uncertainty import bootstrap_weights, replicate

LABELS = {
    "carrot-knn": "CARROT-KNN",
    "carrot-linear": "CARROT-Linear",
    "carrot-mlp": "CARROT-MLP",
    "carrot-blend": "CARROT-Blend",
    "carrot-encoder": "CARROT-Encoder",
    "carrot-released": "CARROT as released",
    "routellm-bert": "RouteLLM-BERT",
    "zero": "Zero router",
    "task-lookup": "Task lookup",
    "oracle": "Oracle",
    "best-single": "Best single model",
    "random": "Random",
    "routellm-mf": "RouteLLM-MF",
    "rorf": "RoRF",
    "routerbench-knn": "RouterBench-KNN",
    "routerbench-mlp": "RouterBench-MLP",
    "cascade": "Cascade (judge knows the score)",
}
BAND_REPLICATES = 200
DRAWN_BASELINES = ("task-lookup", "oracle")


def label(name: str) -> str:
    """What a reader sees for a router's name, which may carry parameters: ``carrot-knn (criterion=routing)``."""
    router, space, parameters = name.partition(" ")
    return LABELS.get(router, router) + space + parameters


def compose(
    made: Setting,
    routers: Mapping[str, Mapping[str, Estimates]],
    *,
    title: str,
    active: str,
    reference: str | None = None,
    baselines: Sequence[str] = DRAWN_BASELINES,
) -> Scene:
    """Scene of some routers and baselines on the prompts that the setting reports on.

    Parameters
    ----------
    routers : stored estimates by router and split.
    active : router or baseline that λ moves along.
    reference : model that savings are measured against; the best single model by default.
    """
    tables = {**routers, **{name: made.baselines[name] for name in baselines}}
    curves = {name: made.frontier(table, made.report_on) for name, table in tables.items()}
    if active not in curves:
        raise CarrotError(f"{label(active)} is not among the curves: {', '.join(map(label, curves))}.")
    moved = curves[active]
    if moved.n_prompts == 0:
        raise CarrotError(
            f"No {made.report_on} prompt has an outcome of all {len(made.models)} models: "
            "choose a smaller pool or fewer filters."
        )
    zero = made.frontier(made.baselines["zero"], made.report_on)
    return Scene(
        title=title,
        curves=tuple(
            Curve(name, label(name), curve, band(curve) if name == active else None) for name, curve in curves.items()
        ),
        models=moved.models,
        model_score=moved.outcomes.score.mean(axis=0),
        model_cost_usd=moved.outcomes.cost_usd.mean(axis=0),
        hull_cost_usd=zero.cost_usd[::-1],
        hull_score=zero.score[::-1],
        best_single=made.best_single,
        reference=reference or made.best_single,
        cost_unit_usd=made.cost_unit_usd,
        n_prompts=moved.n_prompts,
        n_dropped=moved.n_dropped,
        active=active,
        chosen_on=made.frontier(tables[active], "validation"),
    )


def band(frontier: Frontier) -> Band:
    """The 95 % interval of a curve's score, at some of its points."""
    curves = replicate(frontier, bootstrap_weights(frontier.n_prompts, BAND_REPLICATES), points=200)
    low, high = curves.band()
    at = [frontier.at(rate) for rate in curves.exchange_rate_per_usd]
    return Band(frontier.cost_usd[at], low, high)
