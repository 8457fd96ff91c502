"""What HTTP adds to a decision, and whether many clients at once get through with memory flat."""

from __future__ import annotations

import http.client
import itertools
import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from carrot_core.errors import CarrotError

_PROMPTS = (
    "What is the capital of France?",
    "Write a Python function that merges two sorted lists without using sort().",
    "A train leaves at 9:40 and arrives at 13:05. How long is the journey? Answer in minutes. " * 3,
    "Which of the following best explains why the sky is blue? (A) Rayleigh scattering (B) Mie scattering " * 8,
)
_HEADERS = {"Content-Type": "application/json"}
_WORK = re.compile(r"work;dur=([0-9.]+)")
_ALONE_SECONDS = 10.0
_START_SECONDS = 120.0
_QUANTILES = (50, 95, 99)


@dataclass
class _Log:
    """What clients saw: milliseconds of each answer and of the work behind it, and what went wrong."""

    ms: list[float] = field(default_factory=list)
    work_ms: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def run(clients: int = 64, seconds: float = 60.0, *, source: str = "mmlu-pro-cot") -> dict[str, Any]:
    """One client, then many at once, against ``carrot serve`` in a process of its own.

    Parameters
    ----------
    clients : that ask one prompt after the other, all at once.
    seconds : for which they do.
    source : what is served, as ``carrot serve --bench`` takes it.

    Returns
    -------
    dict
        ``overhead_ms`` of one client: answer less the work (estimate, choose) that the server reports, as p50, p95
        and p99; ``work_ms`` its median. ``requests``, ``errors`` (and the first of them), ``per_second`` and
        ``latency_ms`` of the many; ``rss_mb`` of the server at a tenth of their time, in the middle and at the end.

    Raises
    ------
    CarrotError
        The server ended or did not get ready.
    """
    with _serving(source) as (port, pid):
        alone, many = _Log(), _Log()
        _drive(port, 1, min(seconds, _ALONE_SECONDS), alone, pid)
        memory = _drive(port, clients, seconds, many, pid)
    added = np.array(alone.ms) - np.array(alone.work_ms)
    return {
        "clients": clients,
        "seconds": seconds,
        "requests_alone": len(alone.ms),
        "overhead_ms": _quantiles(added, alone.errors),
        "work_ms": float(np.median(alone.work_ms)),
        "requests": len(many.ms),
        "errors": len(alone.errors) + len(many.errors),
        "first_error": next(iter(alone.errors + many.errors), None),
        "per_second": len(many.ms) / seconds,
        "latency_ms": _quantiles(np.array(many.ms), many.errors),
        "rss_mb": memory,
    }


def report(result: dict[str, Any]) -> str:
    """The result of `run` as sentences to read."""
    added, late, memory = result["overhead_ms"], result["latency_ms"], result["rss_mb"]
    return (
        f"HTTP, one client: {added['p50']:.1f} ms (p95 {added['p95']:.1f}, p99 {added['p99']:.1f}) beside "
        f"{result['work_ms']:.1f} ms of work, {result['requests_alone']:,} requests\n"
        f"HTTP, {result['clients']} clients for {result['seconds']:.0f} s: {result['requests']:,} requests, "
        f"{result['errors']} errors, {result['per_second']:.0f} a second, p50 {late['p50']:.0f} ms, "
        f"p95 {late['p95']:.0f} ms, p99 {late['p99']:.0f} ms; memory "
        f"{memory['start']:.0f} MB, {memory['middle']:.0f} MB, {memory['end']:.0f} MB"
    )


def _drive(port: int, clients: int, seconds: float, log: _Log, pid: int) -> dict[str, float]:
    """Let clients ask for so long; the server's memory meanwhile."""
    end = time.monotonic() + seconds
    threads = [threading.Thread(target=_ask, args=(port, end, log, start)) for start in range(clients)]
    for thread in threads:
        thread.start()
    memory = {}
    for name, share in (("start", 0.1), ("middle", 0.5), ("end", 1.0)):
        time.sleep(max(0.0, end - (1 - share) * seconds - time.monotonic()))
        memory[name] = _rss_mb(pid)
    for thread in threads:
        thread.join()
    return memory


def _ask(port: int, end: float, log: _Log, turn: int) -> None:
    """One client: a prompt after the other over a connection that is kept, one at least."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for count in itertools.count():
        if count and time.monotonic() >= end:
            break
        turn += 1
        body = json.dumps({"prompts": [_PROMPTS[turn % len(_PROMPTS)]], "lam": 0.3})
        started = time.perf_counter()
        try:
            connection.request("POST", "/api/v1/route", body, _HEADERS)
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            log.errors.append(repr(error))
            connection.close()
            continue
        passed = 1e3 * (time.perf_counter() - started)
        work = _WORK.search(answer.headers.get("Server-Timing", ""))
        if answer.status != 200 or work is None or len(json.loads(text)["decisions"]) != 1:
            log.errors.append(f"{answer.status} {text[:200]!r}")
            continue
        log.ms.append(passed)
        log.work_ms.append(float(work[1]))
    connection.close()


@contextmanager
def _serving(source: str) -> Iterator[tuple[int, int]]:
    """Port and process id of a server that is ready; it is stopped in the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["serve", "--port", str(port), "--address", "127.0.0.1", "--bench", source]
    start = "from carrot_core.cli import main; main()"
    with subprocess.Popen([sys.executable, "-c", start, *command], stderr=subprocess.DEVNULL) as process:
        try:
            _wait_until_ready(port, process)
            yield port, process.pid
        finally:
            process.terminate()


def _wait_until_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/api/v1/health")
            if json.loads(connection.getresponse().read()).get("status") == "ready":
                return
        except OSError:
            pass  # not listening yet
        finally:
            connection.close()
        time.sleep(0.1)
    raise CarrotError("`carrot serve` ended or did not get ready: run it by hand to see why.")


def _rss_mb(pid: int) -> float:
    output = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True)
    return int(output.stdout) / 1024


def _quantiles(ms: np.ndarray[Any, Any], errors: list[str]) -> dict[str, float]:
    if not ms.size:
        raise CarrotError(f"No request was answered: {next(iter(errors), 'none was sent')}.")
    return {f"p{q}": float(value) for q, value in zip(_QUANTILES, np.percentile(ms, _QUANTILES), strict=True)}
