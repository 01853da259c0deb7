"""Exit rules against each other: the budget curve of each rule on one model, under the bound that knows the labels.

    python plots/exit_rules.py --leaderboard results/leaderboard.csv --out plots/out

One panel per model, dataset and workload. The dotted line joins the exits, each alone; the dashed one is the oracle's.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plots import style
from plots.command import figure_main

MOST_PANELS = 6
ENDS = ("never", "always_first")  # of the scale: the exits' own line shows them


@style.styled
def draw(frame: pd.DataFrame) -> Figure:
    """From rows with accuracy and gmacs_mean; panels of several rules come first, `ok` rows count before others."""
    rows = sorted(style.rows_with(frame, "accuracy", "gmacs_mean"), key=lambda row: row["status"] != "ok")
    found = style.groups(rows, "workload", "model", "dataset")
    shown = sorted(found.items(), key=lambda item: (-_rules(item[1]), item[0][0] != "clean", item[0]))[:MOST_PANELS]
    figure, axes = style.panels(len(shown), height_mm=50, extra_mm=22)
    drawn = [row for _, group in shown for row in group]
    looks = style.colours(row["policy"] for row in drawn if not _special(row))
    for axis, ((workload, model, dataset), group) in zip(axes, shown, strict=True):
        _panel(axis, group, looks)
        axis.set(title=f"{model}, {dataset}" + (f", {workload}" if workload != "clean" else ""), ylabel="Accuracy (%)")
    axes[-1].set_xlabel("Compute (GMACs per sample)")
    keys = [style.key(policy, colour, marker, "-") for policy, (colour, marker) in looks.items()]
    keys.append(style.key("one exit for all", marker=".", line=":"))
    bounds = [style.key("oracle (a bound)", line="--")] if any(style.is_bound(row) for row in drawn) else []
    style.legend(figure, keys + bounds, columns=2)
    return figure


def _special(row: style.Row) -> bool:
    return style.is_bound(row) or row["policy"] in ENDS


def _rules(rows: list[style.Row]) -> int:
    """How many rules there are to compare."""
    return len({row["policy"] for row in rows if not _special(row)})


def _panel(axis: Axes, rows: list[style.Row], looks: dict[str, tuple[str, str]]) -> None:
    exits = next((row["exits"] for row in rows if row["exits"]), [])
    places = [(place["gmacs"], place["accuracy"]) for place in exits]
    if places:
        axis.plot(*zip(*places, strict=True), ".:", color=style.INK, linewidth=0.9, zorder=2)
    for (policy,), same in style.groups(rows, "policy").items():
        row = same[0]
        points = sorted((point["gmacs_mean"], point["accuracy"]) for point in row["curve"])
        colour, marker = (style.INK, "") if style.is_bound(row) else looks.get(policy, ("", ""))
        if points and colour:
            axis.plot(*zip(*points, strict=True), "-" if marker else "--", color=colour, linewidth=1, zorder=3)
        if marker:
            axis.plot([row["gmacs_mean"]], [row["accuracy"]], marker, color=style.shade(row, colour), zorder=4)
    costs = [row["gmacs_mean"] for row in rows] + [cost for cost, _ in places]
    style.log_axis(axis.xaxis, min(costs), max(costs))
    style.percent(axis.yaxis)


if __name__ == "__main__":
    figure_main("exit_rules", draw)
