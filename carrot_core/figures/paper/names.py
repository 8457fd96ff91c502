"""Names beside points: each where it covers no other name, no point and no edge, the others left out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from carrot_core.frontier import FloatArray

LETTER, LINE = 6.6, 13.0  # pixels that a letter and a line of the names' size take
_AWAY, _POINT = 7.5, 6.0  # pixels from a point's centre to its name and to its own rim
_STEP = 4.0  # pixels along a curve between the places looked at
SIDES = {
    "top center": (0, 1),
    "bottom center": (0, -1),
    "middle right": (1, 0),
    "middle left": (-1, 0),
    "top right": (1, 1),
    "top left": (-1, 1),
    "bottom right": (1, -1),
    "bottom left": (-1, -1),
}


def box(at: FloatArray, name: str, side: str) -> FloatArray:
    """Left, bottom, right and top of a name on a side of a point, in pixels."""
    half = np.array([LETTER * len(name), LINE]) / 2
    middle = at + np.array(SIDES[side]) * (half + _AWAY)
    return np.concatenate([middle - half, middle + half])


def sides(
    points: FloatArray, names: Sequence[str], curves: Sequence[FloatArray], size: tuple[float, float]
) -> list[str]:
    """Side of each point on which its name has room, off the curves if there is a choice; "" where it has none.

    The highest points choose first.

    Parameters
    ----------
    points : (M, 2) pixels to the right of and above the plot's lower left corner.
    names : M names; an empty one takes no room.
    curves : (K, 2) corners of each line, in the same pixels.
    size : width and height of the plot.
    """
    taken = [np.concatenate([point - _POINT, point + _POINT]) for point in points]
    lines = np.concatenate([np.empty((0, 2)), *map(_along, curves)])
    found = [""] * len(names)
    for k in sorted(range(len(names)), key=lambda place: (-points[place, 1], place)):
        places = {side: box(points[k], names[k], side) for side in SIDES} if names[k] else {}
        free = [side for side, at in places.items() if _inside(at, size) and not _overlaps(at, np.array(taken))]
        if free:
            found[k] = min(free, key=lambda side: _covered(places[side], lines))
            taken.append(places[found[k]])
    return found


def _inside(at: FloatArray, size: tuple[float, float]) -> bool:
    return bool((at[:2] >= 0).all() and (at[2:] <= size).all())


def _overlaps(at: FloatArray, others: FloatArray) -> bool:
    return bool(((at[:2] < others[:, 2:]) & (at[2:] > others[:, :2])).all(axis=1).any())


def _covered(at: FloatArray, lines: FloatArray) -> int:
    return int(((lines > at[:2]) & (lines < at[2:])).all(axis=1).sum())


def _along(curve: FloatArray) -> FloatArray:
    """Places along a line, at equal steps."""
    passed = np.concatenate([[0.0], np.hypot(*np.diff(curve, axis=0).T).cumsum()])
    at = np.arange(0.0, passed[-1] + _STEP, _STEP)
    return np.column_stack([np.interp(at, passed, curve[:, axis]) for axis in (0, 1)])
