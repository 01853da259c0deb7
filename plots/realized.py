"""Realized speed-up: the MAC speed-up beside the measured one, for each hardware profile.

    python plots/realized.py --leaderboard results/leaderboard.csv --out plots/out

A row per model, workload and profile; the bar on a measured speed-up is its bootstrap 95% interval.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plots import attacked, style
from plots.command import figure_main

MAX_ROWS = 26
IDENTITY_COLUMNS = ("model", "dataset", "workload", "policy", "hardware", "scenario", "batch", "fingerprint")


@style.styled
def draw(frame: pd.DataFrame) -> Figure:
    """From rows with mac_speedup and speedup: at most 26, clean ones first, then attacks in their order."""
    rows = _select_rows(style.rows_with(frame, "speedup", "mac_speedup"))
    shown = style.groups(rows, "model", "dataset")
    heights = [3.8 * (len(group) + 1.5) for group in shown.values()]
    figure, axes = style.panels(len(shown), height_mm=sum(heights) / len(shown), extra_mm=22, sharex=True)
    style.height_ratios(axes, heights)
    looks = style.colours(row["model"] for row in rows)
    for axis, ((model, dataset), group) in zip(axes, shown.items(), strict=True):
        _panel(axis, group, looks[model][0])
        axis.set_title(f"{model}, {dataset}", loc="right")
    axes[-1].set_xlabel("Speed-up over full depth (×)")
    keys = [style.key("in MACs", marker="|"), style.key("measured, 95% interval", marker=".", line="-")]
    keys[0].set(markersize=8, markeredgewidth=1.6)
    style.legend(figure, keys + style.unreliable_key(rows, "."), columns=3)
    return figure


def _select_rows(rows: list[style.Row]) -> list[style.Row]:
    """One row of each kind, the most relevant if there are too many, by batch, in the leaderboard's order."""
    kinds = style.groups(sorted(rows, key=lambda row: row["status"] != "ok"), *IDENTITY_COLUMNS).values()
    rules = {model: _most_common_rule(same) for (model,), same in style.groups(rows, "model").items()}

    def weight(same: list[style.Row]) -> tuple[bool, bool, tuple[int, str]]:
        row = same[0]
        return row["workload"] != "clean", row["policy"] != rules[row["model"]], attacked.rank(row["workload"])

    by_weight = sorted(kinds, key=weight)
    apart = [(tuple(same[0][name] for name in IDENTITY_COLUMNS[:5]), same) for same in by_weight]
    record_ids = {same[0]["record_id"] for _, same in style.first_panels("realized", apart, MAX_ROWS)}
    return sorted((row for row in rows if row["record_id"] in record_ids), key=lambda row: row["batch"] or 1)


def _most_common_rule(rows: list[style.Row]) -> str:
    """The rule of most of a model's rows."""
    names = [row["policy"] for row in rows]
    return max(names, key=names.count)


def _panel(axis: Axes, rows: list[style.Row], colour: str) -> None:
    for y, row in enumerate(rows):
        shade, mac_speedup, speedup = style.shade(row, colour), row["mac_speedup"], row["speedup"]
        axis.plot([mac_speedup, speedup], [y, y], color="#D5D5D5", linewidth=2.5, zorder=2)
        # A bar taller than the dot: both are visible where they agree.
        axis.plot([mac_speedup], [y], "|", color=shade, markersize=9, markeredgewidth=1.6, zorder=3)
        interval = [[max(0, speedup - row["speedup_lo"])], [max(0, row["speedup_hi"] - speedup)]]
        axis.errorbar([speedup], [y], xerr=interval, fmt=".", color=shade, zorder=4)
    several = [name for name in ("policy", "fingerprint") if len(style.groups(rows, name)) > 1]
    labels = [_label(row, several) for row in rows]
    axis.set_yticks(range(len(labels)), labels)
    axis.set_ylim(len(labels) - 0.4, -0.6)
    axis.axvline(1, color=style.INK, linewidth=0.8, linestyle=(0, (4, 2)), zorder=1)
    axis.grid(visible=False, axis="y")


def _label(row: style.Row, several: list[str]) -> str:
    """What distinguishes a row: its attack, profile, choices that differ in the panel, and batch."""
    attack = [] if row["workload"] == "clean" else [row["workload"]]
    batches = [f"batches of {row['batch']:.0f}"] if row.get("scenario") == "offline" else []
    return ", ".join([*attack, row["hardware"], *(str(row[name]) for name in several if row[name]), *batches])


if __name__ == "__main__":
    figure_main("realized", draw)
