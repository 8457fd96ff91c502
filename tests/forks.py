"""Work in other processes, to be killed or to run out of room.

Imports cost a second and a half, so each of these processes is a fork of one that has them.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from carrot_core.errors import CarrotError

ROOT = Path(__file__).resolve().parents[1]
Work = Callable[..., object]
FINISHED, KILLED = "finished", "killed"


class Forks(NamedTuple):
    """The process that forks."""

    process: subprocess.Popen[str]

    def start(
        self, *works: tuple[Work, Sequence[Any]], room: int | None = None, environment: Mapping[str, str] | None = None
    ) -> list[int]:
        """Start functions of modules, each on its arguments (plain JSON) in a process of its own; their numbers.

        Parameters
        ----------
        works : pairs of a function and its arguments.
        room : bytes that a file may have.
        environment : variables that are set first.
        """
        named = [(f"{work.__module__}:{work.__qualname__}", list(arguments)) for work, arguments in works]
        numbers: list[int] = self._ask({"works": named, "room": room, "environment": dict(environment or {})})
        return numbers

    def ends(self) -> list[str]:
        """Wait for those started; "finished", "killed" or the message of a `CarrotError` for each."""
        ends: list[str] = self._ask(None)
        return ends

    def run(
        self,
        work: Work,
        *arguments: Any,
        room: int | None = None,
        environment: Mapping[str, str] | None = None,
        killed_after_s: float | None = None,
    ) -> str:
        """How a function on its arguments ends in a process of its own, which is killed after some seconds or never."""
        (number,) = self.start((work, arguments), room=room, environment=environment)
        if killed_after_s is not None:
            time.sleep(killed_after_s)
            os.kill(number, signal.SIGKILL)
        (end,) = self.ends()
        return end

    def duration(self, work: Work, *arguments: Any, environment: Mapping[str, str] | None = None) -> float:
        """Seconds that a function takes to its end."""
        start = time.perf_counter()
        assert self.run(work, *arguments, environment=environment) == FINISHED
        return time.perf_counter() - start

    def _ask(self, request: object) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(request), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())


@contextmanager
def forking() -> Iterator[Forks]:
    """The process that forks, for as long as it is of use."""
    with subprocess.Popen(
        [sys.executable, "-m", __name__], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Forks(process)
        process.kill()


def moments(duration: float, count: int) -> list[float]:
    """Seconds spread evenly over a duration."""
    return [duration * (number + 0.5) / count for number in range(count)]


def _fork(name: str, arguments: list[Any], room: int | None, environment: dict[str, str]) -> tuple[int, int]:
    """Start one; the number of its process, and the end of the pipe at which it tells how it ends."""
    module, _, function = name.partition(":")
    work = getattr(importlib.import_module(module), function)  # here, for the next one to have it too
    end, pipe = os.pipe()
    number = os.fork()
    if number:
        os.close(pipe)
        return number, end
    message = FINISHED
    try:
        os.environ.update(environment)
        if room is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
        work(*arguments)
    except CarrotError as error:
        message = str(error)
    except BaseException:  # told to whoever reads the tests; a fork never goes on as the process it is of
        message = traceback.format_exc()
    os.write(pipe, message.encode())
    os._exit(0)


def main() -> None:
    """Fork at each request, and wait for the forks at each empty one."""
    running: list[tuple[int, int]] = []
    for line in sys.stdin:
        request = json.loads(line)
        if request is not None:
            running = [_fork(*work, request["room"], request["environment"]) for work in request["works"]]
            print(json.dumps([number for number, _ in running]), flush=True)
            continue
        ends = []
        for number, end in running:
            with open(end) as report:
                ends.append(report.read() or KILLED)
            os.waitpid(number, 0)
        print(json.dumps(ends), flush=True)


if __name__ == "__main__":
    main()
