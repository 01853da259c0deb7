"""Base class of exit rules with one threshold, and what a rule reads of a trace or a running model."""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import Tensor

from benchmark.types import EarlyExitModel, ExitbenchError, NotApplicable, Policy


@dataclass(frozen=True)
class ThresholdPolicy(ABC):
    """An exit rule that compares one signal per exit with one threshold.

    rising: a sample stops when signal >= threshold (rising) or signal < threshold (falling).
    Subclasses give `name`, `rising` and `signal`; `step` is the same for all.
    reads: the input of `signal`: "logits" (b, C), "extra" (b, X) or "hindsight" (b, 1); see `rule_columns`.
    tunable: whether the rule has a threshold to choose.
    """

    name: ClassVar[str]
    rising: ClassVar[bool]
    reads: ClassVar[str] = "logits"
    tunable: ClassVar[bool] = True
    threshold: float

    def __post_init__(self) -> None:
        if isinstance(self.threshold, bool) or not isinstance(self.threshold, int | float):
            raise ExitbenchError(f"policy.threshold: expected a number, got {self.threshold!r}")
        if math.isnan(self.threshold):
            raise ExitbenchError("policy.threshold: expected a number, got nan")

    @abstractmethod
    def signal(self, logits: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (b, C) and state (b, …) -> signal (b,) and the next state; knows no threshold."""

    def start(self, size: int, device: str) -> Tensor:
        """The state before exit 1; most rules have none: (b, 0)."""
        return torch.empty(size, 0, device=device)

    def stops(self, signal: Tensor) -> Tensor:
        """Which signals end the run, any shape -> bool of that shape."""
        return signal >= self.threshold if self.rising else signal < self.threshold

    def step(self, logits: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """One exit: logits (b, C) and state -> stop (b,) and the next state."""
        signal, state = self.signal(logits, state)
        return self.stops(signal), state

    def step_one(self, logits: Tensor, state: Tensor) -> tuple[bool, Tensor]:
        """`step` for one sample, logits (1, C), compared in Python: there an operator can cost as much as a layer.

        Used only if the comparison is that of `stops`: tensors are compared with the threshold in the signal's dtype.
        """
        own = type(self)
        if own.step is not ThresholdPolicy.step or own.stops is not ThresholdPolicy.stops:
            stop, state = self.step(logits, state)
            return bool(stop.item()), state
        signal, state = self.signal(logits, state)
        if signal.dtype != torch.float32:
            return bool(self.stops(signal).item()), state
        value, threshold = signal.item(), _float32(self.threshold)
        return value >= threshold if self.rising else value < threshold, state

    def ops(self, num_classes: int) -> int | None:
        """Operations of one step for one sample, without the model's; None if the rule does not declare them.

        Scalar +, −, ×, ÷, exp, log and comparisons. A softmax over C classes has 5C − 2: C − 1 comparisons for the
        largest, C differences, C exp, C − 1 sums, C quotients. They are no matrix products, so MACs do not contain
        them. A rule that needs matrix products has them in the model's exits, where they are counted.
        """
        return None

    def fixed_exit(self, num_exits: int) -> int | None:
        """The exit that every sample takes whatever its logits, 1 … E; None for a rule that looks at them."""
        return None

    def at(self, threshold: float) -> Self:
        """The same rule with another threshold."""
        return replace(self, threshold=threshold)


@functools.lru_cache(maxsize=1024)
def _float32(threshold: float) -> float:
    return torch.tensor(threshold, dtype=torch.float32).item()


def rule_columns(policy: Policy, logits: Tensor, extra: Tensor | None = None, labels: Tensor | None = None) -> Tensor:
    """The rule's input (N, E, ·) from logits (N, E, C), extra columns (N, E, X) and labels (N,).

    For "hindsight" it is the depth of the first right exit, the same at every exit, or infinity if none is right.

    Raises:
        NotApplicable: the rule reads extra columns or labels, and there are none.
    """
    reads = getattr(policy, "reads", "logits")
    if reads == "extra":
        if extra is None or not extra.shape[-1]:
            raise _missing_columns(policy, reads)
        return extra
    if reads == "hindsight":
        if labels is None:
            raise _missing_columns(policy, reads)
        right = logits.argmax(-1) == labels[:, None]  # (N, E)
        first = torch.where(right.any(1), right.int().argmax(1) + 1, math.inf)  # (N,)
        return first[:, None, None].expand(-1, logits.shape[1], 1)
    return logits


def live_columns(policy: Policy, model: EarlyExitModel) -> slice:
    """The columns that the rule reads of the (b, C + X) that a model's exits yield.

    Raises:
        NotApplicable: the rule reads what this model, or any model, cannot provide while it runs.
    """
    reads, extra = getattr(policy, "reads", "logits"), getattr(model, "extra_columns", 0)
    if reads == "hindsight" or (reads == "extra" and not extra):
        raise _missing_columns(policy, reads)
    return slice(model.num_classes, None) if reads == "extra" else slice(model.num_classes)


def _missing_columns(policy: Policy, reads: str) -> NotApplicable:
    if reads == "extra":
        return NotApplicable(
            f"policy {policy.name}: expected a model with a learned certainty after its logits "
            "(trained with learn_to_exit), got one without; choose another model or policy"
        )
    return NotApplicable(
        f"policy {policy.name}: expected labels, which a live run does not have; it bounds clean, untimed records: "
        "set workload=clean timing.samples=0"
    )
