"""What the store hands out besides benchmarks: descriptions of them, and evaluated routers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from carrot_core.errors import CarrotError
from carrot_core.outcomes import Estimates

OWN_SPLIT = "the source's own split"


@dataclass(frozen=True)
class BenchmarkInfo:
    """Everything about a stored benchmark but its content.

    Attributes
    ----------
    name : name in the store.
    source, licence, sha256, note : provenance (see `carrot_core.benchmarks.Provenance`).
    loaded_at : UTC, ISO 8601.
    split_rule, split_seed : how train, validation and test were drawn.
    n_prompts, n_models, n_outcomes : sizes.
    n_missing : cells of the prompts x models table without an outcome.
    n_with_text : prompts whose text is known.
    n_duplicate_prompts : prompts that repeat the text of another one (copies beyond the first).
    data_hash : sha256 of the content.
    models : names, in order.
    warnings : what the reader noticed.
    """

    name: str
    source: str
    licence: str
    sha256: str
    note: str
    loaded_at: str
    split_rule: str
    split_seed: int
    n_prompts: int
    n_models: int
    n_outcomes: int
    n_missing: int
    n_with_text: int
    n_duplicate_prompts: int
    data_hash: str
    models: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def has_prompts(self) -> bool:
        """Whether its prompts are here, or only results of them."""
        return True

    @property
    def has_own_split(self) -> bool:
        """Whether the split is the source's, which no seed changes."""
        return self.split_rule == OWN_SPLIT


def to_json(what: str, value: Any) -> str:
    """Canonical JSON text; a value JSON cannot hold (NaN, an object) is an error that says where it came from."""
    try:
        return json.dumps(value, sort_keys=True, allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise CarrotError(f"{what} of a run must be plain JSON (None where not a number): {error}.") from error


def run_id(
    benchmark: str,
    router: str,
    params: Mapping[str, Any],
    seed: int,
    fit_on: str | None,
    pool: Sequence[str],
    split_seed: int | None = None,
) -> str:
    """Identity of a run: sha256 of what was asked for, whatever came out. The order of the pool is no part of it."""
    asked = [benchmark, router, dict(params), seed, fit_on, sorted(pool)]
    asked += [] if split_seed is None else [split_seed]
    return hashlib.sha256(to_json("The identity", asked).encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class Run:
    """One evaluated router.

    Attributes
    ----------
    benchmark, router, params, seed, fit_on, pool : what was asked for; they make the ``run_id``.
        ``fit_on`` is None when fitted on the train split of the benchmark itself; an empty ``pool`` means
        all models of the benchmark.
    versions : version by package name.
    data_hash : content of the benchmark that was evaluated.
    cost_unit_usd : u of the rule, US dollars.
    best_single : best single model on validation.
    created_at : UTC, ISO 8601.
    metrics : plain JSON; None where a figure does not exist. What was found, and on what: the split too.
    estimates : table by split name ("train", "validation", "test", "all"); None where not loaded.
    """

    benchmark: str
    router: str
    params: Mapping[str, Any]
    seed: int
    versions: Mapping[str, str]
    data_hash: str
    cost_unit_usd: float
    best_single: str
    created_at: str
    fit_on: str | None = None
    pool: tuple[str, ...] = ()
    metrics: Mapping[str, Any] = field(default_factory=dict)
    estimates: Mapping[str, Estimates] | None = None

    @property
    def split_seed(self) -> int | None:
        """Seed of the split into train, validation and test; None for the split that is stored."""
        return self.metrics.get("split_seed")

    @cached_property
    def run_id(self) -> str:
        """sha256 of the identity (see `run_id`)."""
        return run_id(self.benchmark, self.router, self.params, self.seed, self.fit_on, self.pool, self.split_seed)
