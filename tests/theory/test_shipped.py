"""What ships of the theory, how it is made, and the figures drawn from it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from carrot_core.cli import main
from carrot_core.errors import DataError
from carrot_core.figures.exhibit import Exhibit
from carrot_core.figures.theme import THEMES
from carrot_core.theory import (
    WORLDS,
    RateCurve,
    World,
    learning_exhibit,
    loss_table,
    make,
    predicted_slope,
    shipped_dimensions,
    shipped_spectra,
    simulated_curve,
    slopes,
    slopes_exhibit,
)
from carrot_core.theory.dimension import dimension_exhibit, spectra_exhibit
from carrot_core.theory.rates import SIZES, boundary_exhibit, excess_risk, rate_exhibit, simulate
from tests.theory.test_dimension import cloud

HOSTILE = "<img src=x onerror=alert(1)>"


@contextmanager
def quiet(title: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    yield lambda done, total: None


def vectors_file(folder: Path, name: str = "made_up") -> Path:
    file = folder / f"{name}.parquet"
    pd.DataFrame({"prompt_id": [f"p{i}" for i in range(60)], "embedding": list(cloud(3, 60))}).to_parquet(file)
    return file


def learned(lost: tuple[float, ...] = (-0.04, -0.02, 0.001, 0.0)) -> pd.DataFrame:
    """A table as `carrot_core.compare.studies.learning` makes it."""
    sizes = [100 * 2**i for i in range(len(lost))]
    frame = pd.DataFrame({"router": "carrot-knn", "size": sizes, "seed": "mean", "metric": "aiq", "lost": lost})
    return frame.assign(value=0.7 + frame["lost"], lost_low=frame["lost"] - 0.005, lost_high=frame["lost"] + 0.005)


def test_every_world_that_ships_is_there_with_all_sizes() -> None:
    for world in WORLDS:
        curve = simulated_curve(world)
        assert curve is not None
        assert curve.sizes == SIZES
        assert (curve.excess >= 0).all()
    assert simulated_curve(World(4)) is None


def test_runs_that_ship_are_those_the_code_makes() -> None:
    for world in (World(1), World(3, 0.5, 2.0), World(2, breach="thin")):
        curve = simulated_curve(world)
        assert curve is not None
        for row, repetition in ((0, 0), (1, 3)):
            again = excess_risk(world, curve.sizes[row], repetition)
            assert curve.excess[row, repetition] == pytest.approx(again, rel=1e-6)


def test_the_slopes_that_ship_are_near_the_law_where_it_promises_and_above_where_not() -> None:
    table = slopes()
    sound, broken = table[table["breach"] == "none"], table[table["breach"] != "none"]
    inside = (sound["low"] <= sound["predicted"]) & (sound["predicted"] <= sound["high"])
    assert inside.mean() > 0.5
    assert ((sound["measured"] - sound["predicted"]).abs() < 0.12).all()
    assert (broken["measured"] > broken["predicted"]).all()
    for world in (World(2, breach="no-margin"), World(2, breach="rough"), World(2, breach="thin")):
        curve = simulated_curve(world)
        assert curve is not None
        assert curve.slope(1_000)[1] > predicted_slope(world)  # past the first few prompts, whole intervals


def test_dimensions_and_spectra_that_ship_are_in_range() -> None:
    dimensions, spectra = shipped_dimensions(), shipped_spectra()
    assert dimensions["dimension"].between(3, 60).all()
    assert set(dimensions["benchmark"]) == set(spectra["benchmark"])
    assert spectra["cumulative"].between(0, 1).all()


def test_make_writes_tables_without_a_vector(tmp_path: Path) -> None:
    make({"made-up": vectors_file(tmp_path)}, tmp_path / "out", [], progress=quiet)
    written = {file.name for file in (tmp_path / "out").iterdir()}
    assert written == {"spectra.parquet", "dimensions.parquet", "theory.json"}
    for name in ("spectra.parquet", "dimensions.parquet"):
        table = pd.read_parquet(tmp_path / "out" / name)
        assert set(table["benchmark"]) == {"made-up"}
        assert not {"prompt_id", "embedding"} & set(table)
    provenance = json.loads((tmp_path / "out" / "theory.json").read_text())
    assert provenance["vectors"]["made-up"]["n_distinct_vectors"] == 60


def test_the_command_makes_what_ships(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("carrot_core.theory.WORLDS", ())
    (tmp_path / "embeddings").mkdir()
    vectors_file(tmp_path / "embeddings", "mmlu_pro_cot")
    done = CliRunner().invoke(main, ["theory", str(tmp_path), "--out", str(tmp_path / "out"), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["vectors"] == ["mmlu-pro-cot"]
    assert set(pd.read_parquet(tmp_path / "out" / "dimensions.parquet")["benchmark"]) == {"mmlu-pro-cot"}


def test_the_command_says_where_there_are_no_vectors(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["theory", str(tmp_path)])
    assert done.exit_code == 3
    assert "vectors" in done.stderr


def test_a_file_without_vectors_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "none.parquet"
    pd.DataFrame({"prompt_id": ["a"]}).to_parquet(file)
    with pytest.raises(DataError, match="no column of vectors"):
        make({"none": file}, tmp_path / "out", [], progress=quiet)


def exhibits() -> list[Exhibit]:
    curve = simulate(World(), (100, 300, 1_000), 3)
    return [
        rate_exhibit(curve),
        rate_exhibit(simulate(World(breach="rough"), (100, 300, 1_000), 3), curve),
        rate_exhibit(RateCurve(World(), (100, 1_000), np.zeros((2, 3)))),  # nothing lost: nothing to draw
        slopes_exhibit(slopes()),
        boundary_exhibit(World(2, n_models=3), 200),
        learning_exhibit({HOSTILE: learned(), "one": learned((-0.1, 0.0)), "none left": learned((0.01, 0.0))}),
        spectra_exhibit(shipped_spectra()),
        dimension_exhibit(shipped_dimensions()),
    ]


def test_every_exhibit_draws_in_every_theme_and_says_what_it_shows() -> None:
    for exhibit in exhibits():
        assert exhibit.caption
        assert exhibit.alt
        assert len(exhibit.table)
        assert exhibit.draw is not None
        for theme in THEMES:
            drawn = exhibit.draw(theme).to_json()
            assert drawn
            assert "<img" not in json.loads(drawn).__str__()


def test_the_two_lines_of_the_rate_have_the_two_slopes() -> None:
    curve = simulate(World(), (100, 300, 1_000, 3_000), 6)
    draw = rate_exhibit(curve).draw
    assert draw is not None
    _, fitted, promised = draw("light").data
    for line, slope in ((fitted, curve.slope()[0]), (promised, predicted_slope(World()))):
        assert np.polyfit(np.log(line.x.astype(float)), np.log(line.y), 1)[0] == pytest.approx(slope)


def test_where_nothing_was_lost_there_is_no_slope_in_words_or_lines() -> None:
    lost = np.full((3, 4), 0.1)
    lost[1] = 0
    exhibit = rate_exhibit(RateCurve(World(), (100, 300, 1_000), lost))
    assert "No slope: at some size nothing was lost" in exhibit.alt
    assert exhibit.draw is not None
    assert not any("fitted" in trace.name for trace in exhibit.draw("light").data)
    lost[1, 0] = 0.1
    message = rate_exhibit(RateCurve(World(), (100, 300, 1_000), lost)).alt
    assert "inf" not in message
    assert "nan" not in message


def test_two_fitted_lines_differ_without_colour() -> None:
    two = [simulate(World(breach=breach), (100, 300, 1_000), 3) for breach in ("rough", "none")]
    draw = rate_exhibit(*two).draw
    assert draw is not None
    fitted = [trace for trace in draw("print").data if "fitted" in trace.name]
    assert len({trace.line.dash for trace in fitted}) == 2


def test_the_maps_mark_exactly_where_the_rules_differ() -> None:
    exhibit = boundary_exhibit(World(2, 0.5, 1.0, 0.3, 4), 300)
    table = exhibit.table
    assert ((table["oracle"] != table["plug_in"]) == (table["utility_lost"] > 0)).all()
    assert exhibit.draw is not None
    marks = exhibit.draw("light").data[2]
    assert np.nansum(marks.z) == (table["utility_lost"] > 0).sum()


def test_losses_leave_out_all_prompts_and_keep_what_cannot_be_drawn() -> None:
    table = loss_table({"one": learned()})
    assert list(table["n"]) == [100, 200, 400]
    assert list(table["loss"]) == [0.04, 0.02, -0.001]
    assert (table["low"] <= table["loss"]).all()
    assert len(learning_exhibit({"one": learned()}).draw("light").data[0].x) == 2  # type: ignore[misc]
