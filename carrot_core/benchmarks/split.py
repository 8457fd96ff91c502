"""Split prompts into train, validation and test by a seed and their texts alone."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from carrot_core.errors import CarrotError
from carrot_core.outcomes import SPLITS

FRACTIONS = (0.70, 0.15, 0.15)
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
    ordered = sorted(
        set(keys), key=lambda key: hashlib.sha256(f"{seed}|{key}".encode("utf-8", "surrogatepass")).digest()
    )
    ends = np.rint(np.cumsum(fractions) * len(ordered))
    side = np.searchsorted(ends, np.arange(len(ordered)), side="right")
    of_key = dict(zip(ordered, side, strict=True))
    names: npt.NDArray[np.str_] = np.array(SPLITS)[np.array([of_key[key] for key in keys], dtype=np.intp)]
    return names
