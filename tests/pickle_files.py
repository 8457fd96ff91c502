"""Made-up frames to pickle, what is in them, and attacks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from carrot_core.benchmarks.pickles import columns, load
from carrot_core.benchmarks.pickles.records import RefusedError

PROTOCOLS = (2, 3, 4, 5)


class Calls:
    """Pickles as a call of a function with arguments."""

    def __init__(self, function: Callable[..., Any], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "sample_id": ["a.0", "b.1", "c.2"],
            "score": [1.0, 0.0, np.nan],
            "n": [1, 2, 3],
            "right": [True, False, True],
            "note": np.array(["x", None, "zß"], dtype=object),
            "mixed": np.array([0.5, 2, True], dtype=object),
        }
    )


def values(table: pd.DataFrame) -> dict[str, list[object]]:
    """Columns as Python values, numbers as float, nothing as None."""

    def plain(value: Any) -> object:
        if value is None or value is pd.NA or value != value:
            return None
        return value if isinstance(value, str) else float(value)

    return {str(name): [plain(value) for value in table[name].tolist()] for name in table}


def stopped(data: bytes, folder: Path) -> str:
    """What is said about a pickle that is refused, after making sure that it is."""
    path = folder / "attack.pkl"
    path.write_bytes(data)
    with pytest.raises(RefusedError) as error:
        columns(load(path))
    return str(error.value)
