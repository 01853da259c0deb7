"""What attacks need: layer gain lost against queries, against words allowed, and against the radius of the ball.

    python plots/gain_lost_budget.py --leaderboard results/leaderboard.csv --out plots/out

One panel per model, dataset and kind of budget, the mean over exit rules. One attack gives its whole curve against
queries; words and radii are runs of their own, and are drawn where there are two or more.
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from plots import attacked, style
from plots.command import figure_main

MOST_PANELS = 8
QUERIES = "Queries (forwards)"
Points = list[tuple[float, float]]


@style.styled
def draw(frame: pd.DataFrame) -> Figure:
    """From rows of attacks with gain_lost and the records' attack sections."""
    rows = attacked.attacks(frame)
    shown = []
    for (model, dataset), group in sorted(style.groups(rows, "model", "dataset").items()):
        title = model, dataset
        shown.append((title, QUERIES, _by_queries(attacked.widest(group))))
        by_size = _by_size(group)
        if any(len(points) > 1 for points in by_size.values()):
            small = max(attacked.size(row) for row in group) <= 1
            label = "Radius ε (1/255)" if small else "Words (at most)"
            shown.append((title, label, by_size))
    shown = [panel for panel in shown if any(panel[2].values())]
    style.left_out("gain_lost_budget", [", ".join((*title, label)) for title, label, _ in shown[MOST_PANELS:]])
    shown = shown[:MOST_PANELS]
    if not shown:
        raise style.NothingToDraw("needs rows of attacks with curves against queries, or at several budgets")
    looks = attacked.looks(rows)
    columns = 1 if len(shown) < 3 else 2
    extra = 8 + 4 * -(-len(looks) // 3)
    figure, axes = style.panels(len(shown), 44 if columns == 1 else 40, extra_mm=extra, columns=columns)
    for place, (axis, (title, label, curves)) in enumerate(zip(axes, shown, strict=True)):
        _panel(axis, curves, looks, logarithmic=label == QUERIES, narrow=columns > 1)
        axis.set(title=(", " if columns == 1 else "\n").join(title), xlabel=label)
        axis.set_ylabel("Gain lost (%)" if place % columns == 0 else "")
    style.legend(figure, [style.key(name, *look) for name, look in looks.items()], columns=3)
    return figure


def _by_queries(rows: list[style.Row]) -> dict[str, Points]:
    """Attack -> (queries, gain lost), the mean over the exit rules at every number of queries that one of them has."""
    curves = {}
    for (name,), same in style.groups(rows, "workload").items():
        tables = [row["attack"].get("against_queries", []) for row in same]
        tables = [[(p["queries"], p["gain_lost"]) for p in one if p["gain_lost"] is not None] for one in tables]
        tables = [one for one in tables if one]
        at = sorted({queries for one in tables for queries, _ in one})
        curves[name] = [(q, _mean(_reached(one, q) for one in tables)) for q in at]
    return curves


def _reached(curve: Points, queries: float) -> float:
    """The gain lost after so many queries: that of the last number noted before."""
    return [0.0, *(lost for at, lost in curve if at <= queries)][-1]


def _by_size(rows: list[style.Row]) -> dict[str, Points]:
    """Attack -> (words or 255ths, gain lost); words as a share of the text are left out, being no number."""
    curves: dict[str, Points] = {}
    for (name,), same in style.groups(rows, "workload").items():
        found: dict[float, list[float]] = {}
        for row in same:
            said = attacked.search(row)
            if "epsilon" in said:
                found.setdefault(said["epsilon"] * 255, []).append(row["attack"]["gain_lost"])
            elif said.get("share") == 0:
                found.setdefault(said["least"], []).append(row["attack"]["gain_lost"])
        curves[name] = [(at, _mean(found[at])) for at in sorted(found)]
    return curves


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return sum(listed) / len(listed)


def _panel(
    axis: Axes, curves: dict[str, Points], looks: dict[str, tuple[str, str, str]], logarithmic: bool, narrow: bool
) -> None:
    for name, points in curves.items():
        if points:
            colour, marker, line = looks[name]
            axis.plot(*zip(*points, strict=True), line, color=colour, marker=marker, markersize=3)
    places = [at for points in curves.values() for at, _ in points]
    if logarithmic:
        style.log_axis(axis.xaxis, max(1, min(places)), max(2, *places), narrow)
    else:
        axis.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axis.set_ylim(-0.03, 1.03)
    style.percent(axis.yaxis)


if __name__ == "__main__":
    figure_main("gain_lost_budget", draw)
