"""Predict how many input tokens each model counts in a typed prompt."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Self

import numpy as np
import numpy.typing as npt

from carrot_core.errors import CarrotError
from carrot_core.outcomes import FloatTable

# What tokenizers of language models tend to make one token of: up to ten Latin letters, four of other
# alphabets, a letter of a script without spaces, a digit, two symbols, a run of line ends. The lengths
# are those with the least error on validation prompts (docs/method.md, "Typed prompts").
_PIECE = re.compile(r"[A-Za-z]{1,10}|[\u00c0-\u1fff]{1,4}|\w|[^\w\s]{1,2}|\n+")
_ODD_ERROR = 0.05  # relative errors beyond this count linearly, not squared


def piece_count(text: str) -> int:
    """Tokens counted without knowing the model: words, numbers and symbols, long words in pieces."""
    return len(_PIECE.findall(text))


class InputTokens:
    """Input tokens of each model as a linear function of the number of pieces of the text (`piece_count`).

    Each model has its own slope and intercept, since tokenizers and chat templates differ. Both are at least 0
    and fitted to relative errors with a robust loss (soft L1).

    Attributes
    ----------
    slope_ : (M,) tokens a piece.
    intercept_ : (M,) tokens that every call has.
    """

    def fit(self, texts: Sequence[str | None], input_tokens: FloatTable) -> Self:
        """Learn the lines.

        Parameters
        ----------
        texts : n training prompts; those without text are left out.
        input_tokens : (n, M) recorded counts, NaN where there is none. A model without any gets the line
            of the mean over the models that have one.

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
        """(n, M) tokens, at least 0, of any texts."""
        pieces = np.array([piece_count(text) for text in texts], dtype=np.float64).reshape(-1, 1)
        tokens: FloatTable = self.intercept_ + self.slope_ * pieces
        return tokens

    def columns(self, index: npt.NDArray[np.intp]) -> InputTokens:
        """The same for some of the models, in the order asked for."""
        part = InputTokens()
        part.slope_, part.intercept_ = self.slope_[index], self.intercept_[index]
        return part


def _line(pieces: npt.NDArray[np.float64], tokens: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Slope and intercept."""
    from scipy.optimize import least_squares  # slow to import, and not needed to count

    mask = (tokens > 0) & ~np.isnan(pieces)
    if not mask.any():
        raise CarrotError("No input tokens are recorded, so how models count them cannot be learned.")
    relative = np.column_stack([pieces[mask], np.ones(mask.sum())]) / tokens[mask, None]

    def relative_error(line: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return relative @ line - 1.0

    fit = least_squares(relative_error, (1.0, 1.0), bounds=(0.0, np.inf), loss="soft_l1", f_scale=_ODD_ERROR)
    line: npt.NDArray[np.float64] = fit.x
    return line
