"""Exit at the thresholds that the authors' checkpoint carries: DVT's own 59 points (released with the paper)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from benchmark.policies.calibration import geometric_sweep
from benchmark.policies.calibration.budget_families import by_measure
from benchmark.policies.calibration.certainty import SIGNALS
from benchmark.policies.calibration.evidence import Evidence, outcomes
from benchmark.policies.calibration.per_exit import PerExit, point_given
from benchmark.types import ExitbenchError, Trace

NOBODY = 1e7  # the released tables say "none leaves here" by thresholds of 1e8


@dataclass(frozen=True)
class Official(PerExit):
    """The thresholds on the largest probability that a released checkpoint holds for p = `point` of 1 … 59.

    released (59, E − 1) and released_gmacs (E,) come from the model, by `of_model`: its `official` dictionary with the
    checkpoint's `dynamic_threshold` (59, E), the last column unused, and `flops`, multiply-adds in 1e9.
    """

    point: int = 20
    released: tuple[tuple[float, ...], ...] = ()
    released_gmacs: tuple[float, ...] = ()
    name: ClassVar[str] = "official"
    chosen_by: ClassVar[str] = "released"

    def __post_init__(self) -> None:
        super().__post_init__()
        point_given(self.point)

    def of_model(self, model: Any) -> Self:
        """The rule with what the model's checkpoint carries.

        Raises:
            ExitbenchError: it carries nothing, or not one threshold for each exit and point.
        """
        carried = getattr(model, "official", None) or {}
        if carried.get("dynamic_threshold") is None:
            raise ExitbenchError(
                "policy official: expected a model with the authors' thresholds (dynamic_threshold in their .pth.tar), "
                f"got {type(model).__name__} without; set model.checkpoint to their file, or choose policy=geometric"
            )
        table = torch.as_tensor(carried["dynamic_threshold"], dtype=torch.float32)
        if table.shape != (len(geometric_sweep.POINTS), model.num_exits):
            raise ExitbenchError(
                f"policy official: expected dynamic_threshold of shape "
                f"({len(geometric_sweep.POINTS)}, {model.num_exits}), "
                f"got {tuple(table.shape)}"
            )
        early = table[:, :-1].masked_fill(table[:, :-1] > NOBODY, torch.inf)
        gmacs = tuple(float(value) for value in carried.get("flops") or ())
        return replace(self, released=tuple(map(tuple, early.tolist())), released_gmacs=gmacs)

    def sureness(self, logits: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (b, C) -> largest probability (b,)."""
        return SIGNALS["confidence"][0](logits), state

    def ops(self, num_classes: int) -> int:
        """As the budget's."""
        return SIGNALS["confidence"][2](num_classes)

    def fit(self, trace: Trace, macs: Tensor) -> Self:
        """The rule at its point; nothing is found on the trace."""
        return self.with_thresholds(self.family(trace, macs)[self.point - 1])

    def evidence(self, trace: Trace, macs: Tensor) -> Evidence:
        """By confidence."""
        return by_measure(trace, macs, "confidence")

    def family(self, trace: Trace, macs: Tensor) -> Tensor:
        """The released thresholds (59, E − 1)."""
        return torch.tensor(self.released)

    def facts(self, trace: Trace, macs: Tensor) -> dict[str, Any]:
        """The point, the authors' GMACs to each exit, and the mean they would state for the calibration data."""
        facts: dict[str, Any] = {"point": self.point}
        if len(self.released_gmacs) == macs.shape[1]:
            leaving = outcomes(self.evidence(trace, macs), torch.tensor([self.thresholds])).leaving[0]
            mean = float(leaving @ torch.tensor(self.released_gmacs, dtype=torch.float64))
            facts |= {"released_gmacs": list(self.released_gmacs), "released_gmacs_mean": mean}
        return facts
