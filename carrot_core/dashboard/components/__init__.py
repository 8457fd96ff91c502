"""The chart library the live component loads: copied from the installed Plotly, never fetched."""

from __future__ import annotations

import filecmp
import os
import shutil
from pathlib import Path
from tempfile import mkstemp

import plotly

from carrot_core.errors import CarrotError

COMPONENT = Path(__file__).resolve().parent


def install_plotly_js(folder: Path = COMPONENT) -> Path:
    """Put the installed Plotly's ``plotly.min.js`` beside the component; nothing to do if it is there.

    The copy appears at once and whole, so that several processes may do this at the same time.

    Raises
    ------
    CarrotError
        The folder cannot be written and holds no copy, or another version's.
    """
    source = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    target = folder / source.name
    if target.exists() and filecmp.cmp(source, target, shallow=False):
        return target
    try:
        _replace(source, target)
    except OSError as error:
        raise CarrotError(
            f"The chart library cannot be put into {folder} ({error.strerror}). "
            "Run the dashboard once as a user who may write there."
        ) from error
    return target


def _replace(source: Path, target: Path) -> None:
    handle, part = mkstemp(dir=target.parent, suffix=".part")
    os.close(handle)
    try:
        shutil.copyfile(source, part)
        Path(part).chmod(0o644)
        Path(part).replace(target)
    finally:
        Path(part).unlink(missing_ok=True)
