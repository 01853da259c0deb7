"""Exit histogram: the share of samples at each exit, clean beside attacked, with the mean depth.

    python plots/exit_histogram.py --leaderboard results/leaderboard.csv --out plots/out

One panel per model, dataset and policy; one row of each workload is drawn, as hardware does not move exits:
clean and the first four attacks, in the order of `attacked.ORDER`. Of an attack at several budgets the widest is drawn,
and the legend says how wide it is where all panels agree.
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from plots import attacked, style
from plots.command import figure_main

MAX_PANELS = 8
MAX_WORKLOADS = 5  # clean and four attacks: more bars cannot be distinguished
SINGLE_EXIT_RULES = ("never", "always_first")  # all samples exit at one exit


@style.styled
def draw(frame: pd.DataFrame) -> Figure:
    """From rows with an exit_histogram; `ok` rows are preferred to `unreliable` ones."""
    rows = [row for row in style.rows_with(frame, "exit_histogram") if row["policy"] not in SINGLE_EXIT_RULES]
    if not rows:
        raise style.NothingToDraw("needs rows of a rule that leaves at more than one exit")
    rows.sort(key=lambda row: row["status"] != "ok")
    rows = [row for row in rows if row["workload"] == "clean"] + attacked.widest(
        row for row in rows if row["workload"] != "clean"
    )
    looks = _colours([row["workload"] for row in rows])
    rows = [row for row in rows if row["workload"] in looks]
    groups = style.groups(rows, "model", "dataset", "policy")
    groups = {names: style.one_slice(group, "workload") for names, group in groups.items()}
    # If there are too many, those with the most workloads to compare.
    ranked = sorted(groups.items(), key=lambda group: -_workloads(group[1]))
    shown = sorted(style.first_panels("exit_histogram", ranked, MAX_PANELS))
    columns = 1 if len(shown) < 4 else 2
    figure, axes = style.panels(len(shown), height_mm=38 if columns == 1 else 34, columns=columns)
    for axis, (names, group) in zip(axes, shown, strict=True):
        _panel(axis, {row["workload"]: row for row in reversed(group)}, looks)
        model, dataset, policy = names
        axis.set_title(f"{model}, {dataset}, {policy}" if columns == 1 else f"{model}\n{policy}", pad=9)
    style.outer_labels(axes, columns, "Exit depth (exits)", "Samples (%)")
    drawn = [row for _, group in shown for row in group]
    shared = {attacked.budget(row) for row in drawn if row["workload"] != "clean"}
    one = shared.pop() if len(shared) == 1 else ""
    names = {workload: workload if one else _named(workload, drawn) for workload in looks}
    keys: list = [Patch(facecolor=colour, label=names[workload]) for workload, colour in looks.items()]
    keys.append(style.key("mean depth", marker="v"))
    keys += [style.key(f"attacks: {one}")] if one else []
    style.legend(figure, keys, columns=2 if any(len(key.get_label()) > 18 for key in keys) else 3)
    return figure


def _workloads(rows: list[style.Row]) -> int:
    return len({row["workload"] for row in rows})


def _named(workload: str, rows: Iterable[style.Row]) -> str:
    """A workload with its budget, if all rows share one."""
    budgets = {attacked.budget(row) for row in rows if row["workload"] == workload and workload != "clean"}
    said = budgets.pop() if len(budgets) == 1 else ""
    return f"{workload}, {said}" if said else workload


def _colours(workloads: Iterable[str]) -> dict[str, str]:
    """Clean first and blue; the first attacks in the palette's other colours."""
    names = sorted(set(workloads) | {"clean"}, key=lambda name: (name != "clean", attacked.rank(name)))
    colours = dict(zip(names, style.COLOURS[:MAX_WORKLOADS], strict=False))
    return {name: colour for name, colour in colours.items() if name in set(workloads)}


def _panel(axis: Axes, rows: dict[str, style.Row], looks: dict[str, str]) -> None:
    shown = [name for name in looks if name in rows]
    width = 0.8 / len(shown)
    for position, workload in enumerate(shown):
        row, offset = rows[workload], (position - (len(shown) - 1) / 2) * width
        histogram, mean = row["exit_histogram"], row["mean_exit_depth"]
        positions = [depth + offset for depth in range(1, len(histogram) + 1)]
        axis.bar(positions, [count / sum(histogram) for count in histogram], width * 0.92, color=looks[workload])
        # The mark stands above the panel, where no bar can hide it.
        above = axis.get_xaxis_transform()
        axis.plot([mean], [1.04], "v", color=looks[workload], clip_on=False, transform=above)
        axis.axvline(mean, color=looks[workload], linewidth=0.8, linestyle=(0, (2, 2)), zorder=0.5)
    axis.set_xlim(0.4, max(len(row["exit_histogram"]) for row in rows.values()) + 0.6)
    axis.set_ylim(0, 1)
    axis.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    axis.grid(visible=False, axis="x")
    style.percent(axis.yaxis)


if __name__ == "__main__":
    figure_main("exit_histogram", draw)
