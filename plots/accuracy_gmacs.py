"""Accuracy against compute: what a model's early exits reach at every budget, above what its exits reach alone.

    python plots/accuracy_gmacs.py --leaderboard results/leaderboard.csv --out plots/out

Clean samples, one panel per dataset, GMACs on a logarithmic axis. The line is the budget curve, the dots are the exits,
each used for all samples, and the mark is the operating point of the largest record with its 95% interval. Of several
exit rules on a model the one whose curve has the largest area is drawn.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plots import models, style
from plots.command import figure_main

MAX_PANELS = 8
Z95 = 1.96  # standard errors on each side of a 95% interval


@style.styled
def draw(frame: pd.DataFrame) -> Figure:
    """From clean rows with accuracy and gmacs_mean; `curve` and `exits` are drawn if the frame has them."""
    rows = [row for row in style.rows_with(frame, "accuracy", "gmacs_mean") if row["workload"] == "clean"]
    if not rows:
        raise style.NothingToDraw("needs clean rows with accuracy and gmacs_mean")
    rows = _one_per_model(rows)
    found = sorted(style.groups(rows, "dataset").items(), key=lambda item: (not _is_image(item[1]), item[0]))
    shown = style.first_panels("accuracy_gmacs", found, MAX_PANELS)
    columns = 1 if len(shown) < 3 else 2
    figure, axes = style.panels(len(shown), height_mm=50 if columns == 1 else 38, extra_mm=12, columns=columns)
    for axis, ((dataset,), group) in zip(axes, shown, strict=True):
        _panel(axis, group, narrow=columns > 1)
        axis.set_title(dataset)
    style.outer_labels(
        axes, columns, "Compute (GMACs per sample)" if columns == 1 else "Compute (GMACs)", "Accuracy (%)"
    )
    drawn = [row for _, group in shown for row in group]
    keys = [style.key("chosen, 95% interval", marker="o")]
    if any(row["curve"] for row in drawn):
        keys = [style.key("early exit", line="-"), style.key("one exit for all", marker="."), *keys]
    if any(style.is_bound(row) for row in drawn):
        keys.append(style.key("oracle (a bound)", line="--"))
    style.legend(figure, keys, columns=3 if len(keys) < 4 else 2)
    return figure


def _is_image(rows: list[style.Row]) -> bool:
    """Whether a dataset's records are of pictures, which only these hold as examples."""
    return any(row["examples"] for row in rows)


def _one_per_model(rows: list[style.Row]) -> list[style.Row]:
    """Of each model the rule with the largest area under its curve, and the bound; the figure exit_rules shows all.

    Of several rows of a rule that with the most samples: profiles and subsets of the same samples say the same.
    """
    selected: list[style.Row] = []
    for same in style.groups(rows, "model", "dataset").values():
        rules = [row for row in same if not style.is_bound(row)]
        best = max(rules or same, key=lambda row: (row["results"] or {}).get("area") or 0)["policy"]
        for (policy,), group in style.groups(same, "policy").items():
            if policy == best or style.is_bound(group[0]):
                selected.append(max(group, key=lambda row: row["n"] or 0))
    return selected


def _panel(axis: Axes, rows: list[style.Row], narrow: bool) -> None:
    costs, heights = [], []
    for row in rows:
        colour, marker = models.look(row["model"])
        points = sorted((point["gmacs_mean"], point["accuracy"]) for point in row["curve"])
        alone = [(point["gmacs"], point["accuracy"]) for point in row["exits"]]
        if points:
            axis.plot(*zip(*points, strict=True), "--" if style.is_bound(row) else "-", color=colour, zorder=3)
        drawn = [*points, *alone]
        if not style.is_bound(row):
            if alone:
                axis.plot(*zip(*alone, strict=True), ".", color=colour, zorder=2)
            margin = Z95 * (row["accuracy_stderr"] or 0)
            marks = {"fmt": marker, "color": colour, "elinewidth": 0.8, "markersize": 5.5}
            axis.errorbar([row["gmacs_mean"]], [row["accuracy"]], [margin], zorder=4, **marks)
            drawn += [(row["gmacs_mean"], row["accuracy"] + sign * margin) for sign in (-1, 1)]
        costs += [cost for cost, _ in drawn]
        heights += [height for _, height in drawn]
    style.log_axis(axis.xaxis, min(costs), max(costs), narrow)
    style.percent(axis.yaxis)
    models.write_names(axis, sorted({row["model"] for row in rows}), min(heights), max(heights))


if __name__ == "__main__":
    figure_main("accuracy_gmacs", draw)
