"""Time of `exitbench leaderboard` over 10,000 records of real size, in a fresh process, without torch.

`exitbench bench leaderboard_speed records=10000 runs=3 seconds=5 folder=results/demo/records`. The records of `folder`
are written again and again into a temporary folder, under new ids and seeds and with true hashes, raw timings and all,
so that they are as many bytes as a real sweep leaves (some 150 kB a record) and every attacked one has its clean twin.
Exit code 1 where the median run is above `seconds`, or where torch was loaded. Files lie in the page cache.
"""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmark.benches.support.setup import parse_options
from benchmark.records.record import record_id
from benchmark.records.seal import opened, sealed
from benchmark.types import ExitbenchError
from benchmark.utils.project_root import project_root

DEFAULTS = {"records": 10_000, "runs": 3, "seconds": 5.0, "folder": "results/demo/records"}
# What the fresh process does: the command itself, then a word about what it loaded.
COMMAND = """import sys
from benchmark.cli.main import main
code = main(sys.argv[1:])
sys.exit(3 if "torch" in sys.modules else code)"""


def main(arguments: list[str]) -> int:
    """Print how long each run took, and their median.

    Raises:
        ExitbenchError: an argument that is not one of DEFAULTS; a folder without records.
    """
    options = parse_options("leaderboard_speed", DEFAULTS, arguments)
    with tempfile.TemporaryDirectory(prefix="exitbench-speed-") as name:
        folder = Path(name) / "records"
        size = copies(_found(options["folder"]), options["records"], folder)
        print(f"{options['records']} records, {size / 1e6:.0f} MB")
        words = ["leaderboard", "--records", str(folder), "--out", str(Path(name) / "leaderboard.csv")]
        taken = [_timed([sys.executable, "-c", COMMAND, *words]) for _ in range(options["runs"])]
    median = statistics.median(taken)
    print(f"runs {', '.join(f'{one:.2f}' for one in taken)} s; median {median:.2f} s, wanted {options['seconds']:g} s")
    return 0 if median <= options["seconds"] else 1


def _found(folder: str) -> list[Path]:
    """The records to copy, of a folder here or in the clone."""
    paths = sorted(Path(folder).glob("*.json")) or sorted((project_root() / folder).glob("*.json"))
    if not paths:
        raise ExitbenchError(f"bench leaderboard_speed: expected records in folder={folder}, got none; run in a clone")
    return paths


def copies(originals: list[Path], count: int, folder: Path) -> int:
    """Write `count` copies of some originals with ids and seeds of their own; returns their bytes."""
    folder.mkdir(parents=True)
    bodies = [path.read_bytes().partition(b"\n")[2] for path in originals]
    size, content = 0, b""
    for number in range(count):
        body, seed = bodies[number % len(bodies)], number // len(bodies)
        name = record_id({"original": originals[number % len(bodies)].stem, "seed": seed})
        body = re.sub(rb'(\n "record_id": )"\w+"', rb'\1"' + name.encode() + b'"', body, count=1)
        body = re.sub(rb'(\n "seeds": \{"slice": )\d+', rb"\g<1>" + str(seed).encode(), body, count=1)
        content = sealed(body)
        size += len(content)
        (folder / f"{name}.json").write_bytes(content)
    json.loads(opened(content).text)  # a check on the last one: it is still a record
    return size


def _timed(command: list[str]) -> float:
    started = time.perf_counter()
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    taken = time.perf_counter() - started
    if done.returncode:
        loaded = "it loaded torch" if done.returncode == 3 else done.stderr.strip() or f"exit code {done.returncode}"
        raise ExitbenchError(f"bench leaderboard_speed: the leaderboard did not come out: {loaded}")
    return taken
