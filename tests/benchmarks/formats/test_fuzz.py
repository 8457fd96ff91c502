"""A few hundred changed files: read or refused in words, and nothing else changed. The rest runs by `fuzz`."""

from __future__ import annotations

from tests.benchmarks.formats.fuzz import fuzz


def test_changed_files_are_read_or_refused_in_words() -> None:
    tallies = fuzz(400, seed=1)
    assert sum(tally["read"] for tally in tallies.values()) > 50
    assert all(tally["refused"] for tally in tallies.values())
