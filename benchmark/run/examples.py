"""Easy and hard pictures for a figure: of each class, the surest right answer of every exit that samples leave at."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from benchmark.types import ImageSample, Sample, Trace

CLASSES = 10  # pictured, at most
SIDE = 64  # pixels, at most: records stay small


def chosen(samples: Sequence[Sample], trace: Trace, depth: Tensor, class_names: Sequence[str]) -> list[dict[str, Any]]:
    """Rows for a record: exit_depth, class_name, index (in the dataset), confidence, png (base64).

    depth (N,): where each of the samples left. At most one picture for each exit and class, of the classes that most
    exits have one of; none for texts, and for images that are neither grey nor RGB.
    """
    if not len(samples) or not isinstance(samples[0], ImageSample) or len(samples[0].pixels) not in (1, 3):
        return []
    answers = trace.logits[torch.arange(len(depth)), depth - 1]  # (N, C)
    sure, answer = answers.softmax(-1).max(-1)
    right = answer == trace.labels
    surest: dict[tuple[int, int], int] = {}  # (class, exit) -> position; later ones are surer
    for position in sure.argsort().tolist():
        if right[position]:
            surest[int(answer[position]), int(depth[position])] = position
    exits_of = [sum(label == of for label, _ in surest) for of in range(len(class_names))]
    classes = sorted(range(len(class_names)), key=lambda of: (-exits_of[of], of))[:CLASSES]
    return [
        {
            "exit_depth": exit_depth,
            "class_name": class_names[label],
            "index": samples[position].index,
            "confidence": float(sure[position]),
            "png": _png(samples[position].pixels),  # type: ignore[union-attr]
        }
        for (label, exit_depth), position in sorted(surest.items())
        if label in classes
    ]


def _png(pixels: Tensor) -> str:
    """Pixels (1 or 3, H, W) in [0, 1] -> a PNG of at most SIDE pixels a side, base64."""
    array = (pixels.float().clamp(0, 1) * 255).round().to(torch.uint8)
    image = Image.fromarray(array[0].numpy() if len(array) == 1 else array.permute(1, 2, 0).contiguous().numpy())
    image.thumbnail((SIDE, SIDE))
    stream = io.BytesIO()
    image.save(stream, format="PNG", optimize=True)
    return base64.b64encode(stream.getvalue()).decode()
