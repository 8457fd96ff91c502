"""One thing to look at, with all that is needed to understand it, to check it and to use it elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go

from carrot_core.figures.theme import ThemeName


@dataclass(frozen=True, eq=False)
class Exhibit:
    """A figure, or a table, with its words and its data.

    Attributes
    ----------
    name : of its files, in small letters, digits and hyphens.
    title : what it shows, in a few words; plain text.
    caption : how to read it, in a few sentences; plain text.
    alt : what a reader would see, in words, with the figures that matter; plain text.
    table : the data behind it, one tidy frame; columns with units in their names.
    draw : from a theme to the Plotly figure; None where the table itself is the thing.
    """

    name: str
    title: str
    caption: str
    alt: str
    table: pd.DataFrame
    draw: Callable[[ThemeName], go.Figure] | None = None
