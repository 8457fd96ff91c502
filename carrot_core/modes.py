"""Permissions by one setting, `CARROT_MODE`; the guard that every writer of shared files calls; the audit log.

*Personal*: one person on one machine, who may do everything. *Team*: people who log in, each with a role. *Public*:
strangers, who may only read; their own files are in a folder of their session. The command line, except for its
servers, is the operator's in every mode.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path

from carrot_core.errors import CarrotError, StoreError
from carrot_core.roles_audit import VARIABLE as ROLES
from carrot_core.roles_audit import Person, Role, append_to_audit_log, audit_line, roles

VARIABLE = "CARROT_MODE"
FRAMED_BY = "CARROT_FRAMED_BY"
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Mode(StrEnum):
    """The users of a server."""

    PERSONAL = "personal"
    TEAM = "team"
    PUBLIC = "public"


def mode() -> Mode:
    """The mode of this process; personal if `CARROT_MODE` is not set.

    Raises
    ------
    CarrotError
        The variable is not a mode.
    """
    text = os.environ.get(VARIABLE) or Mode.PERSONAL
    if text not in list(Mode):
        *others, last = Mode
        raise CarrotError(f"{VARIABLE}={text!r} is not a mode: set it to {', '.join(others)} or {last}.")
    return Mode(text)


def is_team() -> bool:
    """Whether people log in, each with a role."""
    return os.environ.get(VARIABLE) == Mode.TEAM


def is_shared() -> bool:
    """Whether people other than the owner may use this process; an invalid mode counts as yes."""
    return os.environ.get(VARIABLE, "") not in ("", Mode.PERSONAL)


def is_public() -> bool:
    """Whether strangers may use this process; an invalid mode counts as yes."""
    return is_shared() and not is_team()


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach a server on an address; "" stands for all interfaces."""
    try:
        return address in LOOPBACK or ip_address(address).is_loopback
    except ValueError:
        return False


def check_address(address: str) -> None:
    """Refuse to listen on an address that others can reach unless a mode is set.

    Raises
    ------
    CarrotError
        Other machines can reach the address and `CARROT_MODE` is not set or not a mode; or the mode is team, and there
        is no file of roles.
    """
    mode()
    if not os.environ.get(VARIABLE) and not is_loopback(address):
        raise CarrotError(
            f"Others can reach this server on {address or 'every interface'}, so say first for whom it is: "
            f"{VARIABLE}=public for anyone, who can then change nothing here, {VARIABLE}=team for people who log in, "
            f"or {VARIABLE}=personal where all who reach it may do everything. `--address localhost` keeps it to this "
            "machine."
        )
    if is_team():
        roles()


def frame_ancestors() -> str:
    """Sites that may show the dashboard in a frame: those that `CARROT_FRAMED_BY` lists, else none.

    Raises
    ------
    CarrotError
        The list is not of ``https://`` and host names, with spaces between them.
    """
    sites = os.environ.get(FRAMED_BY, "").split()
    for site in sites:
        if not re.fullmatch(r"https://[a-z0-9-]+(\.[a-z0-9-]+)*(:\d+)?", site):
            raise CarrotError(f"{FRAMED_BY} lists {site!r}: write a site as https://huggingface.co, with no path.")
    return " ".join(sites) or "'none'"


class RefusedError(StoreError):
    """The person who acts lacks the permission."""


_OPERATOR = Person("command line", Role.ADMIN)
_session_folders: set[Path] = set()
_operators = 0
_person_of_session: Callable[[], Person | None] = lambda: None  # noqa: E731  until the dashboard sets it
_within: ContextVar[bool] = ContextVar("within an action", default=False)


def ask_for_person(source: Callable[[], Person | None]) -> None:
    """Set the function by which the guard learns who acts; it returns None if nobody has logged in."""
    global _person_of_session
    _person_of_session = source


def add_session_folder(folder: Path) -> None:
    """Register a session's folder: files in it are a visitor's own."""
    _session_folders.add(folder.resolve())


def drop_session_folder(folder: Path) -> None:
    """Forget a folder whose session is over."""
    _session_folders.discard(folder.resolve())


def is_own(place: Path) -> bool:
    """Whether a place is in the folder of a session."""
    target = place.resolve()
    return any(target.is_relative_to(folder) for folder in _session_folders.copy())


@contextmanager
def by_operator() -> Iterator[None]:
    """Run a block as the owner of the files, and not for a visitor."""
    global _operators
    _operators += 1
    try:
        yield
    finally:
        _operators -= 1


def person() -> Person | None:
    """The person who acts, at the command line or logged in; None for anybody else."""
    return _OPERATOR if _operators else _person_of_session()


def may(least: Role) -> bool:
    """Whether the person who acts has at least a role for changing shared files."""
    if _operators or not is_shared():
        return True
    who = person() if is_team() else None
    return who is not None and who.role is not None and who.role >= least


def check_write(place: Path, least: Role = Role.EDITOR) -> None:
    """Refuse to change a file that others share unless permitted; every writer of such files calls this first.

    Raises
    ------
    RefusedError
        The person who acts may not do it, and the place is not in a session's folder.
    """
    if may(least) or is_own(place):
        return
    if is_team():
        raise RefusedError(
            f"This needs the role {least.name.lower()} on this team's server. Its operator gives roles, in the "
            f"file that {ROLES} names."
        )
    raise RefusedError(
        "Nothing that others see can be changed here: this server is public. Its operator can change it at the "
        "command line, with `carrot`."
    )


@contextmanager
def action(what: str, on: str, place: Path, least: Role = Role.EDITOR) -> Iterator[None]:
    """Guard a change that a person asks for; on a team's server it gets a line in the audit log, even if it fails.

    An action that is part of another is guarded too, but has no line of its own.

    Parameters
    ----------
    what : the action, in a verb or two.
    on : names of the objects changed, without texts of prompts and secrets.
    place : file or folder that is changed; a change in a session's folder has no line.
    least : least role for the action.

    Raises
    ------
    RefusedError
        The person who acts may not do it.
    StoreError
        The log cannot be written, so nothing is done.
    """
    if not is_team() or _within.get() or is_own(place):
        check_write(place, least)
        yield
        return
    who = person()  # first: a login may end, or the file of roles be half written, before the work is done
    append_to_audit_log(b"")  # fails if the log cannot be written
    outer, result = _within.set(True), "failed"
    try:
        check_write(place, least)
        yield
        result = "done"
    except RefusedError:
        result = "refused"
        raise
    finally:
        _within.reset(outer)
        append_to_audit_log(audit_line(who, what, on, result))
