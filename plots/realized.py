"""Realized speed-up: the MAC speed-up beside the measured one, for each hardware profile.

    python plots/realized.py --leaderboard results/leaderboard.csv --out plots/out

A row per model, workload and profile under the model's most common rule; the bar on a measured speed-up is its 95%
interval, and the share beside it is how much of the promise it confirms. Models with one row share the first panel.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plots import attacked, models, style
from plots.command import figure_main

MAX_ROWS = 26
IDENTITY_COLUMNS = ("model", "dataset", "workload", "policy", "hardware", "scenario", "batch", "fingerprint")


@style.styled
def draw(frame: pd.DataFrame) -> Figure:
    """From rows with mac_speedup and speedup: at most 26, attacks only where all fit."""
    rows = _select_rows(style.rows_with(frame, "speedup", "mac_speedup"))
    shown = _panels(rows)
    heights = [3.8 * (len(group) + 1.5) for group in shown.values()]
    figure, axes = style.panels(len(shown), height_mm=sum(heights) / len(shown), extra_mm=22, sharex=True)
    style.height_ratios(axes, heights)
    for axis, (title, group) in zip(axes, shown.items(), strict=True):
        _panel(axis, group)
        axis.set_title(title, loc="left")
    axes[-1].set_xlabel("Speed-up over full depth (×)")
    keys = [style.key("in MACs", marker="|"), style.key("measured, 95% interval", marker=".", line="-")]
    keys[0].set(markersize=8, markeredgewidth=1.6)
    style.legend(figure, keys + style.unreliable_key(rows, "."), columns=3)
    return figure


def _select_rows(rows: list[style.Row]) -> list[style.Row]:
    """One row of each kind, the most relevant if there are too many, by batch, in the leaderboard's order."""
    rules = {model: _most_common_rule(same) for (model,), same in style.groups(rows, "model").items()}
    rows = [row for row in rows if row["policy"] == rules[row["model"]]]
    kinds = list(style.groups(sorted(rows, key=lambda row: row["status"] != "ok"), *IDENTITY_COLUMNS).values())
    clean = [same for same in kinds if same[0]["workload"] == "clean"]
    if clean and len(kinds) > MAX_ROWS:  # some attacks of some models would say nothing
        kinds = clean

    def weight(same: list[style.Row]) -> tuple[bool, tuple[int, str]]:
        return same[0]["workload"] != "clean", attacked.rank(same[0]["workload"])

    by_weight = sorted(kinds, key=weight)
    apart = [(tuple(same[0][name] for name in IDENTITY_COLUMNS[:5]), same) for same in by_weight]
    record_ids = {same[0]["record_id"] for _, same in style.first_panels("realized", apart, MAX_ROWS)}
    return sorted((row for row in rows if row["record_id"] in record_ids), key=lambda row: row["batch"] or 1)


def _most_common_rule(rows: list[style.Row]) -> str:
    """The rule of most of a model's rows."""
    names = [row["policy"] for row in rows]
    return max(names, key=names.count)


def _panels(rows: list[style.Row]) -> dict[str, list[style.Row]]:
    """Title -> rows: the models that have one row each together, the others apart."""
    found = style.groups(rows, "model", "dataset")
    alone = {key: same for key, same in found.items() if len(same) == 1}
    if len(alone) < 2:
        alone = {}
    profiles = {same[0]["hardware"] for same in alone.values()}
    title = f"all on {next(iter(profiles))}" if len(profiles) == 1 else "one profile each"
    together = {title: [same[0] for same in alone.values()]} if alone else {}
    return together | {f"{key[0]}, {key[1]}": same for key, same in found.items() if key not in alone}


def _panel(axis: Axes, rows: list[style.Row]) -> None:
    for y, row in enumerate(rows):
        shade = style.shade(row, models.look(row["model"])[0])
        mac_speedup, speedup = row["mac_speedup"], row["speedup"]
        share = f" {100 * speedup / mac_speedup:.0f}%"
        axis.text(1, y, share, color=shade, ha="left", va="center", transform=axis.get_yaxis_transform())
        axis.plot([mac_speedup, speedup], [y, y], color="#D5D5D5", linewidth=2.5, zorder=2)
        # A bar taller than the dot: both are visible where they agree.
        axis.plot([mac_speedup], [y], "|", color=shade, markersize=9, markeredgewidth=1.6, zorder=3)
        interval = [[max(0, speedup - row["speedup_lo"])], [max(0, row["speedup_hi"] - speedup)]]
        axis.errorbar([speedup], [y], xerr=interval, fmt=".", color=shade, zorder=4)
    several = [name for name in ("model", "fingerprint") if len(style.groups(rows, name)) > 1]
    labels = [_label(row, several) for row in rows]
    axis.set_yticks(range(len(labels)), labels)
    axis.set_ylim(len(labels) - 0.4, -0.6)
    axis.axvline(1, color=style.INK, linewidth=0.8, linestyle=(0, (4, 2)), zorder=1)
    axis.grid(visible=False, axis="y")


def _label(row: style.Row, several: list[str]) -> str:
    """What distinguishes a row: its attack, profile, choices that differ in the panel, and batch."""
    attack = [] if row["workload"] == "clean" else [row["workload"]]
    batches = [f"batches of {row['batch']:.0f}"] if row.get("scenario") == "offline" else []
    names = [str(row[name]) for name in several if row[name]]
    return ", ".join([*attack, *(names if "model" in several else [row["hardware"], *names]), *batches])


if __name__ == "__main__":
    figure_main("realized", draw)
