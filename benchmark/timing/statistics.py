"""Statistics of paired timings: ratios of totals with bootstrap intervals, percentiles, outliers. Only numpy.

Tables are (n, m): n distinct samples, m rounds on each. Times may be in any unit; only percentiles carry it on.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# From so many samples on, this percentile has enough observations above it to be more than the maximum (MLPerf's rule).
PERCENTILE_NEEDS = {50: 1, 90: 64, 99: 662}
MAX_RESAMPLED_VALUES = 1_000_000  # values of tables drawn again that are held at a time


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
    """Total over total of two paired tables (n, m), each sample first reduced to robust times; interval by samples.

    What a workload gains is total time over total time, as mac_speedup is mean MACs over mean MACs; a median of
    ratios jumps between modes where some samples leave early and some late. Whole samples are drawn, because the
    rounds on one sample are not independent; medians per sample keep bursts out of the totals.
    """
    top, bottom = robust_times(numerator, denominator)  # (n,)
    n = len(top)
    times_drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=draws).astype(float)
    ratios = (times_drawn @ top) / (times_drawn @ bottom)  # (draws,)
    tail = _tail(n)
    lo, hi = np.quantile(ratios, [tail, 1 - tail])
    return Interval(float(top.sum() / bottom.sum()), float(lo), float(hi))


def robust_times(numerator: Floats, denominator: Floats) -> tuple[Floats, Floats]:
    """Paired tables (n, m) -> each sample's typical times (n,), (n,); of many tables (…, n, m) as well.

    The numerator's is a median; the denominator's is that times the median of the ratios within a round, in which
    drift and bursts that hit the whole round cancel. Two separate medians would let them in again.
    """
    top = np.median(numerator, axis=-1)
    return top, top * np.exp(np.median(np.log(denominator / numerator), axis=-1))


def _tail(n: int) -> float:
    """The probability to cut off at each end for 95%: below 2.5%, because n samples spread less than what they
    were drawn from (the expanded percentile interval: Hesterberg, The American Statistician 69, 2015)."""
    freedom = max(1, n - 1)
    return NormalDist().cdf(-_student(freedom) * (n / freedom) ** 0.5)


def _student(freedom: int) -> float:
    """The t quantile of 97.5%, by the first term of its expansion."""
    return 1.96 + (1.96**3 + 1.96) / (4 * max(1, freedom))


def repeat_half_width(numerator: Floats, denominator: Floats, seed: int, draws: int = 100) -> float:
    """Relative half-width of the 95% interval of `ratio_of_totals` if the *same* samples were timed again.

    This is the part of the uncertainty that more rounds remove; the part that comes from the choice of samples
    stays however long one measures. Rounds are drawn within each sample, numerator and denominator together.
    """
    return 1.96 * _repeat_deviation(numerator, denominator, seed, draws)


def ratio_of_fixed_units(numerator: Floats, denominator: Floats, seed: int, draws: int = 200) -> Interval:
    """`ratio_of_totals` with the interval of timing the *same* units again, for units that are not samples drawn from
    a population, such as the batches that one set of inputs was put into."""
    n, m = numerator.shape
    top, bottom = robust_times(numerator, denominator)
    value = float(top.sum() / bottom.sum())
    reach = float(np.exp(_student(n * (m - 1)) * _repeat_deviation(numerator, denominator, seed, draws)))
    return Interval(value, value / reach, value * reach)


def _repeat_deviation(numerator: Floats, denominator: Floats, seed: int, draws: int) -> float:
    """Standard deviation of the log of `ratio_of_totals` over drawing the rounds of each sample again."""
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
    """Median over all rounds of the ratio within a round: what the typical sample sees."""
    return float(np.median(numerator / denominator))


def percentile(values: Floats, q: int, samples: int) -> float | None:
    """The q-th percentile (50, 90 or 99), or None where too few distinct samples carry it."""
    return float(np.percentile(values, q)) if samples >= PERCENTILE_NEEDS[q] else None


def count_outliers(table: Floats) -> int:
    """Tukey outliers (1.5 quartile ranges) among a table's (n, m) values over their own sample's median.

    Relative to the sample, so that an input that leaves late is not taken for a disturbance.
    """
    relative = table / np.median(table, axis=1, keepdims=True)
    low, high = np.quantile(relative, [0.25, 0.75])
    reach = 1.5 * (high - low)
    return int(((relative < low - reach) | (relative > high + reach)).sum())
