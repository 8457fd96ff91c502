"""``carrot router``: fitted routers as folders, and to and from the Hugging Face hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from carrot_core.cli.common import Group, Result, json_option, open_store
from carrot_core.cli.fit import load_benchmark, parameters
from carrot_core.errors import DataError

FOLDER = click.argument("folder", type=click.Path(file_okay=False, path_type=Path))


@click.group(cls=Group)
def router() -> None:
    """Keep a fitted router in a folder, and share it on the Hugging Face hub.

    HF_ENDPOINT names another hub, HF_TOKEN the token (or log in with `hf auth login`).
    """


@router.command()
@click.argument("bench")
@FOLDER
@click.option("--router", "name", default="carrot-knn", show_default=True, help="Router by name.")
@click.option("--seed", default=0, show_default=True, help="Seed of the router.")
@click.option("--param", "params", multiple=True, metavar="KEY=VALUE", help="Parameter of the router.")
@click.option("--pool", multiple=True, metavar="MODEL", help="Only this model; repeat for more (default: all).")
@json_option
def save(bench: str, folder: Path, name: str, seed: int, params: tuple[str, ...], pool: tuple[str, ...]) -> Result:
    """Write a router fitted on the train prompts of BENCH to FOLDER: the stored one, else one fitted now.

    The files are JSON and safetensors; nothing in them runs when they are read.
    """
    from carrot_core.evaluation import versions
    from carrot_core.evaluation.runs import Trial, fitted_router
    from carrot_core.routers.saving import save_router
    from carrot_core.serving.profile import SERVABLE, profile_of

    store = open_store()
    trial = Trial(load_benchmark(store, bench), name, seed, parameters(params), pool=pool)
    (fitted, estimates, setting), info = fitted_router(store, trial), store.info(bench)
    about: dict[str, Any] = {
        "benchmark": bench,
        "source": info.source,
        "licence": info.licence or "not stated",
        "data_hash": setting.train.data_hash,
        "fitted_on": f"{len(setting.train.prompt_ids)} train prompts",
        "cost_unit_usd": setting.cost_unit_usd,
        "best_single": setting.best_single,
        "seed": seed,
        "params": dict(trial.params),
        "versions": versions(),
    }
    used = getattr(fitted, "encoder_", None)
    profile = profile_of(setting, fitted, estimates) if name in SERVABLE else None
    save_router(fitted, folder, about, profile)
    with_encoder = f" with {used}" if used else ""
    return {**about, "router": name, "encoder": used, "folder": str(folder)}, f"Wrote {name}{with_encoder} to {folder}."


@router.command()
@FOLDER
@click.argument("repo")
@click.option("--private", is_flag=True, help="Make the repository private, if it is made now.")
@click.option("--licence", default="", help="Licence for the page, e.g. apache-2.0; without one it says so.")
@click.option(
    "--metrics",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What `carrot evaluate BENCH --json` printed, for the page's figures.",
)
@json_option
def push(folder: Path, repo: str, private: bool, licence: str, metrics: Path | None) -> Result:
    """Upload the router in FOLDER to REPO (owner/name), with a model card.

    The card has the models, the data, the figures and the limits, and never a prompt.
    """
    from carrot_core.routers.publishing import push as push_router

    figures = None if metrics is None else _figures(metrics)
    address = push_router(folder, repo, private=private, licence=licence, metrics=figures)
    return {"repo": repo, "address": address}, f"{folder} is at {address}."


@router.command()
@click.argument("repo")
@FOLDER
@click.option("--revision", help="Branch, tag or commit (default: the newest).")
@json_option
def pull(repo: str, folder: Path, revision: str | None) -> Result:
    """Download the router in REPO (owner/name) into FOLDER and check it."""
    from carrot_core.routers.publishing import pull as pull_router

    fitted = pull_router(repo, folder, revision=revision)
    document = {"repo": repo, "folder": str(folder), "router": fitted.name, "models": list(fitted.models_)}
    return document, f"{fitted.name} for {len(fitted.models_)} models is in {folder}."


def _figures(path: Path) -> dict[str, Any]:
    try:
        figures = json.loads(path.read_bytes())
    except ValueError as error:
        raise DataError(str(path), "is no JSON document") from error
    if not isinstance(figures, dict):
        raise DataError(str(path), "is not what `carrot evaluate BENCH --json` prints")
    return figures
