"""Bars of the layer gain lost to each attack, SAME beside its baselines, with 95% intervals.

    python plots/gain_lost_bars.py --leaderboard results/leaderboard.csv --out plots/out

One panel per model and dataset, one bar per exit rule; seeds are pooled; an attack is drawn at its largest budget.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from plots import attacked, style
from plots.command import figure_main

MAX_PANELS = 8
GOAL = 0.8  # SAME's headline


@style.styled
def draw(frame: pd.DataFrame) -> Figure:
    """From rows of attacks with gain_lost and the records' attack sections."""
    rows = sorted(attacked.widest(attacked.attacks(frame)), key=lambda row: (row["model"], row["dataset"]))
    panels = list(style.groups(rows, "model", "dataset").items())
    panels = style.first_panels("gain_lost_bars", panels, MAX_PANELS)
    rules = sorted({row["policy"] for _, group in panels for row in group})
    hues = {rule: style.COLOURS[i % len(style.COLOURS)] for i, rule in enumerate(rules)}
    heights = [3.4 * (len({row["workload"] for row in group}) + 1) for _, group in panels]
    legend_rows = -(-(len(rules) + 2) // 3)
    figure, axes = style.panels(len(panels), sum(heights) / len(panels), extra_mm=16 + 4 * legend_rows, sharex=True)
    style.height_ratios(axes, heights)
    for axis, ((model, dataset), group) in zip(axes, panels, strict=True):
        _panel(axis, group, hues)
        axis.set_title(f"{model}, {dataset}")
    axes[-1].set_xlabel("Layer gain lost (%)")
    keys: list = [Patch(facecolor=hue, label=rule) for rule, hue in hues.items()]
    keys.append(style.key("80 %, SAME's claim", line="--"))
    if any(row["interval"] for row in rows):
        keys.append(style.key("95 % interval", line="-"))
    style.legend(figure, keys, columns=3)
    return figure


def _panel(axis: Axes, rows: list[style.Row], hues: dict[str, str]) -> None:
    names = sorted({row["workload"] for row in rows}, key=attacked.rank)
    rules = [rule for rule in hues if any(row["policy"] == rule for row in rows)]
    height = 0.8 / len(rules)
    for row in rows:
        offset = (rules.index(row["policy"]) - (len(rules) - 1) / 2) * height
        y, lost = names.index(row["workload"]) + offset, max(0.0, row["gain_lost"])
        axis.barh(y, lost, height * 0.9, color=hues[row["policy"]])
        if row["interval"]:
            lo, hi = (max(0.0, end) for end in row["interval"])
            axis.hlines(y, lo, hi, colors=style.INK, linewidth=0.8, zorder=4)
    axis.axvline(GOAL, color=style.INK, linewidth=0.8, linestyle=(0, (4, 2)), zorder=3)
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.set_xlim(0, 1.02)
    axis.grid(visible=False, axis="y")
    style.percent(axis.xaxis)


if __name__ == "__main__":
    figure_main("gain_lost_bars", draw)
