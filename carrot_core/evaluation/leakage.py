"""Prompts that occur, word for word or nearly, on more than one side of a split."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse

from carrot_core.errors import CarrotError
from carrot_core.outcomes import SPLITS, Benchmark

COSINE = 0.98
JACCARD = 0.8
SHINGLE_WORDS = 3
_BLOCK = 512  # prompts compared with all others at a time
_FEATURES = 2**20
_PAIRS = [(first, second) for place, first in enumerate(SPLITS) for second in SPLITS[place + 1 :]]


@dataclass(frozen=True, eq=False)
class Leakage:
    """Near and exact copies across the split of one benchmark.

    Attributes
    ----------
    benchmark : name.
    n_prompts : with a text, by split.
    cosine, jaccard : thresholds of "near": cosine of the stored vectors (None where there are none) and share
        of common word triples.
    counts : columns kind ("same text", "cosine", "word triples"), from_split, in_split, n_prompts (prompts of
        ``in_split`` that have a copy in ``from_split``) and share of the prompts of ``in_split``. A near copy may also
        be an exact one.
    pairs : columns kind, from_split, in_split, from_prompt, in_prompt, similarity: for every prompt counted,
        its nearest copy; most similar first.
    """

    benchmark: str
    n_prompts: dict[str, int]
    cosine: float | None
    jaccard: float
    counts: pd.DataFrame
    pairs: pd.DataFrame


def leaks(
    bench: Benchmark,
    *,
    cosine: float = COSINE,
    jaccard: float = JACCARD,
    progress: Callable[[int, int], None] | None = None,
) -> Leakage:
    """Find prompts whose copy or near copy is on another side of the split.

    Exact: the same apart from letter case and white space, see `normal`.
    Near: vectors with at least this cosine, or at least this share (Jaccard) of common word triples. Templates make
    texts with different questions look alike, so a person has to judge near copies.

    Parameters
    ----------
    bench : prompts with texts; vectors, if there are any, are compared too.
    progress : called with (pairs of splits compared, in all).

    Raises
    ------
    CarrotError
        No prompt has a text.
    """
    readable = bench.rows(np.array([text is not None for text in bench.texts], dtype=bool))
    if not readable.prompt_ids:
        raise CarrotError(f"{bench.name!r} has no prompt texts to compare.")
    parts = {name: readable.part(name) for name in SPLITS}
    kinds: list[tuple[str, Callable[[Benchmark, Benchmark], Iterator[Copy]]]] = [("same text", _same_text)]
    if readable.vectors is not None:
        kinds.append(("cosine", lambda first, second: _near_vectors(first, second, cosine)))
    kinds.append(("word triples", lambda first, second: _near_words(first, second, jaccard)))
    rows, done = [], 0
    for kind, find in kinds:
        for first, second in _PAIRS:
            ids = parts[first].prompt_ids, parts[second].prompt_ids
            for row, column, similarity in find(parts[first], parts[second]):
                rows.append((kind, first, second, ids[0][column], ids[1][row], similarity))
            done += 1
            if progress is not None:
                progress(done, len(kinds) * len(_PAIRS))
    names = ["kind", "from_split", "in_split", "from_prompt", "in_prompt", "similarity"]
    pairs = pd.DataFrame(rows, columns=names).sort_values("similarity", ascending=False, kind="stable")
    sizes = {name: len(part.prompt_ids) for name, part in parts.items()}
    return Leakage(
        bench.name,
        sizes,
        cosine if readable.vectors is not None else None,
        jaccard,
        _count(pairs, [kind for kind, _ in kinds], sizes),
        pairs.reset_index(drop=True),
    )


# Row of the second part, row of its nearest copy in the first, and their similarity.
Copy = tuple[int, int, float]


def normal(text: str) -> str:
    """A text in composed characters, with letter case and white space normalised, which do not change its question."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def _same_text(first: Benchmark, second: Benchmark) -> Iterator[Copy]:
    where = {normal(text or ""): row for row, text in reversed(list(enumerate(first.texts)))}
    for row, text in enumerate(second.texts):
        copy = where.get(normal(text or ""))
        if copy is not None:
            yield row, copy, 1.0


def _near_vectors(first: Benchmark, second: Benchmark, least: float) -> Iterator[Copy]:
    from carrot_core.routers.neighbours import nearest, unit_vectors  # compiled code that only this function needs

    if first.prompt_ids and second.prompt_ids:
        references, queries = (unit_vectors(part.vectors) for part in (first, second) if part.vectors is not None)
        similarity, rows = nearest(queries, references, 1)
        for row in np.flatnonzero(similarity[:, 0] >= least):
            yield int(row), int(rows[row, 0]), float(similarity[row, 0])


def _near_words(first: Benchmark, second: Benchmark, least: float) -> Iterator[Copy]:
    references, queries = _shingles(first), _shingles(second)
    counts, others = references.sum(axis=1), queries.sum(axis=1)
    for start in range(0, queries.shape[0], _BLOCK):
        block = slice(start, start + _BLOCK)
        common = (queries[block] @ references.T).toarray()
        union = others[block][:, None] + counts[None, :] - common
        yield from _most_alike(common / np.maximum(union, 1), start, least)


def _shingles(part: Benchmark) -> scipy.sparse.csr_array:
    """(n, 2^20) word triples (shingles) of each text; a text of fewer words is one shingle."""
    from sklearn.feature_extraction.text import HashingVectorizer

    hashing = HashingVectorizer(analyzer=_triples, n_features=_FEATURES, norm=None, alternate_sign=False, binary=True)
    return scipy.sparse.csr_array(hashing.transform(text or "" for text in part.texts), dtype=np.float32)


def _triples(text: str) -> list[str]:
    words = normal(text).split()
    last = max(len(words) - SHINGLE_WORDS, 0)
    return [" ".join(words[place : place + SHINGLE_WORDS]) for place in range(last + 1)]


def _most_alike(similarity: npt.NDArray[np.floating], start: int, least: float) -> Iterator[Copy]:
    if not similarity.shape[1]:
        return
    best = similarity.argmax(axis=1)
    value = similarity[np.arange(len(best)), best]
    for row in np.flatnonzero(value >= least):
        yield start + int(row), int(best[row]), float(value[row])


def _count(pairs: pd.DataFrame, kinds: list[str], sizes: dict[str, int]) -> pd.DataFrame:
    counts = pairs.groupby(["kind", "from_split", "in_split"]).size()
    rows = [
        (kind, first, second, n := int(counts.get((kind, first, second), 0)), n / max(sizes[second], 1))
        for kind in kinds
        for first, second in _PAIRS
    ]
    return pd.DataFrame(rows, columns=["kind", "from_split", "in_split", "n_prompts", "share"])


def report(leakage: Leakage, examples: int = 3) -> str:
    """The result for a terminal: counts, and the most similar pairs of every kind by their ids."""
    sizes = ", ".join(f"{count:,} {name}" for name, count in leakage.n_prompts.items())
    meaning = {
        "same text": "the same text but for letter case and white space",
        "cosine": f"vectors with a cosine of at least {leakage.cosine}",
        "word triples": f"at least {leakage.jaccard} of their word triples in common",
    }
    lines = [f"{leakage.benchmark}: prompts with a copy on another side of the split ({sizes})."]
    for kind, rows in leakage.counts.groupby("kind", sort=False):
        lines.append(f"{meaning[str(kind)]}:")
        lines += [
            f"  {row.n_prompts:>7,} of {row.in_split} ({row.share:.2%}) have one in {row.from_split}"
            for row in rows.itertuples(index=False)
        ]
        alike = leakage.pairs[leakage.pairs["kind"] == kind].head(examples)
        lines += [
            f"          {row.in_prompt} ({row.in_split}) and {row.from_prompt} ({row.from_split}): {row.similarity:.3f}"
            for row in alike.itertuples(index=False)
        ]
    return "\n".join(lines)
