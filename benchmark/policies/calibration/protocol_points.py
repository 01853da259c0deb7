"""The 59 points of the budgeted-batch protocol, found on calibration data: shared by rules, curves and controls.

All methods are compared at the same budgets: the cost of each point of the released geometric sweep.
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


def evidence_by_measure(trace: Trace, macs: Tensor, measure: str) -> Evidence:
    """The evidence of a trace by "confidence" or "entropy" (negated, so that larger is more certain)."""
    signal, sign, _ = SIGNALS[measure]
    return read(trace.logits, trace.labels, macs, lambda logits: sign * signal(logits))


def sweep_costs(confident: Evidence) -> list[float]:
    """Mean MACs of the released sweep's 59 points."""
    costs = outcomes(confident, geometric_sweep.sweep(confident)).macs
    return costs.clamp(float(confident.macs[:, 0].mean()), float(confident.macs[:, -1].mean())).tolist()


def random_draws(logits: Tensor, seed: int) -> Tensor:
    """Exit 1's logits (b, C) -> a pseudorandom draw in [0, 1] (b,) that depends on the sample's content alone.

    A triangle wave of a seeded random projection, PHASE cycles to a unit. Logits spread over many cycles, so the draw
    is uniform and independent of the answer. It is continuous, so the rounding of another batch moves it by less than
    what the audit treats as a tie.
    """
    direction = torch.randn(logits.shape[-1], generator=torch.Generator().manual_seed(seed)).to(logits.device)
    direction = direction - direction.mean()  # a shift of all logits must not change the draw
    phase = (logits.float() @ (PHASE * direction / direction.norm())).remainder(1.0)
    return (2 * phase - 1).abs()


def evidence_by_draw(trace: Trace, macs: Tensor, seed: int) -> Evidence:
    """The evidence of a trace with the draw as certainty, the same at every exit."""

    def drawn(logits: Tensor) -> Tensor:
        return random_draws(logits[:, 0], seed)[:, None].expand(-1, logits.shape[1])

    return read(trace.logits, trace.labels, macs, drawn)


def random_exit_thresholds(
    confident: Evidence, drawn: Evidence, budgets: Sequence[float], estimate: str, best: Tensor | None = None
) -> Tensor:
    """Thresholds on the draw (P, E − 1) with the exit shares of the best thresholds for the budgets.

    best: the best thresholds (P, E − 1), if already known.
    """
    best = solve(confident, budgets, estimate) if best is None else best
    leaving = outcomes(confident, best).leaving  # (P, E)
    found = geometric_sweep.thresholds(drawn, leaving)
    return torch.where(leaving[:, :-1] > 0, found, math.inf)
