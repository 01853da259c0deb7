"""Gradients of shared parameters: which exits depend on them, freezing, balancing and projection."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from benchmark.types import Batch, ExitbenchError


def exit_dependencies(model: Any, batch: Batch) -> list[set[str]]:
    """For each exit, first to last, the names of the trainable parameters that its answer (b, C) depends on."""
    named = {name: value for name, value in model.named_parameters() if value.requires_grad}
    training = model.training
    model.eval()  # no dropout, so no random numbers are drawn
    outputs = list(model.exits(batch))
    model.train(training)
    return [_parameters_behind(row, model.num_classes, named) for row in outputs]


def _parameters_behind(row: Tensor, classes: int, named: dict[str, nn.Parameter]) -> set[str]:
    """Names of the parameters that the first `classes` columns of an exit's output (b, C + X) depend on."""

    def gradients(columns: Tensor) -> tuple[Tensor | None, ...]:
        return torch.autograd.grad(columns.sum(), list(named.values()), allow_unused=True, retain_graph=True)

    found = {
        name: gradient
        for name, gradient in zip(named, gradients(row[:, :classes]), strict=True)
        if gradient is not None
    }
    if row.shape[1] > classes:
        # Concatenated columns share a graph: a parameter of the extra column alone has a gradient of zeros here.
        extra = {
            name
            for name, gradient in zip(named, gradients(row[:, classes:]), strict=True)
            if gradient is not None and gradient.any()
        }
        return {name for name, gradient in found.items() if gradient.any() or name not in extra}
    return set(found)


@contextmanager
def freeze_parameters(model: Any, only: Sequence[str], keep_last_exit: bool, batch: Batch) -> Iterator[list[nn.Module]]:
    """Context in which parameters that `only` does not name, or that the last exit depends on, are frozen.

    Yields the modules whose parameters are all frozen; they should stay in evaluation mode. The list is empty if
    neither `only` nor `keep_last_exit` is set.

    Raises:
        ExitbenchError: no trainable parameter is left, or a pattern matches no parameter.
    """
    before = {name: value for name, value in model.named_parameters() if value.requires_grad}
    for pattern in only:
        if not any(re.search(pattern, name) for name in before):
            raise ExitbenchError(
                f"recipe.only: expected patterns of trainable parameters such as {', '.join(list(before)[-3:])}; "
                f"{pattern!r} finds none"
            )
    last_exit = exit_dependencies(model, batch)[-1] if keep_last_exit else set()
    for name, value in before.items():
        named = not only or any(re.search(pattern, name) for pattern in only)
        value.requires_grad_(named and name not in last_exit)
    try:
        if not any(value.requires_grad for value in before.values()):
            raise ExitbenchError("recipe: expected a trainable parameter, but this stage freezes all of them")
        yield list(_frozen_modules(model)) if only or keep_last_exit else []
    finally:
        for value in before.values():
            value.requires_grad_(True)


def _frozen_modules(module: nn.Module) -> Iterator[nn.Module]:
    """The largest modules whose parameters are all frozen."""
    parameters = list(module.parameters())
    if parameters and not any(value.requires_grad for value in parameters):
        yield module
        return
    for child in module.children():
        yield from _frozen_modules(child)


@contextmanager
def balance_gradients(model: Any, batch: Batch) -> Iterator[Counter[str]]:
    """Context in which each parameter's gradient is divided by the number of exits that depend on it.

    Gradient equilibrium (Li et al., ICCV 2019, section 3.1; used by ElasticBERT, NAACL 2022) rescales gradients at exit
    i of L: by 1/(L - i + 1) for the exit branch and by (L - i)/(L - i + 1) for the deeper layers. The factors multiply,
    so each loss from exit i on contributes to segment i with weight 1/(L - i + 1). That is one over the number of exits
    that depend on the segment. The gradients are the same, and the model is not changed. Yields the number of exits for
    each parameter name.

    Raises:
        ExitbenchError: a parameter is used at several depths; the two rules then differ.
    """
    _expect_single_use(model, batch)
    counts = Counter(name for names in exit_dependencies(model, batch) for name in names)
    handles = [
        value.register_hook(lambda gradient, n=counts[name]: gradient / n)
        for name, value in model.named_parameters()
        if counts[name] > 1
    ]
    try:
        yield counts
    finally:
        for handle in handles:
            handle.remove()


def shared_parameters(model: Any, batch: Batch) -> list[nn.Parameter]:
    """The trainable parameters that both the last exit and an earlier exit depend on.

    Raises:
        ExitbenchError: there are none.
    """
    *early, last = exit_dependencies(model, batch)
    shared = last & set().union(*early)
    if not shared:
        raise ExitbenchError(
            "recipe.project: expected parameters that the last exit shares with earlier exits, found none"
        )
    return [value for name, value in model.named_parameters() if name in shared]


def project_gradients(reference: Sequence[Tensor], other: Sequence[Tensor]) -> list[Tensor]:
    """The sum of two gradients over the same parameters, without the component of `other` that opposes `reference`.

    RomeBERT (2021), gradient regularisation, as its code has it: with g the reference
    gradient and c = <other, g> / <g, g>, the result is g + other - min(c, 0) · g. Gradients that do not conflict are
    added unchanged.
    """
    inner = sum((a * b).sum() for a, b in zip(reference, other, strict=True))
    square = sum((a * a).sum() for a in reference)
    opposed = torch.clamp(torch.as_tensor(inner) / torch.as_tensor(square).clamp(min=1e-30), max=0.0)
    return [a + b - opposed * a for a, b in zip(reference, other, strict=True)]


def _expect_single_use(model: Any, batch: Batch) -> None:
    calls: Counter[str] = Counter()
    owners = {name: module for name, module in model.named_modules() if module._parameters}
    handles = [
        module.register_forward_hook(lambda *_, name=name: calls.update([name])) for name, module in owners.items()
    ]
    with torch.no_grad():
        for _ in model.exits(batch):
            pass
    for handle in handles:
        handle.remove()
    if shared := [name for name, count in calls.items() if count > 1]:
        raise ExitbenchError(
            f"recipe.equilibrium: expected every layer to be used once, but {shared[0]} is shared by several depths; "
            "choose model.pooler=own and a backbone whose layers share nothing, or another recipe"
        )
