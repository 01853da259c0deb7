"""Live execution: to full depth, or with early exit so that what lies deeper is never computed."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from benchmark.policies.base import ThresholdPolicy, live, read_live
from benchmark.types import Batch, EarlyExitModel, Policy


@torch.inference_mode()
def run_full(model: EarlyExitModel, batch: Batch) -> Tensor:
    """Logits (b, C) of the last exit: every stage, no policy, nothing read back from the device on the way.

    The heads of the earlier exits are computed too, as in `macs_full`; the generator seam knows no other depth.
    """
    columns: Tensor | None = None
    for columns in model.exits(batch):  # noqa: B007 – only the last one is wanted
        pass
    assert columns is not None
    return columns[:, : model.num_classes]


@torch.inference_mode()
def run_early(model: EarlyExitModel, policy: Policy, batch: Batch) -> tuple[Tensor, Tensor]:
    """Answered logits (b, C) and exit depths (b,) in 1 … E, equal to `decide.live`.

    A single sample either stops or goes on: one bool per exit crosses from the device, and nothing is compacted.
    """
    return _run_single(model, policy, batch) if len(batch) == 1 else live(policy, model, batch)


def _run_single(model: EarlyExitModel, policy: Policy, batch: Batch) -> tuple[Tensor, Tensor]:
    device = batch.lengths.device
    ask = policy.step_one if isinstance(policy, ThresholdPolicy) else partial(_step_one, policy)
    state, seen = policy.start(1, str(device)), read_live(policy, model)
    generator = model.exits(batch)
    columns = next(generator)  # (1, C + X)
    extra = columns.shape[1] != model.num_classes  # without, every column is read: a view of all would cost its call
    depth = 1
    while depth < model.num_exits:
        stop, state = ask(columns[:, seen] if extra else columns, state)
        if stop:
            break
        columns = next(generator)
        depth += 1
    generator.close()
    return columns[:, : model.num_classes] if extra else columns, torch.full((1,), depth, device=device)


def _step_one(policy: Policy, logits: Tensor, state: Tensor) -> tuple[bool, Tensor]:
    """One exit of one sample by a rule that is only a `Policy`."""
    stop, state = policy.step(logits, state)
    return bool(stop.item()), state
