"""Print the table of formats of docs/data.md: `python -m scripts.formats.measure [GIGABYTES]`.

Each row is read in a process of its own: rows in, what comes out, how many models are on the frontier of single
models, seconds, and the most memory the process used. With GIGABYTES a long CSV of that size is made in the temporary
folder, measured and removed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FILES = Path(__file__).parents[2] / "tests" / "files" / "formats"
# What is read, what made it, the files, and what the import states.
FORMATS = [
    ("Inspect", "inspect-ai 0.3.285", "inspect/quiz_letters_*.eval", {}),
    ("lm-evaluation-harness", "lm_eval 0.4.13", "lm_eval/*__*", {"estimate_tokens": True}),
    ("promptfoo JSON", "promptfoo 0.121.20", "promptfoo/quiz.results.json", {}),
    ("promptfoo CSV", "promptfoo 0.121.20", "promptfoo/quiz.results.csv", {"estimate_tokens": True}),
    ("OpenAI evals", "evals 3.0.1", "openai_evals", {}),
    ("HELM", "crfm-helm 0.5.16", "helm", {"estimate_tokens": True}),
    ("Every Eval Ever", "every-eval-ever 0.3.0", "every_eval_ever/quiz_samples.jsonl", {}),
    ("LLMRouterBench", "by hand", "llmrouterbench", {}),
    ("RouterArena", "by hand", "routerarena/cached_results", {}),
    ("SWE-bench, with trajectories", "mini-swe-agent 2.4.6", "swe_bench", {}),
    ("LiteLLM spend logs", "litellm 1.110.2", "litellm/spend_logs.csv", {}),
    ("OpenTelemetry spans", "opentelemetry-sdk 1.45.2", "opentelemetry/current.json", {}),
    ("Langfuse observations", "langfuse 5.0.4", "langfuse/observations.json", {}),
    ("OpenRouter activity", "by hand", "openrouter/activity.csv", {}),
    ("OpenAI usage", "by hand", "provider_usage/openai_completions_usage.json", {}),
]
TABLES = ["csv", "csv.gz", "csv.zst", "zip", "xlsx", "parquet", "feather", "arrows"]


def measure(pattern: str, options: dict[str, object]) -> dict[str, object]:
    """Read files; what came of it, in this process."""
    import numpy as np

    from carrot_core.benchmarks.formats import format_of_all
    from carrot_core.benchmarks.log_table import read_logs
    from carrot_core.benchmarks.parts import all_files
    from carrot_core.benchmarks.registry import read_any
    from carrot_core.prices import Price
    from carrot_core.switches import upper_hull
    from tests.benchmarks.formats.truth import EXPECTED

    files = all_files([Path(pattern)])
    prices = {model: Price(*price) for model, price in _prices(EXPECTED["prices"]).items()}
    began = time.perf_counter()
    of_tool = format_of_all(files)
    if of_tool is not None and of_tool.kind == "traffic":
        calls = read_logs(files[0])
        out: dict[str, object] = {"rows": len(calls), "out": f"{len(calls.models)} models", "frontier": "a log: none"}
    else:
        frames = read_any(files, prices=prices, **options)  # type: ignore[arg-type]
        means = frames.outcomes.groupby("model")[["cost_usd", "score"]].mean().dropna()
        hull = upper_hull(means["cost_usd"].to_numpy(np.float64), means["score"].to_numpy(np.float64))
        out = {
            "rows": len(frames.outcomes),
            "out": f"{len(frames.prompts):,} prompts x {len(frames.models)} models",
            "frontier": f"{len(hull)} of {len(means)} models",
        }
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return out | {"seconds": time.perf_counter() - began, "mib": int(peak.split()[1]) / 1024}


def _prices(stated: dict[str, dict[str, float]]) -> dict[str, list[float]]:
    return {model: list(each.values()) for model, each in stated.items()}


def row(title: str, tool: str, pattern: str, options: dict[str, object]) -> str:
    """A row of the table, measured in a process of its own."""
    command = [sys.executable, "-m", "scripts.formats.measure", "--one", pattern, json.dumps(options)]
    figures = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)  # noqa: S603  this module
    cells = (
        title, tool, f"{figures['rows']:,}", figures["out"], figures["frontier"], f"{figures['seconds']:.2g}",
        f"{figures['mib']:,.0f}",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def write_csv(path: Path, gigabytes: float) -> None:
    """A long CSV of that size: 20 models a prompt, with texts."""
    with path.open("w", encoding="utf-8") as file:
        file.write("prompt_id,model,score,prompt,task,input_tokens,output_tokens,cost_usd\n")
        prompt = 0
        while file.tell() < gigabytes * 1e9:
            text = f"Question {prompt}: {'what follows from this and why? ' * 6}"
            file.writelines(
                f"p{prompt},model-{model},{(prompt * 7 + model * 3) % 10 / 9:.6f},{text},task-{prompt % 20},"
                f"{50 + prompt % 900},{100 + model * prompt % 700},{(1 + model) / 1e4:.6f}\n"
                for model in range(20)
            )
            prompt += 1


def main() -> None:
    print("| format | made with | rows in | out | on the frontier | seconds | MiB |")
    print("|---|---|---|---|---|---|---|")
    for title, tool, place, options in FORMATS:
        print(row(title, tool, str(FILES / place), options), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        quiz = Path(folder, "quiz")
        subprocess.run([sys.executable, Path(__file__).with_name("tables.py"), quiz], check=True)  # noqa: S603  a script of this folder
        for ending in TABLES:
            print(row(f"table, `.{ending}`", "pandas, pyarrow, openpyxl", str(quiz / f"quiz.{ending}"), {}), flush=True)
        if len(sys.argv) > 1:
            path = Path(folder, "large.csv")
            write_csv(path, float(sys.argv[1]))
            print(row(f"table, `.csv` of {path.stat().st_size / 1e9:.2f} GB", "this script", str(path), {}), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(measure(sys.argv[2], json.loads(sys.argv[3]))))
    else:
        main()
