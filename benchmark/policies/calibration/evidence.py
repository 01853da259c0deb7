"""What threshold solvers need of a trace: how sure each exit is, whether it is right, what it costs. No classes.

Read from the logits once (the dear part: a softmax over N · E · C numbers); every threshold, budget and curve
after that is arithmetic on three small tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from scipy.optimize import isotonic_regression
from torch import Tensor

from benchmark.policies.calibration.threshold_grid import measure_margins, snapped

CHUNK = 256  # rows of the trace read at once: small enough to stay in the processor's cache


@dataclass(frozen=True, eq=False)
class Evidence:
    """Columns of N samples at E exits.

    sureness (N, E) float32, larger is surer (an entropy enters negated); right (N, E) bool; macs (N, E) float64,
    cumulative. A sample leaves at the first exit whose sureness reaches that exit's threshold, else at the last.
    """

    sureness: Tensor
    right: Tensor
    macs: Tensor
    margins: Tensor | None = None  # (N, E) float32: how far rounding can move each sureness; None for not at all
    is_between: bool = False  # whether sureness is that of `between_values`

    @property
    def num_exits(self) -> int:
        """E."""
        return self.right.shape[1]

    def __len__(self) -> int:
        return len(self.right)


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What P sets of thresholds give, each column (P,) float64, and the share that leaves at each exit (P, E)."""

    accuracy: Tensor
    macs: Tensor  # mean over samples
    leaving: Tensor
    worth: Tensor  # mean over samples, of whatever the answers were said to be worth

    @property
    def depth(self) -> Tensor:
        """Mean exit depth (P,)."""
        return self.leaving @ torch.arange(1, self.leaving.shape[1] + 1, dtype=torch.float64)


def read(logits: Tensor, labels: Tensor, macs: Tensor, sureness: Callable[[Tensor], Tensor]) -> Evidence:
    """Logits (N, E, C), labels (N,) and cumulative macs (N, E) -> their evidence.

    sureness: logits (…, C) -> (…,), larger is surer.
    """
    parts = [(sureness(part), part.argmax(-1), measure_margins(part, sureness)) for part in logits.split(CHUNK)]
    sure, answers, margins = (torch.cat(column) for column in zip(*parts, strict=True))
    return Evidence(sure.float(), answers == labels[:, None], macs.double(), margins)


def between_values(evidence: Evidence) -> Evidence:
    """The same with each sureness lowered to the midpoint below it, so that thresholds chosen among them lie on none.

    A threshold found here parts the samples of the evidence itself in the same way.
    """
    if evidence.is_between:
        return evidence
    margins = torch.zeros_like(evidence.sureness) if evidence.margins is None else evidence.margins
    columns = [snapped(*column) for column in zip(evidence.sureness.T, margins.T, strict=True)]
    return replace(evidence, sureness=torch.stack(columns, 1), is_between=True)


def smoothed(evidence: Evidence) -> Tensor:
    """How likely each answer is right given its exit's sureness (N, E) float64: right answers, counted and smoothed.

    Isotonic regression of right on sureness, exit by exit: sums over all samples stay what they were, and luck among
    the few samples between two thresholds no longer looks like skill.
    """
    columns = []
    for sure, right in zip(evidence.sureness.T, evidence.right.T, strict=True):
        values, place, count = sure.unique(return_inverse=True, return_counts=True)
        share = torch.bincount(place, right.double(), len(values)) / count
        fit = isotonic_regression(share.numpy(), weights=count.double().numpy()).x
        columns.append(torch.from_numpy(fit)[place])
    return torch.stack(columns, 1)


def outcomes(evidence: Evidence, thresholds: Tensor, worth: Tensor | None = None) -> Outcomes:
    """What each of P sets of thresholds (P, E − 1) gives, exactly: sums of counts and of whole numbers of MACs.

    worth (N, E): what an answer counts beside being right or wrong; that itself unless given.
    """
    at_once = max(1, 2_000_000 // max(1, len(evidence)))
    parts = [_outcomes(evidence, some, worth) for some in thresholds.split(at_once)]
    return Outcomes(*(torch.cat(column) / len(evidence) for column in zip(*parts, strict=True)))


def _outcomes(evidence: Evidence, thresholds: Tensor, worth: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Sums over samples: right (p,), MACs (p,), how many leave at each exit (p, E) and worth (p,), float64."""
    right, cost = evidence.right.float(), evidence.macs
    alike = bool((cost == cost[0]).all())  # as images are: their MACs follow from the counts
    sums, macs, worths = [], *torch.zeros(2, len(thresholds), dtype=torch.float64)
    for exit_, leaves in enumerate(_leavers(evidence, thresholds)):
        # Counts up to 2 ** 24 are exact in float32, and half as dear.
        sums.append((leaves.float() @ torch.stack([right[:, exit_], torch.ones(len(right))], 1)).double())  # (p, 2)
        macs += sums[-1][:, 1] * cost[0, exit_] if alike else leaves.double() @ cost[:, exit_]
        worths += sums[-1][:, 0] if worth is None else leaves.double() @ worth[:, exit_]
    both = torch.stack(sums, 1)  # (p, E, 2)
    return both[..., 0].sum(1), macs, both[..., 1], worths


def _leavers(evidence: Evidence, thresholds: Tensor) -> Iterator[Tensor]:
    """For each exit in turn, who leaves there (p, N)."""
    staying = torch.ones(len(thresholds), len(evidence), dtype=torch.bool)
    for exit_, sure in enumerate(evidence.sureness[:, :-1].T):
        stops = sure >= thresholds[:, exit_, None]
        yield staying & stops
        staying &= ~stops
    yield staying
