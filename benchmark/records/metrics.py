"""Metrics with their formulas: accuracy, depth, savings, gain lost. numpy in, plain numbers out.

Words, for N samples, E exits, depth d in 1 … E, mean depth m: *speedup* S is full cost over actual cost,
*gain* is S − 1. Which cost (layers, MACs, measured milliseconds) the caller names. A figure that is not
defined, such as the share lost of a gain that never was, is None instead of a number.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike

from benchmark.types import ExitbenchError, Metric

METRICS = ("accuracy", "f1", "matthews")


class Share(TypedDict):
    """A fraction of n samples with its standard error."""

    value: float
    stderr: float
    n: int


def _column(name: str, values: ArrayLike) -> np.ndarray:
    column = np.asarray(values)
    if column.ndim != 1 or column.size == 0:
        raise ExitbenchError(f"{name}: expected a column of at least one number, got shape {column.shape}")
    return column


def _pair(name: str, left: ArrayLike, right: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    first, second = _column(name, left), _column(name, right)
    if len(first) != len(second):
        raise ExitbenchError(f"{name}: expected two columns of one length, got {len(first)} and {len(second)}")
    return first, second


def accuracy(predictions: ArrayLike, labels: ArrayLike) -> Share:
    """Share of predictions (N,) equal to labels (N,): p, with stderr sqrt(p (1 − p) / N)."""
    predicted, wanted = _pair("accuracy", predictions, labels)
    p, n = float((predicted == wanted).mean()), len(predicted)
    return {"value": p, "stderr": float(np.sqrt(p * (1 - p) / n)), "n": n}


class Reliability(TypedDict):
    """Confidence against accuracy, in bins of equal width from 0 to 1; bins without samples are left out."""

    bins: int
    count: list[int]
    confidence: list[float]
    accuracy: list[float]
    ece: float


def reliability(confidence: ArrayLike, right: ArrayLike, bins: int = 15) -> Reliability:
    """How often answers of each confidence are right, for confidences (N,) in [0, 1] and whether each was right (N,).

    Bin b of B holds the samples with (b − 1)/B < confidence ≤ b/B, 0 in the first: n_b of them, of mean confidence c_b
    and accuracy a_b. ece: the expected calibration error Σ_b n_b/N · |a_b − c_b| (Guo et al., ICML 2017, 15 bins).
    Raises ExitbenchError for a confidence outside [0, 1] and for less than one bin.
    """
    certainty, correct = _pair("reliability", confidence, right)
    certainty, correct = certainty.astype(float), correct.astype(float)
    if bins < 1 or not (certainty.min() >= 0 and certainty.max() <= 1 + 1e-6):
        raise ExitbenchError(
            f"reliability: expected confidences in [0, 1] and bins, got {certainty.max():g} and {bins}"
        )
    place = np.clip(np.ceil(certainty * bins).astype(int) - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    held = count > 0
    mean_certainty = np.bincount(place, certainty, bins)[held] / count[held]
    mean_right = np.bincount(place, correct, bins)[held] / count[held]
    return {
        "bins": bins,
        "count": count[held].tolist(),
        "confidence": mean_certainty.tolist(),
        "accuracy": mean_right.tolist(),
        "ece": float(count[held] @ np.abs(mean_right - mean_certainty) / len(certainty)),
    }


def auroc(signal: ArrayLike, right: ArrayLike) -> float | None:
    """AUROC of a signal (N,), larger is more certain, for right answers (N,) against wrong ones.

    The chance that a right answer has the larger signal than a wrong one, ties counting half: U / (n₊ n₋) of Mann and
    Whitney. 0.5 knows nothing. None where all are right or all are wrong, or where a signal is not finite.
    An exit lives on this and not on calibration, which says how often and not which (failure prediction; Jaeger et al.,
    ICLR 2023).
    """
    from scipy.stats import rankdata

    certainty, correct = _pair("auroc", signal, right)
    positives = int(correct.sum())
    if positives in (0, len(correct)) or not np.isfinite(certainty).all():
        return None
    ranks = rankdata(certainty)[correct.astype(bool)].sum()
    return float((ranks - positives * (positives + 1) / 2) / (positives * (len(correct) - positives)))


def score(metric: Metric, answers: ArrayLike, labels: ArrayLike) -> float:
    """The task's own metric of answers (N,) against labels (N,), both whole numbers from 0, as a fraction.

    accuracy: the share answered rightly. f1: 2·TP / (2·TP + FP + FN) of class 1, of two classes. matthews: the
    correlation of answers and labels over any number of classes (Gorodkin, 2004): for two classes
    (TP·TN − FP·FN) / √((TP+FP)(TP+FN)(TN+FP)(TN+FN)). A fraction whose divisor is 0 is 0, as usual.
    A metric of one's own is called with both columns.
    Raises ExitbenchError for another name, for f1 of more than two classes, and where a metric of one's own fails or
    gives no finite number.
    """
    predicted, wanted = _pair("score", answers, labels)
    if callable(metric):
        return _own_score(metric, predicted, wanted)
    check_metric(metric)
    classes = int(max(predicted.max(), wanted.max())) + 1
    if metric == "f1" and classes > 2:
        raise ExitbenchError("dataset.metric: expected two classes for f1, got more; use accuracy or matthews")
    answered, true = (np.bincount(column, minlength=max(2, classes)) for column in (predicted, wanted))
    right = np.array([(predicted == wanted).sum()], dtype=float)
    return float(score_of_counts(metric, right, answered[None].astype(float), true.astype(float))[0])


def score_of_counts(metric: str, right: np.ndarray, answered: np.ndarray, true: np.ndarray) -> np.ndarray:
    """`score` (K,) of K sets of answers to the same N labels, from what each metric depends on.

    right (K,): right answers. answered (K, C): answers by class. true (C,): labels by class. For two classes
    TP = (right − N + answered_1 + true_1) / 2.
    """
    n = true.sum()
    if metric == "accuracy":
        return right / n
    if metric == "f1":
        found = answered[:, 1] + true[1]
        twice_positives = right - n + found
        return np.divide(twice_positives, found, out=np.zeros_like(right), where=found > 0)
    spread = (n**2 - (answered**2).sum(1)) * (n**2 - true @ true)
    covariance = right * n - answered @ true
    return np.divide(covariance, np.sqrt(np.maximum(spread, 0)), out=np.zeros_like(right), where=spread > 0)


def check_metric(metric: str) -> None:
    """Raise ExitbenchError for an unknown metric."""
    if metric not in METRICS:
        raise ExitbenchError(
            f"dataset.metric: expected one of {', '.join(METRICS)}, or a function by _target_ and _partial_, "
            f"got {metric!r}"
        )


def metric_name(metric: Metric) -> str:
    """A metric as records name it: its name, or where a function of one's own is defined."""
    if isinstance(metric, str):
        return metric
    function = getattr(metric, "func", metric)  # of a partial
    return f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', type(function).__qualname__)}"


def _own_score(metric: Callable[[np.ndarray, np.ndarray], float], answers: np.ndarray, labels: np.ndarray) -> float:
    try:
        value = float(metric(answers, labels))
    except Exception as error:
        raise ExitbenchError(f"dataset.metric: {metric_name(metric)} failed: {' '.join(str(error).split())}") from error
    if not np.isfinite(value):
        raise ExitbenchError(f"dataset.metric: expected a finite number from {metric_name(metric)}, got {value}")
    return value


def exit_histogram(depths: ArrayLike, num_exits: int) -> list[int]:
    """How many of the depths (N,) are 1, 2, … E: a list of E counts that sum to N.

    Raises ExitbenchError for a depth outside 1 … E.
    """
    column = _column("exit_histogram", depths)
    if column.min() < 1 or column.max() > num_exits:
        raise ExitbenchError(f"exit_histogram: expected depths in 1 … {num_exits}, got {column.min()} … {column.max()}")
    return [int(count) for count in np.bincount(column.astype(np.int64), minlength=num_exits + 1)[1:]]


def mean_exit_depth(depths: ArrayLike) -> float:
    """Mean of the depths (N,), m, over all samples: those an attack skipped or failed on included."""
    return float(_column("mean_exit_depth", depths).mean())


def mean_depth_of(histogram: ArrayLike) -> float:
    """The same from a histogram h (E,): m = Σ i·h_i / Σ h_i."""
    counts = _column("exit_histogram", histogram)
    return float(np.arange(1, len(counts) + 1) @ counts / counts.sum())


def mac_speedup(macs: ArrayLike, macs_full: ArrayLike) -> float:
    """mean(macs_full) / mean(macs), both (N,): the factor saved over the whole set, not a mean of factors."""
    actual, full = _pair("mac_speedup", macs, macs_full)
    return float(full.mean() / actual.mean())


def mac_saving(macs: ArrayLike, macs_full: ArrayLike) -> float:
    """1 − mean(macs) / mean(macs_full), both (N,): the share of MACs saved."""
    actual, full = _pair("mac_saving", macs, macs_full)
    return float(1 - actual.mean() / full.mean())


def layer_speedup(mean_depth: float, num_exits: int) -> float:
    """S = E / m, the speed-up of the SAME paper, which assumes that all layers cost the same."""
    return num_exits / mean_depth


def gain(speedup: float) -> float:
    """S − 1: 0 is no gain, 1 is twice as fast."""
    return speedup - 1


def gain_lost(speedup_clean: float, speedup_attacked: float) -> float | None:
    """1 − gain_attacked / gain_clean = (S − S′) / (S − 1): 1 is all of the gain, above 1 is slower than no exits.

    With layer speed-ups this is SAME's headline in its first reading. None where the clean gain is not positive.
    """
    clean = gain(speedup_clean)
    return None if clean <= 0 else 1 - gain(speedup_attacked) / clean


def gain_lost_layers(mean_depth_clean: float, mean_depth_attacked: float, num_exits: int) -> float | None:
    """(m′ − m) / (E − m): the second reading of SAME's headline: the share of skipped layers that are computed.

    For E = 12, m = 6, m′ = 10.8: 0.8 here and 0.889 by `gain_lost`. None where clean samples skip nothing.
    """
    skipped = num_exits - mean_depth_clean
    return None if skipped <= 0 else (mean_depth_attacked - mean_depth_clean) / skipped


def efficacy(histogram: ArrayLike, costs: ArrayLike | None = None) -> float:
    """DeepSloth's efficacy: area under (share of samples that have exited) against (share of full cost), by trapezoids.

    histogram (E,): counts per exit. costs (E,): cumulative cost to each exit; equal layers when not given,
    and then the area is 1 − (m − 0.5) / E. Near 1: all leave at once; near 0: all stay to the end.
    """
    counts = _column("efficacy", histogram)
    costs = np.arange(1, len(counts) + 1) if costs is None else costs
    counts, costs = _pair("efficacy", counts, costs)
    area = gone = spent = 0.0  # summed by hand: of a dozen numbers, many times over in a leaderboard
    total, full = float(counts.sum()), float(costs[-1])
    for count, cost in zip(counts.tolist(), costs.tolist(), strict=True):
        area += (gone + count / (2 * total)) * (cost / full - spent)
        gone, spent = gone + count / total, cost / full
    return area


def curve_area(gmacs: ArrayLike, scores: ArrayLike) -> float | None:
    """Area under scores (P,) against gmacs (P,), divided by the span of gmacs: the mean score over all budgets.

    Points in any order, equal gmacs count with their best score. None where the budgets do not span anything.
    """
    budgets, values = _pair("curve_area", gmacs, scores)
    best: dict[float, float] = {}
    for budget, value in zip(budgets.tolist(), values.tolist(), strict=True):
        best[budget] = max(value, best.get(budget, value))
    points = sorted(best)
    if len(points) < 2:
        return None
    return float(np.trapezoid([best[point] for point in points], points) / (points[-1] - points[0]))


def score_area(macs: ArrayLike, scores: ArrayLike, macs_ends: ArrayLike, scores_ends: ArrayLike) -> float | None:
    """Area under an exit rule's score–MACs curve, over the same budgets for all rules: a mean score.

    macs (P,), scores (P,): what the rule gives at P thresholds. macs_ends, scores_ends (2,): (c_1, s_1) when all leave
    at exit 1 and (c_E, s_E) when none leaves early, which are added to the points. With all points sorted by cost,

        A = Σ_k (c_{k+1} − c_k) · (s_k + s_{k+1}) / 2  /  (c_E − c_1),

    points of equal cost counting with their best score. Between two points lies what a rule gives that picks one of
    them at random for each sample, so a rule that knows nothing has (s_1 + s_E) / 2. None where c_E = c_1.
    """
    costs, values = _pair("score_area", macs, scores)
    cost_ends, value_ends = _pair("score_area", macs_ends, scores_ends)
    return curve_area(np.concatenate([costs, cost_ends]), np.concatenate([values, value_ends]))
