"""Policies at work: the threshold rule they share, their replay on traces, and their live run on a model.

Below models and policies on purpose, so that searches can ask for the depth of a candidate.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import Tensor

from benchmark.types import Batch, EarlyExitModel, ExitbenchError, Policy


@dataclass(frozen=True)
class ThresholdPolicy(ABC):
    """An exit rule that compares one signal per exit with one threshold.

    rising: a sample stops when signal >= threshold (rising) or signal < threshold (falling).
    Subclasses give `name`, `rising` and `signal`; `step` is the same for all.
    """

    name: ClassVar[str]
    rising: ClassVar[bool]
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
        """Most rules remember nothing: a state of no columns."""
        return torch.empty(size, 0, device=device)

    def stops(self, signal: Tensor) -> Tensor:
        """Which signals end the run, any shape -> bool of that shape."""
        return signal >= self.threshold if self.rising else signal < self.threshold

    def step(self, logits: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """One exit: logits (b, C) and state -> stop (b,) and the next state."""
        signal, state = self.signal(logits, state)
        return self.stops(signal), state

    def at(self, threshold: float) -> Self:
        """The same rule with another threshold."""
        return replace(self, threshold=threshold)


def signals(policy: ThresholdPolicy, logits: Tensor) -> Tensor:
    """The rule's signal at every exit: logits (N, E, C) -> (N, E). Independent of the threshold."""
    state = policy.start(len(logits), str(logits.device))
    columns = []
    for exit_logits in logits.unbind(1):  # (N, C)
        signal, state = policy.signal(exit_logits, state)
        columns.append(signal)
    return torch.stack(columns, 1)


def first_exit(stop: Tensor) -> Tensor:
    """Stop flags (…, E) -> exit depth (…,) in 1 … E: the first flag set, the last exit where none is."""
    last = torch.ones_like(stop[..., :1])
    return torch.cat([stop[..., :-1], last], -1).int().argmax(-1) + 1


def replay(policy: Policy, logits: Tensor) -> Tensor:
    """Exit depths (N,) in 1 … E that the policy gives on stored logits (N, E, C)."""
    state = policy.start(len(logits), str(logits.device))
    flags = []
    for exit_logits in logits.unbind(1):
        stop, state = policy.step(exit_logits, state)
        flags.append(stop)
    return first_exit(torch.stack(flags, 1))


def live(policy: Policy, model: EarlyExitModel, batch: Batch) -> tuple[Tensor, Tensor]:
    """Run with early exit: answered logits (b, C) and exit depths (b,). Samples that left are not computed on."""
    size = len(batch)
    device = str(batch.lengths.device)
    running = torch.arange(size, device=device)
    depths = torch.full((size,), model.num_exits, device=device)
    answers: Tensor | None = None
    state = policy.start(size, device)
    generator = model.exits(batch)
    logits = next(generator)
    for depth in range(1, model.num_exits + 1):
        if answers is None:
            answers = torch.empty(size, logits.shape[-1], dtype=logits.dtype, device=logits.device)
        if depth == model.num_exits:
            answers[running] = logits
            break
        stop, state = policy.step(logits, state)
        left = running[stop]
        answers[left] = logits[stop]
        depths[left] = depth
        keep = ~stop
        running, state = running[keep], state[keep]
        if not len(running):
            break
        logits = generator.send(keep)
    generator.close()
    assert answers is not None
    return answers, depths
