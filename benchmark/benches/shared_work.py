"""What a sweep over eight rules, or eight profiles, of one attacked model costs beside one of its combinations alone.

    exitbench bench shared_work [model=minilm_exits] [workload=same] [limit=100] [ratio=1.3] [sweeps=rules,profiles]

One combination is run by itself in a cache that holds data and weights, but no trace and no attack; then each sweep of
eight, in another such cache. Nothing is timed, so that what is compared is traces, attacks and all that surrounds them:
interpreters, imports, weights loaded, records written. The attack is made against the model's own rule, which all
eight share. Seconds are of all processes started, waited for to the last; exit code 1 where a sweep costs more than
`ratio` times the CPU time of the one.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import psutil

from benchmark.benches.support.setup import parse_options
from benchmark.types import ExitbenchError
from benchmark.utils.cache import cache_dir
from benchmark.utils.progress import track

DEFAULTS = {"model": "minilm_exits", "workload": "same", "limit": 100, "ratio": 1.3, "sweeps": "rules,profiles"}
# Eight combinations each: rules that every model takes, and ways to time on a processor of any number of cores.
# Profiles of other arithmetic (bfloat16, int8) are no part of it: they need traces of their own.
SWEEPS = {
    "rules": ["policy=confidence,entropy,entropy_normalised,patience,vote,pcee,always_first,never"],
    "profiles": ["hardware=cpu_1t,cpu_all", "scenario=offline", "offline.batch=4,8,16,32"],
}
KEPT = ("assets", "decoded", "tables")  # of the cache: what is fetched, and made of that alone
SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of Linux: orphans become this process's children


class Spent(NamedTuple):
    """Seconds of a command and all processes it started."""

    cpu: float
    wall: float


def main(arguments: list[str]) -> int:
    """Print what each sweep cost, and its ratio to one combination.

    Raises:
        ExitbenchError: an argument that is not one of DEFAULTS; a command that failed; no Linux, which alone counts
            the seconds of processes that outlive their parent.
    """
    asked = parse_options("shared_work", DEFAULTS, arguments)
    names = str(asked["sweeps"]).split(",")
    if unknown := set(names) - set(SWEEPS):
        raise ExitbenchError(f"bench shared_work: expected sweeps of {', '.join(SWEEPS)}, got {', '.join(unknown)}")
    choices = [f"model={asked['model']}", f"workload={asked['workload']}", "timing.samples=0"]
    ours = [*choices, f"workload.source_policy={_own_rule(asked['model'])}", f"limit={asked['limit']}"]
    spent: dict[str, Spent] = {}
    with tempfile.TemporaryDirectory(prefix="exitbench-shared-") as folder:
        # The first fetches what is missing, and is not counted.
        commands = {"warm": [*choices, "workload=clean", "limit=1"], "one": ours}
        commands |= {name: ["-m", *ours, *SWEEPS[name]] for name in names}
        for name in (bar := track(commands, "shared work", unit="command")):
            bar.set_postfix_str(name)
            spent[name] = _run(commands[name], Path(folder) / name)
    one = spent["one"]
    print(f"{asked['model']}, {asked['workload']}, {asked['limit']} samples; seconds of CPU and of the clock, ratios")
    print(f"{'one combination':17} {one.cpu:8.1f} {one.wall:8.1f}")
    for name in names:
        cpu, wall = spent[name]
        print(f"{f'eight {name}':17} {cpu:8.1f} {wall:8.1f} {cpu / one.cpu:8.2f} {wall / one.wall:6.2f}")
    return 0 if all(spent[name].cpu <= asked["ratio"] * one.cpu for name in names) else 1


def _own_rule(model: str) -> str:
    """The exit rule that comes with a model."""
    from benchmark.config.compose import compose

    return str(compose("config", [f"model={model}"], return_hydra_config=True).hydra.runtime.choices["policy"])


def _run(words: list[str], place: Path) -> Spent:
    """One `exitbench run` with a cache of its own, in a fresh interpreter."""
    cache = place / "cache"
    cache.mkdir(parents=True)
    for kept in KEPT:
        (cache_dir() / kept).mkdir(parents=True, exist_ok=True)
        (cache / kept).symlink_to((cache_dir() / kept).resolve())
    command = [sys.executable, "-m", "benchmark.cli", "run", *words, f"records={place / 'records'}", f"cache={cache}"]
    return spent_by(command)


def spent_by(command: list[str]) -> Spent:
    """Seconds of a command, and of what it left behind, such as the server that forks combinations.

    Raises:
        ExitbenchError: the last line of a command that failed; no Linux.
    """
    if sys.platform != "linux" or ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0):
        raise ExitbenchError("bench shared_work: expected Linux, which counts the seconds of all processes")
    others = {child.pid for child in psutil.Process().children()}
    before, began = os.times(), time.perf_counter()
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        wall = time.perf_counter() - began
        while left := [child.pid for child in psutil.Process().children() if child.pid not in others]:
            os.waitpid(left[0], 0)
    finally:
        ctypes.CDLL(None).prctl(SUBREAPER, 0, 0, 0, 0)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise ExitbenchError(f"bench shared_work: {' '.join(command[3:])} failed: {said[-1]}")
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return Spent(used, wall)
