"""Where samples leave: the share of samples at each exit, clean beside attacked, with the mean depth.

    python plots/exit_histogram.py --leaderboard results/leaderboard.csv --out plots/out

One panel per model, dataset and policy; one row of each workload is drawn, as hardware does not move exits.
"""

from __future__ import annotations

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
    rows = style.some(frame, frame["exit_histogram"].map(bool) & frame["mean_exit_depth"].notna(), "exit histograms")
    rows = rows.assign(other=rows["status"] != "ok").sort_values("other", kind="stable")
    groups = list(rows.groupby(["model", "dataset", "policy"]))[:MOST_PANELS]
    figure, axes = style.panels(len(groups), height_mm=38)
    looks = _colours(rows["workload"])
    for axis, ((model, dataset, policy), group) in zip(axes, groups, strict=True):
        _panel(axis, group.drop_duplicates("workload"), looks)
        axis.set_title(f"{model}, {dataset}, {policy}", pad=9)
        axis.set_ylabel("Samples (%)")
    axes[-1].set_xlabel("Exit depth (exits computed)")
    handles: list = [Patch(facecolor=colour, label=workload) for workload, colour in looks.items()]
    handles.append(style.key("mean depth", marker="v"))
    style.legend(figure, handles, columns=min(4, len(handles)))
    return figure


def _colours(workloads: pd.Series) -> dict[str, str]:
    """Clean first and blue; the attacks in the palette's other colours."""
    names = sorted(set(workloads), key=lambda name: (name != "clean", name))
    return {name: style.COLOURS[i % len(style.COLOURS)] for i, name in enumerate(names)}


def _panel(axis: Axes, rows: pd.DataFrame, looks: dict[str, str]) -> None:
    shown = [name for name in looks if name in set(rows["workload"])]
    width = 0.8 / len(shown)
    by_workload = rows.set_index("workload")
    for position, workload in enumerate(shown):
        row = by_workload.loc[workload]
        histogram, offset = row["exit_histogram"], (position - (len(shown) - 1) / 2) * width
        colour = looks[workload] if row["status"] == "ok" else style.GREY
        places = [depth + offset for depth in range(1, len(histogram) + 1)]
        axis.bar(places, [count / sum(histogram) for count in histogram], width * 0.92, color=colour)
        # Above the panel, where no bar can hide it.
        marks = {"marker": "v", "color": colour, "clip_on": False, "transform": axis.get_xaxis_transform()}
        axis.plot([row["mean_exit_depth"]], [1.04], linestyle="", **marks)
        axis.axvline(row["mean_exit_depth"], color=colour, linewidth=0.8, linestyle=(0, (2, 2)), zorder=0.5)
    axis.set_xlim(0.4, max(map(len, rows["exit_histogram"])) + 0.6)
    axis.set_ylim(0, 1)
    axis.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True))
    axis.grid(visible=False, axis="x")
    style.percent(axis.yaxis)


if __name__ == "__main__":
    figure_main("exit_histogram", draw)
