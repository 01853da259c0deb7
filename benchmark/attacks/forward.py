"""Forward passes through all exits, exit depths of a rule on their outputs, and gradients to an input."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import lru_cache

import torch
from torch import Tensor

from benchmark.policies import replay as exit_depths
from benchmark.types import Batch, EarlyExitModel, Objective, Policy


def device_and_dtype(model: EarlyExitModel) -> tuple[str, torch.dtype | None]:
    """Device and dtype of a model's floating-point weights; the CPU and None for a model without any."""
    parameters: Callable[[], Iterable[Tensor]] | None = getattr(model, "parameters", None)
    for parameter in parameters() if parameters else ():
        if parameter.is_floating_point():
            return str(parameter.device), parameter.dtype
    return "cpu", None


def all_exits(model: EarlyExitModel, batch: Batch) -> Tensor:
    """Outputs of all exits (b, E, C + extra columns), float32; with a graph unless gradients are off."""
    return torch.stack(list(model.exits(batch)), 1).float()


def logits_of(model: EarlyExitModel, outputs: Tensor) -> Tensor:
    """The logits (…, C) in the outputs, without the extra columns that only policies read."""
    return outputs[..., : model.num_classes]


def answers_of(model: EarlyExitModel, outputs: Tensor) -> Tensor:
    """The last exit's answers (b,) from the outputs of all exits (b, E, …)."""
    return logits_of(model, outputs)[:, -1].argmax(-1)


def depths(model: EarlyExitModel, policy: Policy, outputs: Tensor) -> Tensor:
    """The exit depths (b,) of the policy on the outputs of all exits (b, E, …)."""
    return exit_depths.replay(policy, logits_of(model, outputs), outputs[..., model.num_classes :])


def losses(
    model: EarlyExitModel, policy: Policy, objective: Objective, outputs: Tensor, answers: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The objective (b,) and the exit depths (b,) on the outputs of all exits.

    answers: the last exit's on the clean inputs (b,), passed to objectives with an argument of that name.
    """
    depth = depths(model, policy, outputs.detach())
    extra = {"answers": answers} if _takes_answers(objective) else {}
    return objective(logits_of(model, outputs), depth, **extra), depth


@lru_cache(maxsize=16)
def _takes_answers(objective: Objective) -> bool:
    return "answers" in inspect.signature(objective).parameters


def gradient(
    model: EarlyExitModel,
    policy: Policy,
    objective: Objective,
    batch: Batch,
    name: str,
    answers: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """One forward and one backward pass: losses (b,), outputs (b, E, …), and the gradient to input `name`.

    The objective gets the exit depths of this forward pass. Weights accumulate no gradients.
    """
    leaf = batch.inputs[name].detach().requires_grad_()
    with torch.enable_grad():
        outputs = all_exits(model, batch.with_inputs(**{name: leaf}))
        loss, _ = losses(model, policy, objective, outputs, answers)
        (to_input,) = torch.autograd.grad(loss.sum(), leaf)
    return loss.detach(), outputs.detach(), to_input
