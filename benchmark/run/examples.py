"""Example images for a figure of easy and hard inputs: per class and exit, the most confident correct answer."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import TypeGuard

import torch
from PIL import Image
from torch import Tensor

from benchmark.records.schema import Section
from benchmark.types import ImageSample, Sample, Trace

CLASSES = 10  # at most, per figure
SIDE = 64  # pixels at most, to keep records small


def chosen(samples: Sequence[Sample], trace: Trace, depth: Tensor, class_names: Sequence[str]) -> list[Section]:
    """At most one image per exit and class, of the classes that have images at most exits.

    A row: exit_depth, class_name, index (in the dataset), confidence, png (base64). depth (N,): each sample's exit.
    Empty for texts, and for images that are neither grey nor RGB.
    """
    if not len(samples) or not _drawable(samples[0]):
        return []
    answers = trace.logits[torch.arange(len(depth)), depth - 1]  # (N, C)
    confidence, answer = answers.softmax(-1).max(-1)
    correct = answer == trace.labels
    best: dict[tuple[int, int], int] = {}  # (class, exit) -> position of the most confident, which comes last
    for position in confidence.argsort().tolist():
        if correct[position]:
            best[int(answer[position]), int(depth[position])] = position
    exits = [sum(label == of for label, _ in best) for of in range(len(class_names))]
    classes = sorted(range(len(class_names)), key=lambda label: (-exits[label], label))[:CLASSES]
    rows: list[Section] = []
    for (label, exit_depth), position in sorted(best.items()):
        if label in classes and _drawable(sample := samples[position]):
            rows.append(
                {
                    "exit_depth": exit_depth,
                    "class_name": class_names[label],
                    "index": sample.index,
                    "confidence": float(confidence[position]),
                    "png": _png(sample.pixels),
                }
            )
    return rows


def _drawable(sample: Sample) -> TypeGuard[ImageSample]:
    """Whether a sample is a grey or RGB image."""
    return isinstance(sample, ImageSample) and len(sample.pixels) in (1, 3)


def _png(pixels: Tensor) -> str:
    """Pixels (1 or 3, H, W) in [0, 1] -> a PNG of at most SIDE pixels a side, base64."""
    array = (pixels.float().clamp(0, 1) * 255).round().to(torch.uint8)
    image = Image.fromarray(array[0].numpy() if len(array) == 1 else array.permute(1, 2, 0).contiguous().numpy())
    image.thumbnail((SIDE, SIDE))
    stream = io.BytesIO()
    image.save(stream, format="PNG", optimize=True)
    return base64.b64encode(stream.getvalue()).decode()
