"""Contrasts between models: what they leave out, and their loss."""

from __future__ import annotations

import numpy as np
import pytest

from carrot_core.routers.criteria import contrast_loss, contrasts


def test_contrasts_of_hand_made_rows():
    table = np.array([[1.0, 0.0, 0.5], [np.nan, 0.25, 0.75], [np.nan, 0.3, np.nan]])
    expected = np.array([[0.5, -0.5, 0.0], [np.nan, -0.25, 0.25], [np.nan, 0.0, np.nan]])
    np.testing.assert_allclose(contrasts(table), expected)


def test_the_loss_ignores_levels_and_unobserved_cells():
    truth = np.array([[1.0, 0.0], [np.nan, 1.0]])
    assert contrast_loss(truth, np.array([[8.0, 7.0], [5.0, 4.0]])) == 0.0
    assert contrast_loss(truth, np.array([[0.0, 0.0], [5.0, 4.0]])) == pytest.approx(0.5)


def test_with_one_model_it_is_the_error_of_its_scores():
    assert contrast_loss(np.array([[1.0], [0.0], [np.nan]]), np.array([[0.5], [0.5], [0.5]])) == pytest.approx(0.5)
