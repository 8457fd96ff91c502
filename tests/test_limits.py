"""Limits: each set by file or variable, refused with a place where it cannot be, and listed in the docs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from carrot_core import limits
from carrot_core.limits import DEFAULTS, LimitError, set_limits, unpacked_bytes

ROOT = Path(__file__).resolve().parents[1]


def test_the_table_of_the_docs_has_every_limit_with_its_default() -> None:
    text = (ROOT / "docs" / "hosting.md").read_text(encoding="utf-8").partition("## Limits")[2]
    rows = re.findall(r"^\| `([A-Z_]+)` \| [^|]+ \| ([^|]+) \| [^|]+ \|$", text, re.MULTILINE)
    assert {name: default.strip() for name, default in rows} == {
        name: default if isinstance(default, str) else f"{default:.0f}" for name, default in DEFAULTS.items()
    }


def test_a_file_sets_limits_and_a_variable_wins(tmp_path: Path) -> None:
    file = tmp_path / "limits.toml"
    file.write_text('upload_mb = 7\nbody_seconds = 3\ntable_memory = "600MiB"\n')
    environment = {"CARROT_LIMITS": str(file), "CARROT_LIMIT_UPLOAD_MB": "9", "CARROT_LIMIT_POINTS": "1_000"}
    values = set_limits(environment)
    assert values == {"UPLOAD_MB": 9, "BODY_SECONDS": 3.0, "TABLE_MEMORY": "600MiB", "POINTS": 1000}
    assert isinstance(values["BODY_SECONDS"], float)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("UPLOAD_MB", text) for text in ("0", "-1", "2.5", "", "many", "nan", "inf", "1e3")),
        ("BODY_SECONDS", "soon"),
        ("TABLE_MEMORY", "1"),
        ("TABLE_MEMORY", "1GiB'; drop table x"),
        ("NO_SUCH_LIMIT", "1"),
    ],
)
def test_what_cannot_be_a_limit_is_refused_with_its_variable_and_value(name: str, text: str) -> None:
    with pytest.raises(LimitError, match=f"CARROT_LIMIT_{name}"):
        set_limits({f"CARROT_LIMIT_{name}": text})


@pytest.mark.parametrize(
    "line", ["upload_mb = true", "upload_mb = [1]", "table_memory = 5", "uploads = 5", "[upload_mb]"]
)
def test_what_cannot_be_a_limit_is_refused_with_its_file_and_key(tmp_path: Path, line: str) -> None:
    file = tmp_path / "limits.toml"
    file.write_text(line + "\n")
    with pytest.raises(LimitError) as caught:
        set_limits({"CARROT_LIMITS": str(file)})
    assert str(file) in str(caught.value)
    assert line.split(" ")[0].strip("[]") in str(caught.value)


@pytest.mark.parametrize("content", [None, b"upload_mb = ", b"\xff"])
def test_a_file_that_is_no_toml_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "limits.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(LimitError, match=re.escape(str(file))):
        set_limits({"CARROT_LIMITS": str(file)})


def test_a_process_starts_with_the_limits_of_its_environment_or_ends_with_a_sentence() -> None:
    def start(value: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from carrot_core import limits; print(limits.POINTS)"]
        environment = {**os.environ, "CARROT_LIMIT_POINTS": value}
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)

    assert start("7").stdout == "7\n"
    refused = start("none")
    assert refused.returncode == 1
    assert "CARROT_LIMIT_POINTS=none" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_what_a_packed_file_may_become_grows_with_it_between_two_bounds() -> None:
    assert unpacked_bytes(0) == limits.UNPACKED_FREE_BYTES
    assert unpacked_bytes(1 << 20) == limits.UNPACKED_RATIO << 20
    assert unpacked_bytes(1 << 40) == limits.UNPACKED_BYTES
