"""The thresholds stored in a released checkpoint: DVT's 59 points."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import Tensor

from benchmark.policies.calibration import geometric_sweep
from benchmark.policies.calibration.certainty import SIGNALS
from benchmark.policies.calibration.evidence import Evidence, outcomes
from benchmark.policies.calibration.per_exit import PerExit, check_point
from benchmark.policies.calibration.protocol_points import evidence_by_measure
from benchmark.records.schema import Section
from benchmark.types import EarlyExitModel, ExitbenchError, Trace

NEVER_EXITS = 1e7  # the released tables use thresholds of 1e8 where no sample exits


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
        check_point(self.point)

    def of_model(self, model: EarlyExitModel) -> Self:
        """The rule with the thresholds in the model's checkpoint.

        Raises:
            ExitbenchError: the checkpoint has none, or not one threshold for each exit and point.
        """
        released = getattr(model, "official", None) or {}
        if released.get("dynamic_threshold") is None:
            raise ExitbenchError(
                "policy official: expected a model with the authors' thresholds (dynamic_threshold in their .pth.tar), "
                f"got {type(model).__name__} without; set model.checkpoint to their file, or choose policy=geometric"
            )
        table = torch.as_tensor(released["dynamic_threshold"], dtype=torch.float32)
        if table.shape != (len(geometric_sweep.POINTS), model.num_exits):
            raise ExitbenchError(
                f"policy official: expected dynamic_threshold of shape "
                f"({len(geometric_sweep.POINTS)}, {model.num_exits}), "
                f"got {tuple(table.shape)}"
            )
        early = table[:, :-1].masked_fill(table[:, :-1] > NEVER_EXITS, torch.inf)
        gmacs = tuple(float(value) for value in released.get("flops") or ())
        return replace(self, released=tuple(map(tuple, early.tolist())), released_gmacs=gmacs)

    def certainty(self, logits: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (b, C) -> largest probability (b,)."""
        return SIGNALS["confidence"][0](logits), state

    def ops(self, num_classes: int) -> int:
        """As in `Budget`."""
        return SIGNALS["confidence"][2](num_classes)

    def fit(self, trace: Trace, macs: Tensor) -> Self:
        """The rule at its point; the trace is not used."""
        return self.with_thresholds(self.protocol_thresholds(trace, macs)[self.point - 1])

    def evidence(self, trace: Trace, macs: Tensor) -> Evidence:
        """Evidence by confidence."""
        return evidence_by_measure(trace, macs, "confidence")

    def protocol_thresholds(self, trace: Trace, macs: Tensor) -> Tensor:
        """The released thresholds (59, E − 1)."""
        return torch.tensor(self.released)

    def facts(self, trace: Trace, macs: Tensor) -> Section:
        """The point, the released GMACs to each exit, and their mean over the calibration data."""
        facts: Section = {"point": self.point}
        if len(self.released_gmacs) == macs.shape[1]:
            leaving = outcomes(self.evidence(trace, macs), torch.tensor([self.thresholds])).leaving[0]
            mean = float(leaving @ torch.tensor(self.released_gmacs, dtype=torch.float64))
            facts |= {"released_gmacs": list(self.released_gmacs), "released_gmacs_mean": mean}
        return facts
