"""The import benchmark: it imports what it wrote, and says where it failed."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from carrot_core.cli import main
from carrot_core.errors import CarrotError
from scripts.bench import sprout_import


def test_every_made_up_answer_is_imported() -> None:
    result = CliRunner().invoke(main, ["bench", "import", "--prompts", "60", "--models", "3", "--json"])
    assert result.exit_code == 0, result.output
    actual = json.loads(result.stdout)
    assert actual["outcomes"] == 60 * 3
    assert actual["within_limits"] == (actual["seconds"] < 30 and actual["peak_bytes"] < 2**31)
    assert f"peak memory {actual['peak_bytes'] / 2**30:.2f} GiB" in sprout_import.report(actual)


def test_a_failed_import_is_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sprout_import, "_IMPORT", "raise SystemExit('out of luck')")
    with pytest.raises(CarrotError, match="out of luck"):
        sprout_import.run(60, 3)
