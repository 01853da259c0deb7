"""Policies at work: the threshold rule they share, their replay on traces, and their live run on a model.

Below models and policies on purpose, so that searches can ask for the depth of a candidate.
"""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import Tensor

from benchmark.types import Batch, EarlyExitModel, ExitbenchError, NotApplicable, Policy, Trace


@dataclass(frozen=True)
class ThresholdPolicy(ABC):
    """An exit rule that compares one signal per exit with one threshold.

    rising: a sample stops when signal >= threshold (rising) or signal < threshold (falling).
    Subclasses give `name`, `rising` and `signal`; `step` is the same for all.
    reads: what `signal` is handed as its logits, "logits" (b, C), "extra" (b, X) or "hindsight" (b, 1); see `handed`.
    tunable: whether there is a threshold to choose at all.
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
        """Most rules remember nothing: a state of no columns."""
        return torch.empty(size, 0, device=device)

    def stops(self, signal: Tensor) -> Tensor:
        """Which signals end the run, any shape -> bool of that shape."""
        return signal >= self.threshold if self.rising else signal < self.threshold

    def step(self, logits: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """One exit: logits (b, C) and state -> stop (b,) and the next state."""
        signal, state = self.signal(logits, state)
        return self.stops(signal), state

    def step_one(self, logits: Tensor, state: Tensor) -> tuple[bool, Tensor]:
        """`step` for one sample, logits (1, C), compared in Python: at one image an operator costs as much as a layer.

        Only where that compares what `stops` would: a comparison of tensors rounds the threshold to the signal's dtype.
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
        """What one step computes for one sample beside the model, or None where the rule does not say.

        In scalar +, −, ×, ÷, exp, log and comparisons; a softmax over C classes has 5C − 2 of them: C − 1 comparisons
        for the largest, C differences, C exp, C − 1 sums, C quotients. None is a matrix product, so MACs hold none of
        it; a rule that needs matrix products has them in the model's exits, where they are counted.
        """
        return None

    def at(self, threshold: float) -> Self:
        """The same rule with another threshold."""
        return replace(self, threshold=threshold)


@functools.lru_cache(maxsize=1024)
def _float32(threshold: float) -> float:
    return torch.tensor(threshold, dtype=torch.float32).item()


def handed(policy: Policy, logits: Tensor, extra: Tensor | None = None, labels: Tensor | None = None) -> Tensor:
    """What the rule reads of logits (N, E, C), extra columns (N, E, X) and labels (N,) -> (N, E, ·).

    In hindsight that is, at every exit alike, the depth of the first exit that is right, infinity where none is.

    Raises:
        NotApplicable: the rule reads extra columns or labels and there are none.
    """
    reads = getattr(policy, "reads", "logits")
    if reads == "extra":
        if extra is None or not extra.shape[-1]:
            raise _without(policy, reads)
        return extra
    if reads == "hindsight":
        if labels is None:
            raise _without(policy, reads)
        right = logits.argmax(-1) == labels[:, None]  # (N, E)
        first = torch.where(right.any(1), right.int().argmax(1) + 1, math.inf)  # (N,)
        return first[:, None, None].expand(-1, logits.shape[1], 1)
    return logits


def read_live(policy: Policy, model: EarlyExitModel) -> slice:
    """Which of the columns (b, C + X) that a model's exits yield the rule reads.

    Raises:
        NotApplicable: it reads what this model, or any model, cannot give it while it runs.
    """
    reads, extra = getattr(policy, "reads", "logits"), getattr(model, "extra_columns", 0)
    if reads == "hindsight" or (reads == "extra" and not extra):
        raise _without(policy, reads)
    return slice(model.num_classes, None) if reads == "extra" else slice(model.num_classes)


def _without(policy: Policy, reads: str) -> NotApplicable:
    if reads == "extra":
        return NotApplicable(
            f"policy {policy.name}: expected a model with a learned certainty after its logits "
            "(trained with learn_to_exit), got one without; choose another model or policy"
        )
    return NotApplicable(
        f"policy {policy.name}: expected labels, which nothing that runs live has; it bounds clean, untimed records: "
        "set workload=clean timing.samples=0"
    )


def signals(
    policy: ThresholdPolicy, logits: Tensor, extra: Tensor | None = None, labels: Tensor | None = None
) -> Tensor:
    """The rule's signal at every exit: logits (N, E, C) -> (N, E). Independent of the threshold."""
    columns = handed(policy, logits, extra, labels)
    state = policy.start(len(columns), str(columns.device))
    seen = []
    for exit_columns in columns.unbind(1):  # (N, C)
        signal, state = policy.signal(exit_columns, state)
        seen.append(signal)
    return torch.stack(seen, 1)


def trace_signals(policy: ThresholdPolicy, trace: Trace) -> Tensor:
    """`signals` (N, E) on all that a trace holds."""
    return signals(policy, trace.logits, trace.extra, trace.labels)


def first_exit(stop: Tensor) -> Tensor:
    """Stop flags (…, E) -> exit depth (…,) in 1 … E: the first flag set, the last exit where none is."""
    last = torch.ones_like(stop[..., :1])
    return torch.cat([stop[..., :-1], last], -1).int().argmax(-1) + 1


def replay(policy: Policy, logits: Tensor, extra: Tensor | None = None, labels: Tensor | None = None) -> Tensor:
    """Exit depths (N,) in 1 … E that the policy gives on stored logits (N, E, C), and what else it reads."""
    columns = handed(policy, logits, extra, labels)
    state = policy.start(len(columns), str(columns.device))
    flags = []
    for exit_columns in columns.unbind(1):
        stop, state = policy.step(exit_columns, state)
        flags.append(stop)
    return first_exit(torch.stack(flags, 1))


def trace_depths(policy: Policy, trace: Trace) -> Tensor:
    """`replay` (N,) on all that a trace holds."""
    return replay(policy, trace.logits, trace.extra, trace.labels)


def live(policy: Policy, model: EarlyExitModel, batch: Batch) -> tuple[Tensor, Tensor]:
    """Run with early exit: answered logits (b, C) and exit depths (b,). Samples that left are not computed on."""
    size = len(batch)
    device = str(batch.lengths.device)
    running = torch.arange(size, device=device)
    depths = torch.full((size,), model.num_exits, device=device)
    answers: Tensor | None = None
    state, seen = policy.start(size, device), read_live(policy, model)
    generator = model.exits(batch)
    columns = next(generator)  # (b, C + X)
    for depth in range(1, model.num_exits + 1):
        logits = columns[:, : model.num_classes]
        if answers is None:
            answers = torch.empty(size, logits.shape[-1], dtype=logits.dtype, device=logits.device)
        if depth == model.num_exits:
            answers[running] = logits
            break
        stop, state = policy.step(columns[:, seen], state)
        left = running[stop]
        answers[left] = logits[stop]
        depths[left] = depth
        keep = ~stop
        running, state = running[keep], state[keep]
        if not len(running):
            break
        columns = generator.send(keep)
    generator.close()
    assert answers is not None
    return answers, depths
