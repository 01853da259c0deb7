"""Where samples leave: the share of samples at each exit, clean beside attacked, with the mean depth.

    python plots/exit_histogram.py --leaderboard results/leaderboard.csv --out plots/out

One panel per model, dataset and policy; one row of each workload is drawn, as hardware does not move exits.
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from plots import style
from plots.command import figure_main

MOST_PANELS = 8


@style.styled
def draw(frame: pd.DataFrame) -> Figure:
    """From rows with an exit_histogram; `ok` rows are preferred to `unreliable` ones."""
    rows = sorted(style.rows_with(frame, "exit_histogram"), key=lambda row: row["status"] != "ok")
    shown = sorted(style.groups(rows, "model", "dataset", "policy").items())[:MOST_PANELS]
    figure, axes = style.panels(len(shown), height_mm=38)
    looks = _colours([row["workload"] for row in rows])
    for axis, (names, group) in zip(axes, shown, strict=True):
        _panel(axis, {row["workload"]: row for row in reversed(group)}, looks)
        axis.set_title(", ".join(names), pad=9)
        axis.set_ylabel("Samples (%)")
    axes[-1].set_xlabel("Exit depth (exits computed)")
    keys: list = [Patch(facecolor=colour, label=workload) for workload, colour in looks.items()]
    keys.append(style.key("mean depth", marker="v"))
    style.legend(figure, keys, columns=min(4, len(keys)))
    return figure


def _colours(workloads: Iterable[str]) -> dict[str, str]:
    """Clean first and blue; the attacks in the palette's other colours."""
    names = sorted(set(workloads) | {"clean"}, key=lambda name: (name != "clean", name))
    colours = {name: style.COLOURS[i % len(style.COLOURS)] for i, name in enumerate(names)}
    return {name: colour for name, colour in colours.items() if name in set(workloads)}


def _panel(axis: Axes, rows: dict[str, style.Row], looks: dict[str, str]) -> None:
    shown = [name for name in looks if name in rows]
    width = 0.8 / len(shown)
    for position, workload in enumerate(shown):
        row, offset = rows[workload], (position - (len(shown) - 1) / 2) * width
        histogram, mean = row["exit_histogram"], row["mean_exit_depth"]
        places = [depth + offset for depth in range(1, len(histogram) + 1)]
        axis.bar(places, [count / sum(histogram) for count in histogram], width * 0.92, color=looks[workload])
        # The mark stands above the panel, where no bar can hide it.
        above = axis.get_xaxis_transform()
        axis.plot([mean], [1.04], "v", color=looks[workload], clip_on=False, transform=above)
        axis.axvline(mean, color=looks[workload], linewidth=0.8, linestyle=(0, (2, 2)), zorder=0.5)
    axis.set_xlim(0.4, max(len(row["exit_histogram"]) for row in rows.values()) + 0.6)
    axis.set_ylim(0, 1)
    axis.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True))
    axis.grid(visible=False, axis="x")
    style.percent(axis.yaxis)


if __name__ == "__main__":
    figure_main("exit_histogram", draw)
