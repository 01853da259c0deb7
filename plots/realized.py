"""Promise and clock: the speed-up that MACs promise beside the one measured, for each hardware profile.

    python plots/realized.py --leaderboard results/leaderboard.csv --out plots/out

A row per model, workload and profile; the bar on a measured speed-up is its bootstrap 95% interval.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plots import style
from plots.command import figure_main

MOST_ROWS = 40


@style.styled
def draw(frame: pd.DataFrame) -> Figure:
    """From rows with mac_speedup and speedup; the first 40 in the leaderboard's order."""
    timed = frame["speedup"].notna() & frame["mac_speedup"].notna()
    rows = style.some(frame, timed, "rows with a measured speed-up").head(MOST_ROWS)
    groups = list(rows.groupby(["model", "dataset"], sort=False))
    figure, axes = style.panels(len(groups), height_mm=1, extra_mm=24, sharex=True)
    ratios = [len(group) + 1.5 for _, group in groups]
    axes[0].get_subplotspec().get_gridspec().set_height_ratios(ratios)  # type: ignore[union-attr]
    figure.set_figheight((sum(ratios) * 4.6 + 22) / 25.4)
    looks = style.colours(rows["model"])
    for axis, ((model, dataset), group) in zip(axes, groups, strict=True):
        _panel(axis, group, looks[str(model)][0])
        axis.set_title(f"{model}, {dataset}")
    axes[-1].set_xlabel("Speed-up over full depth (×)")
    style.legend(figure, _keys(rows), columns=3)
    return figure


def _keys(rows: pd.DataFrame) -> list:
    keys = [style.key("in MACs", marker="D", hollow=True), style.key("measured, 95% interval", marker="o", line="-")]
    if (rows["status"] != "ok").any():
        keys.append(style.key("unreliable", style.GREY, "o"))
    return keys


def _panel(axis: Axes, rows: pd.DataFrame, colour: str) -> None:
    several = rows["policy"].nunique() > 1, rows["fingerprint"].nunique() > 1
    labels = []
    for place, row in enumerate(rows.itertuples()):
        shade = colour if row.status == "ok" else style.GREY
        axis.plot([row.mac_speedup, row.speedup], [place, place], color="#CFCFCF", linewidth=2.5, zorder=2)
        axis.plot([row.mac_speedup], [place], "D", color=shade, markerfacecolor="white", zorder=3)
        interval = [[max(0, row.speedup - row.speedup_lo)], [max(0, row.speedup_hi - row.speedup)]]
        axis.errorbar([row.speedup], [place], xerr=interval, fmt="o", color=shade, zorder=4)
        more = [str(name) for name, told in zip((row.policy, row.fingerprint), several, strict=True) if told]
        labels.append(", ".join([str(row.workload), str(row.hardware), *more]))
    axis.set_yticks(range(len(labels)), labels)
    axis.set_ylim(len(labels) - 0.4, -0.6)
    axis.axvline(1, color=style.INK, linewidth=0.8, linestyle=(0, (4, 2)), zorder=1)
    axis.grid(visible=False, axis="y")


if __name__ == "__main__":
    figure_main("realized", draw)
