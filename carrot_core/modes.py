"""Who may do what, by one setting, `CARROT_MODE`; and the guard that every writer of shared files asks.

*Personal*: one person on one machine, who may do everything. *Public*: strangers, who read what is there; what they
keep lies in a folder of their session. The command line is the operator's in either mode, but for the servers.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path

from carrot_core.errors import CarrotError, StoreError

VARIABLE = "CARROT_MODE"
FRAMED_BY = "CARROT_FRAMED_BY"
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Mode(StrEnum):
    """For whom a server is."""

    PERSONAL = "personal"
    PUBLIC = "public"


def mode() -> Mode:
    """The mode of this process; personal where `CARROT_MODE` is not set.

    Raises
    ------
    CarrotError
        The variable names no mode.
    """
    text = os.environ.get(VARIABLE) or Mode.PERSONAL
    if text not in list(Mode):
        raise CarrotError(f"{VARIABLE}={text!r} is no mode there is: set it to {' or '.join(Mode)}.")
    return Mode(text)


def is_public() -> bool:
    """Whether strangers read what this process shows; with a mode that is none, it is taken for so."""
    return os.environ.get(VARIABLE, "") not in ("", Mode.PERSONAL)


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches a server on an address; "" stands for all interfaces."""
    try:
        return address in LOOPBACK or ip_address(address).is_loopback
    except ValueError:
        return False


def check_address(address: str) -> None:
    """Refuse to listen where others reach the server while nobody has said for whom it is.

    Raises
    ------
    CarrotError
        The address is not this machine's alone and `CARROT_MODE` is not set, or it names no mode.
    """
    mode()
    if not os.environ.get(VARIABLE) and not is_loopback(address):
        raise CarrotError(
            f"Others can reach this server on {address or 'every interface'}, so say first for whom it is: "
            f"{VARIABLE}=public for anyone, who can then change nothing here, or {VARIABLE}=personal where all who "
            "reach it may do everything. `--address localhost` keeps it to this machine."
        )


def frame_ancestors() -> str:
    """Who may show the dashboard in a frame of theirs: the sites that `CARROT_FRAMED_BY` lists, else nobody.

    Raises
    ------
    CarrotError
        What it lists is not ``https://`` and the name of a host, with spaces between them.
    """
    sites = os.environ.get(FRAMED_BY, "").split()
    for site in sites:
        if not re.fullmatch(r"https://[a-z0-9-]+(\.[a-z0-9-]+)*(:\d+)?", site):
            raise CarrotError(f"{FRAMED_BY} lists {site!r}: write a site as https://huggingface.co, with no path.")
    return " ".join(sites) or "'none'"


_session_folders: set[Path] = set()
_operators = 0


def add_session_folder(folder: Path) -> None:
    """From now on what is written in this folder is a visitor's own."""
    _session_folders.add(folder.resolve())


def drop_session_folder(folder: Path) -> None:
    """The session of this folder is over."""
    _session_folders.discard(folder.resolve())


@contextmanager
def by_operator() -> Iterator[None]:
    """Within it this process is run by who owns the files, and not for a visitor."""
    global _operators
    _operators += 1
    try:
        yield
    finally:
        _operators -= 1


def check_write(place: Path) -> None:
    """Refuse to change a file that visitors of a public server share: every writer of such files asks first.

    Raises
    ------
    StoreError
        The server is public, and the place is in no session's folder.
    """
    if not is_public() or _operators:
        return
    target = place.resolve()
    if not any(target.is_relative_to(folder) for folder in _session_folders.copy()):
        raise StoreError(
            "Nothing that others see can be changed here: this server is public. Who runs it changes it at the "
            "command line, with `carrot`."
        )
