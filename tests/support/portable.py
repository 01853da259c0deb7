"""Run the tests that decide, trace or time as other processors would: `python tests/support/portable.py [--quick]`.

Rounding differs between processors, because vector widths and kernels do. Torch, oneDNN and our own C++ kernels can be
told to use less than this processor has; two thread counts split sums differently. The four settings are combined
pairwise: five runs contain every pair of values of any two settings (a covering array of strength 2), where the full
product would take sixteen. --quick runs the two combinations that differ in all four on a few folders.

Prints a line for each combination and the failed tests below it; exit code 1 if any combination fails. Further
arguments are paths of tests in place of the usual ones.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SETTINGS = {
    "ATEN_CPU_CAPABILITY": ("default", "avx2"),
    "ONEDNN_MAX_CPU_ISA": ("SSE41", "AVX2"),
    "OMP_NUM_THREADS": ("1", "2"),
}
PAIRWISE = ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0))
OPPOSITE = ((0, 0, 0), (1, 1, 1))
FOLDERS = ("tests/policies", "tests/run", "tests/engine", "tests/timing", "tests/models", "tests/attacks", "tests/cost",
           "tests/training", "tests/benches", "tests/test_api.py")  # fmt: skip
QUICK_FOLDERS = ("tests/policies", "tests/engine/test_execute.py", "tests/engine/test_offline.py",
                 "tests/run/test_trace.py", "tests/run/test_precision.py", "tests/timing/test_audit.py")  # fmt: skip
KEPT = (
    "assets",
    "decoded",
)  # what was fetched; cached traces would hide this combination's own


@dataclass(frozen=True)
class Outcome:
    """Counts of one combination. error: why pytest gave no counts, or what it printed without a failed test."""

    passed: int
    failed: tuple[str, ...]
    skipped: int
    error: str = ""

    @property
    def green(self) -> bool:
        """Whether tests ran and none failed."""
        return bool(self.passed) and not self.failed and not self.error


def combinations(levels: Sequence[Sequence[int]]) -> list[dict[str, str]]:
    """Environment variables of each combination."""
    return [
        {name: values[level] for (name, values), level in zip(SETTINGS.items(), row, strict=True)} for row in levels
    ]


def run(environment: dict[str, str], paths: Sequence[str], folder: Path) -> Outcome:
    """pytest on some paths under additional environment variables; folder: for its report and a cache of its own."""
    report = folder / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *paths]
    surroundings = {**os.environ, **environment, "EXITBENCH_CACHE": str(cache_in(folder))}
    answer = subprocess.run(command, cwd=ROOT, env=surroundings, capture_output=True, text=True, check=False)
    return read(report, answer.returncode, answer.stdout + answer.stderr)


def cache_in(folder: Path) -> Path:
    """A new cache with this user's fetched files and nothing that was computed."""
    from benchmark.utils.cache import cache_dir

    cache = folder / "cache"
    cache.mkdir()
    for name in KEPT:
        if (cache_dir() / name).is_dir():
            (cache / name).symlink_to(cache_dir() / name, target_is_directory=True)
    return cache


def read(report: Path, status: int, output: str) -> Outcome:
    """Counts from pytest's JUnit report; an exit status other than 0 and 1 is an error, and so is a missing report."""
    tail = "\n".join(output.strip().splitlines()[-15:])
    try:
        cases = list(ElementTree.parse(report).getroot().iter("testcase"))
    except (OSError, ElementTree.ParseError):
        return Outcome(0, (), 0, tail or f"pytest ended with status {status}")
    failed = tuple(
        f"{case.get('classname')}::{case.get('name')}"
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    )
    skipped = sum(case.find("skipped") is not None for case in cases)
    strange = status not in (0, 1) or (status == 1 and not failed)
    return Outcome(len(cases) - len(failed) - skipped, failed, skipped, tail if strange else "")


def line(environment: dict[str, str], outcome: Outcome, seconds: float) -> str:
    """One combination's line, with its failed tests below."""
    asked = " ".join(f"{name}={value}" for name, value in environment.items())
    counts = f"{outcome.passed} passed, {len(outcome.failed)} failed, {outcome.skipped} skipped in {seconds:.0f} s"
    below = [f"    {name}" for name in outcome.failed] + [f"    {text}" for text in outcome.error.splitlines()]
    return "\n".join([f"{'ok ' if outcome.green else 'RED'} {asked}: {counts}", *below])


def main(arguments: Sequence[str]) -> int:
    """Run all combinations; 1 where one is red."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="two opposite combinations and a few folders")
    parser.add_argument("paths", nargs="*", help="tests in place of the usual ones")
    chosen = parser.parse_args(arguments)
    paths = chosen.paths or (QUICK_FOLDERS if chosen.quick else FOLDERS)
    green = True
    for environment in combinations(OPPOSITE if chosen.quick else PAIRWISE):
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="portable-") as name:
            outcome = run(environment, paths, Path(name))
        green &= outcome.green
        print(line(environment, outcome, time.monotonic() - started), flush=True)
    return 0 if green else 1


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main(sys.argv[1:]))
