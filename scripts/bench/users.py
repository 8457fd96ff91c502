"""Many users of the dashboard at once: sessions that speak Streamlit's own protocol, without a browser's own work."""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.asyncio.client import ClientConnection, connect

from carrot_core.errors import CarrotError

_THINK_S = (5.0, 15.0)  # between an answer and a user's next action
_ANSWER_S = 120.0
_OPENING_S = 1.0  # between two users who come
_COPY_RUNS = 2  # after which a browser drops its copy of a large message that no longer comes
_UPLOAD_MB = 100
_TEXTS = (
    "What is the capital of France?",
    "Write a Python function that merges two sorted lists without using sort().",
    "A train leaves at 9:40 and arrives at 13:05. How long is the journey? Answer in minutes.",
)
_QUANTILES = (50, 95, 99)


def run(sessions: int = 50, seconds: float = 300.0, *, heavy: bool = True) -> dict[str, Any]:
    """Let half the users read Frontier and half Live, each acting every 5 to 15 s, beside one who works all the time.

    An action is a new λ or another pool on Frontier, and a new λ or another prompt on Live; its time goes from the
    message to the end of the script's run. The one beside them uploads 100 MB of results, has them read, fits
    CARROT-KNN, opens Frontier and Compare on them, leaves, and comes again.

    Parameters
    ----------
    sessions : of users, beside the one who works.
    seconds : for which they act, once all have come.
    heavy : whether there is the one who works.

    Returns
    -------
    dict
        ``actions``, ``errors`` (exceptions on a page, answers later than 120 s, lost connections) and the first of
        them; ``ms`` of an action as p50, p95 and p99, also ``by_page``; ``open_ms`` of the first look at a page while
        others come; ``rounds`` of the one who works; ``rss_mb`` of the server when all have come, at its most and at
        the end; ``cpu_share`` of one core, by the server.

    Raises
    ------
    CarrotError
        The server ended or did not get ready.
    """
    with tempfile.TemporaryDirectory(prefix="carrot-bench-") as folder, _dashboard(Path(folder)) as (port, process):
        return asyncio.run(_drive(port, process, sessions, seconds, _results(Path(folder)) if heavy else None))


def report(result: dict[str, Any]) -> str:
    """The result of `run` as sentences to read."""
    ms, memory = result["ms"], result["rss_mb"]
    pages = ", ".join(f"{page} {of['p95']:.0f} ms" for page, of in result["by_page"].items())
    return (
        f"{result['sessions']} users for {result['seconds']:.0f} s: {result['actions']:,} actions, "
        f"{result['errors']} errors, p50 {ms['p50']:.0f} ms, p95 {ms['p95']:.0f} ms ({pages}), p99 {ms['p99']:.0f} ms; "
        f"{result['rounds']} uploads of {_UPLOAD_MB} MB beside them; memory {memory['start']:.0f} MB when all had "
        f"come, {memory['most']:.0f} MB at most, {memory['end']:.0f} MB at the end; {result['cpu_share']:.2f} cores"
    )


@dataclass
class _Log:
    """What users saw: milliseconds by page, and what went wrong."""

    ms: dict[str, list[float]] = field(default_factory=dict)
    open_ms: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    rounds: int = 0


class _Session:
    """One tab: the values of its widgets, the identities that the page gave them, and what a browser keeps.

    As a browser does, it runs only the fragment that a widget is in, and names the large messages of which it has a
    copy: the server sends their hash in place of them.
    """

    def __init__(self, socket: ClientConnection, port: int, page: str) -> None:
        self._socket, self._page = socket, page
        self._url = f"http://127.0.0.1:{port}/{page}"
        self._widgets: dict[str, str] = {}  # identity by kind and key
        self._values: dict[str, WidgetState] = {}
        self._fragments: dict[str, str] = {}  # of a widget that is in one
        self._copies: dict[str, int] = {}  # runs since a large message came, by its hash

    def value(self, key: str) -> WidgetState:
        """The value of a widget, to be set and sent."""
        name = self._name(key)
        return self._values.setdefault(name, WidgetState(id=self._widgets[name]))

    def _name(self, key: str) -> str:
        return next(name for name in self._widgets if key in name)

    async def act(
        self, query: str = "", *, page: str | None = None, by_address: bool = False, widget: str = ""
    ) -> float:
        """Run the page's script, or the fragment that a widget is in; seconds until its end."""
        self._page = page or self._page
        state = ClientState(query_string=query, page_name=self._page, is_history_navigation=by_address)
        state.fragment_id = self._fragments.get(self._name(widget), "") if widget else ""
        state.cached_message_hashes.extend(self._copies)
        state.context_info.url, state.context_info.timezone, state.context_info.locale = self._url, "UTC", "en"
        state.widget_states.widgets.extend(self._values.values())
        start = time.perf_counter()
        await self._socket.send(BackMsg(rerun_script=state).SerializeToString())
        await self._answer()
        for value in self._values.values():
            value.ClearField("trigger_value")  # a button is pressed once
        return time.perf_counter() - start

    async def _answer(self) -> None:
        while True:
            message = await self.receive()
            kind = message.WhichOneof("type")
            if kind == "ref_hash" or message.metadata.cacheable:
                self._copies[message.ref_hash or message.hash] = 0
            if kind == "delta":
                self._note(message)
            elif kind == "script_finished" and message.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN:
                self._copies = {copy: runs + 1 for copy, runs in self._copies.items() if runs < _COPY_RUNS}
                return

    async def receive(self) -> ForwardMsg:
        data = await asyncio.wait_for(self._socket.recv(), _ANSWER_S)
        message = ForwardMsg()
        message.ParseFromString(data if isinstance(data, bytes) else data.encode())
        return message

    def _note(self, message: ForwardMsg) -> None:
        element = message.delta.new_element
        kind = element.WhichOneof("type")
        if kind == "exception":
            raise CarrotError(f"{self._page}: {element.exception.type}: {element.exception.message}")
        identity = getattr(getattr(element, kind), "id", "") if kind else ""
        if identity:
            name = f"{kind}:{identity.split('-', 2)[-1]}"
            self._widgets[name], self._fragments[name] = identity, message.delta.fragment_id

    async def upload(self, path: Path) -> None:
        """Send a file as the browser does, and choose it."""
        request = BackMsg()
        request.file_urls_request.request_id = "1"
        request.file_urls_request.file_names.append(path.name)
        await self._socket.send(request.SerializeToString())
        while (message := await self.receive()).WhichOneof("type") != "file_urls_response":
            pass
        (urls,) = message.file_urls_response.file_urls
        address = self._url.rpartition("/")[0] + urls.upload_url
        async with httpx.AsyncClient(timeout=_ANSWER_S) as client:
            content = await asyncio.to_thread(path.read_bytes)
            await client.get(address.replace(urls.upload_url, "/_stcore/health"))
            token = {"X-Xsrftoken": client.cookies["_streamlit_xsrf"]}
            (await client.put(address, files={"file": (path.name, content)}, headers=token)).raise_for_status()
        info = self.value("file_uploader:").file_uploader_state_value.uploaded_file_info.add()
        info.name, info.size, info.file_id = path.name, len(content), urls.file_id
        info.file_urls.CopyFrom(urls)


@asynccontextmanager
async def _session(port: int, page: str) -> AsyncIterator[_Session]:
    address = f"ws://127.0.0.1:{port}/_stcore/stream"
    async with connect(address, subprotocols=["streamlit"], max_size=None) as socket:  # type: ignore[list-item]
        yield _Session(socket, port, page)


async def _drive(port: int, process: int, sessions: int, seconds: float, results: Path | None) -> dict[str, Any]:
    log, ready = _Log(), asyncio.Event()
    users = [asyncio.create_task(_user(port, number, ready, seconds, log)) for number in range(sessions)]
    await asyncio.sleep(_OPENING_S * sessions)
    while len(log.open_ms) + len(log.errors) < sessions:
        await asyncio.sleep(0.1)
    memory, cpu, start = [_rss_mb(process)], _cpu_s(process), time.monotonic()
    ready.set()
    worker = asyncio.create_task(_worker(port, results, log)) if results else None
    while time.monotonic() < start + seconds:
        await asyncio.sleep(1.0)
        memory.append(_rss_mb(process))
    await asyncio.gather(*users)
    share = (_cpu_s(process) - cpu) / (time.monotonic() - start)
    if worker:
        worker.cancel()
    actions = [ms for of_page in log.ms.values() for ms in of_page]
    if not actions:
        raise CarrotError(f"No action came to its end: {next(iter(log.errors), 'there was too little time')}.")
    return {
        "sessions": sessions,
        "seconds": seconds,
        "actions": len(actions),
        "errors": len(log.errors),
        "first_error": next(iter(log.errors), None),
        "ms": _quantiles(actions),
        "by_page": {page: _quantiles(log.ms[page]) for page in sorted(log.ms)},
        "open_ms": _quantiles(log.open_ms),
        "rounds": log.rounds,
        "rss_mb": {"start": memory[0], "most": max(memory), "end": memory[-1]},
        "cpu_share": share,
    }


async def _user(port: int, number: int, ready: asyncio.Event, seconds: float, log: _Log) -> None:
    page, chance = ("frontier", "live")[number % 2], random.Random(number)
    await asyncio.sleep(_OPENING_S * number)
    try:
        async with _session(port, page) as session:
            log.open_ms.append(1e3 * await session.act())
            await ready.wait()
            end = time.monotonic() + seconds
            await asyncio.sleep(chance.uniform(0, _THINK_S[1]))
            while time.monotonic() < end:
                passed = await _action(session, page, chance)
                log.ms.setdefault(page, []).append(1e3 * passed)
                await asyncio.sleep(chance.uniform(*_THINK_S))
    except Exception as error:
        log.errors.append(f"{page}: {error!r}"[:500])


async def _action(session: _Session, page: str, chance: random.Random) -> float:
    lam = chance.random()
    if chance.random() < 0.5:
        return await session.act(f"lam={lam:.4f}", by_address=True)
    widget = "open_weights" if page == "frontier" else "live:box"
    value = session.value(widget)
    if page == "frontier":
        value.bool_value = not value.bool_value
    else:
        text = f"{chance.choice(_TEXTS)} ({lam:.6f})"
        value.json_value = json.dumps({"typed": {"text": text, "length": len(text)}})
    return await session.act(widget=widget)


async def _worker(port: int, results: Path, log: _Log) -> None:
    """Upload, have it read, fit, open two pages on it, leave; again and again."""
    while True:
        try:
            async with _session(port, "data") as session:
                await session.act()
                await session.upload(results)
                await session.act()
                session.value("upload:check").trigger_value = True
                await session.act()
                session.value("button:fit:").trigger_value = True
                await session.act()
                for page in ("frontier", "compare"):
                    await session.act(f"bench={results.stem}", page=page, by_address=True)
            log.rounds += 1
        except Exception as error:
            log.errors.append(f"worker: {error!r}"[:500])
            return


def _results(folder: Path, n_prompts: int = 1_000, n_models: int = 13) -> Path:
    """A long table of made-up results with long prompts."""
    rng, path = np.random.default_rng(0), folder / "made-up.csv"
    words = [f"word{number}" for number in range(5_000)]
    length = _UPLOAD_MB * 1_000_000 // (n_prompts * n_models * 9)
    scores, costs = rng.integers(0, 2, (n_prompts, n_models)), rng.random((n_prompts, n_models)) / 1_000
    with path.open("w", encoding="utf-8") as file:
        file.write("prompt_id,prompt,model,score,cost_usd\n")
        for prompt in range(n_prompts):
            text = " ".join(rng.choice(words, length))
            file.writelines(
                f"{prompt},{text},model-{model},{scores[prompt, model]},{costs[prompt, model]:.6f}\n"
                for model in range(n_models)
            )
    return path


@contextmanager
def _dashboard(folder: Path) -> Iterator[tuple[int, int]]:
    """Port and process id of a dashboard that is ready; it is stopped in the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "CARROT_HOME": str(folder / "home")}
    carrot = [sys.executable, "-c", "from carrot_core.cli import main; main()"]
    subprocess.run([*carrot, "setup"], env=environment, check=True, capture_output=True)
    command = [*carrot, "app", "--port", str(port), "--address", "127.0.0.1"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            for _ in range(600):
                if process.poll() is not None:
                    break
                try:
                    if httpx.get(f"http://127.0.0.1:{port}/_stcore/health").status_code == 200:
                        yield port, process.pid
                        return
                except httpx.TransportError:
                    time.sleep(0.2)  # not listening yet
            raise CarrotError("`carrot app` ended or did not get ready: run it by hand to see why.")
        finally:
            process.terminate()


def _rss_mb(process: int) -> float:
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def _cpu_s(process: int) -> float:
    user, system = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _quantiles(ms: list[float]) -> dict[str, float]:
    return {f"p{q}": float(value) for q, value in zip(_QUANTILES, np.percentile(ms, _QUANTILES), strict=True)}
