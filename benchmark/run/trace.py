"""Trace a model: run samples to full depth once and keep the logits of all exits, for rules to be replayed on."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from benchmark.attacks.forward import device_and_dtype
from benchmark.types import Batch, EarlyExitModel, ExitbenchError, Sample, TextSample, Trace
from benchmark.utils.progress import track


def order_by_size(samples: Sequence[Sample]) -> list[int]:
    """Positions from the longest text to the shortest, so that batches contain little padding; images as they are."""
    positions = list(range(len(samples)))
    if samples and isinstance(samples[0], TextSample):  # images are not touched: they may be decoded on access
        positions.sort(key=lambda position: -_characters(samples[position]))
    return positions


def _characters(sample: Sample) -> int:
    return sum(map(len, sample.texts)) if isinstance(sample, TextSample) else 0


def full_depth(model: EarlyExitModel, batch: Batch) -> torch.Tensor:
    """All that the exits yield (b, E, C + X), with gradients where they are enabled."""
    return torch.stack(list(model.exits(batch)), 1)


@torch.inference_mode()
def trace(
    model: EarlyExitModel,
    samples: Sequence[Sample],
    batch_size: int = 64,
    device: str = "cpu",
    description: str = "trace",
) -> Trace:
    """Run `samples` to full depth in batches; rows of the result are in the samples' order.

    Raises:
        ExitbenchError: exits that yield another number of columns than the model declares, or values that are not
            finite.
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
        yielded = full_depth(model, batch.to(device, dtype)).float().cpu()  # (b, E, C + X)
        if yielded.shape[1:] != columns.shape[1:]:
            expected = f"{model.num_exits} exits of {classes} logits and {extra} extra columns"
            raise ExitbenchError(
                f"model: expected {expected}, got {yielded.shape[1]} exits of {yielded.shape[2]} columns"
            )
        columns[rows] = yielded
        lengths[rows] = batch.lengths
        truncated += batch.truncated
    _check_finite(model, columns)
    labels = torch.tensor([sample.label for sample in samples])
    beyond = columns[..., classes:].contiguous() if extra else None
    return Trace(columns[..., :classes].contiguous(), labels, lengths, truncated, beyond)


def _check_finite(model: EarlyExitModel, columns: torch.Tensor) -> None:
    """Raise ExitbenchError for logits (N, E, ·) that are nan or infinite: damaged weights, or too small a data type."""
    bad = ~columns.isfinite().all(-1)  # (N, E)
    if bool(bad.any()):
        exits = ", ".join(str(depth + 1) for depth in bad.any(0).nonzero()[:, 0].tolist())
        raise ExitbenchError(
            f"model {type(model).__name__}: expected finite logits, got nan or infinity at exit {exits} "
            f"for {int(bad.any(1).sum())} of {len(bad)} samples; check model.checkpoint, or use a profile in float32"
        )
