"""Arithmetic, logic and code templates."""

from __future__ import annotations

from itertools import pairwise

from scripts.simulated.words import (
    GOODS,
    NAMES,
    NONSENSE,
    PLACES,
    PROGRAMMING_LANGUAGES,
    WEEKDAYS,
    Draw,
    Text,
    joined,
    listed,
)

_ANSWER = (
    "Give the final number only.",
    "Show your working and end with the answer.",
    "Explain briefly.",
    "Answer with a single number.",
    "Think step by step.",
    "",
)


def shopping(draw: Draw, level: int) -> Text:
    name = draw.pick(NAMES)
    bought = [
        f"{draw.number(2, 4 + 9 * level)} {item} at {draw.price(1, 6 + 12 * level)} each"
        for item in draw.sample(GOODS, 1 + level)
    ]
    extras = [
        f"A loyalty card takes {draw.number(3, 15)}% off everything.",
        f"Sales tax of {draw.number(4, 11)}% is added at the end.",
        f"The shop gives every {draw.pick(('third', 'fourth', 'fifth'))} item of the first kind for free.",
        f"Delivery costs ${draw.number(3, 9)} unless the total before tax is above ${draw.number(60, 400)}.",
    ]
    question = draw.pick(
        (
            "What is the total?",
            f"How much is left from ${draw.pick((100, 200, 500, 1000, 5000))}?",
            f"{name} splits the bill equally among {draw.number(2, 3 + 2 * level)} people. What does each one pay?",
        )
    )
    return Text(
        joined(f"{name} buys {listed(bought)}.", *draw.sample(extras, max(0, level - 1)), question, draw.pick(_ANSWER))
    )


def travel(draw: Draw, level: int) -> Text:
    start, *stops = draw.sample(PLACES, level + 2)
    how = draw.pick(("cyclist", "bus", "delivery van", "train", "hiker", "coach"))
    slow, fast = {"hiker": (3, 6), "cyclist": (12, 28)}.get(how, (35, 95))
    parts = []
    for index, stop in enumerate(stops):
        speed = f"at {draw.number(slow, fast)} km/h"
        part = f"{draw.number(2, 3 + level)} hours and {5 * draw.number(1, 11)} minutes"
        parts.append(f"{'first' if index == 0 else 'then'} to {stop} in {part} {speed}")
        if level > 1 and draw.chance(0.5):
            parts.append(f"waits there for {5 * draw.number(2, 9)} minutes")
    question = draw.pick(
        (
            "How many kilometres is the whole trip?",
            "What is the average speed, breaks included?",
            "How long is the longest leg in kilometres?",
        )
    )
    return Text(joined(f"A {how} leaves {start} and goes {', '.join(parts)}.", question, draw.pick(_ANSWER)))


def percentages(draw: Draw, level: int) -> Text:
    subject, unit = draw.pick(
        (("The price of a bicycle is", "$"), ("A savings account holds", "$"), ("A town's yearly budget is", "$"),
         ("The rent of a flat is", "$"), ("A fund is worth", "$"), ("A herd's yearly feed costs", "$"))
    )  # fmt: skip
    amount = draw.number(2, 9) * 10 ** draw.number(1, 2 + level // 2) + draw.number(0, 1 + 20 * level)
    up = ("rises by", "goes up by", "grows by")
    down = ("falls by", "drops by", "shrinks by")
    steps = [f"{draw.pick(up if draw.chance(0.55) else down)} {draw.number(2, 40)}%" for _ in range(level + 1)]
    question = draw.pick(
        (
            "What is it then?",
            "By what percentage did it change overall?",
            "What change would bring it back to where it began?",
        )
    )
    return Text(joined(f"{subject} {unit}{amount}. It {', then '.join(steps)}.", question, draw.pick(_ANSWER)))


def work_rates(draw: Draw, level: int) -> Text:
    workers = draw.sample(NAMES, level + 2)
    task = draw.pick(("paint a fence", "pack the parcels", "clear a field", "grade the exams", "fill the tank"))
    alone = [f"{name} needs {draw.number(2, 6 + 4 * level)} hours" for name in workers]
    extras = (
        f"{workers[0]} arrives {draw.pick(('an hour', 'two hours', 'half an hour'))} late.",
        f"After the first hour {workers[-1]} leaves.",
        f"Everyone rests for {5 * draw.number(1, 4)} minutes each hour.",
    )
    return Text(
        joined(
            f"To {task} alone, {listed(alone)}. They work together at their usual speeds.",
            *draw.sample(extras, max(0, level - 1)),
            draw.pick(("How long does the job take?", "When is the job done if they start at 9:00?")),
            draw.pick(_ANSWER),
        )
    )


def ordering(draw: Draw, level: int) -> Text:
    people = draw.sample(NAMES, level + 3)
    clues = [
        draw.pick(
            (
                f"{first} finished directly before {second}.",
                f"{second} came in right after {first}.",
                f"Nobody finished between {first} and {second}, and {first} was faster.",
            )
        )
        for first, second in pairwise(people)
    ]
    race = draw.pick(("a race", "a chess league", "a spelling contest", "a swimming final", "a quiz"))
    place = draw.pick(("first", "last", "second", "third"))
    return Text(
        joined(
            f"{len(people)} friends took part in {race}: {listed(sorted(people))}.",
            *draw.shuffled(clues),
            f"Who came {place}?" if draw.chance(0.7) else "List everyone in order.",
        )
    )


def truth_tellers(draw: Draw, level: int) -> Text:
    people = draw.sample(NAMES, level + 2)
    claims = []
    for name in people:
        other = draw.pick([person for person in people if person != name])
        claim = draw.pick(
            (
                f"{other} is a liar",
                f"{other} and I are of the same kind",
                f"the number of liars here is {draw.number(1, len(people) - 1)}",
                f"{other} would say that I am honest",
            )
        )
        claims.append(f'{name} says: "{claim}."')
    return Text(
        joined(
            f"On an island everyone either always lies or always tells the truth. You meet {listed(people)}.",
            *claims,
            "Who tells the truth? If several answers are possible, say so.",
        )
    )


def timetable(draw: Draw, level: int) -> Text:
    meetings = draw.sample(
        ("budget", "design", "hiring", "safety", "sales", "training", "legal", "research"), 3 + level
    )
    days = WEEKDAYS[: max(3, len(meetings))]
    order = dict(zip(meetings, draw.shuffled(range(len(meetings))), strict=True))
    clues = []
    for first, second in zip(meetings, draw.shuffled(meetings), strict=True):
        if first == second:
            clues.append(f"The {first} meeting is not on {days[(order[first] + 1) % len(days)]}.")
        elif order[first] < order[second]:
            clues.append(f"The {first} meeting comes before the {second} meeting.")
        else:
            clues.append(f"The {second} meeting is earlier in the week than {first}.")
    return Text(
        joined(
            f"{len(meetings)} meetings ({listed(meetings)}) are held on different days from {days[0]} to {days[-1]}.",
            *clues,
            f"On which days can the {draw.pick(meetings)} meeting be?",
        )
    )


def syllogism(draw: Draw, level: int) -> Text:
    kinds = draw.sample(NONSENSE, level + 3)
    premises = [
        draw.pick((f"All {a} are {b}.", f"No {a} are {b}.", f"Some {a} are {b}.", f"Every {a[:-1]} is one of the {b}."))
        for a, b in pairwise(kinds)
    ]  # fmt: skip
    question = draw.pick(
        (
            f"Does it follow that some {kinds[0]} are {kinds[-1]}?",
            f"Can there be {kinds[0]} that are not {kinds[-1]}?",
            f"Must all {kinds[0]} be {kinds[-1]}?",
        )
    )
    answer = draw.pick(("Answer yes or no.", "Answer yes or no and say why.", "Reply with yes, no or undecided."))
    return Text(joined(*draw.shuffled(premises), question, answer))


_JOBS = (
    "returns the longest run of equal values in a list of {things}",
    "groups {things} by their first letter",
    "finds all pairs of {things} whose prices add up to a target",
    "merges two sorted lists of {things} without using the built-in sort",
    "counts how many {things} were sold on each weekday",
    "removes duplicate {things} and keeps their first occurrence",
    "splits a list of {things} into batches of at most {n}",
    "returns the {n} most expensive {things}",
    "checks that the brackets in a description of {things} are balanced",
    "reads a CSV file of {things} and returns the column totals",
    "computes a moving average over {n} days of the number of {things} sold",
    "finds the cheapest way to buy exactly {n} {things} from packs of several sizes",
)


_DEMANDS = (
    "It must run in linear time.",
    "It must not change its input.",
    "Handle empty input and missing values.",
    "Use constant extra memory.",
    "It must be safe to call from several threads.",
    "Inputs of ten million rows must fit in memory.",
    "Include type annotations and three unit tests.",
    "Ties are resolved alphabetically.",
    "Malformed rows are reported with their line number.",
)


def write_function(draw: Draw, level: int) -> Text:
    language = draw.pick(list(PROGRAMMING_LANGUAGES))
    job = draw.pick(_JOBS).format(things=draw.pick(GOODS), n=draw.number(2, 40))
    ask = draw.pick(("Write a {} function that {}.", "In {}, implement a function that {}.", "I need {} code that {}."))
    return Text(
        joined(ask.format(language, job), *draw.sample(_DEMANDS, level)), language, PROGRAMMING_LANGUAGES[language]
    )


def predict_output(draw: Draw, level: int) -> Text:
    names = draw.sample(("total", "count", "value", "score", "size", "left", "step"), 2)
    a, b = names
    n, m = draw.number(2, 4 + 3 * level), draw.number(2, 5 + level)
    body = [f"{a} = {draw.number(0, 9 + 20 * level)}", f"{b} = {draw.number(1, 9)}", f"for i in range({n}):"]
    inner = [
        f"    {a} += i * {draw.number(2, 9)}",
        f"    {b} = ({b} + {a}) % {m + draw.number(3, 11)}",
        f"    if {a} % {m} == {draw.number(0, m - 1)}:\n        {b} += {draw.number(1, 7)}",
        f"    for j in range(i):\n        {a} -= j % {m}",
        f"    {a}, {b} = {b}, {a} + {draw.number(1, 9)}",
    ]
    body += inner[:1] + draw.sample(inner[1:], level)
    code = "\n".join([*body, f"print({a}, {b})"])
    return Text(f"What does this Python program print?\n\n```python\n{code}\n```")


_BROKEN = (
    ("def average({v}):\n    return sum({v}) / len({v})", "it fails for an empty list"),
    ("def last_{n}({v}):\n    return {v}[-{n}:-1]", "the newest entry is missing"),
    ("def add(item, {v}=[]):\n    {v}.append(item)\n    return {v}", "old items show up in later calls"),
    (
        "def find({v}, x):\n    low, high = 0, len({v})\n    while low < high:\n        mid = (low + high) // 2\n"
        "        if {v}[mid] < x:\n            low = mid\n        else:\n            high = mid\n    return low",
        "it never returns for some inputs",
    ),
    (
        "def merge(a, b):\n    {v} = []\n    while a and b:\n"
        "        {v}.append(a.pop(0) if a[0] < b[0] else b.pop(0))\n"
        "    return {v}",
        "values are lost and the inputs change",
    ),
    (
        "cache = {{}}\ndef load_{v}(key, fetch):\n    if key not in cache:\n        cache[key] = fetch(key)\n"
        "    return cache[key]\n\ndef refresh(key):\n    cache.pop(key)\n    return load_{v}(key, print)",
        "under load, two threads fetch the same key and refresh returns None",
    ),
    (
        "def top_{n}({v}):\n    best = {v}[:{n}]\n    for x in {v}[{n}:]:\n        worst = min(best)\n"
        "        if x > worst:\n            best[best.index(worst)] = x\n    return sorted(best)",
        "the order is wrong and it is slow for long lists",
    ),
)  # fmt: skip


def fix_bug(draw: Draw, level: int) -> Text:
    code, symptom = _BROKEN[min(len(_BROKEN) - 1, level + draw.number(0, 2))]
    words = {"v": draw.pick(("values", "orders", "rows", "prices", "users", "scores")), "n": draw.number(2, 30)}
    ask = draw.pick(("Fix the bug", "Find the mistake and correct it", "What is wrong here"))
    demands = joined(*draw.sample(_DEMANDS, max(0, level - 2)))
    snippet = f"{ask}: {symptom.format(**words)}.\n\n```python\n{code.format(**words)}\n```"
    return Text(f"{snippet}\n{demands}" if demands else snippet)


_TABLES = (
    ("customers(id, name, city)", "orders(id, customer_id, placed_on, total_usd)", "customer", "order"),
    ("students(id, name, year)", "exams(id, student_id, taken_on, points)", "student", "exam"),
    ("machines(id, model, hall)", "faults(id, machine_id, reported_on, hours_lost)", "machine", "fault"),
    ("patients(id, name, ward)", "visits(id, patient_id, visited_on, minutes)", "patient", "visit"),
    ("authors(id, name, country)", "books(id, author_id, published_on, copies)", "author", "book"),
)


def sql_query(draw: Draw, level: int) -> Text:
    one, many, owner, event = draw.pick(_TABLES)
    n, year = draw.number(2, 60), draw.number(2015, 2024)
    asks = (
        f"the {n} newest {event}s",
        f"every {owner} with more than {n} {event}s in {year}",
        f"each {owner}'s share of all {event}s in {year}, largest first",
        f"for each {owner} the longest gap in days between two {event}s since {year}",
        f"each {owner} whose {event}s grew in each of the {draw.number(3, 9)} months before {year}, with totals",
    )  # fmt: skip
    dialect = draw.pick(("PostgreSQL", "SQLite", "standard SQL"))
    return Text(f"Tables: {one}, {many}. Write a query in {dialect} that lists {asks[level]}.")
