"""Trace once, replay for ever: a model run to full depth over samples, all exits' logits kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from benchmark.attacks.forward import device_and_dtype
from benchmark.types import Batch, EarlyExitModel, ExitbenchError, Trace
from benchmark.utils.progress import track


def order_by_size(samples: Sequence[Any]) -> list[int]:
    """Positions from the longest text to the shortest, so that batches hold little padding; images keep their order."""
    positions = list(range(len(samples)))
    if samples and samples[0].kind == "text":
        positions.sort(key=lambda i: -sum(map(len, samples[i].texts)))
    return positions


def full_depth(model: EarlyExitModel, batch: Batch) -> torch.Tensor:
    """All that the exits yield (b, E, C + X); keeps gradients where they are wanted."""
    return torch.stack(list(model.exits(batch)), 1)


@torch.inference_mode()
def trace(
    model: EarlyExitModel, samples: Sequence[Any], batch_size: int = 64, device: str = "cpu", description: str = "trace"
) -> Trace:
    """Run `samples` to full depth in batches; rows of the result are in the samples' order.

    Raises:
        ExitbenchError: exits that yield another number of columns than the model says.
    """
    positions = order_by_size(samples)
    classes, extra = model.num_classes, getattr(model, "extra_columns", 0)
    columns = torch.empty(len(samples), model.num_exits, classes + extra)
    lengths = torch.zeros(len(samples), dtype=torch.int64)
    truncated, (_, dtype) = 0, device_and_dtype(model)
    starts = range(0, len(samples), batch_size)
    for start in track(starts, description, unit="batch"):
        rows = positions[start : start + batch_size]
        batch = model.collate([samples[row] for row in rows])
        seen = full_depth(model, batch.to(device, dtype)).float().cpu()  # (b, E, C + X)
        if seen.shape[1:] != columns.shape[1:]:
            wanted = f"{model.num_exits} exits of {classes} logits and {extra} extra columns"
            raise ExitbenchError(f"model: expected {wanted}, got {seen.shape[1]} exits of {seen.shape[2]} columns")
        columns[rows] = seen
        lengths[rows] = batch.lengths
        truncated += batch.truncated
    labels = torch.tensor([sample.label for sample in samples])
    beyond = columns[..., classes:].contiguous() if extra else None
    return Trace(columns[..., :classes].contiguous(), labels, lengths, truncated, beyond)
