"""Overhead of early exit when no sample exits, and the realized speed-up. One thread, batch 1.

`exitbench bench live_overhead models=dvt_fashion,minilm_exits samples=24 seconds=20`. never / plain: the live path
with `policy=never` against a straight loop over the same stages and heads, without generator and rule; asking / plain:
with the model's default rule at a threshold that nothing reaches. realized: that rule at its own threshold, speed-up of
the samples timed over their MAC speed-up. CPU clock, interleaved, within one process, so that
intervals do not contain the variance between processes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from benchmark.benches.support.setup import CPU, load_family, parse_options
from benchmark.engine.execute import run_early, run_full
from benchmark.hardware.profiles import applied
from benchmark.policies.base import ThresholdPolicy
from benchmark.policies.never import Never
from benchmark.timing.stopwatch import Limits, measure, read_one
from benchmark.timing.timed_section import host_lock
from benchmark.types import Batch, Latency

DEFAULTS = {"models": "dvt_fashion,minilm_exits", "samples": 24, "seconds": 20}


def main(arguments: list[str]) -> int:
    """Print a row per model.

    Raises:
        ExitbenchError: an argument that is not one of DEFAULTS; a model that is not there.
    """
    options = parse_options("live_overhead", DEFAULTS, arguments)
    limits = Limits(time_limit_s=options["seconds"], min_passes=3)
    rows = []
    for name in options["models"].split(","):
        one = load_family(name, options["samples"])
        clock: Callable[..., Latency] = partial(measure, units=one.batches, read=read_one, limits=limits)
        full, plain = partial(run_full, one.model), partial(_plain, one.model)
        with applied(CPU), host_lock():
            never = clock(plain, partial(run_early, one.model, Never()))
            asking = clock(plain, partial(run_early, one.model, _unreached(one.policy)))
            early = clock(full, partial(run_early, one.model, one.policy))
        rows.append((name, never, asking, early, one.mac_speedup))
    print(
        f"{'model':16}{'never / plain':>14}{'interval':>16}{'asking / plain':>16}{'interval':>16}"
        f"{'MAC×':>7}{'time×':>7}{'realized':>10}{'interval':>14}"
    )
    for name, never, asking, early, promise in rows:
        confirmed = f"[{early.speedup_lo / promise:.2f}, {early.speedup_hi / promise:.2f}]"
        print(
            f"{name:16}{1 / never.speedup - 1:>+14.1%}{_extra(never):>16}{1 / asking.speedup - 1:>+16.1%}"
            f"{_extra(asking):>16}{promise:>7.2f}{early.speedup:>7.2f}{early.speedup / promise:>10.2f}{confirmed:>14}"
        )
        for what, measured in (("never", never), ("asking", asking), ("early", early)):
            if measured.unreliable:
                print(f"  {what}: {'; '.join(measured.unreliable)}")
    return 0


def _unreached(policy: ThresholdPolicy) -> ThresholdPolicy:
    return policy.at(math.inf if policy.rising else -math.inf)


def _extra(measured: Latency) -> str:
    return f"[{1 / measured.speedup_hi - 1:+.1%}, {1 / measured.speedup_lo - 1:+.1%}]"


@torch.inference_mode()
def _plain(model: Any, batch: Batch) -> torch.Tensor:
    """All stages and heads in sequence, as a network without early exit would run them."""
    running, logits = model.begin(batch), None
    for depth in range(1, model.num_exits + 1):
        logits, running = model.stage(running, depth)
    assert logits is not None
    return logits
