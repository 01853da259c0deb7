"""Easy and hard images: for each class, the test image that each exit answers correctly with most confidence.

    python plots/easy_hard.py --leaderboard results/leaderboard.csv --out plots/out

One panel per model and dataset, the easiest exit on top; pictures come from clean records of image models. After DVT
(NeurIPS 2021), figure 9.
"""

from __future__ import annotations

import base64
import io

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.patches import Patch, Rectangle

from plots import style
from plots.command import figure_main

MAX_PANELS = 3
EMPTY = "#EDEDED"


@style.styled
def draw(frame: pd.DataFrame) -> Figure:
    """From rows whose `examples` hold pictures; of a model the row with most of them."""
    rows = [row for row in style.rows_with(frame, "num_exits") if row["examples"] and row["num_exits"] > 1]
    if not rows:
        raise style.NothingToDraw("needs rows with examples, as clean runs of image models with several exits leave")
    rows.sort(key=lambda row: (-len(row["examples"]), row["status"] != "ok"))
    shown = style.first_panels("easy_hard", sorted(style.groups(rows, "dataset", "model").items()), MAX_PANELS)
    exits = [int(group[0]["num_exits"]) for _, group in shown]
    figure, axes = style.panels(len(shown), height_mm=20 + 7 * sum(exits) / len(exits), extra_mm=13)
    style.height_ratios(axes, [3 + number for number in exits])
    for axis, (names, group) in zip(axes, shown, strict=True):
        _panel(axis, group[0])
        axis.set_title(", ".join([*names[::-1], group[0]["policy"]]))
    axes[-1].set_xlabel("Class (surest right answer at each exit)")
    style.legend(figure, [Patch(facecolor=EMPTY, label="no right answer of this class leaves at this exit")])
    return figure


def _panel(axis: Axes, row: style.Row) -> None:
    classes = list(dict.fromkeys(one["class_name"] for one in row["examples"]))
    exits = int(row["num_exits"])
    for column in range(len(classes)):
        for depth in range(exits):
            axis.add_patch(Rectangle((column + 0.04, depth + 0.04), 0.92, 0.92, facecolor=EMPTY, linewidth=0))
    for one in row["examples"]:
        picture = imread(io.BytesIO(base64.b64decode(one["png"])), format="png")
        left, top = classes.index(one["class_name"]) + 0.04, one["exit_depth"] - 0.96
        extent = (left, left + 0.92, top + 0.92, top)
        axis.imshow(picture, extent=extent, cmap="gray", vmin=0, vmax=1, interpolation="nearest", zorder=2)
    axis.set(xlim=(0, len(classes)), ylim=(exits, 0), aspect="equal")
    axis.set_xticks([column + 0.5 for column in range(len(classes))], classes, rotation=90)
    names = [f"exit {depth}" for depth in range(1, exits + 1)]
    names[0], names[-1] = f"{names[0]}, easy", f"{names[-1]}, hard"
    axis.set_yticks([depth + 0.5 for depth in range(exits)], names)
    axis.tick_params(length=0)
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)


if __name__ == "__main__":
    figure_main("easy_hard", draw)
