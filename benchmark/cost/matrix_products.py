"""Record the matrix products, convolutions and attention calls inside a function, to run or time them on their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

Call = Callable[[], object]


def products_of(run: Call) -> list[Call]:
    """One callable for each matrix product, convolution and attention that `run` executes, on the same tensors."""
    with _Recorder() as recorder:
        run()
    return recorder.calls


class _Recorder(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []

    def __torch_dispatch__(
        self, func: OpOverload, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> object:
        kwargs = kwargs or {}
        if func._overloadpacket not in flop_registry:
            with self:  # in inference mode, composite operators arrive undecomposed
                result = func.decompose(*args, **kwargs)
            return func(*args, **kwargs) if result is NotImplemented else result
        self.calls.append(lambda: func(*args, **kwargs))
        return func(*args, **kwargs)


def run_in_order(calls: Sequence[Call]) -> Call:
    """One callable that runs all of them in order."""

    def run() -> None:
        for call in calls:
            call()

    return run
