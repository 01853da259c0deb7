"""The matrix products inside a call, taken out of it to be run, timed or counted by themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

Call = Callable[[], Any]


def products_of(run: Call) -> list[Call]:
    """The matrix products, convolutions and attention that a call executes, each to be called again by itself."""
    with _Recorder() as recorder:
        run()
    return recorder.calls


class _Recorder(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func._overloadpacket not in flop_registry:
            with self:  # under inference mode composites come whole
                made = func.decompose(*args, **kwargs)
            return func(*args, **kwargs) if made is NotImplemented else made
        self.calls.append(lambda: func(*args, **kwargs))
        return func(*args, **kwargs)


def run_in_order(calls: Sequence[Call]) -> Call:
    """One call that makes all of them, in order."""

    def run() -> None:
        for call in calls:
            call()

    return run
