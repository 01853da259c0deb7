"""A random model of four exits and a policy that counts, small enough to check execution in milliseconds."""

from __future__ import annotations

from collections.abc import Generator, Iterable

import torch
from torch import Tensor, nn

from benchmark.policies import replay as exit_depths
from benchmark.types import Batch

WIDTH, CLASSES, EXITS = 8, 3, 4


class Confidence:
    """Stop where the largest probability reaches the threshold."""

    name = "confidence"

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self.asked = 0

    def start(self, size: int, device: str) -> Tensor:
        return torch.zeros(size, 1, device=device)

    def step(self, logits: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        self.asked += 1
        return logits.softmax(-1).amax(-1) >= self.threshold, state + 1


class TinyExits:
    """Four random linear stages with a head each; counts the stages it runs and the generators it opens."""

    num_exits, num_classes, kind = EXITS, CLASSES, "image"

    def __init__(self) -> None:
        random = torch.Generator().manual_seed(0)
        self.stages = [torch.randn(WIDTH, WIDTH, generator=random) for _ in range(EXITS)]
        self.heads = [nn.Parameter(torch.randn(WIDTH, CLASSES, generator=random)) for _ in range(EXITS)]
        self.pixels = torch.randn(20, WIDTH, generator=random)
        self.stages_run = self.opened = self.closed = 0

    def collate(self, samples: Iterable[int]) -> Batch:
        """Samples are rows of a fixed random table."""
        rows = self.pixels[list(samples)]
        return Batch({"pixels": rows}, torch.zeros(len(rows), dtype=torch.long))

    def exits(self, batch: Batch) -> Generator[Tensor, Tensor | None, None]:
        hidden = batch.inputs["pixels"]
        self.opened += 1
        try:
            for stage, head in zip(self.stages, self.heads, strict=True):
                self.stages_run += 1
                hidden = torch.tanh(hidden @ stage)
                keep = yield 0.5 * hidden @ head
                hidden = hidden if keep is None else hidden[keep]
        finally:
            self.closed += 1

    def probe(self, length: int) -> Batch:
        return self.collate([0])

    def closed_form_macs(self, length: int) -> tuple[int, ...]:
        return tuple(depth * WIDTH * (WIDTH + CLASSES) for depth in range(1, EXITS + 1))

    def policy(self, threshold: float) -> Confidence:
        return Confidence(threshold)

    def replayed(self, samples: Iterable[int], threshold: float) -> tuple[list[int], list[int]]:
        """Exit depths and predictions by tracing and replaying."""
        with torch.inference_mode():
            trace = torch.stack(list(self.exits(self.collate(samples))), 1)  # (N, E, C)
        depths = exit_depths.replay(self.policy(threshold), trace)
        return depths.tolist(), trace[torch.arange(len(trace)), depths - 1].argmax(-1).tolist()
