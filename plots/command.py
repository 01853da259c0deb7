"""Command line of a figure: input leaderboard, filter and output folder."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pandas as pd

from benchmark.records import leaderboard, record
from benchmark.records.leaderboard import ExitbenchError
from plots.style import Draw, save


def load(csv: Path, folder: Path) -> pd.DataFrame:
    """A leaderboard's rows, with the curves of its records where the folder has them."""
    records = record.read_all([folder])[0] if folder.is_dir() else []
    return leaderboard.read_csv(csv, records)


def figure_main(name: str, draw: Draw) -> None:
    """Run one figure's script: `--leaderboard CSV [--records FOLDER] [--where CONDITION] [--paper] [--out FOLDER]`."""
    parser = argparse.ArgumentParser(description=f"Draw {name}.png and {name}.pdf.")
    parser.add_argument("--leaderboard", type=Path, default=Path("results/leaderboard.csv"))
    parser.add_argument("--records", type=Path, help="for curves; default: the folder records beside the leaderboard")
    parser.add_argument("--where", default="", help="rows to draw, such as \"model == 'dvt_fashion'\"")
    parser.add_argument("--paper", action="store_true", help="fonts that sit well beside LaTeX's")
    parser.add_argument("--out", type=Path, default=Path("plots/out"))
    chosen = parser.parse_args()
    try:
        rows = load(chosen.leaderboard, chosen.records or chosen.leaderboard.parent / "records")
        rows = leaderboard.where(rows, chosen.where)
        paths = save(draw(rows, paper=chosen.paper), name, chosen.out, list(rows["record_id"]), chosen.paper)
    except ExitbenchError as error:
        print(f"{name}: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    print(*paths, sep="\n")
