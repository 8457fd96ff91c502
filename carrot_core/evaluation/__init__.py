"""From a benchmark to judged curves (``docs/method.md``, "Protocol" and "Metrics")."""

from carrot_core.evaluation.comparison import BEST_SINGLE, MEAN, Candidate, Comparison, compare, records
from carrot_core.evaluation.frames import estimates_frame, frontier_frame
from carrot_core.evaluation.judging import judge
from carrot_core.evaluation.latency import embed_latency, latency_table, timed_prompts
from carrot_core.evaluation.protocol import Setting, setting, split_by_seed
from carrot_core.evaluation.quality import quality, reliability
from carrot_core.evaluation.running import counter, data_hash, evaluate, setting_for, single_models, versions

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
