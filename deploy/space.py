"""Publish the last commit as a Space of the Hugging Face hub: ``.venv/bin/python deploy/space.py OWNER/NAME``.

`hf auth login`, or ``HF_TOKEN``, says who you are. What was published before is replaced; the Space builds the
Dockerfile and shows the public, read-only dashboard in the hub's page.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

ROOT = Path(__file__).resolve().parents[1]
HUB = "https://huggingface.co"
LEFT_OUT = ("tests", ".ci")  # an image is made without them


def variables(host: str) -> dict[str, str]:
    """What the server of a Space of this host name is told; the health check calls it localhost."""
    return {
        "CARROT_MODE": "public",
        "CARROT_FRAMED_BY": HUB,
        "STREAMLIT_SERVER_ALLOWED_HOSTS": f"{host} localhost",
    }


def checkout(folder: Path) -> None:
    """Write the files of the last commit, with the card of the Space as their README."""
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True)
    for name in LEFT_OUT:
        shutil.rmtree(folder / name)
    shutil.copy(folder / "deploy" / "space.md", folder / "README.md")


def publish(repo: str, api: HfApi) -> str:
    """Create or replace a Space; gives the address of its page."""
    api.create_repo(repo, repo_type="space", space_sdk="docker", exist_ok=True)
    host = urlsplit(api.space_info(repo).host or "").hostname
    if not host:
        raise SystemExit(f"The hub does not tell the host name of {repo}.")
    for name, value in variables(host).items():  # before the files, whose arrival starts the build
        api.add_space_variable(repo, name, value)
    with tempfile.TemporaryDirectory() as folder:
        checkout(Path(folder))
        files = {str(path.relative_to(folder)): path for path in sorted(Path(folder).rglob("*")) if path.is_file()}
        before = api.list_repo_files(repo, repo_type="space")
        changes: list[CommitOperationAdd | CommitOperationDelete] = [
            *(CommitOperationAdd(name, path) for name, path in files.items()),
            *(CommitOperationDelete(name) for name in before if name not in files),
        ]
        api.create_commit(repo, changes, commit_message="Publish CARROT", repo_type="space")
    return f"{api.endpoint}/spaces/{repo}"


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].count("/") != 1:
        raise SystemExit(__doc__)
    print(publish(sys.argv[1], HfApi()))
