"""Tensors derived from weights, memoised until a weight changes.

Our own, as torch has nothing for inference that notices a changed weight: `nn.utils.parametrize.cached` caches only
inside a context, and a buffer would go stale when weights are loaded or trained.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from operator import attrgetter
from typing import Generic, TypeVar, cast

from torch import Tensor, nn

VERSION = attrgetter("_version")  # maps, not loops: at batch 1 this runs as often as the layers
Made = TypeVar("Made")


class Memo(Generic[Made]):
    """The result of `make`, computed again if a weight or buffer of `modules` was replaced or written to."""

    def __init__(self, modules: Sequence[nn.Module], make: Callable[[], Made]) -> None:
        # Looked up at each call: a weight may have been replaced.
        self._owners: list[Mapping[str, Tensor | None]] = [
            of for one in modules for of in (one._parameters, one._buffers) if of
        ]
        self._make = make
        self._key: object = None
        self._made: Made | None = None

    def __call__(self) -> Made:
        """The result for the present weights."""
        weights = cast(list[Tensor], list(chain.from_iterable(owner.values() for owner in self._owners)))
        counted = not weights[0].is_inference()  # inference tensors have no version counter
        key = (list(map(Tensor.data_ptr, weights)), list(map(VERSION, weights))) if counted else None
        if self._made is None or key is None or key != self._key:
            self._made, self._key = self._make(), key
        return self._made
