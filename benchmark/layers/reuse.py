"""Feature and relationship reuse between transformers on growing token grids (DVT, sections 3.2 and 3.3).

Both hand something over from a grid of g × g tokens (plus the class token) to a finer one. The hand-over
is a fixed linear operator: nearest-neighbour doubling, then adaptive average pooling to the finer grid.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Reused(NamedTuple):
    """What a transformer hands to the next: b images, T = g² + 1 tokens, L blocks of H heads."""

    features: Tensor  # (b, T, width), the last block's output before the final norm
    relations: list[Tensor]  # L × (b, H, T, T), attention logits before softmax; empty without relation reuse

    def keep(self, mask: Tensor) -> Reused:
        """The hand-over of the images that go on; mask (b,) bool."""
        return Reused(self.features[mask], [logits[mask] for logits in self.relations])


@lru_cache(maxsize=64)
def _taps(coarse: int, fine: int) -> tuple[tuple[tuple[int, float], ...], ...]:
    """Row by row of the 1-D operator (fine × coarse): which coarse cells a fine cell averages, and their weights."""
    doubled = 2 * coarse
    rows = []
    for i in range(fine):
        start, stop = (i * doubled) // fine, -((-(i + 1) * doubled) // fine)
        weights: dict[int, float] = {}
        for cell in range(start, stop):
            weights[cell // 2] = weights.get(cell // 2, 0.0) + 1 / (stop - start)
        rows.append(tuple(sorted(weights.items())))
    return tuple(rows)


def upsampling(coarse: int, fine: int) -> Tensor:
    """The 2-D operator P = u ⊗ u (fine², coarse²), rows summing to 1; tokens in row-major order."""
    u = torch.zeros(fine, coarse, dtype=torch.float64)
    for i, row in enumerate(_taps(coarse, fine)):
        for cell, weight in row:
            u[i, cell] = weight
    return torch.kron(u, u).float()


class Upsample(nn.Module):
    """Applies P along token axes, the class token at position 0 carried over unchanged.

    A fine cell has at most four coarse neighbours, so P is applied as a weighted gather of rows:
    interpolation, not a matrix product, as in the released code; it adds no MACs.
    """

    index: Tensor
    weight: Tensor

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        operator = torch.block_diag(torch.ones(1, 1), upsampling(coarse, fine))  # (fine² + 1, coarse² + 1)
        taps = int((operator > 0).sum(1).max())
        weight, index = operator.topk(taps, dim=1)
        self.register_buffer("index", index, persistent=False)  # (T', taps)
        self.register_buffer("weight", weight, persistent=False)

    def _gather(self, rows: Tensor) -> Tensor:
        """rows (T, n) -> (T', n)."""
        weight = self.weight.to(rows.dtype)
        return nn.functional.embedding_bag(self.index, rows, per_sample_weights=weight, mode="sum")

    def tokens(self, x: Tensor) -> Tensor:
        """Features x (b, T, d) -> (b, T', d)."""
        b, t, d = x.shape
        return self._gather(x.transpose(0, 1).reshape(t, b * d)).view(-1, b, d).transpose(0, 1)

    def relations(self, x: Tensor) -> Tensor:
        """Attention logits x (b, H, T, T) -> (b, H, T', T'), rows and columns."""
        b, h, t, _ = x.shape
        x = self._gather(x.permute(2, 0, 1, 3).reshape(t, b * h * t)).view(-1, b, h, t)  # (T', b, H, T)
        x = self._gather(x.permute(3, 1, 2, 0).reshape(t, -1)).view(-1, b, h, len(self.index))  # columns first
        return x.permute(1, 2, 3, 0)


class FeatureReuse(nn.Module):
    """One block's reuse of the previous transformer's features (section 3.2): LayerNorm, MLP, upsample."""

    def __init__(self, width: int, hidden: int, out: int, eps: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=eps)
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, out)

    def forward(self, features: Tensor, upsample: Upsample) -> Tensor:
        """Features (b, T, width) of the coarse grid -> context (b, T', out), zero at the class token."""
        context = self.fc2(nn.functional.gelu(self.fc1(self.norm(features[:, 1:]))))
        return upsample.tokens(nn.functional.pad(context, (0, 0, 1, 0)))  # (b, T', out)


class RelationReuse(nn.Module):
    """The previous transformer's attention logits, mixed across all blocks and heads (section 3.3)."""

    def __init__(self, depth: int, heads: int) -> None:
        super().__init__()
        channels = depth * heads
        self.depth = depth
        self.conv1 = nn.Conv2d(channels, 3 * channels, 1)
        self.conv2 = nn.Conv2d(3 * channels, channels, 1)

    def forward(self, relations: list[Tensor]) -> tuple[Tensor, ...]:
        """L × (b, H, T, T) -> L × (b, H, T, T), still on the coarse grid: each block upsamples its own."""
        logits = torch.cat(relations, 1)  # (b, L·H, T, T)
        hidden = nn.functional.gelu(_pointwise(self.conv1, logits.flatten(2)))
        return _pointwise(self.conv2, hidden).view_as(logits).chunk(self.depth, 1)


def _pointwise(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """A 1 × 1 convolution as the matrix product it is: x (b, c, n) -> (b, c', n).

    With the few channels here the convolution kernels take twice as long forward and three times as long backward.
    """
    assert conv.bias is not None
    weight = conv.weight.flatten(1).expand(len(x), -1, -1)
    return torch.baddbmm(conv.bias[:, None], weight, x)
