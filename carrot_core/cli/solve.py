"""``carrot solve``: from a budget, an accuracy or a model to match to λ."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from carrot_core.cli.common import Result, duration, json_option, open_store
from carrot_core.cli.fit import cell, router_options, run_of
from carrot_core.number_formats import (
    NOTHING_SOLVED,
    PER_1K,
    PER_CALL,
    CostBasis,
    lam_text,
    money,
    pays,
    percent,
    seconds,
)
from carrot_core.text import visible

if TYPE_CHECKING:
    from carrot_core.evaluation.solve import SolvedGoal
    from carrot_core.evaluation.stability import Stability


SMALL_SHARE = 0.01  # models that answer less are told as one, where they are several


class Share(click.types.FloatParamType):
    """A part of 1; one in per cent is refused with what to write."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if per_cent := re.fullmatch(r"\s*(\d+[.,]?\d*)\s*%\s*", str(value)):
            self.fail(f"for {value} write {float(per_cent[1].replace(',', '.')) / 100:g}", param, ctx)
        return float(super().convert(value, param, ctx))


@click.command()
@router_options
@click.option("--budget-per-1k", "budget", type=float, help="At most this many US dollars per 1,000 queries.")
@click.option(
    "--budget-per-month", "monthly", type=float, help="At most this many US dollars a month (with --queries-per-month)."
)
@click.option("--queries-per-month", type=click.IntRange(min=1), help="Queries a month.")
@click.option("--target", type=Share(), help="At least this accuracy, 0 to 1.")
@click.option("--match", metavar="MODEL", help="As good as this model alone, as cheap as possible.")
@click.option("--cap-per-query", "cap", type=float, help="At most this many US dollars expected for any query.")
@click.option("--per-solved", "least", is_flag=True, help="Least US dollars per solved task (mean cost / mean score).")
@click.option("--budget-per-solved", "per_solved", type=float, help="At most this many US dollars per solved task.")
@click.option("--latency-p95", "latency", callback=duration, help="Only models with at most this p95 latency (2s).")
@click.option("--lam", type=click.FloatRange(0, 1), help="Report the point at this λ; solve nothing.")
@click.option(
    "--confidence",
    type=Share(),
    help="Probability that new prompts keep the goal (default: 0.9); 0.5 takes the means of validation as they are.",
)
@click.option(
    "--reference", metavar="MODEL", help="Compare with this model (default: --match, else the best single model)."
)
@click.option(
    "--stability", "steady", is_flag=True, help="Also report how sure the point is: over samples, tasks, rounds."
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
    least: bool,
    per_solved: float | None,
    latency: float | None,
    lam: float | None,
    confidence: float | None,
    reference: str | None,
    steady: bool,
    **options: Any,
) -> Result:
    """Find λ for a budget, a target or a model to match.

    λ is chosen on validation and reported on test.

    \b
    carrot solve simulated --budget-per-1k 0.5
    carrot solve simulated --target 0.8 --router carrot-linear --json
    carrot solve simulated --match MODEL --confidence 0.95
    carrot solve simulated --per-solved                least dollars per solved task
    carrot solve mine --budget-per-1k 1 --latency-p95 2s    without models slower than that
    carrot solve simulated --target 0.8 --stability    how the point moves over samples, tasks and rounds
    """
    from carrot_core.evaluation import setting_for
    from carrot_core.evaluation.runs import tables_of
    from carrot_core.evaluation.solve import Goal, solve_rounds
    from carrot_core.evaluation.solve import solve as solve_goal
    from carrot_core.evaluation.stability import stability
    from carrot_core.frontier import rate_of_lam
    from carrot_core.promise import CONFIDENCE
    from carrot_core.results.source import StoredResults
    from carrot_core.store.browse import models_within
    from carrot_core.verdict import sentence, verdict_on

    if (monthly is None) != (queries_per_month is None):
        raise click.UsageError("--budget-per-month and --queries-per-month go together.")
    if monthly is not None and budget is not None:
        raise click.UsageError("Give a budget per 1,000 queries or a month, not both.")
    if monthly is not None and queries_per_month is not None:
        budget = PER_1K.calls * monthly / queries_per_month
    per_query = None if budget is None else budget / PER_1K.calls
    confidence = CONFIDENCE if confidence is None else confidence
    goal = Goal(per_query, target, match, cap, lam, confidence, per_solved, least)  # λ as a rate once u is known
    if latency is not None:  # before the run: the router never learns of models that are too slow
        store = open_store()
        whole = options["pool"] or store.info(bench).models
        within = models_within(store, bench, latency, whole)
        options["pool"] = options["pool"] if len(within) == len(whole) else within
    run, benchmark, source = run_of(bench, router, **options)
    setting = setting_for(benchmark, source, run.pool, run.n_folds)
    if lam is not None:
        goal = Goal(rate_per_usd=rate_of_lam(lam, setting.cost_unit_usd))
    tables = tables_of(run, setting)
    solution = solve_goal(setting, tables, goal, reference)
    results = StoredResults(bench, setting, {run.router: tables})
    verdict = verdict_on(results, run.router, solution.reported, solution.reference)
    solution = replace(solution, solution=solution.solution.on(results.basis))
    document = {"benchmark": bench, "router": router, **solution.document(), "verdict": verdict.document()}
    text = _report(bench, router, solution, sentence(verdict), results.basis)
    if latency is not None:
        document |= {"latency_p95_cap_s": latency, "pool": list(within)}
        limit = f"a p95 latency of at most {seconds(latency)}"
        text += f"\n{len(within)} of {len(whole)} models have {limit}: no other answers."
    if not steady:
        return document, text
    measured_stability, rounds = stability(setting, tables, goal), solve_rounds(setting, tables, goal, reference)
    stability_document = measured_stability.document() | {"rounds": [solved.document() for solved in rounds]}
    text += f"\n\n{_steady(measured_stability, rounds, results.basis)}"
    return document | {"stability": stability_document}, text


def _report(bench: str, router: str, solved: SolvedGoal, verdict: str, basis: CostBasis = PER_CALL) -> str:
    from carrot_core.promise import EVEN, promise_text

    document = solved.document()
    rate = document["exchange_rate_per_usd"]
    lines = [
        f"{bench}, {router}: λ {lam_text(solved.lam, 6)} (cost unit {money(solved.cost_unit_usd)}; it pays "
        f"{pays(rate)})"
    ]
    promise = solved.solution.promise
    if not document["reached"] and (promise is None or promise.confidence == EVEN):
        lines.append(f"Not reachable on validation: {document['why']}. The nearest point is shown.")
    elif not document["reached"]:
        lines.append(f"Not promised: {document['why']}. The surest point is shown.")
    elif promise is not None and promise.confidence == EVEN:
        lines.append("Chosen at the means of validation: new prompts keep them about every second time.")
    elif promise is not None:
        lines.append(f"Promised: {promise_text(promise, basis)}.")
    for split in solved.points:
        values, ends = document[split], document[split]["intervals"]
        per_solved = values["cost_per_solved_usd"]
        paid = NOTHING_SOLVED if per_solved is None else basis.solved.text(per_solved, *ends["cost_per_solved_usd"])
        lines.append(
            f"{split:10} accuracy {cell(values['score'], ends['score'])}, cost "
            f"{basis.text(values['cost_usd'], *ends['cost_usd'])}, {paid}"
        )
    judged = solved.reported
    means = solved.at_lam, (judged.score.value, judged.cost_usd.value)
    in_words = [f"accuracy {score:.4f}, cost {basis.text(usd)}" for score, usd in means]
    everywhere = in_words[0] == in_words[1]  # whether all rounds chose alike
    if not everywhere:
        lines.append(
            "Each prompt counts at the λ that its round chose without it; validation is the same prompts, by the "
            f"rounds that chose on them. At λ {lam_text(solved.lam, 6)} for every prompt: {in_words[0]}."
        )
    lines.append(verdict)
    shares = sorted(solved.shares.items(), key=lambda item: -item[1])
    little = [share for _, share in shares if 0 < share < SMALL_SHARE]
    least = SMALL_SHARE if len(little) > 1 else 0.0
    parts = [f"{model} {percent(share)}" for model, share in shares if share > 0 and share >= least]
    parts += [f"{len(little)} others {percent(sum(little))}"] if least else []
    whose = "Answered by" if everywhere else f"At λ {lam_text(solved.lam, 6)} for every prompt, answered by"
    lines.append(f"{whose}: {', '.join(parts)}")
    if solved.latency_s is not None:
        mean, p95 = map(seconds, solved.latency_s)
        lines.append(f"Latency of a call: mean {mean}, 95th percentile {p95}.")
    if solved.mix is not None:
        first, second = (lam_text(lam, 6) for lam in document["mix"]["lams"])
        lines.append(
            f"Mixed at random, {percent(solved.mix.second_share)} of the queries at λ {second} and the others at "
            f"λ {first} use the budget less its margin: accuracy {solved.mix.score:.4f} on validation."
        )
    return "\n".join(lines)


def _steady(stability: Stability, rounds: Sequence[SolvedGoal], basis: CostBasis) -> str:
    from carrot_core.figures.stability import detail, of_rounds, of_tasks, verdict

    parts = [
        verdict(stability, basis),
        detail(stability, basis),
        of_tasks(stability),
        of_rounds(rounds, basis),
        *_round_lines(rounds, basis),
        *_task_lines(stability, basis),
    ]
    return "\n".join(filter(None, parts))


def _round_lines(rounds: Sequence[SolvedGoal], basis: CostBasis) -> list[str]:
    return [
        f"  round {number}: λ {lam_text(solved.lam)}, accuracy {solved.reported.score.value:.4f}, "
        f"{basis.text(solved.reported.cost_usd.value)}" + (" (not reached)" if solved.solution.shortfall else "")
        for number, solved in enumerate(rounds, start=1)
    ]


def _task_lines(stability: Stability, basis: CostBasis) -> list[str]:
    if stability.tasks.empty:
        return []
    lines = [f"{'task':28}{'prompts':>9}{'accuracy':>26}{'cost':>36}{'λ alone':>10}"]
    for row in stability.tasks.to_dict("records"):
        accuracy = cell(row["score"], (row["score_low"], row["score_high"]))
        dollars = basis.text(row["cost_usd"], row["cost_usd_low"], row["cost_usd_high"])
        alone = "" if row["reached_alone"] is None else lam_text(row["lam_alone"]) + "*" * (not row["reached_alone"])
        lines.append(f"{visible(row['task'])[:27]:28}{row['n_reported']:>9,}{accuracy:>26}{dollars:>36}{alone:>10}")
    if stability.is_solved and not stability.tasks["reached_alone"].fillna(True).all():
        lines.append("* not reachable on this task alone: the nearest point.")
    return lines
