"""`exitbench rerun`: measure a record again and say which of its figures agree."""

from __future__ import annotations

import argparse
from pathlib import Path


def run(arguments: argparse.Namespace) -> int:
    """Print both records' figures side by side; exit code 1 where a deterministic figure or an interval disagrees."""
    from benchmark.records import agreement, record
    from benchmark.sweep.repeat import repeated

    before = record.read(Path(arguments.record))
    after = repeated(before, arguments.config_dir)
    compared = agreement.figures(before, after)
    width = max(len(figure.name) for figure in compared)
    print(f"{'':{width}}  {'record':>28}  {'measured again':>28}")
    for figure in compared:
        verdict = {True: "agrees", False: "DIFFERS", None: "not compared"}[figure.agrees]
        print(f"{figure.name:{width}}  {figure.before:>28}  {figure.after:>28}  {verdict}")
    if before.machine["id"] != after.machine["id"]:
        print(f"timings are of two machines, {before.machine['id']} and {after.machine['id']}, and are not compared")
    differing = agreement.disagreements(compared)
    print(
        f"{before.record_id}: "
        + (f"{len(differing)} figures differ: {', '.join(differing)}" if differing else "agrees")
    )
    return 1 if differing else 0
