"""Heavy work of pages: fits, studies, batches, bootstraps and files. A few jobs run at once, in fair turns.

Work runs in the script of its page, so that any action of the reader stops it where it next draws. Before it begins,
and at its steps once it has had its time, it waits until it is its turn: the page says how many come before.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.uploaded_file_manager import UploadedFile

from carrot_core import limits
from carrot_core.dashboard.stores import cached_by_version, give_back_memory, session_folder

_LOOK_S = 0.3  # between two checks for a turn, at which a waiting page can be stopped

Params = ParamSpec("Params")
Result = TypeVar("Result")


@dataclass(eq=False)
class _Job:
    session: str
    round: int = 0  # round of its turn; a session has one turn in each
    since: float = 0.0  # when its turn began


class Turns:
    """Let a few jobs run at once, in rounds: each session has one turn in a round, in the order of arrival.

    Parameters
    ----------
    at_once : number of jobs that run.
    slice_s : seconds after which a job lets others go first, at its next step.
    """

    def __init__(self, at_once: int, slice_s: float) -> None:
        self._at_once, self._slice_s = at_once, slice_s
        self._changed = threading.Condition()
        self._running: list[_Job] = []
        self._waiting: list[_Job] = []
        self._round = 0  # of the job that began last
        self._next: dict[str, int] = {}  # round of a session's next job, if that is a later one

    @contextmanager
    def turn(self, session: str, waiting: Callable[[int], None]) -> Iterator[Callable[[], None]]:
        """Wait for a turn and hold it; gives a function that the work calls at its steps.

        Parameters
        ----------
        session : session of the job.
        waiting : called several times a second while the job waits, with the number of jobs that end, or let others
            go first, before it may run; what it raises takes the job out. Called with 0 when the waiting is over.
        """
        job = _Job(session)
        try:
            self._enter(job, waiting)
            yield lambda: self._step(job, waiting)
        finally:
            with self._changed:
                for jobs in (self._running, self._waiting):
                    with suppress(ValueError):
                        jobs.remove(job)
                self._changed.notify_all()

    def _enter(self, job: _Job, waiting: Callable[[int], None]) -> None:
        with self._changed:
            job.round = max(self._round, self._next.get(job.session, 0))
            self._next[job.session] = job.round + 1
            self._waiting.append(job)
        has_waited = False
        while before := self._begin(job):
            has_waited = True
            waiting(before)
        if has_waited:
            waiting(0)

    def _begin(self, job: _Job) -> int:
        """Let a job run if its turn comes within a moment; else return how many come before it."""
        with self._changed:
            self._changed.wait_for(lambda: not self._before(job), _LOOK_S)
            before = self._before(job)
            if not before:
                self._waiting.remove(job)
                self._running.append(job)
                job.since = time.monotonic()
                self._round = max(self._round, job.round)
                self._next = {session: number for session, number in self._next.items() if number > self._round}
            return before

    def _before(self, job: _Job) -> int:
        place = sorted(self._waiting, key=lambda each: each.round).index(job)  # stable, so in the order of arrival
        return max(0, place + 1 - (self._at_once - len(self._running)))

    def _step(self, job: _Job, waiting: Callable[[int], None]) -> None:
        if not self._waiting or time.monotonic() - job.since < self._slice_s:
            return
        with self._changed:
            if job not in self._running:  # the job is over, but a step of it still runs
                return
            self._running.remove(job)
            self._changed.notify_all()
        self._enter(job, waiting)


_turns = Turns(limits.WORK_AT_ONCE, limits.WORK_SLICE_SECONDS)
_has_turn: ContextVar[bool] = ContextVar("has a turn", default=False)


@contextmanager
def _turn(waiting: Callable[[int], None]) -> Iterator[Callable[[], None]]:
    if _has_turn.get():  # part of work that has a turn: waiting for another one would never end
        yield lambda: None
        return
    context = get_script_run_ctx(suppress_warning=True)
    with _turns.turn("" if context is None else context.session_id, waiting) as step:
        token = _has_turn.set(True)
        try:
            yield step
        finally:
            _has_turn.reset(token)
            give_back_memory()


def _words(before: int) -> str:
    return f"Waiting: {before} {'job runs' if before == 1 else 'jobs run'} first"


@contextmanager
def progress(text: str, key: str = "") -> Iterator[Callable[[float, str], None]]:
    """A progress bar for work that waits for its turn; gives a function that shows a share and a text.

    A key adds a Cancel button, for work that a button began. It has no code of its own: like any action of the
    reader, it stops the script at the next step.
    """
    row = st.empty()
    with row.container(horizontal=True, vertical_alignment="center"):
        bar = st.progress(0.0, text, width="stretch")
        if key:
            st.button("Cancel", key=key, icon=":material/cancel:")
    latest = (0.0, text)

    def waiting(before: int) -> None:
        bar.progress(latest[0], _words(before) if before else latest[1])

    try:
        with _turn(waiting) as step:

            def show(share: float, text: str) -> None:
                nonlocal latest
                latest = (share, text)
                step()
                bar.progress(share, text)

            yield show
    finally:
        with suppress(Exception):  # a stopped run may no longer draw
            row.empty()


@contextmanager
def spinner(text: str) -> Iterator[None]:
    """A spinner, for work that waits for its turn."""
    with _waiting_line() as waiting, _turn(waiting), st.spinner(text):
        yield


@contextmanager
def _waiting_line() -> Iterator[Callable[[int], None]]:
    """Give a function that shows that a job waits, in a line that exists only meanwhile."""
    line: DeltaGenerator | None = None

    def waiting(before: int) -> None:
        nonlocal line
        line = line or st.empty()
        if before:
            line.caption(f":material/hourglass_top: {_words(before)}")
        else:
            line.empty()

    yield waiting


class _NoTurnError(Exception):
    """A value is not in the cache, and computing it needs a turn."""


def cached(**options: Any) -> Callable[[Callable[Params, Result]], Callable[Params, Result]]:
    """`cached_by_version` for heavy work: cached values come at once, else the script waits for its turn."""

    def decorate(function: Callable[Params, Result]) -> Callable[Params, Result]:
        @wraps(function)
        def in_turn(*args: Params.args, **kwargs: Params.kwargs) -> Result:
            if not _has_turn.get():
                raise _NoTurnError
            return function(*args, **kwargs)

        computed = cached_by_version(**options)(in_turn)

        @wraps(function)
        def at_hand(*args: Params.args, **kwargs: Params.kwargs) -> Result:
            try:
                return computed(*args, **kwargs)
            except _NoTurnError:
                with _waiting_line() as waiting, _turn(waiting):
                    return computed(*args, **kwargs)

        return at_hand

    return decorate


def id_of(uploads: Sequence[UploadedFile]) -> str:
    """Key of the files of an upload, different from that of others."""
    return "+".join(upload.file_id for upload in uploads)


def on_disk(upload: UploadedFile, place: str) -> Path:
    """Write an upload of one file as `all_on_disk` does; returns its path."""
    return all_on_disk([upload], place)[0]


def all_on_disk(uploads: Sequence[UploadedFile], place: str) -> list[Path]:
    """Write an upload to a folder of the session, in place of the upload before it; returns the paths."""
    folder = session_folder() / place
    home = folder / hashlib.sha256(id_of(uploads).encode()).hexdigest()[:16]
    # The browser chose the names: keep their endings, and only characters that are safe in a file name.
    names = [re.sub(r"[^\w.\- ]", "_", upload.name)[-60:] for upload in uploads]
    # Files of one run stay in one folder, as their tool wrote them; files of the same name get folders of their own.
    apart = len(set(names)) < len(names)
    paths = [home / str(number * apart) / name for number, name in enumerate(names)]
    if not all(path.is_file() for path in paths):
        shutil.rmtree(folder, ignore_errors=True)
        for path, upload in zip(paths, uploads, strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(upload.getvalue())  # bytes that the server holds; `getbuffer` would copy them
    return paths
