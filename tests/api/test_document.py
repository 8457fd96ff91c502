"""schemathesis against the OpenAPI document: no answer is a 5xx or departs from what the document says."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.generation.modes import GenerationMode

from carrot_core.api import Served, Settings, create_app
from tests.api.conftest import made_router

load_all_checks()
# Which names are in a pool and which budget can be met is in no schema: 404 and 422 are right there.
CHECKED = [check for check in CHECKS.get_all() if check.__name__ != "positive_data_acceptance"]
# A body too large to be read is refused with 413, which schemathesis does not take for a refusal.
OF_TOO_LARGE = [check for check in CHECKED if check.__name__ != "negative_data_rejection"]
WITH_INPUT = ("POST /api/v1/route", "POST /api/v1/estimate", "GET /api/v1/models", "GET /api/v1/frontier")
WITHOUT = ("GET /api/v1/health", "GET /api/v1/metrics")
FITTING, AGAINST = GenerationMode.POSITIVE, GenerationMode.NEGATIVE


@pytest.mark.slow
@pytest.mark.parametrize(
    ("route", "mode"),
    [(route, mode) for route in WITH_INPUT for mode in (FITTING, AGAINST)] + [(route, FITTING) for route in WITHOUT],
)
def test_answers_keep_to_the_document(route: str, mode: GenerationMode) -> None:
    app = create_app(Settings(Served({"made": "made"}, lambda source: made_router()), allowed_hosts=("*",)))
    method, path = route.split()
    operation = schemathesis.openapi.from_asgi("/api/v1/openapi.json", app)[path][method]
    statuses = set()

    @seed(0)
    @settings(max_examples=5, database=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
    @given(case=operation.as_strategy(generation_mode=mode))
    def keeps(case: schemathesis.Case) -> None:
        answer = case.call(timeout=60)  # the first one loads the encoder
        statuses.add(answer.status_code)
        case.validate_response(answer, checks=CHECKED if answer.status_code != 413 else OF_TOO_LARGE)

    keeps()
    assert statuses & ({200} if mode is FITTING else {404, 405, 415, 422}), statuses
