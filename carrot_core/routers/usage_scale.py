"""Usage (tokens or dollars) on a log scale, and the way back without bias."""

from __future__ import annotations

import numpy as np

from carrot_core.routers.criteria import observed_mean
from carrot_core.routers.neighbours import FloatArray

# Share of a model's mean use that counts as one unit, so that log1p bends tokens and dollars alike.
_UNIT = 0.01
# Parts of the range of predicted use that are corrected each on its own, at most, and held-out cells in each at least.
_RANGES, _LEAST_CELLS = 10, 50


class UsageScale:
    """``log1p`` of usage in hundredths of each model's mean, and the way back with its bias corrected.

    Token counts are heavy-tailed, so regressions are fitted on logs; the exponential of a mean of logs
    is too low, by Jensen's inequality. Duan's smearing estimate (1983, JASA 78) corrects that by one factor
    a model; but regressions err towards the middle, so that little use is predicted too high and much use too
    low, and a router sends a dear model just the prompts on which it is thought to cost little. So the
    correction goes by range of the predicted use: it makes the mean of held-out predictions equal the observed
    mean in each of ten ranges, as far as the observed means rise from range to range, and over all of them.

    Attributes
    ----------
    unit_ : (M,) usage that counts as 1 before the log.
    bends_ : for each model (2, K), predicted logs in ascending order and what is added to them there; between them
        a straight line, beyond them the same as at the end. Empty until `correct` is called.
    factor_ : (M,) correction of 1 + usage/unit over all ranges; 1 until `correct` is called.
    bias_ : (M,) mean of the uncorrected held-out predictions ÷ observed mean - 1, as a share.
    """

    bends_: tuple[FloatArray, ...] = ()  # of one that was saved without

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
        logs = np.where(np.isnan(usage), np.nan, logs)
        use = np.where(np.isnan(logs), np.nan, 1.0 + usage / self.unit_)
        predicted, observed = observed_mean(np.exp(logs))[0], observed_mean(use)[0]
        used = np.nan_to_num(observed - 1.0)
        self.bias_ = np.divide(predicted - observed, used, out=np.zeros(len(used)), where=used > 0.0)
        self.bends_ = tuple(
            _bend(*cells[:, ~np.isnan(cells).any(axis=0)]) for cells in np.stack([logs, use]).T.swapaxes(1, 2)
        )
        bent = observed_mean(np.exp(self._bent(logs)))[0]
        self.factor_ = np.where(np.isnan(observed), 1.0, observed / bent)
        return self

    def usage(self, logs: FloatArray) -> FloatArray:
        """(n, M) usage, at least 0, of predicted logs."""
        usage: FloatArray = np.maximum(np.exp(self._bent(logs)) * self.factor_ - 1.0, 0.0) * self.unit_
        return usage

    def _bent(self, logs: FloatArray) -> FloatArray:
        bent = logs.copy()
        for column, bend in zip(bent.T, self.bends_, strict=False):
            column += np.interp(column, *bend)
        return bent


def _bend(logs: FloatArray, use: FloatArray) -> FloatArray:
    """(2, K) predicted logs and what to add to them, from k held-out cells; nothing to add where k is 0."""
    from sklearn.isotonic import isotonic_regression  # slow to import, and not needed to predict

    order = np.argsort(logs, kind="stable")
    ranges = np.array_split(order, int(np.clip(len(order) // _LEAST_CELLS, 1, _RANGES)))
    predicted, observed = (
        np.array([table[part].mean() if len(part) else 1.0 for part in ranges]) for table in (np.exp(logs), use)
    )
    at = np.log(predicted)
    bend: FloatArray = np.stack([at, np.log(isotonic_regression(observed)) - at])
    return bend
