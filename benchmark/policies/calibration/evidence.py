"""What threshold solvers need of a trace: certainty, correctness and cost of each exit, without classes.

Computed from the logits once, because a softmax over N · E · C numbers is expensive. Thresholds, budgets and curves
are then arithmetic on three small tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from scipy.optimize import isotonic_regression
from torch import Tensor

from benchmark.policies.calibration.threshold_grid import lowered_to_midpoints, measure_margins

CHUNK = 256  # rows of the trace read at a time: few enough for the processor's cache


@dataclass(frozen=True, eq=False)
class Evidence:
    """Columns of N samples at E exits.

    certainty (N, E) float32, larger is more certain (entropy is negated); right (N, E) bool; macs (N, E) float64,
    cumulative. A sample exits at the first exit whose certainty reaches that exit's threshold, else at the last.
    """

    certainty: Tensor
    right: Tensor
    macs: Tensor
    margins: Tensor | None = None  # (N, E) float32: how far rounding can move each certainty; None: not at all
    is_between: bool = False  # whether certainty is that of `between_values`

    @property
    def num_exits(self) -> int:
        """E."""
        return self.right.shape[1]

    def __len__(self) -> int:
        return len(self.right)


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Results of P sets of thresholds: columns (P,) float64, and the share of samples at each exit (P, E)."""

    accuracy: Tensor
    macs: Tensor  # mean over samples
    leaving: Tensor
    utility: Tensor  # mean utility of the answers over samples

    @property
    def depth(self) -> Tensor:
        """Mean exit depth (P,)."""
        return self.leaving @ torch.arange(1, self.leaving.shape[1] + 1, dtype=torch.float64)


def read(logits: Tensor, labels: Tensor, macs: Tensor, certainty: Callable[[Tensor], Tensor]) -> Evidence:
    """Logits (N, E, C), labels (N,) and cumulative macs (N, E) -> evidence.

    certainty: logits (…, C) -> (…,), larger is more certain.
    """
    parts = [(certainty(part), part.argmax(-1), measure_margins(part, certainty)) for part in logits.split(CHUNK)]
    certainties, answers, margins = (torch.cat(column) for column in zip(*parts, strict=True))
    return Evidence(certainties.float(), answers == labels[:, None], macs.double(), margins)


def between_values(evidence: Evidence) -> Evidence:
    """Evidence with each certainty lowered to the midpoint below it, so that no threshold lies on a sample's value.

    A threshold chosen among these separates the samples of the original evidence in the same way.
    """
    if evidence.is_between:
        return evidence
    margins = torch.zeros_like(evidence.certainty) if evidence.margins is None else evidence.margins
    columns = [lowered_to_midpoints(*column) for column in zip(evidence.certainty.T, margins.T, strict=True)]
    return replace(evidence, certainty=torch.stack(columns, 1), is_between=True)


def isotonic_accuracy(evidence: Evidence) -> Tensor:
    """Probability that each answer is right given its exit's certainty (N, E) float64, by isotonic regression.

    One regression per exit. Sums over all samples do not change, and noise among the few samples between two
    thresholds is averaged out.
    """
    columns = []
    for certainty, right in zip(evidence.certainty.T, evidence.right.T, strict=True):
        values, place, count = certainty.unique(return_inverse=True, return_counts=True)
        share = torch.bincount(place, right.double(), len(values)) / count
        fit = isotonic_regression(share.numpy(), weights=count.double().numpy()).x
        columns.append(torch.from_numpy(fit)[place])
    return torch.stack(columns, 1)


def outcomes(evidence: Evidence, thresholds: Tensor, utility: Tensor | None = None) -> Outcomes:
    """Exact results of P sets of thresholds (P, E − 1): sums of counts and of whole numbers of MACs.

    utility (N, E): of each answer; by default 1 if right, else 0.
    """
    at_once = max(1, 2_000_000 // max(1, len(evidence)))
    parts = [_outcomes(evidence, some, utility) for some in thresholds.split(at_once)]
    return Outcomes(*(torch.cat(column) / len(evidence) for column in zip(*parts, strict=True)))


def _outcomes(evidence: Evidence, thresholds: Tensor, utility: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Sums over samples: right (p,), MACs (p,), samples at each exit (p, E) and utility (p,), float64."""
    right, cost = evidence.right.float(), evidence.macs
    alike = bool((cost == cost[0]).all())  # as for images: their MACs follow from the counts
    sums, macs, utilities = [], *torch.zeros(2, len(thresholds), dtype=torch.float64)
    for exit_, leaves in enumerate(_exit_masks(evidence, thresholds)):
        # Counts up to 2 ** 24 are exact in float32, at half the cost.
        sums.append((leaves.float() @ torch.stack([right[:, exit_], torch.ones(len(right))], 1)).double())  # (p, 2)
        macs += sums[-1][:, 1] * cost[0, exit_] if alike else leaves.double() @ cost[:, exit_]
        utilities += sums[-1][:, 0] if utility is None else leaves.double() @ utility[:, exit_]
    both = torch.stack(sums, 1)  # (p, E, 2)
    return both[..., 0].sum(1), macs, both[..., 1], utilities


def _exit_masks(evidence: Evidence, thresholds: Tensor) -> Iterator[Tensor]:
    """For each exit in turn, the samples that exit there (p, N)."""
    staying = torch.ones(len(thresholds), len(evidence), dtype=torch.bool)
    for exit_, certainty in enumerate(evidence.certainty[:, :-1].T):
        stops = certainty >= thresholds[:, exit_, None]
        yield staying & stops
        staying &= ~stops
    yield staying
