"""Live inference of one batch: to full depth, or with early exit, which never computes the deeper stages."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from benchmark.policies.base import ThresholdPolicy, live_columns
from benchmark.policies.replay import live
from benchmark.types import Batch, EarlyExitModel, Policy


@torch.inference_mode()
def run_full(model: EarlyExitModel, batch: Batch) -> Tensor:
    """Logits (b, C) of the last exit: all stages, without a policy and without waiting for the device in between.

    The heads of the earlier exits are computed too, as in `macs_full`: a model yields every exit.
    """
    columns: Tensor | None = None
    for columns in model.exits(batch):  # noqa: B007 – only the last one is wanted
        pass
    assert columns is not None
    return columns[:, : model.num_classes]


@torch.inference_mode()
def run_early(model: EarlyExitModel, policy: Policy, batch: Batch) -> tuple[Tensor, Tensor]:
    """Logits (b, C) of the exit taken and exit depths (b,) in 1 … E, equal to `policies.replay.live`.

    A single sample takes a faster path: one bool per exit is read from the device, and no batch is compacted.
    """
    return _run_single(model, policy, batch) if len(batch) == 1 else live(policy, model, batch)


def _run_single(model: EarlyExitModel, policy: Policy, batch: Batch) -> tuple[Tensor, Tensor]:
    device = batch.lengths.device
    step = policy.step_one if isinstance(policy, ThresholdPolicy) else partial(_step_one, policy)
    state, columns_read = policy.start(1, str(device)), live_columns(policy, model)
    generator = model.exits(batch)
    columns = next(generator)  # (1, C + X)
    extra = columns.shape[1] != model.num_classes  # without extra columns, slicing would only cost time
    depth = 1
    while depth < model.num_exits:
        stop, state = step(columns[:, columns_read] if extra else columns, state)
        if stop:
            break
        columns = next(generator)
        depth += 1
    generator.close()
    return columns[:, : model.num_classes] if extra else columns, torch.full((1,), depth, device=device)


def _step_one(policy: Policy, logits: Tensor, state: Tensor) -> tuple[bool, Tensor]:
    """One exit of one sample, for a rule without a `step_one` of its own."""
    stop, state = policy.step(logits, state)
    return bool(stop.item()), state
