"""Accuracy against compute: a model's budget curve, each exit alone, and the operating points clean and attacked.

    python plots/accuracy_gmacs.py --leaderboard results/leaderboard.csv --out plots/out

One panel per dataset, in two columns from three on, GMACs on a logarithmic axis. Curves are of clean samples; of
several exit rules on a model the one whose curve has the largest area is drawn.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plots import style
from plots.command import figure_main


@style.styled
def draw(frame: pd.DataFrame) -> Figure:
    """From rows with accuracy and gmacs_mean; `curve` and `exits` are drawn if the frame has them."""
    rows = _one_rule(_distinct(style.rows_with(frame, "accuracy", "gmacs_mean")))
    datasets = style.groups(rows, "dataset")
    columns = 1 if len(datasets) < 3 else 2
    figure, axes = style.panels(len(datasets), height_mm=50 if columns == 1 else 40, extra_mm=16, columns=columns)
    looks = style.colours(row["model"] for row in rows)
    for axis, ((dataset,), group) in zip(axes, datasets.items(), strict=True):
        _panel(axis, group, looks, narrow=columns > 1)
        axis.set_title(dataset)
    style.outer_labels(
        axes, columns, "Compute (GMACs per sample)" if columns == 1 else "Compute (GMACs)", "Accuracy (%)"
    )
    keys = [style.key(model, colour, marker) for model, (colour, marker) in looks.items()]
    if any(style.is_bound(row) for row in rows):
        keys.append(style.key("oracle (a bound)", line="--"))
    if any(row["curve"] for row in rows):
        keys += [style.key("budget curve", line="-"), style.key("one exit for all", marker=".", line=":")]
    keys.append(style.key("operating point, clean", marker="o"))
    style.legend(figure, keys + style.attacked_key(rows, "operating point, attacked"))
    return figure


def _one_rule(rows: list[style.Row]) -> list[style.Row]:
    """Of each model the rule with the largest area under its curve, and the bound; the figure exit_rules shows all."""
    selected: list[style.Row] = []
    for same in style.groups(rows, "model", "dataset").values():
        rules = [row for row in same if not style.is_bound(row)]
        best = max(rules or same, key=lambda row: (row["results"] or {}).get("area") or 0)["policy"]
        selected += [row for row in same if row["policy"] == best or style.is_bound(row)]
    return selected


def _distinct(rows: list[style.Row]) -> list[style.Row]:
    """One row per point: profiles share it, as it does not depend on time."""
    points = style.groups(rows, "model", "dataset", "policy", "workload", "threshold", "gmacs_mean", "accuracy")
    return [same[0] for same in points.values()]


def _panel(axis: Axes, rows: list[style.Row], looks: dict[str, tuple[str, str]], narrow: bool) -> None:
    clean = [row for row in rows if row["workload"] == "clean"]
    for (model, _), same in style.groups(clean, "model", "policy").items():
        widest = max(same, key=lambda row: row["n"] or 0)  # of several limits the one with most samples
        _curves(axis, widest["curve"], widest["exits"], looks[model][0], "--" if style.is_bound(widest) else "-")
    for row in (row for row in rows if not style.is_bound(row)):
        colour, marker = looks[row["model"]]
        face = colour if row["workload"] == "clean" else "white"
        marks = {"fmt": marker, "color": colour, "markerfacecolor": face, "elinewidth": 0.7}
        error = [row["accuracy_stderr"] or 0]
        axis.errorbar([row["gmacs_mean"]], [row["accuracy"]], error, zorder=4, **marks)
    costs = [row["gmacs_mean"] for row in rows] + [point["gmacs"] for row in clean for point in row["exits"]]
    style.log_axis(axis.xaxis, min(costs), max(costs), narrow)
    style.percent(axis.yaxis)


def _curves(axis: Axes, curve: list[dict], exits: list[dict], colour: str, line: str) -> None:
    points = sorted((point["gmacs_mean"], point["accuracy"]) for point in curve)
    if points:
        axis.plot(*zip(*points, strict=True), line, color=colour, zorder=3)
    if exits:
        gmacs, accuracy = [exit_row["gmacs"] for exit_row in exits], [exit_row["accuracy"] for exit_row in exits]
        axis.plot(gmacs, accuracy, ".:", color=colour, linewidth=0.9, zorder=2)


if __name__ == "__main__":
    figure_main("accuracy_gmacs", draw)
