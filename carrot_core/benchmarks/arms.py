"""Arms of several calls: the best, or the majority, of n answers of one model, as further models of a benchmark.

BEST-Route (arXiv 2506.22716) routes among such arms. What they reach is computed from the samples of every cell and
nothing is drawn: it is the mean over all subsets of n of a cell's samples.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import hypergeom

from carrot_core.benchmarks import Frames
from carrot_core.errors import DataError
from carrot_core.outcomes import SCORE_RANGE

FloatArray = npt.NDArray[np.float64]
_ARM = re.compile(r"(best|majority)-of-([2-9]|[1-9][0-9])")
_PER_CALL = ["input_tokens", "output_tokens", "cost_usd", "cached_input_tokens", "reasoning_tokens"]


def best_of(samples: FloatArray, n: int) -> FloatArray:
    """(k,) mean over all subsets of n of a row's samples of the highest score; NaN where a row has fewer.

    ``samples`` is (k, S), NaN behind a row's last sample.
    """
    counts = (~np.isnan(samples)).sum(axis=1, keepdims=True)
    ascending, position = np.nan_to_num(np.sort(samples, axis=1)), np.arange(samples.shape[1] + 1)
    # Share of the subsets that lie within the lowest 0, 1, … S samples; its steps are how often each is the highest.
    within = np.ones((len(samples), len(position)))
    with np.errstate(divide="ignore", invalid="ignore"):
        for draw in range(n):
            within *= np.clip((position - draw) / (counts - draw), 0.0, 1.0)
    mean: FloatArray = (np.diff(within, axis=1) * ascending).sum(axis=1)
    mean[counts[:, 0] < n] = np.nan
    return _in_bounds(mean)


def majority_of(samples: FloatArray, n: int) -> FloatArray:
    """(k,) share of the subsets of n of a row's samples of which more than half are right; NaN as in `best_of`.

    A tie counts as half. ``samples`` is (k, S) of 0 and 1, NaN behind a row's last sample.
    """
    counts = (~np.isnan(samples)).sum(axis=1)
    enough = counts >= n
    share = np.full(len(samples), np.nan)
    right = hypergeom(counts[enough], np.nansum(samples[enough], axis=1).astype(np.int64), n)
    share[enough] = right.sf(n // 2) + (right.pmf(n // 2) / 2 if n % 2 == 0 else 0.0)
    return _in_bounds(share)


def _in_bounds(scores: FloatArray) -> FloatArray:
    """Scores without the last bits that a sum of shares may come to beyond 1."""
    bounded: FloatArray = np.clip(scores, *SCORE_RANGE)
    return bounded


_SCORES: dict[str, Callable[[FloatArray, int], FloatArray]] = {"best": best_of, "majority": majority_of}


def add_arms(frames: Frames, arms: Sequence[str]) -> Frames:
    """The benchmark with arms of every model that has samples enough, as models "<model> best-of-2" and so on.

    An arm costs n times the mean call of its cell, and its ``base_model`` is the model, or that of the model. Cells
    with fewer than n samples are not observed for it.

    Parameters
    ----------
    arms : "best-of-n" or "majority-of-n" with n from 2 to 99.

    Raises
    ------
    DataError
        An arm of another name, cells without samples enough, or a majority of scores other than 0 and 1.
    """
    source, runs = frames.provenance.source, frames.outcomes
    cells = runs.groupby(["prompt_id", "model"], sort=True)
    scores = _samples(cells["score"])
    means = cells[[name for name in _PER_CALL if name in runs]].mean()
    outcomes, models, warnings = [runs], [frames.models], []
    for arm in dict.fromkeys(arms):
        match = _ARM.fullmatch(arm)
        if match is None:
            raise DataError(source, f"there is no arm {arm!r}: use best-of-2, majority-of-3 or others like these")
        kind, n = match[1], int(match[2])
        if kind == "majority" and not np.isin(scores[~np.isnan(scores)], (0.0, 1.0)).all():
            raise DataError(source, f"{arm} needs scores of 0 and 1, and there are others")
        table = (means * n).assign(score=_SCORES[kind](scores, n)).dropna(subset=["score"]).reset_index()
        if table.empty:
            raise DataError(source, f"no cell has the {n} samples of {arm}: the column sample tells them apart")
        called = {model: f"{model} {arm}" for model in table["model"].unique()}
        outcomes.append(table.assign(model=table["model"].map(called)))
        priced = frames.models[frames.models["model"].isin(called)]
        base = priced["base_model"].fillna(priced["model"]) if "base_model" in priced else priced["model"]
        models.append(priced.assign(model=priced["model"].map(called), base_model=base))
        warnings.append(_note(arm, kind, n, len(cells) - len(table)))
    return replace(
        frames,
        models=pd.concat(models).sort_values("model", ignore_index=True),
        outcomes=pd.concat(outcomes, ignore_index=True),
        warnings=(*frames.warnings, *warnings),
    )


def _samples(scores: pd.api.typing.SeriesGroupBy[Any, Any]) -> FloatArray:
    """(k, S) scores of the k cells, NaN behind a cell's last sample."""
    cell, place = scores.ngroup().to_numpy(), scores.cumcount().to_numpy()
    table = np.full((scores.ngroups, int(place.max()) + 1), np.nan)
    table[cell, place] = scores.obj.to_numpy(dtype=np.float64)
    return table


def _note(arm: str, kind: str, n: int, n_missing: int) -> str:
    needs = (
        "is the best of the answers, so it needs a verifier that finds it" if kind == "best" else "counts ties as half"
    )
    missing = f" {n_missing:,} cells have fewer samples and are not observed for it." if n_missing else ""
    return f"The arm {arm} {needs}; it costs {n} calls.{missing}"
