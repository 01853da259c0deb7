"""Full depth on purpose: all exits of a batch at once, with gradients where asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmark import decide
from benchmark.types import Batch, EarlyExitModel, Objective, Policy


def place_of(model: EarlyExitModel) -> tuple[str, torch.dtype | None]:
    """Where a model's floating weights are and their dtype; the CPU and None for a model without any."""
    parameters: Callable[[], Any] | None = getattr(model, "parameters", None)
    for parameter in parameters() if parameters else ():
        if parameter.is_floating_point():
            return str(parameter.device), parameter.dtype
    return "cpu", None


def all_exits(model: EarlyExitModel, batch: Batch) -> Tensor:
    """Logits of every exit (b, E, C), float32; with a graph unless gradients are off."""
    return torch.stack(list(model.exits(batch)), 1).float()


def gradient(
    model: EarlyExitModel, policy: Policy, objective: Objective, batch: Batch, name: str
) -> tuple[Tensor, Tensor, Tensor]:
    """One forward and one backward: losses (b,), logits (b, E, C), and the gradient to input `name`, in its shape.

    The objective sees the exit depths of this very forward. Weights gather no gradients.
    """
    leaf = batch.inputs[name].detach().requires_grad_()
    with torch.enable_grad():
        logits = all_exits(model, batch.with_inputs(**{name: leaf}))
        loss = objective(logits, decide.replay(policy, logits.detach()))
        (slope,) = torch.autograd.grad(loss.sum(), leaf)
    return loss.detach(), logits.detach(), slope
