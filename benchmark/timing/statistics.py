"""Statistics of paired timings within one process: ratios of totals, bootstrap intervals, percentiles, outliers.

Tables are (n, m): n distinct samples, m rounds on each. Times may be in any unit.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

Floats = NDArray[np.float64]

# Distinct samples from which a percentile has enough observations above it to differ from the maximum (MLPerf's rule).
PERCENTILE_NEEDS = {50: 1, 90: 64, 99: 662}
MAX_RESAMPLED_VALUES = 1_000_000  # values of resampled tables held in memory at a time


class Interval(NamedTuple):
    """An estimate and its 95% interval."""

    value: float
    lo: float
    hi: float

    @property
    def width(self) -> float:
        """hi − lo, in the estimate's own unit."""
        return self.hi - self.lo


def ratio_of_totals(numerator: Floats, denominator: Floats, seed: int, draws: int = 1000) -> Interval:
    """Total over total of two paired tables (n, m), each sample first reduced to robust times; interval over samples.

    The speed-up of a workload is total time over total time, as mac_speedup is mean MACs over mean MACs; a median of
    ratios jumps between modes where some samples exit early and some late. The bootstrap draws whole samples, because
    the rounds on one sample are not independent; medians per sample keep bursts out of the totals.
    """
    top, bottom = robust_times(numerator, denominator)  # (n,)
    lo, hi = np.exp(bootstrap_interval(top[None], bottom[None], seed, draws))
    return Interval(float(top.sum() / bottom.sum()), float(lo), float(hi))


def bootstrap_interval(tops: Floats, bottoms: Floats, seed: int, draws: int = 1000) -> tuple[float, float]:
    """95% interval of the log ratio of totals, averaged over P processes, under drawing the n samples again.

    tops, bottoms: typical times (P, n). The percentile interval is expanded, because n samples spread less than the
    population they were drawn from (Hesterberg, The American Statistician 69, 2015). `scipy.stats.bootstrap` would
    build an index array of draws × n for each statistic and does not offer the expanded percentiles; multinomial
    weights make it one matrix product.
    """
    n = tops.shape[1]
    weights = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=draws).astype(float)
    log_ratios = np.log((weights @ tops.T) / (weights @ bottoms.T)).mean(1)  # (draws,)
    freedom = max(1, n - 1)
    tail = float(ndtr(-student(freedom) * (n / freedom) ** 0.5))
    lo, hi = np.quantile(log_ratios, [tail, 1 - tail])
    return float(lo), float(hi)


def robust_times(numerator: Floats, denominator: Floats) -> tuple[Floats, Floats]:
    """Paired tables (…, n, m) -> typical time of each sample in both, (…, n) and (…, n).

    The numerator's is a median. The denominator's is that times the median of the ratios within a round, in which
    drift and bursts that affect the whole round cancel; two separate medians would let them in again.
    """
    top = np.median(numerator, axis=-1)
    return top, top * np.exp(np.median(np.log(denominator / numerator), axis=-1))


def student(freedom: float) -> float:
    """The 97.5% quantile of Student's t distribution."""
    return float(stdtrit(max(1.0, freedom), 0.975))


def repeat_half_width(numerator: Floats, denominator: Floats, seed: int, draws: int = 100) -> float:
    """Relative half-width of the 95% interval of `ratio_of_totals` over more rounds on the *same* samples.

    This is the uncertainty that more rounds in this process would remove. It contains neither the choice of samples
    nor the difference between processes. The bootstrap draws rounds within each sample, both tables together.
    """
    return 1.96 * _repeat_deviation(numerator, denominator, seed, draws)


def ratio_of_fixed_units(numerator: Floats, denominator: Floats, seed: int, draws: int = 200) -> Interval:
    """`ratio_of_totals` with the interval of timing the *same* units again in this process.

    For units that are not drawn from a population, such as the batches that one set of samples was put into.
    """
    n, m = numerator.shape
    top, bottom = robust_times(numerator, denominator)
    value = float(top.sum() / bottom.sum())
    factor = float(np.exp(student(n * (m - 1)) * _repeat_deviation(numerator, denominator, seed, draws)))
    return Interval(value, value / factor, value * factor)


def _repeat_deviation(numerator: Floats, denominator: Floats, seed: int, draws: int) -> float:
    """Standard deviation of the log of `ratio_of_totals` under drawing the rounds of each sample again."""
    n, m = numerator.shape
    if m < 2:
        return float("inf")
    rng = np.random.default_rng(seed)
    rows = np.arange(n)[:, None]
    ratios = []
    for first in range(0, draws, step := max(1, MAX_RESAMPLED_VALUES // (n * m))):
        drawn = rng.integers(m, size=(min(step, draws - first), n, m))
        top, bottom = robust_times(numerator[rows, drawn], denominator[rows, drawn])  # (step, n)
        ratios.append(top.sum(-1) / bottom.sum(-1))
    # Drawing m from m shrinks the variance by (m − 1) / m, which is half of it at two rounds.
    return float(np.log(np.concatenate(ratios)).std(ddof=1) * (m / (m - 1)) ** 0.5)


def median_ratio(numerator: Floats, denominator: Floats) -> float:
    """Median over all rounds of the ratio within a round: the typical sample's speed-up."""
    return float(np.median(numerator / denominator))


def percentile(values: Floats, q: int, samples: int) -> float | None:
    """The q-th percentile (50, 90 or 99), or None if there are too few distinct samples for it."""
    return float(np.percentile(values, q)) if samples >= PERCENTILE_NEEDS[q] else None


def count_outliers(table: Floats) -> int:
    """Tukey outliers (1.5 interquartile ranges) among a table's (n, m) values over their own sample's median.

    Relative to the sample, so that a sample that exits late does not count as an outlier.
    """
    relative = table / np.median(table, axis=1, keepdims=True)
    low, high = np.quantile(relative, [0.25, 0.75])
    fence = 1.5 * (high - low)
    return int(((relative < low - fence) | (relative > high + fence)).sum())
