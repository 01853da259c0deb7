"""Accuracy against compute: a model's budget curve, each exit alone, and the operating points clean and attacked.

    python plots/accuracy_gmacs.py --leaderboard results/leaderboard.csv --out plots/out

One panel per dataset, GMACs on a logarithmic axis. Curves are of clean samples.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plots import style
from plots.command import figure_main


@style.styled
def draw(frame: pd.DataFrame) -> Figure:
    """From rows with accuracy and gmacs_mean; `curve` and `exits` are drawn where the frame carries them."""
    rows = style.some(frame, frame["accuracy"].notna() & frame["gmacs_mean"].notna(), "rows with accuracy and GMACs")
    datasets = sorted(set(rows["dataset"]))
    figure, axes = style.panels(len(datasets), height_mm=50, extra_mm=16)
    looks = style.colours(rows["model"])
    for axis, dataset in zip(axes, datasets, strict=True):
        _panel(axis, rows[rows["dataset"] == dataset], looks)
        axis.set(title=dataset, ylabel="Accuracy (%)")
    axes[-1].set_xlabel("Compute (GMACs per sample)")
    models = [style.key(model, colour, marker) for model, (colour, marker) in looks.items()]
    style.legend(figure, [*models, *_roles(rows)])
    return figure


def _roles(rows: pd.DataFrame) -> list:
    roles = [style.key("budget curve", line="-"), style.key("one exit for all", marker=".", line=":")]
    roles.append(style.key("operating point, clean", marker="o"))
    if (rows["workload"] != "clean").any():
        roles.append(style.key("operating point, attacked", marker="o", hollow=True))
    if (rows["status"] != "ok").any():
        roles.append(style.key("unreliable", style.GREY, marker="o"))
    return roles


def _panel(axis: Axes, rows: pd.DataFrame, looks: dict[str, tuple[str, str]]) -> None:
    clean = rows[rows["workload"] == "clean"]
    for (model, _), same in clean.groupby(["model", "policy"]):
        # Profiles share their curve: it comes from the trace, not from the clock.
        _curves(axis, same["curve"].iloc[0], same["exits"].iloc[0], looks[str(model)][0])
    for row in rows.drop_duplicates(["model", "policy", "workload", "threshold", "accuracy", "status"]).itertuples():
        colour, marker = looks[str(row.model)]
        colour = colour if row.status == "ok" else style.GREY
        face = colour if row.workload == "clean" else "white"
        axis.errorbar(
            [row.gmacs_mean],
            [row.accuracy],
            yerr=None if pd.isna(row.accuracy_stderr) else [row.accuracy_stderr],
            **{"fmt": marker, "color": colour, "markerfacecolor": face, "elinewidth": 0.7, "zorder": 4},
        )
    low, high = axis.get_xlim()
    style.log_axis(axis.xaxis, max(low, rows["gmacs_mean"].min() / 4), high)
    style.percent(axis.yaxis)


def _curves(axis: Axes, curve: list[dict], exits: list[dict], colour: str) -> None:
    points = sorted((point["gmacs_mean"], point["accuracy"]) for point in curve)
    if points:
        axis.plot(*zip(*points, strict=True), color=colour, zorder=3)
    if exits:
        gmacs, accuracy = [place["gmacs"] for place in exits], [place["accuracy"] for place in exits]
        axis.plot(gmacs, accuracy, ".:", color=colour, linewidth=0.9, zorder=2)


if __name__ == "__main__":
    figure_main("accuracy_gmacs", draw)
