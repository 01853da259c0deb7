"""Exit depths of a rule: replayed on a trace, or live on a model.

It imports no model and no rule, so that attacks can compute the exit depth of a candidate.
"""

from __future__ import annotations

import torch
from torch import Tensor

from benchmark.policies.base import ThresholdPolicy, live_columns, rule_columns
from benchmark.types import Batch, EarlyExitModel, Policy, Trace


def signals(
    policy: ThresholdPolicy, logits: Tensor, extra: Tensor | None = None, labels: Tensor | None = None
) -> Tensor:
    """The rule's signal at every exit: logits (N, E, C) -> (N, E). Independent of the threshold."""
    columns = rule_columns(policy, logits, extra, labels)
    state = policy.start(len(columns), str(columns.device))
    per_exit = []
    for exit_columns in columns.unbind(1):  # (N, C)
        signal, state = policy.signal(exit_columns, state)
        per_exit.append(signal)
    return torch.stack(per_exit, 1)


def trace_signals(policy: ThresholdPolicy, trace: Trace) -> Tensor:
    """`signals` (N, E) of a trace."""
    return signals(policy, trace.logits, trace.extra, trace.labels)


def first_exit(stop: Tensor) -> Tensor:
    """Stop flags (…, E) -> exit depth (…,) in 1 … E: the first flag set, the last exit where none is."""
    last = torch.ones_like(stop[..., :1])
    return torch.cat([stop[..., :-1], last], -1).int().argmax(-1) + 1


def replay(policy: Policy, logits: Tensor, extra: Tensor | None = None, labels: Tensor | None = None) -> Tensor:
    """Exit depths (N,) in 1 … E of a rule on stored logits (N, E, C), extra columns and labels."""
    columns = rule_columns(policy, logits, extra, labels)
    state = policy.start(len(columns), str(columns.device))
    flags = []
    for exit_columns in columns.unbind(1):
        stop, state = policy.step(exit_columns, state)
        flags.append(stop)
    return first_exit(torch.stack(flags, 1))


def trace_depths(policy: Policy, trace: Trace) -> Tensor:
    """`replay` (N,) of a trace."""
    return replay(policy, trace.logits, trace.extra, trace.labels)


def live(policy: Policy, model: EarlyExitModel, batch: Batch) -> tuple[Tensor, Tensor]:
    """Run with early exit: answered logits (b, C) and exit depths (b,). Samples that have exited cost nothing more."""
    size = len(batch)
    device = str(batch.lengths.device)
    running = torch.arange(size, device=device)
    depths = torch.full((size,), model.num_exits, device=device)
    answers: Tensor | None = None
    state, columns_read = policy.start(size, device), live_columns(policy, model)
    generator = model.exits(batch)
    columns = next(generator)  # (b, C + X)
    for depth in range(1, model.num_exits + 1):
        logits = columns[:, : model.num_classes]
        if answers is None:
            answers = torch.empty(size, logits.shape[-1], dtype=logits.dtype, device=logits.device)
        if depth == model.num_exits:
            answers[running] = logits
            break
        stop, state = policy.step(columns[:, columns_read], state)
        exiting = running[stop]
        answers[exiting] = logits[stop]
        depths[exiting] = depth
        keep = ~stop
        running, state = running[keep], state[keep]
        if not len(running):
            break
        columns = generator.send(keep)
    generator.close()
    assert answers is not None
    return answers, depths
