"""The Method page: the project's own glossary and method notes, searched and read in the app."""

from __future__ import annotations

import re

import streamlit as st

from carrot_core import paths
from carrot_core.dashboard import links
from carrot_core.dashboard.glossary import Term, about, in_app, terms


def asked_term() -> None:
    """The term that a link asks for (``?term=``), before all others."""
    asked = st.query_params.get("term")
    links.judge("term", links.among(terms()), "all terms")
    term = terms().get(asked or "")
    if term is not None:
        with st.container(border=True):
            st.markdown(f"#### {in_app(term.name)}\n\n{in_app(term.text)}")
            st.caption(in_app(term.group))


def glossary_list() -> None:
    """All terms, or those in which the searched words stand (``?words=``)."""
    asked = st.text_input(
        "Search the terms", key="words", bind="query-params", type="search", icon=":material/search:",
        placeholder="Words of a term or of its definition", max_chars=100,
    )  # fmt: skip
    links.judge("words", lambda text: len(text) <= 100, "all terms")
    found = matching(asked or "")
    if not found:
        st.info("No term matches. Use fewer words.")
        return
    st.caption(f"{len(found)} of {len(terms())} terms." if asked else f"{len(found)} terms.")
    for group in dict.fromkeys(term.group for term in found):
        lead = "" if asked else about(group)
        parts = [f"### {in_app(group)}", *([in_app(lead)] if lead else [])]
        parts += [f"##### {in_app(term.name)}\n\n{in_app(term.text)}" for term in found if term.group == group]
        st.markdown("\n\n".join(parts))


def matching(asked: str) -> list[Term]:
    """Terms with all the words that are searched for, those with them in their name first."""
    words = asked.casefold().split()

    def has(text: str) -> bool:
        return all(word in text.casefold() for word in words)

    found = [term for term in terms().values() if has(f"{term.name} {term.text}")]
    return sorted(found, key=lambda term: not has(term.name)) if words else found


def notes() -> None:
    """``docs/method.md``, section by section."""
    text = paths.document("method.md").read_text(encoding="utf-8").partition("\n\n")[2]
    for section in re.split(r"^(?=## )", text, flags=re.MULTILINE):
        st.markdown(in_app(section.strip()))
