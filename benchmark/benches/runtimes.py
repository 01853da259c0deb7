"""Eager torch, torch.compile and ONNX Runtime: full depth, early exit and static rivals, side by side at batch 1.

    exitbench bench runtimes [models=…] [runtimes=torch,compile,onnxruntime] [samples=48] [seconds=60] [processes=3]
                             [threads=1] [out=results/runtimes]

Each process is a fresh interpreter that does everything on every sample in turns; seconds: of timing, for each model,
over all processes. Static rivals: the first exit that alone scores at least as well on the calibration split, with the
other heads off, and for a cascade the model `<name>_static`. Models without their data or weights are left out, with a
line each. out: a folder for runtimes.csv and runtimes.md; without it they are printed alone.
"""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from benchmark.benches.support import runtime_report
from benchmark.benches.support.runtime_ways import RUNTIMES, Measured, measure
from benchmark.benches.support.setup import parse_options
from benchmark.hardware.machine import fingerprint, noise
from benchmark.records.record import utc_now
from benchmark.types import ExitbenchError

MODELS = "dvt_fashion,dvt_cifar10,timm_fashion,minilm_exits,minilm_learned,minilm_sst2,minilm_rte,minilm_mrpc"
DEFAULTS = {"models": MODELS, "runtimes": ",".join(RUNTIMES), "samples": 48, "seconds": 60, "processes": 3,
            "threads": 1, "out": ""}  # fmt: skip


def main(arguments: list[str]) -> int:
    """Print the table, and write it to the folder `out`.

    Raises:
        ExitbenchError: an argument that is not one of DEFAULTS; an unknown runtime; no model that can be run.
    """
    options = parse_options("runtimes", DEFAULTS, arguments)
    runtimes = options["runtimes"].split(",")
    if unknown := [name for name in runtimes if name not in RUNTIMES]:
        raise ExitbenchError(f"bench runtimes: expected runtimes of {', '.join(RUNTIMES)}, got {unknown[0]!r}")
    if options["processes"] < 2:
        raise ExitbenchError("bench runtimes: expected processes=2 or more, as one says nothing of the next, got 1")
    disturbed, found = noise(), []
    for name in options["models"].split(","):
        print(f"{name} ({', '.join(runtimes)})", file=sys.stderr, flush=True)
        try:
            found += _one(name, runtimes, options)
        except ExitbenchError as error:
            print(f"exitbench: left out {name}: {error}", file=sys.stderr, flush=True)
    if not found:
        raise ExitbenchError("bench runtimes: expected a model that can be run here, got none; the lines above say why")
    print(runtime_report.text(found))
    if options["out"]:
        command = " ".join(["exitbench bench runtimes", *arguments])
        print("\n".join(f"wrote {path}" for path in _write(found, command, disturbed, Path(options["out"]))))
    return 0


def _one(name: str, runtimes: Sequence[str], options: dict[str, Any]) -> list[runtime_report.Row]:
    share = options["seconds"] / options["processes"]
    parts: list[Measured] = []
    for process in range(options["processes"]):
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            asked = name, runtimes, options["samples"], options["threads"], share, process
            parts.append(pool.submit(measure, *asked).result())
    return runtime_report.rows(parts[0].facts, [part.times for part in parts], runtimes, next(iter(RUNTIMES)))


def _write(found: list[runtime_report.Row], command: str, disturbed: Any, folder: Path) -> list[Path]:
    facts = fingerprint()
    about = (
        f"{utc_now()}, {facts['cpu_model']}, {facts['cores_usable']} usable core(s), torch {facts['torch']}, load "
        f"{disturbed['load_1m']}, {disturbed['busy']:.0%} of all cores busy before; {found[0].processes} processes."
    )
    return runtime_report.write(found, command, about, folder)
