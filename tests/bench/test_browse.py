"""The benchmark of the prompt list: both ways show the same prompts."""

from __future__ import annotations

import json

from click.testing import CliRunner

from carrot_core.cli import main
from scripts.bench import browse


def test_both_ways_show_the_same_prompts() -> None:
    result = CliRunner().invoke(main, ["bench", "browse", "--prompts", "300", "--models", "3", "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["same"]
    assert found["speedup"] == found["database_page_ms"] / found["page_ms"] > 1
    assert "same prompts: yes" in browse.report(found)
