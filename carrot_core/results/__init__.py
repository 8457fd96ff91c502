"""What ships: benchmarks, snapshots, fitted heads and ``docs/results.md``, all made by ``carrot results``.

`BUILT_IN_RECIPES` and `RECIPES` say which files they come from, and how each is read. A licence that forbids what ours
allows (mini-SWE-agent on SWE-bench Verified is CC BY-NC 4.0) has no recipe: figures and fitted weights made from such
a file stay with whoever imports it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from carrot_core.benchmarks.built_in import Card


@dataclass(frozen=True)
class Recipe:
    """One benchmark of the results.

    Attributes
    ----------
    name : in the store, the snapshots and the report.
    file : results, below the folder of the benchmarks.
    about : what it is, in a sentence.
    where : rows that are kept, SQL over the file's columns.
    embeddings : vectors of the bundled MiniLM computed before, below the same folder; else they are computed.
    columns : the file's own column, by the name it has in the long format.
    costs : what its costs are: recorded dollars, or the prices they were computed at, with their date.
    era : years in which its models came out.
    """

    name: str
    file: str
    about: str
    where: str | None = None
    embeddings: str | None = None
    columns: dict[str, str] = field(default_factory=dict)
    costs: str = ""
    era: str = "2023-24"


RECIPES = (
    Recipe(
        "mmlu-pro-cot",
        "mmlu-pro-cot/mmlu_pro_cot.parquet",
        "MMLU-Pro answered with chain of thought by 14 chat models, with input and output tokens.",
        where="kind = 'chat' and model <> 'deepseek-ai/DeepSeek-Coder-V2-Instruct'",
        embeddings="embeddings/mmlu_pro_cot.parquet",
        costs="list prices of 2024",
    ),
    Recipe(
        "routerbench-subset",
        "routerbench-subset/routerbench_0shot.parquet",
        "The prompts of RouterBench's 0-shot set that are public with text and all 11 models; dollars as recorded.",
        where="models_on_prompt = 11 and prompt is not null",
        embeddings="embeddings/routerbench_0shot.parquet",
        costs="recorded dollars of 2023-24",
    ),
    Recipe(
        "open-llm-leaderboard-v2",
        "open-llm-leaderboard-v2/open_llm_lb_v2.parquet",
        "MMLU-Pro, BBH and IFEval of the Open LLM Leaderboard v2 for 18 open models, its row order restored; "
        "input cost only.",
        where="model <> 'upstage/SOLAR-10.7B-Instruct-v1.0'",
        embeddings="embeddings/open_llm_lb_v2.parquet",
        costs="list prices of 2025-02; input only",
    ),
    Recipe(
        "routellm",
        "routellm/routellm.parquet",
        "MMLU and GSM8K answered by GPT-4 and Mixtral-8x7B, as RouteLLM published them, without the prompts it "
        "calls contaminated.",
        where="not contaminated",
        costs="list prices of 2024-06",
    ),
    Recipe(
        "llmrouter-9-models",
        "llmrouter-9-models/llmrouter_9_models.parquet",
        "LLMRouter's 14 tasks answered by 9 open models; input cost only.",
        columns={"cost_usd": "input_cost_usd"},
        costs="prices of its source, undated; input only",
    ),
    Recipe(
        "frugalgpt-overruling",
        "frugalgpt-overruling/overruling.parquet",
        "FrugalGPT's legal yes/no questions answered by 12 APIs of 2022 and 2023; dollars as recorded.",
        costs="recorded dollars of 2022-23",
    ),
    Recipe(
        "bfcl",
        "bfcl-2024-08/bfcl_2024_08.parquet",
        "Tool calls of the Berkeley Function Calling Leaderboard (2024-08-11) that are public with text, by 48 models "
        "and ways to call them (prompted, or -FC: the provider's own function calling), with tokens and latency.",
        # Four models have a price that no dated list confirms.
        where="prompt is not null and model not in ('gemini-1.5-flash-preview-0514', 'gemini-1.5-pro-preview-0409', "
        "'gemini-1.5-pro-preview-0514', 'nvidia_nemotron-4-340b-instruct')",
        costs="list prices of 2024",
    ),
)


@dataclass(frozen=True)
class BuiltInRecipe:
    """A benchmark that ships whole.

    Attributes
    ----------
    card : what its folder says of it.
    texts : whether the texts of its prompts may be passed on; else their hashes and vectors are.
    priced : whether its costs are tokens at the prices of its folder. One input token is taken for 4 characters of the
        prompt, and a model without tokens or price has no cost. Else the file has costs, as any that is imported.
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
        """What it is, in a sentence."""
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
