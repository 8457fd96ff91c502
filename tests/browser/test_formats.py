"""The browser's own formats, on the tables of cases that Python's are held to, too (`tests/test_number_formats.py`)."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from carrot_core.dashboard.components import COMPONENT, install_plotly_js
from carrot_core.number_formats import MONEY_HOVER
from tests.browser.conftest import ROOT

NUMBERS = json.loads((ROOT / "tests" / "number_cases.json").read_text(encoding="utf-8"))
LABELS = json.loads((ROOT / "tests" / "label_cases.json").read_text(encoding="utf-8"))
FUNCTIONS = {
    "money": "money",
    "money_tick": "moneyTick",
    "percent": "percent",
    "lam": "lamText",
    "pays": "pays",
    "seconds": "seconds",
    "unbroken": "unbroken",
    "cost": "costText",
}


@pytest.fixture(scope="module")
def bare(chromium: Browser) -> Iterator[Page]:
    """An empty page with the modules that write numbers and place names."""
    page = chromium.new_page()
    scripts = {
        ("words", "ticks"): [*FUNCTIONS.values(), "against", "underRing", "costTicks"],
        ("labels",): ["labelSides", "cellsAlong"],
    }
    for names, exported in scripts.items():
        source = "\n".join((COMPONENT / f"{name}.js").read_text(encoding="utf-8") for name in names)
        source = re.sub("^import .*$", "", source, flags=re.MULTILINE)  # they stand in one script
        shared = f"Object.assign(globalThis, {{ {', '.join(exported)} }})"
        page.add_script_tag(type="module", content=f"{source}\n{shared};")
    page.wait_for_function("Boolean(globalThis.money && globalThis.labelSides)")
    yield page
    page.close()


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_the_browser_writes_numbers_as_the_table_says(bare: Page, kind: str) -> None:
    arguments, texts = [case[:-1] for case in NUMBERS[kind]], [case[-1] for case in NUMBERS[kind]]
    assert bare.evaluate(f"cases => cases.map((given) => {FUNCTIONS[kind]}(...given))", arguments) == texts


@pytest.mark.parametrize("width", [290, 640, 1100])
def test_ticks_are_whole_amounts_that_do_not_touch_over_twelve_decades_of_cost(bare: Page, width: int) -> None:
    letter = 6.7  # pixels of a digit
    for power in range(-7, 6):
        low, high = math.log10(4) + power, math.log10(200) + power  # a pool of $0.04 to $2 a task at power -2
        axis = {"type": "log", "range": [low, high], "_length": width}
        ticks = bare.evaluate("axis => costTicks(axis, moneyTick)", axis)
        assert len(ticks["tickvals"]) >= 2
        assert [float(text.strip("$").replace(",", "")) for text in ticks["ticktext"]] == ticks["tickvals"]
        middles = [(math.log10(value) - low) / (high - low) * width for value in ticks["tickvals"]]
        halves = [letter * len(text) / 2 for text in ticks["ticktext"]]
        ends = [(middle - half, middle + half) for middle, half in zip(middles, halves, strict=True)]
        assert all(one[1] < other[0] for one, other in itertools.pairwise(ends))


def test_figures_that_are_not_those_under_the_ring_say_so(bare: Page) -> None:
    basis, under = {"calls": 1000, "words": "per 1k calls"}, {"score": 0.7575, "cost": 0.00114}
    say = "([measured, ring, basis]) => underRing(measured, ring, basis)"
    assert bare.evaluate(say, [under | {"scoreEnds": [0.7, 0.8]}, under, basis]) == ""
    assert "75.8 % and $1.14 per 1k calls" in bare.evaluate(say, [{"score": 0.752, "cost": 0.00103}, under, basis])


def test_the_reference_itself_costs_the_same(bare: Page) -> None:
    same = bare.evaluate("against({ score: 0.9, cost: Math.fround(0.0123) }, { score: 0.9, cost: 0.0123 })")
    assert (same["headline"], same["detail"]) == ("costs the same", "at equal accuracy")


def test_a_point_beside_a_model_is_figures_without_a_verdict(bare: Page) -> None:
    below = bare.evaluate("against({ score: 0.89, cost: 0.5 }, { score: 0.9, cost: 1 })")
    assert (below["headline"], below["detail"]) == ("costs 50 % less", "1.0 points below it")


def test_a_free_model_leaves_nothing_to_save(bare: Page) -> None:
    free = bare.evaluate("against({ score: 0.9, cost: 0.001 }, { score: 0.5, cost: 0 })")
    assert free["none"]
    assert not any(word in json.dumps(free) for word in ("Infinity", "NaN", "∞", "null"))


def test_hover_texts_have_no_prefix_and_no_exponent(bare: Page) -> None:
    install_plotly_js()
    bare.add_script_tag(path=COMPONENT / "plotly.min.js")
    values, texts = zip(*NUMBERS["hover"], strict=True)
    drawn = bare.evaluate(
        """async ([values, form]) => {
          document.body.innerHTML = "<div id=plot style='width:900px;height:400px'></div>";
          const trace = { y: values.map((_, place) => place), customdata: values, mode: "text", texttemplate: form };
          await Plotly.newPlot("plot", [trace]);
          return [...document.querySelectorAll("#plot .textpoint text")].map((text) => text.textContent);
        }""",
        [list(values), f"%{{customdata:{MONEY_HOVER}}}"],
    )
    assert drawn == list(texts)


def _down(spots: list[list[float]], height: float) -> list[list[float]]:
    """Pixels from the upper left corner instead of the lower one."""
    return [[x, height - y] for x, y in spots]


def test_names_stand_where_the_table_says(bare: Page) -> None:
    width, height, letter = 760, 320, 6.6
    for case in LABELS:
        points = [{"x": x, "y": y} for x, y in _down(case["points"], height)]
        order = sorted(range(len(points)), key=lambda place: points[place]["y"])
        sides = bare.evaluate(
            "([points, widths, lines, how]) => labelSides(points, widths, { ...how, lines: cellsAlong(lines) })",
            [
                points,
                [letter * len(name) for name in case["names"]],
                [_down(line, height) for line in case["lines"]],
                {"order": [k for k in order if case["names"][k]], "named": [], "width": width, "height": height},
            ],
        )
        assert [side or "" for side in sides] == case["sides"], case["about"]


def test_no_name_stands_where_the_ring_and_its_lines_are(bare: Page) -> None:
    sides = bare.evaluate(
        """() => labelSides([{ x: 380, y: 160 }, { x: 100, y: 160 }], [60, 60], {
          order: [0, 1], named: [0], lines: new Set(), width: 760, height: 320,
          taken: [{ left: 0, right: 400, top: 130, bottom: 155 }, { left: 60, right: 140, top: 100, bottom: 200 }] })"""
    )
    assert sides == ["bottom center", None]  # a name that is always written, and one that finds no room
