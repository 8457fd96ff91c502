"""An operating point as a file: which router, at which λ, on which pool and prices, so that it runs elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from carrot_core.errors import CarrotError, DataError, NotFoundError, Problem
from carrot_core.pricing import Price
from carrot_core.serving.expectation import Prices, as_price

_MOST_BYTES = 4 << 20


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class PointPrice(_Strict):
    """US dollars per million tokens."""

    input_usd_per_mtok: float = Field(ge=0)
    output_usd_per_mtok: float = Field(ge=0)


class PointFile(_Strict):
    """The document of an exported operating point.

    Attributes
    ----------
    source : what `CarrotRouter.load` takes: a benchmark, a folder or a repository of the hub.
    router, artefact : its name, and the sha256 of its numbers, which must be the same when it is loaded.
    benchmark, data_hash : what it was fitted on.
    lam, cost_unit_usd : λ and u.
    pool : models it may choose, all of the router's by default.
    prices : in place of those of the benchmark.
    fallback, fallback_above : model for prompts unlike the training data, and from which percentile.
    """

    format: Literal[1] = 1
    source: str
    router: str
    artefact: str
    benchmark: str
    data_hash: str
    lam: float = Field(ge=0, le=1)
    cost_unit_usd: float = Field(gt=0)
    pool: tuple[str, ...] | None = Field(default=None, min_length=1)
    prices: dict[str, PointPrice] | None = None
    fallback: str | None = None
    fallback_above: float = Field(default=99.0, ge=0, le=100)
    carrot_version: str

    @property
    def token_prices(self) -> dict[str, Price]:
        """Its prices as the library has them."""
        given = self.prices or {}
        return {model: Price(price.input_usd_per_mtok, price.output_usd_per_mtok) for model, price in given.items()}


def point_prices(prices: Prices | None) -> dict[str, PointPrice] | None:
    """Prices as a point has them."""
    if not prices:
        return None
    made = {model: as_price(model, price) for model, price in prices.items()}
    return {
        model: PointPrice(input_usd_per_mtok=price.input_usd_per_mtok, output_usd_per_mtok=price.output_usd_per_mtok)
        for model, price in made.items()
    }


def read_point(path: Path) -> PointFile:
    """An operating point from its file.

    Raises
    ------
    NotFoundError
        There is no such file.
    DataError
        It is not the document of an operating point; every problem is listed.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise DataError(path.name, "is too large to be an operating point")
        return PointFile.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise NotFoundError(f"There is no file {str(path)!r}.") from error
    except OSError as error:
        raise CarrotError(f"Cannot read {path}: {error.strerror or error}.") from error
    except ValidationError as error:
        problems = [
            Problem(f"{'.'.join(map(str, found['loc'])) or 'the document'}: {found['msg']}", "Export the point again.")
            for found in error.errors(include_url=False, include_input=False)
        ]
        raise DataError(path.name, problems) from error


def write_point(point: PointFile, path: Path) -> None:
    """Write an operating point to a file."""
    try:
        path.write_text(point.model_dump_json(indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise CarrotError(f"Cannot write {path}: {error.strerror or error}.") from error
