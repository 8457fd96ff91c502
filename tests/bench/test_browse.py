"""The benchmark of the prompt list: both ways show the same prompts."""

from __future__ import annotations

import json

from click.testing import CliRunner

from carrot_core.cli import main
from scripts.bench import browse


def test_both_ways_show_the_same_prompts() -> None:
    result = CliRunner().invoke(main, ["bench", "browse", "--prompts", "300", "--models", "3", "--json"])
    assert result.exit_code == 0, result.output
    actual = json.loads(result.stdout)
    assert actual["same"]
    assert actual["speedup"] == actual["database_page_ms"] / actual["page_ms"] > 1
    assert "same prompts: yes" in browse.report(actual)
