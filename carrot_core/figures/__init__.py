"""Figures as plain functions of results: no Streamlit, so a notebook draws what the dashboard shows."""

from carrot_core.figures.frontier import frontier_figure
from carrot_core.figures.scene import Band, Curve, ReadOut, Scene, alt_text, caption, read_out, saving
from carrot_core.number_formats import money

__all__ = [
    "Band",
    "Curve",
    "ReadOut",
    "Scene",
    "alt_text",
    "caption",
    "frontier_figure",
    "money",
    "read_out",
    "saving",
]
