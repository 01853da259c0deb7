"""A small convolutional network with three exits."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from benchmark.models.pretrained.weights import load_weights
from benchmark.types import Batch, ImageSample


class ThreeExits(nn.Module):
    """Three stages, each halving the picture, each with a head: (1, 16, 16) pixels -> three times (b, C) logits."""

    kind, num_exits = "image", 3

    def __init__(self, num_classes: int = 2, width: int = 8, checkpoint: str = "") -> None:
        super().__init__()
        self.num_classes, self.width = num_classes, width
        sizes = [1, width, 2 * width, 4 * width]
        self.stages = nn.ModuleList([nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairwise(sizes)])
        self.heads = nn.ModuleList([nn.Linear(size, num_classes) for size in sizes[1:]])
        self.weights_hash = load_weights(self, checkpoint) if checkpoint else "untrained"

    def collate(self, samples: Sequence[ImageSample]) -> Batch:
        pixels = torch.stack([sample.pixels for sample in samples])
        return Batch({"pixels": pixels}, torch.zeros(len(samples), dtype=torch.long))  # pictures of one length, 0

    def exits(self, batch: Batch) -> Generator[Tensor, Tensor | None, None]:
        hidden = (batch.inputs["pixels"] - 0.5) * 2  # (b, 1, 16, 16)
        for stage, head in zip(self.stages, self.heads, strict=True):
            hidden = torch.relu(stage(hidden))
            keep = yield head(hidden.mean((2, 3)))  # exitbench says which samples go on …
            hidden = hidden if keep is None else hidden[keep]  # … and the others are dropped

    def probe(self, length: int) -> Batch:
        return self.collate([ImageSample(0, 0, torch.zeros(1, 16, 16))])

    def closed_form_macs(self, length: int) -> tuple[int, ...]:
        """Worked out by hand, so that exitbench can hold its own count against it."""
        total, found = 0, []
        for channels, out, side in ((1, 1, 8), (1, 2, 4), (2, 4, 2)):
            inputs = channels if side == 8 else channels * self.width
            total += 9 * inputs * out * self.width * side * side + out * self.width * self.num_classes
            found.append(total)
        return tuple(found)

    def trainable_state(self) -> dict[str, Tensor]:
        """What `exitbench train` writes; needed only where that trains the model."""
        return self.state_dict()
