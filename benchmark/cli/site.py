"""`exitbench site`: the leaderboard as a static web site, made from records alone."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path


def run(arguments: argparse.Namespace) -> int:
    """Write the site and say how large it is."""
    from benchmark.records.site.build import build
    from benchmark.utils.progress import track

    def watched(files: Sequence[Path]) -> Iterable[Path]:
        return track(files, "records", unit="record")

    built = build([Path(folder) for folder in arguments.records], Path(arguments.out), watched)
    for problem in built.problems:
        print(f"exitbench: left out: {problem}", file=sys.stderr)
    print(f"wrote {arguments.out}/index.html: {built.records} records, {built.files} files, {built.size / 1e6:.1f} MB")
    return 0
