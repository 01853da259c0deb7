"""What is made of weights for speed, kept until a weight changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from operator import attrgetter
from typing import Any, Generic, TypeVar

from torch import Tensor, nn

VERSION = attrgetter("_version")  # maps, not loops: at one image this is called as often as the arithmetic
Made = TypeVar("Made")


class Kept(Generic[Made]):
    """What `make` returns, made again when a weight or buffer of `modules` is another tensor or was written to."""

    def __init__(self, modules: Sequence[nn.Module], make: Callable[[], Made]) -> None:
        # Looked up afresh each time: a weight may be replaced.
        self._owners: list[Any] = [of for one in modules for of in (one._parameters, one._buffers) if of]
        self._make = make
        self._key: object = None
        self._made: Made | None = None

    def __call__(self) -> Made:
        """What was made of the weights as they are."""
        weights: list[Tensor] = list(chain.from_iterable(owner.values() for owner in self._owners))
        counted = not weights[0].is_inference()  # such a weight does not tell when it was written to
        key = (list(map(Tensor.data_ptr, weights)), list(map(VERSION, weights))) if counted else None
        if self._made is None or key is None or key != self._key:
            self._made, self._key = self._make(), key
        return self._made
