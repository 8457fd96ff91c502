"""The Method page: the glossary and the notes on method, each with its contents, and a search over both."""

from __future__ import annotations

import re
from collections.abc import Sequence

import streamlit as st

from carrot_core import paths
from carrot_core.dashboard import links
from carrot_core.dashboard.glossary import Term, about, anchor_of, in_app, terms


def show_linked_term() -> None:
    """Show the term of the address (``?term=``) above the list."""
    slug = st.query_params.get("term")
    links.check_parameter("term", links.among(terms()), "all terms")
    term = terms().get(slug or "")
    if term is not None:
        with st.container(border=True):
            st.markdown(f"## {in_app(term.name)}\n\n{in_app(term.text)}")
            st.caption(in_app(term.group))


def search_box() -> str:
    """The words looked for in terms and notes (``?words=``); "" shows all."""
    search = st.text_input(
        "Search", key="words", bind="query-params", type="search", icon=":material/search:",
        placeholder="Words of a term, of its definition or of the notes", max_chars=100,
    )  # fmt: skip
    links.check_parameter("words", lambda text: len(text) <= 100, "all terms")
    return search or ""


def glossary_list(search: str) -> None:
    """All terms, or those that contain the searched words, below a list of their groups."""
    matches = matching(search)
    if not matches:
        st.info("No term matches. Use fewer words.")
        return
    st.caption(f"{len(matches)} of {len(terms())} terms." if search else f"{len(matches)} terms.")
    groups = list(dict.fromkeys(term.group for term in matches))
    _contents(groups)
    for group in groups:
        lead = "" if search else about(group)
        parts = [f"## {in_app(group)}", *([in_app(lead)] if lead else [])]
        parts += [f"### {in_app(term.name)}\n\n{in_app(term.text)}" for term in matches if term.group == group]
        st.markdown("\n\n".join(parts))


def _contents(headings: Sequence[str]) -> None:
    """Links to headings of the page."""
    st.markdown(" · ".join(f"[{in_app(heading)}](#{anchor_of(heading)})" for heading in headings))


def matching(search: str) -> list[Term]:
    """Terms that contain all the searched words; those with the words in their name come first."""
    matches = [term for term in terms().values() if _has(f"{term.name} {term.text}", search)]
    return sorted(matches, key=lambda term: not _has(term.name, search)) if search.split() else matches


def _has(text: str, search: str) -> bool:
    """Whether a text contains every word of a search."""
    return all(word in text.casefold() for word in search.casefold().split())


def show_notes(search: str) -> None:
    """``docs/method.md``, below a list of its sections; of a search, those that contain all its words."""
    text = paths.document("method.md").read_text(encoding="utf-8").partition("\n\n")[2]
    start = r"^(?=##+ )" if search else r"^(?=## )"
    sections = [part.strip() for part in re.split(start, text, flags=re.MULTILINE)]
    matches = [section for section in sections if section and _has(section, search)]
    if not matches:
        st.info("No section matches. Use fewer words.")
        return
    _contents([section.partition("\n")[0].lstrip("# ") for section in matches if section.startswith("#")])
    for section in matches:
        st.markdown(in_app(section))
