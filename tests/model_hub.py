"""The hub's routes for models and Spaces, as its client calls them to upload and to download, over files in memory.

Upload: ``/api/repos/create``, ``/api/validate-yaml``, ``/api/models/<repo>/preupload/main``,
``/<repo>.git/info/lfs/objects/batch``, ``/store/<sha256>`` and ``/api/models/<repo>/commit/main``.
Download: ``/api/models/<repo>[/revision/<rev>]``, ``/api/models/<repo>/tree/<rev>`` and
``/<repo>/resolve/<rev>/<path>``.
Those of a Space have ``spaces`` for ``models``, and ``/api/spaces/<repo>/variables``.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.hub_server import listening

COMMIT = "beef" * 10


@dataclass
class ModelHub:
    """What the hub has and was asked; ``status`` other than 200 refuses every call of its API."""

    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    stored: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    created: list[dict[str, Any]] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)
    status: int = 200
    url: str = ""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: ModelHub

    def _handle(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{self.command} {path}")
        body = self._body()
        if self.hub.status != 200:
            self._answer({"error": "refused"}, self.hub.status)
            return
        for pattern, route in _ROUTES.items():
            match = re.fullmatch(pattern, path)
            if match and route.__name__.startswith(f"_{self.command.lower().replace('head', 'get')}"):
                route(self, body, *match.groups())
                return
        self._answer({"error": "no such route"}, 404)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    do_GET = do_HEAD = do_POST = do_PUT = _handle  # noqa: N815  (named by the base class)

    def _post_create(self, body: bytes) -> None:
        request = json.loads(body)
        repo = f"{request['organization']}/{request['name']}"
        self.hub.created.append(request)
        self.hub.files.setdefault(repo, {})
        self._answer({"url": f"{self.hub.url}/{repo}", "name": repo})

    def _post_page(self, body: bytes) -> None:
        wrong = "license: nonsense" in json.loads(body)["content"]
        self._answer(
            {"errors": [{"message": "no such license"}] if wrong else [], "warnings": []}, 400 if wrong else 200
        )

    def _post_preupload(self, body: bytes, repo: str) -> None:
        request = json.loads(body)["files"]
        modes = ["lfs" if file["path"].endswith(".safetensors") else "regular" for file in request]
        self._answer(
            {
                "files": [
                    {"path": file["path"], "uploadMode": mode, "shouldIgnore": False}
                    for file, mode in zip(request, modes, strict=True)
                ]
            }
        )

    def _post_variable(self, body: bytes, repo: str) -> None:
        request = json.loads(body)
        self.hub.variables[request["key"]] = request["value"]
        self._answer({name: {"key": name, "value": value} for name, value in self.hub.variables.items()})

    def _post_batch(self, body: bytes, repo: str) -> None:
        objects = [
            {**each, "actions": {"upload": {"href": f"{self.hub.url}/store/{each['oid']}"}}}
            for each in json.loads(body)["objects"]
        ]
        self._answer({"transfer": "basic", "objects": objects})

    def _put_object(self, body: bytes, oid: str) -> None:
        assert hashlib.sha256(body).hexdigest() == oid
        self.hub.stored[oid] = body
        self._answer({})

    def _post_commit(self, body: bytes, repo: str) -> None:
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                self.hub.files[repo][value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                self.hub.files[repo][value["path"]] = self.hub.stored[value["oid"]]
            elif entry["key"] == "deletedFile":
                del self.hub.files[repo][value["path"]]
        self._answer({"commitUrl": f"{self.hub.url}/{repo}/commit/{COMMIT}", "commitOid": COMMIT})

    def _get_info(self, body: bytes, repo: str, revision: str | None = None) -> None:
        if repo not in self.hub.files:
            self._answer({"error": "no such repository"}, 404, {"X-Error-Code": "RepoNotFound"})
        elif revision not in (None, "main", COMMIT):
            self._answer({"error": "no such revision"}, 404, {"X-Error-Code": "RevisionNotFound"})
        else:
            names = [{"rfilename": name} for name in self.hub.files[repo]]
            host = {"host": f"https://{repo.lower().replace('/', '-')}.hf.space"} if "/spaces/" in self.path else {}
            self._answer({"id": repo, "sha": COMMIT, "siblings": names, "private": False, "tags": [], **host})

    def _get_tree(self, body: bytes, repo: str) -> None:
        self._answer(
            [
                {"type": "file", "path": name, "size": len(content), "oid": _blob(content)}
                for name, content in self.hub.files[repo].items()
            ]
        )

    def _get_file(self, body: bytes, repo: str, name: str) -> None:
        content = self.hub.files[repo][name]
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{_blob(content)}"'}
        self._send(content, 200, headers)

    def _answer(self, document: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self._send(json.dumps(document).encode(), status, {"Content-Type": "application/json", **(headers or {})})

    def _send(self, content: bytes, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


_REPO, _API = r"([^/]+/[^/]+)", "/api/(?:models|spaces)"
_ROUTES = {
    r"/api/repos/create": _Handler._post_create,
    r"/api/validate-yaml": _Handler._post_page,
    rf"{_API}/{_REPO}/preupload/main": _Handler._post_preupload,
    rf"/api/spaces/{_REPO}/variables": _Handler._post_variable,
    rf"(?:/spaces)?/{_REPO}\.git/info/lfs/objects/batch": _Handler._post_batch,
    r"/store/([0-9a-f]+)": _Handler._put_object,
    rf"{_API}/{_REPO}/commit/main": _Handler._post_commit,
    rf"{_API}/{_REPO}/tree/(?:main|{COMMIT})": _Handler._get_tree,
    rf"{_API}/{_REPO}(?:/revision/(.+))?": _Handler._get_info,
    rf"/{_REPO}/resolve/{COMMIT}/(.+)": _Handler._get_file,
}


def _blob(content: bytes) -> str:
    """The name git gives a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


@contextmanager
def model_hub() -> Iterator[ModelHub]:
    """Serve an empty hub on a port of this machine; `ModelHub.url` is the endpoint."""
    hub = ModelHub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    with listening(handler) as hub.url:
        yield hub
