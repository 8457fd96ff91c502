"""What a page shows, found by what it is, wherever on the page it stands."""

from __future__ import annotations

import pandas as pd
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Button

MESSAGES = ("info", "success", "warning", "error", "caption")


def page_text(app: AppTest, *kinds: str) -> str:
    """All texts of these kinds of element, by default of all messages, a line each and without Markdown's escapes."""
    return unescaped("\n".join(element.value for kind in kinds or MESSAGES for element in app.get(kind)))


def unescaped(text: str) -> str:
    """Markdown as it is read: without escapes, and with every space an ordinary one."""
    return text.replace("\\", "").replace("\u00a0", " ")


def table(app: AppTest, column: str) -> pd.DataFrame:
    """The one table that has this column."""
    (one,) = [frame.value for frame in app.dataframe if column in frame.value]
    assert isinstance(one, pd.DataFrame)
    return one


def folded(app: AppTest, column: str) -> dict[str, dict[str, str]]:
    """The one table in Markdown that has this column: its cells by the first one of their row, then by column."""
    (lines,) = [text.value.split("\n") for text in app.markdown if text.value.startswith("| ") and column in text.value]
    head, _, *rows = ([cell.strip() for cell in line.strip("|").split(" |")] for line in lines)
    return {
        unescaped(row[0]): {
            name: unescaped(cell).removeprefix(f":gray[{name}] ") for name, cell in zip(head, row, strict=True)
        }
        for row in rows
    }


def figure(app: AppTest, label: str) -> str:
    """The figure beneath a label that starts like this."""
    (value,) = [metric.value for metric in app.metric if metric.label.replace("\\", "").startswith(label)]
    return str(value)


def button(app: AppTest, label: str) -> Button:
    """The one button with this label."""
    (one,) = [button for button in app.button if button.label == label]
    return one


def lam_in_address(app: AppTest) -> float:
    """λ that a link to what is shown would bring."""
    values = app.query_params["lam"]
    return float(values if isinstance(values, str) else values[-1])
