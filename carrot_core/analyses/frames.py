"""What the analyses share: the λ they stand at, and frames small enough to ship."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

LAMS = tuple(step / 20 for step in range(21))  # at which a table that cannot be of all λ stands


def small(frames: Iterable[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    """Frames one below the other, these columns of them; fractions in single precision."""
    found = list(frames)
    table = pd.concat(found, ignore_index=True)[columns] if found else pd.DataFrame(columns=columns)
    return table.astype(dict.fromkeys(table.select_dtypes("float64").columns, np.float32))
