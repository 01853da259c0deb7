"""Accuracy against measured latency: full depth beside early exit, clean and attacked.

    python plots/latency_accuracy.py --leaderboard results/leaderboard.csv --out plots/out

One panel per machine and dataset, as milliseconds of two machines do not compare; two columns from three on. Medians
(p50) of samples one at a time.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plots import style
from plots.command import figure_main

MAX_PANELS = 6


@style.styled
def draw(frame: pd.DataFrame) -> Figure:
    """From rows with accuracy and latency_ms_p50."""
    rows = style.rows_with(frame, "latency_ms_p50", "accuracy")
    rows = [row for row in rows if row["scenario"] == "single_stream"]
    if not rows:
        raise style.NothingToDraw("needs rows with latency_ms_p50 and accuracy, of samples one at a time")
    found = sorted(style.groups(rows, "fingerprint", "dataset").items())
    shown = style.first_panels("latency_accuracy", found, MAX_PANELS)
    columns = 1 if len(shown) < 3 else 2
    figure, axes = style.panels(len(shown), 46 if columns == 1 else 40, extra_mm=20, columns=columns)
    looks = {model: colour for model, (colour, _) in style.colours(row["model"] for row in rows).items()}
    marks = {profile: marker for profile, (_, marker) in style.colours(row["hardware"] for row in rows).items()}
    for axis, ((machine, dataset), group) in zip(axes, shown, strict=True):
        _panel(axis, group, looks, marks, narrow=columns > 1)
        axis.set_title((", " if columns == 1 else "\n").join([dataset, f"machine {machine}"]))
    latency = "Median latency (ms per sample, batch 1)" if columns == 1 else "Median latency (ms)"
    style.outer_labels(axes, columns, latency, "Accuracy (%)")
    keys = [style.key(model, colour, "_") for model, colour in looks.items()]
    keys += [style.key(profile, marker=marker) for profile, marker in marks.items()]
    keys.append(style.key("full depth, clean", marker="|"))
    style.legend(figure, keys + style.attacked_key(rows) + style.unreliable_key(rows))
    return figure


def _panel(axis: Axes, rows: list[style.Row], looks: dict[str, str], marks: dict[str, str], narrow: bool) -> None:
    for row in rows:
        colour = style.shade(row, looks[row["model"]])
        if row["full_ms_p50"] and row["workload"] == "clean":
            ends = [row["full_ms_p50"], row["latency_ms_p50"]], [row["accuracy_full"], row["accuracy"]]
            axis.plot(*ends, "-", color=colour, linewidth=0.7, zorder=2)
            axis.plot(ends[0][:1], ends[1][:1], "|", color=colour, markersize=7, zorder=3)
        face = colour if row["workload"] == "clean" else "white"
        point = [row["latency_ms_p50"]], [row["accuracy"]]
        axis.plot(*point, marks[row["hardware"]], color=colour, markerfacecolor=face, zorder=4)
    latencies = [row[name] for row in rows for name in ("latency_ms_p50", "full_ms_p50") if row[name]]
    axis.margins(y=0.14)
    style.log_axis(axis.xaxis, min(latencies), max(latencies), narrow)
    style.percent(axis.yaxis)


if __name__ == "__main__":
    figure_main("latency_accuracy", draw)
