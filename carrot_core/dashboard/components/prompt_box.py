"""The box for a prompt. It is a component of our own: Streamlit's text area sends its text only when it loses focus."""

from __future__ import annotations

from functools import cache
from typing import Any

import streamlit as st
from streamlit.components.v2.types import ComponentRenderer

from carrot_core import limits
from carrot_core.dashboard.components import COMPONENT
from carrot_core.errors import CarrotError

# Name on the button, and what it types.
EXAMPLES = (
    ("A short question", "Which river flows through Vienna, Budapest and Belgrade?"),
    (
        "Mathematics",
        "Let p be a prime greater than 3. Show that p² - 1 is divisible by 24, and find all n for which "
        "n² - 1 is divisible by 24. Explain each step.",
    ),
    (
        "Code",
        "Why does this return the same list every time, and how do I repair it?\n\n"
        "def collect(item, seen=[]):\n    if item not in seen:\n        seen.append(item)\n    return seen",
    ),
    ("Another language", "¿Por qué el cielo es azul durante el día y rojizo al atardecer? Responde en dos frases."),
    ("Something odd", "zxq%%7 @@ ░░▒▓ 🜁🜂🜃🜄 <b>qwrtz</b> \\0 ;;;; plinth plinth plinth 000111000 ☂☂☂ {{{{"),
)
_KEY, _ENTRY, _START = "live:box", "live:typed", "live:start"


def prompt_box() -> str | None:
    """The text as of the last pause in typing; None if it is longer than `limits.TYPED_CHARACTERS`."""
    previous = st.session_state.get(_ENTRY, {"text": "", "length": 0})
    if _KEY not in st.session_state:
        # The text the box starts with when the page is opened. It stays the same at later reruns, so that the
        # server sends no text back while somebody types.
        st.session_state[_START] = previous["text"]
    data = {"text": st.session_state[_START], "limit": limits.TYPED_CHARACTERS, "examples": EXAMPLES}
    state = _renderer()(key=_KEY, data=data, on_typed_change=lambda: None)
    entry = st.session_state[_ENTRY] = _checked(state.get("typed") or previous)
    return None if entry["length"] > limits.TYPED_CHARACTERS else entry["text"]


def _checked(entry: Any) -> dict[str, Any]:
    match entry:
        case {"text": str(text), "length": int(length)}:
            return {"text": text, "length": max(length, len(text))}
    raise CarrotError("The browser sent something other than a text. Reload the page.")


@cache
def _renderer() -> ComponentRenderer:
    html, css, js = ((COMPONENT / f"prompt.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js"))
    return st.components.v2.component("carrot-core.prompt", html=html, css=css, js=js)
