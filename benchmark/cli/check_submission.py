"""`exitbench check-submission`: whether a folder of records and a card can go on the board."""

from __future__ import annotations

import argparse
from pathlib import Path


def run(arguments: argparse.Namespace) -> int:
    """Print one line for each finding; exit code 1 where one of them is an error."""
    from benchmark.records.submission import check

    findings, count = check(Path(arguments.folder))
    for finding in findings:
        print(finding)
    errors = sum(finding.level == "error" for finding in findings)
    print(f"{arguments.folder}: {count} records, {errors} errors, {len(findings) - errors} notes")
    return 1 if errors else 0
