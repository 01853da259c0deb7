"""Accuracy against measured latency: from full depth to early exit, and to early exit under attack.

    python plots/latency_accuracy.py --leaderboard results/leaderboard.csv --out plots/out

One panel per machine and dataset, as milliseconds of two machines do not compare; two columns from three on. Medians
(p50) of samples one at a time, on the profile that most rows were measured on; the figure `realized` has the others. Of
each model one rule: that which was attacked, on the same samples clean and attacked, else that with most samples.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plots import models, style
from plots.command import figure_main

MAX_PANELS = 6
Z95 = 1.96  # standard errors on each side of a 95% interval


@style.styled
def draw(frame: pd.DataFrame) -> Figure:
    """From rows with accuracy and latency_ms_p50."""
    rows = style.rows_with(frame, "latency_ms_p50", "accuracy")
    rows = [row for row in rows if row["scenario"] == "single_stream"]
    if not rows:
        raise style.NothingToDraw("needs rows with latency_ms_p50 and accuracy, of samples one at a time")
    profile = Counter(row["hardware"] for row in rows).most_common(1)[0][0]
    rows = [row for row in rows if row["hardware"] == profile]
    found = sorted(style.groups(rows, "fingerprint", "dataset").items())
    shown = style.first_panels("latency_accuracy", found, MAX_PANELS)
    columns = 1 if len(shown) < 3 else 2
    figure, axes = style.panels(len(shown), 46 if columns == 1 else 38, extra_mm=14, columns=columns)
    machines = len({machine for (machine, _), _ in shown})
    drawn: list[style.Row] = []
    for axis, ((machine, dataset), group) in zip(axes, shown, strict=True):
        drawn += _panel(axis, group, narrow=columns > 1)
        axis.set_title(dataset if machines == 1 else f"{dataset}\nmachine {machine}")
    latency = "Median latency (ms per sample, batch 1)" if columns == 1 else "Median latency (ms)"
    style.outer_labels(axes, columns, latency, "Accuracy (%)")
    keys = [style.key("full depth", marker="|"), style.key("early exit", marker="o")]
    keys += [*style.attacked_key(drawn), *style.unreliable_key(drawn)]
    style.legend(figure, keys, columns=2)
    return figure


def _panel(axis: Axes, rows: Sequence[style.Row], narrow: bool) -> list[style.Row]:
    """Draw one pair of rows a model; returns them."""
    drawn, latencies, heights = [], [], []
    for same in style.groups(rows, "model").values():
        clean, attacked = _pair(same)
        colour, marker = models.look(same[0]["model"])
        path = []
        if clean is not None and clean["full_ms_p50"] and clean["accuracy_full"] is not None:
            path.append((clean["full_ms_p50"], clean["accuracy_full"]))
            axis.plot(*zip(*path, strict=True), "|", color=style.shade(clean, colour), markersize=8, zorder=3)
        for row in (one for one in (clean, attacked) if one is not None):
            shade = style.shade(row, colour)
            margin = Z95 * (row["accuracy_stderr"] or 0)
            point = row["latency_ms_p50"], row["accuracy"]
            face = shade if row is clean else "white"
            marks = {"fmt": marker, "color": shade, "markerfacecolor": face, "elinewidth": 0.8}
            axis.errorbar([point[0]], [point[1]], [margin], zorder=4, **marks)
            path.append(point)
            heights += [point[1] - margin, point[1] + margin]
            drawn.append(row)
        axis.plot(*zip(*path, strict=True), "-", color=colour, linewidth=0.8, zorder=2)
        latencies += [latency for latency, _ in path]
        heights += [accuracy for _, accuracy in path]
    style.log_axis(axis.xaxis, min(latencies), max(latencies), narrow)
    style.percent(axis.yaxis)
    models.write_names(axis, sorted({row["model"] for row in rows}), min(heights), max(heights))
    return drawn


def _pair(rows: Sequence[style.Row]) -> tuple[style.Row | None, style.Row | None]:
    """One model's clean row, and the row of the same rule and samples under SAME, else under another attack."""
    clean = [row for row in rows if row["workload"] == "clean"]
    attacks = sorted((row for row in rows if row["workload"] != "clean"), key=lambda row: row["workload"] != "same")
    for attacked in attacks:
        for row in clean:
            if (row["policy"], row["n"]) == (attacked["policy"], attacked["n"]):
                return row, attacked
    if not clean:
        return None, attacks[0]
    return max(clean, key=lambda row: row["n"] or 0), None


if __name__ == "__main__":
    figure_main("latency_accuracy", draw)
