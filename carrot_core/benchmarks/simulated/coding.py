"""Code templates: write, run, repair, query."""

from __future__ import annotations

from carrot_core.benchmarks.simulated.draw import Draw, Text, joined
from carrot_core.benchmarks.simulated.words import GOODS, PROGRAMMING_LANGUAGES

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
