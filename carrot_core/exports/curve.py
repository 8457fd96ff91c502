"""The curve an operating point lies on, as a table."""

from __future__ import annotations

import io

import pandas as pd

from carrot_core.csv_out import safe_csv
from carrot_core.errors import CarrotError
from carrot_core.frontier import lam_of_rate
from carrot_core.serving.point import PointFile
from carrot_core.serving.router import CarrotRouter


def curve_table(router: CarrotRouter, point: PointFile) -> pd.DataFrame:
    """The router's curves on "validation" and "test", at the points that were kept of them.

    Returns
    -------
    ``split``, ``lam``, ``exchange_rate_per_usd`` (score per US dollar), ``score`` and ``cost_usd`` (means per
    query); a row holds up to the rate of the next.

    Raises
    ------
    CarrotError
        The point's pool or prices are its own: nothing was measured on them.
    """
    if point.test is None:
        raise CarrotError(
            "There is no curve of this point: its pool or prices are its own, and curves were measured on the "
            "whole pool at the prices of the benchmark."
        )
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "split": split,
                    "lam": lam_of_rate(curve.exchange_rate_per_usd, router.cost_unit_usd),
                    "exchange_rate_per_usd": curve.exchange_rate_per_usd,
                    "score": curve.score,
                    "cost_usd": curve.cost_usd,
                }
            )
            for split, curve in router.companion.curves.items()
        ],
        ignore_index=True,
    )


def as_csv(router: CarrotRouter, point: PointFile) -> bytes:
    """`curve_table` as CSV in UTF-8."""
    return safe_csv(curve_table(router, point)).encode()


def as_parquet(router: CarrotRouter, point: PointFile) -> bytes:
    """`curve_table` as Parquet."""
    file = io.BytesIO()
    curve_table(router, point).to_parquet(file, index=False)
    return file.getvalue()
