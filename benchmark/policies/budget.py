"""Exit at thresholds, one per exit, that answer best for a budget of mean GMACs (DVT section 3.5; solver: ours)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from benchmark.policies.calibration.budget_families import by_measure, sweep_costs
from benchmark.policies.calibration.certainty import SIGNALS
from benchmark.policies.calibration.evidence import Evidence, outcomes
from benchmark.policies.calibration.per_exit import PerExit, budget_given
from benchmark.policies.calibration.solver import ESTIMATES, solve
from benchmark.types import Trace
from benchmark.utils import checks


@dataclass(frozen=True)
class Budget(PerExit):
    """Thresholds that maximise accuracy on calibration data among those whose mean cost there is within the budget.

    gmacs: the budget, in 1e9 MACs a sample, between the cost of the first exit and that of the last.
    measure: of sureness, "confidence" (largest probability) or "entropy" (nats), the control of DVT's Table 9.
    estimate: how accuracy is read off the calibration data, see `solver.solve`.
    """

    gmacs: float = 0.0
    measure: str = "confidence"
    estimate: str = "isotonic"
    name: ClassVar[str] = "budget"

    def __post_init__(self) -> None:
        super().__post_init__()
        budget_given(self.gmacs)
        checks.choice("policy.signal", self.measure, SIGNALS)
        checks.choice("policy.estimate", self.estimate, ESTIMATES)

    def sureness(self, logits: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (b, C) -> largest probability, or entropy in nats negated (b,)."""
        measure, sign, _ = SIGNALS[self.measure]
        return sign * measure(logits), state

    def ops(self, num_classes: int) -> int:
        """The measure, and what is left over the exit's threshold compared with 0."""
        return SIGNALS[self.measure][2](num_classes)

    def fit(self, trace: Trace, macs: Tensor) -> Self:
        """The rule with the best thresholds for its budget; raises ExitbenchError for one that cannot be met."""
        return self.with_thresholds(solve(self.evidence(trace, macs), [self.gmacs * 1e9], self.estimate)[0])

    def evidence(self, trace: Trace, macs: Tensor) -> Evidence:
        """By the measure."""
        return by_measure(trace, macs, self.measure)

    def family(self, trace: Trace, macs: Tensor) -> Tensor:
        """The best thresholds (59, E − 1) for what the released sweep costs at each of its points."""
        budgets = sweep_costs(by_measure(trace, macs, "confidence"))
        return solve(self.evidence(trace, macs), budgets, self.estimate)

    def facts(self, trace: Trace, macs: Tensor) -> dict[str, Any]:
        """The budget, and what of it is spent on calibration data: less where more would not answer better."""
        spent = outcomes(self.evidence(trace, macs), torch.tensor([self.thresholds])).macs
        return {"budget_gmacs": self.gmacs, "calibration_gmacs": float(spent) / 1e9}

    def written(self) -> list[float | None]:
        """The thresholds in the measure's own units: leave at confidence >=, or at entropy <=, this."""
        sign = SIGNALS[self.measure][1]
        return [value if value is None else sign * value for value in super().written()]


def build(gmacs: float, signal: str = "confidence", estimate: str = "isotonic", threshold: float = 0.0) -> Budget:
    """The rule as a configuration names it; raises ExitbenchError for a value that is none."""
    return Budget(threshold=threshold, gmacs=gmacs, measure=signal, estimate=estimate)
