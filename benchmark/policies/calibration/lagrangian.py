"""Thresholds for a price on MACs instead of a budget: most (worth − price · MACs), one threshold at a time.

The solutions over all prices make a path through the budgets: good starts for the solver where exits are many.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from benchmark.policies.calibration.evidence import Evidence

PRICES = 24  # from nearly nothing to nearly all that deeper exits could be worth
ROUNDS = 3


def path(evidence: Evidence, answers: Tensor) -> Tensor:
    """Thresholds (2 · PRICES, E − 1) that no single change improves, from either end of the prices.

    answers (N, E): what each answer is worth.
    """
    ordered, order = evidence.sureness[:, :-1].sort(0, descending=True)  # (N, E − 1)
    span = float(evidence.macs[:, -1].mean() - evidence.macs[:, 0].mean()) or 1.0
    prices = (torch.logspace(-2.5, 0.8, PRICES, dtype=torch.float64) / span).tolist()
    found = []
    for start, some in ((math.inf, prices), (-math.inf, prices[::-1])):
        now = torch.full((evidence.num_exits - 1,), start)
        for price in some:
            worth = answers - price * evidence.macs  # (N, E)
            for _ in range(ROUNDS):
                before = now.clone()
                for exit_ in reversed(range(evidence.num_exits - 1)):
                    now[exit_] = _best(evidence.sureness, worth, now, exit_, ordered[:, exit_], order[:, exit_])
                if torch.equal(now, before):
                    break
            found.append(now.clone())
    return torch.stack(found)


def _best(sureness: Tensor, worth: Tensor, held: Tensor, exit_: int, ordered: Tensor, order: Tensor) -> float:
    """The best threshold of one exit, the others held: who would leave here gains worth here over worth later."""
    stops = torch.cat([sureness[:, :-1] >= held, torch.ones(len(worth), 1, dtype=torch.bool)], 1)  # (N, E)
    stops[:, exit_] = False
    later = stops.int().argmax(1)  # (N,)
    gain = torch.where(later > exit_, worth[:, exit_] - worth.gather(1, later[:, None])[:, 0], 0.0)
    sums = gain[order].cumsum(0)
    sums[:-1][ordered[:-1] == ordered[1:]] = -math.inf  # equals leave together
    best = int(sums.argmax())
    return float(ordered[best]) if float(sums[best]) > 0 else math.inf
