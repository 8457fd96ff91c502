"""Every form of an operating point: what it says, what it decides, and that no name in it does harm."""

from __future__ import annotations

import ast
import io
import json
import os
import runpy
import shlex
import subprocess
import sys
import sysconfig
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner

from carrot_core.cli import main
from carrot_core.curve import save_curve
from carrot_core.errors import CarrotError, DataError
from carrot_core.number_formats import PER_CALL, money
from carrot_core.paths import PACKAGE, shipped
from carrot_core.points import figures_of
from carrot_core.points.formats import FORMATS, format_for, report
from carrot_core.points.formats.report import Single, picture
from carrot_core.serving import CarrotRouter
from carrot_core.serving.point import PointFile, point_of, read_point, write_point
from carrot_core.store import Store
from carrot_core.verdict import sentence, verdict_on
from tests.scenes import scene

pytestmark = pytest.mark.slow

HEAD = "mmlu-pro-cot"
HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "</title></svg><script>alert(1)</script>",
    "a\n# b: [c\nimport os",
    "'''\"\"\"\\",
    "=cmd|' /C calc'!A0",
    "*alias &anchor !!python/object:os.system {{7*7}}",
    "\u202eright to left\u2028",
    "no",
    "2026-11-22",
)
BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> CarrotRouter:
    return CarrotRouter.load(HEAD, store=Store(tmp_path_factory.mktemp("empty") / "carrot.duckdb"))


@pytest.fixture(scope="module")
def alone(point: PointFile) -> dict[str, float]:
    """What the reference does alone on the test prompts, as the shipped results have it."""
    document = json.loads((shipped("snapshots") / HEAD / "snapshot.json").read_text())
    return document["single_models"][point.reference]


@pytest.fixture(scope="module")
def point(router: CarrotRouter) -> PointFile:
    return router.point_file(lam=0.1, note="for <b>the</b> team")


@pytest.fixture(scope="module")
def hostile(point: PointFile) -> PointFile:
    price = next(iter(point.prices.values()))
    return point.model_copy(
        update={
            "pool": HOSTILE,
            "prices": {name: price.model_copy(update={"source": name, "as_of": name}) for name in HOSTILE},
            "shares": dict.fromkeys(HOSTILE, 1 / len(HOSTILE)),
            "note": "\n".join(HOSTILE),
            "router": HOSTILE[0],
            "benchmark": HOSTILE[1],
            "source": HOSTILE[2],
            "reference": HOSTILE[0],
            "fallback": HOSTILE[1],
        }
    ).sealed()


def file_content(name: str, router: CarrotRouter, point: PointFile) -> bytes:
    return FORMATS[name].make(router, point)


def assigned(script: bytes) -> dict[str, object]:
    """What a script assigns to POINT, read without running it."""
    body = ast.parse(script).body
    values = [each.value for each in body if isinstance(each, ast.Assign) and each.targets[0].id == "POINT"]
    assert len(values) == 1
    return ast.literal_eval(values[0])


class Page(HTMLParser):
    """Tags, their attributes and the text between them."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(content.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def test_formats_are_found_by_name_and_by_ending() -> None:
    assert all(each.name == name and each.about and "/" in each.media_type for name, each in FORMATS.items())
    assert len({each.file for each in FORMATS.values()}) == len(FORMATS)
    assert all(each.file.endswith(each.ending) and each.commands_for("p") for each in FORMATS.values())
    assert [format_for(name).name for name in ("p.yaml", "p.YAML", "p.yml", "p.JSON")] == [*3 * ["yaml"], "json"]
    assert format_for("p.py").name == "python"
    assert format_for("config.yaml", "litellm").name == "litellm"
    for file_name, name, says in (
        ("p.txt", None, "must end in one of .json, .html, .yaml"),
        ("p.txt", "json", "must end in .json for the format json"),
        ("p.json", "xml", "no format 'xml'"),
    ):
        with pytest.raises(CarrotError, match=says):
            format_for(file_name, name)


@pytest.mark.parametrize("which", ["point", "hostile"])
def test_yaml_and_scripts_hold_the_very_point(
    which: str, router: CarrotRouter, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    point = request.getfixturevalue(which)
    for name in ("json", "yaml"):
        file = tmp_path / f"p{FORMATS[name].ending}"
        file.write_bytes(file_content(name, router, point))
        assert read_point(file) == point
    assert yaml.safe_load(file_content("yaml", router, point)) == json.loads(file_content("json", router, point))
    write_point(point, tmp_path / "written.json")
    assert (tmp_path / "written.json").read_bytes() == file_content("json", router, point)
    for name in ("python", "litellm-hook"):
        assert point_of(assigned(file_content(name, router, point))) == point


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: text.replace("lam: 0.1", "lam: 0.2"), "was changed after it was exported"),
        (lambda text: text.replace("format: 1", "format: 2"), "format: Input should be 1"),
        (lambda text: f"{text}more: 1\n", "more: Extra inputs"),
        (lambda text: f"{text}when: 2026-99-99\n", "is not plain YAML"),
        (lambda text: f"{text}ran: !!python/object/apply:os.getcwd []\n", "has a tag in line"),
        (lambda text: f"{text}? [1, 2]\n: 3\n", "is not plain YAML"),
        (lambda text: f"{text}1: 2\n", "1: Keys should be strings"),
        (lambda text: f'{text}x: "\\uD800"\n', "x: Extra inputs"),
        (lambda text: f"{text}[", "is not plain YAML"),
        (lambda _: BOMB, "has an anchor or alias in line 1"),
        (lambda _: "a: *b\n", "has an anchor or alias in line 1"),
        (lambda _: "a: 1\nb: !!int ''\n", "has a tag in line 2"),
        (lambda _: "!!bool foo", "has a tag in line 1"),
        (lambda _: "!!map {a: 1}", "has a tag in line 1"),
        (lambda _: "! 'a'", "has a tag in line 1"),
        (lambda _: "[" * 100_000, "is nested deeper than 20"),
        (lambda _: "- " * 100_000, "is nested deeper than 20"),
        (lambda _: f"a: {'x' * (300 << 10)}", "is larger than the 256 KiB"),
        (lambda _: "just text", "the document: Input should be a valid dictionary"),
        (lambda _: "", "the document: Input should be a valid dictionary"),
    ],
)
def test_yaml_that_is_no_point_is_refused(
    change: object, says: str, router: CarrotRouter, point: PointFile, tmp_path: Path
) -> None:
    text = file_content("yaml", router, point).decode()
    changed = change(text)  # type: ignore[operator]
    assert changed != text
    (tmp_path / "p.yaml").write_text(changed)
    with pytest.raises(DataError, match=says):
        CarrotRouter.load(tmp_path / "p.yaml", store=Store(tmp_path / "carrot.duckdb"))


def test_a_yaml_point_decides_as_the_json_one(router: CarrotRouter, point: PointFile, tmp_path: Path) -> None:
    (tmp_path / "p.yml").write_bytes(file_content("yaml", router, point))
    loaded = CarrotRouter.load(tmp_path / "p.yml", store=Store(tmp_path / "carrot.duckdb"))
    assert loaded.route(PROMPTS) == router.route(PROMPTS, lam=0.1)


def test_the_curve_is_the_one_kept_and_holds_the_point(router: CarrotRouter, point: PointFile) -> None:
    csv = pd.read_csv(io.BytesIO(file_content("csv", router, point)))
    parquet = pd.read_parquet(io.BytesIO(file_content("parquet", router, point)))
    pd.testing.assert_frame_equal(csv, parquet, check_exact=True, check_dtype=False)
    assert list(csv) == ["split", "lam", "exchange_rate_per_usd", "score", "cost_usd"]
    for split, figures in (("validation", point.validation), ("test", point.test)):
        rows = csv[csv["split"] == split]
        assert len(rows) == len(router.profile.curves[split].score)
        at = rows[rows["lam"] <= point.lam].iloc[-1]
        assert (at["score"], at["cost_usd"]) == (figures.score, figures.cost_usd)
    rates = csv["lam"] / ((1 - csv["lam"]) * router.cost_unit_usd)
    np.testing.assert_allclose(rates, csv["exchange_rate_per_usd"], rtol=1e-6)


def test_where_nothing_was_measured_there_is_no_curve_and_the_page_says_so(router: CarrotRouter) -> None:
    own = router.point_file(lam=0.1, pool=router.models[:3])
    for name in ("csv", "parquet"):
        with pytest.raises(CarrotError, match="its pool or prices are its own"):
            file_content(name, router, own)
    page = Page(file_content("html", router, own))
    assert "nothing was measured on them" in page.text
    assert "svg" not in page.tags
    assert "not measured" in page.text


def test_the_page_tells_the_points_figures(router: CarrotRouter, point: PointFile, alone: dict[str, float]) -> None:
    page = Page(file_content("html", router, point))
    for figures in (point.validation, point.test):
        assert f"{100 * figures.score:.2f} % [{100 * figures.score_low:.2f}" in page.text
    assert page.tags.count("circle") == 2
    assert f"alone, test{100 * alone['score']:.2f} %" in page.text
    for words in ("for <b>the</b> team", point.data_hash, point.artefact, point.sha256, "as of", "no signature"):
        assert words in page.text
    for model, price in point.prices.items():
        share = f"{100 * point.shares[model]:.1f} %"
        assert f"{money(price.input_usd_per_mtok)}{money(price.output_usd_per_mtok)}{share}" in page.text


def test_the_report_says_the_verdict_of_the_pages(router: CarrotRouter, point: PointFile) -> None:
    results = report._snapshot(point)
    assert results is not None
    (name,) = results.runnable
    for each in (point, router.point_file(lam=router.default_lam)):
        measured = results.point_at(name, each.exchange_rate_per_usd, each.reference)
        assert (
            sentence(verdict_on(results, name, measured, each.reference))
            in Page(file_content("html", router, each)).text
        )
    for other in ({"data_hash": "0"}, {"reference": "a model of another pool"}):
        elsewhere = point.model_copy(update=other).sealed()
        assert "is not known here" in Page(file_content("html", router, elsewhere)).text


def test_at_a_matched_lam_the_marker_stands_where_the_table_says(router: CarrotRouter) -> None:
    """There the figures of the pages, each prompt's at a λ chosen without it, are not those in the file."""
    matched, results = router.point_file(lam=router.default_lam), report._snapshot(router.point_file(lam=0.1))
    assert results is not None
    figures = figures_of(matched, results)
    assert figures is not None
    assert figures != matched.test
    single = report._single(results, matched)
    drawing = picture(router.profile.curves, {"validation": matched.validation, "test": figures}, single, matched.basis)
    assert report.standalone(drawing).encode() == file_content("svg", router, matched)
    page = file_content("html", router, matched).decode()
    assert drawing in page
    assert f"{100 * figures.score:.2f} % [{100 * figures.score_low:.2f}" in page


def test_where_the_results_cannot_be_read_the_forms_have_the_points_own_figures(
    router: CarrotRouter, point: PointFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(*_: object) -> None:
        raise CarrotError("A block cannot be read.")

    monkeypatch.setattr(report, "read", damaged)
    page = Page(file_content("html", router, point))
    assert "cannot be read" in page.text
    for figures in (point.validation, point.test):
        assert f"{100 * figures.score:.2f} % [{100 * figures.score_low:.2f}" in page.text
    assert file_content("svg", router, point).count(b"<circle") == 2


def test_a_curve_of_one_point_and_of_no_cost_is_drawn(router: CarrotRouter, point: PointFile) -> None:
    curves = {
        name: replace(curve, exchange_rate_per_usd=np.zeros(1), score=np.full(1, 0.5), cost_usd=np.zeros(1))
        for name, curve in router.profile.curves.items()
    }
    figures = point.test.model_copy(update={"score": 0.5, "cost_usd": 0.0, "score_low": None, "score_high": None})
    flat = CarrotRouter(router.name, router._fitted, replace(router.profile, curves=curves), router.artefact)
    still = point.model_copy(update={"test": figures, "validation": figures, "data_hash": "0"})
    content = file_content("html", flat, still)
    assert b"nan" not in content
    assert b"inf " not in content
    assert Page(content).tags.count("circle") == 2


def test_nothing_in_a_name_becomes_markup(router: CarrotRouter, point: PointFile, hostile: PointFile) -> None:
    content = file_content("html", router, hostile)
    page, plain = Page(content), Page(file_content("html", router, point))
    assert set(page.tags) <= set(plain.tags)
    assert not {"script", "img"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on") or name in ("href", "src")]
    assert HOSTILE[0] in page.text
    assert "⟨U+202E⟩" in page.text
    assert b"http" not in content.replace(b"http-equiv", b"")
    assert b"default-src 'none'" in content


def test_the_configuration_has_every_model_of_the_pool(router: CarrotRouter, hostile: PointFile) -> None:
    document = yaml.safe_load(file_content("litellm", router, hostile))
    assert [each["model_info"]["carrot_model"] for each in document["model_list"]] == list(HOSTILE)
    assert {each["model_name"] for each in document["model_list"]} == {"carrot"}
    assert all(each["litellm_params"]["model"].startswith("FILL-IN/") for each in document["model_list"])
    assert document["litellm_settings"] == {"callbacks": "carrot_hook.attach"}


def test_the_configuration_names_models_that_litellm_has_at_their_makers(
    router: CarrotRouter, point: PointFile
) -> None:
    shipped_pool = point.model_copy(update={"pool": ("GPT-5.4", "MiniMax-M3", "Gemini-3-Pro", "gpt-5.4")})
    document = yaml.safe_load(file_content("litellm", router, shipped_pool))
    assert [each["litellm_params"]["model"] for each in document["model_list"]] == [
        "openai/gpt-5.4",
        "minimax/MiniMax-M3",
        "FILL-IN/Gemini-3-Pro",  # at its maker only as a preview
        "FILL-IN/gpt-5.4",  # a name in none of the benchmarks that ship
    ]


@pytest.mark.parametrize("which", ["point", "hostile"])
def test_the_picture_stands_alone_and_no_name_does_harm(
    which: str, router: CarrotRouter, request: pytest.FixtureRequest
) -> None:
    content = file_content("svg", router, request.getfixturevalue(which))
    root = ElementTree.fromstring(content)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert {each.tag.split("}")[1] for each in root.iter()} <= {"svg", "rect", "path", "text", "polyline", "circle"}
    assert not any(name.startswith("on") or "href" in name for each in root.iter() for name in each.attrib)


def test_a_long_name_stays_inside_the_picture() -> None:
    curve = save_curve(scene(60).active_curve.frontier)
    words = picture({"test": curve}, {}, Single("m" * 200, 0.5, 1e-3), PER_CALL)
    assert "m" * 59 + "… alone" in words
    assert "m" * 60 not in words


def test_a_point_with_no_figures_has_no_picture_and_says_why(router: CarrotRouter, point: PointFile) -> None:
    bare = point.model_copy(update={"validation": None, "test": None}).sealed()
    for name in ("svg", "png"):
        with pytest.raises(CarrotError, match="nothing was measured"):
            file_content(name, router, bare)


def test_the_command_writes_each_format(carrot_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def carrot(*arguments: object, code: int = 0) -> str:
        done = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert done.exit_code == code, done.output
        return done.output

    first = tmp_path / "first.json"
    carrot("export", HEAD, "--lam", 0.1, "--note", "one", "--out", first)
    point, router = read_point(first), CarrotRouter.load(first)
    for name, each in FORMATS.items():
        out = tmp_path / (f"{name}{each.ending}" if each.commands else each.file.format(stem="first"))
        if each.commands:
            carrot("export", first, "--format", name, "--out", out)
        else:
            (command,) = each.commands_for("first").values()
            carrot(*shlex.split(command)[1:])
        if name in ("png", "pdf"):  # a browser writes the time into them
            assert out.read_bytes().startswith({"png": b"\x89PNG", "pdf": b"%PDF"}[name])
        else:
            assert out.read_bytes() == each.make(router, point)
    carrot("export", first, "--lam", 0.2, "--out", tmp_path / "second.yaml")
    assert read_point(tmp_path / "second.yaml").lam == 0.2
    assert "must end in .json" in carrot("export", HEAD, "--format", "json", "--out", tmp_path / "p.yaml", code=2)
    assert "there is no folder" in carrot("export", HEAD, "--out", tmp_path / "no" / "p.yaml", code=2)


PROMPTS = [
    *(f"What is {n} times {n + 1}?" for n in range(8)),
    "Prove that there are infinitely many primes.",
    "Find the integral of x exp(-x^2) from 0 to infinity.",
    "Which organ makes insulin? A) liver B) pancreas C) spleen",
    "A 2 kg block slides down a frictionless plane at 30 degrees. What is its acceleration?",
    "Wer schrieb Faust? 😀",
    "Explain promissory estoppel in contract law, with a case.",
    "def f(n): return n if n < 2 else f(n - 1) + f(n - 2)  # complexity?",
    "Balance: Fe + O2 -> Fe2O3",
    "日本の首都はどこですか。",
    "",
    "--help",
    "x" * 5000,
]


@pytest.fixture(scope="module")
def fresh_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment of its own that has carrot-core and what it needs, and nothing of this test."""
    folder = tmp_path_factory.mktemp("fresh") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    command = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site = Path(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())
    (site / "beneath.pth").write_text(f"{sysconfig.get_path('purelib')}\n{PACKAGE.parent}\n")
    return python


def run(python: Path, script: Path, *arguments: str) -> str:
    """What a script prints."""
    environment = {
        "PATH": os.defpath,
        "HOME": str(script.parent),
        "CARROT_HOME": str(script.parent / "home"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        [python, script.name, *arguments], cwd=script.parent, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_script_decides_as_the_router_and_writes_nothing(
    router: CarrotRouter, point: PointFile, tmp_path: Path, fresh_python: Path
) -> None:
    script = tmp_path / "point.py"
    script.write_bytes(file_content("python", router, point))
    words = run(fresh_python, script, *PROMPTS).splitlines()
    assert words == router.at(point).route(PROMPTS)
    assert len(set(words)) > 1
    assert [file.name for file in tmp_path.iterdir()] == ["point.py"]


@pytest.mark.parametrize(
    ("prompts", "lam", "says"),
    [([], 0.1, r"Usage: python .*point\.py"), (["Why?"], 0.2, "was changed after it was exported")],
)
def test_a_script_without_a_prompt_or_whose_point_was_changed_says_so(
    router: CarrotRouter, point: PointFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    prompts: list[str], lam: float, says: str,
) -> None:  # fmt: skip
    script = tmp_path / "point.py"
    script.write_text(file_content("python", router, point).decode().replace("'lam': 0.1", f"'lam': {lam}"))
    monkeypatch.setattr(sys, "argv", ["point.py", *prompts])
    with pytest.raises(SystemExit, match=says):
        runpy.run_path(str(script), run_name="__main__")
