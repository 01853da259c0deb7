"""Lagrangian thresholds: maximise utility − price · MACs, one threshold at a time.

The solutions over all prices form a path through the budgets. They are good starting points for the solver if there
are many exits.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from benchmark.policies.calibration.evidence import Evidence

PRICES = 24  # from almost 0 to almost the largest possible utility of deeper exits
ROUNDS = 3


def path(evidence: Evidence, answers: Tensor) -> Tensor:
    """Thresholds (2 · PRICES, E − 1) that no change of one threshold improves, from both ends of the prices.

    answers (N, E): utility of each answer.
    """
    ordered, order = evidence.certainty[:, :-1].sort(0, descending=True)  # (N, E − 1)
    span = float(evidence.macs[:, -1].mean() - evidence.macs[:, 0].mean()) or 1.0
    prices = (torch.logspace(-2.5, 0.8, PRICES, dtype=torch.float64) / span).tolist()
    found = []
    for start, some in ((math.inf, prices), (-math.inf, prices[::-1])):
        now = torch.full((evidence.num_exits - 1,), start)
        for price in some:
            utility = answers - price * evidence.macs  # (N, E)
            for _ in range(ROUNDS):
                before = now.clone()
                for exit_ in reversed(range(evidence.num_exits - 1)):
                    now[exit_] = _best(evidence.certainty, utility, now, exit_, ordered[:, exit_], order[:, exit_])
                if torch.equal(now, before):
                    break
            found.append(now.clone())
    return torch.stack(found)


def _best(certainty: Tensor, utility: Tensor, held: Tensor, exit_: int, ordered: Tensor, order: Tensor) -> float:
    """The best threshold of one exit, the others fixed: an exiting sample gains utility here minus utility later."""
    stops = torch.cat([certainty[:, :-1] >= held, torch.ones(len(utility), 1, dtype=torch.bool)], 1)  # (N, E)
    stops[:, exit_] = False
    later = stops.int().argmax(1)  # (N,)
    gain = torch.where(later > exit_, utility[:, exit_] - utility.gather(1, later[:, None])[:, 0], 0.0)
    sums = gain[order].cumsum(0)
    sums[:-1][ordered[:-1] == ordered[1:]] = -math.inf  # equal values exit together
    best = int(sums.argmax())
    return float(ordered[best]) if float(sums[best]) > 0 else math.inf
