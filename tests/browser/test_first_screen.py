"""What a reader sees first, without scrolling, and how far the keyboard alone gets."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests import wording
from tests.browser.conftest import at_rest, click

OpenApp = Callable[..., Page]


def first_screen(page: Page) -> dict[str, Locator]:
    """What the first screen of the Overview must hold, by what it is."""
    live = page.locator(".live")
    doors = {
        name: page.get_by_role("link", name=name) for name in ("Try a prompt", "Use this point", "Your own results")
    }
    return {
        "what CARROT is": page.get_by_role("heading", level=1),
        "verdict": page.get_by_test_id("stMarkdown").filter(has_text="mixing models blindly"),
        "accuracy": live.locator("[data-read=score]"),
        "cost": live.locator("[data-read=cost]"),
        "saving": live.locator("[data-read=reference]"),
        "chart": live.locator(".plot"),
        "slider": live.locator(".slider"),
        "what costs are": page.get_by_role("button", name="Costs:"),
        **doors,
    }


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (390, 844)])
@pytest.mark.parametrize("bench", ["mmlu-pro-cot (snapshot)", "llmrouter-9-models (snapshot)"])
def test_the_answer_fits_the_first_screen(open_plain: OpenApp, width: int, height: int, bench: str) -> None:
    page = open_plain(f"/overview?bench={bench}", width=width)
    page.set_viewport_size({"width": width, "height": height})
    at_rest(page)
    for what, place in first_screen(page).items():
        box = place.bounding_box()
        assert box is not None, what
        assert box["y"] >= 0, what
        assert box["y"] + box["height"] <= height, (what, box)
        assert box["x"] + box["width"] <= width, (what, box)
    plot = page.locator(".live .plot").bounding_box()
    assert plot is not None
    assert plot["height"] >= 290
    rows = {round(box["y"]) for each in page.locator(".live .goal input").all() if (box := each.bounding_box())}
    assert len(rows) == 1  # λ, exchange rate, budget and target in one line
    assert page.locator(".live .goal input:visible").count() == 4
    saved = page.locator(".live [data-read=reference]").inner_text().removeprefix("costs ").removesuffix(" less")
    assert f"for {saved}" in first_screen(page)["verdict"].inner_text()
    hidden = "bars => bars.every(bar => getComputedStyle(bar).opacity === '0')"
    assert page.locator(".live .modebar").evaluate_all(hidden)  # it would stand over names
    assert page.locator(".st-key-bench input").evaluate("it => it.scrollWidth <= it.clientWidth")  # a whole name


def test_the_leaderboard_stays_in_the_width_of_the_page(open_plain: OpenApp) -> None:
    page = open_plain("/overview?bench=mmlu-pro-cot (snapshot)")
    page.set_viewport_size({"width": 1440, "height": 900})
    page.get_by_role("tab", name="Gain over the best single model").click()
    board = page.locator(".st-key-folding-leaderboard table:visible").first
    within = "table => table.scrollWidth <= table.closest('.st-key-folding-leaderboard').clientWidth"
    assert board.evaluate(within)
    page.set_viewport_size({"width": 390, "height": 844})  # a block for each router, whose figures name their benchmark
    assert board.evaluate(within)
    figure = board.get_by_role("link").first.locator("..")
    assert "mmlu-pro-cot" in board.inner_text()
    assert figure.evaluate("cell => getComputedStyle(cell).display") == "block"


def test_the_leaderboard_is_one_stop_of_the_tab_key_and_arrows_go_from_figure_to_figure(open_plain: OpenApp) -> None:
    page = open_plain("/overview?bench=mmlu-pro-cot (snapshot)")
    board = page.locator(".st-key-folding-leaderboard table:visible").first
    in_board = "table => table.contains(document.activeElement)"
    place = "() => [document.activeElement.closest('tr').rowIndex, document.activeElement.closest('td').cellIndex]"
    board.get_by_role("link").first.focus()
    (row, column), keys = page.evaluate(place), page.keyboard
    keys.press("ArrowRight")
    beside = page.evaluate(place)
    assert beside[0] == row
    assert beside[1] > column
    keys.press("ArrowDown")
    assert page.evaluate(place)[0] > row
    keys.press("ArrowUp")
    assert page.evaluate(place) == beside
    keys.press("Tab")
    assert not board.evaluate(in_board)
    keys.press("Shift+Tab")
    assert board.evaluate(in_board)
    keys.press("Shift+Tab")
    assert not board.evaluate(in_board)


def test_the_ribbon_of_a_prompt_is_on_the_first_screen(open_plain: OpenApp) -> None:
    page = open_plain("/live?bench=mmlu-pro-cot (snapshot)", ready=".prompt textarea")
    page.set_viewport_size({"width": 1440, "height": 900})
    click(page.locator(".prompt .examples button").first)
    ends = page.locator(".decision .ends")
    ends.wait_for(timeout=60_000)
    at_rest(page)
    box = ends.bounding_box()
    assert box is not None
    assert box["y"] + box["height"] <= 900


MOST_STOPS = 25
FOCUS = """() => {
  let one = document.activeElement;
  while (one.shadowRoot?.activeElement) one = one.shadowRoot.activeElement;
  const words = one.getAttribute("aria-label") ?? one.innerText ?? "";
  return ["A", "BUTTON", "INPUT", "SUMMARY"].includes(one.tagName) ? words : ""; // not a whole page's
}"""


def press_at(page: Page, names: list[str]) -> int:
    """Press Enter at each of these in turn, found with the Tab key alone; how many stops that took."""
    stops = 0
    for name in names:
        while name not in page.evaluate(FOCUS):
            assert stops < MOST_STOPS, f"{name} is not reached"
            page.keyboard.press("Tab")
            stops += 1
        if name != names[-1]:
            page.keyboard.press("Enter")
            at_rest(page)
    return stops


def test_the_cheapest_point_as_good_as_the_best_model_by_keyboard(open_plain: OpenApp) -> None:
    page = open_plain("/frontier?bench=mmlu-pro-cot (snapshot)&lam=0.9")
    press_at(page, ["Skip to main content", "Solve for", "Set λ"])
    page.keyboard.press("Enter")
    expect(page.get_by_text(wording.CHEAPEST_AS_ACCURATE)).to_be_visible()


def test_a_point_is_exported_by_keyboard(open_plain: OpenApp) -> None:
    page = open_plain("/points?bench=mmlu-pro-cot (snapshot)", ready="h1")
    page.get_by_role("button", name="Export").first.wait_for(timeout=60_000)
    at_rest(page)
    press_at(page, ["Skip to main content", "Export", "The document itself"])
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename.endswith(".json")


def test_the_address_that_is_copied_opens_exactly_what_is_seen(open_plain: OpenApp) -> None:
    page = open_plain("/frontier?bench=mmlu-pro-cot (snapshot)")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Linear").click()
    click(page.get_by_role("tab", name="By task"))
    at_rest(page)
    page.get_by_role("button", name="Share").click()
    expect(page.get_by_role("status").filter(has_text="Address copied")).to_be_visible()
    address = page.evaluate("navigator.clipboard.readText()")
    for part in ("bench=mmlu-pro-cot", "along=", "lam=", "axis=linear", "detail=By+task"):
        assert part in address
    text = page.get_by_role("slider", name="λ").get_attribute("aria-valuetext")
    page.goto(address)
    expect(page.get_by_role("button", name="Linear")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("tab", name="By task")).to_have_attribute("aria-selected", "true")
    expect(page.get_by_role("slider", name="λ")).to_have_attribute("aria-valuetext", str(text))


def test_points_kept_are_pins_on_their_curve_and_a_click_goes_there(open_plain: OpenApp) -> None:
    page = open_plain("/frontier?bench=mmlu-pro-cot (snapshot)")
    pins = page.get_by_role("toolbar", name="Points kept").get_by_role("button")
    expect(pins).to_have_text(["Accurate", "Cheap"])
    pins.last.focus()
    pins.last.press("Enter")
    expect(page.locator(".live #lam")).to_have_value("0.6")
    page.wait_for_url(lambda url: "lam=0.6" in url)
    ring, pin = page.locator(".live .ring").bounding_box(), pins.last.bounding_box()
    assert ring is not None
    assert pin is not None
    assert pin["x"] + pin["width"] / 2 == pytest.approx(ring["x"] + ring["width"] / 2, abs=1)
    assert pin["y"] + pin["height"] == pytest.approx(ring["y"] + ring["height"] / 2, abs=1)
    page.goto(f"{page.url.split('?')[0]}?bench=routellm (snapshot)")
    expect(page.locator(".live .main-svg").first).to_be_visible()
    at_rest(page)
    expect(page.get_by_role("toolbar", name="Points kept")).to_be_hidden()
