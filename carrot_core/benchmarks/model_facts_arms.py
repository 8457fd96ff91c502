"""What is known of a model besides its price, and what several calls of one come to.

Facts are provider, open weights, release, context, effort and base model. Arms are the best, or the majority, of n
answers of one model, as further models of a benchmark: BEST-Route (arXiv 2506.22716) routes among such arms. What they
reach is computed from the samples of every cell and nothing is drawn: it is the mean over all subsets of n of a cell's
samples.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from carrot_core.benchmarks import Frames
from carrot_core.benchmarks.columns import quote
from carrot_core.benchmarks.table_file import ROW, TableFile
from carrot_core.errors import DataError, Problem
from carrot_core.outcomes import SCORE_RANGE, Benchmark, Estimates, Outcomes
from carrot_core.prices.files import match_name, read_records
from carrot_core.text import counted, names_listed

_DATE = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?")
_YES, _NO = ("true", "1", "yes", "open"), ("false", "0", "no", "closed")
_LITELLM = {"litellm_provider": "provider", "max_input_tokens": "context_tokens"}  # in its price map
FloatArray = npt.NDArray[np.float64]
_FOLDS = 8  # samples left out in turn by `oracle_of_other_samples`; more tell little more
_ARM = re.compile(r"(best|majority)-of-([2-9]|[1-9][0-9])")
_NOTE = re.compile(rf"The arm {_ARM.pattern} ")
_PER_CALL = ["input_tokens", "output_tokens", "cost_usd", "cached_input_tokens", "reasoning_tokens"]


@dataclass(frozen=True)
class ModelFacts:
    """Facts of one model, "" or None where not known.

    Attributes
    ----------
    provider : who answers, such as "openai" or "together".
    open_weights : whether anybody can run it.
    release_date : 2025, 2025-02 or 2025-02-06.
    context_tokens : the longest input.
    effort : how long it reasons, in the words of its provider.
    base_model : the model that it is at this effort or provider, or was tuned from.
    """

    provider: str = ""
    open_weights: bool | None = None
    release_date: str = ""
    context_tokens: float | None = None
    effort: str = ""
    base_model: str = ""

    def is_released_after(self, date: str) -> bool:
        """Whether it is known to be of a later year, month or day than a date, in the precision of that date."""
        return self.release_date[: len(date)] > date


FACTS = tuple(each.name for each in fields(ModelFacts))
NOTHING = ModelFacts()


def read_model_facts(path: Path) -> dict[str, ModelFacts]:
    """Facts by model name from a CSV with the column ``model`` and some of `FACTS`, or from JSON, as price files.

    Raises
    ------
    DataError
        None of these columns, a model twice, or a value that cannot be read; row and column are named.
    """
    rows, is_map = read_records(path)
    if is_map:
        rows = [{_LITELLM.get(name, name): cell for name, cell in row.items()} for row in rows]
    facts: dict[str, ModelFacts] = {}
    problems = []
    if not any(name in row for row in rows for name in FACTS):
        remedy = f"The columns are model, and any of {', '.join(FACTS)}."
        problems.append(Problem("No facts of models here", remedy))
    for number, row in enumerate(rows, start=1):
        model = str(row.get("model") or "")
        if not model or model in facts:
            what = "A model stands twice" if model else "No model is named"
            problems.append(Problem(what, "One row is one model.", number, "model", model))
        facts[model], faults = _facts(row, number)
        problems += faults
    if problems:
        raise DataError(path.name, problems)
    return facts


def _facts(row: Mapping[str, Any], number: int) -> tuple[ModelFacts, list[Problem]]:
    """The facts of a row, and what of it cannot be read."""
    cells = {name: str(row[name]).strip() for name in FACTS if row.get(name) is not None and row[name] != ""}
    values: dict[str, Any] = dict(cells)
    problems = []
    if (text := cells.get("open_weights", "").casefold()) and text in (*_YES, *_NO):
        values["open_weights"] = text in _YES
    elif text:
        problems.append(Problem("Not true or false", "Write true or false.", number, "open_weights", text))
    if not _DATE.fullmatch(cells.get("release_date", "2025")):
        remedy = "Write 2025, 2025-02 or 2025-02-06."
        problems.append(Problem("Not a date", remedy, number, "release_date", cells["release_date"]))
    if text := cells.get("context_tokens", ""):
        values["context_tokens"] = float(text) if re.fullmatch(r"\d{1,12}(\.0*)?", text) else None
        if values["context_tokens"] is None:
            problems.append(Problem("Not a number of tokens", "Write 128000.", number, "context_tokens", text))
    for problem in problems:
        values.pop(problem.column or "", None)
    return ModelFacts(**values), problems


def facts_in(table: TableFile) -> tuple[dict[str, ModelFacts], list[str]]:
    """Facts that the rows of a long table have in columns, by model, and what is to be said of them.

    A fact that differs between rows of a model is none of the model's.
    """
    names = [name for name in FACTS if name in table.types]
    if not names:
        return {}, []
    cells = ", ".join(f"list(distinct nullif(trim({name}::varchar), '')) as {name}" for name in names)
    query = f"select model, min({quote(ROW)}), {cells} from file group by model"  # noqa: S608  fixed names
    facts: dict[str, ModelFacts] = {}
    notes = []
    for model, row, *lists in table.connection.execute(query).fetchall():
        values = {name: list(filter(None, each or ())) for name, each in zip(names, lists, strict=True)}
        several = [name for name, each in values.items() if len(each) > 1]
        if several:
            notes.append(f"Rows of {model!r} differ in {', '.join(several)}: not kept.")
        facts[model], problems = _facts({name: each[0] for name, each in values.items() if len(each) == 1}, row)
        notes += [f"{each.column} of {model!r} is {each.value!r}: not kept. {each.remedy}" for each in problems]
    return facts, notes


def with_facts(frames: Frames, facts: Mapping[str, ModelFacts], notes: Sequence[str] = ()) -> Frames:
    """Frames with facts of their models, by the rule of `prices.files.match_name`, before those they have."""
    if not facts:
        return frames
    models = frames.models["model"].tolist()
    matches = {model: match_name(model, facts) for model in models}
    rows = []
    for old in frames.models.to_dict("records"):
        before, now = facts_of_row(old), facts.get(matches[old["model"]].name, NOTHING)
        updates = {name: value for name, value in asdict(now).items() if value not in ("", None)}
        rows.append(asdict(replace(before, **updates)))
    table = pd.DataFrame(rows, columns=FACTS, dtype=object).replace("", None)
    table = table.astype({"open_weights": "boolean", "context_tokens": "float64"})
    rest = frames.models.drop(columns=list(FACTS), errors="ignore")
    unknown = [model for model, match in matches.items() if not match.name]
    more = [f"No facts are known of {names_listed(unknown, 10)}."] if unknown else []
    return frames.noted(
        models=pd.concat([rest.reset_index(drop=True), table], axis=1),
        warnings=(*frames.warnings, *notes, *more),
    )


def facts_of_row(row: Mapping[Any, Any]) -> ModelFacts:
    """Facts from a row of `Frames.models` or of the store, which may lack any of them."""
    cells = {name: row[name] for name in FACTS if name in row and not pd.isna(row[name])}
    if "open_weights" in cells:
        cells["open_weights"] = bool(cells["open_weights"])  # not NumPy's
    return ModelFacts(**cells)


def arms_of_models(models: Sequence[str], facts: Mapping[str, ModelFacts]) -> dict[str, tuple[str, ...]]:
    """Those of some models that are one model of one provider at several efforts or in several scaffolds, by that
    model; a model that has one arm alone is left out."""
    arms: dict[tuple[str, str], list[str]] = {}
    for model in models:
        known = facts.get(model, NOTHING)
        arms.setdefault((known.provider, known.base_model or model), []).append(model)
    return {base: tuple(names) for (_, base), names in arms.items() if len(names) > 1}


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
    from scipy.stats import hypergeom  # half a second to import

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
KINDS = tuple(_SCORES)


def add_arms(frames: Frames, arms: Sequence[str]) -> Frames:
    """The benchmark with arms of every model that has samples enough, as models "<model> best-of-2" and so on.

    An arm costs n times the mean call of its cell, and its ``base_model`` is the model, or that of the model. Cells
    with fewer than n samples are not observed for it. There are no arms of arms: those that are there take no part.

    Parameters
    ----------
    arms : "best-of-n" or "majority-of-n" with n from 2 to 99.

    Raises
    ------
    DataError
        An arm of another name, cells without samples enough, or a majority of scores other than 0 and 1.
    """
    source, runs = frames.provenance.source, frames.outcomes
    there = arms_in(frames.models["model"])
    own = ~runs["model"].isin([model for models in there.values() for model in models])
    cells = runs[own].groupby(["prompt_id", "model"], sort=True)
    scores = _samples(cells["score"])
    means = cells[[name for name in _PER_CALL if name in runs]].mean()
    outcomes, models, warnings = [runs], [frames.models], []
    for arm in (name for name in dict.fromkeys(arms) if name not in there):
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
    return frames.noted(
        models=pd.concat(models).sort_values("model", ignore_index=True),
        outcomes=pd.concat(outcomes, ignore_index=True),
        warnings=(*frames.warnings, *warnings),
    )


def arms_in(models: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Models that are arms of others of these models, by the arm, such as "best-of-2"."""
    names, there = set(models), dict[str, list[str]]()
    for model in sorted(names):
        base, _, arm = model.rpartition(" ")
        if base in names and _ARM.fullmatch(arm):
            there.setdefault(arm, []).append(model)
    return {arm: tuple(models) for arm, models in there.items()}


def without_arms(frames: Frames) -> Frames:
    """The benchmark without its arms and what was noted of them."""
    arms = [model for models in arms_in(frames.models["model"]).values() for model in models]
    models, outcomes = (
        table[~table["model"].isin(arms)].reset_index(drop=True) for table in (frames.models, frames.outcomes)
    )
    warnings = tuple(note for note in frames.warnings if not _NOTE.match(note))
    return replace(frames, models=models, outcomes=outcomes, warnings=warnings)


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
    missing = (
        f" {counted(n_missing, 'cell has', 'cells have')} fewer samples: not observed for it." if n_missing else ""
    )
    return f"The arm {arm} {needs}; it costs {n} calls.{missing}"


def oracle_of_other_samples(part: Benchmark) -> list[tuple[Estimates, Outcomes]]:
    """The oracle choosing by some samples of every cell, and what the sample that it did not see came to.

    The best of several noisy means is too high, since luck chooses with it. Read on a sample that had no part in the
    choice, the oracle's figure is without that luck; it is a little low, because fewer samples choose. What an oracle
    of true means would reach lies between the two, in expectation.

    Returns
    -------
    One pair for each of at most `_FOLDS` samples that are left out in turn, on the prompts that the whole pool
    answered several times; empty where there is none.
    """
    if part.sample_score is None:
        return []
    part = part.rows(part.outcomes.complete & ((~np.isnan(part.sample_score)).sum(axis=2) > 1).all(axis=1))
    if part.sample_score is None or part.sample_cost_usd is None or not part.prompt_ids:
        return []
    counts = (~np.isnan(part.sample_score)).sum(axis=2)
    # Where a sample has no cost of its own, that of the cell stands for it.
    cost = np.where(np.isnan(part.sample_cost_usd), part.outcomes.cost_usd[:, :, None], part.sample_cost_usd)
    folds = []
    for fold in range(min(int(counts.max()), _FOLDS)):
        place = (fold % counts)[:, :, None]
        tables = []
        for samples in (part.sample_score, np.where(np.isnan(part.sample_score), np.nan, cost)):
            left_out = np.take_along_axis(samples, place, axis=2)[:, :, 0]
            others = (np.nansum(samples, axis=2) - left_out) / (counts - 1)
            tables.append((np.maximum(others, 0.0), left_out))  # a difference may come out just below 0
        (basis, score), (seen_cost, paid) = tables
        estimates = Estimates(part.prompt_ids, part.models, basis, seen_cost)
        folds.append((estimates, Outcomes(part.prompt_ids, part.models, score, paid)))
    return folds
