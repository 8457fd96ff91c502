"""What a router is tuned for: the differences between models on one prompt, not their common level.

How hard a prompt is for every model dominates the error of raw scores, yet cancels in
``argmax ŝ - r·ĉ`` (``docs/method.md``, "Routers").
"""

from __future__ import annotations

import numpy as np

from carrot_core.routers.criteria import observed_mean
from carrot_core.routers.neighbours import FloatArray


def contrasts(table: FloatArray) -> FloatArray:
    """(n, M) table less the mean of each row's observed cells; NaN cells stay NaN."""
    return table - observed_mean(table, axis=1)


def contrast_loss(truth: FloatArray, estimate: FloatArray) -> float:
    """Squared error of the contrasts between models, summed over the cells that both tables have.

    With a single model there are no contrasts, and the loss is that of its scores.
    """
    error = truth - estimate
    if error.shape[1] > 1:
        error = contrasts(error)  # the contrast of the error is the error of the contrast
    return float(np.nansum(error**2))
