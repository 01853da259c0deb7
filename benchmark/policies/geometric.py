"""Thresholds of the released budgeted-batch protocol: a geometric sweep of exit shares (MSDNet, DVT)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor

from benchmark.policies.calibration import geometric_sweep
from benchmark.policies.calibration.certainty import SIGNALS
from benchmark.policies.calibration.evidence import Evidence
from benchmark.policies.calibration.per_exit import PerExit, check_point
from benchmark.policies.calibration.protocol_points import evidence_by_measure
from benchmark.records.schema import Section
from benchmark.types import Trace
from benchmark.utils import checks


@dataclass(frozen=True)
class Geometric(PerExit):
    """Thresholds on the largest probability at which shares ∝ q^k of the calibration samples exit at exit k.

    point: p = 1 … 59 of the protocol, for q = p / 20. q: a ratio above 0 instead of the point's.
    """

    point: int = 20
    q: float | None = None
    name: ClassVar[str] = "geometric"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_point(self.point)
        if self.q is not None:
            checks.positive("policy.q", self.q)

    def certainty(self, logits: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (b, C) -> largest probability (b,)."""
        return SIGNALS["confidence"][0](logits), state

    def ops(self, num_classes: int) -> int:
        """As in `Budget`."""
        return SIGNALS["confidence"][2](num_classes)

    def fit(self, trace: Trace, macs: Tensor) -> Self:
        """The rule with the protocol's thresholds."""
        q = torch.tensor([self.q or self.point / geometric_sweep.STEP], dtype=torch.float64)
        return self.with_thresholds(geometric_sweep.sweep(self.evidence(trace, macs), q)[0])

    def evidence(self, trace: Trace, macs: Tensor) -> Evidence:
        """Evidence by confidence."""
        return evidence_by_measure(trace, macs, "confidence")

    def protocol_thresholds(self, trace: Trace, macs: Tensor) -> Tensor:
        """The thresholds (59, E − 1) of the whole sweep."""
        return geometric_sweep.sweep(self.evidence(trace, macs))

    def facts(self, trace: Trace, macs: Tensor) -> Section:
        """The ratio of the shares."""
        return {"q": self.q or self.point / geometric_sweep.STEP}
