"""What the comparison of pictures forgives and what it does not, on approved pictures that were altered."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from tests import looks

APPROVED = Path(__file__).resolve().parent / "browser" / "approved"
PICTURES = [f"overview-{width}-{scheme}" for width in looks.WIDTHS for scheme in ("light", "dark")]
LINE = 24  # pixels of a window, of a line of text

Alter = Callable[[Image.Image, float], Image.Image]


def approved(stem: str) -> tuple[Image.Image, float]:
    """A picture, and how many of its pixels are one of the window's."""
    picture = Image.open(APPROVED / f"{stem}{looks.ENDING}").convert("RGB")
    window = int(stem.split("-")[1])
    return picture, picture.width / window


def inked(picture: Image.Image, rows: tuple[int, int]) -> tuple[int, int, int, int]:
    """The box around what is drawn between two rows."""
    part = np.asarray(picture.convert("L"), dtype=int)[rows[0] : rows[1]]
    result = np.abs(part - np.median(part)) > 20
    lines, columns = np.nonzero(result)
    return int(columns.min()), rows[0] + int(lines.min()), int(columns.max()) + 1, rows[0] + int(lines.max()) + 1


def ground(picture: Image.Image) -> tuple[int, ...]:
    return tuple(int(value) for value in np.median(np.asarray(picture).reshape(-1, 3), axis=0))


def without_a_line(picture: Image.Image, scale: float) -> Image.Image:
    """One line of text in the middle is missing."""
    altered = picture.copy()
    top = round(picture.height * 0.27)
    while np.asarray(picture.convert("L"), dtype=int)[top : top + round(LINE * scale)].std() < 8:
        top += round(LINE * scale)
    ImageDraw.Draw(altered).rectangle(inked(picture, (top, top + round(LINE * scale))), fill=ground(picture))
    return altered


def with_its_lower_half_moved(picture: Image.Image, scale: float, by: float = LINE) -> Image.Image:
    """Everything from the middle on stands a line lower."""
    altered, middle, down = picture.copy(), picture.height // 2, round(by * scale)
    altered.paste(picture.crop((0, middle, picture.width, picture.height - down)), (0, middle + down))
    return altered


def without_a_block(picture: Image.Image, scale: float) -> Image.Image:
    """An area of 200 by 100 pixels of the window around something drawn is empty."""
    altered = picture.copy()
    left, top, *_ = inked(picture, (picture.height // 3, picture.height // 2))
    box = (left, top, left + 200 * scale, top + 100 * scale)
    ImageDraw.Draw(altered).rectangle(box, fill=ground(picture))
    return altered


def in_other_colours(picture: Image.Image, scale: float) -> Image.Image:
    """Orange is blue: what the theme's colours and the first curve would be after a slip."""
    red, green, blue = picture.split()
    return Image.merge("RGB", (blue, green, red))


def in_the_other_theme(picture: Image.Image, scale: float) -> Image.Image:
    return Image.eval(picture, lambda value: 255 - value)


def slightly_paler(picture: Image.Image, scale: float) -> Image.Image:
    """Contrast lost by a sixth."""
    return ImageEnhance.Contrast(picture).enhance(0.8)


@pytest.mark.parametrize("stem", PICTURES)
@pytest.mark.parametrize(
    "alter",
    [without_a_line, with_its_lower_half_moved, without_a_block, in_other_colours, in_the_other_theme, slightly_paler],
)
def test_what_a_reader_would_see_is_seen(stem: str, alter: Alter) -> None:
    picture, scale = approved(stem)
    assert looks.compare(alter(picture, scale), picture).why


def softer(picture: Image.Image, scale: float) -> Image.Image:
    return picture.filter(ImageFilter.GaussianBlur(0.6))


def sharper(picture: Image.Image, scale: float) -> Image.Image:
    return picture.filter(ImageFilter.UnsharpMask(radius=1, percent=40, threshold=0))


def heavier(picture: Image.Image, scale: float) -> Image.Image:
    """Letters drawn with another gamma."""
    return Image.eval(picture, lambda value: round(255 * (value / 255) ** 1.08))


def shifted_by_half_a_pixel_of_the_window(picture: Image.Image, scale: float) -> Image.Image:
    by, edge = scale / 2, 2
    moved = picture.transform(picture.size, Image.Transform.AFFINE, (1, 0, by, 0, 1, by), Image.Resampling.BILINEAR)
    altered = picture.copy()
    altered.paste(moved.crop((0, 0, picture.width - edge, picture.height - edge)))
    return altered


def grainy(picture: Image.Image, scale: float) -> Image.Image:
    noise = np.random.default_rng(0).normal(0, 6, (picture.height, picture.width, 3))
    return Image.fromarray(np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8))


@pytest.mark.parametrize("stem", PICTURES)
@pytest.mark.parametrize("draw", [softer, sharper, heavier, shifted_by_half_a_pixel_of_the_window, grainy])
def test_how_a_machine_draws_is_forgiven(stem: str, draw: Alter) -> None:
    picture, scale = approved(stem)
    result = looks.compare(draw(picture, scale), picture)
    assert not result.why, result.n_differing


def test_another_size_differs_everywhere() -> None:
    result = looks.compare(Image.new("RGB", (10, 20)), Image.new("RGB", (10, 30)))
    assert "10 x 20" in result.why
    assert result.mask.shape == (20, 10)


def test_the_sheet_shows_both_and_marks_what_differs() -> None:
    one, other = Image.new("RGB", (40, 30), "white"), Image.new("RGB", (40, 30), "white")
    ImageDraw.Draw(one).rectangle((10, 5, 29, 24), fill="black")
    result = looks.compare(one, other)
    sheet = looks.difference(one, other, result)
    assert sheet.size == (120, 30)
    assert sheet.getpixel((60, 15)) == (0, 0, 0)
    assert sheet.getpixel((100, 15)) == (220, 0, 0)


def test_a_screenshot_is_shrunk_to_the_width_that_is_kept() -> None:
    buffer = BytesIO()
    Image.new("RGB", (1440, 600), "white").save(buffer, "PNG")
    assert looks.shrunk(buffer.getvalue(), 1440).size == (480, 200)


def test_a_picture_is_like_itself_once_it_was_kept(tmp_path: Path) -> None:
    """Regression: packing took the colour out of small signs, so a page differed from its own picture."""
    signs = Image.new("RGB", (120, 60), "white")
    for at in range(0, 120, 12):
        ImageDraw.Draw(signs).rectangle((at, 20, at + 3, 23), fill=(75, 26, 153))
        ImageDraw.Draw(signs).rectangle((at + 4, 20, at + 5, 23), fill=(200, 220, 0))
    looks.save(signs, tmp_path / "signs.avif")
    result = looks.compare(signs, Image.open(tmp_path / "signs.avif").convert("RGB"))
    assert result.n_differing == 0
