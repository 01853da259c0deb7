"""`exitbench leaderboard`: records in, one table out as CSV, Markdown and text."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def run(arguments: argparse.Namespace) -> int:
    """Write and print the leaderboard; with --validate only compare the one that is there.

    A filtered table is printed, and written only where --out names a file of its own.
    """
    from benchmark import leaderboard, record

    records, problems = record.read_all([Path(folder) for folder in arguments.records])
    for problem in problems:
        print(f"exitbench: left out: {problem}", file=sys.stderr)
    out = Path(arguments.out)
    if arguments.validate:
        differences = leaderboard.validate(out, records)
        print("\n".join(differences) or f"{out}: every figure follows from its {len(records)} records")
        return 1 if differences else 0
    table = leaderboard.where(leaderboard.frame(records), arguments.where)
    print(leaderboard.render(table))
    if not arguments.where or arguments.out != DEFAULT_OUT:
        paths = leaderboard.write(table, out)
        print(f"wrote {', '.join(map(str, paths))} from {len(records)} records")
    return 0


DEFAULT_OUT = "results/leaderboard.csv"
