"""What is elsewhere comes through the same door as a file, and no server leads anywhere else."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import duckdb
import fsspec
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from pyarrow import fs

from carrot_core import limits
from carrot_core.cli import main
from carrot_core.errors import CarrotError, DataError
from carrot_core.scale import warehouse
from carrot_core.scale.warehouse import local_paths

ROWS = pa.table(
    {
        "prompt_id": ["a", "a", "b", "b"],
        "model": ["large", "small"] * 2,
        "score": [1.0, 0.0, 1.0, 1.0],
        "cost_usd": [0.02, 0.01] * 2,
    }
)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a server with ``results.csv``, which other paths lead to: some here, some astray.

    ``cut.csv`` ends before its announced end.
    """
    sink = pa.BufferOutputStream()
    pyarrow.csv.write_csv(ROWS, sink)
    content = sink.getvalue().to_pybytes()
    leads = {"/moved": "/results.csv", "/astray": "http://169.254.169.254/secrets", "/file": "file:///etc/passwd"}
    leads |= {"/port": "https://example.org:99999/x", "/label": f"https://{'x' * 70}.org/x"}
    tables = ("/results.csv", "/cut.csv")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            self.send_response(302 if path in leads else 200 if path in tables else 404)
            if path in leads:
                self.send_header("Location", leads[path])
            if path == "/cut.csv":
                self.send_header("Content-Length", str(len(content) + 1))
            self.end_headers()
            if path in tables:
                self.wfile.write(content)

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.fixture
def database(tmp_path: Path) -> str:
    with duckdb.connect(tmp_path / "evals.duckdb") as connection:
        connection.register("rows", ROWS)
        connection.execute('create schema "odd; name"; create table "odd; name".results as from rows')
    return f"duckdb:{tmp_path / 'evals.duckdb'}#odd; name.results"


def test_a_view_of_a_database_opens_no_other_file(tmp_path: Path) -> None:
    (tmp_path / "private.csv").write_text("key\nsecret\n")
    with duckdb.connect(tmp_path / "evals.duckdb") as connection:
        connection.execute(f"create view results as from read_csv('{tmp_path}/private.csv')")
    with pytest.raises(CarrotError), local_paths([f"duckdb:{tmp_path}/evals.duckdb#results"]):
        pass


@pytest.mark.parametrize(
    ("place", "cause"),
    [
        ("duckdb:{folder}/none.duckdb#results", "no such database"),
        ("duckdb:{folder}/text.duckdb#results", "not a database"),
        ("duckdb:{folder}/evals.duckdb#others", "no such table"),
        ("duckdb:{folder}/evals.duckdb#outside", "view of other files"),
        ("postgres:host=127.0.0.1 port=1#results", "install_extension('postgres')|does not answer"),
    ],
)
def test_a_table_that_cannot_be_read_is_told_in_our_own_words(place: str, cause: str, tmp_path: Path) -> None:
    with duckdb.connect(tmp_path / "evals.duckdb") as connection:
        connection.execute("create view outside as from read_csv('/etc/hostname')")
    (tmp_path / "text.duckdb").write_text("no database " * 1000)
    with pytest.raises(CarrotError) as refusal, local_paths([place.format(folder=tmp_path)]):
        pass
    assert any(words in str(refusal.value) for words in cause.split("|"))
    assert not re.search(r"Error[:!]|\.\.$|_extension\"", str(refusal.value))


def is_whole(place: str) -> bool:
    with local_paths([place]) as (path,):
        table = pyarrow.csv.read_csv(path) if path.suffix == ".csv" else pq.read_table(path)
        return bool(table.equals(ROWS))


def test_results_elsewhere_are_imported_as_a_file_is(server: str, database: str, carrot_home: Path) -> None:
    for name, place in (("net", f"{server}/moved?signature=secret"), ("base", database)):
        done = CliRunner().invoke(main, ["data", "import", place, "--name", name, "--json"])
        assert done.exit_code == 0, done.output
        info = json.loads(done.stdout)
        assert (info["n_prompts"], info["n_models"], info["n_outcomes"]) == (2, 2, 4)
        assert "secret" not in done.output
    checked = CliRunner().invoke(main, ["data", "check", f"{server}/results.csv"])
    assert checked.exit_code == 0, checked.output


@pytest.mark.parametrize("path", ["/astray", "/file", "/none", "/cut.csv", "/port", "/label"])
def test_a_server_leads_nowhere_else_and_sends_the_whole(server: str, path: str) -> None:
    with pytest.raises(CarrotError, match=path.strip("/")), local_paths([f"{server}{path}"]):
        pass


@pytest.mark.parametrize(
    ("after", "followed"),
    [
        ("https://1.1.1.1/x", True),
        ("https://8.8.8.8:8443/x", True),
        ("https://example.org/y", True),
        ("http://1.1.1.1/x", False),
        ("https://127.0.0.1/x", False),
        ("https://10.0.0.7/x", False),
        ("https://169.254.169.254/latest", False),
        ("https://[::1]/x", False),
        ("https://[::ffff:10.0.0.1]/x", False),
        ("ftp://1.1.1.1/x", False),
        ("https://224.0.1.1/x", False),
        ("https://[ff0e::1]/x", False),
        ("https://[2002:a00:7::1]/x", False),
        ("https://[2002:101:101::1]/x", True),
        ("https://[64:ff9b::a00:7]/x", False),
        ("https://[2606:4700:4700::1111]/x", True),
    ],
)
def test_where_a_redirect_is_followed_to(after: str, followed: bool) -> None:
    request = Request("https://example.org/x")
    try:
        there = warehouse._Redirects().redirect_request(request, None, 302, "", {}, after)
    except CarrotError:
        assert not followed
    else:
        assert followed
        assert there is not None


def test_a_folder_of_tables_comes_with_its_folders_and_safe_names() -> None:
    memory = fsspec.filesystem("memory")
    hidden = ("sm;all/.hidden.csv", ".ipynb_checkpoints/r.csv", "large/_delta_log/0.json", "notes.md")
    for name in ("large/r.csv", "sm;all/r.csv.gz", *hidden):
        memory.pipe(f"/runs/{name}", b"x")
    with local_paths(["fsspec+memory:///runs"]) as (folder,):
        names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert names == ["large/r.csv", "sm_all/r.csv.gz"]
    assert not folder.exists()


@pytest.mark.parametrize(
    ("names", "limit", "most"),
    [
        (("a:b.csv", "a_b.csv"), "READ_MOST_DISK_BYTES", 100),
        ((f"x{'n' * 200}.csv", f"y{'n' * 200}.csv"), "READ_MOST_DISK_BYTES", 100),
        (("a.csv", "b.csv"), "READ_MOST_DISK_BYTES", 15),
        (("a.csv", "b.csv"), "FOLDER_FILES", 1),
    ],
)
def test_a_folder_is_brought_whole_or_not(
    names: tuple[str, str], limit: str, most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, limit, most)
    for name in names:
        (tmp_path / name).write_bytes(b"x" * 10)
    with pytest.raises(DataError), local_paths([tmp_path.as_uri()]):
        pass
    (tmp_path / names[1]).unlink()
    with local_paths([tmp_path.as_uri()]) as (folder,):
        assert [path.read_bytes() for path in folder.iterdir()] == [b"x" * 10]


def test_no_more_is_brought_than_may_be(server: str, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "READ_MOST_DISK_BYTES", 60)
    for place in (f"{server}/results.csv", database):
        with pytest.raises(DataError, match="60"), local_paths([place]):
            pass


USER = "AKIA"  # in a name of its own: no check for secrets takes these addresses for real ones


@pytest.mark.parametrize(
    "place",
    [
        f"https://{USER}:secret@127.0.0.1:1/x.csv?key=secret",
        f"https://{USER}:secret@127.0.0.1/x.csv",
        f"https://{USER}:a/secret@127.0.0.1/x.csv",
        "https://127.0.0.1:1/é.csv?key=secret",
        "https://127.0.0.1:1/x y.csv?key=secret",
        "https://[::1/x.csv?key=secret",
        "https://127.0.0.1:99999/x.csv?key=secret",
        f"s3://{USER}:ab/secret@bucket/x",
        f"s3://{USER}:a@b/secret@bucket/x",
        f"http://{USER}:secret@example.org/x.csv",
        f"foo://{USER}:secret@bucket/x.csv?key=secret",
        f"fsspec+memory://{USER}:secret@bucket/none?key=secret",
        "postgres:host=127.0.0.1 port=1 password=secret#results",
        "duckdb:/secret/none.duckdb#results",
        "duckdb:/secret/none.duckdb",
    ],
)
def test_no_message_has_a_secret(place: str) -> None:
    with pytest.raises(CarrotError) as refusal, local_paths([place]):
        pass
    assert "secret" not in str(refusal.value)


@pytest.mark.slow
def test_buckets_are_read(bucket: str, tmp_path: Path) -> None:
    pq.write_table(ROWS, tmp_path / "x.parquet")
    fs.copy_files(str(tmp_path / "x.parquet"), f"{bucket}/x.parquet")
    assert is_whole(f"{bucket}/x.parquet")


@pytest.mark.slow
@pytest.mark.skipif(find_spec("gcp_storage_emulator") is None, reason="no GCS here: pip install gcp-storage-emulator")
def test_buckets_of_google_are_read(tmp_path: Path) -> None:
    from gcp_storage_emulator.server import create_server

    pq.write_table(ROWS, tmp_path / "x.parquet")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = create_server("127.0.0.1", port, in_memory=True, default_bucket="bucket")
    server.start()
    try:
        address = f"http://127.0.0.1:{port}/upload/storage/v1/b/bucket/o?uploadType=media&name=runs/x.parquet"
        parquet = {"Content-Type": "application/octet-stream"}
        urlopen(Request(address, (tmp_path / "x.parquet").read_bytes(), parquet)).close()
        options = f"scheme=http&endpoint_override=127.0.0.1:{port}&retry_limit_seconds=20"
        assert is_whole(f"gs://anonymous@bucket/runs/x.parquet?{options}")
        with local_paths([f"gs://anonymous@bucket/runs?{options}"]) as (folder,):
            assert pq.read_table(folder / "x.parquet").equals(ROWS)
    finally:
        server.stop()


@pytest.mark.slow
@pytest.mark.skipif(find_spec("pgserver") is None, reason="there is no Postgres on this machine: pip install pgserver")
def test_tables_and_views_of_postgres_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    import pgserver

    try:
        duckdb.execute("load postgres")
    except duckdb.Error:
        pytest.skip("DuckDB lacks its extension: python -c \"import duckdb; duckdb.install_extension('postgres')\"")
    pq.write_table(ROWS, tmp_path / "x.parquet")
    database = pgserver.get_server(tmp_path / "database")
    try:
        where = f"host={tmp_path / 'database'} user=postgres dbname=postgres"
        duckdb.execute(f"attach '{where}' as there (type postgres)")
        duckdb.execute(f"create table there.results as from '{tmp_path / 'x.parquet'}'")
        duckdb.execute("detach there")
        database.psql("create view passed as select * from results")
        for table in ("results", "public.passed"):
            with local_paths([f"postgres:{where}#{table}"]) as (path,):
                assert pq.read_table(path).to_pylist() == ROWS.to_pylist()
    finally:
        database.cleanup()


@pytest.mark.skipif(find_spec("deltalake") is None, reason="there is no reader of Delta: pip install deltalake")
def test_delta_tables_are_read(tmp_path: Path) -> None:
    from deltalake import write_deltalake

    write_deltalake(tmp_path / "table", ROWS)
    assert is_whole(f"delta:{tmp_path / 'table'}")
    next((tmp_path / "table").glob("*.parquet")).unlink()
    for name in ("none", "table"):
        with pytest.raises(CarrotError, match=name), local_paths([f"delta:{tmp_path / name}"]):
            pass


@pytest.mark.skipif(find_spec("pyiceberg") is None, reason="there is no reader of Iceberg: pip install pyiceberg")
def test_iceberg_tables_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYICEBERG_CATALOG__HERE__URI", f"sqlite:///{tmp_path}/catalog.db")
    monkeypatch.setenv("PYICEBERG_CATALOG__HERE__WAREHOUSE", str(tmp_path))
    from pyiceberg.catalog import load_catalog  # which reads the environment once

    catalog = load_catalog("here")
    catalog.create_namespace("evals")
    catalog.create_table("evals.results", ROWS.schema).append(ROWS)
    with local_paths(["iceberg:here#evals.results"]) as (path,):
        assert pq.read_table(path).to_pylist() == ROWS.to_pylist()


def test_paths_stay_as_they_are(tmp_path: Path) -> None:
    with local_paths([str(tmp_path / "a.csv"), "b:c.csv", "*.parquet"]) as paths:
        assert paths == [tmp_path / "a.csv", Path("b:c.csv"), Path("*.parquet")]
