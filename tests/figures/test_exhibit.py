"""An exhibit in every form it can be taken in."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from io import StringIO

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from carrot_core.csv_latex import escape, latex_table, restored
from carrot_core.errors import CarrotError
from carrot_core.figures import exhibit
from carrot_core.figures.exhibit import EXHIBIT_FORMATS, Exhibit, as_csv, as_html, as_json, as_latex
from carrot_core.figures.theme import THEMES, ThemeName

HOSTILE = '=1+1_{%}<script>alert("x")</script>'
TABLE = pd.DataFrame({"router": [HOSTILE, "b"], "aiq": [0.71234, float("nan")], "qnc": [float("inf"), 0.5]})


def drawn(theme: ThemeName) -> go.Figure:
    return go.Figure(go.Scatter(x=[1, 2], y=[3, 4], line={"color": THEMES[theme].curves[0]}))


EXHIBIT = Exhibit("made-up", f"Title {HOSTILE}", f"How to read {HOSTILE}", f"In words {HOSTILE}", TABLE, drawn)


def test_data_come_back_from_csv_and_run_nowhere() -> None:
    text = as_csv(EXHIBIT).decode()
    assert "\n\"'=1+1" in text
    assert restored(pd.read_csv(StringIO(text)))["router"].tolist() == [HOSTILE, "b"]


def test_json_is_strict_and_has_all_words() -> None:
    document = json.loads(as_json(EXHIBIT), parse_constant=lambda constant: pytest.fail(constant))
    assert document["title"] == EXHIBIT.title
    assert document["rows"] == [
        {"router": HOSTILE, "aiq": 0.71234, "qnc": None},
        {"router": "b", "aiq": None, "qnc": 0.5},
    ]


@pytest.mark.parametrize("name", ["[5pt]", "*", "*[1em] x"])
def test_a_row_of_latex_is_no_argument_of_the_line_before(name: str) -> None:
    rows = latex_table(pd.DataFrame({"name": ["a", name]})).splitlines()
    assert not re.search(r"\\\\\s*[*\[]", "\n".join(rows))


def test_latex_has_signs_for_what_its_text_fonts_lack() -> None:
    assert escape("a<b>|c⟨U+200B⟩") == r"a\textless{}b\textgreater{}\textbar{}c$\langle$U+200B$\rangle$"
    row = latex_table(pd.DataFrame({"a": [-np.inf], "b": [np.inf], "c": [np.nan]})).splitlines()[-3]
    assert row == r"$-\infty$ & $\infty$ & -- \\"


def test_latex_shows_names_as_they_are() -> None:
    text = as_latex(EXHIBIT).decode()
    assert r"=1+1\_\{\%\}\textless{}script\textgreater{}" in text
    assert r"0.7123 & $\infty$ \\" in text
    assert "b & -- & 0.5" in text
    assert all(line.startswith("%") for line in text.splitlines()[:2])


@pytest.mark.parametrize("theme", THEMES)
def test_a_page_asks_no_host_and_runs_no_name(theme: ThemeName) -> None:
    page = as_html(EXHIBIT, theme).decode()
    assert "<script>alert" not in page
    assert 'src="http' not in page
    assert THEMES[theme].ground in page


def test_what_is_taken_away_leaves_the_figure_of_the_page_as_it_is() -> None:
    figure = drawn("light")
    before = figure.to_json()
    as_html(replace(EXHIBIT, draw=lambda theme: figure))
    assert figure.to_json() == before


def test_a_table_has_a_page_too() -> None:
    table = Exhibit("t", "t", "c", "a", TABLE)
    page = as_html(table).decode()
    assert "<table" in page
    assert "<script" not in page


@pytest.mark.slow
def test_images_are_what_their_endings_say(tmp_path) -> None:  # type: ignore[no-untyped-def]
    svg = EXHIBIT_FORMATS["svg"].make(EXHIBIT, "print")
    assert svg.lstrip().startswith(b"<svg")
    exhibit.write_images({tmp_path / f"figure.{kind}": drawn("light") for kind in ("png", "pdf")})
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "figure.pdf").read_bytes().startswith(b"%PDF")


def test_without_a_browser_an_image_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exhibit, "browser", lambda: None)
    with pytest.raises(CarrotError, match="Chromium or Chrome"):
        EXHIBIT_FORMATS["png"].make(EXHIBIT, "light")


def test_print_uses_no_colour() -> None:
    look = THEMES["print"]
    for color in (look.ground, look.ink, look.muted, look.grid, look.hull, *look.curves):
        assert color[1:3] == color[3:5] == color[5:7]
