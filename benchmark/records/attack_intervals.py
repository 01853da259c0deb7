"""95% intervals of gain lost and queries: a paired Bayesian bootstrap over the samples, clean and attacked together.

Each draw weights the samples by a Dirichlet distribution (Rubin, The Annals of Statistics 9, 1981). The same weights
apply to a sample's clean and attacked side, and to all attacks and seeds on it, so that what the sides share cancels.

For each end of an interval one sample is added that could still have been drawn: one that the attack fails on
completely for the lower end, one that it takes to full depth for the upper end. For a share this is the
Clopper–Pearson interval, for a bounded mean Gaffke's (Learned-Miller and Thomas, arXiv 1905.06208). Without it the
interval of an attack that took 100 samples of 100 has width 0; `scipy.stats.bootstrap` covers the truth in 63% of
draws where an attack succeeds on 99% of samples (percentile), or gives NaN (BCa).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linprog

Floats = NDArray[np.float64]
Interval = tuple[float, float]
Statistic = Callable[[Floats], Floats]  # means of columns (k, draws) -> the figure (draws,)

DRAWS = 2000
TAIL = 0.025  # at each end
MAX_WEIGHTS = 1_000_000  # held at a time
METHOD = "95%, paired Bayesian bootstrap over samples with one extreme sample added at each end"


def interval(columns: Floats, low: ArrayLike, high: ArrayLike, statistic: Statistic) -> Interval:
    """The 95% interval of a statistic of the means of `columns` (k, n), samples weighted anew in each draw.

    low, high (k,): the sample added for the lower and the upper end. The draws are seeded: equal data, equal interval.
    """
    lowest, highest = (np.column_stack([columns, np.asarray(end, dtype=float)]) for end in (low, high))
    rng = np.random.default_rng(0)
    block = max(1, MAX_WEIGHTS // lowest.shape[1])
    below, above = [], []
    for start in range(0, DRAWS, block):
        weights = rng.standard_exponential((min(block, DRAWS - start), lowest.shape[1]))
        weights /= weights.sum(1, keepdims=True)  # (draws, n + 1), Dirichlet
        below.append(statistic(_means(lowest, weights)))
        above.append(statistic(_means(highest, weights)))
    lo, hi = np.quantile(np.concatenate(below), TAIL), np.quantile(np.concatenate(above), 1 - TAIL)
    return float(lo), float(hi)


def _means(columns: Floats, weights: Floats) -> Floats:
    """Weighted means (k, draws) of columns (k, n); rounding leaves none outside of its column's range."""
    ends = columns.min(1, keepdims=True), columns.max(1, keepdims=True)
    return np.clip(columns @ weights.T, *ends)


def gain_lost(before: ArrayLike, after: ArrayLike, num_exits: int) -> Interval | None:
    """Of 1 − (E/m′ − 1) / (E/m − 1), from depths before (n,) and after (n,) or, of S seeds, (S, n): the seeds' mean.

    None where no clean sample leaves early, as there is no gain to lose.
    """

    def statistic(means: Floats) -> Floats:
        return (1 - (num_exits / means[1:] - 1) / (num_exits / means[0] - 1)).mean(0)

    return _of_depths(before, after, num_exits, statistic)


def gain_lost_layers(before: ArrayLike, after: ArrayLike, num_exits: int) -> Interval | None:
    """The same of (m′ − m) / (E − m)."""

    def statistic(means: Floats) -> Floats:
        return ((means[1:] - means[0]) / (num_exits - means[0])).mean(0)

    return _of_depths(before, after, num_exits, statistic)


def _of_depths(before: ArrayLike, after: ArrayLike, num_exits: int, statistic: Statistic) -> Interval | None:
    clean, attacked = np.asarray(before, dtype=float), np.atleast_2d(np.asarray(after, dtype=float))
    if not (clean < num_exits).any():
        return None
    low, high = ([clean.mean(), *[depth] * len(attacked)] for depth in (1.0, float(num_exits)))
    return interval(np.vstack([clean, attacked]), low, high, statistic)


def gain_lost_macs(clean: Sequence[ArrayLike], attacked: Sequence[ArrayLike], cheapest: float) -> Interval | None:
    """Of 1 − (S′ − 1) / (S − 1), S full over spent MACs: `clean` and `attacked` are (spent (n,), full (n,)).

    cheapest: the mean MACs of attacked samples that leave at exit 1. None where the clean samples save nothing.
    """
    columns = np.array([*clean, *attacked], dtype=float)  # (4, n)
    spent, full, _, full_after = columns.mean(1)
    if spent >= full:
        return None

    def statistic(means: Floats) -> Floats:
        before, after = means[1] / means[0] - 1, means[3] / means[2] - 1
        return 1 - after / before

    low, high = ([spent, full, end, full_after] for end in (cheapest, full_after))
    return interval(columns, low, high, statistic)


def mean(values: ArrayLike) -> Interval:
    """Of a mean of values (n,) or, of S seeds, (S, n); the added samples are the least and the largest seen."""
    columns = np.atleast_2d(np.asarray(values, dtype=float)).mean(0, keepdims=True)  # (1, n)
    return interval(columns, [columns.min()], [columns.max()], lambda means: means[0])


def depth_difference(first: ArrayLike, second: ArrayLike, num_exits: int) -> Interval:
    """Of the difference of mean depth after two attacks on the same samples, each (n,) or (S, n) over its seeds.

    Gain lost rises with the mean depth after, so the difference has the sign of the difference in gain lost.
    """
    paired = np.subtract(*(np.atleast_2d(np.asarray(depth, dtype=float)).mean(0) for depth in (first, second)))
    widest = float(num_exits - 1)
    return interval(paired[None], [-widest], [widest], lambda means: means[0])


def widest_pairing(before: Sequence[int], after: Sequence[int], never_shallower: bool) -> tuple[Floats, Floats]:
    """Depths (n,) before and after from two histograms (E,), paired so that intervals of gain lost are widest.

    For records without per-sample depths. Gain lost falls with the one mean and rises with the other, so to first order
    it varies most where the two covary least: a transport problem over the E × E pairs of depths, whose optimum is
    whole numbers.
    never_shallower: only pairs where the depth after is at least the depth before, which a search that keeps the
    deepest input guarantees; without effect where the histograms contradict it.
    """
    num_exits = len(before)
    depths = np.arange(1.0, num_exits + 1)
    products = np.outer(depths, depths)
    eye, ones = np.eye(num_exits), np.ones(num_exits)
    margins = np.vstack([np.kron(eye, ones), np.kron(ones, eye)])
    allowed = np.triu(np.ones_like(products)) if never_shallower else np.ones_like(products)
    bounds = [(0, None if pair else 0) for pair in allowed.ravel()]
    solution = linprog(products.ravel(), A_eq=margins, b_eq=[*before, *after], bounds=bounds)
    if solution.x is None:
        return widest_pairing(before, after, never_shallower=False)
    counts = np.rint(solution.x).astype(int).reshape(num_exits, num_exits)
    rows, columns = np.nonzero(counts)
    return np.repeat(depths[rows], counts[rows, columns]), np.repeat(depths[columns], counts[rows, columns])
