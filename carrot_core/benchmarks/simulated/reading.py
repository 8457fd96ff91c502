"""Templates for classification and summaries."""

from __future__ import annotations

from carrot_core.benchmarks.simulated.words import (
    COMPANIES,
    DEVICES,
    MONTHS,
    NAMES,
    PLACES,
    PROJECTS,
    SERVICES,
    THINGS,
    UNDERTAKINGS,
    Draw,
    Text,
    listed,
)

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
