"""The type of a model that a run can measure: an early-exit model that is a torch module with hashed weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

from benchmark.types import EarlyExitModel

if TYPE_CHECKING:
    import torch


class LoadedModel(EarlyExitModel, Protocol):
    """What `config.compose.build` makes of a node `model`. weights_hash: sha256 of the weights."""

    weights_hash: str

    def to(self, device: str, dtype: torch.dtype | None = None) -> Self: ...

    def eval(self) -> Self: ...
