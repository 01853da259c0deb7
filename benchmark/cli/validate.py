"""`exitbench validate`: every choice and every sweep composed, and what is wrong with which."""

from __future__ import annotations

import argparse

from benchmark.config.choices import roots
from benchmark.utils.progress import track


def run(arguments: argparse.Namespace) -> int:
    """Print a line for each fault and return 1; or say how much composes and return 0.

    Nothing heavy is built: no weights, no data. A yaml may still name a file that is not here; `exitbench ls` says.

    Raises:
        ExitbenchError: a folder of one's own that is not there.
    """
    folders = roots(arguments.config_dir)
    from benchmark.config.validation import validate

    report = validate(folders, arguments.config_dir, track)
    print("\n".join(report.faults) or f"{report.yamls} yamls compose, {report.points} sweep points among them")
    if report.faults:
        print(f"{len(report.faults)} faults in {report.yamls} yamls")
    return 1 if report.faults else 0
