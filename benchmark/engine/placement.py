"""A model as a hardware profile wants it: on its device, in its precision, its stages compiled."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from benchmark.types import ExitbenchError, Hardware

MAX_GRAPHS_PER_STAGE = 64  # of one kind of stage; torch counts those of all layers together, and its own limit is 8


def is_reference_precision(hardware: Hardware) -> bool:
    """Whether a profile computes in float32 without quantising: the reference that others are held against."""
    return hardware.dtype == "float32" and hardware.quantise == "none"


def place(model: Any, hardware: Hardware) -> Any:
    """The model on the profile's device and in its precision, not compiled; a copy where the precision is another.

    Where stages will be compiled it is a copy as well, which shares its weights: the caller's own stays eager.

    int8_dynamic: linear layers hold int8 weights, and quantise what comes in by the range of the whole batch (torch's
    dynamic quantisation), so that a sample's logits depend a little on its neighbours. Modules that say
    `quantisable = False` stay float32.
    """
    if is_reference_precision(hardware):
        model = model.to(hardware.device).eval()
        return _transpose_storage(model, hardware) if hardware.compiler == "eager" else _copy_sharing_weights(model)
    model = copy.deepcopy(model).to(hardware.device, getattr(torch, hardware.dtype)).eval()
    if hardware.quantise == "int8_dynamic":
        _quantise(model)
    return model


def _transpose_storage(model: Any, hardware: Hardware) -> Any:
    """Eager on a processor: linear weights in the order in which their product reads them, values and shapes unchanged.

    For the few rows of one sample the other order takes up to twice as long.
    """
    if hardware.device == "cpu" and isinstance(model, nn.Module):
        for layer in model.modules():
            if type(layer) is nn.Linear:
                layer.weight.data = layer.weight.data.t().contiguous().t()
    return model


def _copy_sharing_weights(model: Any) -> Any:
    """A copy of a model's modules over the same parameters and buffers."""
    if not isinstance(model, nn.Module):
        return model
    return copy.deepcopy(model, {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())})


def _quantise(model: nn.Module) -> None:
    with warnings.catch_warnings():  # the successor of this call is a library of its own
        warnings.simplefilter("ignore")
        from torch.ao.quantization import quantize_dynamic
        from torch.ao.quantization.qconfig import default_dynamic_qconfig

        chosen = dict.fromkeys(_linears(model), default_dynamic_qconfig)
        quantize_dynamic(model, chosen, dtype=torch.qint8, inplace=True)


def _linears(module: nn.Module, prefix: str = "") -> Iterator[str]:
    """Names of the linear layers below a module."""
    for name, child in module.named_children():
        if isinstance(child, nn.Linear):
            yield prefix + name
        elif getattr(child, "quantisable", True):
            yield from _linears(child, f"{prefix}{name}.")


def compile_stages(model: Any, dynamic: bool, backend: str = "inductor") -> int:
    """Hand every stage to torch.compile, in place; returns how many there are. Nothing is compiled until it is called.

    A stage is a child of the model's outermost lists of modules: layers, blocks, transformers, heads. What lies
    between them, exit rules included, stays eager, so that leaving early needs no compiled control flow. A stage is
    taken whole or raises as it is called: a part of it that stays eager would go unnoticed.

    dynamic: sizes are symbols, so that texts of another length and batches of another size need no other code.

    Raises:
        ExitbenchError: a model without such lists.
    """
    stages = list(_stages(model)) if isinstance(model, nn.Module) else []
    for stage in stages:
        stage.compile(fullgraph=True, dynamic=dynamic, backend=backend, recompile_limit=MAX_GRAPHS_PER_STAGE)
    if not stages:
        raise ExitbenchError("hardware.compiler: expected a model with lists of modules to compile, got one without")
    return len(stages)


def _stages(module: nn.Module) -> Iterator[nn.Module]:
    for child in module.children():
        if isinstance(child, nn.ModuleList | nn.Sequential):
            yield from child.children()
        else:
            yield from _stages(child)
