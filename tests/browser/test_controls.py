"""What a control shows is what its page uses, after a change of whatever its options depend on."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

import pytest
from playwright.sync_api import Error, Page

from tests.browser.conftest import at_rest, choose, click
from tests.browser.homes import BENCHMARKS

SNAPSHOT = "mmlu-pro-cot (snapshot)"
BOX = "[data-testid=stSelectbox]:visible"
PATIENCE = 60_000  # milliseconds: a router is made ready on some of these pages

Texts = set[str]


SHOWN = """(label) => {
  const boxes = [...document.querySelectorAll("[data-testid=stSelectbox], [data-testid=stMultiSelect]")];
  const named = (text) => text === label || text.startsWith(`${label} (`); // and how many options there are
  const box = boxes.find((one) => named(one.querySelector("[data-testid=stWidgetLabel]").textContent));
  if (!box) throw new Error(`no box is labelled ${label}`);
  if (box.dataset.testid === "stSelectbox") return [box.querySelector("input").value].filter(Boolean);
  return [...box.querySelectorAll("[data-tag] > span")].map((tag) => tag.innerText.trim());
}"""


def widget_texts(page: Page, label: str) -> Texts:
    """The text that a box shows, or that of its tags."""
    return set(page.evaluate(SHOWN, label))


def texts(page: Page, selector: str) -> Texts:
    return set(page.locator(selector).all_text_contents())


def titles(page: Page, selector: str) -> list[str]:
    return [str(one.get_attribute("title")) for one in page.locator(selector).all()]


def page_texts(page: Page, pattern: str) -> Texts:
    """What a sentence of the page names."""
    return {match for text in page.get_by_test_id("stMain").all_inner_texts() for match in re.findall(pattern, text)}


ROUTERS = {"CARROT-KNN", "CARROT-Linear", "Task lookup", "Task lookup with input cost", "Cost only", "Oracle"}


def legend(page: Page) -> list[str]:
    return [title for title in titles(page, ".live .legend button") if title in ROUTERS]


def pool(page: Page) -> Texts:
    """Models that may answer; none where those are all of the benchmark's."""
    models = set(titles(page, ".live .shares li[title]"))
    (bench,) = widget_texts(page, "Benchmark")
    return set() if models == set(BENCHMARKS[bench].models) else models


def against(page: Page) -> Texts:
    """The reference, by the name of the entry that is chosen: its own, or that it is the best single model."""
    reference, best = (texts(page, f".live [data-against={one}] .who") for one in ("reference", "best"))
    entry = widget_texts(page, "Reference model")
    return entry if entry == {"Best single model"} and reference == best else reference


def labels_of(page: Page, pattern: str) -> Texts:
    """What the alternative text of a figure names."""
    result = [str(one.get_attribute("aria-label")) for one in page.locator("[aria-label]:visible").all()]
    return {match for text in result for match in re.findall(pattern, text)}


def same(texts: Texts) -> Texts:
    return texts


def short(texts: Texts) -> Texts:
    return {text.rsplit("/", 1)[-1].replace("All models", "all models") for text in texts}


def number(texts: Texts) -> Texts:
    return {str(len(texts))} if texts else set()


def tasks(page: Page, sentence: str, splits: Texts) -> Texts:
    """Tasks of which a sentence of the page counts the prompts, which are of these splits; none where it counts all."""
    (counted,) = page_texts(page, sentence)
    (name,) = widget_texts(page, "Benchmark")
    bench = BENCHMARKS[name]
    counts = Counter(task for task, split in zip(bench.tasks, bench.split, strict=True) if split in splits)
    assert len({*counts.values(), counts.total()}) == len(counts) + 1, "a count names its task"
    counts["All"] = counts.total()
    (task,) = (task for task, count in counts.items() if count == int(counted))
    return {task} - {"All"}


Used = Callable[[Page], Texts]
Control = tuple[str, Callable[[Texts], Texts], Used]  # label, what of its text the page repeats, and where

ROUTERS_DRAWN: Control = ("Routers", same, lambda page: set(legend(page)))
ALONG: Control = ("λ moves along", same, lambda page: {legend(page)[0]})
REFERENCE: Control = ("Reference model", short, against)
TASKS: Control = ("Tasks", same, lambda page: tasks(page, r"at every λ, on (\d+) prompts", {"test"}))
TASK: Control = (
    "Task", lambda text: text - {"Any"},
    lambda page: tasks(page, r"Prompts [\d,]+ to [\d,]+ of (\d+)", {"train", "validation", "test"}),
)  # fmt: skip
BESIDE: Control = (
    "The same routers on other benchmarks", same,
    lambda page: labels_of(page, r" of \d+ routers on \w+, (\w+)\."),
)  # fmt: skip
POOL: Control = ("Pool", same, pool)
ANSWERS: Control = (
    "Router", lambda texts: {text.removesuffix(" (ships fitted)") for text in texts},
    lambda page: page_texts(page, r"(\S+) learned from"),
)  # fmt: skip
POOL_SIZE: Control = ("Pool", number, lambda page: page_texts(page, r"chooses among (\d+) of its"))
FALLBACK: Control = (
    "Fallback model", lambda texts: {"the fallback takes"} if texts else set(),
    lambda page: page_texts(page, "the fallback takes"),
)  # fmt: skip
CANDIDATE: Control = ("Model", short, lambda page: page_texts(page, r"(\S+) answers [\d.]+\s% of the queries"))
COMPARED: Control = ("Routers", same, lambda page: texts(page, ".js-plotly-plot >> nth=0 >> .ytick text"))
SEEDS: Control = ("Seeds", same, lambda page: page_texts(page, r", ((?:seed|mean over seeds) [\d, ]+), best on top"))
SHARES: Control = ("Shares of", same, lambda page: texts(page, "[data-testid=stMarkdown] strong") & ROUTERS)
ESTIMATED: Control = ("Model", short, lambda page: labels_of(page, r"Reliability diagram, (.*?)\."))
PREDICTED: Control = ("Router", same, lambda page: labels_of(page, r"Observed against predicted .*? of (.*?),"))

# address, what must be opened there, what is changed (a box and the option taken, or its last tag removed), and the
# controls whose options depend on it
Row = tuple[str, tuple[str, ...], list[tuple[str, str | None]], list[Control]]
TABLE: list[Row] = [
    (
        "/frontier?bench=1st&routers=CARROT-Linear&routers=Oracle&along=Oracle&reference=acme/small"
        "&pool=acme/large&pool=acme/small&tasks=kind 0",
        ("Pool, tasks, curve and colours", "How to read the chart"), [("Benchmark", "2nd"), ("Tasks", "sort 1")],
        [ROUTERS_DRAWN, ALONG, REFERENCE, POOL, TASKS],
    ),
    (
        f"/points?bench={SNAPSHOT}&fallback=google/gemini-1.5-flash-002", (),
        [("Benchmark", "2nd"), ("Benchmark", SNAPSHOT)], [ANSWERS, POOL_SIZE, FALLBACK],
    ),
    (
        "/whatif?bench=1st&router=CARROT-Linear&candidate=acme/large&pool=acme/large&pool=acme/small",
        ("Pool and hypothetical models", "What would make a model worth using"), [("Benchmark", "2nd")],
        [POOL, CANDIDATE],
    ),
    (
        "/compare?bench=1st&compared=CARROT-KNN&compared=Zero router&seed=seed 1&beside=2nd",
        ("Drawn with its intervals",),
        [("Routers", "CARROT-Linear")], [COMPARED, SEEDS, BESIDE],
    ),
    (
        "/compare?bench=1st&compared=CARROT-KNN&compared=CARROT-Linear&areas=CARROT-Linear&show=Who answers", (),
        [("Routers", None), ("Benchmark", "2nd")], [SHARES],
    ),
    (
        "/compare?bench=1st&compared=CARROT-KNN&compared=CARROT-Linear&of=CARROT-Linear&model_of=acme/large"
        "&show=Predictions",
        (), [("Benchmark", "2nd")], [ESTIMATED, PREDICTED],
    ),
    ("/data?bench=1st&task=kind 0", (), [("Task", "kind 1"), ("Benchmark", "2nd"), ("Task", "sort 0")], [TASK]),
]  # fmt: skip
# The same controls after another change, which is not gone back on.
MORE: list[Row] = [
    (
        "/frontier?bench=1st&along=Oracle&reference=acme/small", ("Pool, tasks, curve and colours",),
        [("Routers", None), ("Pool", "acme/large"), ("Pool", "zeta/mid")], [ROUTERS_DRAWN, ALONG, REFERENCE, POOL],
    ),
    (
        "/compare?bench=1st&compared=CARROT-KNN&compared=Zero router&beside=2nd", (),
        [("Benchmark", "2nd")], [COMPARED, BESIDE],  # of one seed only, so there is none to choose
    ),
]  # fmt: skip


def change(page: Page, label: str, option: str | None) -> None:
    box = page.get_by_test_id("stSelectbox").or_(page.get_by_test_id("stMultiSelect")).filter(has_text=label).first
    if option is None:
        click(box.get_by_role("button", name="Remove").last)
    else:
        choose(box, option)
        page.keyboard.press("Escape")  # a list of several stays open


def agree(page: Page, controls: list[Control]) -> dict[str, Texts]:
    """Wait until every control shows what the page uses; what each shows."""
    wrong: list[str] = []
    for _ in range(PATIENCE // 100):
        at_rest(page)
        try:
            read = {label: (widget_texts(page, label), repeated, used(page)) for label, repeated, used in controls}
        except (Error, ValueError, IndexError) as error:  # the page, or a part of it, is not drawn yet
            wrong = [repr(error)]
            page.wait_for_timeout(100)
            continue
        wrong = [f"{label} shows {text}, used {used}" for label, (text, of, used) in read.items() if of(text) != used]
        if not wrong:
            return {label: text for label, (text, _, _) in read.items()}
        page.wait_for_timeout(100)
    pytest.fail("; ".join(wrong))


def filled(look: dict[str, Texts]) -> set[tuple[str, str]]:
    """What controls show; one that lost its choice has none in the address and may come back at its default."""
    return {(label, text) for label, texts in look.items() for text in texts}


@pytest.mark.parametrize(("row", "goes_back"), [*((row, True) for row in TABLE), *((row, False) for row in MORE)])
def test_a_control_shows_what_the_page_uses(open_odd: Callable[..., Page], row: Row, *, goes_back: bool) -> None:
    address, closed, changes, controls = row
    page = open_odd(address, ready=BOX)

    def look() -> dict[str, Texts]:
        for name in closed:
            click(page.get_by_text(name).first)
        return agree(page, controls)

    looks = [look()]
    for label, option in changes:
        change(page, label, option)
        looks.append(agree(page, controls))
    assert any(one != looks[0] for one in looks[1:])
    if not goes_back:
        return
    for one in reversed(looks[:-1]):  # each change is one entry of the browser's history
        page.go_back()
        assert filled(one) <= filled(agree(page, controls))
    for one in looks[1:]:
        page.go_forward()
        last = agree(page, controls)
        assert filled(one) <= filled(last)
    assert last == looks[-1]
    page.reload()
    page.locator(BOX).first.wait_for(timeout=PATIENCE)
    assert look() == looks[-1]
