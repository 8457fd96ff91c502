"""Download remote files and tables whole, to read them like any file of a stranger.

Only the command line imports it: its user may name places, but pages and requests may not.
"""

from __future__ import annotations

import http.client
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from socket import getaddrinfo
from typing import IO, Any
from urllib.error import URLError
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from carrot_core import limits
from carrot_core.benchmarks.columns import literal, quote
from carrot_core.benchmarks.file_checks import lock_down, private_connection
from carrot_core.benchmarks.reading import ENDINGS, PACKED
from carrot_core.errors import CarrotError, DataError
from carrot_core.modes import is_loopback
from carrot_core.number_formats import size_text
from carrot_core.scale.blocks import files_below, info_of, redact, refusing

_UNSAFE = re.compile(r"[^\w.\- =]")
_DATABASES = ("duckdb", "postgres", "mysql", "sqlite")
_ADDRESS = re.compile(rf"([a-z][a-z0-9+]*://|({'|'.join(_DATABASES)}|delta|iceberg):).+", re.DOTALL)
_CHUNK, _ROWS = 1 << 20, 65_536
# What DuckDB says of a database or table that it cannot read, and our own words for it.
_FAULTS = (
    (
        r"[Ee]xtension .*(not found|not be loaded|not installed)",
        "DuckDB lacks its extension; with a connection to the internet, run "
        "`python -c \"import duckdb; duckdb.install_extension('{kind}')\"`",
    ),
    (r"database does not exist|No such file", "there is no such database"),
    (r"not a valid DuckDB|not a database|Is a directory", "it is not a database of {kind}"),
    (r"[Ll]ock", "another program is writing to it: close it first"),
    (r"(Table|Schema|View).* does not exist", "the database has no such table: write TABLE or SCHEMA.TABLE behind #"),
    (r"Permission Error|file system", "it is a view of other files, which are not opened: bring those"),
    (
        r"[Cc]onnect|password|authentication|timeout|timed out",
        "the server does not answer, or refuses the user: check host, port, name and password",
    ),
    (r"", "the database refuses it: check the place and the name behind #, with another program if need be"),
)


@contextmanager
def local_paths(places: Sequence[str]) -> Iterator[list[Path]]:
    """Give local paths unchanged, and for each address a local file or folder, which is deleted at the end.

    Parameters
    ----------
    places : paths; or files, and folders of tables, at ``https://``, ``s3://``, ``gs://``, ``hf://`` or
        ``fsspec+PROTOCOL://``; or a table: ``postgres:CONNECTION#TABLE`` (also mysql, sqlite, duckdb),
        ``delta:PLACE``, ``iceberg:CATALOG#NAMESPACE.TABLE``.

    Raises
    ------
    NotFoundError, DataError, CarrotError
        A place does not exist or cannot be reached, is larger than `limits.READ_MOST_DISK_BYTES`, or needs a package
        or an extension that is not installed. No message has a password or a key of an address.
    """
    with tempfile.TemporaryDirectory(prefix="carrot-") as folder:
        yield [
            _bring(place, Path(folder) / str(number)) if _ADDRESS.fullmatch(place) else Path(place)
            for number, place in enumerate(places)
        ]


def _bring(place: str, folder: Path) -> Path:
    folder.mkdir()
    scheme, _, rest = place.partition(":")
    if scheme in ("http", "https"):
        return _download(place, folder)
    if scheme in _DATABASES:
        return _from_database(scheme, rest, folder)
    if scheme == "iceberg":
        return _from_iceberg(rest, folder)
    if scheme == "delta":
        return _from_delta(rest, folder)
    return _copied(place, folder)


class _Bounded:
    """A file that refuses more bytes than may be downloaded."""

    def __init__(self, file: IO[bytes], name: str, left: int) -> None:
        self._file, self._name, self.left = file, name, left
        self.closed = False

    def write(self, content: Any) -> int:
        self.left -= len(memoryview(content).cast("B"))
        if self.left < 0:
            most = size_text(limits.READ_MOST_DISK_BYTES)
            raise DataError(self._name, f"has more than {most}: bring it in parts, or raise READ_MOST_DISK_BYTES")
        return self._file.write(content)


def _safe(name: str) -> str:
    """A safe name for a local file."""
    return _UNSAFE.sub("_", unquote(name))[-200:].lstrip(".") or "table"


def _copied(place: str, folder: Path) -> Path:
    """Copy files that Arrow can open; of a folder, those whose names are those of tables."""
    with refusing(place):
        system, info = info_of(place)
        if info.type == fs.FileType.File:
            target = folder / _safe(info.base_name)
            _copy(system, info.path, target, place, limits.READ_MOST_DISK_BYTES)
            return target
        endings = tuple(f"{ending}{packing}" for ending in ENDINGS for packing in ("", *PACKED))
        files, left = files_below(system, info.path, endings), limits.READ_MOST_DISK_BYTES
        if len(files) > limits.FOLDER_FILES:
            raise DataError(redact(place), f"has more than {limits.FOLDER_FILES:,} files: bring it in parts")
        for each, parts in files:
            target = folder.joinpath(*map(_safe, parts))
            if target.exists():
                name = target.relative_to(folder).as_posix()
                raise DataError(redact(place), f"has two files that are both {name!r} here: rename one of them")
            left = _copy(system, each.path, target, place, left)
        return folder


def _copy(system: fs.FileSystem, path: str, target: Path, place: str, left: int) -> int:
    """Copy a file of at most ``left`` bytes; returns how many bytes are left."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with system.open_input_stream(path, compression=None) as source, target.open("wb") as file:
        return _pour(source, file, redact(place), left)


def _pour(source: Any, file: IO[bytes], name: str, left: int) -> int:
    bounded = _Bounded(file, name, left)
    while content := source.read(_CHUNK):
        bounded.write(content)
    return bounded.left


class _Redirects(HTTPRedirectHandler):
    """Follow redirects to another server only over TLS, and never into a private network."""

    max_redirections = 5

    def redirect_request(self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Request | None:
        before, after = urlsplit(req.full_url), urlsplit(newurl)
        if before[:2] != after[:2] and (after.scheme != "https" or not _is_public(after)):
            raise CarrotError(
                f"{redact(req.full_url)} redirects to {redact(newurl)}: another server must have https and a public "
                "address. Name that place yourself if you trust it."
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _is_public(address: SplitResult) -> bool:
    """Whether all addresses of a host are public; if they change later, TLS still checks the host's certificate."""
    answers = getaddrinfo(address.hostname or "", address.port or 443)
    return all(_is_open(ip_address(str(each[4][0]).partition("%")[0])) for each in answers)


def _is_open(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address is one machine of the open network; an IPv6 address that maps to IPv4 is judged as IPv4."""
    inner = address.sixtofour if isinstance(address, IPv6Address) else None
    if inner is not None:
        return _is_open(inner)
    # Python calls 64:ff9b::/96 global, too: its addresses are reserved, and a gateway may lead them to private ones.
    return address.is_global and not address.is_multicast and not address.is_reserved


def _download(place: str, folder: Path) -> Path:
    try:
        address = urlsplit(place)
        if address.username is not None:
            raise CarrotError(
                f"{redact(place)} has a name or a password before its host, which is not sent: leave it out."
            )
        if address.scheme == "http" and not is_loopback(address.hostname or ""):
            raise CarrotError(
                f"{redact(place)} has no TLS, so anyone on the way can change it: give the https address."
            )
        target = folder / _safe(address.path.rpartition("/")[2])
        with build_opener(_Redirects()).open(place, timeout=limits.HUB_SECONDS) as answer, target.open("wb") as file:
            _pour(answer, file, redact(place), limits.READ_MOST_DISK_BYTES)
            if answer.length:  # missing bytes of the Content-Length, which reading in chunks does not notice
                raise CarrotError(f"{redact(place)} was cut off {answer.length:,} bytes before its end: try again.")
    except (ValueError, http.client.InvalidURL) as error:  # their texts have parts of the address
        raise CarrotError(
            f"{redact(place)} is not a web address, or redirects to an invalid one: check its host and port, and write "
            "spaces and letters beyond ASCII as %20, %C3%A9 and so on."
        ) from error
    except (URLError, OSError, http.client.HTTPException) as error:
        raise CarrotError(f"{redact(place)} cannot be read: {getattr(error, 'reason', None) or error}.") from error
    return target


def _parts(address: str) -> tuple[str, str]:
    """The place of a table, and its name there."""
    where, mark, table = address.rpartition("#")
    if not mark or not table:
        raise CarrotError("Name the table after the place, as in postgres:dbname=evals#public.results.")
    return where, table


def _written(rows: pa.RecordBatchReader, folder: Path, name: str) -> Path:
    """Write the rows to a Parquet file."""
    target = folder / f"{_safe(name)}.parquet"
    with target.open("wb") as file:
        bounded = _Bounded(file, name, limits.READ_MOST_DISK_BYTES)
        with pq.ParquetWriter(bounded, rows.schema) as writer:
            for batch in rows:
                writer.write_batch(batch)
    return target


def _from_database(kind: str, address: str, folder: Path) -> Path:
    """Copy a table of a database that DuckDB attaches read-only; the extension must be installed already.

    A view in a stranger's database cannot open anything else on this machine.
    """
    where, table = _parts(address)
    name = ".".join(quote(part) for part in ("other", *table.split(".")))
    with private_connection() as connection:
        try:
            if kind != "duckdb":
                connection.execute(f"load {kind}")
            connection.execute(f"attach {literal(where)} as other (type {kind}, read_only)")
            lock_down(connection)
            return _written(connection.sql(f"from {name}").to_arrow_reader(_ROWS), folder, table)
        except (duckdb.Error, RuntimeError, pa.ArrowException) as error:
            fault = next(words for pattern, words in _FAULTS if re.search(pattern, str(error)))
            raise CarrotError(f"The table {table!r} cannot be read: {fault.format(kind=kind)}.") from error


def _from_delta(place: str, folder: Path) -> Path:
    try:
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError
    except ImportError as error:
        raise CarrotError("delta: needs a package: run `pip install deltalake`.") from error
    try:
        reader = DeltaTable(place).to_pyarrow_dataset().scanner().to_reader()
        return _written(reader, folder, place.rstrip("/").rpartition("/")[2])
    except (DeltaError, pa.ArrowException, OSError, ValueError) as error:
        text = str(error).replace(place, redact(place))
        raise CarrotError(f"The Delta table {redact(place)!r} cannot be read: {text}.") from error


def _from_iceberg(address: str, folder: Path) -> Path:
    catalog, table = _parts(address)
    try:
        from pyiceberg.catalog import load_catalog
        from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
    except ImportError as error:
        raise CarrotError("iceberg: needs a package: run `pip install 'pyiceberg[pyarrow]'`.") from error
    try:
        reader = load_catalog(catalog or None).load_table(table).scan().to_arrow_batch_reader()
        return _written(reader, folder, table)
    except (NoSuchTableError, NoSuchNamespaceError, pa.ArrowException, OSError, ValueError) as error:
        raise CarrotError(f"The Iceberg table {table!r} cannot be read: {error}.") from error
