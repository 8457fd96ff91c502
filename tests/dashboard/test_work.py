"""Heavy work of pages: how many run at once, whose turn it is, what a page that waits is told."""

from __future__ import annotations

import threading

import pytest
from streamlit.testing.v1 import AppTest

from carrot_core.dashboard import work
from carrot_core.dashboard.work import Turns

PATIENCE = 20.0


class Cancelled(BaseException):
    """As Streamlit's own, it is no Exception."""


class Job(threading.Thread):
    """A job of a session that runs until it is let go, or to its next step."""

    def __init__(self, turns: Turns, session: str, log: list[str], error: type[BaseException] | None = None) -> None:
        super().__init__(daemon=True)
        self.turns, self.session, self.log, self.error = turns, session, log, error
        self.waits, self.runs, self.go, self.cancel = (threading.Event() for _ in range(4))
        self.before, self.caught = -1, None
        self.steps = 0

    def run(self) -> None:
        try:
            with self.turns.turn(self.session, self._waiting) as step:
                self.log.append(self.session)
                self.runs.set()
                for _ in range(self.steps):
                    step()
                    self.log.append(f"{self.session} goes on")
                assert self.go.wait(PATIENCE)
                if self.error is not None:
                    raise self.error
        except BaseException as error:
            self.caught = error

    def _waiting(self, before: int) -> None:
        if self.cancel.is_set():
            raise Cancelled
        self.before = before
        self.waits.set()

    def queued(self) -> Job:
        self.start()
        assert self.waits.wait(PATIENCE)
        return self

    def begun(self) -> Job:
        if not self.ident:
            self.start()
        assert self.runs.wait(PATIENCE)
        return self

    def end(self) -> None:
        self.go.set()
        self.join(PATIENCE)
        assert not self.is_alive()


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks that take no time."""
    monkeypatch.setattr(work, "_LOOK_S", 0.01)


@pytest.fixture
def log() -> list[str]:
    """The sessions in the order of their turns."""
    return []


def placed(job: Job, before: int) -> None:
    for _ in range(int(PATIENCE / 0.01)):
        if job.before == before:
            return
        threading.Event().wait(0.01)
    pytest.fail(f"{job.before} before it, and not {before}")


def test_no_more_run_at_once_and_a_job_that_waits_knows_its_place(log: list[str]) -> None:
    turns = Turns(2, 1e9)
    running = [Job(turns, name, log).begun() for name in ("a", "b")]
    third, fourth = Job(turns, "c", log).queued(), Job(turns, "d", log).queued()
    placed(third, 1)
    placed(fourth, 2)
    running[0].end()
    third.begun()
    placed(fourth, 1)
    assert log == ["a", "b", "c"]
    running[1].end()
    fourth.begun()
    for job in (third, fourth):
        job.end()
    assert third.before == 0


def test_a_session_with_much_work_lets_each_other_session_go_before_its_second_job(log: list[str]) -> None:
    turns = Turns(1, 1e9)
    first = Job(turns, "busy", log).begun()
    waiting = [Job(turns, name, log).queued() for name in ("busy", "busy", "b", "c")]
    first.end()
    for name in ("b", "c"):
        next(job for job in waiting if job.session == name).begun().end()
    for job in waiting[:2]:
        job.begun().end()
    assert log == ["busy", "b", "c", "busy", "busy"]


def test_long_work_lets_others_go_first_at_its_steps(log: list[str]) -> None:
    turns = Turns(1, 0.0)
    long = Job(turns, "long", log)
    blocker = Job(turns, "first", log).begun()
    long.steps = 1
    long.queued()
    other = Job(turns, "other", log).queued()
    blocker.end()
    other.begun()
    assert log == ["first", "long", "other"]
    other.end()
    long.end()
    assert log[-1] == "long goes on"


def test_a_job_that_is_cancelled_leaves_its_place(log: list[str]) -> None:
    turns = Turns(1, 1e9)
    running, second, third = Job(turns, "a", log).begun(), Job(turns, "b", log).queued(), Job(turns, "c", log).queued()
    placed(third, 2)
    second.cancel.set()
    second.join(PATIENCE)
    assert isinstance(second.caught, Cancelled)
    placed(third, 1)
    running.end()
    third.begun().end()
    assert log == ["a", "c"]


def test_an_error_stays_in_its_session_and_frees_the_turn(log: list[str]) -> None:
    turns = Turns(1, 1e9)
    running, second = Job(turns, "a", log, error=ZeroDivisionError).begun(), Job(turns, "b", log).queued()
    running.end()
    assert isinstance(running.caught, ZeroDivisionError)
    second.begun().end()
    assert second.caught is None


def test_a_step_after_the_end_changes_nothing() -> None:
    turns = Turns(1, 0.0)
    with turns.turn("a", pytest.fail) as step:
        pass
    turns._waiting.append(work._Job("b"))
    step()
    assert not turns._running


CACHED = """
import streamlit as st
from carrot_core.dashboard import work

calls = st.session_state.setdefault("calls", [])

@work.cached(max_entries=4, show_spinner=False)
def square(number):
    calls.append(number)
    if number < 0:
        raise ValueError("below zero")
    return number**2

st.write(square(3), square(3), square(4))
try:
    square(-1)
except ValueError as error:
    st.error(str(error))
with work.spinner("…"), work.progress("…") as show:  # a part of the work, which is in its turn already
    show(0.5, "half")
    st.write(square(5))
"""


def test_a_value_is_computed_in_a_turn_once_and_its_error_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "_turns", Turns(1, 1e9))
    app = AppTest.from_string(CACHED).run()
    assert not app.exception
    assert app.error[0].value == "below zero"
    assert app.session_state["calls"] == [3, 4, -1, 5]
    app.run()
    assert app.session_state["calls"] == [3, 4, -1, 5, -1]  # what failed is tried again
    assert not work._turns._running
    assert not work._turns._waiting
