"""Feature and relationship reuse between transformers on growing token grids (DVT, sections 3.2 and 3.3).

Both pass tensors from a grid of g × g tokens (plus the class token) to a finer one. This step is a fixed linear
operator: nearest-neighbour doubling, then adaptive average pooling to the finer grid.

Each has two forms of the same arithmetic. With gradients, under a compiler or exporter, and on a GPU the operator is a
dense matrix product. A processor that runs torch eagerly applies it as weighted sums of at most four rows, for all
blocks in one pass; this form is what MACs are counted on: interpolation is no matrix product, as in the released code.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.models.layers.memo import Memo

BLOCK_SIZE = 1 << 18  # numbers processed at a time: they fit in a core's cache


class Reused(NamedTuple):
    """Tensors that the next transformer reuses: b images, T = g² + 1 tokens, L blocks of H heads."""

    features: Tensor  # (b, T, width), the last block's output before the final norm
    relations: list[Tensor]  # L × (b, H, T, T), attention logits before softmax; empty without relation reuse

    def select(self, mask: Tensor) -> Reused:
        """The tensors of the images that continue; mask (b,) bool."""
        return Reused(self.features[mask], [logits[mask] for logits in self.relations])


@lru_cache(maxsize=64)
def _taps(coarse: int, fine: int) -> tuple[tuple[tuple[int, float], ...], ...]:
    """The 1-D operator (fine × coarse) row by row: the coarse cells that a fine cell averages, and their weights."""
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


class _SparseRows:
    """A sparse operator (fine, coarse) applied to many groups of rows, as weighted sums of few rows each.

    The tables for G groups are the beginning of those for more, so they only ever grow.
    """

    def __init__(self, operator: Tensor) -> None:
        fine, index = operator.nonzero(as_tuple=True)
        self._index, self._weight = index, operator[fine, index]
        self._starts = torch.searchsorted(fine.contiguous(), torch.arange(len(operator)))
        self.coarse, self.fine = operator.shape[1], operator.shape[0]
        self._groups = 0
        self._tables: tuple[Tensor, Tensor, Tensor] | None = None

    def _for_groups(self, groups: int, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        tables = self._tables
        if tables is None or groups > self._groups or tables[2].dtype != like.dtype or tables[2].device != like.device:
            which = torch.arange(groups)[:, None]
            index = (self._index + which * self.coarse).flatten().to(like.device, torch.int32)
            starts = (self._starts + which * len(self._index)).flatten().to(like.device, torch.int32)
            tables = index, starts, self._weight.to(like).repeat(groups)
            self._groups, self._tables = groups, tables
        taps = groups * len(self._index)
        return tables[0][:taps], tables[1][: groups * self.fine], tables[2][:taps]

    def __call__(self, rows: Tensor) -> Tensor:
        """rows (G · coarse, n), contiguous -> (G · fine, n)."""
        index, starts, weight = self._for_groups(len(rows) // self.coarse, rows)
        return torch.embedding_bag(rows, index, starts, False, 0, False, weight)[0]


class Upsample(nn.Module):
    """Applies P along token axes, the class token at position 0 unchanged."""

    operator: Tensor

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        operator = torch.block_diag(torch.ones(1, 1), upsampling(coarse, fine))  # (fine² + 1, coarse² + 1)
        self.register_buffer("operator", operator, persistent=False)
        self.fine = len(operator)  # T'
        self._all_bags = _SparseRows(operator)
        self._image_rows = _SparseRows(operator[:, 1:])  # the class token's row is empty: zeros

    def tokens(self, x: Tensor) -> Tensor:
        """Features x (b, T, d) -> (b, T', d)."""
        return torch.matmul(self.operator.to(x.dtype), x)

    def relations(self, x: Tensor) -> Tensor:
        """Attention logits x (b, H, T, T) -> (b, H, T', T'), rows and columns."""
        operator = self.operator.to(x.dtype)
        return torch.matmul(operator, torch.matmul(x, operator.t()))

    def image_tokens(self, x: Tensor) -> Tensor:
        """Without gradients: image tokens x (…, T - 1, d), contiguous -> (…, T', d), zeros at the class token."""
        *before, _, d = x.shape
        return self._image_rows(x.view(-1, d)).view(*before, -1, d)

    def along_rows(self, x: Tensor) -> Tensor:
        """Without gradients: x (…, T, n), contiguous -> (…, T', n), the class token's row unchanged."""
        *before, _, n = x.shape
        return self._all_bags(x.view(-1, n)).view(*before, -1, n)


class FeatureReuse(nn.Module):
    """One block's reuse of the previous transformer's features (section 3.2): LayerNorm, MLP, upsample.

    quantisable: its weights are joined with other blocks', so a hardware profile leaves them as they are.
    """

    quantisable = False

    def __init__(self, width: int, hidden: int, out: int, eps: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=eps)
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, out)

    def forward(self, features: Tensor, upsample: Upsample) -> Tensor:
        """Features (b, T, width) of the coarse grid -> context (b, T', out), zero at the class token."""
        context = self.fc2(F.gelu(self.fc1(self.norm(features[:, 1:]))))
        return upsample.tokens(F.pad(context, (0, 0, 1, 0)))  # (b, T', out)


class StackedFeatureReuse:
    """The `FeatureReuse` of L blocks on the same features in one pass, without gradients."""

    def __init__(self, reuses: Sequence[FeatureReuse]) -> None:
        self._reuses = list(reuses)
        layers = [layer for one in reuses for layer in (one.norm, one.fc1, one.fc2)]
        self._joined = Memo(layers, self._join)

    def __call__(self, features: Tensor, upsample: Upsample) -> Tensor:
        """Features (b, T, width) of the coarse grid -> contexts (L, b, T', out)."""
        b, t, width = features.shape
        first, bias, second, last = self._joined()
        normed = F.layer_norm(features[:, 1:], (width,), eps=self._reuses[0].norm.eps)
        hidden = F.gelu(F.linear(normed, first, bias))  # (b, T - 1, L · h)
        hidden = hidden.view(b * (t - 1), len(self._reuses), -1).transpose(0, 1)  # (L, b · (T - 1), h)
        context = torch.baddbmm(last, hidden, second)
        return upsample.image_tokens(context.view(len(self._reuses), b, t - 1, -1))

    def _join(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        first, bias, second, last = join_weights(self._reuses)
        first = first.flatten(0, 1).t().contiguous().t()  # in the memory layout of the product
        return first, bias.flatten(), second, last


def join_weights(reuses: Sequence[FeatureReuse]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """First layers (L, h, w) and biases (L, h), second layers (L, h, out) and biases (L, 1, out) of L blocks.

    The blocks' norms differ only in scale and shift, which join the first layer's weights.
    """
    scale, shift = (torch.stack([getattr(one.norm, of) for one in reuses]) for of in ("weight", "bias"))
    first = torch.stack([one.fc1.weight for one in reuses])
    bias = torch.stack([one.fc1.bias for one in reuses]) + (first * shift[:, None]).sum(-1)
    second = torch.stack([one.fc2.weight for one in reuses]).transpose(1, 2).contiguous()
    last = torch.stack([one.fc2.bias for one in reuses])[:, None]
    return first * scale[:, None], bias, second, last


class RelationReuse(nn.Module):
    """The previous transformer's attention logits, mixed across all blocks and heads (section 3.3)."""

    def __init__(self, depth: int, heads: int) -> None:
        super().__init__()
        channels = depth * heads
        self.depth = depth
        self.conv1 = nn.Conv2d(channels, 3 * channels, 1)
        self.conv2 = nn.Conv2d(3 * channels, channels, 1)

    def mixed(self, relations: list[Tensor]) -> Tensor:
        """L × (b, H, T, T) -> (b, L · H, T, T), still on the coarse grid."""
        logits = torch.cat(relations, 1)
        hidden = F.gelu(_pointwise(self.conv1, logits.flatten(2)))
        return _pointwise(self.conv2, hidden).view_as(logits)

    def forward(self, relations: list[Tensor], upsample: Upsample) -> tuple[Tensor, ...]:
        """L × (b, H, T, T) -> L upsampled logits (b, H, T', T')."""
        return upsample.relations(self.mixed(relations)).chunk(self.depth, 1)

    def biases(self, relations: list[Tensor], upsample: Upsample) -> Iterator[Tensor]:
        """Without gradients: L upsampled logits (b, H, T', T'), contiguous, each computed when it is needed.

        Mixing and the upsampling of columns are done for a few images at a time, so that what lies between them stays
        in cache; the coarse logits are transposed rather than the fine ones, which are three to seven times as many.
        """
        b, heads, t, _ = relations[0].shape
        fine = upsample.fine
        step = max(1, BLOCK_SIZE // (self.depth * heads * fine * t))
        if step >= b:
            columns = upsample.along_rows(self.mixed(relations).transpose(2, 3).contiguous())  # (b, L · H, T', T)
            return iter(upsample.along_rows(columns.transpose(2, 3).contiguous()).split(heads, 1))
        columns = relations[0].new_empty(self.depth, b, heads, t, fine)  # upsampled along columns alone
        for start in range(0, b, step):
            some = [logits[start : start + step] for logits in relations]
            turned = upsample.along_rows(self.mixed(some).transpose(2, 3).contiguous())  # (n, L · H, T', T)
            columns[:, start : start + step] = turned.unflatten(1, (self.depth, heads)).permute(1, 0, 2, 4, 3)
        return map(upsample.along_rows, columns.unbind())


def _pointwise(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """A 1 × 1 convolution as the matrix product it is: x (b, c, n) -> (b, c', n).

    With the few channels here the convolution kernels take twice as long forward and three times as long backward.
    """
    assert conv.bias is not None
    weight = conv.weight.flatten(1).expand(x.shape[0], -1, -1)
    return torch.baddbmm(conv.bias[:, None], weight, x)
