"""The Method page: the glossary, which can be searched, and the notes on method."""

from __future__ import annotations

import re

import streamlit as st

from carrot_core import paths
from carrot_core.dashboard import links
from carrot_core.dashboard.glossary import Term, about, in_app, terms


def show_linked_term() -> None:
    """Show the term of the address (``?term=``) above the list."""
    slug = st.query_params.get("term")
    links.check_parameter("term", links.among(terms()), "all terms")
    term = terms().get(slug or "")
    if term is not None:
        with st.container(border=True):
            st.markdown(f"## {in_app(term.name)}\n\n{in_app(term.text)}")
            st.caption(in_app(term.group))


def glossary_list() -> None:
    """All terms, or those that contain the searched words (``?words=``)."""
    search = st.text_input(
        "Search the terms", key="words", bind="query-params", type="search", icon=":material/search:",
        placeholder="Words of a term or of its definition", max_chars=100,
    )  # fmt: skip
    links.check_parameter("words", lambda text: len(text) <= 100, "all terms")
    matches = matching(search or "")
    if not matches:
        st.info("No term matches. Use fewer words.")
        return
    st.caption(f"{len(matches)} of {len(terms())} terms." if search else f"{len(matches)} terms.")
    for group in dict.fromkeys(term.group for term in matches):
        lead = "" if search else about(group)
        parts = [f"## {in_app(group)}", *([in_app(lead)] if lead else [])]
        parts += [f"### {in_app(term.name)}\n\n{in_app(term.text)}" for term in matches if term.group == group]
        st.markdown("\n\n".join(parts))


def matching(search: str) -> list[Term]:
    """Terms that contain all the searched words; those with the words in their name come first."""
    words = search.casefold().split()

    def has(text: str) -> bool:
        return all(word in text.casefold() for word in words)

    matches = [term for term in terms().values() if has(f"{term.name} {term.text}")]
    return sorted(matches, key=lambda term: not has(term.name)) if words else matches


def show_notes() -> None:
    """``docs/method.md``, section by section."""
    text = paths.document("method.md").read_text(encoding="utf-8").partition("\n\n")[2]
    for section in re.split(r"^(?=## )", text, flags=re.MULTILINE):
        st.markdown(in_app(section.strip()))
