"""Work larger than one machine: Parquet in, Parquet out, block by block, in this process or on a Ray cluster."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import Any

from carrot_core.embedding import Progress
from carrot_core.errors import CarrotError
from carrot_core.scale.blocks import (
    Block,
    Input,
    Report,
    Results,
    blocks_of,
    find_inputs,
    lies_in,
    read_block,
    redact,
)
from carrot_core.scale.work import Curve, Embed, Estimate, Route, Work

__all__ = ["Curve", "Embed", "Estimate", "Route", "Work", "find_inputs", "run"]


def run(
    work: Work,
    inputs: Sequence[Input],
    out: str,
    *,
    address: str | None = None,
    workers: int | None = None,
    block_rows: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Do a work on every row of some Parquet files, skipping blocks that are done already.

    Parameters
    ----------
    inputs : result of `find_inputs`.
    out : folder of the results (`carrot_core.scale.blocks.Results`), on the machine or at an address.
    address : address of a Ray cluster, "auto" for that of this machine, "local" for one on this machine that ends with
        the work; None for this process.
    workers : most Ray processes at once; None for as many as it has GPUs, else cores.
    block_rows : most rows of a block; more rows take more memory, and a kill loses more work.
    progress : called with (rows done, all rows) after every block.

    Returns
    -------
    A summary: ``rows``, ``unused`` (rows without a usable prompt, or not observed in full), ``blocks``, those
    ``done_before``, ``seconds`` of this run, and what `Work.finish` adds.

    Raises
    ------
    CarrotError
        A file lacks a column, the folder holds the results of another run, or Ray is not installed or not reachable.
    """
    started = time.monotonic()
    if "://" not in out:  # a Ray process has another working folder
        out = str(Path(out).absolute())
    for each in inputs:
        work.columns(each.schema)
    for where in dict.fromkeys(each.where for each in inputs):
        if lies_in(out, where):
            raise CarrotError(
                f"--out lies in {redact(where)!r}, where its files would be read too: give another folder."
            )
    rows_each = block_rows or work.block_rows
    blocks = blocks_of(inputs, rows_each)
    results = Results(out, work.parts)
    about = {"work": work.name, **work.settings(), "block_rows": rows_each}
    reports = results.begin(about | {"inputs": [each.document() for each in inputs]})
    left = [block for block in blocks if block.number not in reports]
    total, rows_done = sum(block.rows for block in blocks), sum(report.rows for report in reports.values())
    done = on_ray(work, left, results, address, workers) if address and left else in_process(work, left, results)
    for number, report in done:
        reports[number] = report
        rows_done += report.rows
        if progress is not None:
            progress(rows_done, total)
    return {
        "rows": total,
        "unused": sum(report.unused for report in reports.values()),
        "blocks": len(blocks),
        "done_before": len(blocks) - len(left),
        "seconds": time.monotonic() - started,
        **work.finish(results, reports),
    }


def do_block(work: Work, block: Block, results: Results) -> Report:
    """Read a block, do the work on it and write the result."""
    started = time.monotonic()
    table, unused = work(read_block(block, work.columns))
    report = Report(block.rows, unused, time.monotonic() - started)
    results.write(block, table, report)
    return report


def in_process(work: Work, blocks: Iterable[Block], results: Results) -> Iterator[tuple[int, Report]]:
    """Do one block after the other."""
    for block in blocks:
        yield block.number, do_block(work, block, results)


class Worker:
    """A Ray process that takes one block after the other; it loads the router or encoder once."""

    def __init__(self, work: Work, results: Results) -> None:
        self._work, self._results = work, results

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Do the one block of a batch, unless a killed process had finished it."""
        (block,) = batch["item"]
        try:
            report = self._results.report(block) or do_block(self._work, block, self._results)
        except CarrotError as error:  # as text, since not every error can be pickled
            return {"number": [block.number], "report": [""], "error": [str(error)]}
        return {"number": [block.number], "report": [json.dumps(asdict(report))], "error": [""]}


def on_ray(
    work: Work, blocks: Sequence[Block], results: Results, address: str, workers: int | None
) -> Iterator[tuple[int, Report]]:
    """Do the blocks on Ray, and give their reports in the order in which processes finish them.

    A process takes a block when it is done with the one before; if it or its machine is lost, another process does its
    blocks again.
    """
    try:
        import ray
        from ray.data import ActorPoolStrategy, DataContext
    except ImportError as error:
        raise CarrotError("`--address` needs Ray: run `pip install 'carrot-core[scale]'`.") from error
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    with redirect_stdout(sys.stderr):  # Ray prints there which processes it lost
        try:
            ray.init(address, log_to_driver=False, logging_level="ERROR")
        except (ConnectionError, ValueError) as error:
            raise CarrotError(f"There is no cluster of Ray at {address!r}: {error}") from error
        try:
            DataContext.get_current().enable_progress_bars = False
            done = ray.data.from_items(blocks, override_num_blocks=len(blocks)).map_batches(
                Worker,
                fn_constructor_args=(work, results),
                batch_size=1,
                compute=ActorPoolStrategy(min_size=1, max_size=workers),
                num_cpus=1,
                num_gpus=1 if ray.cluster_resources().get("GPU") else None,
            )
            for row in done.iter_rows():
                if row["error"]:
                    raise CarrotError(row["error"])
                yield row["number"], Report(**json.loads(row["report"]))
        finally:
            ray.shutdown()
