"""The prompts of the simulated benchmark: 27 tasks in eight families, easy to hard."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from carrot_core.benchmarks.simulated import language, reasoning
from carrot_core.benchmarks.simulated.words import HARDEST, Draw, Template, joined

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


SETTINGS: dict[str, tuple[tuple[str, ...], ...]] = {
    "arithmetic": (
        ("My seven-year-old has this for homework:", "From a primary school worksheet:", "A simple sum for beginners:"),
        ("From a school test:", "I want to check my shopping bill:", "For a practice sheet in grade six:"),
        ("From a high school textbook:", "For a bookkeeping course:", "For an adult education class:"),
        ("From a university entrance exam:", "For trainee actuaries:", "From an engineering qualifying test:"),
        ("From a mathematics olympiad:", "A contest problem that most entrants got wrong:", "For graduate students:"),
    ),
    "logic": (
        ("A riddle for small children:", "A warm-up puzzle:", "From a kindergarten activity book:"),
        ("From the puzzle page of a newspaper:", "For a family quiz night:", "A brain teaser for teenagers:"),
        ("From an aptitude test for job applicants:", "From a puzzle magazine:", "For a discrete mathematics class:"),
        ("From a law school admission test:", "From the regional logic championship:", "For a proof theory tutorial:"),
        ("From the world puzzle championship:", "A notorious problem from formal logic:", "For automated provers:"),
    ),
    "code": (
        ("I am learning to program.", "This is my first week of coding.", "For an introductory course:"),
        ("For a homework assignment:", "For a small script of mine:", "For a hobby project:"),
        ("For an internal tool at work:", "For a job interview:", "For a web application:"),
        ("For a service with millions of users:", "For a database engine:", "For a senior engineer's code review:"),
        ("For an operating system kernel:", "For a verified compiler:", "For a high-frequency trading system:"),
    ),
    "extraction": (
        ("A clean form, typed by machine:", "One short note:", "A standard form letter:"),
        ("From an e-mail inbox:", "A routine business message:", "From an office assistant:"),
        ("Copied from a long thread:", "From a customer file:", "Text from a scanned page:"),
        ("Badly scanned, please be careful:", "Several sources pasted together:", "From a court exhibit:"),
        ("Damaged records for a forensic audit:", "Contradictory sources; state every doubt:", "From a seized disk:"),
    ),
    "rewriting": (
        ("For a postcard:", "For a text message to a friend:", "For a beginner's phrase book:"),
        ("For an everyday e-mail:", "For a note to the neighbours:", "For a school newsletter:"),
        ("For a company circular:", "For a travel brochure:", "For a letter to a client:"),
        ("For a sworn statement:", "For a diplomatic letter:", "For an academic preface:"),
        ("For a literary anthology; keep the rhythm:", "For a treaty, word by word:", "For a verse play:"),
    ),
    "open_questions": (
        ("Just curious:", "For a picture book:", "A quick question:"),
        ("For a school talk:", "For a pub conversation:", "For my diary:"),
        ("For a popular blog:", "For an evening lecture:", "For a local newspaper:"),
        ("For a graduate seminar:", "For an expert panel:", "For a policy paper:"),
        ("For the review section of a journal:", "For a doctoral defence:", "For a contested court hearing:"),
    ),
    "classification": (
        ("An easy one:", "A clear case for training:", "Sample item:"),
        ("From the daily queue:", "A usual item:", "Next in the list:"),
        ("Flagged by one reader:", "For the second pass:", "Please look twice:"),
        ("Readers were split on this:", "For the senior annotators:", "An ambiguous item:"),
        ("Annotators never agreed on this, irony included:", "For the adjudication panel:", "A known trap:"),
    ),
    "summarising": (
        ("A short note:", "For a sticky note:", "For a chat message:"),
        ("For the weekly mail:", "For the notice board:", "For a colleague on holiday:"),
        ("For the department's records:", "For the quarterly report:", "For a project archive:"),
        ("For the supervisory board:", "For an external auditor:", "For the insurer's lawyers:"),
        ("For a public inquiry; nothing may be lost:", "For the regulator, with liabilities:", "For sworn testimony:"),
    ),
}  # fmt: skip
