"""One colour and one marker for each model in every figure, and names written into a panel instead of a legend."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from matplotlib.axes import Axes

from plots.style import COLOURS, MARKERS

Look = tuple[str, str]  # colour, marker

# Models that share a panel have different colours and markers. A model that is not here gets a look from its name,
# so that it is the same in every figure whichever models stand beside it.
_LOOKS: dict[str, Look] = {
    "dvt_fashion": (COLOURS[1], "s"),
    "dvt_fashion_static": (COLOURS[5], "P"),
    "timm_fashion": (COLOURS[2], "^"),
    "dvt_cifar10": (COLOURS[0], "o"),
    "dvt_cifar10_static": (COLOURS[4], "v"),
    "minilm_exits": (COLOURS[2], "^"),
    "minilm_learned": (COLOURS[3], "D"),
    "minilm_mrpc": (COLOURS[4], "v"),
    "minilm_rte": (COLOURS[5], "P"),
    "minilm_sst2": (COLOURS[0], "X"),
    "minilm_sst2_two_stage": (COLOURS[1], "s"),
}
_GLYPHS = {"o": "●", "s": "■", "^": "▲", "D": "◆", "v": "▼", "P": "✚", "X": "✖"}
_LINE = 0.105  # height of a name, as a share of a panel 34 mm high


def look(model: str) -> Look:
    """Colour and marker of a model."""
    number = zlib.crc32(model.encode())
    return _LOOKS.get(model, (COLOURS[number % len(COLOURS)], MARKERS[number // 8 % len(MARKERS)]))


def write_names(axis: Axes, names: Sequence[str], lowest: float, highest: float) -> None:
    """Write the models' names in their colours at the lower right, and lower the y limits so that no data are there.

    Curves of accuracy end high on the right, so the room is small. lowest, highest: of the data.
    """
    room = min(0.6, 0.03 + _LINE * len(names))
    span = max(highest - lowest, 0.02)
    axis.set_ylim(lowest - 0.06 * span - room / (1 - room) * 1.12 * span, highest + 0.06 * span)
    for line, name in enumerate(reversed(names)):
        colour, marker = look(name)
        where = (0.98, 0.03 + line * (room - 0.03) / len(names))
        text = axis.text(
            *where, f"{name} ", color=colour, fontsize=7, ha="right", va="bottom", transform=axis.transAxes
        )
        if len(names) > 1:
            text.set_text(f"{_GLYPHS[marker]} {name}")
            text.set_fontfamily(["DejaVu Sans"])  # the paper's font lacks some of these signs
