"""The generator of exits of a staged model, and batches of texts of several lengths."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Protocol

import torch
from torch import Tensor

from benchmark.types import Batch, StagedModel

Running = tuple[Tensor, Tensor | None]  # a text encoder's hidden states (b, T, d), and mask (b, T) or None: no padding


class _StagedExits(StagedModel, Protocol):
    num_exits: int


def staged_exits(model: _StagedExits, batch: Batch) -> Generator[Tensor, Tensor | None, None]:
    """`EarlyExitModel.exits` of a `StagedModel`."""
    running = model.begin(batch)
    for depth in range(1, model.num_exits + 1):
        columns, running = model.stage(running, depth)
        keep = yield columns
        if keep is not None and depth < model.num_exits:
            running = model.select(running, keep)


def join_padded(parts: Sequence[Running]) -> Running:
    """Texts of several groups in order, each group padded to the longest of all."""
    longest = max(hidden.shape[1] for hidden, _ in parts)
    if all(mask is None and hidden.shape[1] == longest for hidden, mask in parts):
        return torch.cat([hidden for hidden, _ in parts]), None
    hidden = [torch.nn.functional.pad(one, (0, 0, 0, longest - one.shape[1])) for one, _ in parts]
    masks = [one.new_ones(one.shape[:2], dtype=torch.int64) if mask is None else mask for one, mask in parts]
    return torch.cat(hidden), torch.cat([torch.nn.functional.pad(one, (0, longest - one.shape[1])) for one in masks])
