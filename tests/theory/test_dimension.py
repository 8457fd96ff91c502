"""Dimensions and spectra of vectors, on clouds whose dimension is known and on real prompts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from carrot_core.errors import CarrotError
from carrot_core.theory.dimension import (
    components_for,
    distinct,
    estimates,
    neighbour_distances,
    spectra,
    subsample,
)
from tests.reference import theory as slow


def cloud(d: int, n: int = 1_500, within: int = 40, seed: int = 0) -> NDArray[np.float64]:
    """A normal cloud of d dimensions, turned at random in more."""
    rng = np.random.default_rng(seed)
    turned, _ = np.linalg.qr(rng.standard_normal((within, d)))
    values: NDArray[np.float64] = rng.standard_normal((n, d)) @ turned.T
    return values


@pytest.mark.parametrize("d", [1, 2, 5, 8])
def test_the_dimension_of_a_cloud_is_found(d: int) -> None:
    table = estimates(cloud(d)).set_index("estimator")
    assert table.loc["two-nn", "dimension"] == pytest.approx(d, rel=0.1)
    assert table.loc["mle", "dimension"] == pytest.approx(d, rel=0.12)
    assert (table["low"] < table["dimension"]).all()
    assert (table["dimension"] < table["high"]).all()


def test_two_nearest_neighbours_are_those_of_comparing_all_pairs() -> None:
    vectors = cloud(4, 60)
    assert estimates(vectors).set_index("estimator").loc["two-nn", "dimension"] == pytest.approx(slow.two_nn(vectors))
    far = np.sort(np.linalg.norm(vectors[:, None] - vectors[None], axis=2), axis=1)[:, 1:8]
    assert neighbour_distances(vectors, 7) == pytest.approx(far)


def test_distances_leave_out_each_point_itself() -> None:
    vectors = cloud(3, 2_300, 8)
    far = neighbour_distances(vectors, 1)
    assert (far > 0).all()
    picked = [0, 999, 1_000, 2_299]
    plain = np.sort(np.linalg.norm(vectors[picked][:, None] - vectors[None], axis=2), axis=1)[:, 1]
    assert far[picked, 0] == pytest.approx(plain)


def test_spectra_see_a_flat_cloud_and_a_rolled_sheet() -> None:
    flat = spectra(cloud(3, 400))
    pca = flat[flat["method"] == "pca"]
    assert components_for(pca, 0.999) == 3
    assert set(flat["method"]) == {"pca", "kernel-pca", "isomap"}
    for _, rows in flat.groupby("method"):
        assert (np.diff(rows["cumulative"]) >= 0).all()
        assert rows["cumulative"].iloc[-1] <= 1 + 1e-9
    rng = np.random.default_rng(1)
    angle, along = 1.5 * np.pi * (1 + 2 * rng.random(900)), 21 * rng.random(900)
    roll = np.stack([angle * np.cos(angle), along, angle * np.sin(angle)], axis=1)
    rolled = spectra(roll).set_index(["method", "component"])["share"]
    assert rolled["isomap", 2] > 4 * rolled["isomap", 3]  # along itself a sheet has two dimensions
    assert rolled["pca", 2] < 1.5 * rolled["pca", 3]  # rolled up it seems to have three


def test_isomap_keeps_the_largest_part_of_a_cloud_in_pieces() -> None:
    apart = np.concatenate([cloud(2, 200), 1_000 + cloud(2, 40)])
    counts = spectra(apart).groupby("method")["n_vectors"].first()
    assert counts["pca"] == 240
    assert counts["isomap"] == 200


def test_copies_are_dropped_and_subsamples_repeat() -> None:
    vectors = cloud(2, 50)
    assert (distinct(np.concatenate([vectors, vectors[::-1]])) == vectors).all()
    assert (subsample(vectors, 10) == subsample(vectors, 10)).all()
    assert len(np.unique(subsample(vectors, 10), axis=0)) == 10
    assert subsample(vectors, 99) is vectors
    assert list(estimates(cloud(2, 300), (100, 200, 999))["n_vectors"].unique()) == [100, 200, 300]


def test_too_few_vectors_are_refused() -> None:
    with pytest.raises(CarrotError, match="more than 20"):
        estimates(cloud(2, 20))


def test_what_ships_is_what_the_vectors_give(shared_data: Path) -> None:
    from carrot_core.theory import SEED, shipped_dimensions

    file = pd.read_parquet(shared_data / "embeddings" / "routerbench_0shot.parquet")
    vectors = distinct(np.stack(file["embedding"].to_numpy()))
    values = estimates(subsample(vectors, 1_000, SEED)).set_index("estimator")["dimension"]
    table = shipped_dimensions()
    table = table[(table["benchmark"] == "routerbench-subset") & (table["n_vectors"] == 1_000)].set_index("estimator")
    assert table["dimension"].to_dict() == pytest.approx(values.to_dict())
