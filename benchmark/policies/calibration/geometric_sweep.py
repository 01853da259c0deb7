"""The released budgeted-batch protocol of MSDNet and DVT: a geometric sweep of exit shares.

For q = p / 20, p = 1 … 59, a share ∝ q^k of the samples should exit at exit k = 1 … E. Exit by exit, the threshold
is the confidence of the ⌊N · share⌋-th most confident sample that has not exited yet.
Source: DVT (NeurIPS 2021), released inference; MSDNet (ICLR 2018), section 5.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from benchmark.policies.calibration.evidence import Evidence, between_values

POINTS = range(1, 60)
STEP = 20  # q = p / STEP


def shares(q: Tensor, num_exits: int) -> Tensor:
    """q (P,) > 0 -> the share that should exit at each exit (P, E), rows of sum 1."""
    return (q.double().log()[:, None] * torch.arange(1, num_exits + 1)).softmax(-1)


def released_q() -> Tensor:
    """The 59 values of q."""
    return torch.tensor([p / STEP for p in POINTS], dtype=torch.float64)


def thresholds(evidence: Evidence, share: Tensor) -> Tensor:
    """Shares (P, E) -> thresholds (P, E − 1) on the evidence; infinite if fewer samples are left than should exit.

    Samples of equal confidence, or so close that rounding could exchange them, exit together; more samples than
    intended may therefore exit. Thresholds lie between the values of the evidence.
    """
    evidence = between_values(evidence)
    n, found = len(evidence), torch.full((len(share), evidence.num_exits - 1), math.inf)
    gone = torch.zeros(len(share), n, dtype=torch.bool)
    for exit_ in range(evidence.num_exits - 1):
        certainty = evidence.certainty[:, exit_]
        ordered, order = certainty.sort(descending=True, stable=True)
        wanted = (n * share[:, exit_] + 1e-6).floor().long()  # (P,); 1e-6: a third of 3,000 is 1,000
        left = (~gone[:, order]).cumsum(1, dtype=torch.int32)  # (P, N): rank among the samples that have not exited
        place = torch.searchsorted(left, wanted.clamp(min=1)[:, None].int())[:, 0]
        enough = (wanted > 0) & (place < n)
        found[enough, exit_] = ordered[place[enough]]
        gone |= certainty >= found[:, exit_, None]
    return found


def sweep(evidence: Evidence, q: Tensor | None = None) -> Tensor:
    """Thresholds (P, E − 1) of the sweep: at the 59 released points, or at q (P,)."""
    q = released_q() if q is None else q
    return torch.cat([thresholds(evidence, shares(some, evidence.num_exits)) for some in q.split(32)])
