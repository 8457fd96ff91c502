"""Write ``requirements.lock``, every version of an image with the hash of its file: ``python3.11 deploy/lock.py``.

It asks pip, with pip's own settings, for the newest versions that `requirements` admit. To be run where the image's
Python and platform are, since another has other files.
"""

import json
import platform
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "deploy" / "requirements.lock"
PLACE = ("3.11", "Linux", "x86_64")
HEAD = (
    f"# Made by deploy/lock.py: what an image installs, on {' '.join(PLACE)}.\n--require-hashes\n--only-binary=:all:\n"
)


def requirements() -> list[str]:
    """What an image needs: requirements.txt, and what a team logs in with."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    team: list[str] = project["optional-dependencies"]["team"]
    return [line for line in lines if line and not line.startswith(("#", "-"))] + team


def entries() -> list[dict[str, Any]]:
    """What pip would install into an empty environment, an entry a package, as its report tells."""
    how = ["--dry-run", "--quiet", "--ignore-installed", "--only-binary=:all:", "--report", "-"]
    command = [sys.executable, "-m", "pip", "install", *how, *requirements()]
    report = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    installed: list[dict[str, Any]] = report["install"]
    return installed


def line_of(entry: dict[str, Any]) -> str:
    """A package with its version and hash, in pip's words."""
    package, archive = entry["metadata"], entry["download_info"]["archive_info"]
    return f"{package['name'].lower()}=={package['version']} --hash=sha256:{archive['hashes']['sha256']}\n"


if __name__ == "__main__":
    here = (".".join(platform.python_version_tuple()[:2]), platform.system(), platform.machine())
    if here != PLACE:
        sys.exit(f"The image is {' '.join(PLACE)}, and this is {' '.join(here)}, where other files would be taken.")
    LOCK.write_text(HEAD + "".join(sorted(map(line_of, entries()))), encoding="utf-8")
