"""The simulated benchmark: prompts from templates of our own, answered by models that do not exist."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from carrot_core.benchmarks import Frames, Provenance
from carrot_core.benchmarks.built_in import SIMULATED, SIMULATED_NOTE
from carrot_core.errors import CarrotError
from carrot_core.prices import Price, token_cost_usd
from scripts.simulated import language, reasoning
from scripts.simulated.words import HARDEST, SETTINGS, Draw, Template, joined

FAMILIES = (
    "arithmetic", "logic", "code", "extraction", "rewriting", "open_questions", "classification", "summarising",
)  # fmt: skip
GRADED = frozenset({"extraction", "rewriting", "open_questions", "summarising"})  # tenths; the others 0 or 1
MEDIAN_OUTPUT_TOKENS = (190, 260, 280, 110, 85, 360, 22, 115)  # by family, for a model of verbosity 1
Table = npt.NDArray[np.float64]
_VISIBLE, _HIDDEN = 1.1, 1.1  # logits per standard deviation of difficulty
_TASK_SPREAD, _TOPIC_SPREAD = 0.2, 1.2  # logits between models
_NOISE = 0.7  # scale of the logistic noise of one answer
_VISIBLE_LENGTH, _HIDDEN_LENGTH = 0.25, 0.1  # log output tokens per standard deviation of difficulty
_SHARED_LENGTH, _OWN_LENGTH = 0.25, 0.3  # log-normal spread of output tokens, by prompt and by answer
_PIECE = re.compile(r"[^\W\d_]{1,6}|\d{1,3}|[^\w\s]|_")
_REPEATED = 0.004  # share of prompts that repeat an earlier one word by word, as in any log
_WITH_SETTING = 0.8  # share of prompts that say where they come from
_TRIES = 20  # a template that makes nothing new so often is nearly used up: then a text may repeat


@dataclass(frozen=True)
class SimulatedModel:
    """One invented model; abilities are logits on a prompt of average difficulty, in the order of FAMILIES."""

    name: str
    input_usd_per_mtok: float
    output_usd_per_mtok: float
    verbosity: float  # its output tokens over those of the average model
    tokenizer: float  # its input tokens over those of `count_tokens`
    steepness: float  # how much the difficulty of a prompt counts for it
    ability: tuple[float, ...]


MODELS = (
    #               name             in    out   verb  tok   steep  arith logic code  extr  rewr  open  class summ
    SimulatedModel("larch-ultra",   3.00, 15.00, 0.95, 1.08, 0.75, (2.1, 2.3, 3.3, 2.0, 2.7, 2.1, 1.9, 2.1)),
    SimulatedModel("alder-large",   2.50, 10.00, 1.05, 1.00, 0.80, (2.2, 2.0, 2.4, 2.2, 2.1, 2.4, 2.2, 2.3)),
    SimulatedModel("rowan-large",   3.50,  3.50, 0.90, 1.05, 0.90, (2.6, 1.9, 1.7, 1.7, 1.6, 1.7, 1.5, 1.8)),
    SimulatedModel("rowan-medium",  0.90,  0.90, 1.00, 1.05, 0.85, (2.4, 1.7, 1.7, 2.0, 1.7, 1.8, 2.1, 2.0)),
    SimulatedModel("hazel-medium",  0.80,  1.20, 0.80, 1.12, 0.90, (1.9, 2.0, 1.7, 2.3, 1.8, 1.9, 2.4, 2.5)),
    SimulatedModel("alder-small",   0.15,  0.60, 1.10, 1.00, 0.90, (2.0, 1.5, 1.9, 1.8, 1.8, 2.0, 1.8, 1.7)),
    SimulatedModel("yew-code",      0.30,  0.40, 1.15, 1.02, 1.15, (1.2, 1.1, 2.2, 1.4, 0.4, 0.5, 0.8, 0.6)),
    SimulatedModel("yew-medium",    0.60,  0.60, 1.20, 1.15, 1.25, (0.5, 0.3, 0.5, 0.8, 1.1, 0.9, 0.9, 0.9)),
    SimulatedModel("linden-pro",    0.50,  1.50, 0.90, 1.04, 1.30, (0.1, 0.2, 0.0, 0.7, 0.8, 0.8, 1.0, 0.9)),
    SimulatedModel("rowan-small",   0.20,  0.20, 1.30, 1.05, 1.20, (0.9, 0.3, 0.6, 1.0, 0.9, 1.0, 1.0, 1.0)),
    SimulatedModel("hazel-small",   0.20,  0.20, 0.75, 1.12, 1.20, (0.5, 0.2, 0.3, 1.3, 0.7, 0.7, 1.7, 1.2)),
    SimulatedModel("linden-mini",   0.10,  0.10, 0.85, 1.04, 1.35, (0.0, -0.2, -0.3, 0.6, 0.3, 0.3, 0.9, 0.5)),
    SimulatedModel("rowan-tiny",    0.06,  0.06, 1.60, 1.05, 1.50, (-0.4, -0.8, -0.6, 0.0, -0.3, 0.0, 0.3, 0.0)),
)  # fmt: skip


def effects(kind: str, label: str, spread: float) -> npt.NDArray[np.float64]:
    """(models,) logits by which models are better or worse with a label; theirs, hence the same for every seed."""
    if not label:
        return np.zeros(len(MODELS))
    rng = np.random.default_rng(list(f"{kind}:{label}".encode()))
    noise = rng.normal(0.0, spread, len(MODELS))
    centred: npt.NDArray[np.float64] = noise - noise.mean()
    return centred


def simulate(seed: int = 0, n_prompts: int = 6000) -> Frames:
    """Build the simulated benchmark: 13 invented models on prompts of 27 tasks in eight families.

    The same seed gives the same content; the models' abilities are the same for every seed.

    Parameters
    ----------
    seed : of prompts and answers, at least 0.
    n_prompts : how many prompts, at least 1.

    Returns
    -------
    Frames with every cell observed and no split of its own.

    Raises
    ------
    CarrotError
        A seed or a number of prompts out of bounds.
    """
    if seed < 0 or n_prompts < 1:
        raise CarrotError(f"Seed {seed} with {n_prompts} prompts: the seed must be 0 or more, the prompts 1 or more.")
    for_texts, for_answers = (np.random.default_rng(stream) for stream in np.random.SeedSequence(seed).spawn(2))
    prompts = draw_prompts(for_texts, n_prompts)
    ids = [f"{SIMULATED}:{number:05d}" for number in range(n_prompts)]
    return Frames(
        prompts=_prompt_frame(ids, prompts),
        models=_model_frame(),
        outcomes=_outcome_frame(ids, prompts, for_answers),
        provenance=Provenance(
            source=SIMULATED,
            licence="Apache-2.0",
            rows=n_prompts * len(MODELS),
            note=SIMULATED_NOTE.format(seed=seed),
        ),
    )


def count_tokens(text: str) -> int:
    """Tokens of a text by a rule of thumb: runs of up to six letters, of up to three digits, and each other
    sign that is not white space."""
    return len(_PIECE.findall(text))


def _prompt_frame(ids: list[str], prompts: list[Prompt]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "prompt_id": ids,
            "text": [prompt.text for prompt in prompts],
            "task": [prompt.task for prompt in prompts],
            "family": [prompt.family for prompt in prompts],
            "split": pd.Series([None] * len(ids), dtype=object),
        }
    )


def _model_frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "model": [model.name for model in MODELS],
            "input_usd_per_mtok": [model.input_usd_per_mtok for model in MODELS],
            "output_usd_per_mtok": [model.output_usd_per_mtok for model in MODELS],
            "as_of": "",
            "source": "invented",
        }
    )


def _outcome_frame(ids: list[str], prompts: list[Prompt], rng: np.random.Generator) -> pd.DataFrame:
    counted = np.array([count_tokens(prompt.text) for prompt in prompts])
    input_tokens = np.ceil(np.multiply.outer(counted, [model.tokenizer for model in MODELS]))
    score = _scores(prompts, rng)
    output_tokens = _output_tokens(prompts, rng)
    prices = [Price(model.input_usd_per_mtok, model.output_usd_per_mtok) for model in MODELS]
    return pd.DataFrame(
        {
            "prompt_id": np.repeat(np.array(ids, dtype=object), len(MODELS)),
            "model": np.tile(np.array([model.name for model in MODELS], dtype=object), len(ids)),
            "score": score.ravel(),
            "input_tokens": input_tokens.ravel(),
            "output_tokens": output_tokens.ravel(),
            "cost_usd": token_cost_usd(input_tokens, output_tokens, prices).ravel(),
        }
    )


def _scores(prompts: list[Prompt], rng: np.random.Generator) -> Table:
    """(n, M) scores: 0 or 1, in tenths for graded families."""
    quality = _abilities(prompts)
    difficulty = [_VISIBLE * prompt.visible + _HIDDEN * prompt.hidden for prompt in prompts]
    quality -= np.multiply.outer(difficulty, [model.steepness for model in MODELS])
    quality += rng.logistic(0.0, _NOISE, quality.shape)
    graded = np.array([prompt.family in GRADED for prompt in prompts])
    return np.where(graded[:, None], np.round(10 / (1 + np.exp(-quality))) / 10, (quality > 0).astype(np.float64))


def _abilities(prompts: list[Prompt]) -> Table:
    """(n, M) logits: family, task and topic."""
    family = np.array([FAMILIES.index(prompt.family) for prompt in prompts])
    quality: Table = np.array([model.ability for model in MODELS]).T[family]
    for kind, spread in (("task", _TASK_SPREAD), ("topic", _TOPIC_SPREAD)):
        labels = [getattr(prompt, kind) for prompt in prompts]
        by_label = {label: effects(kind, label, spread) for label in set(labels)}
        quality += np.array([by_label[label] for label in labels])
    return quality


def _output_tokens(prompts: list[Prompt], rng: np.random.Generator) -> Table:
    """(n, M) whole tokens, at least 1."""
    family = np.array([FAMILIES.index(prompt.family) for prompt in prompts])
    difficulty = np.array([_VISIBLE_LENGTH * prompt.visible + _HIDDEN_LENGTH * prompt.hidden for prompt in prompts])
    log_tokens = np.log(np.array(MEDIAN_OUTPUT_TOKENS))[family] + difficulty
    log_tokens += rng.normal(0.0, _SHARED_LENGTH, len(prompts))
    by_model = log_tokens[:, None] + np.log([model.verbosity for model in MODELS])
    by_model = by_model + rng.normal(0.0, _OWN_LENGTH, by_model.shape)
    tokens: Table = np.maximum(np.round(np.exp(by_model)), 1.0)
    return tokens


@dataclass(frozen=True)
class Task:
    """One template: the finer label of its prompts, their family, how many, how hard."""

    name: str
    family: str
    template: Template
    share: float = 1.0
    harder: float = 0.0  # standard deviations of difficulty


TASKS = (
    Task("shopping", "arithmetic", reasoning.shopping, 1.3, -0.2),
    Task("travel", "arithmetic", reasoning.travel, 1.0, 0.1),
    Task("percentages", "arithmetic", reasoning.percentages, 1.0, -0.1),
    Task("work_rates", "arithmetic", reasoning.work_rates, 0.8, 0.5),
    Task("ordering", "logic", reasoning.ordering, 1.0, 0.0),
    Task("truth_tellers", "logic", reasoning.truth_tellers, 0.8, 0.6),
    Task("timetable", "logic", reasoning.timetable, 0.9, 0.4),
    Task("syllogism", "logic", reasoning.syllogism, 0.8, 0.0),
    Task("write_function", "code", reasoning.write_function, 1.4, 0.0),
    Task("predict_output", "code", reasoning.predict_output, 0.9, 0.4),
    Task("fix_bug", "code", reasoning.fix_bug, 0.7, 0.0),
    Task("sql_query", "code", reasoning.sql_query, 0.9, -0.1),
    Task("order_fields", "extraction", language.order_fields, 1.1, -0.3),
    Task("appointments", "extraction", language.appointments, 0.9, -0.1),
    Task("log_lines", "extraction", language.log_lines, 0.9, 0.2),
    Task("translate", "rewriting", language.translate, 1.4, 0.1),
    Task("tone", "rewriting", language.tone, 1.0, -0.2),
    Task("correct", "rewriting", language.correct, 0.8, -0.4),
    Task("explain", "open_questions", language.explain, 1.6, -0.1),
    Task("compare", "open_questions", language.compare, 1.0, 0.2),
    Task("plan", "open_questions", language.plan, 1.0, 0.1),
    Task("sentiment", "classification", language.sentiment, 1.1, -0.3),
    Task("intent", "classification", language.intent, 1.1, -0.1),
    Task("headline", "classification", language.headline, 0.9, 0.0),
    Task("meeting_notes", "summarising", language.meeting_notes, 1.0, 0.0),
    Task("incident", "summarising", language.incident, 1.0, 0.0),
    Task("digest", "summarising", language.digest, 0.8, 0.3),
)


@dataclass(frozen=True)
class Prompt:
    """One prompt and what its outcomes depend on; difficulties in standard deviations."""

    text: str
    task: str
    family: str
    topic: str
    visible: float  # difficulty that can be read off the text
    hidden: float  # difficulty that cannot


def draw_prompts(rng: np.random.Generator, count: int) -> list[Prompt]:
    """`count` prompts in random order of tasks; all but a few have a text of their own."""
    draw = Draw(rng)
    shares = np.array([task.share for task in TASKS])
    tasks = np.searchsorted(np.cumsum(shares / shares.sum()), rng.random(count))
    prompts: list[Prompt] = []
    texts: set[str] = set()
    for index in tasks:
        if prompts and draw.chance(_REPEATED):
            prompts.append(draw.pick(prompts))
        else:
            prompts.append(_new(draw, rng, TASKS[min(index, len(TASKS) - 1)], texts))
    return prompts


def _new(draw: Draw, rng: np.random.Generator, task: Task, texts: set[str]) -> Prompt:
    for _ in range(_TRIES):
        level = draw.number(0, HARDEST)
        question = task.template(draw, level)
        setting = draw.pick(SETTINGS[task.family][level]) if draw.chance(_WITH_SETTING) else ""
        text = joined(setting, question.text)
        if text not in texts:
            break
    texts.add(text)
    visible = (level - HARDEST / 2) / np.sqrt(2) + task.harder + question.harder
    return Prompt(text, task.name, task.family, question.topic, float(visible), float(rng.standard_normal()))
