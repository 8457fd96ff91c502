"""Saved routers to and from the Hugging Face hub, through its own client, each with a page that describes it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, HfApi, errors, snapshot_download

from carrot_core.errors import CarrotError, NotFoundError
from carrot_core.routers.base import Router
from carrot_core.routers.model_card import model_card
from carrot_core.routers.saving import files_of, load_router, read_saved

CARD = "README.md"
# All that a router is made of: no pickle is ever fetched.
_WANTED = ("*.json", "*.safetensors", "*.txt", "*.model", CARD)
_TIMEOUT_S = 10.0


def push(
    folder: Path, repo: str, *, private: bool = False, licence: str = "", metrics: Mapping[str, Any] | None = None
) -> str:
    """Upload a saved router in one commit, with its page (`model_card`); the page's address.

    The repository is made where it is missing. The hub's address is ``HF_ENDPOINT`` where set, the token
    that of ``hf auth login`` or ``HF_TOKEN``.

    Parameters
    ----------
    folder : what `save_router` wrote; nothing else in it is uploaded.
    repo : "owner/name".
    private : make the repository private, if it is made now.
    licence, metrics : for the page.

    Raises
    ------
    NotFoundError, DataError
        There is no saved router, or it is damaged.
    CarrotError
        The hub cannot be reached or refuses.
    """
    document, _ = read_saved(folder)
    card = model_card(document, repo, licence, metrics).encode()
    content: dict[str, bytes | Path] = {CARD: card} | {name: folder / name for name in files_of(document)}
    with _explained(repo):
        api = HfApi(endpoint=_endpoint())
        api.create_repo(repo, private=private, exist_ok=True)
        api.create_commit(
            repo,
            [CommitOperationAdd(name, data) for name, data in content.items()],
            commit_message=f"Router {document['router']}, {len(document['models'])} models",
        )
        return f"{api.endpoint}/{repo}"


def pull(repo: str, folder: Path, *, revision: str | None = None) -> Router:
    """Download a router into a folder and load it, which checks every file against the hash it was saved with.

    Parameters
    ----------
    repo : "owner/name".
    folder : where to; files of the same names are replaced.
    revision : branch, tag or commit; the newest by default.

    Raises
    ------
    NotFoundError
        No such repository or revision, or no router in it.
    DataError
        What is there is damaged.
    CarrotError
        The hub cannot be reached or refuses, or the folder cannot be written.
    """
    with _explained(repo):
        # Asked first and by itself: a download that finds no hub contents itself with what is in the folder.
        commit = HfApi(endpoint=_endpoint()).model_info(repo, revision=revision, timeout=_TIMEOUT_S).sha
        snapshot_download(repo, revision=commit, local_dir=folder, allow_patterns=list(_WANTED), endpoint=_endpoint())
    return load_router(folder)


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT") or None


@contextmanager
def _explained(repo: str) -> Iterator[None]:
    """The hub's, the network's and the disk's errors as ours."""
    try:
        yield
    except errors.RevisionNotFoundError as error:
        raise NotFoundError(f"{repo} on the hub has no such revision.") from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        if status == 404 and not isinstance(error, errors.GatedRepoError):
            raise NotFoundError(f"There is no model {repo} on the hub, or it is private: log in first.") from error
        raise CarrotError(
            f"The hub refuses {repo} ({status}). Log in with `hf auth login` or set HF_TOKEN, with a token that may "
            "do this; a name is owner/name."
        ) from error
    except errors.HFValidationError as error:
        raise CarrotError(f"{repo!r} is not a repository of the hub: write owner/name.") from error
    except ValueError as error:  # what the hub finds wrong with the page
        raise CarrotError(f"The hub does not take the page: {error}. Is the licence one of its identifiers?") from error
    # RuntimeError: how the client says that a large file did not get through.
    except (errors.OfflineModeIsEnabled, errors.HTTPError, RuntimeError, OSError) as error:  # type: ignore[attr-defined]
        raise CarrotError(
            f"The hub cannot be reached or the files cannot be written ({error or type(error).__name__}). Check the "
            "connection, HF_HUB_OFFLINE and the disk, then do it again."
        ) from error
