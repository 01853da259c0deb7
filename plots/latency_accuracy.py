"""Accuracy against measured latency: what the clock saw, full depth beside early exit, clean and attacked.

    python plots/latency_accuracy.py --leaderboard results/leaderboard.csv --out plots/out

One panel per machine and dataset, as milliseconds of two machines do not compare. Medians (p50), single stream.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plots import style
from plots.command import figure_main

MOST_PANELS = 6


@style.styled
def draw(frame: pd.DataFrame) -> Figure:
    """From rows with accuracy and latency_ms_p50."""
    timed = frame["latency_ms_p50"].notna() & frame["accuracy"].notna()
    rows = style.some(frame, timed, "rows with a measured latency")
    groups = list(rows.groupby(["fingerprint", "dataset"]))[:MOST_PANELS]
    figure, axes = style.panels(len(groups), height_mm=46, extra_mm=20)
    looks, marks = style.colours(rows["model"]), _markers(rows["hardware"])
    for axis, ((machine, dataset), group) in zip(axes, groups, strict=True):
        for row in group.itertuples():
            _point(axis, row, looks[str(row.model)][0], marks[str(row.hardware)])
        seen = pd.concat([group["latency_ms_p50"], group["full_ms_p50"]])
        style.log_axis(axis.xaxis, seen.min(), seen.max())
        style.percent(axis.yaxis)
        axis.margins(0.08, 0.14)
        axis.set(title=f"{dataset}, machine {machine}", ylabel="Accuracy (%)")
    axes[-1].set_xlabel("Median latency (ms per sample, batch 1)")
    style.legend(figure, _keys(rows, looks, marks))
    return figure


def _markers(hardware: pd.Series) -> dict[str, str]:
    return {name: marker for name, (_, marker) in style.colours(hardware).items()}


def _point(axis: Axes, row, colour: str, marker: str) -> None:
    colour = colour if row.status == "ok" else style.GREY
    if not pd.isna(row.full_ms_p50) and row.workload == "clean":
        ends = ([row.full_ms_p50, row.latency_ms_p50], [row.accuracy_full, row.accuracy])
        axis.plot(*ends, "-", color=colour, linewidth=0.7, zorder=2)
        axis.plot(*[end[:1] for end in ends], marker="|", color=colour, markersize=7, zorder=3)
    face = colour if row.workload == "clean" else "white"
    axis.plot([row.latency_ms_p50], [row.accuracy], marker, color=colour, markerfacecolor=face, zorder=4)


def _keys(rows: pd.DataFrame, looks: dict[str, tuple[str, str]], marks: dict[str, str]) -> list:
    keys = [style.key(model, colour, "_") for model, (colour, _) in looks.items()]
    keys += [style.key(name, marker=marker) for name, marker in marks.items()]
    keys.append(style.key("full depth, clean", marker="|"))
    if (rows["workload"] != "clean").any():
        keys.append(style.key("attacked", marker="o", hollow=True))
    if (rows["status"] != "ok").any():
        keys.append(style.key("unreliable", style.GREY, "o"))
    return keys


if __name__ == "__main__":
    figure_main("latency_accuracy", draw)
