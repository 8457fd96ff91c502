"""The prompts of the simulated benchmark: 27 tasks in eight families, easy to hard."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from carrot_core.benchmarks.simulated import coding, language, reading, reasoning
from carrot_core.benchmarks.simulated.draw import HARDEST, Draw, Template, joined
from carrot_core.benchmarks.simulated.settings import SETTINGS

_REPEATED = 0.004  # share of prompts that repeat an earlier one word by word, as in any log
_WITH_SETTING = 0.8  # share of prompts that say where they come from
_TRIES = 20  # a template that makes nothing new so often is nearly used up: then a text may repeat


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
    Task("write_function", "code", coding.write_function, 1.4, 0.0),
    Task("predict_output", "code", coding.predict_output, 0.9, 0.4),
    Task("fix_bug", "code", coding.fix_bug, 0.7, 0.0),
    Task("sql_query", "code", coding.sql_query, 0.9, -0.1),
    Task("order_fields", "extraction", language.order_fields, 1.1, -0.3),
    Task("appointments", "extraction", language.appointments, 0.9, -0.1),
    Task("log_lines", "extraction", language.log_lines, 0.9, 0.2),
    Task("translate", "rewriting", language.translate, 1.4, 0.1),
    Task("tone", "rewriting", language.tone, 1.0, -0.2),
    Task("correct", "rewriting", language.correct, 0.8, -0.4),
    Task("explain", "open_questions", language.explain, 1.6, -0.1),
    Task("compare", "open_questions", language.compare, 1.0, 0.2),
    Task("plan", "open_questions", language.plan, 1.0, 0.1),
    Task("sentiment", "classification", reading.sentiment, 1.1, -0.3),
    Task("intent", "classification", reading.intent, 1.1, -0.1),
    Task("headline", "classification", reading.headline, 0.9, 0.0),
    Task("meeting_notes", "summarising", reading.meeting_notes, 1.0, 0.0),
    Task("incident", "summarising", reading.incident, 1.0, 0.0),
    Task("digest", "summarising", reading.digest, 0.8, 0.3),
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
    seen: set[str] = set()
    for index in tasks:
        if prompts and draw.chance(_REPEATED):
            prompts.append(draw.pick(prompts))
        else:
            prompts.append(_new(draw, rng, TASKS[min(index, len(TASKS) - 1)], seen))
    return prompts


def _new(draw: Draw, rng: np.random.Generator, task: Task, seen: set[str]) -> Prompt:
    for _ in range(_TRIES):
        level = draw.number(0, HARDEST)
        made = task.template(draw, level)
        setting = draw.pick(SETTINGS[task.family][level]) if draw.chance(_WITH_SETTING) else ""
        text = joined(setting, made.text)
        if text not in seen:
            break
    seen.add(text)
    visible = (level - HARDEST / 2) / np.sqrt(2) + task.harder + made.harder
    return Prompt(text, task.name, task.family, made.topic, float(visible), float(rng.standard_normal()))
