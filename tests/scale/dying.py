"""A run that is killed in the middle of a block: ``python -m tests.scale.dying INPUT OUT FLAGS [ray]``.

In one process it is killed once, and ends with it. On a cluster of Ray first a process and then a machine is killed;
what `run` says is printed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from carrot_core.embedding import Vectors
from carrot_core.scale import Embed, find_inputs, run, work

KILLS = {"Question 57": "process", "Question 130": "machine"}  # what the first process that reads this prompt kills
BLOCK_ROWS = 20


def vectors_of(texts: Sequence[str], encoder: str) -> Vectors:
    """Unit vectors that depend on the text alone, in no time."""
    drawn = [np.random.default_rng(zlib.crc32(text.encode())).normal(size=8) for text in texts]
    return np.array([vector / np.linalg.norm(vector) for vector in drawn], dtype=np.float32).reshape(-1, 8)


@dataclass(frozen=True, kw_only=True)
class Dying(Embed):
    """Kills its own process or the machine of Ray that it runs on, each once, of which ``flags`` is the folder."""

    flags: str
    kills: tuple[str, ...]

    def __call__(self, table: pa.Table) -> tuple[pa.Table, int]:
        work.embed = vectors_of  # type: ignore[assignment]
        for text, what in KILLS.items():
            flag = Path(self.flags) / what
            if what in self.kills and text in table["prompt"].to_pylist() and not flag.exists():
                flag.touch()
                # A machine of Ray is the process that starts the others on it, and they end with it.
                os.kill(os.getpid() if what == "process" else os.getppid(), signal.SIGKILL)
                signal.pause()
        return super().__call__(table)


def on_ray(dying: Dying, place: str, out: str) -> None:
    import ray
    from ray.cluster_utils import Cluster

    soon = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 300, "health_check_timeout_ms": 1000}
    small = {"object_store_memory": 80 << 20, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "_system_config": soon, **small})
    for _ in range(2):
        cluster.add_node(num_cpus=1, **small)
    document = run(dying, find_inputs([place]), out, address=cluster.address, block_rows=BLOCK_ROWS)
    ray.init(cluster.address, log_to_driver=False)
    print(json.dumps({**document, "machines_lost": [node["Alive"] for node in ray.nodes()].count(False)}))
    ray.shutdown()
    cluster.shutdown()


def main(place: str, out: str, flags: str, engine: str = "") -> None:
    if engine == "ray":
        on_ray(Dying(encoder="made up", flags=flags, kills=("process", "machine")), place, out)
    else:
        dying = Dying(encoder="made up", flags=flags, kills=("process",))
        run(dying, find_inputs([place]), out, block_rows=BLOCK_ROWS)


if __name__ == "__main__":
    main(*sys.argv[1:])
