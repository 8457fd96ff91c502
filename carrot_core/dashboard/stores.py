"""The stores a session sees: the shared one, and a private one for its uploads; and limits of its uploads.

The private store lies in a temporary folder of the session. The folder is removed when the session ends or the
server stops; folders of a killed server are removed by the next one.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import hashlib
import math
import os
import re
import secrets
import shutil
import sys
import tempfile
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec, TypeVar

import streamlit as st
from filelock import FileLock, Timeout
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import runtime
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.scriptrunner import get_script_run_ctx

from carrot_core import limits, modes
from carrot_core.api.middleware import Pace
from carrot_core.benchmarks.built_in import BUILT_IN, SIMULATED
from carrot_core.dashboard.accounts import may_upload
from carrot_core.errors import CarrotError
from carrot_core.number_formats import size_text
from carrot_core.paths import damage, file_state
from carrot_core.results import SnapshotInfo
from carrot_core.store import BenchmarkInfo, Store

_FOLDER = "carrot_session_folder"
_PREFIX, _LOCK = "carrot-session-", "in-use.lock"
_SERVER = secrets.token_hex(4)
ONLY_YOU = " (only you)"
SNAPSHOT = " (snapshot)"
_UPLOAD = re.compile(r"/_stcore/upload_file/([^/]+)/[^/]+$")
_TTL = "server.disconnectedSessionTTL"  # seconds in which a page that lost its connection may come back
_LOOK_S = 5.0  # between two searches for sessions that are over
_FIRST_SNAPSHOT = "mmlu-pro-cot"
Params = ParamSpec("Params")
Result = TypeVar("Result")


@dataclass(frozen=True)
class PrivateInfo(BenchmarkInfo):
    """A benchmark of the session's own store, at ``store_path``."""

    store_path: Path = Path()


class Version(NamedTuple):
    """A store and the content of one benchmark in it: the cache key of everything computed from that benchmark."""

    path: str
    content: str


class _SessionFolder:
    """A temporary folder that is removed with this object, which lives in the session's state."""

    def __init__(self) -> None:
        sweep()
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        lock = FileLock(self.path / _LOCK)
        lock.acquire()
        modes.add_session_folder(self.path)
        # Called when the session's state is collected, when the process ends, or earlier by `_Presence`.
        self.close = weakref.finalize(self, _remove, self.path, lock)


class _Presence:
    """Close a folder once its session cannot reconnect: Streamlit drops the state much later, or never."""

    def __init__(self, session_id: str, close: Callable[[], object]) -> None:
        self.session_id, self.close = session_id, close

    def close_later(self) -> None:
        """Close the folder after the time in which a closed or disconnected page may reconnect."""
        timer = threading.Timer(st.get_option(_TTL) + 1, self._close_if_gone)
        timer.daemon = True
        timer.start()

    def _close_if_gone(self) -> None:
        if not (runtime.exists() and runtime.get_instance().is_active_session(self.session_id)):
            self.close()
            give_back_memory()


@st.cache_resource(scope="session", on_release=_Presence.close_later, show_spinner=False)
def _presence(path: str, _folder: _SessionFolder) -> _Presence:
    context = get_script_run_ctx()
    return _Presence("" if context is None else context.session_id, _folder.close)


def _remove(folder: Path, lock: FileLock) -> None:
    modes.drop_session_folder(folder)
    shutil.rmtree(folder, ignore_errors=True)
    lock.release(force=True)


def sweep() -> None:
    """Remove the folders of servers that no longer run, whose lock is free."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        lock = FileLock(folder / _LOCK, timeout=0)
        try:
            if (folder / _LOCK).exists():
                lock.acquire()
                _remove(folder, lock)
        except (Timeout, OSError):
            continue  # in use, or of another user


def session_folder() -> Path:
    """The session's folder, created at the first call."""
    if _FOLDER not in st.session_state:
        st.session_state[_FOLDER] = _SessionFolder()
    folder: _SessionFolder = st.session_state[_FOLDER]
    _presence(str(folder.path), folder)
    return folder.path


def upload_key(key: str) -> str:
    """Key of a widget for files; it changes after a restart, since the new server has none of the browser's files."""
    return f"{key}:{_SERVER}"


def upload_bytes() -> Counter[str]:
    """Bytes of the uploads that the server holds, by session."""
    manager = runtime.get_instance().uploaded_file_mgr
    assert isinstance(manager, MemoryUploadedFileManager)
    sessions = list(manager.file_storage.items())
    return Counter({session: sum(len(file.data) for file in list(files.values())) for session, files in sessions})


class UploadBudget:
    """ASGI middleware that refuses an upload beyond what its session, or all of them together, may hold in memory.

    An upload without a length counts as the largest allowed; one that is still arriving counts too, until it stalls for
    `BODY_SECONDS`. A session with uploads is ended once its page cannot come back: Streamlit would count them longer.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._coming: Counter[str] = Counter()
        self._ending: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match = _UPLOAD.search(scope["path"]) if scope["type"] == "http" and scope["method"] == "PUT" else None
        if match is None:
            await self._app(scope, receive, send)
            return
        session, declared = match[1], Headers(scope=scope).get("content-length", "")
        size = int(declared) if declared.isdecimal() else st.get_option("server.maxUploadSize") << 20
        sizes = self._coming + upload_bytes()
        if not may_upload(session):
            await PlainTextResponse("Log in to send files.", 403)(scope, receive, send)
        elif sizes[session] + size > limits.SESSION_BYTES:
            most = size_text(limits.SESSION_BYTES)
            answer = PlainTextResponse(f"The uploads of a session together may have {most}: remove one first.", 413)
            await answer(scope, receive, send)
        elif sizes.total() + size > limits.SESSIONS_BYTES:
            message = "Other sessions have uploaded as much as this server holds: try again in a minute."
            await PlainTextResponse(message, 503, {"Retry-After": "60"})(scope, receive, send)
        else:
            self._coming[session] += size
            try:
                await self._app(scope, _without_stalls(receive), send)
            finally:
                self._coming[session] -= size
                self._coming += Counter()  # drops counts of 0
            if self._ending is None or self._ending.done():
                self._ending = asyncio.create_task(_end_sessions())


def _without_stalls(receive: Receive) -> Receive:
    async def next_message() -> Message:
        try:
            return await asyncio.wait_for(receive(), limits.BODY_SECONDS)
        except TimeoutError:
            return {"type": "http.disconnect"}

    return next_message


async def _end_sessions() -> None:
    """While there are uploads, end the sessions that hold some and whose page is gone."""
    gone: dict[str, float] = {}
    while sizes := upload_bytes():
        server, now = runtime.get_instance(), time.monotonic()
        gone = {session: gone.get(session, now) for session in sizes if not server.is_active_session(session)}
        over = [session for session, since in gone.items() if now - since >= st.get_option(_TTL) - _LOOK_S]
        for session in over:
            ending = server._session_mgr.get_session_info(session)
            server.close_session(session)
            server.uploaded_file_mgr.remove_session_files(session)
            # Streamlit's loop holds on to the session it served last, and by its widgets to their files.
            if ending is not None:
                ending.session.session_state.clear()
                # What clearing leaves: the callbacks of widgets, and what they were drawn from.
                ending.session.session_state._new_widget_state.widget_metadata.clear()
        if over:
            gc.collect()  # a session's objects refer to each other in circles
            give_back_memory()
        await asyncio.sleep(_LOOK_S)


def give_back_memory() -> None:
    """Give freed memory back to the system: glibc keeps it where anything in use lies behind it."""
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):  # musl has none
        trim(0)


_pace = Pace(limits.SESSION_JOBS_A_MINUTE)


def count_job() -> None:
    """Count a file that this session has read.

    Raises
    ------
    CarrotError
        It has reached its limit of files for now.
    """
    if wait := _pace.wait_s(str(session_folder())):
        most = limits.SESSION_JOBS_A_MINUTE
        raise CarrotError(f"A session may have {most} files read a minute: try again in {math.ceil(wait)} s.")


def private_store() -> Store:
    """The session's private store."""
    return Store(session_folder() / "carrot.duckdb")


def private_benchmarks() -> list[PrivateInfo]:
    """The benchmarks of the private store by name; creates no folder."""
    if _FOLDER not in st.session_state:
        return []
    store = private_store()
    return [
        PrivateInfo(**{field.name: getattr(info, field.name) for field in fields(info)}, store_path=store.path)
        for info in store.benchmarks()
    ]


def store_of(info: BenchmarkInfo) -> Store:
    """The store that holds a benchmark."""
    return Store(info.store_path) if isinstance(info, PrivateInfo) else Store()


def version_of(info: BenchmarkInfo) -> Version:
    """Cache key of a stored benchmark; it changes with every import, embedding or fit of it."""
    store = store_of(info)
    return Version(str(store.path), store.version(info.name))


def cached_by_version(**options: Any) -> Callable[[Callable[Params, Result]], Callable[Params, Result]]:
    """`st.cache_resource`; what is computed of a benchmark that only this session sees goes when its page closes.

    Parameters
    ----------
    options : options of `st.cache_resource`. The function's first argument is a `Version`, or has one, or neither.
    """

    def decorate(function: Callable[Params, Result]) -> Callable[Params, Result]:
        shared: Callable[Params, Result] = st.cache_resource(**options)(function)
        private: Callable[Params, Result] = st.cache_resource(**{**options, "scope": "session"})(function)

        @wraps(function)
        def at_hand(*args: Params.args, **kwargs: Params.kwargs) -> Result:
            return (private if _is_private(getattr(args[0], "version", args[0])) else shared)(*args, **kwargs)

        return at_hand

    return decorate


def _is_private(version: object) -> bool:
    if not isinstance(version, Version) or _FOLDER not in st.session_state:
        return False
    return Path(version.path).is_relative_to(session_folder())


def results_version(info: BenchmarkInfo) -> Version:
    """Cache key of a benchmark's results: the version of its store, or of a snapshot's folder.

    Raises
    ------
    DataError
        The folder cannot be read.
    """
    if not isinstance(info, SnapshotInfo):
        return version_of(info)
    try:
        files = sorted((name, *file_state(info.folder / name)) for name in os.listdir(info.folder))
    except OSError as error:
        raise damage(info.folder, error) from error
    return Version(str(info.folder), hashlib.sha256(repr(files).encode()).hexdigest()[:32])


def damaged_uploads() -> dict[str, str]:
    """Why a benchmark of the private store cannot be described, by its name; creates no folder."""
    return private_store().damaged() if _FOLDER in st.session_state else {}


def in_order(benchmarks: Sequence[BenchmarkInfo]) -> list[BenchmarkInfo]:
    """The order of lists: the user's own, those that ship whole, snapshots of real results, the simulated one."""

    def place(info: BenchmarkInfo) -> tuple[int, int]:
        if not info.has_prompts:
            return 2, info.name != _FIRST_SNAPSHOT
        if info.name == SIMULATED:
            return 3, 0
        return (1, BUILT_IN.index(info.name)) if info.ships else (0, 0)

    return sorted(benchmarks, key=place)


def _mark(info: BenchmarkInfo) -> str:
    if isinstance(info, PrivateInfo):
        return ONLY_YOU
    return "" if info.has_prompts else SNAPSHOT


def labels(benchmarks: Sequence[BenchmarkInfo]) -> list[str]:
    """A unique label for each benchmark; private ones and snapshots are marked."""
    names: list[str] = []
    for info in benchmarks:
        label = info.name + _mark(info)
        while label in names:
            label += _mark(info) or ONLY_YOU
        names.append(label)
    return names
