"""The paper's figures (CARROT, arXiv 2502.03261) of any benchmark with results: `PRESETS` lists them by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from carrot_core.figures.exhibit import Exhibit
from carrot_core.paper.accuracy import knn_accuracy
from carrot_core.paper.curves import NotDrawnError, binary_routers, embedding_dimension, routerbench_rule, zero_router
from carrot_core.paper.spider import spider
from carrot_core.results.source import Results

__all__ = ["PRESETS", "NotDrawnError", "Preset"]


@dataclass(frozen=True)
class Preset:
    """One figure of the paper.

    Attributes
    ----------
    name : as `carrot figures --only` and addresses of pages take it, and of its files.
    title : what it is, in a few words, with its number in the paper.
    function : from a benchmark with results, and ``options`` by keyword, to the exhibit; raises `NotDrawnError`.
    options : "router": which one it is about, by name; "oracle": whether its curve is drawn.
    """

    name: str
    title: str
    function: Callable[..., Exhibit]
    options: tuple[str, ...] = ()

    def make(self, results: Results, **options: Any) -> Exhibit:
        """The exhibit; options that it has not are left out."""
        return self.function(results, **{name: options[name] for name in self.options if name in options})


PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset("spider", "By task at part of a model's cost (plot 1)", spider, ("router",)),
        Preset("binary-routers", "Against binary routers (plots 2 and 5)", binary_routers, ("oracle",)),
        Preset("routerbench-rule", "Against RouterBench's rule (plot 3)", routerbench_rule, ("oracle",)),
        Preset("zero-router", "RouterBench's rule and the zero router (plot 4)", zero_router, ("oracle",)),
        Preset("knn-accuracy", "Accuracy of CARROT-KNN (table)", knn_accuracy),
        Preset("embedding-dimension", "Dimension of the embeddings", embedding_dimension),
    )
}
