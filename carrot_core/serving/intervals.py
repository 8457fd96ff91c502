"""Intervals around a router's estimates for one prompt, by split-conformal prediction on validation prompts.

Source: Lei et al., "Distribution-free predictive inference for regression" (JASA 2018, arXiv 1604.04173).
"""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from carrot_core.errors import CarrotError
from carrot_core.outcomes import FloatTable
from carrot_core.routers.usage_scale import UsageScale

LEVEL = 0.9
GROUP = 50  # prompts
_LEAST_VARIANCE = 0.02  # of one score: near 0 and 1 the estimate errs more than p(1 - p) admits


class ScoreInterval:
    """Where the mean score of `GROUP` prompts with such an estimate falls in 90 % of cases.

    One answer is mostly right or wrong, so an interval for it would be nearly all of [0, 1]. Validation
    prompts of each model, sorted by estimate, are cut into groups of `GROUP`. How far a group's mean score
    lies from its mean estimate, in units of sqrt(p(1 - p)/GROUP), is pooled over models, and its quantile is
    the width. The correction for a finite sample counts the groups of one model only, since those of
    different models hold the same prompts; with fewer than nine of them it is the largest distance seen.

    Attributes
    ----------
    width_ : half the interval in units of sqrt(p(1 - p)/GROUP).
    """

    level: ClassVar[float] = LEVEL

    def fit(self, predicted: FloatTable, observed: FloatTable) -> Self:
        """Learn the width from (n, M) estimates and observed scores of validation prompts; NaN = not observed.

        Raises
        ------
        CarrotError
            No score is observed.
        """
        distances = _group_distances(predicted, observed)
        self.width_ = _quantile(distances, LEVEL, max(len(predicted) // GROUP, 1))
        return self

    def interval(self, predicted: FloatTable) -> tuple[FloatTable, FloatTable]:
        """Lower and upper ends, (n, M) in [0, 1], for estimates of any models."""
        centre = np.clip(predicted, 0.0, 1.0)
        half = self.width_ * _spread(centre, GROUP)
        return np.clip(centre - half, 0.0, 1.0), np.clip(centre + half, 0.0, 1.0)

    def coverage(self, predicted: FloatTable, observed: FloatTable) -> float:
        """Share of groups of other prompts, formed as in `fit`, whose mean score lies in the interval."""
        return float(np.mean(_group_distances(predicted, observed) <= self.width_))


class UsageInterval:
    """Where the usage of one call, output tokens or dollars, falls in 90 % of cases.

    Ratios of observed to predicted usage (differences of ``log1p`` of hundredths of the model's mean, so
    that calls of nearly no use do not count for infinitely much) are sorted for each model; the interval
    leaves out 5 % of them on each side.

    Attributes
    ----------
    scale_ : the logarithm and the way back.
    low_, high_ : (M,) what is added to the logarithm of a prediction; NaN for a model without observed usage.
    """

    level: ClassVar[float] = LEVEL

    def fit(self, predicted: FloatTable, observed: FloatTable) -> Self:
        """Learn from (n, M) predicted and observed usage of validation prompts, at least 0; NaN = not observed."""
        self.scale_ = UsageScale().fit(observed)
        errors = self.scale_.logs(observed) - self.scale_.logs(predicted)
        self.high_ = np.array([_upper(column) for column in errors.T])
        self.low_ = -np.array([_upper(-column) for column in errors.T])
        return self

    def interval(self, predicted: FloatTable) -> tuple[FloatTable, FloatTable]:
        """Lower and upper ends, (n, M) at least 0, in the unit of ``predicted``."""
        logs = self.scale_.logs(predicted)
        return self.scale_.usage(logs + self.low_), self.scale_.usage(logs + self.high_)

    def coverage(self, predicted: FloatTable, observed: FloatTable) -> float:
        """Share of observed calls of other prompts that lie in their interval."""
        low, high = self.interval(predicted)
        known = ~np.isnan(observed + low)
        return float(np.mean(((low <= observed) & (observed <= high))[known]))

    def columns(self, index: npt.NDArray[np.intp]) -> UsageInterval:
        """The same for some of the models, in the order asked for."""
        part = UsageInterval()
        part.low_, part.high_, part.scale_ = self.low_[index], self.high_[index], UsageScale()
        part.scale_.unit_, part.scale_.factor_ = self.scale_.unit_[index], self.scale_.factor_[index]
        return part


def _group_distances(predicted: FloatTable, observed: FloatTable) -> npt.NDArray[np.float64]:
    """Of each group of prompts of each model, in units of its spread."""
    found = []
    for estimates, scores in zip(np.clip(predicted, 0.0, 1.0).T, observed.T, strict=True):
        known = np.flatnonzero(~np.isnan(scores))
        order = known[np.argsort(estimates[known], kind="stable")]
        for group in np.array_split(order, max(len(order) // GROUP, 1)):
            if len(group):
                mean = estimates[group].mean()
                found.append(abs(scores[group].mean() - mean) / _spread(mean, len(group)))
    if not found:
        raise CarrotError("No scores are observed on these prompts, so no interval can be learned or checked.")
    return np.array(found)


def _spread(p: FloatTable, size: int) -> FloatTable:
    """Standard deviation of the mean of so many scores of mean p that are 0 or 1; other scores vary less."""
    spread: FloatTable = np.sqrt(np.maximum(p * (1.0 - p), _LEAST_VARIANCE) / size)
    return spread


def _upper(errors: npt.NDArray[np.float64]) -> float:
    """What one more error exceeds in at most half of the cases that the interval may miss."""
    known = errors[~np.isnan(errors)]
    return _quantile(known, (1.0 + LEVEL) / 2, len(known)) if len(known) else np.nan


def _quantile(values: npt.NDArray[np.float64], share: float, independent: int) -> float:
    """What one more value stays below with this probability, the largest of them where they are too few to say."""
    return float(np.quantile(values, min(share * (1 + 1 / independent), 1.0), method="inverted_cdf"))
