"""How many dimensions prompts' vectors fill: the spectra that CARROT's authors show of SPROUT (arXiv 2502.03261)."""

from __future__ import annotations

from dataclasses import replace

from carrot_core.figures.dimension import spectra_exhibit
from carrot_core.figures.exhibit import Exhibit
from carrot_core.figures.paper.shown import NotDrawnError, Shown


def embedding_dimension(shown: Shown) -> Exhibit:
    """Spectra of PCA, kernel PCA and Isomap.

    Raises
    ------
    NotDrawnError
        There are no vectors of these prompts, or too few, and no spectra of them are kept.
    """
    table = shown.spectra()
    if table is None:
        raise NotDrawnError(
            "Spectra need the vectors of some dozens of prompts. Those of this benchmark are not here (carrot fit "
            "makes them), and none of its spectra ship."
        )
    return replace(spectra_exhibit(table), name="embedding-dimension")
