"""The page of the benchmarks, docs/benchmarks.md: what was measured, what each number means, what a billion takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scripts.bench.planning import planning

_HEAD = """# Benchmarks

This page shows how fast CARROT is on one machine. `make bench` measures everything and writes this page and
[measured.json](benchmarks/measured.json). `make bench BENCH="frontier knn"` measures some benchmarks and leaves the
rest. `carrot bench NAME` measures one at sizes of your own and writes nothing.

Seconds depend on the machine, which is stated, and on what else ran on it: the load average is that of the minute
before. Ratios compare two things measured in one run, so rely on these. A `+` after a commit means that the code had
changes beyond it.
"""
_SIZES = {
    "n_prompts": "prompts",
    "n_models": "models",
    "n_routers": "routers",
    "replicates": "bootstrap replicates",
    "n": "prompts learned from",
    "d": "numbers in the vector of a prompt",
    "seed": "of the random numbers",
}
# By benchmark: what is asked, and what each number of the JSON means.
MEANINGS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "frontier": (
        "The exact curve, every λ at once, against the usual grid of 1,001 values of λ and against the least that "
        "could be done: reading the four tables (estimated and observed score and cost, 64 bits a number) once.",
        {
            "breakpoints": "rates at which the choice of some prompt changes: points of the curve",
            "exact_s": "seconds for all switches, and mean score and cost at every breakpoint; median of 7",
            "exact_cpu_s": "the same in seconds of processor time, of all threads",
            "grid_s": "seconds for the grid; above 100,000 prompts estimated from every 20th of its steps",
            "times_faster_than_grid": "`grid_s` ÷ `exact_s`",
            "one_pass_s": "seconds to add up the four tables, one thread; median of 7, in turn with the curve",
            "times_one_pass": "curve ÷ pass by the clock, median of the ratios of 7 turns",
            "times_one_pass_cpu": "the same in processor time of all threads, which other work disturbs less",
            "largest_difference_at_grid_points": "between curve and grid, in score or dollars: rounding",
        },
    ),
    "bootstrap": (
        "Every figure, band and paired difference of some routers, against sweeping the drawn prompts of each "
        "replicate anew.",
        {
            "bootstrap_s": "seconds for all of it",
            "resweeping_s": "seconds that sweeping anew would take, estimated from 5 replicates",
            "times_faster": "`resweeping_s` ÷ `bootstrap_s`",
            "largest_difference": "in AIQ between both ways, over those 5",
        },
    ),
    "bootstrap, a million prompts": (
        "Replicates of one curve of a million prompts. Nothing is binned but the rates at which the curve is kept, so "
        "there is no error to state: a replicate is the sum over the drawn prompts.",
        {
            "n_rates": "rates at which replicates are kept: 400 evenly by count, and every corner of the hull",
            "sweep_s": "seconds for the curve itself, made-up tables included",
            "draws_s": "seconds to draw as many prompts as there are, for each replicate",
            "curves_s": "seconds to sum up all replicates",
            "bootstrap_s": "`draws_s` + `curves_s`",
            "bootstrap_cpu_s": "the same in seconds of processor time",
            "largest_difference": "in score from sums over the drawn prompts, of two replicates: rounding",
        },
    ),
    "knn": (
        "CARROT-KNN's choice of k by cross-validation against the plain loop of scikit-learn, in one process.",
        {
            "load_average": "of the machine before",
            "carrot_seconds": "seconds to choose k for scores and for tokens; median of 3",
            "sklearn_seconds": "the same with scikit-learn",
            "speedup": "`sklearn_seconds` ÷ `carrot_seconds`",
            "carrot_seconds_cpu": "seconds of processor time",
            "sklearn_seconds_cpu": "likewise",
            "speedup_cpu": "their ratio",
            "carrot_seconds_predict": "seconds to estimate a quarter as many new prompts",
            "sklearn_seconds_predict": "likewise",
            "speedup_predict": "their ratio",
            "carrot_seconds_predict_cpu": "seconds of processor time to estimate them",
            "sklearn_seconds_predict_cpu": "likewise",
            "speedup_predict_cpu": "their ratio",
            "n_neighbors": "k that was chosen, for scores and for tokens",
            "sklearn_n_neighbors": "that of scikit-learn",
            "same_k": "whether they are the same",
            "same_estimates": "whether all estimates are, to 1e-9",
        },
    ),
    "live": (
        "A decision on a typed prompt against the bare encoder, and against two passes of a RoBERTa-base network, "
        "which is what the authors' released router takes.",
        {
            "source": "router",
            "n_batched": "prompts in one call",
            "fewest_tokens": "of a prompt",
            "most_tokens": "of a prompt",
            "route_ms": "median milliseconds to embed, estimate and choose, one prompt at a time",
            "bare_ms": "of the encoder alone",
            "roberta_ms": "of two passes of RoBERTa-base (random weights)",
            "times_bare": "`route_ms` ÷ `bare_ms`, median over prompts",
            "times_faster_than_roberta": "`roberta_ms` ÷ `route_ms`, median over prompts",
            "batched_per_second": "prompts a second in one call, the quickest round",
            "batched_per_cpu_second": "prompts for each second of processor time, of all threads, in another call",
            "bare_per_second": "of the encoder alone, the quickest round",
            "share_of_bare": "`batched_per_second` ÷ `bare_per_second`",
            "http": "what HTTP adds under load, measured by `carrot bench live` alone",
            "met": "which of the targets are met",
        },
    ),
    "others": (
        "Typed prompts of all lengths in the routers of RouteLLM 0.2.0 and LLMRouter 0.4.0 and in the one that ships "
        "here, one at a time, each router in a process of its own. The networks of the others have their published "
        "shape (BERT-base, Longformer-base) and random weights, which take the same time; how well they choose is not "
        "measured. RouteLLM's matrix factorisation asks OpenAI for each prompt's vector: here a server on the same "
        "machine answers at once, so the network and the service are not in its time.",
        {
            "ms": "milliseconds of a prompt, median",
            "times_carrot": "the median ÷ that of CARROT",
            "per_s": "prompts a second",
            "cpu_ms": "milliseconds of processor time a prompt, of all threads",
            "peak_mib": "most MiB of memory of the process, Python and its libraries included",
        },
    ),
    "start": (
        "Processes from their start to their end.",
        {
            "source": "router",
            "python_s": "seconds of a Python that does nothing; median of 3",
            "version_s": "of `carrot --version`",
            "route_s": "of `carrot route` of one prompt: with router, encoder and answer",
        },
    ),
    "import": (
        "The import of files of SPROUT's shape and size, answers left on the disk, without embedding.",
        {
            "file_bytes": "bytes of the five Parquet files",
            "cores": "of the machine",
            "read_s": "seconds to read and check the files",
            "seconds": "with writing the database",
            "cpu_s": "seconds of processor time of the process, its start included",
            "peak_bytes": "most memory that the process had, Python and its libraries included",
            "outcomes": "cells in the store",
            "within_limits": "whether it is under 30 s and 2 GiB",
        },
    ),
    "scene": (
        "A filter on the Frontier page: the chart for another pool.",
        {
            "first_s": "seconds of the first drawing",
            "filter_s": "seconds of the same chart for a pool with a model less; median of 5",
        },
    ),
    "whatif": (
        "A what-if that changes prices, tokens, tasks and models, with all that the page shows of it.",
        {
            "whatif_s": "seconds; median of 5",
            "limit_s": "that it should stay below",
            "sweep_s": "seconds of sweeping the same prompts once",
            "times_the_sweep": "`whatif_s` ÷ `sweep_s`",
        },
    ),
    "browse": (
        "Turning pages of prompts on the Data page, from the table that is kept and from the database.",
        {
            "open_ms": "milliseconds to open the list, once for each benchmark",
            "filter_ms": "of a filter",
            "search_ms": "of a search through all texts",
            "page_ms": "of turning a page; median of 9",
            "database_page_ms": "of asking the database for the page",
            "speedup": "`database_page_ms` ÷ `page_ms`",
            "same": "whether both show the same prompts",
        },
    ),
    "store": (
        "Vectors that arrive in blocks, in one of many benchmarks.",
        {
            "n_vectors": "vectors",
            "length": "numbers in each",
            "block": "vectors in a block",
            "n_benchmarks": "benchmarks in the store",
            "first_ms": "milliseconds of a block, median of the first tenth",
            "last_ms": "of the last tenth",
            "growth": "`last_ms` ÷ `first_ms`",
            "list_ms": "milliseconds to list the benchmarks when nothing has changed",
            "gather_s": "seconds to gather all blocks into one file",
            "load_blocks_s": "seconds to load the benchmark with its vectors before that",
            "load_s": "and after it",
            "others_same": "whether no other benchmark's version changed",
        },
    ),
    "users": (
        "Users of the dashboard at once: half on Frontier, half on Live, each with another λ, pool or prompt every 5 "
        "to 15 s. Beside them one uploads results, has them read and fits CARROT-KNN, leaves, and comes again. They "
        "speak Streamlit's own protocol from the same machine and, as a browser does, keep copies of large parts of a "
        "page and run only the fragment that a control is in: what a browser draws is not in the times.",
        {
            "sessions": "users",
            "seconds": "for which they act, once all have come",
            "actions": "that came to their end",
            "errors": "exceptions that a page showed, answers later than 120 s, lost connections",
            "first_error": "the first of them",
            "ms": "milliseconds from an action to the end of the page's run",
            "by_page": "the same by page",
            "open_ms": "of the first look at a page, while others come",
            "rounds": "of uploading 100 MB, reading and fitting",
            "rss_mb": "MB of the server's memory when all have come, at its most and at the end",
            "cpu_share": "seconds of processor time of the server for each second",
        },
    ),
}


def page(document: Mapping[str, Mapping[str, Any]]) -> str:
    """The page of a JSON that `scripts.bench.record` wrote; a `KeyError` where a number has no meaning."""
    return "\n".join([_HEAD, *(_section(name, entry) for name, entry in document.items()), planning(document)])


def meaning(name: str, key: str) -> str:
    """What a number of a benchmark means."""
    _, meanings = MEANINGS.get(name) or MEANINGS[name.split(",")[0]]
    return meanings[key] if key in meanings else _SIZES[key]


def _section(name: str, entry: Mapping[str, Any]) -> str:
    question, _ = MEANINGS.get(name) or MEANINGS[name.split(",")[0]]
    machine = dict(entry["machine"])
    where = f"{machine.pop('processor')}, {machine.pop('cores')} cores, {machine.pop('memory_gib')} GiB"
    versions = ", ".join(f"{what} {which}" for what, which in machine.items())
    rows = [f"| `{key}` | {_value(value)} | {meaning(name, key)} |" for key, value in entry["result"].items()]
    return "\n".join(
        [
            f"## {name[0].upper()}{name[1:]}\n",
            f"{question}\n",
            f"> {entry['report'].replace(chr(10), '; ')}\n",
            f"Commit {entry['commit']}, {entry['day']}, {where}, load {entry['load_average']:g} ({versions}).\n",
            "| number | measured | meaning |\n|---|---:|---|",
            *rows,
            "",
        ]
    )


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_value(one)}" for name, one in value.items())
    return ", ".join(map(_value, value)) if isinstance(value, list) else "–" if value is None else str(value)
