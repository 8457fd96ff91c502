"""Threads that do the work, so that the event loop only reads and writes; few, since each keeps all cores busy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from carrot_core.api.problems import Refusal

THREADS = 4
MOST_WAITING = 512

T = TypeVar("T")


class Workers:
    """A bounded number of threads with a bounded queue."""

    def __init__(self, threads: int = THREADS, most_waiting: int = MOST_WAITING) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="carrot-api")
        self._most = threads + most_waiting
        self._taken = 0

    async def run(self, work: Callable[[], T]) -> T:
        """What the work returns or raises; refused with 503 where too much of it is waiting."""
        if self._taken >= self._most:
            raise Refusal(503, "Too many requests are waiting; try again in a second.", {"Retry-After": "1"})
        self._taken += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._taken -= 1
