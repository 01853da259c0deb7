"""Search over two thresholds with the others fixed: results of all pairs of values from one histogram.

Two at a time, because one threshold alone cannot move when the budget is used up: what one exit saves, another spends.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmark.policies.calibration.evidence import Evidence

EQUAL = 1e-6  # right answers


@dataclass(frozen=True, eq=False)
class Tables:
    """Evidence arranged for the solver: columns by exit, and each exit's samples sorted by certainty."""

    certainty: Tensor  # (N, E − 1) float32
    gains: Tensor  # (3, E, N) float64: utility, MACs, right
    order: Tensor  # (E − 1, N): samples by ascending certainty
    ordered: Tensor  # (E − 1, N): their certainty

    @classmethod
    def of(cls, evidence: Evidence, utility: Tensor) -> Tables:
        """The tables of evidence and of each answer's utility (N, E)."""
        ordered, order = evidence.certainty[:, :-1].T.contiguous().sort(stable=True, dim=1)
        gains = torch.stack([utility.T, evidence.macs.T, evidence.right.T.double()])
        return cls(evidence.certainty[:, :-1].contiguous(), gains, order, ordered)

    def between(self, exit_: int, low: Tensor, high: Tensor) -> Tensor:
        """The samples whose certainty at an exit is in [low, high)."""
        first, last = torch.searchsorted(self.ordered[exit_], torch.stack([low, high])).tolist()
        return self.order[exit_, first:last]


@dataclass(frozen=True)
class Point:
    """Thresholds (E − 1,) and their results, summed over samples. `better` is the solver's objective."""

    utility: float
    macs: float
    right: float
    thresholds: Tensor

    def better(self, other: Point) -> bool:
        """Whether its utility is higher, or equal at fewer MACs; differences below EQUAL are rounding."""
        more = self.utility - other.utility
        return more > EQUAL or (more > -EQUAL and self.macs < other.macs * (1 - 1e-12))


@dataclass(frozen=True, eq=False)
class Grid:
    """Values of the thresholds of exits i (A,) and j (B,), and the results of each pair: sums over samples (A, B)."""

    first: Tensor
    second: Tensor
    utility: Tensor
    macs: Tensor
    right: Tensor

    def best(self, most: float, least: float) -> int | None:
        """The cell of highest utility with macs <= most and right >= least, the cheapest of equals, else None."""
        utility = torch.where((self.macs <= most) & (self.right >= least), self.utility, -math.inf)
        top = utility.max()
        if top == -math.inf:
            return None
        return int(torch.where(utility > top - EQUAL, self.macs, math.inf).argmin())

    def at(self, cell: int) -> tuple[float, float, float]:
        """Utility, MACs and right answers of a cell."""
        utility, macs, right = (float(table.flatten()[cell]) for table in (self.utility, self.macs, self.right))
        return utility, macs, right

    def pair(self, cell: int) -> tuple[float, float]:
        """The two thresholds of a cell."""
        a, b = divmod(cell, len(self.second))
        return float(self.first[a]), float(self.second[b])


def grid(tables: Tables, held: Tensor, i: int, j: int, first: Tensor, second: Tensor, rows: Tensor) -> Grid:
    """Every pair of `first` (A,) for exit i and `second` (B,) for exit j > i, the others as `held` (E − 1,).

    Exits count from 0 here. Values ascend; at infinity no sample exits there. Sums are over the samples `rows`.
    """
    certainty = tables.certainty[rows]  # (n, E − 1)
    stops = torch.nn.functional.pad(certainty >= held, (0, 1), value=True)  # (n, E)
    stops[:, i] = stops[:, j] = False
    fixed = stops.to(torch.uint8).argmax(1)  # (n,): where a sample exits if it exits neither at i nor at j
    at_i = torch.bucketize(certainty[:, i].contiguous(), first, right=True)  # (n,): how many of the values it reaches
    at_j = torch.bucketize(certainty[:, j].contiguous(), second, right=True)
    meets_i, meets_j = fixed > i, fixed > j
    cell = at_i * (len(second) + 1) + at_j
    sums = []
    for gain in tables.gains:
        other = gain[fixed, rows]  # (n,)
        taken = torch.bincount(at_i, (gain[i, rows] - other) * meets_i, len(first) + 1)
        both = torch.bincount(cell, (gain[j, rows] - other) * meets_j, (len(first) + 1) * (len(second) + 1))
        # Samples that reach the value of exit i exit there; of the others, those that reach that of exit j exit there.
        by_i = taken.flip(0).cumsum(0).flip(0)[1:]  # (A,)
        by_j = both.view(len(first) + 1, -1).cumsum(0)[:-1].flip(1).cumsum(1).flip(1)[:, 1:]  # (A, B)
        sums.append(other.sum() + by_i[:, None] + by_j)
    return Grid(first, second, *sums)


def around(tables: Tables, held: Tensor, i: int, j: int, first: Tensor, second: Tensor) -> tuple[Grid, int]:
    """A grid over the samples that some pair of values moves, and the cell of the present thresholds `held`.

    held[i] and held[j] must be among the values.
    """
    of_i = tables.between(i, first[0], first[-1])
    of_j = tables.between(j, second[0], second[-1])
    certainty = tables.certainty[of_j, i]
    rows = torch.cat([of_i, of_j[(certainty < first[0]) | (certainty >= first[-1])]])  # each once
    cells = grid(tables, held, i, j, first, second, rows)
    a, b = int(torch.searchsorted(first, held[i])), int(torch.searchsorted(second, held[j]))
    return cells, a * len(second) + b
