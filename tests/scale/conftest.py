"""A stand-in for a cloud's store of files."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec

import pytest


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """The address of an S3 on this machine that has a bucket; the test is skipped, saying so, where there is none."""
    if find_spec("moto") is None:
        pytest.skip("there is no S3 on this machine: pip install 'moto[server]'")
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    with subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-p", address.rpartition(":")[2]], stderr=subprocess.DEVNULL
    ) as server:
        make = urllib.request.Request(f"{address}/bucket", method="PUT")
        for attempt in range(100):
            try:
                urllib.request.urlopen(make).close()
                break
            except urllib.error.URLError:
                assert attempt < 99
                time.sleep(0.3)
        yield address
        server.kill()


@pytest.fixture
def bucket(s3: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of that bucket, with the variables that lead to it."""
    names = {"AWS_ENDPOINT_URL": s3, "AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}
    for name, value in (names | {"AWS_DEFAULT_REGION": "us-east-1"}).items():
        monkeypatch.setenv(name, value)
    return "s3://bucket"
