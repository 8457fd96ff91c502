"""``carrot solve``: from a budget, an accuracy or a model to match to λ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from carrot_core.cli.common import Result, json_option
from carrot_core.cli.routers import cell, router_options, run_of

if TYPE_CHECKING:
    from carrot_core.evaluation.solving import Solved

_QUERIES = 1000


@click.command()
@router_options
@click.option("--budget-per-1k", "budget", type=float, help="Most US dollars per 1,000 queries.")
@click.option("--budget-per-month", "monthly", type=float, help="Most US dollars a month, at --queries-per-month.")
@click.option("--queries-per-month", type=click.IntRange(min=1), help="Queries a month.")
@click.option("--target", type=float, help="Least accuracy, 0 to 1.")
@click.option("--match", metavar="MODEL", help="As good as this model alone, as cheap as possible.")
@click.option("--cap-per-query", "cap", type=float, help="Most US dollars any query is expected to cost.")
@click.option(
    "--reference", metavar="MODEL", help="Savings are told against it (default: --match, else the best single)."
)
@json_option
def solve(
    bench: str,
    router: str,
    budget: float | None,
    monthly: float | None,
    queries_per_month: int | None,
    target: float | None,
    match: str | None,
    cap: float | None,
    reference: str | None,
    **asked: Any,
) -> Result:
    """Find the λ of a router on BENCH for what you want: chosen on validation, reported on test.

    \b
    carrot solve simulated --budget-per-1k 0.5
    carrot solve simulated --target 0.8 --router carrot-linear --json
    carrot solve simulated --match MODEL
    """
    from carrot_core.evaluation import setting_for
    from carrot_core.evaluation.solving import Goal
    from carrot_core.evaluation.solving import solve as solve_goal

    if (monthly is None) != (queries_per_month is None):
        raise click.UsageError("--budget-per-month and --queries-per-month go together.")
    if monthly is not None and budget is not None:
        raise click.UsageError("Give a budget per 1,000 queries or a month, not both.")
    if monthly is not None and queries_per_month is not None:
        budget = _QUERIES * monthly / queries_per_month
    goal = Goal(None if budget is None else budget / _QUERIES, target, match, cap)
    run, judged, source = run_of(bench, router, **asked)
    made = setting_for(judged, source, run.pool, run.split_seed)
    solved = solve_goal(made, run.estimates or {}, goal, reference)
    document = {"benchmark": bench, "router": router, **solved.document()}
    return document, _report(bench, router, solved)


def _report(bench: str, router: str, solved: Solved) -> str:
    document = solved.document()
    rate = document["exchange_rate_per_usd"]
    worth = "any score" if rate is None else f"{rate:.4g} score"
    lines = [
        f"{bench}, {router}: λ {solved.lam:.6g} (cost unit ${solved.cost_unit_usd:.4g}; a dollar is worth {worth})"
    ]
    if not document["reached"]:
        lines.append(f"Not reachable on validation: {document['why']}. The nearest point is shown.")
    for split in solved.points:
        values, ends = document[split], document[split]["intervals"]
        cost = [_QUERIES * value for value in (values["cost_usd"], *ends["cost_usd"])]
        lines.append(
            f"{split:10} accuracy {cell(values['score'], ends['score'])}, ${cost[0]:.4g} per 1k queries "
            f"[{cost[1]:.4g}, {cost[2]:.4g}]; against {solved.reference}: saving {_percent(values['saving'])} "
            f"{_percents(ends['saving'])}, accuracy {values['score_minus_reference']:+.4f} "
            f"[{ends['score_minus_reference'][0]:+.4f}, {ends['score_minus_reference'][1]:+.4f}]"
        )
    shares = sorted(solved.shares.items(), key=lambda item: -item[1])
    lines.append("Answered by: " + ", ".join(f"{model} {_percent(share)}" for model, share in shares if share > 0))
    if solved.mix is not None:
        first, second = document["mix"]["lams"]
        lines.append(
            f"Mixed at random, {_percent(solved.mix.dearer_share)} of the queries at λ {second:.6g} and the others at "
            f"λ {first:.6g} use the whole budget: accuracy {solved.mix.score:.4f} on validation."
        )
    return "\n".join(lines)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _percents(ends: list[float]) -> str:
    return f"[{100 * ends[0]:.1f}, {100 * ends[1]:.1f}]"
