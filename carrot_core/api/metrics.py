"""Prometheus metrics of one app; their label values are routes, statuses, routers served and models of their pools."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Sequence

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest

__all__ = ["CONTENT_TYPE_LATEST", "Metrics"]

_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class Metrics:
    """Counters and the histogram of one app, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter("carrot_requests", "Requests answered.", ["route", "status"], registry=registry)
        self._seconds = Histogram(
            "carrot_request_seconds", "From request to answer.", ["route"], buckets=_SECONDS, registry=registry
        )
        self._prompts = Counter("carrot_prompts", "Prompts estimated or decided.", ["router"], registry=registry)
        self._decisions = Counter("carrot_decisions", "Models chosen.", ["router", "model"], registry=registry)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """One request."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def prompts(self, router: str, number: int) -> None:
        """Prompts of one request."""
        self._prompts.labels(router).inc(number)

    def decisions(self, router: str, models: Sequence[str]) -> None:
        """Models chosen in one request."""
        for model, number in Tally(models).items():
            self._decisions.labels(router, model).inc(number)

    def text(self) -> bytes:
        """All of them in Prometheus' text format."""
        return generate_latest(self._registry)
