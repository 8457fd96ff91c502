"""Where a router loses: its worst prompts, and what led it there."""

from __future__ import annotations

import pandas as pd

from carrot_core.figures.compared.frame import HUNDRED
from carrot_core.figures.compose import label
from carrot_core.figures.exhibit import Exhibit
from carrot_core.text import visible


def losses_exhibit(rows: pd.DataFrame, router: str, lam: float) -> Exhibit:
    """The prompts with the largest regret of one router at one λ.

    Parameters
    ----------
    rows : of `carrot_core.analyses.losses.losses`, this router's at this λ, perhaps with distances.
    """
    counted = rows["reason"].value_counts()
    told = ", ".join(f"{reason} on {n}" for reason, n in counted.items())
    return Exhibit(
        name=f"losses-{router.split(' ')[0]}-lam-{lam:g}".replace(".", "-"),
        title=f"Where {visible(label(router))} loses most at λ {lam:g}",
        caption="The prompts on which the choice was furthest from the best: regret is the utility of the best model "
        f"minus that of the chosen one, as observed, {HUNDRED}. It is the sum of how much the chosen model's score was "
        "estimated too high, the best one's too low and the costs wrongly, less the margin by which the router "
        "preferred its choice; the reason is the largest of the three. One answer each: some of it is luck.",
        alt=f"The {len(rows)} prompts on which {visible(label(router))} loses most at λ {lam:g}; {told}.",
        table=rows.reset_index(drop=True),
    )
