"""Layer gain lost against the budget of attacks: queries, words that may change, radius of the ball.

    python plots/gain_lost_budget.py --leaderboard results/leaderboard.csv --out plots/out

One panel per model, dataset and kind of budget; the mean over seeds and exit rules, the 95% interval as a band. Each
record holds its whole curve against queries; words and radii are separate runs, drawn if there are two or more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from plots import attacked, style
from plots.command import figure_main

MAX_PANELS = 8
QUERIES = "Queries (forwards)"
Ends = tuple[float, float] | None  # of the 95% interval


class Point(NamedTuple):
    """A budget, the gain lost at it, and its interval if known."""

    at: float
    lost: float
    ends: Ends


Points = list[Point]


@style.styled
def draw(frame: pd.DataFrame) -> Figure:
    """From rows of attacks with gain_lost and the records' attack sections."""
    rows = attacked.attacks(frame)
    panels = []
    for (model, dataset), group in sorted(style.groups(rows, "model", "dataset").items()):
        title = model, dataset
        panels.append((title, QUERIES, _by_queries(attacked.widest(group))))
        by_size = _by_size(group)
        if any(len(points) > 1 for points in by_size.values()):
            small = max(attacked.size(row) for row in group) <= 1
            label = "Radius ε (1/255)" if small else "Words (at most)"
            panels.append((title, label, by_size))
    panels = [panel for panel in panels if any(panel[2].values())]
    style.report_omitted("gain_lost_budget", [", ".join((*title, label)) for title, label, _ in panels[MAX_PANELS:]])
    panels = panels[:MAX_PANELS]
    if not panels:
        raise style.NothingToDraw("needs rows of attacks with curves against queries, or at several budgets")
    looks = attacked.looks(rows)
    columns = 1 if len(panels) < 3 else 2
    extra = 8 + 4 * -(-len(looks) // 3)
    figure, axes = style.panels(len(panels), 44 if columns == 1 else 40, extra_mm=extra, columns=columns)
    for index, (axis, (title, label, curves)) in enumerate(zip(axes, panels, strict=True)):
        _panel(axis, curves, looks, logarithmic=label == QUERIES, narrow=columns > 1)
        axis.set(title=(", " if columns == 1 else "\n").join(title), xlabel=label)
        axis.set_ylabel("Gain lost (%)" if index % columns == 0 else "")
    style.legend(figure, [style.key(name, *look) for name, look in looks.items()], columns=3)
    return figure


def _by_queries(rows: list[style.Row]) -> dict[str, Points]:
    """Attack -> points at every number of queries that one of its curves has, the mean over seeds and exit rules."""
    curves = {}
    for (name,), same in style.groups(rows, "workload").items():
        every = [curve for row in same for curve in row["curves"]]
        known = [[point for point in curve if point["gain_lost"] is not None] for curve in every]
        known = [curve for curve in known if curve]
        budgets = sorted({point["queries"] for curve in known for point in curve})
        curves[name] = [_mean(budget, [_gain_lost_at(curve, budget) for curve in known]) for budget in budgets]
    return curves


def _gain_lost_at(curve: Sequence[style.Row], queries: float) -> tuple[float, Ends]:
    """Gain lost after so many queries, with its interval: the last point up to there."""
    before = [point for point in curve if point["queries"] <= queries]
    if not before:
        return 0.0, (0.0, 0.0)
    lo, hi = (before[-1].get(f"gain_lost_{end}") for end in ("lo", "hi"))
    return before[-1]["gain_lost"], None if lo is None or hi is None else (lo, hi)


def _by_size(rows: list[style.Row]) -> dict[str, Points]:
    """Attack -> points by words or 255ths; words as a share of the text are left out, as their number varies."""
    curves: dict[str, Points] = {}
    for (name,), same in style.groups(rows, "workload").items():
        at: dict[float, list[tuple[float, Ends]]] = {}
        for row in same:
            settings = attacked.search(row)
            if "epsilon" in settings:
                at.setdefault(settings["epsilon"] * 255, []).append((row["gain_lost"], row["interval"]))
            elif settings.get("share") == 0:
                at.setdefault(settings["least"], []).append((row["gain_lost"], row["interval"]))
        curves[name] = [_mean(size, at[size]) for size in sorted(at)]
    return curves


def _mean(at: float, values: Sequence[tuple[float, Ends]]) -> Point:
    """Mean loss, and the means of the intervals' ends, which hold however the losses depend on each other."""
    ends = [pair for _, pair in values if pair is not None]
    count = len(values)
    lo, hi = (sum(pair[end] for pair in ends) / count for end in (0, 1))
    mean_ends = (lo, hi) if len(ends) == count else None
    return Point(at, sum(lost for lost, _ in values) / count, mean_ends)


def _panel(
    axis: Axes, curves: dict[str, Points], looks: dict[str, tuple[str, str, str]], logarithmic: bool, narrow: bool
) -> None:
    for name, points in curves.items():
        if points:
            colour, marker, line = looks[name]
            budgets, losses = [point.at for point in points], [point.lost for point in points]
            axis.plot(budgets, losses, line, color=colour, marker=marker, markersize=3)
            ends = [point.ends for point in points if point.ends is not None]
            if len(ends) == len(points):
                lows, highs = ([pair[end] for pair in ends] for end in (0, 1))
                axis.fill_between(budgets, lows, highs, color=colour, alpha=0.15, linewidth=0)
    budgets = [point.at for points in curves.values() for point in points]
    if logarithmic:
        style.log_axis(axis.xaxis, max(1, min(budgets)), max(2, *budgets), narrow)
    else:
        axis.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axis.set_ylim(-0.03, 1.03)
    style.percent(axis.yaxis)


if __name__ == "__main__":
    figure_main("gain_lost_budget", draw)
