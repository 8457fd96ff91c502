"""A hub of the test's own: the routes its client calls, over files in memory, with faults to order.

Routes: ``/api/datasets/<repo>[/revision/<rev>]?blobs=True`` (the list of files), and
``/datasets/<repo>/resolve/<rev>/<path>``, which redirects to a content store, as the hub does for large
files; that store answers ranges.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import pandas as pd

COMMIT = "c0ffee" + "0" * 34
SPROUT = "CARROT-LLM-Routing/SPROUT"
VARIANT = "CARROT-LLM-Routing/SPROUT-o3mini"
ROUTERBENCH = "withmartian/routerbench"


@dataclass
class Hub:
    """What the server has, what it is to do wrong, and what it was asked.

    Attributes
    ----------
    files : content by path, in each repository.
    status : answer every listing with this status instead; with ``error`` as ``X-Error-Code``.
    file_status : the same for files.
    cut : close the connection after so many bytes of a file, once for each entry.
    announced : content to describe in the listing, by path, where it is not what is sent.
    ranges : answer ranges; else send the whole file, as a server may.
    pause_s : wait before each 64 kB.
    licence : what the card of every data set states.
    requests : method and path of everything asked.
    sent : bytes of file content sent.
    """

    files: dict[str, dict[str, bytes]]
    status: int = 200
    error: str = ""
    file_status: int = 200
    cut: list[int] = field(default_factory=list)
    announced: dict[str, bytes] = field(default_factory=dict)
    plain: set[str] = field(default_factory=set)
    ranges: bool = True
    pause_s: float = 0.0
    licence: str | None = None
    requests: list[str] = field(default_factory=list)
    sent: int = 0
    url: str = ""

    def listing(self, repo: str) -> dict[str, object]:
        """The answer of the hub's API; ``plain`` files are in git itself, the others in LFS."""
        siblings = []
        for path, raw in sorted(self.files[repo].items()):
            content = self.announced.get(path, raw)
            blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            entry: dict[str, object] = {"rfilename": path, "size": len(content), "blobId": blob}
            if path not in self.plain:
                lfs = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest(), "pointerSize": 134}
                entry["lfs"] = lfs
            siblings.append(entry)
        card = {"cardData": {"license": self.licence}} if self.licence else {}
        return {"id": repo, "sha": COMMIT, "siblings": siblings, "private": False, "gated": False, "tags": [], **card}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{self.command} {self.path}")
        api = re.fullmatch(r"/api/datasets/([^/]+/[^/]+)(?:/revision/(.+))?", path)
        resolve = re.fullmatch(r"/datasets/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        store = re.fullmatch(r"/store/([^/]+/[^/]+)/(.+)", path)
        if api:
            self._api(api[1], api[2])
        elif resolve:
            self._resolve(*resolve.groups())
        elif store:
            self._content(self.hub.files[store[1]][store[2]])
        else:
            self._refuse(404, "")

    def _api(self, repo: str, revision: str | None) -> None:
        if self.hub.status != 200:
            self._refuse(self.hub.status, self.hub.error)
        elif repo not in self.hub.files:
            self._refuse(404, "RepoNotFound")
        elif revision not in (None, "main", COMMIT):
            self._refuse(404, "RevisionNotFound")
        else:
            self._answer(200, json.dumps(self.hub.listing(repo)).encode(), {"Content-Type": "application/json"})

    def _resolve(self, repo: str, revision: str, path: str) -> None:
        if self.hub.file_status != 200:
            self._refuse(self.hub.file_status, self.hub.error)
            return
        assert revision == COMMIT, "a pull must stay with one commit"
        content = self.hub.files[repo][path]
        etag = f'"{hashlib.sha256(content).hexdigest()}"'
        headers = {"X-Repo-Commit": COMMIT, "X-Linked-Etag": etag, "X-Linked-Size": str(len(content))}
        self._answer(302, b"", {**headers, "Location": f"{self.hub.url}/store/{repo}/{path}"})

    def _content(self, content: bytes) -> None:
        span = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(span[1]) if span and self.hub.ranges else 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        stop = start + self.hub.cut.pop(0) if self.hub.cut else len(content)
        for position in range(start, min(stop, len(content)), 1 << 16):
            time.sleep(self.hub.pause_s)
            block = content[position : min(position + (1 << 16), stop)]
            self.hub.sent += len(block)  # before the other side can have it
            self.wfile.write(block)
        if stop < len(content):
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    def _refuse(self, status: int, error: str) -> None:
        headers = {"X-Error-Code": error} if error else {}
        self._answer(status, json.dumps({"error": "refused"}).encode(), {**headers, "Content-Type": "application/json"})

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle(self) -> None:
        try:
            super().handle()
        except ConnectionError:  # the client was killed, or hung up
            self.close_connection = True

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@contextmanager
def listening(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Answer on a port of this machine; gives the address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def serving(files: dict[str, dict[str, bytes]]) -> Iterator[Hub]:
    """Serve files by repository and path on a port of this machine; `Hub.url` is the endpoint."""
    hub = Hub(files)
    handler = type("Handler", (_Handler,), {"hub": hub})
    with listening(handler) as hub.url:
        yield hub


def add_tables(hub: Hub, repo: str = "lab/routes") -> None:
    """Two configurations, the first in two splits, with columns of other names."""
    rows = [
        {"q": f"p{i}", "llm": model, "right": (i + j) % 2 == 0, "cost_usd": 0.001 * (j + 1), "prompt": f"what is {i}?"}
        for i in range(30)
        for j, model in enumerate(("acme/large", "acme/small"))
    ]
    for name, part in (
        ("one/train-0.parquet", rows[:40]),
        ("one/test-0.parquet", rows[40:]),
        ("two/test-0.parquet", rows),
    ):
        buffer = io.BytesIO()
        pd.DataFrame(part).to_parquet(buffer)
        hub.files.setdefault(repo, {})[name] = buffer.getvalue()
    hub.files[repo]["README.md"] = b"# Routes"
