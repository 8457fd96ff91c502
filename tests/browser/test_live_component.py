"""The live chart in a real browser: what moves, what must not, and what Python hears."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from urllib.parse import quote

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from carrot_core.figures.scene import alt_text, read_out
from carrot_core.frontier import lam_of_rate, rate_of_lam
from carrot_core.number_formats import seconds
from carrot_core.operating_point import solve_budget, solve_target
from carrot_core.promise import CONFIDENCE, cost_bounds, score_bounds
from tests.browser.conftest import HERE, at_rest, choose, click
from tests.scenes import MODELS, scene, timed

APP = HERE / "live_app.py"
TOLERANCE = 1e-6  # the browser holds scores and costs as 32-bit floats

Open = Callable[..., Page]


@pytest.fixture
def address(serve: Callable[..., str]) -> str:
    return serve(APP)


def runs(page: Page) -> int:
    return int(re.search(r"runs (\d+)", page.get_by_test_id("stText").inner_text()).group(1))


def python_lam(page: Page) -> float:
    return float(page.get_by_test_id("stText").inner_text().rsplit(" ", 1)[1])


def number(page: Page, name: str) -> float:
    if name == "lam":
        return float(page.locator(".live #lam").get_attribute("title").removeprefix("λ = "))
    if name == "price":
        return float(page.locator(".live #price").input_value())
    return float(page.locator(f"[data-read={name}]").get_attribute("value"))


def middle(place: Locator) -> tuple[float, float]:
    box = place.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def ring(page: Page) -> tuple[float, float]:
    return middle(page.locator(".live .ring"))


def knob(page: Page) -> tuple[float, float]:
    return middle(page.locator(".live .knob"))


def slider(page: Page) -> Locator:
    return page.get_by_role("slider", name="λ")


def expect_runs(page: Page, count: int) -> None:
    expect(page.get_by_test_id("stText")).to_contain_text(f"runs {count} ")
    at_rest(page)


def cost_range(page: Page) -> list[float]:
    return page.locator(".live .plot").evaluate("(plot) => plot._fullLayout.xaxis.range.map(Number)")


def zoom(page: Page) -> None:
    box = page.locator(".live .plot").bounding_box()
    page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 0.15 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 0.75 * box["height"], steps=4)
    page.mouse.up()
    expect(page.get_by_role("button", name="Reset zoom")).to_be_visible()


def set_from_elsewhere(page: Page, lam: float) -> None:
    box = page.get_by_label("λ from elsewhere")
    box.fill(f"{lam:.9f}")
    box.press("Enter")
    expect(page.locator(".live #lam")).to_have_attribute("title", "λ = " + f"{lam:.9f}".rstrip("0").rstrip("."))
    at_rest(page)


def test_dragging_the_ring_moves_every_number_and_runs_python_once_on_release(address: str, open_page: Open) -> None:
    drawn_scene = scene(2000)
    page = open_page(f"{address}/?n=2000&lam=0.4&validation_label=validation")
    goals = ("λ", "Pays", "Budget", "Target")
    before = {name: number(page, name) for name in ("lam", "score", "cost", "price")}
    typed, shares = [goal(page, name).input_value() for name in goals], page.locator(".shares").inner_text()
    x, y = ring(page)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 150, y - 40, steps=12)
    at_rest(page)
    for name, value in before.items():
        assert number(page, name) != value, name
    during = [goal(page, name).input_value() for name in goals]
    assert all(now != was for now, was in zip(during, typed, strict=True))
    assert number(page, "lam") < 0.4  # to the right: more expensive, so a lower λ
    assert page.locator(".shares").inner_text() != shares
    at = drawn_scene.chosen_on.at(rate_of_lam(number(page, "lam"), drawn_scene.cost_unit_usd))
    assert float(during[2]) == pytest.approx(1000 * cost_bounds(drawn_scene.chosen_on, CONFIDENCE).bound[at], rel=1e-3)
    assert float(during[3]) == pytest.approx(100 * score_bounds(drawn_scene.chosen_on, CONFIDENCE).bound[at], abs=0.006)
    assert runs(page) == 1
    moved = ring(page)
    assert moved[0] == pytest.approx(x + 150, abs=30)
    page.mouse.up()
    expect_runs(page, 2)
    assert python_lam(page) == number(page, "lam")
    assert ring(page) == pytest.approx(moved, abs=0.5)


def test_numbers_are_exact_at_any_lam_and_lam_and_its_price_are_typed_exactly(address: str, open_page: Open) -> None:
    drawn_scene = scene(2000)
    page = open_page(f"{address}/?n=2000")
    for lam in [0.0, 1.0, *np.random.default_rng(7).random(8).round(9)]:
        set_from_elsewhere(page, float(lam))
        point = read_out(drawn_scene, float(lam))
        assert number(page, "score") == pytest.approx(point.score, abs=TOLERANCE), lam
        assert number(page, "cost") == pytest.approx(point.cost_usd, rel=TOLERANCE), lam
        assert shown_shares(page) == {
            name.split("/")[-1]: pytest.approx(100 * share, abs=0.051)
            for name, share in zip(drawn_scene.models, point.shares, strict=True)
        }
    unit = drawn_scene.cost_unit_usd
    rate = 0.01 / 2e-4
    for name, text, lam in (
        ("λ", "0.123456", 0.123456), ("Pays", "0.0002", rate * unit / (1 + rate * unit)), ("Pays", "0", 1.0),
        ("λ", "3", 1.0), ("λ", "0", 0.0),
    ):  # fmt: skip
        box = goal(page, name)
        box.fill(text)
        box.press("Enter")
        at_rest(page)
        assert number(page, "lam") == pytest.approx(lam, rel=1e-12)
        assert bool(page.locator(".missed").inner_text()) == (text == "3")
    expect(goal(page, "Pays")).to_have_value("")
    assert python_lam(page) == 0


ROWS = """(rows) => rows.map((row) => [
  row.querySelector(".name").textContent, parseFloat(row.querySelector(".share").textContent.replace("under ", "")),
  getComputedStyle(row).visibility === "visible" && !row.hidden])"""


def shown_shares(page: Page) -> dict[str, float]:
    """Shares of all models in per cent; those below 1 % are counted, not listed, where there are several above 0."""
    rows = page.locator(".shares li[title]").evaluate_all(ROWS)
    ((words, rest, folds),) = page.locator(".shares li:not([title])").evaluate_all(ROWS)
    small = [share for _, share, listed in rows if not listed]
    assert folds or not any(small)
    if folds:
        assert small
        exact = page.locator(".shares li.blank[title] .share, .shares li[title][hidden] .share")
        used = [share for share in exact.evaluate_all("(of) => of.map(({ value }) => Number(value))") if share > 0]
        assert words.startswith(f"{len(used)} ")
        assert ("under 1 %" in words) == all(share < 0.01 for share in used)
        assert rest == pytest.approx(sum(small), abs=0.051 * len(small))
    listed = [share for *_, share, is_listed in rows if is_listed]
    assert listed == sorted(listed, reverse=True)
    assert len(listed) == 9 or all(share < 1.0 for share in small)
    return {name: share for name, share, _ in rows}


def test_keys_go_from_breakpoint_to_breakpoint_or_twenty_equal_steps_and_report_when_they_rest(
    address: str, open_page: Open
) -> None:
    drawn_scene = scene(2000)
    curve = drawn_scene.active_curve.frontier

    def place() -> int:
        return curve.at(rate_of_lam(number(page, "lam"), drawn_scene.cost_unit_usd))

    page = open_page(f"{address}/?n=2000&lam=0.4")
    handle, last, at = slider(page), curve.n_points - 1, place()
    handle.focus()
    steps = {"ArrowRight": at - 1, "ArrowUp": at - 2, "ArrowLeft": at - 1, "ArrowDown": at, "Home": last, "End": 0}
    for key, target in steps.items():
        handle.press(key)
        assert place() == target, key
        assert int(handle.get_attribute("aria-valuenow")) == last - target
    assert (handle.get_attribute("aria-valuemin"), handle.get_attribute("aria-valuemax")) == ("0", str(last))
    expect_runs(page, 2)
    assert python_lam(page) == number(page, "lam") == 0
    message = r"λ 0: \$[\d.]+ per 1k calls, accuracy \d+\.\d %; against granite-moe-8x22b \S.*"
    assert re.fullmatch(message, handle.get_attribute("aria-valuetext"))
    expect(page.locator(".live .spoken")).to_have_text(re.compile(message))
    right = ring(page)[0]  # λ is 0
    handle.press("Home")
    at_rest(page)
    places = [ring(page)[0]]
    for _ in range(20):
        handle.press("PageUp")
        at_rest(page)
        places.append(ring(page)[0])
    assert (np.array(places) - places[0]) / (right - places[0]) == pytest.approx(np.linspace(0, 1, 21), abs=0.02)
    handle.press("PageDown")
    at_rest(page)
    assert ring(page)[0] == pytest.approx(places[-2], abs=0.02 * (right - places[0]))


@pytest.mark.parametrize("width", [1440, 390])
def test_ring_and_knob_stand_on_one_line_and_so_do_the_ticks_of_lam(address: str, open_page: Open, width: int) -> None:
    page = open_page(f"{address}/?n=2000&lam=0.4", width=width)
    for scale in ("Log", "Linear"):
        page.get_by_role("button", name=scale).click()
        at_rest(page)
        assert knob(page)[0] == pytest.approx(ring(page)[0], abs=1)
        boxes = [tick.bounding_box() for tick in page.locator(".live .lams span").all()]
        boxes.sort(key=lambda box: box["x"])
        assert len(boxes) >= 3
        assert all(one["x"] + one["width"] < other["x"] for one, other in itertools.pairwise(boxes))
    for text in page.locator(".live .lams span").all_inner_texts()[:4]:
        set_from_elsewhere(page, float(text))
        tick = middle(page.locator(".live .lams").get_by_text(text, exact=True))
        assert tick[0] == pytest.approx(ring(page)[0], abs=1), text


def test_the_knob_is_dragged_along_the_axis_whatever_is_set_elsewhere_and_a_click_takes_the_nearest_breakpoint(
    address: str, open_page: Open
) -> None:
    page = open_page(f"{address}/?n=2000&lam=0.4")
    x, y = knob(page)
    page.mouse.move(x + 4, y)
    page.mouse.down()
    page.mouse.move(x + 4 - 120, y + 30, steps=10)
    at_rest(page)
    assert knob(page)[0] == pytest.approx(x - 120, abs=6)
    assert ring(page)[0] == pytest.approx(knob(page)[0], abs=1)
    lam = number(page, "lam")
    assert lam > 0.4  # to the left: cheaper
    page.evaluate(
        """() => {
          globalThis.carrotLam.set("live", { chart: "live", lam: 0.1, heard: null });
          dispatchEvent(new CustomEvent("carrot-lam", { detail: "live" }));
        }"""
    )
    at_rest(page)
    assert number(page, "lam") == lam
    assert runs(page) == 1
    page.mouse.up()
    expect_runs(page, 2)
    assert python_lam(page) == number(page, "lam") == lam
    page.mouse.click(x + 60, y)
    expect_runs(page, 3)
    assert ring(page)[0] == pytest.approx(x + 60, abs=6)


FRAMES = """async () => {
  const box = document.querySelector("[data-testid=stBidiComponentIsolated]").shadowRoot.querySelector(".slider");
  const { left, top, width } = box.getBoundingClientRect();
  const point = (type, part) => {
    const place = { clientX: left + part * width, clientY: top + 20 };
    box.dispatchEvent(new PointerEvent(type, { ...place, button: 0, pointerId: 1 }));
  };
  box.setPointerCapture = () => {};
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  const [starts, work] = [[], []];
  point("pointerdown", 0.3);
  for (let step = 0; step < 120; step += 1) {
    let begin = 0;
    requestAnimationFrame(() => (begin = performance.now()));
    point("pointermove", 0.3 + (0.5 * step) / 120);
    starts.push(await frame()); // after the component's own callback of the frame
    box.getRootNode().querySelector(".segment").getBoundingClientRect(); // lays the page out
    work.push(performance.now() - begin);
  }
  point("pointercancel", 0.3);
  return { gaps: starts.slice(1).map((start, at) => start - starts[at]), work };
}"""


def goal(page: Page, name: str) -> Locator:
    return page.locator(".live").get_by_role("spinbutton", name=name)


def test_frames_of_a_drag_are_quick_and_a_budget_and_a_target_take_exactly_the_point_that_python_solves(
    address: str, open_page: Open, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn_scene = scene(2000)
    curve, unit = drawn_scene.chosen_on, drawn_scene.cost_unit_usd
    page = open_page(f"{address}/?n=2000&lam=0.4&validation_label=validation")
    times = page.evaluate(FRAMES)
    with capsys.disabled():  # painting depends on what else the machine does
        print(
            f" {1000 / np.median(times['gaps']):.0f} frames a second, {np.median(times['work']):.1f} ms each ", end=""
        )
    assert np.median(times["work"]) <= 20
    assert runs(page) == 1
    rng = np.random.default_rng(3)
    most, least = cost_bounds(curve, CONFIDENCE).bound, score_bounds(curve, CONFIDENCE).bound
    goals = [("Budget", float(b)) for b in rng.uniform(*np.quantile(1000 * most, [0, 1]), 5).round(4)]
    goals += [("Target", float(t)) for t in rng.uniform(*np.quantile(100 * least, [0, 1]), 5).round(2)]
    for name, value in [*goals, ("Budget", 0.0), ("Target", 100.0)]:
        box = goal(page, name)
        box.fill(f"{value}")
        box.press("Enter")
        if name == "Budget":
            solved = solve_budget(curve, value / 1000, CONFIDENCE)
        else:
            solved = solve_target(curve, value / 100, CONFIDENCE)
        lam = float(lam_of_rate(solved.exchange_rate_per_usd, unit))
        expect(page.get_by_test_id("stText")).to_contain_text(f"λ {lam!r}")
        message = page.locator(".missed").inner_text()
        assert bool(message) == bool(solved.shortfall), value
        at_rest(page)


def test_zoom_and_hidden_lines_survive_a_new_lam_and_a_new_pool(address: str, open_page: Open) -> None:
    page = open_page(f"{address}/?n=2000&lam=0.4")
    whole = cost_range(page)
    zoom(page)
    click(page.get_by_role("button", name="Oracle"))
    zoomed = cost_range(page)
    assert zoomed != whole
    set_from_elsewhere(page, 0.7)
    assert cost_range(page) == zoomed
    choose(page.get_by_test_id("stSelectbox"), "9")
    expect(page.locator(".shares li[title]")).to_have_count(9)
    at_rest(page)
    assert cost_range(page) == pytest.approx(zoomed)
    expect(page.get_by_role("button", name="Oracle")).to_have_attribute("aria-pressed", "false")
    drawn = page.locator(".live .plot").evaluate("(plot) => plot._fullData.filter((t) => t.visible).map((t) => t.name)")
    assert "CARROT-KNN" in drawn
    assert "Oracle" not in drawn
    page.get_by_role("button", name="Reset zoom").click()
    expect(page.get_by_role("button", name="Reset zoom")).to_be_hidden()


def test_the_axis_is_linear_or_has_the_cost_of_a_solved_task_without_a_run(address: str, open_page: Open) -> None:
    page, drawn_scene = open_page(f"{address}/?n=2000&lam=0.4"), scene(2000)
    point = read_out(drawn_scene, 0.4)
    assert number(page, "solved") == pytest.approx(point.cost_usd / point.score, rel=TOLERANCE)
    before = ring(page)
    toggle = page.get_by_role("button", name="Per solved task")
    toggle.click()
    expect(toggle).to_have_attribute("aria-pressed", "true")
    at_rest(page)
    plot = page.locator(".live .plot")
    assert "solved" in plot.evaluate("(plot) => plot._fullLayout.xaxis.title.text")
    drawn = plot.evaluate("(plot) => Array.from(plot._fullData.find((trace) => trace.meta.role === 'models').x)")
    calls = drawn_scene.basis.calls
    assert drawn == pytest.approx(list(calls * drawn_scene.model_cost_usd / drawn_scene.model_score))
    inside = plot.evaluate(
        "(plot, x) => plot._fullLayout.xaxis._offset + plot._fullLayout.xaxis.d2p(x)",
        calls * point.cost_usd / point.score,
    )
    assert ring(page)[0] == pytest.approx(plot.bounding_box()["x"] + inside, abs=1)
    assert ring(page)[1] == pytest.approx(before[1], abs=1)
    assert runs(page) == 1
    toggle.click()
    at_rest(page)
    assert ring(page) == pytest.approx(before, abs=1)
    page.get_by_role("button", name="Linear").click()
    expect(page.get_by_role("button", name="Linear")).to_have_attribute("aria-pressed", "true")
    assert plot.evaluate("(plot) => plot._fullLayout.xaxis.type") == "linear"
    assert ring(page)[0] < before[0] - 50
    assert runs(page) == 1


def test_the_axis_has_seconds_where_they_are_recorded_and_says_who_decides(address: str, open_page: Open) -> None:
    page, drawn_scene = open_page(f"{address}/?n=2000&lam=0.4&timed=1"), timed(scene(2000))
    curve = drawn_scene.active_curve.frontier
    mean, p95 = curve.latency_s[:, curve.at(rate_of_lam(0.4, drawn_scene.cost_unit_usd))]
    assert number(page, "latency") == pytest.approx(mean, rel=TOLERANCE)
    assert seconds(p95) in page.locator(".live .latency").inner_text()
    toggle, note = page.get_by_role("button", name="Seconds"), page.get_by_text("still decides by cost")
    expect(note).to_be_hidden()
    before = ring(page)
    toggle.click()
    expect(note).to_be_visible()
    at_rest(page)
    plot = page.locator(".live .plot")
    drawn = plot.evaluate("(plot) => Array.from(plot._fullData.find((trace) => trace.meta.role === 'models').x)")
    assert drawn == pytest.approx(list(drawn_scene.model_latency_s[0]))
    inside = plot.evaluate("(plot, x) => plot._fullLayout.xaxis._offset + plot._fullLayout.xaxis.d2p(x)", mean)
    assert ring(page)[0] == pytest.approx(plot.bounding_box()["x"] + inside, abs=1)
    page.get_by_role("button", name="Per solved task").click()
    expect(toggle).to_have_attribute("aria-pressed", "false")
    page.get_by_role("button", name="Per solved task").click()
    at_rest(page)
    assert ring(page) == pytest.approx(before, abs=1)
    assert runs(page) == 1
    page.goto(f"{address}/?n=2000&lam=0.4")
    expect(page.locator(".live .main-svg").first).to_be_visible()
    at_rest(page)
    expect(page.get_by_role("button", name="Seconds")).to_be_hidden()
    expect(page.locator(".live .latency")).to_be_hidden()


def test_a_new_lam_does_not_send_the_curve_again(address: str, open_page: Open) -> None:
    received: list[int] = []

    def listen(page: Page) -> None:
        page.on("websocket", lambda socket: socket.on("framereceived", lambda data: received.append(len(data))))

    page = open_page(f"{address}/?n=2000&lam=0.4", before=listen)
    assert max(received) > 50_000
    received.clear()
    set_from_elsewhere(page, 0.6)
    assert 0 < sum(received) < 20_000


def test_names_are_text_wherever_they_are_shown(address: str, open_page: Open) -> None:
    name = "<img src=x onerror=window.__xss=1><b>&amp;"
    page = open_page(f"{address}/?n=500&named={quote(name)}")
    for selector, length in ((".shares li", len(name)), (".live .textpoint text", 35)):
        texts = [text.replace("\xa0", " ") for text in page.locator(selector).all_text_contents()]
        assert name[:length] in " ".join(texts)
    point = page.locator(".live .plot").evaluate(
        """(plot) => {
          const { xaxis, yaxis } = plot._fullLayout, trace = plot._fullData.find((t) => t.meta.role === "models");
          return [xaxis._offset + xaxis.d2p(trace.x[1]), yaxis._offset + yaxis.d2p(trace.y[1])];
        }"""
    )
    box = page.locator(".live .plot").bounding_box()
    page.mouse.move(box["x"] + point[0] - 3, box["y"] + point[1] + 3)
    page.mouse.move(box["x"] + point[0], box["y"] + point[1], steps=3)
    expect(page.locator(".live .hoverlayer")).to_contain_text("onerror=window.__xss=1")
    assert page.evaluate("window.__xss") is None
    assert page.locator(".live img").count() == 0


def test_fits_every_width_and_follows_a_change_of_theme_with_its_zoom(address: str, open_page: Open) -> None:
    page = open_page(f"{address}/?n=2000&lam=0.4")
    zoom(page)
    zoomed = cost_range(page)
    for scheme, line in {"light": "rgb(213, 94, 0)", "dark": "rgb(232, 116, 59)"}.items():
        page.emulate_media(color_scheme=scheme)
        expect(page.locator(".live .ring")).to_have_css("stroke", line)
        for width in (1440, 768, 390):
            page.set_viewport_size({"width": width, "height": 1000})
            page.wait_for_function(
                "(width) => document.querySelector('[data-testid=stBidiComponentIsolated]').clientWidth < width",
                arg=width,
            )
            at_rest(page)
            expect_no_overflow(page, width)
            assert cost_range(page) == pytest.approx(zoomed)
        assert line in page.locator(".live .plot .scatterlayer path.js-line").evaluate_all(
            "(paths) => paths.map((path) => getComputedStyle(path).stroke)"
        )


def expect_no_overflow(page: Page, width: int) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    outside = page.locator(".live").evaluate(
        """(live) => {
          const { left, right } = live.getBoundingClientRect();
          return [...live.querySelectorAll(".panel *, .slider, .goals *, .axis *, .plot svg")]
            .map((node) => [node.className.baseVal ?? node.className, node.getBoundingClientRect()])
            .filter(([, box]) => box.width && (box.left < left - 9 || box.right > right + 9))
            .map(([name]) => name);
        }"""
    )
    assert outside == []


def test_touch_targets_are_large_enough_for_a_finger(address: str, open_page: Open) -> None:
    page = open_page(f"{address}/?n=2000&lam=0.4&validation_label=validation", width=390)
    for target in (".legend button", ".axis [data-axis]", "input:visible", ".grip", ".slider"):
        for place in page.locator(f".live {target}").all():
            box = place.bounding_box()
            assert min(box["width"], box["height"]) >= 44, target


def test_chart_has_words_and_what_is_decided_stays_in_view_and_in_its_place(address: str, open_page: Open) -> None:
    page = open_page(f"{address}/?n=2000&lam=0.4")
    words = page.locator(".live .figure").get_attribute("aria-label")
    assert words.startswith(alt_text(scene(2000)))
    assert "λ 0.4: $" in words
    assert re.match(r"pine-1b [\d.]+ %, pine-8b", page.locator(".live .bar").get_attribute("aria-label"))
    handle = slider(page)
    heights = set()
    for key in ("Home", "PageUp", "PageUp", "End", "PageDown"):
        handle.press(key)
        at_rest(page)
        heights.add(page.locator(".live").evaluate("(live) => live.getBoundingClientRect().height"))
    assert len(heights) == 1
    for width in (1440, 768):
        page.set_viewport_size({"width": width, "height": 900})
        at_rest(page)
        page.locator(".live .slider").scroll_into_view_if_needed()
        for what in (".slider", "[data-read=score]", "[data-read=cost]", "[data-read=reference]", ".router dd"):
            box = page.locator(f".live {what}").first.bounding_box()
            assert box["y"] >= 0, what
            assert box["y"] + box["height"] <= 900, what
    prompts = f"Figures on {scene(2000).n_prompts:,} prompts of"
    assert page.locator(".live .router").inner_text().split("\n") == [prompts, "CARROT-KNN"]


def test_without_its_chart_library_the_component_says_so_and_still_counts(address: str, open_page: Open) -> None:
    def block(page: Page) -> None:
        page.route("**/plotly.min.js", lambda route: route.abort())

    page = open_page(f"{address}/?n=2000&lam=0.4", ready=".live .message", before=block)
    expect(page.locator(".live .message")).to_contain_text("cannot be drawn")
    slider(page).press("Home")
    expect_runs(page, 2)
    assert number(page, "cost") == pytest.approx(read_out(scene(2000), 1.0).cost_usd, rel=TOLERANCE)
    open_page.forgive(page)


def test_large_curves_are_thinned_and_say_so(serve: Callable[..., str], open_page: Open) -> None:
    page = open_page(f"{serve(APP)}/?n=40000&lam=0.5")
    expect(page.locator(".live .note:not(.by-cost)")).to_contain_text("evenly spaced")
    point = read_out(scene(40_000), 0.5)
    assert number(page, "score") == pytest.approx(point.score, abs=1e-3)
    assert shown_shares(page) == {
        name.split("/")[-1]: pytest.approx(100 * share, abs=0.3)
        for name, share in zip(MODELS, point.shares, strict=True)
    }
