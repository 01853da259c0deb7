"""`exitbench plots`: draw every figure from records."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def run(arguments: argparse.Namespace) -> int:
    """Draw all figures that the records have data for, and print the file names."""
    from benchmark.utils.project_root import project_root

    # The figures are scripts beside the package, in a clone and in a wheel alike.
    sys.path.insert(0, str(project_root()))
    from plots.all import draw_all

    paths = draw_all([Path(folder) for folder in arguments.records], Path(arguments.out), arguments.paper)
    print("\n".join(map(str, paths)) or "no figure: no records to draw from")
    return 0
