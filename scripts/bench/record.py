"""`carrot bench record`: every benchmark of speed in one run, kept as JSON with the commit and the machine."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from scripts.bench import (
    bootstrap,
    browse,
    frontier,
    knn,
    live,
    others,
    scene,
    sprout_import,
    start,
    store,
    users,
    whatif,
)
from scripts.bench.page import page

ROOT = Path(__file__).resolve().parents[2]
JSON, PAGE = Path("docs/benchmarks/measured.json"), Path("docs/benchmarks.md")
_PACKAGES = ("numpy", "numba", "duckdb", "pyarrow", "scikit-learn", "torch")
Bench = tuple[Callable[[], dict[str, Any]], Callable[[dict[str, Any]], str]]
BENCHES: Mapping[str, Bench] = {
    "frontier": (lambda: frontier.run(6_636, 13), frontier.report),
    "frontier, a million prompts": (lambda: frontier.run(1_000_000, 13), frontier.report),
    "bootstrap": (bootstrap.run, bootstrap.report),
    "bootstrap, a million prompts": (bootstrap.run_curve, bootstrap.report_curve),
    "knn": (knn.run, knn.report),
    "live": (lambda: live.run(n_batched=200, rounds=2, clients=0), live.report),
    "others": (others.run, others.report),
    "start": (start.run, start.report),
    "import": (sprout_import.run, sprout_import.report),
    "scene": (scene.run, scene.report),
    "whatif": (whatif.run, whatif.report),
    "browse": (browse.run, browse.report),
    "store": (lambda: store.run(100_000), store.report),
    "users": (users.run, users.report),
}


def record(names: Sequence[str], say: Callable[[str], None], root: Path = ROOT) -> dict[str, Any]:
    """Run benchmarks, keep each result with commit, day and machine in the JSON, and write the page of all it has.

    What the JSON has of other benchmarks stays, with the commit it is of.

    Parameters
    ----------
    names : of `BENCHES`; a first word stands for all that begin with it. Empty: all.
    say : called with each report.
    root : of the checkout.
    """
    chosen = [name for name in BENCHES if not names or name in names or name.split(",")[0] in names]
    document = json.loads((root / JSON).read_text(encoding="utf-8")) if (root / JSON).exists() else {}
    for name in chosen:
        work, report = BENCHES[name]
        load = os.getloadavg()[0]
        result = work()
        say(f"{name}: {report(result)}")
        document[name] = {**_of_now(root), "load_average": round(load, 2), "report": report(result), "result": result}
        (root / JSON).parent.mkdir(parents=True, exist_ok=True)
        ordered = {name: document[name] for name in BENCHES if name in document}
        (root / JSON).write_text(json.dumps(ordered, indent=1, default=float) + "\n", encoding="utf-8")
        (root / PAGE).write_text(page(ordered), encoding="utf-8")
    return {name: document[name] for name in chosen}


def _of_now(root: Path) -> dict[str, Any]:
    """The commit, with a + where the checkout differs from it, the day, and the machine."""
    commit = _git(root, "rev-parse", "--short=12", "HEAD")
    changes = _git(root, "status", "--porcelain", "--untracked-files=no", "--", "carrot_core", "scripts")
    return {
        "commit": commit + ("+" if changes else ""),
        "day": datetime.now(UTC).date().isoformat(),
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
            "system": platform.system(),
            "python": platform.python_version(),
            **{name: version(name) for name in _PACKAGES},
        },
    }


def _git(root: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=True).stdout.strip()


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
