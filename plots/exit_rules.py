"""Exit rules compared: the budget curve of each rule on one model, below the oracle.

    python plots/exit_rules.py --leaderboard results/leaderboard.csv --out plots/out

One panel per model, dataset and workload, in two columns from three on; GMACs are of a mean sample. The dotted line
joins the exits, each alone; the dashed one is the oracle's.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plots import style
from plots.command import figure_main

MAX_PANELS = 6
SINGLE_EXIT_RULES = ("never", "always_first")  # drawn already by the line of single exits


@style.styled
def draw(frame: pd.DataFrame) -> Figure:
    """From rows with accuracy and gmacs_mean; panels of several rules come first, `ok` rows count before others."""
    rows = [row for row in style.rows_with(frame, "accuracy", "gmacs_mean") if row["num_exits"] > 1]
    if not rows:
        raise style.NothingToDraw("needs rows of models with several exits")
    rows.sort(key=lambda row: row["status"] != "ok")
    found = style.groups(rows, "workload", "model", "dataset")
    found = {names: style.one_slice(group, "policy") for names, group in found.items()}
    ranked = sorted(found.items(), key=lambda item: (-_rules(item[1]), item[0][0] != "clean", item[0]))
    shown = style.first_panels("exit_rules", ranked, MAX_PANELS)
    columns = 1 if len(shown) < 3 else 2
    figure, axes = style.panels(len(shown), 50 if columns == 1 else 40, extra_mm=22, columns=columns)
    drawn = [row for _, group in shown for row in group]
    looks = style.colours(row["policy"] for row in drawn if not _special(row))
    for axis, ((workload, model, dataset), group) in zip(axes, shown, strict=True):
        _panel(axis, group, looks, narrow=columns > 1)
        facts = [dataset, *([workload] if workload != "clean" else [])]
        axis.set_title(", ".join([model, *facts]) if columns == 1 else f"{model}\n{facts[-1]}")
    style.outer_labels(axes, columns, "Compute (GMACs)", "Accuracy (%)")
    keys = [style.key(policy, colour, marker, "-") for policy, (colour, marker) in looks.items()]
    keys.append(style.key("one exit for all", marker=".", line=":"))
    bounds = [style.key("oracle (a bound)", line="--")] if any(style.is_bound(row) for row in drawn) else []
    style.legend(figure, keys + bounds, columns=2)
    return figure


def _special(row: style.Row) -> bool:
    return style.is_bound(row) or row["policy"] in SINGLE_EXIT_RULES


def _rules(rows: list[style.Row]) -> int:
    """Number of rules to compare."""
    return len({row["policy"] for row in rows if not _special(row)})


def _panel(axis: Axes, rows: list[style.Row], looks: dict[str, tuple[str, str]], narrow: bool) -> None:
    exits = next((row["exits"] for row in rows if row["exits"]), [])
    points_alone = [(exit_row["gmacs"], exit_row["accuracy"]) for exit_row in exits]
    if points_alone:
        axis.plot(*zip(*points_alone, strict=True), ".:", color=style.INK, linewidth=0.9, zorder=2)
    for (policy,), same in sorted(style.groups(rows, "policy").items()):
        row = same[0]
        points = sorted((point["gmacs_mean"], point["accuracy"]) for point in row["curve"])
        colour, marker = (style.INK, "") if style.is_bound(row) else looks.get(policy, ("", ""))
        if points and colour:
            # For two classes confidence and entropy decide alike: the lower curve is drawn wider, to be visible.
            width = 2.2 - 1.2 * (list(looks).index(policy) / max(1, len(looks) - 1)) if marker else 1
            axis.plot(*zip(*points, strict=True), "-" if marker else "--", color=colour, linewidth=width, zorder=3)
        if marker:
            axis.plot([row["gmacs_mean"]], [row["accuracy"]], marker, color=colour, zorder=4)
    costs = [row["gmacs_mean"] for row in rows] + [cost for cost, _ in points_alone]
    style.log_axis(axis.xaxis, min(costs), max(costs), narrow)
    style.percent(axis.yaxis)


if __name__ == "__main__":
    figure_main("exit_rules", draw)
