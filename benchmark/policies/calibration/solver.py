"""Solver for per-exit thresholds that maximise right answers within a budget of mean MACs.

For each budget it starts from the best of the released geometric sweep, a path of Lagrangian solutions and a coarse
grid. It then moves two thresholds at a time on ever finer grids, down to single values. With three exits or fewer the
grid covers all choices; with more it is a local search. The result never has fewer right answers than the sweep's point
at the same cost.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations

import torch
from torch import Tensor

from benchmark.policies.calibration import geometric_sweep
from benchmark.policies.calibration.evidence import Evidence, between_values, isotonic_accuracy, outcomes
from benchmark.policies.calibration.lagrangian import path
from benchmark.policies.calibration.pairwise_search import Point, Tables, around, grid
from benchmark.types import ExitbenchError

ESTIMATES = ("isotonic", "counted")
COARSE = 512  # values of a threshold on the coarse grid for three exits
FINE = 48  # values on a grid around a threshold
SWEEPS = 2  # at most so many rounds over all pairs; one if there are many exits
FEW = 6  # from so many thresholds on, only those of neighbouring exits move together


def solve(evidence: Evidence, budgets: Sequence[float], estimate: str = "isotonic") -> Tensor:
    """Thresholds (P, E − 1) float32 for budgets in MACs a sample (P,).

    estimate: what is maximised, "counted" right answers, or "isotonic" ones (see `evidence.isotonic_accuracy`),
    which overfit less. Either solution has at least as many counted right answers as the sweep.

    Raises:
        ExitbenchError: a model of one exit, or a budget outside [cost of exit 1, cost of the last exit].
    """
    check(evidence, budgets)
    utility = evidence.right.double() if estimate == "counted" else isotonic_accuracy(evidence)
    evidence = between_values(evidence)
    limits = [budget * len(evidence) * (1 + 1e-12) for budget in budgets]
    starts = _starting_points(evidence, utility, limits)
    exits = evidence.num_exits
    if exits == 2:
        evidence, utility = _with_third_exit(evidence), torch.cat([utility, utility[:, -1:]], 1)
        starts = [(replace(point, thresholds=point.thresholds.repeat(2)), least) for point, least in starts]
    tables = Tables.of(evidence, utility)
    ranked = [ordered.unique_consecutive() for ordered in tables.ordered]
    if exits <= 3:
        starts = _best_on_coarse_grid(tables, ranked, starts, limits)
    found: dict[float, Tensor] = {}  # each budget once
    for (point, least), most in zip(starts, limits, strict=True):
        if most not in found:
            found[most] = _improve_pairs(tables, ranked, point, most, least).thresholds
    return torch.stack([found[most] for most in limits])[:, : exits - 1]


def check(evidence: Evidence, budgets: Sequence[float]) -> None:
    """Raise ExitbenchError if there is nothing to choose, or if no thresholds can meet or use a budget."""
    if evidence.num_exits < 2:
        raise ExitbenchError("policy.gmacs: expected a model of at least two exits, got one; use policy=never")
    low, high = float(evidence.macs[:, 0].mean()) / 1e9, float(evidence.macs[:, -1].mean()) / 1e9
    for budget in budgets:
        gmacs = budget / 1e9
        if not low * (1 - 1e-9) <= gmacs <= high * (1 + 1e-9):
            raise ExitbenchError(
                f"policy.gmacs: expected a budget from {_rounded(low, math.ceil)} (all exit at exit 1) to "
                f"{_rounded(high, math.floor)} (all run to exit {evidence.num_exits}) GMACs a sample, got {gmacs:.6g}"
            )


def _rounded(value: float, towards: Callable[[float], int]) -> str:
    """Four digits, rounded into the range, so that the printed number is a valid budget."""
    digits = 3 - math.floor(math.log10(value))
    return f"{towards(value * 10**digits) / 10**digits:g}"


def _with_third_exit(evidence: Evidence) -> Evidence:
    """Two exits as three, of which the last two are the same, so that one grid serves both cases."""
    certainty, right, macs = evidence.certainty, evidence.right, evidence.macs
    certainty = torch.stack([certainty[:, 0], torch.zeros(len(certainty)), certainty[:, 1]], 1)
    columns = (torch.cat([table, table[:, -1:]], 1) for table in (right, macs))
    return Evidence(certainty, *columns, is_between=evidence.is_between)


def _starting_points(evidence: Evidence, utility: Tensor, limits: Sequence[float]) -> list[tuple[Point, float]]:
    """For each budget a starting point, and the least number of right answers: that of the sweep at this cost.

    The point is the best of: all exit at exit 1, the released sweep and, if there are many exits, the path.
    """
    sweep = torch.cat([evidence.certainty[:, :-1].amin(0)[None], geometric_sweep.sweep(evidence)])
    tried = torch.cat([sweep, path(evidence, utility)]) if evidence.num_exits > 3 else sweep
    n, known = len(evidence), outcomes(evidence, tried, utility)
    columns = [(column * n).tolist() for column in (known.utility, known.macs, known.accuracy)]
    points = [
        Point(utility, macs, round(right), one) for utility, macs, right, one in zip(*columns, tried, strict=True)
    ]
    found = []
    for most in limits:
        same = max((point for point in points[: len(sweep)] if point.macs <= most), key=lambda p: (p.macs, p.right))
        best = same
        for point in points:
            if point.macs <= most and point.right >= same.right and point.better(best):
                best = point
        found.append((best, same.right))
    return found


def _best_on_coarse_grid(
    tables: Tables, ranked: list[Tensor], starts: list[tuple[Point, float]], limits: Sequence[float]
) -> list:
    """With two thresholds, the better of the start and of all pairs of values (of quantiles, if there are many)."""
    few = min(len(ranked[1]), COARSE)
    first, second = (
        torch.cat([_subsample(values, most), torch.tensor([math.inf])])
        for values, most in zip(ranked, (COARSE * COARSE // few, few), strict=True)
    )
    cells = grid(tables, torch.full((2,), math.inf), 0, 1, first, second, torch.arange(len(tables.certainty)))
    found = []
    for (start, least), most in zip(starts, limits, strict=True):
        cell = cells.best(most, least)
        point = start if cell is None else Point(*cells.at(cell), torch.tensor(cells.pair(cell)))
        found.append((point if point.better(start) else start, least))
    return found


def _improve_pairs(tables: Tables, ranked: list[Tensor], point: Point, most: float, least: float) -> Point:
    """Move two thresholds at a time, those of neighbouring exits first, until no pair improves the point."""
    exits = len(ranked)
    near = sorted(combinations(range(exits), 2), key=lambda pair: pair[1] - pair[0])
    near = [(i, j) for i, j in near if j - i <= 2 or exits < FEW]
    for _ in range(SWEEPS if exits < FEW else 1):
        before = point
        for i, j in near:
            for radius in _radii(max(len(ranked[i]), len(ranked[j])), wide=exits > 2):
                moved = _best_move(tables, ranked, point, (i, j), radius, most, least)
                point = moved if moved.better(point) else point
        if point is before:
            break
    return point


def _radii(values: int, wide: bool) -> Iterator[int]:
    """Search radius around a threshold, in values: ever smaller, until each value is on the grid."""
    radius = math.ceil(values / 4) if wide else math.ceil(2 * values / COARSE)
    while 2 * radius > FINE:
        yield radius
        radius = FINE // 2 if wide else max(FINE // 2, math.ceil(4 * radius / FINE))
    yield radius


def _best_move(
    tables: Tables, ranked: list[Tensor], point: Point, pair: tuple[int, int], radius: int, most: float, least: float
) -> Point:
    """The best point with other thresholds for a pair of exits, within `radius` values of the present ones."""
    now = point.thresholds
    cells, here = around(tables, now, *pair, *(_values_near(ranked[exit_], now[exit_], radius) for exit_ in pair))
    # Samples that no threshold on the grid moves exit where they did before.
    others = [all_ - some for all_, some in zip((point.utility, point.macs, point.right), cells.at(here), strict=True)]
    cell = cells.best(most - others[1], least - others[2])
    if cell is None:
        return point
    moved = now.clone()
    moved[list(pair)] = torch.tensor(cells.pair(cell))
    utility, macs, right = (rest + some for rest, some in zip(others, cells.at(cell), strict=True))
    return Point(utility, macs, right, moved)


def _values_near(values: Tensor, now: Tensor, radius: int) -> Tensor:
    """Some of the ascending `values` within `radius` places of `now`, and `now` itself, ascending."""
    place = int(torch.searchsorted(values, now))
    some = _subsample(values[max(0, place - radius) : place + radius], FINE)
    return torch.cat([some, now[None]]).unique()


def _subsample(values: Tensor, most: int) -> Tensor:
    """At most `most` of the values, evenly spaced."""
    if len(values) <= most:
        return values
    return values[torch.linspace(0, len(values) - 1, most).round().long()]
