"""The 59 points of each way to spend a budget, found on calibration data: what rules, curves and controls share.

All are compared at the same budgets: what the released geometric sweep costs there at each of its points.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from benchmark.policies.calibration import geometric_sweep
from benchmark.policies.calibration.certainty import SIGNALS
from benchmark.policies.calibration.evidence import Evidence, outcomes, read
from benchmark.policies.calibration.solver import solve
from benchmark.types import Trace

PHASE = 2.0  # cycles of a draw per unit of logits


def by_measure(trace: Trace, macs: Tensor, measure: str) -> Evidence:
    """The evidence of a trace by "confidence" or "entropy" (negated: larger is surer)."""
    signal, sign, _ = SIGNALS[measure]
    return read(trace.logits, trace.labels, macs, lambda logits: sign * signal(logits))


def sweep_costs(confident: Evidence) -> list[float]:
    """Mean MACs of the released sweep's 59 points."""
    costs = outcomes(confident, geometric_sweep.sweep(confident)).macs
    return costs.clamp(float(confident.macs[:, 0].mean()), float(confident.macs[:, -1].mean())).tolist()


def draws(logits: Tensor, seed: int) -> Tensor:
    """Exit 1's logits (b, C) -> a draw in [0, 1] for each sample (b,), by its own content.

    A triangle wave of a seeded random projection, PHASE cycles to a unit: logits spread over many cycles, so it is
    even and says nothing of the answer; it has no jumps, and where a sample is run alone it moves by less than what
    the audit calls a tie.
    """
    direction = torch.randn(logits.shape[-1], generator=torch.Generator().manual_seed(seed)).to(logits.device)
    direction = direction - direction.mean()  # a shift of all logits changes no answer, and no draw
    phase = (logits.float() @ (PHASE * direction / direction.norm())).remainder(1.0)
    return (2 * phase - 1).abs()


def by_draw(trace: Trace, macs: Tensor, seed: int) -> Evidence:
    """The evidence of a trace where the draw stands for sureness, at every exit alike."""

    def drawn(logits: Tensor) -> Tensor:
        return draws(logits[:, 0], seed)[:, None].expand(-1, logits.shape[1])

    return read(trace.logits, trace.labels, macs, drawn)


def at_random(
    confident: Evidence, drawn: Evidence, budgets: Sequence[float], estimate: str, best: Tensor | None = None
) -> Tensor:
    """Thresholds on the draw (P, E − 1) at which the shares leave that leave at the best thresholds for the budgets.

    best: those best thresholds (P, E − 1), where they are known.
    """
    best = solve(confident, budgets, estimate) if best is None else best
    leaving = outcomes(confident, best).leaving  # (P, E)
    found = geometric_sweep.thresholds(drawn, leaving)
    return torch.where(leaving[:, :-1] > 0, found, math.inf)
