"""The stopwatch held against work that is known: the same twice, and one thing against half of it."""

from __future__ import annotations

from collections.abc import Callable

import torch

from benchmark.hardware.profiles import applied
from benchmark.timing.stopwatch import Limits, measure
from benchmark.timing.timed_section import host_lock
from benchmark.types import Hardware, Latency

UNITS = 12
LIMITS = Limits(time_limit_s=20, min_passes=5, max_passes=40)


def time_known_work(limits: Limits = LIMITS, width: int = 256) -> list[tuple[str, float, Latency]]:
    """(what, true ratio, what the stopwatch says) for A against A and for A against half of it, on one thread.

    The work is chained products of matrices of `width` into two buffers made before: 64 of them are A. Fresh memory
    would cost both kinds of work the same page faults, and half of A would not be half. Takes at most twice the limit.
    """
    matrix = torch.linalg.qr(torch.randn(width, width, generator=torch.Generator().manual_seed(0))).Q  # keeps its size
    buffers = [matrix.clone(), matrix.clone()]

    def chain(length: int) -> Callable[[int], tuple[int, int]]:
        def work(unit: int) -> tuple[int, int]:
            for step in range(length):
                torch.mm(buffers[step % 2], matrix, out=buffers[1 - step % 2])
            return 0, 1

        return work

    found = []
    hardware = Hardware("doctor", "cpu", "float32", 1)
    with applied(hardware), host_lock(), torch.inference_mode():
        for what, length, truth in (("A / A", 64, 1.0), ("A / half of A", 32, 2.0)):
            measured = measure(chain(64), chain(length), range(UNITS), read=lambda answer: answer, limits=limits)
            found.append((what, truth, measured))
    return found


def format_table(found: list[tuple[str, float, Latency]]) -> list[str]:
    """A small table of what was recovered."""
    rows = [f"  {'work':<16}{'true':>6}{'found':>8}{'95% interval':>18}{'off':>8}{'wall':>8}{'rounds':>8}"]
    for what, truth, measured in found:
        interval = f"[{measured.speedup_lo:.3f}, {measured.speedup_hi:.3f}]"
        off = f"{measured.speedup / truth - 1:+.1%}"
        doubts = f"  {'; '.join(measured.unreliable)}" if measured.unreliable else ""
        rows.append(
            f"  {what:<16}{truth:>6.2f}{measured.speedup:>8.3f}{interval:>18}{off:>8}{measured.speedup_wall:>8.3f}"
            f"{measured.rounds:>8}{doubts}"
        )
    return rows
