"""Templates for extraction, rewriting, open questions, classification and summaries."""

from __future__ import annotations

from scripts.simulated.words import (
    AUDIENCES,
    COMPANIES,
    COMPLAINTS,
    CONCEPTS,
    DEVICES,
    GOODS,
    INTENTS,
    IRONY,
    LANGUAGES,
    MONTHS,
    NAMES,
    PLACES,
    PRAISE,
    PROJECTS,
    SERVICES,
    THINGS,
    UNDERTAKINGS,
    WEEKDAYS,
    Draw,
    Text,
    joined,
    listed,
)


def order_fields(draw: Draw, level: int) -> Text:
    buyer, seller = draw.sample(NAMES, 2)
    company = draw.pick(COMPANIES)
    goods = [f"{draw.number(2, 90)} {item} ({draw.price(2, 90)} each)" for item in draw.sample(GOODS, 1 + level)]
    keys = ["order_number", "items", "total", "delivery_date", "contact", "payment_terms", "discount", "city"]
    noise = (
        f"My colleague {draw.pick(NAMES)} asked for {draw.number(2, 90)} {draw.pick(GOODS)} in May, ignore that.",
        f"The old order {draw.number(1000, 99999)} is settled.",
        f"If it is not too late, change the first quantity to {draw.number(2, 90)}.",
    )
    message = [
        f"Hello {seller}, thank you for calling {company}.",
        f"As agreed we order {listed(goods)} under number {draw.number(1000, 99999)},",
        f"delivered to {draw.pick(PLACES)} by {draw.date(MONTHS)}, payable within {draw.pick((10, 14, 30, 60))} days.",
        *draw.sample(noise, max(0, level - 1)),
        f"Regards, {buyer}",
    ]
    fields = ", ".join(draw.sample(keys, 3 + level))
    return Text(f"Extract {fields} as JSON; use null for what is missing.\n\n{' '.join(message)}")


def appointments(draw: Draw, level: int) -> Text:
    entries = []
    for name in draw.sample(NAMES, 1 + 2 * level):
        what = draw.pick(
            ("a check-up", "the budget talk", "a flat viewing", "the site visit", "a piano lesson", "an interview")
        )
        when = (
            f"{draw.pick(WEEKDAYS)} {draw.date(MONTHS)} at {draw.number(8, 17)}:{draw.pick(('00', '15', '30', '45'))}"
        )
        entries.append(
            draw.pick(
                (
                    f"{name} has {what} on {when} in {draw.pick(PLACES)}.",
                    f"Please move {name} ({what}) to {when}.",
                    f"{when}: {what} with {name}, {draw.pick(PLACES)}.",
                )
            )
        )
    ask = draw.pick(
        ("List every appointment as a table with", "Return a JSON array of appointments with", "Make a CSV with")
    )
    note = " Times are local except where moved; the later entry wins." if level > 2 else ""
    return Text(f"{ask} person, date, time and place.{note}\n\n{' '.join(entries)}")  # fmt: skip


def log_lines(draw: Draw, level: int) -> Text:
    lines = []
    for _ in range(3 + 2 * level):
        clock = f"{draw.number(0, 23):02d}:{draw.number(0, 59):02d}:{draw.number(0, 59):02d}"
        kind = draw.pick(("INFO", "INFO", "WARN", "ERROR"))
        event = draw.pick(
            ("timeout after {} ms", "user {} signed in", "retry {}", "queue length {}", "{} requests a second")
        )
        lines.append(f"{clock} {kind} {draw.pick(SERVICES)}: {event.format(draw.number(1, 99 * (1 + level)))}")
    ask = draw.pick(
        (
            "Which services logged an error, and when?",
            "Count the lines per service and level.",
            "Extract all numbers together with their service.",
            "Give the earliest and the latest time of each level.",
        )
    )
    return Text(f"{ask}\n\n" + "\n".join(lines))


_NOTES = (
    "The {thing} for the {project} arrives on {day}.",
    "Could you bring the {thing} to {place} before {time}?",
    "We still owe {company} an answer about the {project}.",
    "{name} will be away until {day}, so please ask {other}.",
    "Frankly, the {project} would have been finished by now had anybody asked {name}.",
    "It is raining cats and dogs in {place}, and the {thing} got soaked.",
    "Not until {name} had left did {other} notice that the {thing} was missing.",
    "The {project} is neither late nor over budget, whatever {company} may claim.",
    "I look forward to seeing you and {name} in {place} on {day}.",
)


def _notes(draw: Draw, count: int) -> str:
    words = []
    for note in draw.sample(_NOTES, count):
        name, other = draw.sample(NAMES, 2)
        words.append(
            note.format(
                thing=draw.pick(THINGS), project=draw.pick(UNDERTAKINGS), day=draw.pick(WEEKDAYS),
                place=draw.pick(PLACES), time=f"{draw.number(8, 18)}:00",
                company=draw.pick(COMPANIES), name=name, other=other,
            )
        )  # fmt: skip
    return " ".join(words)


def translate(draw: Draw, level: int) -> Text:
    language = draw.pick(list(LANGUAGES))
    ask = draw.pick(("Translate into {}:", "How would you say this in {}?", "Please put this into natural {}:"))
    return Text(f"{ask.format(language)} {_notes(draw, 1 + level)}", language, LANGUAGES[language])


def tone(draw: Draw, level: int) -> Text:
    style = draw.pick(("polite", "formal", "friendly", "blunt", "apologetic", "enthusiastic", "neutral"))
    limits = (
        f"Use at most {draw.number(15, 60)} words.",
        "Keep every name and every date.",
        "Do not use the word 'please'.",
        f"Write it for {draw.pick(AUDIENCES)}.",
        "Every sentence must be a question.",
    )
    ask = joined(f"Rewrite this message so that it sounds {style}.", *draw.sample(limits, level))
    return Text(f"{ask}\n\n{_notes(draw, 1 + (level + 1) // 2)}")


_SLIPS = (
    (" the ", " teh "),
    (" is ", " are "),
    ("will be", "wil been"),
    ("and ", "adn "),
    (" to ", " too "),
    ("ing ", "ign "),
)


def correct(draw: Draw, level: int) -> Text:
    text = _notes(draw, 1 + level)
    for right, wrong in draw.sample(_SLIPS, 2 + level):
        text = text.replace(right, wrong, 1)
    ask = draw.pick(("Correct the mistakes:", "Fix spelling and grammar and list each change:", "Proofread this:"))
    return Text(f"{ask} {text}")


def explain(draw: Draw, level: int) -> Text:
    domain = draw.pick(list(CONCEPTS))
    concept, related = draw.sample(CONCEPTS[domain], 2)
    wishes = (
        f"Use an example from {draw.pick(('sport', 'music', 'gardening', 'traffic', 'a kitchen', 'football'))}.",
        "Name one common misunderstanding and correct it.",
        "Say where the usual explanation stops being true.",
        "Give the key formula or rule and derive it.",
        f"Relate it to {related}.",
    )
    size = draw.pick(("in two sentences", "in one paragraph", "in under 150 words", "in detail", "as a short dialogue"))
    return Text(joined(f"Explain {concept} to {draw.pick(AUDIENCES)} {size}.", *draw.sample(wishes, level)), domain)


def compare(draw: Draw, level: int) -> Text:
    domain = draw.pick(list(CONCEPTS))
    things = [concept for concept in CONCEPTS[domain] if not concept.startswith(("how", "why", "the difference"))]
    wishes = (
        "Weigh the evidence for each.",
        "Take the side that is argued less often.",
        "End with a recommendation and its weakest point.",
        f"Keep it to {draw.number(3, 9)} bullet points.",
    )
    ask = draw.pick(("What do {} have in common, and where do they differ?", "Compare {}.", "How are {} related?"))
    subjects = listed(draw.sample(things, 2 + level // 2))
    return Text(joined(ask.format(subjects), *draw.sample(wishes, level)), domain)


def plan(draw: Draw, level: int) -> Text:
    limits = (
        f"The budget is ${100 * draw.number(2, 60)}.",
        f"{draw.pick(NAMES)} can only help on {draw.pick(WEEKDAYS)}s.",
        f"It must be finished by {draw.date(MONTHS)}.",
        f"{draw.number(5, 200)} people take part, a third of them remotely.",
        "Two of the steps must never happen on the same day.",
    )
    ask = draw.pick(
        (
            "Draft a plan for the {} in {}.",
            "List the first steps of the {} in {}.",
            "What could go wrong with the {} in {}?",
        )
    )
    field = draw.pick(list(PROJECTS))
    question = ask.format(draw.pick(PROJECTS[field]), draw.pick(PLACES))
    return Text(joined(question, *draw.sample(limits, level)), field)


def sentiment(draw: Draw, level: int) -> Text:
    kind = draw.pick(list(DEVICES))
    device = draw.pick(DEVICES[kind])
    main, other = draw.shuffled((PRAISE, COMPLAINTS))
    says = listed(draw.sample(main, 1 + level // 2))
    but = f" But {draw.pick(other)}." if level > 0 else ""
    irony = f" {' '.join(draw.sample(IRONY, level - 1))}" if level > 1 else ""
    labels = draw.pick(("positive or negative", "positive, negative or mixed", "one to five stars"))
    when = draw.pick(("", " last week", " in the sale", " as a gift", " second-hand"))
    return Text(
        f'Classify the review as {labels}. Review: "I bought this {device}{when} and {says}.{but}{irony}"', kind
    )


_WANTS = (
    "the {device} I ordered on {date} is still not here", "I was charged twice for the {device}",
    "I cannot sign in since {date}", "we are moving to {place} on {date}", "please resend the invoice for the {device}",
    "the {device} makes a strange noise", "I want to end my contract on {date}", "how much is the {device} now",
    "your shop in {place} was closed on {date}", "who else can see what I have bought",
)  # fmt: skip


def intent(draw: Draw, level: int) -> Text:
    labels = draw.sample(INTENTS, 3 + 2 * level)
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
