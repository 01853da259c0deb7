"""Full depth on purpose: all exits of a batch at once, with gradients where asked."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from benchmark.policies import base as decide
from benchmark.types import Batch, EarlyExitModel, Objective, Policy


def place_of(model: EarlyExitModel) -> tuple[str, torch.dtype | None]:
    """Where a model's floating weights are and their dtype; the CPU and None for a model without any."""
    parameters: Callable[[], Any] | None = getattr(model, "parameters", None)
    for parameter in parameters() if parameters else ():
        if parameter.is_floating_point():
            return str(parameter.device), parameter.dtype
    return "cpu", None


def all_exits(model: EarlyExitModel, batch: Batch) -> Tensor:
    """What every exit yields (b, E, C + extra columns), float32; with a graph unless gradients are off."""
    return torch.stack(list(model.exits(batch)), 1).float()


def logits_of(model: EarlyExitModel, yielded: Tensor) -> Tensor:
    """The logits (…, C) of what exits yielded, without the extra columns that only policies read."""
    return yielded[..., : model.num_classes]


def answers_of(model: EarlyExitModel, yielded: Tensor) -> Tensor:
    """The last exit's answers (b,) from what exits yielded (b, E, …)."""
    return logits_of(model, yielded)[:, -1].argmax(-1)


def depths(model: EarlyExitModel, policy: Policy, yielded: Tensor) -> Tensor:
    """The exit depths (b,) that the policy gives on what all exits yielded (b, E, …)."""
    return decide.replay(policy, logits_of(model, yielded), yielded[..., model.num_classes :])


def losses(
    model: EarlyExitModel, policy: Policy, objective: Objective, yielded: Tensor, answers: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The objective (b,) and the exit depths (b,) of what all exits yielded.

    answers: the last exit's on the clean inputs (b,), told to objectives that name such an argument.
    """
    depth = depths(model, policy, yielded.detach())
    told = {"answers": answers} if _asks_for_answers(objective) else {}
    return objective(logits_of(model, yielded), depth, **told), depth


@lru_cache(maxsize=16)
def _asks_for_answers(objective: Objective) -> bool:
    return "answers" in inspect.signature(objective).parameters


def gradient(
    model: EarlyExitModel,
    policy: Policy,
    objective: Objective,
    batch: Batch,
    name: str,
    answers: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """One forward and one backward: losses (b,), what exits yielded (b, E, …), the gradient to input `name`.

    The objective sees the exit depths of this very forward. Weights gather no gradients.
    """
    leaf = batch.inputs[name].detach().requires_grad_()
    with torch.enable_grad():
        yielded = all_exits(model, batch.with_inputs(**{name: leaf}))
        loss, _ = losses(model, policy, objective, yielded, answers)
        (slope,) = torch.autograd.grad(loss.sum(), leaf)
    return loss.detach(), yielded.detach(), slope
