"""How long a process takes until it has said something: the version, and where a prompt goes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from scripts.bench.frontier import timed

_MAIN = ("-c", "from carrot_core.cli import main; main()")


def run(source: str = "mmlu-pro-cot", repeat: int = 3) -> dict[str, Any]:
    """Median seconds from start to end of processes, beside one of Python that does nothing."""
    commands: dict[str, Sequence[str]] = {
        "python_s": ("-c", "pass"),
        "version_s": (*_MAIN, "--version"),
        "route_s": (*_MAIN, "route", "What is 2 + 2?", "--bench", source),
    }
    return {"source": source, **{name: _seconds(words, repeat) for name, words in commands.items()}}


def _seconds(words: Sequence[str], repeat: int) -> float:
    command = [sys.executable, *words]
    return timed(lambda: subprocess.run(command, capture_output=True, check=True), repeat)[1]


def report(result: dict[str, Any]) -> str:
    """One sentence for people."""
    return (
        f"`carrot --version` {result['version_s']:.2f} s, `carrot route` of one prompt {result['route_s']:.1f} s from "
        f"start to end; Python alone {result['python_s']:.2f} s"
    )
