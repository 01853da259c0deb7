"""Move a model to a hardware profile's device and precision: casting, dynamic quantisation, torch.compile by stages."""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Iterator
from typing import Any, Protocol, Self, TypeVar, runtime_checkable

import torch
from torch import nn

from benchmark.types import EarlyExitModel, ExitbenchError, Hardware

MAX_GRAPHS_PER_STAGE = 64  # torch counts the graphs of all layers of one class together, and its default limit is 8


@runtime_checkable
class Movable(Protocol):
    """What moves to a device, casts to a dtype and switches to inference, as `nn.Module` does."""

    def to(self, device: str, dtype: torch.dtype | None = None) -> Self: ...

    def eval(self) -> Self: ...


Model = TypeVar("Model", bound=EarlyExitModel)


def is_reference_precision(hardware: Hardware) -> bool:
    """Whether a profile computes in float32 without quantisation, which is the reference for all others."""
    return hardware.dtype == "float32" and hardware.quantise == "none"


def place(model: Model, hardware: Hardware) -> Model:
    """The model on the profile's device and in its precision, not yet compiled.

    In the reference precision it is the same object; another precision makes a copy. A profile that compiles gets a
    copy that shares the weights, so that the caller's model stays eager. `onnxruntime` gets `onnx_stages.StageSessions`
    over the model, in int8 by ONNX Runtime's own quantiser.

    int8_dynamic: linear layers hold int8 weights and quantise their input by the range of the whole batch (torch's
    dynamic quantisation), so a sample's logits depend slightly on the other samples of its batch. Modules with
    `quantisable = False` stay float32.
    """
    if hardware.compiler == "onnxruntime":
        return _in_onnxruntime(model, hardware)
    if is_reference_precision(hardware):
        model = _moved(model, hardware.device)
        return _transpose_storage(model, hardware) if hardware.compiler == "eager" else _copy_sharing_weights(model)
    model = _moved(copy.deepcopy(model), hardware.device, getattr(torch, hardware.dtype))
    if hardware.quantise == "int8_dynamic" and isinstance(model, nn.Module):
        _quantise(model)
    return model


def _in_onnxruntime(model: Any, hardware: Hardware) -> Any:
    from benchmark.engine.onnx_stages import StageSessions  # takes packages of the extra [onnx]

    return StageSessions(_moved(model, hardware.device), hardware.threads, hardware.quantise == "int8_dynamic")


def _moved(model: Model, device: str, dtype: torch.dtype | None = None) -> Model:
    """In inference mode on a device; a model that cannot be moved, such as one made of plain arrays, as it is."""
    if not isinstance(model, Movable):
        return model
    moved = model.to(device) if dtype is None else model.to(device, dtype)
    return moved.eval()


def _transpose_storage(model: Model, hardware: Hardware) -> Model:
    """On a CPU, store linear weights in the order in which the matrix product reads them; values and shapes stay.

    For the few rows of a single sample, PyTorch's usual order takes up to twice as long.
    """
    if hardware.device == "cpu" and isinstance(model, nn.Module):
        for layer in model.modules():
            if type(layer) is nn.Linear:
                layer.weight.data = layer.weight.data.t().contiguous().t()
    return model


def _copy_sharing_weights(model: Model) -> Model:
    """A copy of a model's modules over the same parameters and buffers."""
    if not isinstance(model, nn.Module):
        return model
    return copy.deepcopy(model, {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())})


def _quantise(model: nn.Module) -> None:
    with warnings.catch_warnings():  # deprecated in favour of torchao, a separate package
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


def compile_stages(model: EarlyExitModel, dynamic: bool, backend: str = "inductor") -> int:
    """Apply torch.compile to every stage, in place; returns their number. Compilation happens at a stage's first call.

    A stage is a child of the model's outermost lists of modules: layers, blocks, transformers, heads. The code between
    stages, exit rules included, stays eager, so early exit needs no compiled control flow. A stage is compiled as one
    graph or raises when called, because a graph break would otherwise go unnoticed.

    dynamic: symbolic sizes, so that texts of other lengths and batches of other sizes reuse the same graph.

    Raises:
        ExitbenchError: a model without such lists.
    """
    stages = list(_stages(model)) if isinstance(model, nn.Module) else []
    for stage in stages:
        stage.compile(fullgraph=True, dynamic=dynamic, backend=backend, **_graph_limit())
    if not stages:
        raise ExitbenchError("hardware.compiler: expected a model with lists of modules to compile, got one without")
    return len(stages)


def _graph_limit() -> dict[str, int]:
    """The limit of graphs per stage as an option of torch.compile, or, before torch has that option, set globally."""
    if "recompile_limit" in inspect.signature(torch.compile).parameters:
        return {"recompile_limit": MAX_GRAPHS_PER_STAGE}
    for name in ("recompile_limit", "cache_size_limit"):
        if hasattr(torch._dynamo.config, name):
            setattr(torch._dynamo.config, name, MAX_GRAPHS_PER_STAGE)
    return {}


def _stages(module: nn.Module) -> Iterator[nn.Module]:
    for child in module.children():
        if isinstance(child, nn.ModuleList | nn.Sequential):
            yield from child.children()
        else:
            yield from _stages(child)
