"""Base class of rules with one threshold per exit."""

from __future__ import annotations

import functools
import math
from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import Tensor

from benchmark.policies.base import ThresholdPolicy
from benchmark.policies.calibration import geometric_sweep
from benchmark.policies.calibration.evidence import Evidence
from benchmark.records.schema import Section
from benchmark.types import ExitbenchError, Trace
from benchmark.utils import checks


@dataclass(frozen=True)
class PerExit(ThresholdPolicy):
    """Stops at exit k if `certainty` reaches threshold k of `thresholds`; the last exit always answers.

    thresholds: one for each exit but the last, larger is stricter, infinity if no sample exits; empty until `fit`.
    As a `ThresholdPolicy` its signal is certainty − threshold, compared with `threshold` 0.
    """

    threshold: float = 0.0
    thresholds: tuple[float, ...] = ()
    rising: ClassVar[bool] = True
    tunable: ClassVar[bool] = False
    chosen_by: ClassVar[str] = "calibration"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.threshold != 0:
            raise ExitbenchError(
                f"policy.threshold: expected auto, as {self.name} has a threshold for each exit and solves them, "
                f"got {self.threshold}"
            )
        object.__setattr__(self, "thresholds", tuple(map(float, self.thresholds)))

    @abstractmethod
    def certainty(self, logits: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (b, C) and state (b, …) -> certainty (b,), larger is more certain, and the next state."""

    @abstractmethod
    def protocol_thresholds(self, trace: Trace, macs: Tensor) -> Tensor:
        """Thresholds (P, E − 1) of the rule's 59 points by ascending cost, found on a trace."""

    @abstractmethod
    def fit(self, trace: Trace, macs: Tensor) -> Self:
        """The rule with thresholds found on a calibration trace; macs (N, E) cumulative."""

    def at(self, threshold: float) -> Self:
        """The rule itself: it has no single threshold."""
        return self

    def facts(self, trace: Trace, macs: Tensor) -> Section:
        """Further facts for the operating point of a record."""
        return {}

    def written(self) -> list[float | None]:
        """The thresholds as a record holds them: None if no sample exits there."""
        return [value if math.isfinite(value) else None for value in self.thresholds]

    def with_thresholds(self, found: Tensor) -> Self:
        """The same rule with thresholds (E − 1,)."""
        return replace(self, thresholds=tuple(found.tolist()))

    def start(self, size: int, device: str) -> Tensor:
        """State (b, 1): exits so far. Subclasses may add columns after it."""
        return torch.zeros(size, 1, device=device)

    def signal(self, logits: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (b, C) -> certainty minus this exit's threshold (b,); infinity at the last exit."""
        if not self.thresholds:
            raise ExitbenchError(
                f"policy {self.name}: expected thresholds found on calibration data, got none; "
                "a run finds them, an attack's source_policy must be a rule of one threshold"
            )
        certainty, after = self.certainty(logits, state)
        index = state[:, 0]
        after = torch.cat([index[:, None] + 1, after[:, 1:]], 1)
        return certainty.float() - _threshold_column(self.thresholds, str(logits.device))[index.long()], after

    @abstractmethod
    def evidence(self, trace: Trace, macs: Tensor) -> Evidence:
        """What solvers need of a trace, with this rule's certainty; macs (N, E) cumulative."""


@functools.lru_cache(maxsize=64)
def _threshold_column(thresholds: tuple[float, ...], device: str) -> Tensor:
    """The thresholds (E,) float32, minus infinity at the last exit; cached, because steps are timed."""
    return torch.tensor([*thresholds, -math.inf], device=device)


def check_budget(gmacs: object) -> None:
    """Raise ExitbenchError unless a budget is given; only calibration data show whether it can be met."""
    if gmacs is None:
        raise ExitbenchError(
            "policy.gmacs: expected a budget of GMACs a sample, such as policy.gmacs=0.02, got none; a record of "
            "policy=never shows the cost of each exit"
        )
    checks.positive("policy.gmacs", gmacs)


def check_point(point: object) -> None:
    """Raise ExitbenchError unless it is one of the protocol's 59 points."""
    if isinstance(point, bool) or not isinstance(point, int) or point not in geometric_sweep.POINTS:
        raise ExitbenchError(f"policy.point: expected a point p from 1 to 59, got {point!r}")
