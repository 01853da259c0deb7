"""Exit at random, with the shares of a budget's solution: the control that knows nothing of samples (DVT, Table 9)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from benchmark.policies.calibration.budget_families import at_random, by_draw, by_measure, draws, sweep_costs
from benchmark.policies.calibration.evidence import Evidence
from benchmark.policies.calibration.per_exit import PerExit, budget_given
from benchmark.policies.calibration.solver import ESTIMATES
from benchmark.types import Trace
from benchmark.utils import checks


@dataclass(frozen=True)
class Random(PerExit):
    """At each exit leaves the share of samples that leaves there at the best thresholds for the budget `gmacs`.

    Who leaves is drawn by the sample's own content (`families.draws`), so that a live run draws as a replay does.
    """

    gmacs: float = 0.0
    seed: int = 0
    estimate: str = "isotonic"
    name: ClassVar[str] = "random"

    def __post_init__(self) -> None:
        super().__post_init__()
        budget_given(self.gmacs)
        checks.whole_number("policy.seed", self.seed, 0)
        checks.choice("policy.estimate", self.estimate, ESTIMATES)

    def start(self, size: int, device: str) -> Tensor:
        """State (b, 2): exits seen, and the draw."""
        return torch.zeros(size, 2, device=device)

    def sureness(self, logits: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (b, C) -> the draw (b,), made at exit 1 and remembered."""
        drawn = torch.where(state[:, 0] == 0, draws(logits, self.seed), state[:, 1])
        return drawn, torch.stack([state[:, 0], drawn], 1)

    def ops(self, num_classes: int) -> int:
        """The projection C products and C − 1 sums, its phase, and what is left over the threshold compared with 0."""
        return 2 * num_classes + 2

    def evidence(self, trace: Trace, macs: Tensor) -> Evidence:
        """By the draw."""
        return by_draw(trace, macs, self.seed)

    def fit(self, trace: Trace, macs: Tensor) -> Self:
        """The rule at the shares of the budget's solution; raises ExitbenchError for a budget that cannot be met."""
        return self.with_thresholds(self._found(trace, macs, [self.gmacs * 1e9])[0])

    def family(self, trace: Trace, macs: Tensor) -> Tensor:
        """The same for what the released sweep costs at each of its points (59, E − 1)."""
        return self._found(trace, macs, sweep_costs(by_measure(trace, macs, "confidence")))

    def _found(self, trace: Trace, macs: Tensor, budgets: list[float]) -> Tensor:
        confident = by_measure(trace, macs, "confidence")
        return at_random(confident, self.evidence(trace, macs), budgets, self.estimate)

    def facts(self, trace: Trace, macs: Tensor) -> dict[str, Any]:
        """The budget whose shares these are."""
        return {"budget_gmacs": self.gmacs}
