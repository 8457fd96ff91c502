"""Recipes of all that ships: benchmarks, snapshots, fitted heads and ``docs/results.md``, made by ``carrot results``.

`BUILT_IN_RECIPES` and `RECIPES` have the source files and how each is read. There is no recipe for data whose licence
forbids what ours allows (mini-SWE-agent on SWE-bench Verified is CC BY-NC 4.0): figures and fitted weights made from
such a file stay with whoever imports it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from carrot_core.benchmarks import NONE_STATED
from carrot_core.benchmarks.built_in import (
    BUILT_IN,
    SIMULATED,
    Card,
    folder_of,
    read_built_in,
    read_simulated,
    vectors_of_built_in,
    vectors_of_simulated,
)
from carrot_core.embedding import BUNDLED, load_embedded
from carrot_core.evaluation.runs import Trial, run_router, with_router
from carrot_core.store import Run, Store

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Recipe:
    """One benchmark of the results.

    Attributes
    ----------
    name : name in the store, the snapshots and the report.
    file : path of the results, below the folder of the benchmarks.
    about : description in a sentence.
    where : condition for the rows used, SQL over the file's columns.
    embeddings : path of precomputed vectors of the bundled MiniLM, below the same folder; without it they are computed.
    columns : column of the file by its name in the long format.
    costs : origin of its costs: recorded dollars, or the prices they were computed at, with their date.
    era : years in which its models came out.
    source, date : who published the results, with the commit, and when; the date is empty if not known.
    licence : of the results, as their source states it.
    caveats : what the figures do not show, in sentences.
    """

    name: str
    file: str
    about: str
    where: str | None = None
    embeddings: str | None = None
    columns: dict[str, str] = field(default_factory=dict)
    costs: str = ""
    era: str = "2023-24"
    source: str = ""
    date: str = ""
    licence: str = NONE_STATED
    caveats: tuple[str, ...] = ()


RECIPES = (
    Recipe(
        "mmlu-pro-cot",
        "mmlu-pro-cot/mmlu_pro_cot.parquet",
        "MMLU-Pro answered with chain of thought by 14 chat models, with input and output tokens.",
        where="kind = 'chat' and model <> 'deepseek-ai/DeepSeek-Coder-V2-Instruct'",
        embeddings="embeddings/mmlu_pro_cot.parquet",
        costs="list prices of 2024",
        source="github.com/TIGER-AI-Lab/MMLU-Pro @ f418b11",
        date="2024",
        licence="Apache-2.0",
        caveats=(
            "Tokens are those of one tokenizer (cl100k_base) for all models; the examples before each question are "
            "not counted.",
            "An answer without a letter that could be read counts as wrong.",
        ),
    ),
    Recipe(
        "routerbench-subset",
        "routerbench-subset/routerbench_0shot.parquet",
        "The prompts of RouterBench's 0-shot set that are public with text and all 11 models; dollars as recorded.",
        where="models_on_prompt = 11 and prompt is not null",
        embeddings="embeddings/routerbench_0shot.parquet",
        costs="recorded dollars of 2023-24",
        source="github.com/withmartian/routerbench (arXiv 2403.12031), as copied by FrontierCS/Frontier-CS @ 4d508c1, "
        "Keerthykaushik-Dasoju/Phi_Router @ e5cbefc and shuhao02/RouterDC @ 0e63989",
        date="2024-03",
        caveats=(
            "A part of RouterBench: the rows that others copied, with the question's text from its own benchmark.",
        ),
    ),
    Recipe(
        "open-llm-leaderboard-v2",
        "open-llm-leaderboard-v2/open_llm_lb_v2.parquet",
        "MMLU-Pro, BBH and IFEval of the Open LLM Leaderboard v2 for 18 open models, its row order restored; "
        "input cost only.",
        where="model <> 'upstage/SOLAR-10.7B-Instruct-v1.0'",
        embeddings="embeddings/open_llm_lb_v2.parquet",
        costs="list prices of 2025-02; input only",
        source="github.com/somerstep/CARROT @ 2d47d1f",
        date="2024-12-05",
        caveats=(
            "The published table has each model's rows in another order; here the order is restored.",
            "No output tokens are recorded, so costs are those of the input.",
        ),
    ),
    Recipe(
        "routellm",
        "routellm/routellm.parquet",
        "MMLU and GSM8K answered by GPT-4 and Mixtral-8x7B, as RouteLLM published them, without the prompts it "
        "calls contaminated.",
        where="not contaminated",
        costs="list prices of 2024-06",
        source="github.com/lm-sys/RouteLLM @ 0b64fda",
        date="2024-06",
        licence="Apache-2.0",
        caveats=("Two models only. On MMLU one token was generated, so a call costs its input.",),
    ),
    Recipe(
        "llmrouter-9-models",
        "llmrouter-9-models/llmrouter_9_models.parquet",
        "LLMRouter's 14 tasks answered by 9 open models; input cost only.",
        columns={"cost_usd": "input_cost_usd"},
        costs="prices of its source, undated; input only",
        source="github.com/ulab-uiuc/LLMRouter @ 4e7a796",
        licence="MIT",
        caveats=(
            "Scores depend much on the format of an answer, so they understate some models.",
            "No output tokens are recorded, so costs are those of the input.",
        ),
    ),
    Recipe(
        "frugalgpt-overruling",
        "frugalgpt-overruling/overruling.parquet",
        "FrugalGPT's legal yes/no questions answered by 12 APIs of 2022 and 2023; dollars as recorded.",
        costs="recorded dollars of 2022-23",
        source="github.com/superyue72/OptLLM @ 1068a17, from FrugalGPT (arXiv 2305.05176)",
        date="2023-05",
        caveats=("Old models on one narrow question of yes or no; nearly all of a cost is that of the input.",),
    ),
    Recipe(
        "bfcl",
        "bfcl-2024-08/bfcl_2024_08.parquet",
        "Tool calls of the Berkeley Function Calling Leaderboard (2024-08-11) that are public with text, by 48 models "
        "and ways to call them (prompted, or -FC: the provider's own function calling), with tokens and latency.",
        # The prices of four models are in no dated list.
        where="prompt is not null and model not in ('gemini-1.5-flash-preview-0514', 'gemini-1.5-pro-preview-0409', "
        "'gemini-1.5-pro-preview-0514', 'nvidia_nemotron-4-340b-instruct')",
        costs="list prices of 2024",
        source="github.com/HuanzhiMao/BFCL-Result @ b4adfc9",
        date="2024-08-12",
        caveats=(
            "Models without recorded tokens (those run locally) are not in it, nor are prompts without a public text.",
        ),
    ),
)


@dataclass(frozen=True)
class BuiltInRecipe:
    """A benchmark that ships whole.

    Attributes
    ----------
    card : description in its folder.
    texts : whether the texts of its prompts may be passed on; else their hashes and vectors are.
    priced : whether its costs are computed from tokens at the prices of its folder, with one input token for 4
        characters of the prompt and no cost for a model without tokens or price. Otherwise the file has costs.
    """

    card: Card
    texts: bool
    priced: bool = False

    @property
    def name(self) -> str:
        """Name in the store and in the report."""
        return self.card.name

    @property
    def about(self) -> str:
        """Description in a sentence."""
        return f"{self.card.about[0].upper()}{self.card.about[1:]}."


BUILT_IN_RECIPES = (
    BuiltInRecipe(
        Card(
            name="openhands-index",
            about="software tasks (SWE-bench Verified and SWT-bench) given to 34 models of 2025-26 in one agent, "
            "OpenHands; a score of 1 is resolved, dollars are as billed",
            source="github.com/OpenHands/openhands-index-results @ 3015ac612e7196f428e6e8a3948965d32d9a3331",
            licence="MIT License stated in its README.md; no LICENSE file",
            date="2026-06-30",
            file="openhands-index/openhands_swe_swt.parquet",
            unit="task",
            caveats=(
                "SWE-bench Verified is contaminated and has flawed tests (Epoch AI's review of 2026-09): it shows what "
                "tasks cost and how this tool works, and does not measure what models are worth.",
                "Versions of the agent differ between models (v0.38 to v1.24), and each cell is one run.",
                "Billed dollars include whatever each provider's cache saved; 256 outcomes have no cost recorded, and "
                "565 cells were not run or have no result.",
                "No tokens are recorded, so costs cannot be re-priced: list prices are here as facts of the models.",
                "The texts of the prompts are not here (issues of twelve open-source projects): their hashes and "
                "vectors are, so routers that read vectors work and those that read texts do not.",
            ),
        ),
        texts=False,
    ),
    BuiltInRecipe(
        Card(
            name="misguided-attention",
            about="52 riddles and puzzles changed so that the known answer is wrong, given to 58 models and efforts up "
            "to 2025-07, up to five times each; the score is the share of a rubric's points",
            source="github.com/cpldcpu/MisguidedAttention @ bbae011",
            licence="CC0-1.0 (LICENSE)",
            date="2025-07-31",
            file="misguided-attention/misguided_attention_samples.parquet",
            caveats=(
                "52 prompts are few: small differences between routers cannot be seen here. What can be seen is how "
                "runs of one cell differ, and what thinking on or off costs and gains.",
                "Answers were scored by a language model against a rubric.",
                "Output tokens, reasoning included, were recorded for 12 models; 10 of them have a list price (July "
                "2025). These 10 are the pool of every curve; the other 48 have scores and no costs.",
                "Input tokens are estimated, one for 4 characters of the prompt.",
            ),
        ),
        texts=True,
        priced=True,
    ),
)


def set_up(store: Store, *, again: bool = False, progress: Progress | None = None) -> list[Run]:
    """Build the benchmarks that ship whole and the simulated one if missing, each with a fitted CARROT-KNN.

    The router that serves is fitted and stored too, since a public server may not write it. The first run is of the
    benchmark with which the app opens.
    """
    names = names_to_set_up(store)
    there = set() if again else {info.name for info in store.benchmarks()}
    for name in names:
        if name not in there:
            _build(store, name)
    benches = [load_embedded(store, name, progress=progress) for name in names]
    runs = [run_router(store, bench, again=again, progress=progress) for bench in benches]
    return [with_router(store, Trial(bench, run.router), run) for bench, run in zip(benches, runs, strict=True)]


def names_to_set_up(store: Store) -> list[str]:
    """The benchmarks of `set_up`, except for names under which the user has other data, which are not changed."""
    return [name for name in (*BUILT_IN, SIMULATED) if not store.shadows(name)]


def _build(store: Store, name: str) -> None:
    """Store a benchmark that ships, or the simulated one, with the vectors that ship."""
    is_simulated = name == SIMULATED
    frames = read_simulated() if is_simulated else read_built_in(folder_of(name))
    hashes, vectors = vectors_of_simulated() if is_simulated else vectors_of_built_in(folder_of(name))
    store.save_benchmark(name, frames, replace=True)
    store.add_vectors_of_hashes(name, BUNDLED, hashes, vectors)
