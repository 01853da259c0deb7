"""Random exits with the exit shares of the solved budget: a control that ignores the samples (DVT, Table 9)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor

from benchmark.policies.calibration.evidence import Evidence
from benchmark.policies.calibration.per_exit import PerExit, check_budget
from benchmark.policies.calibration.protocol_points import (
    evidence_by_draw,
    evidence_by_measure,
    random_draws,
    random_exit_thresholds,
    sweep_costs,
)
from benchmark.policies.calibration.solver import ESTIMATES
from benchmark.records.schema import Section
from benchmark.types import Trace
from benchmark.utils import checks


@dataclass(frozen=True)
class Random(PerExit):
    """At each exit a random share of samples exits: the share of the best thresholds for the budget `gmacs`.

    The draw depends on the sample's content (`protocol_points.random_draws`), so that live runs and replays agree.
    """

    gmacs: float = 0.0
    seed: int = 0
    estimate: str = "isotonic"
    name: ClassVar[str] = "random"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_budget(self.gmacs)
        checks.whole_number("policy.seed", self.seed, 0)
        checks.choice("policy.estimate", self.estimate, ESTIMATES)

    def start(self, size: int, device: str) -> Tensor:
        """State (b, 2): exits so far, and the draw."""
        return torch.zeros(size, 2, device=device)

    def certainty(self, logits: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (b, C) -> the draw (b,), made at exit 1 and remembered."""
        drawn = torch.where(state[:, 0] == 0, random_draws(logits, self.seed), state[:, 1])
        return drawn, torch.stack([state[:, 0], drawn], 1)

    def ops(self, num_classes: int) -> int:
        """Projection: C products and C − 1 sums; its phase; a difference from the threshold and a comparison."""
        return 2 * num_classes + 2

    def evidence(self, trace: Trace, macs: Tensor) -> Evidence:
        """Evidence by the random draw."""
        return evidence_by_draw(trace, macs, self.seed)

    def fit(self, trace: Trace, macs: Tensor) -> Self:
        """The rule at the shares of the budget's solution; raises ExitbenchError if it cannot be met."""
        return self.with_thresholds(self._found(trace, macs, [self.gmacs * 1e9])[0])

    def protocol_thresholds(self, trace: Trace, macs: Tensor) -> Tensor:
        """The same (59, E − 1) for the cost of each point of the released sweep."""
        return self._found(trace, macs, sweep_costs(evidence_by_measure(trace, macs, "confidence")))

    def _found(self, trace: Trace, macs: Tensor, budgets: list[float]) -> Tensor:
        confident = evidence_by_measure(trace, macs, "confidence")
        return random_exit_thresholds(confident, self.evidence(trace, macs), budgets, self.estimate)

    def facts(self, trace: Trace, macs: Tensor) -> Section:
        """The budget that the exit shares are taken from."""
        return {"budget_gmacs": self.gmacs}
