"""Parts that the components share: the slider's style, and the chart library, copied from the installed Plotly."""

from __future__ import annotations

import filecmp
import shutil
from pathlib import Path

import plotly

from carrot_core.errors import CarrotError
from carrot_core.paths import replacing

COMPONENT = Path(__file__).resolve().parent


def slider_css() -> str:
    """Style of the slider, which comes before a component's own."""
    return (COMPONENT / "slider.css").read_text(encoding="utf-8")


def install_plotly_js(folder: Path = COMPONENT) -> Path:
    """Copy the installed Plotly's ``plotly.min.js`` beside the component, unless the same file is there.

    The copy replaces the target in one step, so several processes may do this at the same time.

    Raises
    ------
    CarrotError
        The folder cannot be written, and it has no copy or one of another version.
    """
    source = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    target = folder / source.name
    if target.exists() and filecmp.cmp(source, target, shallow=False):
        return target
    try:
        with replacing(target) as part:
            shutil.copyfile(source, part)
            part.chmod(0o644)  # readable for every user of an installed package, whatever the umask
    except OSError as error:
        raise CarrotError(
            f"The chart library cannot be copied to {folder} ({error.strerror}). "
            "Run the dashboard once as a user who may write there."
        ) from error
    return target
