"""The glossary: every word the pages use is in it, once, and the page and the tips show that very text."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from streamlit.testing.v1 import AppTest

from carrot_core import paths
from carrot_core.dashboard.glossary import anchor_of, in_app, matching, slug_of, terms, tip
from carrot_core.metrics import METRICS
from tests.pages.reading import page_text

ROOT = Path(__file__).resolve().parents[2]
DOCS = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "data" / "README.md"]
SOURCES = [*sorted((ROOT / "carrot_core").rglob("*.py")), *sorted((ROOT / "pages").glob("*.py"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")
HOSTILE = "<img src=x onerror=alert(1)> ![x](//host/x.png) :red[x] $x$"
GLOSSARY, METHOD = (paths.document(name).read_text(encoding="utf-8") for name in ("glossary.md", "method.md"))


def page(**query: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    app.query_params.update(query)
    app.switch_page("pages/method.py").run()
    assert not app.exception
    return app


def markdown_text(app: AppTest) -> str:
    return "\n".join(element.value for element in app.markdown)


def prose(text: str) -> str:
    """A document without its code, whose brackets are no links."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))


def anchors(text: str) -> set[str]:
    return {anchor_of(heading) for heading in re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)}


def test_terms_have_names_of_their_own_and_a_definition() -> None:
    names = re.findall(r"^### (.*)$", GLOSSARY, flags=re.MULTILINE)
    assert len(names) == len(terms()) > 60
    assert len({anchor_of(name) for name in names}) == len(names)
    for term in terms().values():
        assert term.slug
        assert term.text.endswith("."), term.name
        assert term.group
        assert len(term.first_sentence) < 260, term.name


def test_every_metric_has_its_term_and_says_which_way_is_better() -> None:
    directionless = {"routing-accuracy", "peak", "matched-point", "saving-at-equal-score"}
    for name, metric in METRICS.items():
        way = "Higher is better." if metric.higher_is_better else "Lower is better."
        assert metric.term in directionless or way in terms()[metric.term].text, name


def slugs_used() -> dict[str, str]:
    """Every term that some module asks the helper for, with the module."""
    used = {metric.term: "metrics.py" for metric in METRICS.values()}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in ("tip", "see", "linked"):
                arguments = [*node.args[:1]] if ast.unparse(node.func).endswith("linked") else node.args
                used |= {a.value: path.name for a in arguments if isinstance(a, ast.Constant)}
    return used


def test_every_term_that_a_page_asks_for_is_there() -> None:
    used = slugs_used()
    assert len(used) > 30
    assert {slug: module for slug, module in used.items() if slug not in terms()} == {}


def test_a_term_that_is_not_there_is_a_bug_and_no_empty_tip() -> None:
    with pytest.raises(KeyError):
        tip("aiq", "ghost")


def test_a_tip_is_the_first_sentence_and_a_link_that_opens_the_term() -> None:
    text = tip("aiq")
    assert terms()["aiq"].first_sentence in text
    (address,) = LINK.findall(text)
    assert parse_qs(urlsplit(address).query) == {"term": ["aiq"]}
    assert not urlsplit(address).netloc
    assert f"# AIQ\n\n{terms()['aiq'].text}" in markdown_text(page(term="aiq"))


def test_the_method_notes_define_no_term_again() -> None:
    """A row of a table there that begins with a term's link has what others mean, and the definition is here."""
    metrics = METHOD.partition("## Metrics")[2].partition("### Latency")[0]
    rows = [line for line in metrics.splitlines() if line.startswith("| ") and not line.startswith("| metric")]
    assert rows
    for row in rows:
        assert "](glossary.md#" in row.split("|")[1], row
    sentences = {term.first_sentence for term in terms().values() if len(term.first_sentence) > 40}
    assert [sentence for sentence in sentences if sentence in METHOD] == []
    for slug in {metric.term for metric in METRICS.values()} - {"routing-accuracy", "gap-o", "gain-b", "gain-r", "cpt"}:
        anchor = terms()[slug].anchor
        assert f"glossary.md#{anchor}" in METHOD or slug == "saving-at-equal-score", slug


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_every_link_of_the_docs_leads_somewhere(path: Path) -> None:
    text = prose(path.read_text(encoding="utf-8"))
    for link in LINK.findall(text):
        if link.startswith(("https://", "http://", "mailto:")):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), link


def test_in_the_app_links_lead_to_terms_and_dollars_stay_dollars() -> None:
    text = in_app("A [r](glossary.md#cost-unit) of $3, `$x$`, [n](results.md), [m](#encoders), [h](https://a.b/c)")
    assert text == r"A [r](method?term=cost-unit) of \$3, `$x$`, n, [m](#encoders), [h](https://a.b/c)"


def test_names_become_plain_addresses() -> None:
    assert [slug_of(name) for name in ("Lambda (λ)", "R²", "Gap@O", "95 % interval", "Hölder smoothness")] == [
        "lambda", "r2", "gap-o", "95-interval", "holder-smoothness",
    ]  # fmt: skip


def test_the_page_shows_every_term_and_the_notes_as_the_files_have_them() -> None:
    text = markdown_text(page())
    for term in terms().values():
        assert in_app(term.text) in text, term.name
    assert "## Protocol" in text
    assert "](glossary.md" not in text
    assert "](results.md" not in text


def test_words_find_terms_by_name_first_and_by_definition() -> None:
    result = [term.slug for term in matching("OPERATING point")]
    assert result[0] == "operating-point"
    assert "handle" in result
    assert matching("no-such-word-at-all") == []
    app = page()
    app.text_input(key="words").set_value("pareto").run()
    assert "ParetoDist" in markdown_text(app)
    assert "# Pool" not in markdown_text(app)
    assert all(box.proto.expanded for box in app.expander)
    app.text_input(key="words").set_value("no-such-word").run()
    assert "No term matches" in page_text(app, "info")
    assert "No section matches" in page_text(app, "info")
    app.text_input(key="words").set_value("folds seeds").run()
    notes = [text for text in (element.value for element in app.markdown) if "cross-fit" in text.lower()]
    assert notes
    assert [box.proto.expanded for box in page().expander].count(True) == 1  # the others are their own contents
    assert all("fold" in text.lower() and "seed" in text.lower() for text in notes if text.startswith("##"))


@pytest.mark.parametrize("name", ["routing_accuracy", "peak", "aiq"])
def test_a_metric_is_found_by_what_charts_call_it(name: str) -> None:
    assert METRICS[name].term in [term.slug for term in matching(METRICS[name].label)]
    assert METRICS[name].label in f"{terms()[METRICS[name].term].name} {terms()[METRICS[name].term].text}"


@pytest.mark.parametrize("value", ["", "ghost", HOSTILE, "x" * 10_000, "../../etc/passwd", "AIQ"])
def test_a_term_that_is_none_opens_the_page_all_the_same(value: str) -> None:
    app = page(term=value)
    assert "# Pool" in markdown_text(app)
    alone = {f"## {in_app(term.name)}\n\n{in_app(term.text)}" for term in terms().values()}
    assert not any(element.value in alone for element in app.markdown)
