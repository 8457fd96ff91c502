"""The Live prompt page as people use it: typing, dragging λ, links, on the head that ships and on loaded data."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import Locator, Page, expect

from carrot_core.serving.loading import shipped_kinds
from tests import wording
from tests.browser.conftest import at_rest, check_texts_and_widths, click, unfold
from tests.browser.homes import MARKUP

PROMPTS = [
    "Which planet is the largest?",
    "Prove that the square root of 2 is irrational.",
    "def f(x): return x + 1  # what is wrong?",
    "A patient has a fever and a rash. What is the diagnosis?",
    "Was ist der Unterschied zwischen Masse und Gewicht?",
    "Which court hears appeals in patent cases?",
]
# Milliseconds from the moment the text is sent (300 after the last key) to the other sentence on the screen.
ANSWERED = """(root, text) => new Promise((done) => {
  const [sentence, pause] = [document.carrotSentence, 300];
  root.value = text;
  root.dispatchEvent(new Event("input", { bubbles: true }));
  const sent = performance.now() + pause;
  const seen = new MutationObserver(() => {
    seen.disconnect();
    requestAnimationFrame(() => done(performance.now() - sent));
  });
  seen.observe(sentence, { childList: true, characterData: true, subtree: true });
})"""


@pytest.fixture
def open_live(open_odd: Callable[..., Page]) -> Callable[..., Page]:
    """Open the page on a snapshot: the head that ships answers."""
    query = {"bench": "mmlu-pro-cot (snapshot)"}
    return lambda **more: open_odd(f"/live?{urlencode(query | more)}", ready=".prompt textarea")


def box(page: Page) -> Locator:
    return page.get_by_role("textbox", name="Prompt", exact=True)


def sentence(page: Page) -> Locator:
    return page.locator(".decision .sentence")


def winner(page: Page) -> str:
    return page.locator(".decision .winner").inner_text()


def handle(page: Page) -> Locator:
    return page.locator(".decision").get_by_role("slider", name="λ")


def ask(page: Page, text: str) -> None:
    box(page).fill(text)
    sentence(page).wait_for(timeout=60_000)
    at_rest(page)


def test_the_answer_follows_the_typing_and_the_box_keeps_every_key(open_live: Callable[..., Page]) -> None:
    page = open_live()
    expect(page.get_by_text("Type a prompt above")).to_be_visible()
    box(page).click()
    typed = "Which river flows through Vienna, Budapest and Belgrade?"
    for start in range(0, len(typed), 14):  # with rests in which the page answers
        box(page).press_sequentially(typed[start : start + 14], delay=15)
        page.wait_for_timeout(400)
    expect(sentence(page)).to_contain_text("is expected to score", timeout=60_000)
    assert box(page).input_value() == typed
    expect(box(page)).to_be_focused()
    box(page).press("Home")
    box(page).press_sequentially("Q: ", delay=200)
    expect(box(page)).to_have_value("Q: " + typed)
    at_rest(page)
    assert box(page).input_value() == "Q: " + typed
    assert box(page).evaluate("box => box.selectionStart") == 3
    assert "Vienna" not in page.url
    for name, boxes in (("Data", 0), ("Live prompt", 1)):
        click(page.get_by_test_id("stTopNav").get_by_role("link", name=name, exact=True))
        expect(box(page)).to_have_count(boxes)
    expect(box(page)).to_have_value("Q: " + typed)
    expect(sentence(page)).to_contain_text("is expected to score")


def test_an_example_is_typed_by_a_click_later_answers_are_quick_and_a_text_over_the_limit_is_not_cut_and_not_sent(
    open_live: Callable[..., Page], capsys: pytest.CaptureFixture[str]
) -> None:
    page = open_live()
    name, text = next(iter(shipped_kinds()["mmlu-pro-cot"].examples.items()))
    click(page.get_by_role("button", name=name, exact=True))
    expect(box(page)).to_have_value(text)
    expect(page.get_by_role("meter")).to_have_attribute("aria-valuenow", "4")
    expect(sentence(page)).to_contain_text("is expected to score", timeout=60_000)
    at_rest(page)
    sentence(page).evaluate("node => { document.carrotSentence = node; }")
    took = [box(page).evaluate(ANSWERED, text) for text in PROMPTS]
    with capsys.disabled():
        print(f" {statistics.median(took):.0f} ms at the median of {len(took)} answers ", end="")
    box(page).evaluate(ANSWERED, "word " * 20_000)
    box(page).fill("word " * 40_001)
    expect(page.get_by_text("longer than 200,000 characters")).to_be_visible()
    expect(page.locator(".prompt .count")).to_contain_text(wording.TOO_LONG)
    assert len(box(page).input_value()) == 200_005
    expect(sentence(page)).to_have_count(0)


def test_lam_is_dragged_and_answers_to_the_keyboard_and_to_the_other_slider(open_live: Callable[..., Page]) -> None:
    page = open_live(lam=0.02)
    ask(page, PROMPTS[0])
    first, segments = winner(page), page.locator(".decision .segment")
    handle(page).scroll_into_view_if_needed()
    bounds, grip = (page.locator(f".decision {what}").bounding_box() for what in (".band", ".knob"))
    assert bounds is not None
    assert grip is not None
    y = grip["y"] + grip["height"] / 2
    page.mouse.move(grip["x"] + grip["width"] / 2, y)
    page.mouse.down()
    page.mouse.move(bounds["x"] + 0.01 * bounds["width"], y, steps=10)
    last = winner(page)
    assert last != first
    assert "lam=0.02" in page.url  # not let go of yet
    assert last.endswith(segments.first.inner_text())
    expect(page.locator(".decision tbody tr").first).to_contain_text("chosen")
    page.mouse.up()
    page.wait_for_url(lambda url: float(parse_qs(urlsplit(url).query)["lam"][0]) > 0.5)
    at_rest(page)
    assert winner(page) == last
    dragged = float(parse_qs(urlsplit(page.url).query)["lam"][0])
    handle(page).press("PageUp")
    page.wait_for_url(lambda url: float(parse_qs(urlsplit(url).query)["lam"][0]) < dragged)  # more accurate
    at_rest(page)
    lam = float(parse_qs(urlsplit(page.url).query)["lam"][0])
    click(page.get_by_text("Pool, λ by budget"))
    native = page.get_by_test_id("stSlider").get_by_role("slider")
    assert float(native.input_value()) == pytest.approx(lam, abs=1e-3)
    at_rest(page)
    native.press("End")
    expect(handle(page)).to_have_attribute("aria-valuenow", "0")  # the cheapest
    at_rest(page)
    handle(page).press("End")
    expect(handle(page)).to_have_attribute("aria-valuenow", str(handle(page).get_attribute("aria-valuemax")))
    page.wait_for_url(lambda url: parse_qs(urlsplit(url).query)["lam"] == ["0.0"])


def test_texts_that_are_markup_do_nothing(open_odd: Callable[..., Page]) -> None:
    page = open_odd(f"/live?{urlencode({'bench': MARKUP})}", ready=".prompt textarea")
    ask(page, MARKUP)
    check_texts_and_widths(page)
    expect(page.locator(".nearest li")).to_have_count(5)
    expect(page.locator(".decision tbody tr").first.locator(".dot")).to_have_count(5)
    unfold(page)
    check_texts_and_widths(page)


def test_a_phone_shows_the_likeliest_models_and_the_others_when_asked(open_odd: Callable[..., Page]) -> None:
    page = open_odd("/live?bench=mmlu-pro-cot (snapshot)", ready=".prompt textarea", width=390)
    ask(page, "Which river flows through Vienna?")
    rows, shown = page.locator(".decision tbody tr"), page.locator(".decision tbody tr:visible")
    models = rows.count()
    assert 0 < shown.count() < models
    utility, name = (rows.first.locator(part).bounding_box() for part in (".utility", "th"))
    assert utility is not None
    assert name is not None
    assert utility["y"] == name["y"]  # beside the name, not in a line of its own
    click(page.get_by_role("button", name=f"All {models} models"))
    expect(shown).to_have_count(models)
    ask(page, "Which river flows through Paris?")
    expect(shown).to_have_count(models)
