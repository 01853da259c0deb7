"""Rules with one threshold per exit instead of one for all: what they share, live, on traces and in records."""

from __future__ import annotations

import functools
import math
from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from benchmark.policies.base import ThresholdPolicy
from benchmark.policies.calibration import geometric_sweep
from benchmark.policies.calibration.evidence import Evidence
from benchmark.types import ExitbenchError, Trace
from benchmark.utils import checks


@dataclass(frozen=True)
class PerExit(ThresholdPolicy):
    """Stops at exit k where `sureness` reaches that exit's own of the `thresholds`; the last exit always answers.

    thresholds: one for each exit but the last, larger is stricter, infinity where none leaves; empty until `fit`.
    As a `ThresholdPolicy` its signal is what is left over that threshold, and the one `threshold` is 0.
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
    def sureness(self, logits: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (b, C) and state (b, …) -> how sure (b,), larger is surer, and the next state."""

    @abstractmethod
    def family(self, trace: Trace, macs: Tensor) -> Tensor:
        """Thresholds (P, E − 1) of the rule's 59 points, from the cheapest to the dearest, found on a trace."""

    @abstractmethod
    def fit(self, trace: Trace, macs: Tensor) -> Self:
        """The rule with thresholds found on a calibration trace; macs (N, E) cumulative."""

    def at(self, threshold: float) -> Self:
        """The rule itself: no one threshold moves it."""
        return self

    def facts(self, trace: Trace, macs: Tensor) -> dict[str, Any]:
        """What a record's operating point says beside the thresholds."""
        return {}

    def written(self) -> list[float | None]:
        """The thresholds as a record holds them: None where none leaves."""
        return [value if math.isfinite(value) else None for value in self.thresholds]

    def with_thresholds(self, found: Tensor) -> Self:
        """The same rule with thresholds (E − 1,)."""
        return replace(self, thresholds=tuple(found.tolist()))

    def start(self, size: int, device: str) -> Tensor:
        """State (b, 1): exits seen. Subclasses may keep more columns after it."""
        return torch.zeros(size, 1, device=device)

    def signal(self, logits: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (b, C) -> sureness over this exit's threshold (b,); infinity at the last exit."""
        if not self.thresholds:
            raise ExitbenchError(
                f"policy {self.name}: expected thresholds found on calibration data, got none; "
                "a run finds them, an attack's source_policy must be a rule of one threshold"
            )
        sure, after = self.sureness(logits, state)
        seen = state[:, 0]
        after = torch.cat([seen[:, None] + 1, after[:, 1:]], 1)
        return sure.float() - _ladder(self.thresholds, str(logits.device))[seen.long()], after

    @abstractmethod
    def evidence(self, trace: Trace, macs: Tensor) -> Evidence:
        """What solvers need of a trace, by this rule's sureness; macs (N, E) cumulative."""


@functools.lru_cache(maxsize=64)
def _ladder(thresholds: tuple[float, ...], device: str) -> Tensor:
    """The thresholds (E,) float32, the last exit's minus infinity; kept, as a step is timed."""
    return torch.tensor([*thresholds, -math.inf], device=device)


def budget_given(gmacs: object) -> None:
    """Raise ExitbenchError unless a budget is named; whether it can be met, only the calibration data say."""
    if gmacs is None:
        raise ExitbenchError(
            "policy.gmacs: expected a budget of GMACs a sample, such as policy.gmacs=0.02, got none; a record of "
            "policy=never says what each exit costs"
        )
    checks.positive("policy.gmacs", gmacs)


def point_given(point: object) -> None:
    """Raise ExitbenchError unless it is one of the protocol's 59 points."""
    if isinstance(point, bool) or not isinstance(point, int) or point not in geometric_sweep.POINTS:
        raise ExitbenchError(f"policy.point: expected a point p from 1 to 59, got {point!r}")
