"""Whether two pictures of a page show the same, for an eye that forgives how a machine draws letters.

Pictures are kept small. Both are blurred over about a letter, so that another rasteriser's edges go and what a
block, a line or a colour adds up to stays; then pixels that still differ are counted. A stray few are forgiven.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

WIDTHS = {1440: 480, 390: 195}  # of a picture that is kept, by that of the window, pixels
ENDING = ".avif"
PACKING = {"quality": 65, "subsampling": "4:4:4"}  # the colours of what is small stay: with fewer they would not
BLUR = 2.0  # radius, pixels of a picture that is kept
DIFFERS = 14  # of 255 in any channel: less is noise of rasterising and packing
MOST_PIXELS = 25  # that may differ in a picture; a short line of a caption is about 60


@dataclass(frozen=True)
class Verdict:
    """What a comparison found.

    Attributes
    ----------
    n_differing : pixels that differ.
    mask : (height, width) where.
    why : in words, empty where the two look the same.
    """

    n_differing: int
    mask: npt.NDArray[np.bool_]
    why: str


def shrunk(screenshot: bytes, window: int) -> Image.Image:
    """A screenshot as it is compared and kept."""
    full = Image.open(BytesIO(screenshot)).convert("RGB")
    width = WIDTHS[window]
    return full.resize((width, round(full.height * width / full.width)), Image.Resampling.BOX)


def compare(new: Image.Image, approved: Image.Image) -> Verdict:
    """Whether a page looks as it was approved."""
    if new.size != approved.size:
        why = f"the picture is {new.size[0]} x {new.size[1]} pixels, the approved one {approved.size[0]} x "
        return Verdict(new.width * new.height, np.ones((new.height, new.width), bool), why + f"{approved.size[1]}")
    mask = np.abs(_blurred(new) - _blurred(approved)).max(axis=2) > DIFFERS
    count = int(mask.sum())
    if count <= MOST_PIXELS:
        return Verdict(count, mask, "")
    rows, columns = np.nonzero(mask)
    scale = 1 / new.width
    place = f"from {100 * columns.min() * scale:.0f} to {100 * columns.max() * scale:.0f} % of the width, rows "
    place += f"{rows.min()} to {rows.max()} of {new.height}"
    return Verdict(count, mask, f"{count} pixels differ ({MOST_PIXELS} may), {place}")


def _blurred(picture: Image.Image) -> npt.NDArray[np.float32]:
    return np.asarray(picture.convert("RGB").filter(ImageFilter.GaussianBlur(BLUR)), dtype=np.float32)


def difference(new: Image.Image, approved: Image.Image, verdict: Verdict) -> Image.Image:
    """The approved picture, the new one, and the new one with what differs in red, side by side."""
    marked = np.asarray(new.convert("L").convert("RGB")) // 2 + 127
    marked[verdict.mask] = (220, 0, 0)
    sheet = Image.new("RGB", (2 * new.width + approved.width, max(new.height, approved.height)), "white")
    for at, picture in enumerate((approved, new, Image.fromarray(marked.astype(np.uint8)))):
        sheet.paste(picture, (0 if at == 0 else approved.width + (at - 1) * new.width, 0))
    return sheet


def save(picture: Image.Image, path: Path) -> None:
    """Keep a picture, small."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, "AVIF", **PACKING)
