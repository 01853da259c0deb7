"""Accuracy against budget: the solver's curve, the released sweep, the controls, single exits, and the static twin.

    python plots/budget_curve.py --leaderboard results/leaderboard.csv --out plots/out

One panel per model and dataset, of clean records that hold the 59-point protocol (images). A model's static twin is
the model of the same name with `_static` after it. After DVT (NeurIPS 2021), figure 6 and table 9.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plots import style
from plots.command import figure_main

MAX_PANELS = 6
TWIN = "_static"
# Method in a record's protocol -> label and style; later ones are drawn on top.
METHODS: dict[str, tuple[str, str, str]] = {
    "random": ("random exits", "#CC79A7", ":"),
    "entropy": ("budget, on entropy", "#009E73", "-."),
    "geometric": ("released geometric sweep", "#D55E00", "--"),
    "budget": ("budget, on confidence", "#0072B2", "-"),
}


@style.styled
def draw(frame: pd.DataFrame) -> Figure:
    """From clean rows whose `results` hold a protocol; one row of each model, as hardware does not change it."""
    rows = [row for row in style.rows_with(frame, "accuracy_full", "gmacs_full") if row["workload"] == "clean"]
    rows.sort(key=lambda row: (row["status"] != "ok", -(row["n"] or 0)))
    found = [row for row in rows if isinstance(row["results"], dict) and "protocol" in row["results"]]
    if not found:
        raise style.NothingToDraw("needs clean rows with a protocol in their results, as runs of image models leave")
    shown = style.first_panels("budget_curve", sorted(style.groups(found, "dataset", "model").items()), MAX_PANELS)
    figure, axes = style.panels(len(shown), height_mm=52, extra_mm=18)
    twins = {(row["dataset"], row["model"]): row for row in reversed(rows)}
    for axis, ((dataset, model), group) in zip(axes, shown, strict=True):
        _panel(axis, group[0], twins.get((dataset, model + TWIN)))
        axis.set(title=f"{model}, {dataset}", ylabel="Accuracy (%)")
    axes[-1].set_xlabel("Compute (GMACs per sample)")
    keys = [style.key(label, colour, line=line) for label, colour, line in reversed(METHODS.values())]
    keys.append(style.key("one exit for all", marker="o"))
    if any((dataset, model + TWIN) in twins for (dataset, model), _ in shown):
        keys.append(style.key("static twin", marker="*"))
    style.legend(figure, keys)
    return figure


def _panel(axis: Axes, row: style.Row, twin: style.Row | None) -> None:
    protocol, exits = row["results"]["protocol"], row["exits"]
    for name, (_, colour, line) in METHODS.items():
        points = sorted(zip(protocol[name]["gmacs_mean"], protocol[name]["accuracy"], strict=True))
        axis.plot(*zip(*points, strict=True), color=colour, linestyle=line)
    gmacs = [exit_row["gmacs"] for exit_row in exits]
    marks = {"color": style.INK, "elinewidth": 0.7, "markersize": 3.5, "zorder": 4}
    errors = [exit_row["accuracy_stderr"] for exit_row in exits]
    axis.errorbar(gmacs, [exit_row["accuracy"] for exit_row in exits], errors, fmt="o", **marks)
    if twin:
        marks |= {"markersize": 7}
        error = [twin["accuracy_full_stderr"] or 0]
        axis.errorbar([twin["gmacs_full"]], [twin["accuracy_full"]], error, fmt="*", **marks)
        gmacs.append(twin["gmacs_full"])
    style.log_axis(axis.xaxis, min(gmacs), max(gmacs))
    style.percent(axis.yaxis)


if __name__ == "__main__":
    figure_main("budget_curve", draw)
