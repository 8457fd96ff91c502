"""The browser's own formats, on the tables of cases that Python's are held to, too (`tests/test_number_formats.py`)."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from carrot_core.dashboard.components import COMPONENT, install_plotly_js
from carrot_core.number_formats import MONEY_HOVER
from tests.browser.conftest import ROOT

NUMBERS = json.loads((ROOT / "tests" / "number_cases.json").read_text(encoding="utf-8"))
LABELS = json.loads((ROOT / "tests" / "label_cases.json").read_text(encoding="utf-8"))
FUNCTIONS = {"money": "money", "money_tick": "moneyTick", "percent": "percent", "lam": "lamText", "pays": "pays"}


@pytest.fixture(scope="module")
def bare(chromium: Browser) -> Iterator[Page]:
    """An empty page with the modules that write numbers and place names."""
    page = chromium.new_page()
    for name, exported in (("words", [*FUNCTIONS.values(), "against"]), ("labels", ["labelSides", "cellsAlong"])):
        source = (COMPONENT / f"{name}.js").read_text(encoding="utf-8")
        shared = f"Object.assign(globalThis, {{ {', '.join(exported)} }})"
        page.add_script_tag(type="module", content=f"{source}\n{shared};")
    page.wait_for_function("Boolean(globalThis.money && globalThis.labelSides)")
    yield page
    page.close()


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_the_browser_writes_numbers_as_the_table_says(bare: Page, kind: str) -> None:
    given, texts = [case[:-1] for case in NUMBERS[kind]], [case[-1] for case in NUMBERS[kind]]
    assert bare.evaluate(f"cases => cases.map((given) => {FUNCTIONS[kind]}(...given))", given) == texts


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
