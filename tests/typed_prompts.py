"""Routers for typed prompts, fitted on the made-up benchmark, and texts that people and attackers type."""

from __future__ import annotations

from functools import cache
from typing import Any

from carrot_core.evaluation import setting
from carrot_core.outcomes import Benchmark
from carrot_core.serving import CarrotRouter
from carrot_core.serving.profile import profile_of
from tests.made import made

HOSTILE = {
    "empty": "",
    "spaces": " \n\t ",
    "emoji": "🥕🥕 which 🤖?",
    "chinese": "写一首关于胡萝卜的诗",
    "right to left": "\u202eabc مرحبا",
    "control": "a\0b\x1b[31mred\x07",
    "half a pair": "\ud83e alone",
    "html": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "code": "def f(x):\n    return x ** 2  # O(1)\n" * 20,
    "one long word": "x" * 100_000,
    "long": "word " * 20_000,
}


def served(bench: Benchmark, router: str = "carrot-linear", **params: Any) -> CarrotRouter:
    """A router fitted on a benchmark, without its training prompts."""
    protocol = setting(bench)
    fitted, estimates = protocol.fit(router, params=params)
    return CarrotRouter(bench.name, fitted, profile_of(protocol, fitted, estimates), "an artefact")


@cache
def typed(router: str = "carrot-linear") -> CarrotRouter:
    """The same on the made-up benchmark."""
    return served(made(900), router)
