"""Profile of a fitted router: all it needs beside its estimates to answer prompts outside a benchmark."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from carrot_core.curve import SavedCurve, save_curve
from carrot_core.errors import CarrotError
from carrot_core.evaluation import Setting
from carrot_core.evaluation.protocol import WITHOUT_TASK
from carrot_core.evaluation.quality import usage_of
from carrot_core.frontier import Frontier, lam_of_rate
from carrot_core.operating_point import match_model
from carrot_core.outcomes import Benchmark, Estimates, FloatTable, Usage
from carrot_core.prices import Price
from carrot_core.promise import CONFIDENCE
from carrot_core.routers import SERVABLE, Router
from carrot_core.routers.base import texts_of
from carrot_core.serving.intervals import (
    LEVEL,
    Calibration,
    ScoreInterval,
    UsageInterval,
    coverage_of,
    intervals_of,
    mean_over_rounds,
)

# Pieces that tokenizers of language models tend to make one token: up to ten Latin letters, four of other
# alphabets, a letter of a script without spaces, a digit, two symbols, a run of line ends. The lengths
# are those with the least error on validation prompts (docs/method.md, "Typed prompts").
_PIECE = re.compile(r"[A-Za-z]{1,10}|[\u00c0-\u1fff]{1,4}|\w|[^\w\s]{1,2}|\n+")
_ODD_ERROR = 0.05  # relative errors beyond this count linearly, not squared


def piece_count(text: str) -> int:
    """Count tokens without knowing the model: words, numbers and symbols, long words in pieces."""
    return len(_PIECE.findall(text))


class InputTokens:
    """Input tokens of each model as a linear function of the number of pieces of the text (`piece_count`).

    Each model has its own slope and intercept, since tokenizers and chat templates differ. Both are at least 0
    and fitted to relative errors with a robust loss (soft L1).

    Attributes
    ----------
    slope_ : (M,) tokens per piece.
    intercept_ : (M,) tokens that every call has.
    """

    def fit(self, texts: Sequence[str | None], input_tokens: FloatTable) -> Self:
        """Learn the lines.

        Parameters
        ----------
        texts : n training prompts; those without text are left out.
        input_tokens : (n, M) recorded counts, NaN for none. A model without any gets the line fitted to the
            mean over the other models.

        Raises
        ------
        CarrotError
            No count is recorded.
        """
        pieces = np.array([np.nan if text is None else piece_count(text) for text in texts], dtype=np.float64)
        mask = ~np.isnan(input_tokens)
        mean = np.nansum(input_tokens, axis=1) / np.maximum(mask.sum(axis=1), 1)
        counts = np.where(mask.any(axis=0), input_tokens, mean[:, None])
        lines = np.array([_line(pieces, counts[:, column]) for column in range(counts.shape[1])])
        self.slope_, self.intercept_ = lines.reshape(-1, 2).T.copy()
        return self

    def predict(self, texts: Sequence[str]) -> FloatTable:
        """Predict (n, M) tokens, at least 0, of any texts."""
        pieces = np.array([piece_count(text) for text in texts], dtype=np.float64).reshape(-1, 1)
        tokens: FloatTable = self.intercept_ + self.slope_ * pieces
        return tokens

    def columns(self, index: npt.NDArray[np.intp]) -> InputTokens:
        """The lines of some of the models, in the order of ``index``."""
        part = InputTokens()
        part.slope_, part.intercept_ = self.slope_[index], self.intercept_[index]
        return part


def _line(pieces: npt.NDArray[np.float64], tokens: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Slope and intercept."""
    from scipy.optimize import least_squares  # slow to import, and counting does not need it

    mask = (tokens > 0) & ~np.isnan(pieces)
    if not mask.any():
        raise CarrotError("No input tokens are recorded, so how models count them cannot be learned.")
    relative = np.column_stack([pieces[mask], np.ones(mask.sum())]) / tokens[mask, None]

    def relative_error(line: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return relative @ line - 1.0

    fit = least_squares(relative_error, (1.0, 1.0), bounds=(0.0, np.inf), loss="soft_l1", f_scale=_ODD_ERROR)
    line: npt.NDArray[np.float64] = fit.x
    return line


FloatArray = npt.NDArray[np.float64]

_CENTRES = 64
_PROMPTS_A_CENTRE = 50
_LEAST_MEMBERS = 10  # a centre of fewer would reveal much of single prompts' vectors
_LEAST_VARIANCE = 1e-6  # of a coordinate of a vector of length 1, for prompts that are all the same
_STEPS = 127  # of int8


class Distance:
    """Mahalanobis distance to the nearest of some cluster centres, as a percentile of validation prompts.

    Training vectors are clustered (k-means); distances are in units of one shrunk covariance (Ledoit & Wolf, 2004)
    of the vectors around their centres. A prompt at the 99th percentile is farther away than 99 % of the validation
    prompts. The object holds means of at least ten different vectors, a covariance and the validation distances,
    about 125 kB.

    Attributes
    ----------
    root_ : (d(d + 1)/2,) int8, lower triangle of the Cholesky factor of the inverse covariance, in steps.
    step_ : (d,) one step of each of its columns.
    centres_ : (k, d) float16, centres times that factor.
    validation_ : (v,) float32, distances of validation prompts, ascending.
    """

    def fit(self, train_vectors: npt.NDArray[np.floating], validation_vectors: npt.NDArray[np.floating]) -> Self:
        """Learn from (n, d) and (v, d) vectors, n > 1, v > 0; rows of NaN (no text) are left out."""
        from sklearn.covariance import LedoitWolf  # slow to import, and measuring does not need it

        train, validation = _complete_rows(train_vectors), _complete_rows(validation_vectors)
        centres = _centres(train)
        around = train - centres[_nearest(train, centres)[0]]
        covariance = LedoitWolf(store_precision=False, assume_centered=True).fit(around).covariance_
        inverse = np.linalg.inv(covariance + _LEAST_VARIANCE * np.eye(len(covariance)))
        root = np.linalg.cholesky(inverse)
        self.step_ = np.abs(root).max(axis=0) / _STEPS
        self.root_ = np.rint(root / self.step_)[np.tri(len(root), dtype=bool)].astype(np.int8)
        self.centres_ = (centres @ self._whitening()).astype(np.float16)
        self.validation_ = np.sort(self.distances(validation)).astype(np.float32)
        return self

    def distances(self, vectors: npt.NDArray[np.floating]) -> FloatArray:
        """(n,) squared distances of (n, d) vectors to their nearest centres."""
        white = vectors.astype(np.float64) @ self._whitening()
        return _nearest(white, self.centres_.astype(np.float64))[1]

    def percentile(self, vectors: npt.NDArray[np.floating]) -> FloatArray:
        """(n,) share of validation prompts, 0 to 100, that are nearer to the training data than each vector."""
        nearer = np.searchsorted(self.validation_, self.distances(vectors).astype(np.float32))
        percentile: FloatArray = 100.0 * nearer / len(self.validation_)
        return percentile

    def _whitening(self) -> FloatArray:
        """(d, d) matrix that turns the covariance into the identity."""
        d = len(self.step_)
        matrix = np.zeros((d, d))
        matrix[np.tri(d, dtype=bool)] = self.root_
        whitening: FloatArray = matrix * self.step_
        return whitening


def _complete_rows(vectors: npt.NDArray[np.floating]) -> FloatArray:
    complete: FloatArray = vectors[~np.isnan(vectors).any(axis=1)].astype(np.float64)
    return complete


def _centres(vectors: FloatArray) -> FloatArray:
    """Means of at least `_LEAST_MEMBERS` different vectors each, or the mean of all if there are too few."""
    from sklearn.cluster import KMeans

    different = np.unique(vectors, axis=0)
    count = int(np.clip(len(different) // _PROMPTS_A_CENTRE, 1, _CENTRES))
    clusters = KMeans(count, n_init=1, random_state=0).fit(different)
    members = np.bincount(clusters.labels_, minlength=count)
    centres: FloatArray = clusters.cluster_centers_[members >= min(_LEAST_MEMBERS, members.max())]
    return centres


def _nearest(vectors: FloatArray, centres: FloatArray) -> tuple[npt.NDArray[np.intp], FloatArray]:
    """Index of the nearest centre of each vector, and its squared distance."""
    from scipy.spatial.distance import cdist

    squared = cdist(vectors, centres, "sqeuclidean")
    nearest = squared.argmin(axis=1)
    return nearest, squared[np.arange(len(vectors)), nearest]


UNLIKE_FROM = 99.0  # percentile of the distance to the train prompts


@dataclass(frozen=True, eq=False)
class RouterProfile:
    """Profile of a router fitted on train, with its settings chosen on validation and its coverage measured on test.

    In cross-fitting the router is fitted on all prompts; settings and coverage come from the estimates of the rounds,
    each by a router that had not seen the prompt, and the coverage of a prompt uses intervals of other prompts.

    Attributes
    ----------
    benchmark, data_hash : name and hash of its training data.
    encoder : encoder of the prompt vectors; None for a benchmark without texts.
    usage : quantity that the router predicts beside scores (`carrot_core.outcomes.Usage`).
    prices : price by model; empty if the benchmark records only dollars.
    cost_unit_usd : u, US dollars.
    best_single : best single model on validation.
    default_lam : λ of the cheapest point that promises to be as good as it (`CONFIDENCE`); if none can promise that,
        λ of the point most likely to be.
    curves : the router's curve on "validation", where λ is chosen, and on "test".
    input_tokens : tokens that each model charges for a text; None if cost is predicted in dollars.
    score_interval, usage_interval : around estimates; no usage interval if only the input is charged.
    distance : how unlike the training prompts a prompt is; None without vectors.
    coverage : on test, of the intervals meant to hold in ``nominal`` of cases: ``score``, ``usage``, and
        ``unlike``, the share of test prompts at the 99th percentile of distance or above; of a router that reads
        task labels, ``score_with_task`` and ``usage_with_task`` where they are known.
    n_train : number of training prompts.
    calibration : intervals for means of many decisions.
    """

    benchmark: str
    data_hash: str
    encoder: str | None
    usage: Usage
    prices: Mapping[str, Price]
    cost_unit_usd: float
    best_single: str
    default_lam: float
    curves: Mapping[str, SavedCurve]
    input_tokens: InputTokens | None
    score_interval: ScoreInterval
    usage_interval: UsageInterval | None
    distance: Distance | None
    coverage: Mapping[str, float | None]
    n_train: int
    calibration: Calibration


def profile_of(setting: Setting, router: Router, estimates: Mapping[str, Estimates]) -> RouterProfile:
    """Make the profile of a router fitted on the train prompts of a setting.

    Curves, λ and intervals of a router that reads task labels are those of prompts without one, since most typed
    prompts have none.

    Parameters
    ----------
    estimates : estimates of the router by split, as `Setting.fit` gives them.

    Raises
    ------
    CarrotError
        The router cannot estimate every model's score on a typed prompt.
    """
    if router.name not in SERVABLE:
        raise CarrotError(f"{router.name} cannot answer typed prompts; {', '.join(SERVABLE)} can.")
    models, train = router.models_, setting.train
    if models != setting.models:
        raise CarrotError(f"{router.name} chooses among {len(models)} of {len(setting.models)} models only.")
    with_task, reads_tasks = estimates, f"validation{WITHOUT_TASK}" in estimates
    if reads_tasks:
        estimates = {name: estimates[name + WITHOUT_TASK] for name in ("validation", setting.report_on)}
    curves = {"validation": setting.frontier(estimates, "validation")}
    curves["test"] = setting.frontier(estimates, setting.report_on)
    score_interval, usage_interval = intervals_of(setting.validation, estimates["validation"])
    rounds = [_distance(each.train, each.validation, each.test) for each in setting.rounds]
    distance = _joined(train, [each for each, _ in rounds])
    coverage = {"nominal": LEVEL, "unlike": mean_over_rounds([unlike for _, unlike in rounds], setting)}
    for suffix, tables in ({"": estimates, "_with_task": with_task} if reads_tasks else {"": estimates}).items():
        coverage |= {name + suffix: share for name, share in coverage_of(setting, estimates, tables).items()}
    input_tokens = _input_tokens(train)
    typed = _as_typed(setting.validation, estimates["validation"], input_tokens)
    return RouterProfile(
        benchmark=train.name,
        data_hash=train.data_hash,
        encoder=train.encoder,
        usage=train.usage,
        prices=dict(train.prices) if train.usage != "cost_usd" else {},
        cost_unit_usd=setting.cost_unit_usd,
        best_single=setting.best_single,
        default_lam=_default_lam(setting, curves["validation"]),
        curves={name: save_curve(curve) for name, curve in curves.items()},
        input_tokens=input_tokens,
        score_interval=score_interval,
        usage_interval=usage_interval,
        distance=distance,
        coverage=coverage,
        n_train=len(train.prompt_ids),
        calibration=Calibration().fit(typed, setting.validation.outcomes, curves["validation"]),
    )


def _as_typed(part: Benchmark, estimates: Estimates, input_tokens: InputTokens | None) -> Estimates:
    """The estimates with the input tokens that the texts would be charged for if they were typed."""
    if input_tokens is None:
        return estimates
    typed = replace(part, input_tokens=input_tokens.predict(texts_of(part)))
    usage = usage_of(part, estimates.cost_usd, part.usage, estimates.output_tokens)
    return replace(estimates, cost_usd=typed.cost_usd_of(usage, part.usage))


def _distance(train: Benchmark, validation: Benchmark, test: Benchmark) -> tuple[Distance | None, float | None]:
    """The distance to the train prompts, and the share of the test prompts that it finds unlike them."""
    if train.vectors is None or validation.vectors is None or test.vectors is None:
        return None, None
    distance = Distance().fit(train.vectors, validation.vectors)
    return distance, float((distance.percentile(test.vectors) >= UNLIKE_FROM).mean())


def _joined(train: Benchmark, rounds: Sequence[Distance | None]) -> Distance | None:
    """The distance to all train prompts, in percentiles of all rounds' validation distances."""
    own = [each for each in rounds if each is not None]
    if len(rounds) == 1 or train.vectors is None or not own:
        return rounds[0]
    distance = Distance().fit(train.vectors, train.vectors)
    distance.validation_ = np.sort(np.concatenate([each.validation_ for each in own]))
    return distance


def _input_tokens(train: Benchmark) -> InputTokens | None:
    if train.usage == "cost_usd":
        return None
    return InputTokens().fit(texts_of(train), train.input_tokens)


def _default_lam(setting: Setting, validation: Frontier) -> float:
    solution = match_model(validation, setting.best_single, CONFIDENCE)
    return float(lam_of_rate(solution.exchange_rate_per_usd, setting.cost_unit_usd))
