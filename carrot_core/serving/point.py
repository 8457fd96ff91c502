"""An operating point as a file (JSON or YAML): router, λ, pool, prices and expected figures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, ValidationError, model_serializer

from carrot_core import limits
from carrot_core.curve import SavedCurve
from carrot_core.errors import CarrotError, DataError, NotFoundError, Problem
from carrot_core.number_formats import CostBasis, call_cost, cost_basis, percent, size_text, without_nan
from carrot_core.paths import unit_of
from carrot_core.prices import MORE_PRICES, Price, Tier
from carrot_core.promise import EVEN, confidence_text, cost_bounds, default_confidence, score_bounds
from carrot_core.text import SENTENCE, visible

_YAML = (".yaml", ".yml")
_ENDINGS = (".json", *_YAML)
Share = Annotated[float, Field(ge=0, le=1)]
Dollars = Annotated[float, Field(ge=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class PointTier(_Strict):
    """Prices of calls with more than so many input tokens (`carrot_core.prices.Tier`)."""

    above_input_tokens: Annotated[float, Field(gt=0)]
    input_usd_per_mtok: Dollars
    output_usd_per_mtok: Dollars
    cached_input_usd_per_mtok: Dollars | None = None


class PointPrice(_Strict):
    """US dollars per million tokens, and their source; the file leaves out fields that a price lacks."""

    input_usd_per_mtok: Dollars
    output_usd_per_mtok: Dollars
    as_of: str = ""
    source: str = ""
    cached_input_usd_per_mtok: Dollars | None = None
    reasoning_usd_per_mtok: Dollars | None = None
    cached_input_share: Share | None = None
    reasoning_share: Share | None = None
    tiers: tuple[PointTier, ...] = ()

    @model_serializer(mode="wrap")
    def _without_empty_fields(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = plain(self)
        return {name: value for name, value in fields.items() if name not in MORE_PRICES or value not in (None, (), [])}

    def as_price(self) -> Price:
        """Convert to `Price`."""
        tiers = tuple(Tier(**tier.model_dump()) for tier in self.tiers)
        return Price(**{**self.model_dump(), "tiers": tiers})


class PointFigures(_Strict):
    """Figures of the point on one split: means per query, with 95 % intervals over prompts if the router was
    saved with them."""

    n_prompts: int = Field(ge=1)
    score: float
    score_low: float | None
    score_high: float | None
    cost_usd: Dollars
    cost_usd_low: float | None
    cost_usd_high: float | None


class PointPromise(_Strict):
    """Promise of the point for new prompts (`carrot_core.promise`): each bound of a mean over ``n_prompts`` of them
    holds with ``confidence``."""

    confidence: Annotated[float, Field(ge=0.5, lt=1)]
    n_prompts: int = Field(ge=1)
    score_least: float
    cost_usd_most: Dollars


class PointFile(_Strict):
    """The document of an exported operating point.

    Attributes
    ----------
    sha256 : hash of all other fields, so that a change by hand is noticed.
    note : free text of the person who exported it.
    source : source for `CarrotRouter.load`: a benchmark, a folder or a repository of the hub.
    router, artefact : name of the router, and the sha256 of its numbers, or if it was fitted from the store, of
        its name, data and version; they must be the same when it is loaded.
    benchmark, data_hash : name and hash of its training data.
    lam, cost_unit_usd, exchange_rate_per_usd : λ, u, and λ/((1 - λ)u), null at λ = 1.
    pool : models it may choose.
    prices : prices of these models; empty if the benchmark records only dollars.
    fallback, fallback_above : model for prompts unlike the training data, and the percentile from which it answers.
    reference : the best single model on validation.
    validation, test : expected figures; null for a pool or prices on which nothing was measured.
    shares : share of the test prompts that each model answers; null likewise.
    promise : promise for new prompts, by validation; left out of the file if it is not known.
    """

    format: Literal[1] = 1
    sha256: str = ""
    created_at: str
    note: str = Field(default="", max_length=limits.POINT_FILE_NOTE)
    carrot_version: str
    source: Annotated[str, Field(max_length=4096)]
    router: str
    artefact: str
    benchmark: str
    data_hash: str
    lam: Share
    cost_unit_usd: float = Field(gt=0)
    exchange_rate_per_usd: float | None = Field(ge=0)
    pool: tuple[str, ...] = Field(min_length=1)
    prices: dict[str, PointPrice]
    fallback: str | None = None
    fallback_above: float = Field(ge=0, le=100)
    reference: str
    validation: PointFigures | None
    test: PointFigures | None
    shares: dict[str, Share] | None
    promise: PointPromise | None = None

    @model_serializer(mode="wrap")
    def _without_empty_promise(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = plain(self)  # so that documents without one keep their sha256
        return {name: value for name, value in fields.items() if name != "promise" or value is not None}

    @property
    def basis(self) -> CostBasis:
        """The basis of its costs: of the size on test, in the unit of its benchmark."""
        usd = float("nan") if self.test is None else self.test.cost_usd
        return cost_basis(usd, unit_of(self.benchmark, self.data_hash))

    @property
    def token_prices(self) -> dict[str, Price]:
        """Prices by model, as `Price`."""
        return {model: price.as_price() for model, price in self.prices.items()}

    @property
    def free(self) -> tuple[str, ...]:
        """Models of the pool whose price is 0."""
        return tuple(model for model, price in self.token_prices.items() if price.is_free)

    @property
    def digest(self) -> str:
        """The value that ``sha256`` must have."""
        rest = self.model_dump(mode="json", exclude={"sha256"})
        return hashlib.sha256(json.dumps(rest, sort_keys=True, ensure_ascii=False).encode()).hexdigest()

    def sealed(self) -> PointFile:
        """A copy with its ``sha256`` filled in."""
        return self.model_copy(update={"sha256": self.digest})


def figures_at(curve: SavedCurve, rate: float) -> PointFigures:
    """Figures of a curve's point at an exchange rate."""
    figures: dict[str, float | None] = {}
    for name, interval in zip(("score", "cost_usd"), curve.interval(rate), strict=True):
        ends = without_nan(interval)
        figures |= {name: ends["value"], f"{name}_low": ends["low"], f"{name}_high": ends["high"]}
    return PointFigures.model_validate({"n_prompts": curve.n_prompts, **figures})


def promise_at(curve: SavedCurve, rate: float) -> PointPromise | None:
    """Promise of a point on a validation curve; None if the curve was saved without errors."""
    if (confidence := default_confidence(curve)) == EVEN:
        return None
    score, cost = (bounds(curve, confidence).at(curve.at(rate)) for bounds in (score_bounds, cost_bounds))
    return PointPromise(
        confidence=confidence, n_prompts=curve.n_prompts, score_least=score.bound, cost_usd_most=cost.bound
    )


def promise_of(promise: PointPromise, basis: CostBasis | None = None) -> str:
    """State a promise in a sentence; its cost is on a ``basis``, by default that of its size."""
    return (
        f"Promised with {confidence_text(promise.confidence)} each, of the mean over {promise.n_prompts:,} new prompts "
        f"like those of validation: accuracy of at least {percent(promise.score_least, digits=2)}, cost of at most "
        f"{call_cost(promise.cost_usd_most, basis=basis)}."
    )


def now() -> str:
    """The present time, UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def as_point_prices(prices: dict[str, Price], pool: tuple[str, ...]) -> dict[str, PointPrice]:
    """Prices of a pool as `PointPrice`."""
    figures = {model: vars(prices[model]) for model in pool if model in prices}
    return {
        model: PointPrice(**each | {"tiers": [tier._asdict() for tier in each.get("tiers", ())]})
        for model, each in figures.items()
    }


def is_point_name(name: str) -> bool:
    """Whether a file of this name is an operating point; case does not matter."""
    return name.lower().endswith(_ENDINGS)


def read_point(path: Path) -> PointFile:
    """Read an operating point from its file, JSON or YAML.

    Raises
    ------
    NotFoundError
        There is no such file.
    DataError
        The file is not the document of an operating point (every problem is listed), or was changed by hand.
    """
    try:
        if path.stat().st_size > limits.POINT_BYTES:
            raise DataError(path.name, "is too large to be an operating point")
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise NotFoundError(f"There is no file {str(path)!r}.") from error
    except OSError as error:
        raise CarrotError(f"Cannot read {path}: {error.strerror or error}.") from error
    return point_of(from_yaml(content, path.name) if path.suffix.lower() in _YAML else content, path.name)


def point_of(document: Mapping[str, Any] | bytes, name: str = "the operating point") -> PointFile:
    """Make an operating point from its document, a mapping or JSON; errors call it ``name``.

    Raises
    ------
    DataError
        As for `read_point`.
    """
    try:
        if isinstance(document, bytes):
            point = PointFile.model_validate_json(document)
        else:
            point = PointFile.model_validate(document)
    except ValidationError as error:
        raise DataError(name, [_problem(each) for each in error.errors(include_url=False)]) from error
    if point.sha256 != point.digest:
        raise DataError(name, "was changed after it was exported (its sha256 differs); export the point again")
    return point


def _problem(error: Any) -> Problem:
    place = ".".join(str(part) for part in error["loc"]) or "the document"
    return Problem(f"{place}: {error['msg']}", "Export the point again.")


def write_point(point: PointFile, path: Path) -> None:
    """Write an operating point to a file."""
    try:
        path.write_text(point.model_dump_json(indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise CarrotError(f"Cannot write {path}: {error.strerror or error}.") from error


def differences(one: PointFile, other: PointFile) -> dict[str, tuple[Any, Any]]:
    """Fields that differ between two points, by path; date and version of the export do not count."""
    apart = {"sha256", "created_at", "carrot_version"}
    before, after = (point.model_dump(mode="json", exclude=apart) for point in (one, other))
    return dict(_apart(before, after))


def _apart(one: dict[str, Any], other: dict[str, Any], above: str = "") -> Iterator[tuple[str, tuple[Any, Any]]]:
    for name in {**one, **other}:
        before, after = one.get(name), other.get(name)
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _apart(before, after, f"{above}{name}: ")
        elif before != after:
            yield f"{above}{name}", (before, after)


def to_yaml(document: Any) -> str:
    """Write lists, dicts, text, numbers and None as YAML, in their order."""
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)
    return text


def from_yaml(content: bytes, name: str) -> Any:
    """Read the plain values of a YAML document safely; errors call the document ``name``.

    Raises
    ------
    DataError
        It is not YAML, is too large or too deep, or has anchors (a few lines with them can grow to gigabytes)
        or tags.
    """
    if len(content) > limits.YAML_BYTES:
        raise DataError(
            name, f"is larger than the {size_text(limits.YAML_BYTES)} of YAML that are read; give it as JSON"
        )
    try:
        _refuse_tricks(content, name)
        return yaml.safe_load(content)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: an invalid date or number
        message = " ".join(str(error).split())
        raise DataError(name, f"is not plain YAML: {visible(message[:300], keep=SENTENCE)}") from error


def _refuse_tricks(content: bytes, name: str) -> None:
    depth = 0
    for event in yaml.parse(content, Loader=yaml.SafeLoader):
        if getattr(event, "anchor", None) is not None:
            raise DataError(name, f"has an anchor or alias in line {event.start_mark.line + 1}; write values out")
        # A tag can demand a type that the value does not have.
        if getattr(event, "tag", None) is not None:
            raise DataError(name, f"has a tag in line {event.start_mark.line + 1}; write values without one")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > limits.YAML_LEVELS:
            raise DataError(name, f"is nested deeper than {limits.YAML_LEVELS} levels")
