"""One name, one meaning: results that ship keep their name unless the owner of other data asks for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from carrot_core import CarrotRouter
from carrot_core.api import settings_of
from carrot_core.benchmarks.built_in import BUILT_IN, card_of, folder_of
from carrot_core.benchmarks.long_wide_tables import read_long_table
from carrot_core.cli import main
from carrot_core.errors import StoreError
from carrot_core.paths import shipped_data
from carrot_core.results import shipped_snapshots
from carrot_core.results.source import open_results
from carrot_core.serving.loading import shipped_heads
from carrot_core.store import Store
from carrot_core.store.maintenance import copy_benchmark
from tests.made import MODELS, fill, made, write_files

pytestmark = pytest.mark.slow

NAME = "routellm"


def test_all_that_ships_under_one_name_is_of_the_same_data() -> None:
    hashes = {info.name: info.data_hash for info in shipped_snapshots()}
    assert hashes | {name: card_of(folder_of(name)).data_hash for name in BUILT_IN} == shipped_data()
    heads = {name: CarrotRouter.load(name).profile.data_hash for name in shipped_heads()}
    assert heads.items() <= hashes.items()


def test_a_name_that_ships_is_refused_for_other_data_until_asked_for(carrot_home: Path) -> None:
    results, _ = write_files(made(60), carrot_home)
    command = ["data", "import", str(results), "--name", NAME]
    refused = CliRunner().invoke(main, command)
    assert refused.exit_code == StoreError.exit_code
    assert "--shadow" in refused.output
    assert Store().benchmarks() == []
    Store().save_benchmark("made", read_long_table(results))
    with pytest.raises(StoreError, match="--shadow"):
        copy_benchmark(Store(), "made", Store(), NAME)
    accepted = CliRunner().invoke(main, [*command, "--shadow"])
    assert accepted.exit_code == 0, accepted.output
    assert "it means your data" in accepted.output
    with pytest.raises(StoreError, match="--shadow"):
        Store().save_benchmark(NAME, read_long_table(results), replace=True)


def test_a_name_asked_for_means_the_same_wherever_it_is_used(carrot_home: Path) -> None:
    fill(Store(), replace(made(), name=NAME))
    own = Store().info(NAME).data_hash
    assert Store().shadows(NAME)
    router = CarrotRouter.load(NAME)
    assert (router.profile.data_hash, router.models) == (own, MODELS)
    assert router.point_file(lam=0.3).data_hash == own
    assert settings_of((), None, ("localhost",)).served.get(NAME).profile.data_hash == own
    assert settings_of((NAME,), None, ("localhost",)).served.get(NAME).profile.data_hash == own
    assert open_results(Store(), NAME).models == MODELS
    for command in (["solve", NAME, "--target", "0.5"], ["route", "Why?", "--bench", NAME]):
        result = CliRunner().invoke(main, command)
        assert result.exit_code == 0, result.output
        assert any(model in result.output for model in MODELS)
    Store().remove_benchmark(NAME)
    assert CarrotRouter.load(NAME).profile.data_hash == shipped_data()[NAME]
