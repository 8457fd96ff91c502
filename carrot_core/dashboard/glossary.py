"""The glossary, read from ``docs/glossary.md``, the only place where a term is defined: its tips, and the Method page.

The page shows all terms and the notes on method, each with its contents, and a search over both.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from urllib.parse import quote

import streamlit as st

from carrot_core import paths
from carrot_core.dashboard import links
from carrot_core.metrics import METRICS

PAGE = "method"  # the page that shows the glossary; ``?term=`` opens it at a term
_LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]*)\)")
_CODE = re.compile(r"(`[^`\n]*`)")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9(])")


@dataclass(frozen=True)
class Term:
    """One word and what it means.

    Attributes
    ----------
    name : the term.
    slug : its name in the address.
    anchor : its name in the file's own links (GitHub's rule).
    group : the heading above it.
    text : its definition, Markdown of the file.
    """

    name: str
    slug: str
    anchor: str
    group: str
    text: str

    @property
    def first_sentence(self) -> str:
        return _SENTENCE_END.split(self.text, maxsplit=1)[0]


@cache
def terms() -> dict[str, Term]:
    """Every term by its slug, in the order of the file."""
    by_slug = {}
    text = paths.document("glossary.md").read_text(encoding="utf-8")
    for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        head, *entries = re.split(r"^### ", part, flags=re.MULTILINE)
        group = head.partition("\n")[0].strip()
        for entry in entries:
            name, _, body = (piece.strip() for piece in entry.partition("\n"))
            by_slug[slug_of(name)] = Term(name, slug_of(name), anchor_of(name), group, body)
    return by_slug


@cache
def in_words() -> dict[str, dict[str, str]]:
    """``name`` and ``text``, its first sentence, of every term by its slug; plain text."""
    return {
        slug: {"name": term.name, "text": _LINK.sub(r"\1", term.first_sentence).replace("`", "")}
        for slug, term in terms().items()
    }


@cache
def about(group: str) -> str:
    """The text under the heading of a group, before its terms; may be empty."""
    text = paths.document("glossary.md").read_text(encoding="utf-8")
    return text.partition(f"\n## {group}\n")[2].partition("\n#")[0].strip()


def slug_of(name: str) -> str:
    """The name of a term in the address: ASCII letters and digits, joined by hyphens."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return "-".join(re.findall(r"[a-z0-9]+", plain))


def anchor_of(heading: str) -> str:
    """The anchor GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def address(slug: str) -> str:
    """The address of a term, relative, so that it is valid under any base path."""
    return f"{PAGE}?term={quote(slug)}"


def tip(*slugs: str, also: str = "") -> str:
    """Help text for a widget, a figure or a column: each term's first sentence with a link; Markdown.

    Parameters
    ----------
    slugs : terms of the glossary; any other raises KeyError.
    also : text about this widget, put first.
    """
    parts = [also] if also else []
    for slug in slugs:
        term = terms()[slug]
        parts.append(f"**{in_app(term.name)}**: {in_app(term.first_sentence)} [More]({address(slug)})")
    return "\n\n".join(parts)


def metric_meaning(name: str) -> str:
    """What a metric is, in the first sentence of its term; Markdown."""
    return in_app(terms()[METRICS[name].term].first_sentence)


def link(slug: str, words: str = "") -> str:
    """A link to a term, for a caption; Markdown."""
    return f"[{words or in_app(terms()[slug].name)}]({address(slug)})"


def see(*slugs: str) -> str:
    """Links to terms, to end a caption with; Markdown."""
    return "Terms: " + ", ".join(link(slug) for slug in slugs) + "."


def in_app(text: str) -> str:
    """Markdown of the docs for the app: links point to the app's pages, and dollar signs are escaped.

    A link to a file that the app does not show becomes plain text.
    """
    anchors = {term.anchor: term.slug for term in terms().values()} if "](" in text else {}

    def place(link: re.Match[str]) -> str:
        words, (file, _, anchor) = link[1], link[2].partition("#")
        if link[2].startswith("https://") or (not file and anchor not in anchors):
            return link[0]
        if file in ("", "glossary.md") and anchor in anchors:
            return f"[{words}]({address(anchors[anchor])})"
        if file in ("", "glossary.md", "method.md"):
            return f"[{words}]({PAGE})"
        return words

    pieces = _CODE.split(text)
    return "".join(piece if at % 2 else _LINK.sub(place, piece).replace("$", r"\$") for at, piece in enumerate(pieces))


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
    """The search words for terms and notes (``?words=``); "" shows all."""
    search = st.text_input(
        "Search", key="words", bind="query-params", type="search", icon=":material/search:",
        placeholder="Words of a term or of the notes", max_chars=100,
    )  # fmt: skip
    links.check_parameter("words", lambda text: len(text) <= 100, "all terms")
    return search or ""


def term_list(search: str) -> None:
    """All terms, or those that contain the searched words, in boxes by group; a search opens them."""
    matches = matching(search)
    if not matches:
        st.info("No term matches. Use fewer words.")
        return
    groups = list(dict.fromkeys(term.group for term in matches))
    for group in groups:
        own = [term for term in matches if term.group == group]
        lead = "" if search else about(group)
        parts = [in_app(lead)] if lead else []
        parts += [f"## {in_app(term.name)}\n\n{in_app(term.text)}" for term in own]
        count = f"{len(own)} term{'' if len(own) == 1 else 's'}"
        with st.expander(f"{in_app(group)} :gray[{count}]", expanded=bool(search) or group == groups[0]):
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
    """Show ``docs/method.md`` below a list of its sections; only sections with all the searched words, if any."""
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
