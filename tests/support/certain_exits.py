"""Tiny exits with a learned certainty after their logits, for rules that read more than logits."""

from __future__ import annotations

from collections.abc import Generator

import torch
from tiny_exits import CLASSES, EXITS, WIDTH, TinyExits
from torch import Tensor, nn

from benchmark.types import Batch


class CertainExits(TinyExits):
    """Every head has one column more."""

    extra_columns = 1
    weights_hash = "certain"

    def __init__(self) -> None:
        super().__init__()
        random = torch.Generator().manual_seed(1)
        self.heads = [nn.Parameter(torch.randn(WIDTH, CLASSES + 1, generator=random)) for _ in range(EXITS)]

    def closed_form_macs(self, length: int) -> tuple[int, ...]:
        return tuple(depth * WIDTH * (WIDTH + CLASSES + 1) for depth in range(1, EXITS + 1))

    def columns(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Logits (b, E, C) and extra columns (b, E, 1) to full depth."""
        with torch.inference_mode():
            seen = torch.stack(list(self.exits(batch)), 1)
        return seen[..., :CLASSES], seen[..., CLASSES:]


class PlainExits(TinyExits):
    """The same without a certainty, and with a name for its weights."""

    weights_hash = "plain"


class WrongExits(PlainExits):
    """Says one extra column and yields none."""

    extra_columns = 1

    def exits(self, batch: Batch) -> Generator[Tensor, Tensor | None, None]:
        return super().exits(batch)
