"""`exitbench leaderboard`: turn records into one table, as CSV, Markdown and text."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.types import ExitbenchError

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_OUT = "results/leaderboard.csv"


def run(arguments: argparse.Namespace) -> int:
    """Write and print the leaderboard; with --validate, recompute an existing one (with the same --where) and compare.

    A filtered leaderboard is printed, and written only where --out names a file. With --table, a table derived from
    the leaderboard is printed and written instead.
    """
    from benchmark.records import data_package, leaderboard, record, rendering
    from benchmark.records.gather import no_collecting

    if arguments.table and arguments.validate:
        raise ExitbenchError("leaderboard: expected --table or --validate, got both; only the leaderboard is validated")
    folders = [Path(folder) for folder in arguments.records]
    out = Path(arguments.out or DEFAULT_OUT)
    if arguments.validate:
        differences, count = leaderboard.validate_folders(
            out, folders, lambda table: leaderboard.where(table, arguments.where)
        )
        print("\n".join(differences) or f"{out}: every figure follows from its {count} records")
        return 1 if differences else 0
    # The leaderboard needs a tenth of each record; a table may need all of it.
    with no_collecting():
        records, problems = record.read_all(folders, lean=not arguments.table)
        table = leaderboard.where(leaderboard.frame(records), arguments.where)
    for problem in problems:
        print(f"exitbench: left out: {problem}", file=sys.stderr)
    if arguments.table:
        paths = _derived(arguments.table, table, arguments.out)
    else:
        parts = rendering.parts(table)
        print(leaderboard.render(table, parts))
        paths = []
        if arguments.out or not arguments.where:
            paths = [*leaderboard.write(table, out, parts), *data_package.write(table, out)]
    if paths:
        print(f"wrote {', '.join(map(str, paths))} from {len(table)} records")
    return 0


def _derived(name: str, frame: pd.DataFrame, out: str) -> list[Path]:
    from benchmark.records import derived_tables

    table, spelling = derived_tables.derive(name, frame)
    print(derived_tables.render(table, spelling))
    return derived_tables.write(table, spelling, Path(out or f"results/{name}.csv"))
