"""CPU time of a sweep over eight rules, or eight profiles, of one attacked model, relative to one combination.

    exitbench bench shared_work [model=minilm_exits] [workload=same] [limit=100] [ratio=1.3] [sweeps=rules,profiles]

One combination runs alone with a cache that has data and weights but no trace and no attack. Then each sweep of eight
runs with another such cache. The records are untimed, so the comparison covers traces, attacks and their surroundings:
interpreters, imports, loading weights, writing records. The attack targets the model's own rule, so all eight share it.
Seconds are those of all processes that a command starts. Exit code 1 where a sweep costs more than `ratio` times the
CPU time of the single combination.
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
# Eight combinations each: rules that every model supports, and profiles that every processor has. Profiles with other
# arithmetic (bfloat16, int8) are left out, because they need their own traces.
SWEEPS = {
    "rules": ["policy=confidence,entropy,entropy_normalised,patience,vote,pcee,always_first,never"],
    "profiles": ["hardware=cpu_1t,cpu_all", "scenario=offline", "offline.batch=4,8,16,32"],
}
DATA = ("assets", "decoded", "tables")  # folders of the cache with fetched data and what is decoded from it
SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of Linux: orphaned processes become children of this one


class Seconds(NamedTuple):
    """CPU and wall-clock seconds of a command and all processes it started."""

    cpu: float
    wall: float


def main(arguments: list[str]) -> int:
    """Print the seconds of each sweep, and their ratio to one combination.

    Raises:
        ExitbenchError: an argument that is not one of DEFAULTS; a command that failed; another system than Linux, which
            alone counts the seconds of processes that outlive their parent.
    """
    settings = parse_options("shared_work", DEFAULTS, arguments)
    names = str(settings["sweeps"]).split(",")
    if unknown := set(names) - set(SWEEPS):
        raise ExitbenchError(f"bench shared_work: expected sweeps of {', '.join(SWEEPS)}, got {', '.join(unknown)}")
    choices = [f"model={settings['model']}", f"workload={settings['workload']}", "timing.samples=0"]
    combination = [*choices, f"workload.source_policy={_own_rule(settings['model'])}", f"limit={settings['limit']}"]
    seconds: dict[str, Seconds] = {}
    with tempfile.TemporaryDirectory(prefix="exitbench-shared-") as folder:
        # The first command fetches what is missing and is not counted.
        commands = {"warm": [*choices, "workload=clean", "limit=1"], "one": combination}
        commands |= {name: ["-m", *combination, *SWEEPS[name]] for name in names}
        for name in (bar := track(commands, "shared work", unit="command")):
            bar.set_postfix_str(name)
            seconds[name] = _run(commands[name], Path(folder) / name)
    one = seconds["one"]
    measured = f"{settings['model']}, {settings['workload']}, {settings['limit']} samples"
    print(f"{measured}; seconds of CPU and of the clock, ratios")
    print(f"{'one combination':17} {one.cpu:8.1f} {one.wall:8.1f}")
    for name in names:
        cpu, wall = seconds[name]
        print(f"{f'eight {name}':17} {cpu:8.1f} {wall:8.1f} {cpu / one.cpu:8.2f} {wall / one.wall:6.2f}")
    return 0 if all(seconds[name].cpu <= settings["ratio"] * one.cpu for name in names) else 1


def _own_rule(model: str) -> str:
    """The exit rule that a model's yaml selects."""
    from benchmark.config.compose import compose

    return str(compose("config", [f"model={model}"], return_hydra_config=True).hydra.runtime.choices["policy"])


def _run(overrides: list[str], folder: Path) -> Seconds:
    """One `exitbench run` with its own cache, in a new interpreter."""
    cache = folder / "cache"
    cache.mkdir(parents=True)
    for name in DATA:
        (cache_dir() / name).mkdir(parents=True, exist_ok=True)
        (cache / name).symlink_to((cache_dir() / name).resolve())
    command = [
        sys.executable,
        "-m",
        "benchmark.cli",
        "run",
        *overrides,
        f"records={folder / 'records'}",
        f"cache={cache}",
    ]
    return seconds_of(command)


def seconds_of(command: list[str]) -> Seconds:
    """Seconds of a command and of the processes that outlive it, such as the server that forks combinations.

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
        while children := [child.pid for child in psutil.Process().children() if child.pid not in others]:
            os.waitpid(children[0], 0)
    finally:
        ctypes.CDLL(None).prctl(SUBREAPER, 0, 0, 0, 0)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise ExitbenchError(f"bench shared_work: {' '.join(command[3:])} failed: {lines[-1]}")
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return Seconds(used, wall)
