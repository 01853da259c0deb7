"""A cascade with early exit beside its static twin, the last grid alone: interleaved, in one process, one thread.

`exitbench bench static_twin models=dvt_fashion,dvt_cifar10 samples=200 seconds=40`. Over the same test samples, on the
CPU clock: time and MACs of the model named `<model>_static` over those of the cascade, once at the model's default rule
and threshold, once at full depth, what its hardest sample costs. Above 1 the cascade is cheaper. The tables of
`+experiment=dvt` hold accuracy, and latencies of two records; this is their ratio measured side by side. Intervals do
not contain the variance between processes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch

from benchmark.benches.support.setup import CPU, Family, load_family, parse_options
from benchmark.config.compose import build, compose
from benchmark.cost.macs import cost
from benchmark.engine.execute import run_early, run_full
from benchmark.hardware.profiles import applied
from benchmark.timing.stopwatch import Limits, measure, read_one
from benchmark.timing.timed_section import host_lock
from benchmark.types import Batch, Latency

DEFAULTS = {"models": "dvt_fashion,dvt_cifar10", "samples": 200, "seconds": 40}


class Row(NamedTuple):
    """One comparison: MACs of the twin over the cascade's, and the same of time, measured."""

    model: str
    depth: str
    macs: float
    time: Latency


def main(arguments: list[str]) -> int:
    """Print two rows per model.

    Raises:
        ExitbenchError: an argument that is not one of DEFAULTS; a model, or its twin, that is not there.
    """
    options = parse_options("static_twin", DEFAULTS, arguments)
    limits = Limits(time_limit_s=options["seconds"], min_passes=3)
    rows: list[Row] = []
    for name in options["models"].split(","):
        with applied(CPU):
            twin = build(compose("config", [f"model={name}_static"]).model).eval()
            rows += _compared(name, load_family(name, options["samples"]), twin, limits)
    print(f"{'model':16}{'depth':>12}{'twin ms':>9}{'ours ms':>9}{'MACs':>7}{'time':>7}{'interval':>16}")
    for name, depth, macs, measured in rows:
        interval = f"[{measured.speedup_lo:.2f}, {measured.speedup_hi:.2f}]"
        twin, ours = _mean(measured.full_cpu_ms), _mean(measured.early_cpu_ms)
        print(f"{name:16}{depth:>12}{twin:9.2f}{ours:9.2f}{macs:7.2f}{measured.speedup:7.2f}{interval:>16}")
        if measured.unreliable:
            print(f"  {'; '.join(measured.unreliable)}")
    return 0


def _compared(name: str, one: Family, twin: Any, limits: Limits) -> list[Row]:
    model, policy = one.model, one.policy
    clock: Callable[..., Latency] = partial(measure, units=one.batches, limits=limits)
    alone = cost(twin, [0]).by_length[0][-1]
    full = cost(model, [0]).by_length[0][-1]
    with host_lock():
        early = clock(partial(run_full, twin), partial(run_early, model, policy), read=read_one)
        deep = clock(partial(run_full, twin), partial(_full_depth, model), read=read_one)
    return [Row(name, "early exit", alone / (full / one.mac_speedup), early), Row(name, "full", alone / full, deep)]


def _full_depth(model: Any, batch: Batch) -> tuple[torch.Tensor, int]:
    return run_full(model, batch), model.num_exits


def _mean(observed: Any) -> float:
    return sum(observed) / len(observed)
