"""Outlines of A, C, G and T, each in a box of one by one: letters that a page stretches to size."""

from functools import cache

import numpy as np
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path
from matplotlib.textpath import TextPath

from service.saturation import ALTS

_COMMANDS = {Path.MOVETO: "M", Path.LINETO: "L", Path.CURVE3: "Q", Path.CURVE4: "C"}


@cache
def outlines() -> dict[str, str]:
    """Return {base: SVG path}; x from 0 to 1, y from -1, the top, to 0, the line it stands on."""
    # comes with matplotlib, so that the letters are the same on every machine
    font = FontProperties(family="DejaVu Sans", weight="bold")
    return {base: _outline(TextPath((0, 0), base, size=1, prop=font)) for base in ALTS}


def _outline(path: TextPath) -> str:
    low, high = path.vertices.min(axis=0), path.vertices.max(axis=0)
    words = []
    for points, code in path.iter_segments(simplify=False):
        if code == Path.CLOSEPOLY:
            words.append("Z")
            continue
        boxed = (points.reshape(-1, 2) - low) / (high - low) * [1, -1]
        numbers = np.round(boxed + 0.0, 3).ravel().tolist()
        words.append(_COMMANDS[code] + " ".join(f"{number:g}" for number in numbers))
    return "".join(words)
