"""``carrot data leakage``: prompts that stand on more than one side of a split."""

from __future__ import annotations

from pathlib import Path

import click

from carrot_core.cli.common import TABLE, Result, json_option, open_store, progress, write


@click.command()
@click.argument("name")
@click.option("--cosine", default=0.98, show_default=True, help="Least cosine of vectors that counts as near.")
@click.option("--jaccard", default=0.8, show_default=True, help="Least share of common word triples that does.")
@click.option("--seed", type=int, help="Look at the split of this seed (default: the one that is stored).")
@click.option("--csv", "csv_file", type=TABLE, help="Write the pairs to a file: .csv, .parquet or .json.")
@json_option
def leakage(name: str, cosine: float, jaccard: float, seed: int | None, csv_file: Path | None) -> Result:
    """Find prompts of NAME whose copy, exact or near, stands on another side of the split."""
    from carrot_core.embedding import BUNDLED
    from carrot_core.evaluation import records, split_by_seed
    from carrot_core.evaluation.leakage import leaks, report

    bench = open_store().load(name, encoder=BUNDLED)
    with progress(f"Comparing {name}", " pairs of splits") as advance:
        judged = bench if seed is None else split_by_seed(bench, seed)
        found = leaks(judged, cosine=cosine, jaccard=jaccard, progress=advance)
    if csv_file is not None:
        write(found.pairs, csv_file)
    document = {
        "benchmark": name,
        "n_prompts": found.n_prompts,
        "cosine": found.cosine,
        "jaccard": found.jaccard,
        "counts": records(found.counts),
        "pairs": records(found.pairs),
    }
    return document, report(found)
