"""The glossary, read from ``docs/glossary.md``, the only place where a term is defined."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from urllib.parse import quote

from carrot_core import paths
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


def metric_tip(name: str) -> str:
    """Help text of a metric of `carrot_core.metrics.METRICS`."""
    return tip(METRICS[name].term)


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
