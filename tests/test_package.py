"""The package as others meet it: what it exports, what it needs, what an import and a wheel bring along."""

from __future__ import annotations

import importlib.metadata
import pkgutil
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from streamlit.components.v2.manifest_scanner import scan_component_manifests

import carrot_core
from carrot_core import limits

ROOT = Path(__file__).resolve().parents[1]
HEAVY = {"torch", "transformers", "streamlit"}
WRITTEN_IN_THEM = (
    "carrot_core.dashboard",
    "carrot_core.minilm",
    *(f"carrot_core.routers.encoder.{name}" for name in ("network", "trainer", "training")),
)
REQUIREMENTS = [Requirement(line) for line in importlib.metadata.requires("carrot-core") or ()]


def _imported_by(*modules: Sequence[str]) -> list[set[str]]:
    """Top-level packages in a fresh interpreter after importing some modules, then also others, and so on."""
    code = (
        "import importlib, sys\n"
        f"for some in {modules!r}:\n"
        "    for module in some: importlib.import_module(module)\n"
        "    print(*sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return [{name.partition(".")[0] for name in line.split()} for line in run.stdout.splitlines()]


def _library_modules() -> list[str]:
    result = pkgutil.walk_packages(carrot_core.__path__, "carrot_core.")
    return [module.name for module in result if not module.name.startswith(WRITTEN_IN_THEM)]


def test_every_exported_name_exists_and_is_documented() -> None:
    assert sorted(carrot_core.__all__) == list(carrot_core.__all__)
    for name in carrot_core.__all__:
        assert isinstance(getattr(carrot_core, name), str) or getattr(carrot_core, name).__doc__, name


@pytest.mark.slow
def test_the_package_the_whole_library_and_the_cli_import_no_heavy_library() -> None:
    modules = _library_modules()
    assert "carrot_core.cli" in modules
    package, library = _imported_by(["carrot_core"], modules)
    assert not package & {*HEAVY, "sklearn"}
    assert not library & HEAVY


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_every_requirement_is_bounded_above(requirement: Requirement) -> None:
    assert {"==", "<"} & {clause.operator for clause in requirement.specifier}


@pytest.mark.parametrize("requirement", [r for r in REQUIREMENTS if r.marker is None], ids=str)
def test_the_installed_version_is_one_the_requirement_admits(requirement: Requirement) -> None:
    assert requirement.specifier.contains(importlib.metadata.version(requirement.name))


def test_requirements_file_and_package_ask_for_the_same() -> None:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    requirements = {Requirement(line) for line in lines if line and not line.startswith(("#", "-"))}
    assert {Requirement(str(r).replace("-", "_")) for r in requirements} == {
        Requirement(str(r).replace("-", "_")) for r in REQUIREMENTS if r.marker is None
    }


def test_streamlit_finds_the_live_component() -> None:
    manifests = {manifest.name: (manifest, root) for manifest, root in scan_component_manifests()}
    manifest, package = manifests["carrot-core"]
    assert {component.name for component in manifest.components} == {"frontier", "decision"}
    for component in manifest.components:
        assets = component.resolve_asset_root(package)
        assert assets is not None
        assert (assets / f"{component.name}.js").is_file()


def test_streamlit_takes_uploads_of_the_size_that_the_readers_are_made_for() -> None:
    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    assert config["server"]["maxUploadSize"] == limits.UPLOAD_MB
    assert limits.UPLOAD_MB << 20 < limits.UNPACKED_BYTES


def test_wheel_carries_the_app_and_leaves_the_database_behind(tmp_path: Path) -> None:
    """Regression: a forced inclusion of ``data/`` packed the user's imported benchmarks into the wheel."""
    tree = tmp_path / "tree"
    for name in ("carrot_core", "pages", ".streamlit", "assets"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("app.py", "pyproject.toml", "requirements.txt", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / name, tree)
    (tree / "docs").mkdir()
    for name in ("glossary.md", "method.md", "data.md"):
        shutil.copy(ROOT / "docs" / name, tree / "docs")
    (tree / "data").mkdir()
    (tree / "data" / "carrot.store" / "mine-0123456789ab" / "1").mkdir(parents=True)
    for name in ("carrot.duckdb.v1", "carrot.store/mine-0123456789ab/1/benchmark.duckdb", "shipped.json"):
        (tree / "data" / name).touch()
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=tree, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {
        "carrot_core/pyproject.toml",
        "carrot_core/store/schema/benchmark.sql",
        "carrot_core/store/schema/run.sql",
        "carrot_core/store/schema/vectors.sql",
        "carrot_core/dashboard/launcher/with_api.py",
        "carrot_core/_app/app.py",
        "carrot_core/_app/pages/overview.py",
        "carrot_core/_app/.streamlit/config.toml",
        "carrot_core/_app/assets/logo.svg",
        "carrot_core/_data/shipped.json",
        "carrot_core/_docs/glossary.md",
        "carrot_core/_docs/method.md",
    } <= names
    assert not [name for name in names if "duckdb" in name or "carrot.store" in name]
