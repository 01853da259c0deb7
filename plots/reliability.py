"""Reliability diagram: accuracy against confidence at each exit, with the expected calibration error.

    python plots/reliability.py --leaderboard results/leaderboard.csv --out plots/out

One panel per model and dataset, of clean records; every exit answers all samples. Above the diagonal an exit is
underconfident, below it overconfident. A dot is a bin of equal width with at least one sample in fifty; its size shows
how many. Calibration error: Guo et al. (ICML 2017), 15 bins.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plots import style
from plots.command import figure_main

MAX_PANELS = 8
MIN_BIN_SHARE = 0.02  # of all samples, in a drawn bin; with fewer its accuracy is noise
RAMP = ("#B4CFE4", "#7FB2D6", "#3E8FC4", "#0072B2", "#00517E", "#00304B")  # the first exit is the palest


@style.styled
def draw(frame: pd.DataFrame) -> Figure:
    """From clean rows whose `exits` hold `reliability`; one row per model, of the rule `confidence` if any."""
    rows = [row for row in style.rows_with(frame, "accuracy_full") if row["workload"] == "clean"]
    rows = [row for row in rows if row["exits"] and all("reliability" in exit_row for exit_row in row["exits"])]
    if not rows:
        raise style.NothingToDraw("needs clean rows whose exits hold reliability, as records from 0.3.0 on do")
    rows.sort(key=lambda row: (row["status"] != "ok", -(row["n"] or 0), row["policy"] != "confidence"))
    found = sorted(style.groups(rows, "dataset", "model").items())
    shown = style.first_panels("reliability", found, MAX_PANELS)
    columns = 1 if len(shown) == 1 else 2
    figure, axes = style.panels(len(shown), 66 if columns == 1 else 50, extra_mm=12, columns=columns)
    for axis, ((dataset, model), group) in zip(axes, shown, strict=True):
        _panel(axis, group[0]["exits"])
        axis.set_title(f"{model}\n{dataset}\n{_error(group[0]['exits'])}{_auroc(group[0]['exits'])}")
    style.outer_labels(axes, columns, "Confidence (%)", "Accuracy (%)")
    depth = max(len(group[0]["exits"]) for _, group in shown)
    keys = [style.key(f"exit {at}", _shade(at, depth), "o", "-") for at in ({1, depth} if depth > 1 else {1})]
    keys.append(style.key("calibrated", line="--"))
    style.legend(figure, keys, columns=3)
    return figure


def _error(exits: list[dict]) -> str:
    """The calibration error of the first and the last exit, for the title."""
    errors = [f"{100 * exit_row['reliability']['ece']:.1f}" for exit_row in exits]
    return f"ECE {errors[0]}" + (f" … {errors[-1]}" if len(errors) > 1 else "") + " %"


def _auroc(exits: list[dict]) -> str:
    """AUROC of the rule's signal at the first and the last exit that have one, for the title."""
    values = [f"{exit_row['auroc']:.2f}" for exit_row in exits if exit_row.get("auroc") is not None]
    return "" if not values else f"\nAUROC {values[0]}" + (f" … {values[-1]}" if len(values) > 1 else "")


def _shade(depth: int, exits: int) -> str:
    """From pale to dark with depth, so that the order is visible without a legend."""
    return RAMP[round((depth - 1) / max(1, exits - 1) * (len(RAMP) - 1))]


def _panel(axis: Axes, exits: list[dict]) -> None:
    axis.plot([0, 1], [0, 1], "--", color=style.INK, linewidth=0.8, zorder=1)
    lowest = 1.0
    for exit_row in exits:
        reliability, colour = exit_row["reliability"], _shade(exit_row["exit_depth"], len(exits))
        n = sum(reliability["count"])
        bins = zip(reliability["confidence"], reliability["accuracy"], reliability["count"], strict=True)
        selected = [(confidence, right, count / n) for confidence, right, count in bins if count >= MIN_BIN_SHARE * n]
        if not selected:
            continue
        confidence, right, shares = zip(*selected, strict=True)
        axis.plot(confidence, right, "-", color=colour, linewidth=0.9, zorder=2)
        axis.scatter(confidence, right, s=[4 + 30 * share for share in shares], color=colour, linewidth=0, zorder=3)
        lowest = min(lowest, *confidence, *right)
    low = max(0.0, lowest - 0.06)
    axis.set(xlim=(low, 1.03), ylim=(low, 1.03), aspect="equal", adjustable="box")
    style.percent(axis.xaxis)
    style.percent(axis.yaxis)


if __name__ == "__main__":
    figure_main("reliability", draw)
