"""Split prompts by a seed and their texts: into train, validation and test, or into folds of every task."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Sequence
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from carrot_core.errors import CarrotError
from carrot_core.outcomes import SPLITS, Benchmark
from carrot_core.text import text_keys

FRACTIONS = (0.70, 0.15, 0.15)
FOLDS = 5
LEAST_FOLDS = 3  # one to judge, one to choose on, and at least one to learn from
# Ends a message about a source's own split that does not serve.
OTHER_SPLIT = "`--split derive` leaves the file's own split aside and splits the prompts anew."


def duplicate_keys(prompt_ids: Sequence[str], texts: Sequence[str | None]) -> list[str]:
    """One key a prompt; prompts with the same text (NFC, outer white space aside) share theirs.

    A prompt without text is only ever equal to itself.
    """
    normal = [unicodedata.normalize("NFC", text or "").strip() for text in texts]
    return [text or f"\0{prompt_id}" for prompt_id, text in zip(prompt_ids, normal, strict=True)]


def split(
    prompt_ids: Sequence[str],
    texts: Sequence[str | None],
    *,
    seed: int = 0,
    fractions: tuple[float, float, float] = FRACTIONS,
) -> npt.NDArray[np.str_]:
    """Assign every prompt to "train", "validation" or "test"; identical texts stay on one side.

    The distinct texts are ordered by sha256 of seed and text and cut at the fractions, so the result
    does not depend on the order of the prompts.

    Parameters
    ----------
    prompt_ids, texts : n ids and n texts (None where a prompt has none).
    seed : any integer; another seed gives another split.
    fractions : shares of the distinct texts in train, validation and test; they sum to 1.

    Returns
    -------
    (n,) array of split names.

    Raises
    ------
    CarrotError
        Fractions that are negative or do not sum to 1.
    """
    if min(fractions) < 0 or abs(sum(fractions) - 1.0) > 1e-9:
        raise CarrotError(f"Split fractions {fractions} must be at least 0 and sum to 1.")
    keys = duplicate_keys(prompt_ids, texts)
    ordered = sorted(set(keys), key=lambda key: draw(seed, key))
    ends = ends_of(fractions, len(ordered))
    side = np.searchsorted(ends, np.arange(len(ordered)), side="right")
    of_key = dict(zip(ordered, side, strict=True))
    names: npt.NDArray[np.str_] = np.array(SPLITS)[np.array([of_key[key] for key in keys], dtype=np.intp)]
    return names


def ends_of(fractions: tuple[float, float, float], n_texts: int) -> npt.NDArray[np.float64]:
    """(3,) places, among texts in the order of their draws, at which train, validation and test end."""
    ends: npt.NDArray[np.float64] = np.rint(np.cumsum(fractions) * n_texts)
    return ends


def folds(
    prompt_ids: Sequence[str],
    texts: Sequence[str | None],
    tasks: Sequence[str],
    n_folds: int = FOLDS,
    *,
    seed: int = 0,
) -> npt.NDArray[np.intp]:
    """Assign every prompt to a fold; identical texts share one, and each task is spread over all of them.

    The distinct texts are ordered by task, those of a task by sha256 of seed and text, and dealt out in turn. So a
    task with as many texts as there are folds is in each of them, folds differ by at most one text, and the order of
    the prompts does not matter. A text of several tasks goes with the one it has most often.

    Parameters
    ----------
    prompt_ids, texts, tasks : n ids, texts (None where a prompt has none) and task labels.
    n_folds : how many, from `LEAST_FOLDS`; fewer where there are fewer distinct texts.
    seed : any integer; another seed gives other folds.

    Returns
    -------
    (n,) number of each prompt's fold, from 0.

    Raises
    ------
    CarrotError
        Fewer folds or distinct texts than `LEAST_FOLDS`.
    """
    if n_folds < LEAST_FOLDS:
        raise CarrotError(f"Cross-fitting needs at least {LEAST_FOLDS} folds, not {n_folds}.")
    keys = duplicate_keys(prompt_ids, texts)
    tasks_of: dict[str, Counter[str]] = {}
    for key, task in zip(keys, tasks, strict=True):
        tasks_of.setdefault(key, Counter())[task] += 1
    if len(tasks_of) < LEAST_FOLDS:
        raise CarrotError(f"Cross-fitting needs at least {LEAST_FOLDS} different prompts; there are {len(tasks_of)}.")
    task_of = {key: min(counts, key=lambda task: (-counts[task], task)) for key, counts in tasks_of.items()}
    ordered = sorted(task_of, key=lambda key: (task_of[key], draw(seed, key)))
    place = {key: number % min(n_folds, len(ordered)) for number, key in enumerate(ordered)}
    return np.array([place[key] for key in keys], dtype=np.intp)


def draw(seed: int, key: str) -> bytes:
    """What puts texts in a random order that is always the same."""
    return hashlib.sha256(f"{seed}|{key}".encode("utf-8", "surrogatepass")).digest()


def random_order(keys: Sequence[str]) -> npt.NDArray[np.intp]:
    """(n,) place of each key in a random order that is always the same; equal keys share theirs."""
    places: npt.NDArray[np.intp] = np.unique([draw(0, key) for key in keys], return_inverse=True)[1]
    return places


_text_orders: WeakKeyDictionary[Benchmark, npt.NDArray[np.intp]] = WeakKeyDictionary()


def text_order(bench: Benchmark) -> npt.NDArray[np.intp]:
    """`random_order` of the texts of a benchmark's prompts, which tells texts apart without holding them."""
    if bench not in _text_orders:
        keys = duplicate_keys(bench.prompt_ids, text_keys(bench.texts, bench.text_hashes))
        _text_orders[bench] = random_order(keys)
    return _text_orders[bench]


def folds_of(bench: Benchmark, fit_on: Benchmark | None = None, n_folds: int | None = None) -> int:
    """How many folds a benchmark is cross-fitted in; 0 where it is judged by its source's own split, or by another.

    Raises
    ------
    CarrotError
        Folds are asked for where routers learn from another benchmark.
    """
    if fit_on is not None and n_folds:
        raise CarrotError("Cross-fitting is of one benchmark: leave out the folds, or the other one to learn from.")
    return n_folds or (FOLDS if bench.split_is_ours and fit_on is None else 0)
