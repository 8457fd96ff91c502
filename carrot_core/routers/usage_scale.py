"""Usage (tokens or dollars) on a log scale, and the way back without bias."""

from __future__ import annotations

import numpy as np

from carrot_core.routers.criteria import observed_mean
from carrot_core.routers.neighbours import FloatArray

# Share of a model's mean use that counts as one unit, so that log1p bends tokens and dollars alike.
_UNIT = 0.01


class UsageScale:
    """``log1p`` of usage in hundredths of each model's mean, and the way back with its bias corrected.

    Token counts are heavy-tailed, so regressions are fitted on logs; the exponential of a mean of logs
    is too low, by Jensen's inequality. As with Duan's smearing estimate (1983, JASA 78), the correction
    is one factor a model: it makes the mean of held-out predictions equal the observed mean.

    Attributes
    ----------
    unit_ : (M,) usage that counts as 1 before the log.
    factor_ : (M,) correction of 1 + usage/unit; 1 until `correct` is called.
    bias_ : (M,) mean of the uncorrected held-out predictions ÷ observed mean - 1, as a share.
    """

    def fit(self, usage: FloatArray) -> UsageScale:
        """Learn the unit of each model from (n, M) usage, at least 0; NaN = not observed."""
        if (usage < 0).any():
            raise ValueError("usage must be at least 0: tokens or dollars.")
        mean = observed_mean(usage)[0]
        self.unit_ = np.where(mean > 0.0, _UNIT * mean, 1.0)
        self.factor_ = np.ones(len(mean))
        return self

    def logs(self, usage: FloatArray) -> FloatArray:
        """(n, M) log1p of usage in units of each model."""
        logs: FloatArray = np.log1p(usage / self.unit_)
        return logs

    def correct(self, logs: FloatArray, usage: FloatArray) -> UsageScale:
        """Take the bias out, given held-out (n, M) predicted logs of the usage that was observed."""
        mask = ~np.isnan(logs + usage)
        predicted = observed_mean(np.where(mask, np.exp(logs), np.nan))[0]
        observed = observed_mean(np.where(mask, 1.0 + usage / self.unit_, np.nan))[0]
        self.factor_ = np.where(np.isnan(observed), 1.0, observed / predicted)
        used = np.nan_to_num(observed - 1.0)
        self.bias_ = np.divide(predicted - observed, used, out=np.zeros(len(used)), where=used > 0.0)
        return self

    def usage(self, logs: FloatArray) -> FloatArray:
        """(n, M) usage, at least 0, of predicted logs."""
        usage: FloatArray = np.maximum(np.exp(logs) * self.factor_ - 1.0, 0.0) * self.unit_
        return usage
