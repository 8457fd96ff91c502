"""Push saved routers to the Hugging Face hub, with a model card, and pull them from it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, HfApi, errors, snapshot_download

from carrot_core import limits
from carrot_core.errors import CarrotError, NotFoundError
from carrot_core.routers.base import Router
from carrot_core.routers.saving import files_of, load_router, read_saved
from carrot_core.text import visible

CARD = "README.md"


# The only kinds of files of a router: pickles are never downloaded.
_WANTED = ("*.json", "*.safetensors", "*.txt", "*.model", CARD)


def push(
    folder: Path, repo: str, *, private: bool = False, licence: str = "", metrics: Mapping[str, Any] | None = None
) -> str:
    """Upload a saved router in one commit, with its page (`model_card`); return the page's address.

    The repository is created if it is missing. The hub's address is ``HF_ENDPOINT`` if set; the token is that of ``hf
    auth login`` or ``HF_TOKEN``.

    Parameters
    ----------
    folder : what `save_router` wrote; nothing else in it is uploaded.
    repo : "owner/name".
    private : make the repository private if it is created now.
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
    with _translate_errors(repo):
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
    folder : target; files of the same names are replaced.
    revision : branch, tag or commit; the newest by default.

    Raises
    ------
    NotFoundError
        No such repository or revision, or no router in it.
    DataError
        The router there is damaged.
    CarrotError
        The hub cannot be reached or refuses, or the folder cannot be written.
    """
    with _translate_errors(repo):
        # Ask the hub first: without a hub, a download would silently use the files in the folder.
        commit = HfApi(endpoint=_endpoint()).model_info(repo, revision=revision, timeout=limits.HUB_SECONDS).sha
        snapshot_download(repo, revision=commit, local_dir=folder, allow_patterns=list(_WANTED), endpoint=_endpoint())
    return load_router(folder)


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT") or None


@contextmanager
def _translate_errors(repo: str) -> Iterator[None]:
    """Turn errors of the hub, the network and the disk into a `CarrotError`."""
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
    except ValueError as error:  # the hub's error for an invalid page
        raise CarrotError(f"The hub does not take the page: {error}. Is the licence one of its identifiers?") from error
    # RuntimeError: the client's error for a failed upload of a large file.
    except (errors.OfflineModeIsEnabled, errors.HTTPError, RuntimeError, OSError) as error:  # type: ignore[attr-defined]
        raise CarrotError(
            f"The hub cannot be reached or the files cannot be written ({error or type(error).__name__}). Check the "
            "connection, HF_HUB_OFFLINE and the disk, then do it again."
        ) from error


_FIGURES = {
    "n_prompts": "prompts",
    "routing_accuracy": "accuracy at λ = 0",
    "aiq_corrected": "corrected AIQ",
    "aiq": "AIQ",
    "qnc": "QNC (lower is better)",
    "best_single": "best single model",
    "oracle": "oracle",
}


# Keys of `save_router`'s ``about`` that the card shows; anything else stays out of it, since it may be a prompt.
_ABOUT = (
    "benchmark",
    "source",
    "licence",
    "data_hash",
    "fitted_on",
    "cost_unit_usd",
    "best_single",
    "seed",
    "versions",
)


_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|#])")
_LIMITS = """\
- It knows these models and these prompts' kind. A model that was updated since, another system prompt, another
  language or another kind of task are outside of what it learned; its estimates there are guesses.
- Scores are estimates of the benchmark's own score, with the flaws of that score and its judge.
- Costs rest on list prices at the time of the fit unless other prices are given when it is used.
- It does not look at safety, privacy or latency. It must not decide alone where an error does harm."""


def model_card(
    document: Mapping[str, Any], repo: str, licence: str = "", metrics: Mapping[str, Any] | None = None
) -> str:
    """The README.md of a saved router; it holds no prompt and no response.

    Parameters
    ----------
    document : content of ``router.json``.
    repo : "owner/name" on the hub.
    licence : the hub's identifier, e.g. "apache-2.0"; if empty, the card says that none was stated.
    metrics : output of ``carrot evaluate BENCH --json``, or part of it; only plain figures are used.
    """
    models = document["models"]
    about = {name: document["about"][name] for name in _ABOUT if name in document["about"]}
    sections = [
        _header(licence),
        f"# {_plain_text(repo)}",
        f"A fitted router of the kind {_plain_text(document['router'])}. For each of {len(models)} language models it "
        "estimates the score and the cost of a prompt, so that the model worth its price can be chosen: the rule of "
        "[CARROT](https://arxiv.org/abs/2502.03261).",
        "## Use",
        f"```\ncarrot router pull {repo} FOLDER\n```\n\n```python\nfrom pathlib import Path\n\n"
        "from carrot_core.routers.saving import load_router\n\n"
        'router = load_router(Path("FOLDER"))\nestimates = router.estimate(benchmark)  # scores and US dollars\n```',
        "Nothing in these files runs when they are read: JSON, safetensors and, for encoders, the tokenizer's files.",
        "## Models",
        "\n".join(f"- {_plain_text(model)}" for model in models),
        "## Data",
        _table(about) if about else "Not stated by whoever saved it. Ask before relying on it.",
        _contents(document),
        "## Figures",
        _figures(metrics),
        "## Limits",
        _LIMITS,
        "## Licence",
        _plain_text(licence) or "None was stated. Without one, nobody but its owner may use it; ask the owner.",
    ]
    return "\n\n".join(sections) + "\n"


def _header(licence: str) -> str:
    from huggingface_hub import ModelCardData

    data = ModelCardData(license=licence or None, library_name="carrot-core", tags=["llm-routing", "carrot"])
    return f"---\n{data.to_yaml()}\n---"


def _contents(document: Mapping[str, Any]) -> str:
    """Sentence on the parts of the training data that the files contain, so that nobody publishes them unknowingly."""
    if '"$class": "Vectors"' in json.dumps(document["state"]):
        return (
            "The files hold the vector, the scores and the usage of every training prompt, no text. Whether these "
            "may be passed on is for the licence of the data to say."
        )
    return "The files hold no prompt and no response. Numbers that were fitted to data may still echo it."


def _figures(metrics: Mapping[str, Any] | None) -> str:
    if not metrics or not any(name in metrics for name in _FIGURES):
        return "None were given."
    parts = [metrics[name] for name in ("benchmark", "evaluated_on") if isinstance(metrics.get(name), str)]
    intervals = metrics.get("intervals", {})
    rows = {}
    for name, label in _FIGURES.items():
        value, (low, high) = metrics.get(name), intervals.get(name) or (None, None)
        between = f" (95 % interval {low:.4f} to {high:.4f})" if low is not None and high is not None else ""
        if isinstance(value, int | float):
            rows[label] = f"{value:,}" if isinstance(value, int) else f"{value:.4f}{between}"
    return (f"Measured on {', '.join(map(_plain_text, parts))}.\n\n" if parts else "") + _table(rows)


def _table(rows: Mapping[str, Any]) -> str:
    lines = [f"| {_plain_text(key)} | {_plain_text(value)} |" for key, value in rows.items()]
    return "\n".join(["| | |", "|---|---|", *lines])


def _plain_text(value: Any) -> str:
    """A value of a file as one line of plain text, with markdown escaped."""
    if isinstance(value, Mapping):
        return ", ".join(f"{_plain_text(key)} {_plain_text(item)}" for key, item in value.items()) or "none"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return _MARKDOWN.sub(r"\\\1", visible(text))
