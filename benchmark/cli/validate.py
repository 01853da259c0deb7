"""`exitbench validate`: compose every choice and every sweep, and report what is wrong with each."""

from __future__ import annotations

import argparse

from benchmark.config.choices import roots
from benchmark.utils.progress import track


def run(arguments: argparse.Namespace) -> int:
    """Print a line for each fault and return 1; or print how much composes and return 0.

    Nothing heavy is built: no weights, no data. Whether the files that a yaml names are here, `exitbench ls` shows.

    Raises:
        ExitbenchError: a folder of own choices that does not exist.
    """
    folders = roots(arguments.config_dir)
    from benchmark.config.validation import validate

    report = validate(folders, arguments.config_dir, track)
    print("\n".join(report.faults) or f"{report.yamls} yamls compose, {report.points} sweep points among them")
    if report.faults:
        print(f"{len(report.faults)} faults in {report.yamls} yamls")
    return 1 if report.faults else 0
