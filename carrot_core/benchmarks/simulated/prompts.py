"""The prompts of the simulated benchmark: 27 tasks in eight families, easy to hard."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from carrot_core.benchmarks.simulated import language, prompts, reasoning
from carrot_core.benchmarks.simulated.words import (
    COMPANIES,
    DEVICES,
    HARDEST,
    MONTHS,
    NAMES,
    PLACES,
    PROJECTS,
    SERVICES,
    THINGS,
    UNDERTAKINGS,
    Draw,
    Template,
    Text,
    joined,
    listed,
)

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
    Task("sentiment", "classification", prompts.sentiment, 1.1, -0.3),
    Task("intent", "classification", prompts.intent, 1.1, -0.1),
    Task("headline", "classification", prompts.headline, 0.9, 0.0),
    Task("meeting_notes", "summarising", prompts.meeting_notes, 1.0, 0.0),
    Task("incident", "summarising", prompts.incident, 1.0, 0.0),
    Task("digest", "summarising", prompts.digest, 0.8, 0.3),
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

_PRAISE = (
    "it works exactly as described", "my whole family loves it", "it was cheaper than I expected",
    "it still looks new after a year", "support answered within an hour", "I would buy it again",
)  # fmt: skip
_COMPLAINTS = (
    "it stopped working after two weeks", "the manual is useless", "it is louder than the old one",
    "the parcel arrived open", "nobody answers my mails", "the colour is nothing like the picture",
)  # fmt: skip
_IRONY = (
    "Great, if you enjoy returning things.", "I have never been so entertained by a refund form.",
    "It does make a fine doorstop.", "Not that I would call it bad.", "My expectations were low and it met them.",
)  # fmt: skip


def sentiment(draw: Draw, level: int) -> Text:
    kind = draw.pick(list(DEVICES))
    device = draw.pick(DEVICES[kind])
    main, other = draw.shuffled((_PRAISE, _COMPLAINTS))
    says = listed(draw.sample(main, 1 + level // 2))
    but = f" But {draw.pick(other)}." if level > 0 else ""
    irony = f" {' '.join(draw.sample(_IRONY, level - 1))}" if level > 1 else ""
    labels = draw.pick(("positive or negative", "positive, negative or mixed", "one to five stars"))
    when = draw.pick(("", " last week", " in the sale", " as a gift", " second-hand"))
    return Text(
        f'Classify the review as {labels}. Review: "I bought this {device}{when} and {says}.{but}{irony}"', kind
    )


_INTENTS = (
    "refund", "delivery status", "change of address", "complaint", "cancel contract", "technical problem",
    "invoice copy", "praise", "price question", "password reset", "opening hours", "data protection",
)  # fmt: skip
_WANTS = (
    "the {device} I ordered on {date} is still not here", "I was charged twice for the {device}",
    "I cannot sign in since {date}", "we are moving to {place} on {date}", "please resend the invoice for the {device}",
    "the {device} makes a strange noise", "I want to end my contract on {date}", "how much is the {device} now",
    "your shop in {place} was closed on {date}", "who else can see what I have bought",
)  # fmt: skip


def intent(draw: Draw, level: int) -> Text:
    labels = draw.sample(_INTENTS, 3 + 2 * level)
    wants = [
        want.format(device=draw.pick(THINGS), date=draw.date(MONTHS), place=draw.pick(PLACES))
        for want in draw.sample(_WANTS, 1 + (level + 1) // 2)
    ]
    several = " Pick the one to be dealt with first." if level > 0 else ""
    return Text(
        f"Choose the label of this message to {draw.pick(COMPANIES)} from: {', '.join(labels)}.{several} "
        f'Message: "Hello, {", and also ".join(wants)}."',
    )


_SUBJECTS = {
    "sport": ("the harbour regatta", "a disputed penalty", "the youth squad's new coach"),
    "business": ("a takeover bid", "rising shipping costs", "the quarterly loss of a retailer"),
    "science": ("a new telescope mirror", "a frog thought extinct", "the chemistry of old paint"),
    "politics": ("the vote on bus fares", "a mayor's resignation", "the new housing law"),
    "culture": ("a forgotten opera", "the reopening of the museum", "a prize for debut novels"),
    "weather": ("the third storm this month", "an early frost", "a record dry spring"),
}


def headline(draw: Draw, level: int) -> Text:
    themes = draw.sample(list(_SUBJECTS), 1 + (level + 1) // 2)
    parts = [draw.pick(_SUBJECTS[theme]) for theme in themes]
    links = (" overshadows ", " amid ", ", and what it has to do with ")
    text = parts[0] + "".join(f"{draw.pick(links)}{part}" for part in parts[1:])
    labels = draw.sample(list(_SUBJECTS), min(6, 3 + level))
    return Text(
        f"Which section does this headline belong to: {', '.join(labels)} or none? "
        f'"{draw.pick(PLACES)}: {text}" ({draw.date(MONTHS)})',
        themes[0],
    )


_PROGRESS = (
    "{name} reported that the {project} is {n} days behind plan.",
    "{company} offered to take over the {project} for ${n} thousand.",
    "The tests in {place} went well, apart from the {thing}.",
    "{name} and {other} disagree on whether {company} should be paid before {date}.",
    "A second opinion on the {project} is expected by {date}.",
    "{n} people in {place} signed up, twice as many as last year.",
    "The {thing} has to be replaced, which {other} considers unnecessary.",
    "It was agreed to ask {company} for a quote and to decide on {date}.",
    "{name} will write to the residents of {place}.",
    "Costs have risen by {n} percent since {date}, mostly because of {company}.",
    "Nobody could say who ordered the {n} extra items.",
    "If {company} does not answer by {date}, {name} goes back to the first plan.",
    "The report on {place} was accepted with {n} changes.",
)
_HAPPENED = (
    "At {time} the {service} service began to answer slowly.",
    "{name} was called and restarted {service}, which did not help.",
    "By {time}, {n} percent of requests failed.",
    "The cause was a change to {service} made on {date} by {other}.",
    "Customers of {company} could not pay for {n} minutes.",
    "A copy in {place} took over at {time}, though {service} still returned old data.",
    "{other} suspected the {service} database, wrongly as it turned out.",
    "After {n} retries the queue of {service} was full.",
    "Alarms had been switched off during the {project}.",
    "{name} rolled back the change at {time}, and {service} recovered within {n} minutes.",
    "{company} asked for a written explanation by {date}.",
    "It was the third such failure since {date}.",
)


def _account(draw: Draw, sentences: tuple[str, ...], count: int, projects: tuple[str, ...] = UNDERTAKINGS) -> str:
    """Some of the sentences, told of the same few people and things."""
    name, other = draw.sample(NAMES, 2)
    cast = {
        "name": name, "other": other, "project": draw.pick(projects), "company": draw.pick(COMPANIES),
        "place": draw.pick(PLACES), "thing": draw.pick(THINGS), "service": draw.pick(SERVICES),
    }  # fmt: skip
    parts = []
    for sentence in draw.sample(sentences, count):
        time = f"{draw.number(0, 23):02d}:{draw.number(0, 59):02d}"
        parts.append(sentence.format(**cast, date=draw.date(MONTHS), n=draw.number(2, 95), time=time))
    return " ".join(parts)


def meeting_notes(draw: Draw, level: int) -> Text:
    ask = draw.pick(
        (
            "Summarise these notes in one sentence.",
            "Write the minutes: decisions first, then open points.",
            "List who has to do what, and by when.",
            "Summarise for someone who was not there.",
        )
    )
    field = draw.pick(list(PROJECTS))
    return Text(f"{ask}\n\n{_account(draw, _PROGRESS, 3 + 2 * level, PROJECTS[field])}", field)


def incident(draw: Draw, level: int) -> Text:
    ask = draw.pick(
        (
            "Summarise this incident for management.",
            "Write a short post-mortem with a timeline.",
            "What happened, in at most two sentences?",
            "Summarise cause, effect and remedy.",
        )
    )
    return Text(f"{ask}\n\n{_account(draw, _HAPPENED, 3 + 2 * level)}")


def digest(draw: Draw, level: int) -> Text:
    parts = [
        f"{draw.pick(PLACES)}: {_account(draw, draw.pick((_PROGRESS, _HAPPENED)), 2 + level // 2)}"
        for _ in range(1 + level)
    ]
    ask = draw.pick(
        ("Give each item one line.", "Summarise the whole in three bullet points.", "What matters most here?")
    )
    return Text(f"{ask}\n\n" + "\n\n".join(parts))
