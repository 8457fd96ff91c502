"""Files of a data set on the Hugging Face hub: list, download (resuming), check, and reuse them offline."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from filelock import FileLock, Timeout
from huggingface_hub import HfApi, errors, hf_hub_url
from huggingface_hub.hf_api import RepoSibling
from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status  # type: ignore[attr-defined]

from carrot_core import limits, paths
from carrot_core.benchmarks import NONE_STATED, Provenance
from carrot_core.errors import CarrotError, DataError, NotFoundError
from carrot_core.modes import action
from carrot_core.number_formats import size_text
from carrot_core.paths import file_sha256


@dataclass(frozen=True)
class StoredCommit:
    """A commit whose files are all on disk: their sha256 by name, and the day they were fetched (UTC)."""

    commit: str
    sha256: Mapping[str, str]
    day: str


def sums(sha256: Mapping[str, str]) -> str:
    """One line "sha256  name" a file, in the order of their names."""
    return "".join(f"{sha256[name]}  {name}\n" for name in sorted(sha256))


def note(target: Path, patterns: Sequence[str], sha256: Mapping[str, str]) -> None:
    """Record that all files of a commit that match ``patterns`` are in ``target``."""
    path = target / _list_name(patterns)
    part = path.with_name(f"{path.name}.part")
    part.write_text(sums(sha256), encoding="utf-8")
    part.replace(path)  # a list is there whole or not at all


def newest(folder: Path, patterns: Sequence[str], revision: str | None) -> StoredCommit | None:
    """The newest complete commit on disk, or the one named by ``revision``; None if there is none."""
    lists = [path for path in folder.glob(f"*/{_list_name(patterns)}") if revision in (None, path.parent.name)]
    for path in sorted(lists, key=lambda path: path.stat().st_mtime_ns, reverse=True):
        lines = (line.partition("  ") for line in path.read_text(encoding="utf-8").splitlines())
        sha256 = {name: digest for digest, _, name in lines}
        if all(_has(path.parent.joinpath(*PurePosixPath(name).parts), digest) for name, digest in sha256.items()):
            day = datetime.fromtimestamp(path.stat().st_mtime, UTC).date().isoformat()
            return StoredCommit(path.parent.name, sha256, day)
    return None


def _has(path: Path, sha256: str) -> bool:
    return path.is_file() and file_sha256(path) == sha256


def _list_name(patterns: Sequence[str]) -> str:
    return f".{re.sub(r'[^A-Za-z0-9]+', '-', ' '.join(patterns)).strip('-')}.sha256"


# Bytes done, bytes of the file, name of the file.
FileProgress = Callable[[int, int, str], None]
_CHUNK_BYTES = 1 << 20


# What the transport raises: the class of httpx with version 1 of the hub's client, of httpx2 with version 2.
_TransportError: type[Exception] = errors.HTTPError  # type: ignore[attr-defined]


@dataclass(frozen=True)
class HubFile:
    """One downloaded file whose content matches the hub's hash.

    Attributes
    ----------
    name : path in the repository.
    path : where it is here.
    sha256 : of its bytes.
    """

    name: str
    path: Path
    sha256: str


@dataclass(frozen=True)
class HubFiles:
    """Some files of one commit of a data set.

    Attributes
    ----------
    repo : "owner/name".
    revision : the commit, 40 hexadecimal digits.
    files : in the order of their names.
    note : a sentence on where the files come from if not from the hub; "" otherwise.
    licence : as the data set's card states it; "" where it states none or the hub was not asked.
    """

    repo: str
    revision: str
    files: tuple[HubFile, ...]
    note: str = ""
    licence: str = ""

    def provenance(self, licence: str = "") -> Provenance:
        """Repository and commit as the source; the sha256 is that of the lines "sha256  name" of its files.

        ``licence`` is known of a data set, else what its card states.
        """
        lines = sums({file.name: file.sha256 for file in self.files})
        stated = licence or self.licence or NONE_STATED
        note = f"{len(self.files)} files of the hub; the sha256 is of their list (sha256, two spaces, name)"
        return Provenance(f"{self.repo}@{self.revision}", hashlib.sha256(lines.encode()).hexdigest(), stated, note=note)


def fetch(
    repo: str, patterns: Sequence[str], *, revision: str | None = None, progress: FileProgress | None = None
) -> HubFiles:
    """Download the files of a data set whose names match; an interrupted download continues where it stopped.

    If the hub cannot be reached, the checked files of an earlier pull are returned (with ``revision`` only
    those of that commit), and `HubFiles.note` says so.

    The environment variable ``HF_ENDPOINT`` names another hub; the token is that of ``hf auth login`` or
    ``HF_TOKEN``.

    Parameters
    ----------
    repo : "owner/name" of the data set.
    patterns : patterns of names, e.g. ``data/*.parquet``, the preferred first: the files are those of the first that
        has any.
    revision : branch, tag or commit; the newest by default.
    progress : called with bytes done, bytes of the file and its name.

    Raises
    ------
    NotFoundError
        No such data set, revision or file.
    DataError
        A file arrived incomplete or damaged.
    CarrotError
        The hub cannot be reached or refuses, the disk is full, or another pull of the same data is under way.
    """
    folder = paths.home() / "hub" / repo.replace("/", "--")
    with action("pull", repo, folder), _translate_errors(repo, revision, folder):
        try:
            commit, remote, licence = _list_files(repo, revision, patterns)
        except (_TransportError, errors.OfflineModeIsEnabled) as error:
            record = None if isinstance(error, errors.HfHubHTTPError) else newest(folder, patterns, revision)
            if record is None:
                raise
            return _fetched_before(repo, record, folder)
        target = folder / commit
        target.mkdir(parents=True, exist_ok=True)
        with _alone(target, repo):
            _check_room(target, remote)
            report = progress or (lambda done, total, name: None)
            files = [_download(repo, commit, file, target, report) for file in remote]
            note(target, patterns, {file.name: file.sha256 for file in files})
    return HubFiles(repo, commit, tuple(files), licence=licence)


def _fetched_before(repo: str, record: StoredCommit, folder: Path) -> HubFiles:
    note_text = (
        f"The hub could not be reached: these are the files of commit {record.commit}, fetched on {record.day}. "
        "There may be newer ones."
    )
    target = folder / record.commit
    files = (HubFile(name, target.joinpath(*PurePosixPath(name).parts), record.sha256[name]) for name in record.sha256)
    return HubFiles(repo, record.commit, tuple(files), note_text)


def _list_files(repo: str, revision: str | None, patterns: Sequence[str]) -> tuple[str, list[RepoSibling], str]:
    """Commit, matching files in the order of their names, and the licence that the card states."""
    try:
        info = HfApi(endpoint=_endpoint()).dataset_info(
            repo, revision=revision, files_metadata=True, timeout=limits.HUB_SECONDS
        )
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, OSError):  # an answer of the hub, in its own words
            raise
        raise CarrotError(f"{_endpoint() or 'The hub'} does not answer as a hub does; is HF_ENDPOINT right?") from error
    matches = ([file for file in info.siblings or () if fnmatch(file.rfilename, pattern)] for pattern in patterns)
    files = next(filter(None, matches), [])
    if not files or info.sha is None:
        raise NotFoundError(f"The data set {repo} on the hub has no file {' or '.join(patterns)}.")
    for name in (info.sha, *(file.rfilename for file in files)):
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or "\\" in name:
            raise DataError(repo, f"a file has the name {name!r}, which would lie outside its folder")
    stated = info.card_data.get("license") if info.card_data else None
    licence = ", ".join(map(str, stated)) if isinstance(stated, list) else str(stated or "")
    return info.sha, sorted(files, key=lambda file: file.rfilename), licence


def _download(repo: str, commit: str, file: RepoSibling, target: Path, report: FileProgress) -> HubFile:
    """Download one file and check it; a file that is already there is checked too."""
    name, size = file.rfilename, _bytes_of(file)
    path = target.joinpath(*PurePosixPath(name).parts)
    part = path.with_name(f"{path.name}.part")
    if not _is(path, file):
        path.parent.mkdir(parents=True, exist_ok=True)
        url = hf_hub_url(repo, name, repo_type="dataset", revision=commit, endpoint=_endpoint())
        _receive(url, part, name, size, report)
        if not _is(part, file):
            part.unlink()
            raise DataError(name, "arrived damaged: it is not what the hub says it is. It was deleted; pull again")
        part.replace(path)
    report(size, size, name)
    return HubFile(name, path, file_sha256(path) if file.lfs is None else file.lfs.sha256)


def _receive(url: str, part: Path, name: str, size: int, report: FileProgress) -> None:
    """Append to ``part`` until it has ``size`` bytes; a broken connection is retried while bytes arrive."""
    if _size(part) > size:
        part.unlink()
    while not part.exists() or _size(part) < size:
        have = _size(part)
        try:
            _stream(url, part, have, size, lambda done: report(done, size, name))
        except _TransportError as error:
            if isinstance(error, errors.HfHubHTTPError) or _size(part) <= have:
                raise
        if size and _size(part) <= have:
            raise DataError(name, f"only {_size(part):,} of {size:,} bytes arrived. They are kept; pull again to go on")


def _stream(url: str, part: Path, have: int, size: int, report: Callable[[int], None]) -> None:
    headers = build_hf_headers() | {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    session = get_session()
    with session.stream("GET", url, headers=headers, timeout=limits.HUB_SECONDS, follow_redirects=True) as response:
        hf_raise_for_status(response)
        goes_on = response.status_code == 206  # else the server sends it from the start
        with part.open("ab" if goes_on else "wb") as out:
            report(out.tell())
            for chunk in response.iter_bytes(_CHUNK_BYTES):
                out.write(chunk)
                report(out.tell())
                if out.tell() > size:  # not the file that was announced: its hash will say so
                    return


def _is(path: Path, file: RepoSibling) -> bool:
    """Whether the local file has the size and hash of the one on the hub."""
    size = _bytes_of(file)
    if not path.is_file() or path.stat().st_size != size:
        return False
    if file.lfs is not None:
        return file_sha256(path) == file.lfs.sha256
    # A small file outside of LFS has the hash git gives it.
    return hashlib.sha1(b"blob %d\0" % size + path.read_bytes(), usedforsecurity=False).hexdigest() == file.blob_id


def _bytes_of(file: RepoSibling) -> int:
    return (file.size or 0) if file.lfs is None else file.lfs.size


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT") or None


@contextmanager
def _alone(target: Path, repo: str) -> Iterator[None]:
    lock = FileLock(target / ".lock", timeout=1)
    try:
        lock.acquire()
    except Timeout as error:
        raise CarrotError(f"Another process is pulling {repo}; wait for it to end.") from error
    try:
        yield
    finally:
        lock.release()


def _check_room(target: Path, remote: Sequence[RepoSibling]) -> None:
    here = [target.joinpath(*PurePosixPath(file.rfilename).parts) for file in remote]
    have = sum(_size(path) or _size(path.with_name(f"{path.name}.part")) for path in here)
    size = sum(map(_bytes_of, remote))
    if size > limits.READ_MOST_DISK_BYTES:
        most = f"more than {size_text(limits.READ_MOST_DISK_BYTES)}"
        raise CarrotError(f"The files have {size_text(size)}, {most}: choose a part, or raise READ_MOST_DISK_BYTES.")
    needed, free = size - have, shutil.disk_usage(target).free
    if free < needed:
        raise CarrotError(
            f"The disk is too full: {needed / 1e6:,.0f} MB are still to come and {free / 1e6:,.0f} MB are free "
            f"in {target}. Make room, or set CARROT_HOME to another disk."
        )


@contextmanager
def _translate_errors(repo: str, revision: str | None, folder: Path) -> Iterator[None]:
    """Turn errors of the hub, the network and the disk into a `CarrotError`."""
    try:
        yield
    except errors.HfHubHTTPError as error:
        raise _refusal(error, repo, revision) from error
    except errors.OfflineModeIsEnabled as error:
        raise CarrotError(
            "HF_HUB_OFFLINE is set, so the hub is not asked, and no earlier pull fetched this; unset it."
        ) from error
    except _TransportError as error:
        raise CarrotError(
            f"The hub at {HfApi(endpoint=_endpoint()).endpoint} cannot be reached ({error or type(error).__name__}). "
            "Check the connection and the proxy, then pull again: what has arrived is kept. HF_ENDPOINT names a mirror."
        ) from error
    except OSError as error:
        raise CarrotError(
            f"Cannot write to {folder}: {error.strerror or error}. Make room or set CARROT_HOME to another disk, then "
            "pull again: what has arrived is kept."
        ) from error


def _refusal(error: errors.HfHubHTTPError, repo: str, revision: str | None) -> CarrotError:
    status = error.response.status_code
    if isinstance(error, errors.RevisionNotFoundError):
        return NotFoundError(f"The data set {repo} on the hub has no revision {revision!r}.")
    if status in (401, 403):
        return CarrotError(
            f"The hub refuses {repo} ({status}): it is private, wants its terms accepted first (on its page), or does "
            "not exist. Log in with `hf auth login`, or set HF_TOKEN."
        )
    if status == 404:
        return NotFoundError(f"There is no data set {repo}, or no such file in it, on the hub (404).")
    return CarrotError(f"The hub is in trouble or wants fewer requests ({status}) with {repo}; try again later.")
