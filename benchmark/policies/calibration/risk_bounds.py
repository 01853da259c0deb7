"""Bounds on a risk from a sample of losses: Hoeffding–Bentkus, the betting bound, conformal risk control.

Each bound judges a sequence of thresholds from safe to cheap, given as the losses of n samples that change from one
threshold to the next, and says how many of them pass before the first that does not. Stopping there is fixed-sequence
testing (Angelopoulos et al., "Learn then Test", 2021, section 3): no correction for the number of thresholds is due,
and the sequence may be as fine as the data, because no threshold is left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import binom
from torch import Tensor

BLOCK = 16_000  # losses that the betting bound handles at a time: few, as it stops at the first failure
LARGEST_BET = 0.75  # of the bet that could lose everything (Waudby-Smith and Ramdas, 2023, section 3)


@dataclass(frozen=True, eq=False)
class LossSequence:
    """Losses of n samples at K thresholds from safe to cheap, as changes; all are 0 before the first change.

    step (M,): to which threshold 0 … K − 1 a change belongs, ascending. sample (M,): whose loss changes there.
    change (M,): by how much, so that a loss is the sum of its changes so far.
    """

    n: int
    num_thresholds: int  # K
    step: Tensor
    sample: Tensor
    change: Tensor

    def totals(self) -> Tensor:
        """Sum of the losses at each threshold (K,) float64."""
        by_step = torch.zeros(self.num_thresholds, dtype=torch.float64)
        return by_step.index_add_(0, self.step, self.change.double()).cumsum(0)

    def blocks(self) -> Iterator[tuple[int, Tensor]]:
        """Blocks of losses (k, n) float64 in order, each with the index of its first threshold."""
        size = max(8, BLOCK // max(1, self.n))
        current = torch.zeros(self.n, dtype=torch.float64)
        for first in range(0, self.num_thresholds, size):
            count = min(size, self.num_thresholds - first)
            low, high = torch.searchsorted(self.step, torch.tensor([first, first + count])).tolist()
            block = torch.zeros(count, self.n, dtype=torch.float64)
            at = (self.step[low:high] - first, self.sample[low:high])
            block.index_put_(at, self.change[low:high].double(), accumulate=True)
            block = block.cumsum(0) + current
            current = block[-1]
            yield first, block


# (losses, the risk allowed, the probability that the risk may exceed it) -> how many thresholds pass, 0 … K
Bound = Callable[[LossSequence, float, float], int]


def hoeffding_bentkus(losses: LossSequence, limit: float, error: float) -> int:
    """Losses of 0 or 1: those thresholds pass whose p-value for "the risk is above `limit`" is at most `error`.

    Hoeffding's bound (relative entropy) and Bentkus's (e times a binomial tail) are upper bounds, for any losses in
    [0, 1], on the chance of a total as small as that observed. For losses of 0 or 1 that chance is the binomial tail
    itself, which is never above either, so the tail is the p-value (Bates et al., 2021, section 3.1, on binary losses).
    """
    p_values = binom.cdf(np.arange(losses.n + 1), losses.n, limit)  # of each total 0 … n
    return _first(p_values[losses.totals().long().numpy()] > error)


def betting(losses: LossSequence, limit: float, error: float) -> int:
    """Losses in [−1, 1]: those thresholds pass for which betting against "the risk is above `limit`" wins enough.

    A game that the hypothesis makes unfavourable: capital is multiplied, sample by sample, by 1 + b (m − x) for the
    loss scaled to x in [0, 1] and the limit scaled to m. Under the hypothesis it exceeds 1 / error with probability at
    most `error` (Ville). The bets b are predictable plug-ins (Waudby-Smith and Ramdas, 2023, sections 3 and 4; as in
    Bates et al., 2021, section 3.1.3), so that a small variance, as of losses that are mostly 0, is used.
    """
    scaled_limit, goal = (1 + limit) / 2, math.log(1 / error)
    for first, block in losses.blocks():
        passed = _capital((1 + block) / 2, scaled_limit, error).amax(1) >= goal
        if not bool(passed.all()):
            return first + int(passed.int().argmin())
    return losses.num_thresholds


def _capital(losses: Tensor, limit: float, error: float) -> Tensor:
    """Logarithm of the capital after each of n bets (k, n), for losses in [0, 1] of k thresholds."""
    n = losses.shape[1]
    count = torch.arange(1, n + 1, dtype=torch.float64)
    mean = (0.5 + losses.cumsum(1)) / (1 + count)
    variance = (0.25 + ((losses - mean) ** 2).cumsum(1)) / (1 + count)
    before = torch.cat([torch.full_like(variance[:, :1], 0.25), variance[:, :-1]], 1)  # known before the bet
    bets = (2 * math.log(1 / error) / (n * before)).sqrt().clamp(max=LARGEST_BET / max(1 - limit, 1e-9))
    return torch.log1p(bets * (limit - losses)).cumsum(1)


def conformal(losses: LossSequence, limit: float, error: float) -> int:
    """Losses in [0, 1] that never fall from one threshold to the next: the mean risk of what passes is at most `limit`.

    The mean is over draws of the calibration data, so `error` is not used: (total + 1) / (n + 1) ≤ limit
    (Angelopoulos et al., "Conformal Risk Control", 2022, theorem 1).
    """
    return _first((losses.totals().numpy() + 1) / (losses.n + 1) > limit)


def _first(failed: np.ndarray) -> int:
    """The position of the first failure, or the number of positions."""
    return int(failed.argmax()) if failed.any() else len(failed)
