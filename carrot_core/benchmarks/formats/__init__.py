"""Files of evaluation tools and gateways: each is told by its content and turned into long rows."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Literal

from carrot_core import limits
from carrot_core.benchmarks.conversion import unzipped
from carrot_core.benchmarks.file_checks import is_visible
from carrot_core.benchmarks.formats import (
    inspect_helm,
    lm_eval_promptfoo,
    openai_evals_routers,
    swe_bench,
    traces,
    traffic,
)
from carrot_core.benchmarks.formats.head import Head, head_of, heads_in
from carrot_core.benchmarks.formats.rows import Options, Rows
from carrot_core.errors import DataError, Problem
from carrot_core.text import counted


@dataclass(frozen=True)
class Format:
    """A format of files that are not tables of ours.

    Attributes
    ----------
    name : what ``--format`` takes.
    title : what people call it, and the versions it was read from.
    kind : "evaluation", a score for each prompt and model, or "traffic", one call a row.
    example : a command that reads it.
    matches : whether a file, by its beginning, has it.
    reader : turns the files of one import into rows.
    """

    name: str
    title: str
    kind: Literal["evaluation", "traffic"]
    example: str
    matches: Callable[[Head], bool]
    reader: Callable[[Sequence[Path], Options], Rows]

    def rows(self, paths: Sequence[Path], options: Options | None = None) -> Rows:
        """Long rows of files of this format.

        Raises
        ------
        DataError
            A file is damaged or does not have what its format should; the file, the place in it and a remedy.
        """
        return self.reader(paths, options or Options())


FORMATS = {
    each.name: each
    for each in (
        Format(
            "inspect",
            "Inspect logs (.eval, .json)",
            "evaluation",
            "carrot data import logs/*.eval --name mine",
            inspect_helm.is_inspect,
            inspect_helm.inspect_rows,
        ),
        Format(
            "lm-eval",
            "lm-evaluation-harness samples",
            "evaluation",
            "carrot data import results/ --name mine --estimate-tokens --prices prices.csv",
            lm_eval_promptfoo.is_lm_eval,
            lm_eval_promptfoo.lm_eval_rows,
        ),
        Format(
            "helm",
            "HELM runs",
            "evaluation",
            "carrot data import benchmark_output/runs/mine --name mine --prices prices.csv",
            inspect_helm.is_helm,
            inspect_helm.helm_rows,
        ),
        Format(
            "promptfoo",
            "promptfoo results",
            "evaluation",
            "carrot data import results.json --name mine",
            lm_eval_promptfoo.is_promptfoo,
            lm_eval_promptfoo.promptfoo_rows,
        ),
        Format(
            "openai-evals",
            "OpenAI evals logs",
            "evaluation",
            "carrot data import *.jsonl --name mine --prices prices.csv",
            openai_evals_routers.is_openai_evals,
            openai_evals_routers.openai_evals_rows,
        ),
        Format(
            "every-eval-ever",
            "Every Eval Ever records",
            "evaluation",
            "carrot data import *.jsonl --name mine --prices prices.csv",
            openai_evals_routers.is_every_eval_ever,
            openai_evals_routers.every_eval_ever_rows,
        ),
        Format(
            "llmrouterbench",
            "LLMRouterBench results",
            "evaluation",
            "carrot data import results/bench/ --name mine",
            openai_evals_routers.is_llm_router_bench,
            openai_evals_routers.llm_router_bench_rows,
        ),
        Format(
            "routerarena",
            "RouterArena cached results",
            "evaluation",
            "carrot data import cached_results/ --name mine",
            openai_evals_routers.is_router_arena,
            openai_evals_routers.router_arena_rows,
        ),
        Format(
            "swe-bench",
            "SWE-bench results by instance, with trajectories",
            "evaluation",
            "carrot data import runs/ --name mine",
            swe_bench.is_swe_bench,
            swe_bench.swe_bench_rows,
        ),
        Format(
            "litellm",
            "LiteLLM spend logs",
            "traffic",
            "carrot point drift point.json spend_logs.csv",
            traffic.is_litellm,
            traffic.litellm_rows,
        ),
        Format(
            "otlp",
            "OpenTelemetry spans (OTLP JSON)",
            "traffic",
            "carrot point drift point.json spans.json",
            traces.is_otlp,
            traces.otlp_rows,
        ),
        Format(
            "langfuse",
            "Langfuse observations",
            "traffic",
            "carrot point drift point.json observations.csv",
            traces.is_langfuse,
            traces.langfuse_rows,
        ),
        Format(
            "openrouter",
            "OpenRouter activity",
            "traffic",
            "carrot point drift point.json activity.csv",
            traffic.is_openrouter,
            traffic.openrouter_rows,
        ),
        Format(
            "api-usage",
            "OpenAI and Anthropic calls and batches",
            "traffic",
            "carrot point drift point.json batch_output.jsonl",
            traffic.is_api_usage,
            traffic.api_usage_rows,
        ),
    )
}


def format_of(path: Path) -> Format | None:
    """The format that a file has by its content, or the first file in a zip that has any; None where there is none."""
    head = head_of(path)
    heads = chain([head], heads_in(path) if _is_folder(head) else ())
    return next((each for head in heads for each in FORMATS.values() if each.matches(head)), None)


def _is_folder(head: Head) -> bool:
    """Whether a file is a zip that stands for the files in it, not a log or a workbook."""
    return (
        head.kind == "zip"
        and "xl/workbook.xml" not in head.members
        and not any(each.matches(head) for each in FORMATS.values())
    )


def format_of_all(paths: Sequence[Path]) -> Format | None:
    """The one format that files have, those of none left aside; None where no file has any.

    Raises
    ------
    DataError
        They have several.
    """
    formats = {each.name: (each, path) for path in paths if (each := format_of(path)) is not None}
    if len(formats) > 1:
        (one, first), (other, second), *_ = formats.values()
        mixed = f"is a file of {one.title}, and {second.name} one of {other.title}"
        raise DataError(first.name, [Problem(mixed, "Import them one after the other.")])
    return next((each for each, _ in formats.values()), None)


def read_format(each: Format, paths: Sequence[Path], options: Options | None = None) -> Rows:
    """Rows of the files that have a format, also of those in a zip; a note says how many others there were.

    Raises
    ------
    DataError
        As `Format.rows`; or a zip cannot be unpacked, or holds no such file.
    """
    with tempfile.TemporaryDirectory(prefix="carrot-") as folder:
        there = [file for at, path in enumerate(paths) for file in _unpacked(path, Path(folder, str(at)))]
        files = [path for path in there if list(paths) == [path] or each.matches(head_of(path))]
        if not files:
            raise DataError(paths[0].name, [Problem(f"holds no file of {each.title}", "Was another format meant?")])
        rows = each.rows(files, options)
    if others := len(there) - len(files):
        are = counted(others, "file that is", "files that are")
        return replace(rows, notes=(*rows.notes, f"{are} no {each.title}: not read."))
    return rows


def _unpacked(path: Path, folder: Path) -> list[Path]:
    """A file, or what is in it if it is a zip of files."""
    return unzipped(path, folder, is_visible, limits.FOLDER_FILES) if _is_folder(head_of(path)) else [path]
