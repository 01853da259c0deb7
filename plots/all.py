"""All figures at once.

python plots/all.py --leaderboard results/leaderboard.csv --out plots/out
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from benchmark.records import leaderboard, record
from plots import (
    accuracy_gmacs,
    attack_examples,
    budget_curve,
    caption,
    easy_hard,
    exit_histogram,
    exit_rules,
    gain_lost_bars,
    gain_lost_budget,
    latency_accuracy,
    realized,
    reliability,
)
from plots.style import Draw, NothingToDraw, save

FIGURES: dict[str, Draw] = {
    "accuracy_gmacs": accuracy_gmacs.draw,
    "attack_examples": attack_examples.draw,
    "budget_curve": budget_curve.draw,
    "easy_hard": easy_hard.draw,
    "exit_histogram": exit_histogram.draw,
    "exit_rules": exit_rules.draw,
    "gain_lost_bars": gain_lost_bars.draw,
    "gain_lost_budget": gain_lost_budget.draw,
    "latency_accuracy": latency_accuracy.draw,
    "realized": realized.draw,
    "reliability": reliability.draw,
}


def _report(line: str) -> None:
    print(line, file=sys.stderr)


def draw_all(
    folders: Sequence[Path], out: Path, paper: bool = False, where: str = "", report: Callable[[str], None] = _report
) -> list[Path]:
    """Draw every figure from the records in some folders; returns the files written: PNG, PDF and a caption of each.

    `report` gets one line for each record left out and each figure skipped for lack of rows.
    Raises ExitbenchError for a missing folder, a bad `where`, and an `out` that cannot be written.
    """
    records, problems = record.read_all(folders)
    for problem in problems:
        report(f"left out: {problem}")
    words = ["exitbench", "plots", "--records", *map(str, folders), "--out", str(out), *(["--paper"] if paper else [])]
    frame = leaderboard.where(leaderboard.frame(records), where)
    return draw_frame(frame, out, paper, report, shlex.join(words))


def draw_frame(
    frame: pd.DataFrame,
    out: Path,
    paper: bool = False,
    report: Callable[[str], None] = _report,
    command: str = "",
) -> list[Path]:
    """The same from a leaderboard's frame. command: for the captions."""
    paths = []
    for name, draw in FIGURES.items():
        try:
            paths += save(draw(frame, paper=paper), name, out, list(frame["record_id"]), paper)
            description = sys.modules[draw.__module__].__doc__ or ""
            paths.append(caption.write(name, description, frame, command, out))
        except NothingToDraw as lack:
            report(f"{name} skipped: {lack}")
    return paths
