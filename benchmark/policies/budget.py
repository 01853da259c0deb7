"""Per-exit thresholds that maximise accuracy within a budget of mean GMACs (DVT, section 3.5; solver: ours)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor

from benchmark.policies.calibration.certainty import SIGNALS
from benchmark.policies.calibration.evidence import Evidence, outcomes
from benchmark.policies.calibration.per_exit import PerExit, check_budget
from benchmark.policies.calibration.protocol_points import evidence_by_measure, sweep_costs
from benchmark.policies.calibration.solver import ESTIMATES, solve
from benchmark.records.schema import Section
from benchmark.types import Trace
from benchmark.utils import checks


@dataclass(frozen=True)
class Budget(PerExit):
    """Thresholds that maximise accuracy on calibration data among those whose mean cost there is within the budget.

    gmacs: the budget, in 1e9 MACs a sample, between the cost of the first exit and that of the last.
    measure: of certainty: "confidence" (largest probability) or "entropy" (nats), the control in DVT's Table 9.
    estimate: how accuracy is estimated on the calibration data, see `solver.solve`.
    """

    gmacs: float = 0.0
    measure: str = "confidence"
    estimate: str = "isotonic"
    name: ClassVar[str] = "budget"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_budget(self.gmacs)
        checks.choice("policy.signal", self.measure, SIGNALS)
        checks.choice("policy.estimate", self.estimate, ESTIMATES)

    def certainty(self, logits: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (b, C) -> largest probability, or entropy in nats negated (b,)."""
        measure, sign, _ = SIGNALS[self.measure]
        return sign * measure(logits), state

    def ops(self, num_classes: int) -> int:
        """Those of the measure, a difference from the exit's threshold and a comparison."""
        return SIGNALS[self.measure][2](num_classes)

    def fit(self, trace: Trace, macs: Tensor) -> Self:
        """The rule with the best thresholds for its budget; raises ExitbenchError if it cannot be met."""
        return self.with_thresholds(solve(self.evidence(trace, macs), [self.gmacs * 1e9], self.estimate)[0])

    def evidence(self, trace: Trace, macs: Tensor) -> Evidence:
        """Evidence by the rule's measure."""
        return evidence_by_measure(trace, macs, self.measure)

    def protocol_thresholds(self, trace: Trace, macs: Tensor) -> Tensor:
        """The best thresholds (59, E − 1) for the cost of each point of the released sweep."""
        budgets = sweep_costs(evidence_by_measure(trace, macs, "confidence"))
        return solve(self.evidence(trace, macs), budgets, self.estimate)

    def facts(self, trace: Trace, macs: Tensor) -> Section:
        """The budget, and the cost on calibration data, which is lower if more MACs would not improve accuracy."""
        spent = outcomes(self.evidence(trace, macs), torch.tensor([self.thresholds])).macs
        return {"budget_gmacs": self.gmacs, "calibration_gmacs": float(spent) / 1e9}

    def written(self) -> list[float | None]:
        """The thresholds in units of the measure: exit at confidence >= threshold, or at entropy <= threshold."""
        sign = SIGNALS[self.measure][1]
        return [value if value is None else sign * value for value in super().written()]


def build(gmacs: float, signal: str = "confidence", estimate: str = "isotonic", threshold: float = 0.0) -> Budget:
    """Build the rule from a configuration; raises ExitbenchError for an invalid value."""
    return Budget(threshold=threshold, gmacs=gmacs, measure=signal, estimate=estimate)
