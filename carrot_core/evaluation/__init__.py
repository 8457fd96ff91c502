"""From a benchmark to measured curves (``docs/method.md``, "Protocol" and "Metrics")."""

from carrot_core.evaluation.comparison import BEST_SINGLE, MEAN, Candidate, Comparison, compare, records
from carrot_core.evaluation.evaluate import (
    counter,
    data_hash,
    embed_latency,
    evaluate,
    latency_table,
    setting_for,
    single_models,
    timed_prompts,
    versions,
)
from carrot_core.evaluation.measure import measure_router
from carrot_core.evaluation.protocol import Setting, make_setting, split_by_seed
from carrot_core.evaluation.quality import quality, reliability
from carrot_core.evaluation.tables import estimates_frame, frontier_frame

# Names under which version 0.1 exported these.
judge, setting = measure_router, make_setting

__all__ = [
    "BEST_SINGLE",
    "MEAN",
    "Candidate",
    "Comparison",
    "Setting",
    "compare",
    "counter",
    "data_hash",
    "embed_latency",
    "estimates_frame",
    "evaluate",
    "frontier_frame",
    "judge",
    "latency_table",
    "make_setting",
    "measure_router",
    "quality",
    "records",
    "reliability",
    "setting",
    "setting_for",
    "single_models",
    "split_by_seed",
    "timed_prompts",
    "versions",
]
