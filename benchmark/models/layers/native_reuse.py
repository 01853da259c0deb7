"""DVT's attention and reuse by the compiled kernels of reuse_kernels.cpp, in few passes over memory."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmark.models.layers.memo import Memo
from benchmark.models.layers.native_library import VECTOR_PADDING, loaded_library
from benchmark.models.layers.reuse import FeatureReuse, RelationReuse, Upsample, join_weights


class InterpolationWeights(NamedTuple):
    """An `Upsample`'s taps as the library reads them: four to a fine row, those of weight 0 last."""

    rows: Tensor  # (T', 4) int32, coarse rows
    shares: Tensor  # (T', 4), their weights

    @classmethod
    def of(cls, upsample: Upsample) -> InterpolationWeights:
        """Of an operator as it is."""
        spare = (0, 4 - upsample.index.shape[1])
        return cls(F.pad(upsample.index, spare).int().contiguous(), F.pad(upsample.weight, spare).float().contiguous())

    def pointers(self) -> tuple[int, int]:
        """Where both begin."""
        return self.rows.data_ptr(), self.shares.data_ptr()


class CoarseLogits(NamedTuple):
    """The logits that one block is given, mixed but on the coarse grid: `attend` upsamples them where it uses them."""

    mixed: Tensor  # (b · L · H · T · T,), with room behind it
    shape: tuple[int, int, int]  # L · H, the block's first of them, T
    taps: InterpolationWeights


def attend(qkv: Tensor, heads: int, given: CoarseLogits | None, return_logits: bool) -> tuple[Tensor, Tensor | None]:
    """Attention that is given logits on a coarse grid, and hands out its own.

    qkv (b, T, 3 · width) -> attended (b, T, width), and logits (b, H, T, T), scaled and with those given.
    """
    made = loaded_library()
    qkv = qkv.contiguous()
    b, tokens, width = qkv.shape[0], qkv.shape[1], qkv.shape[2] // 3
    attended = qkv.new_empty(b, tokens, width)
    logits = qkv.new_empty(b, heads, tokens, tokens) if return_logits else None
    if given is None:
        mixed, taps = 0, (0, 0)
        channels = first = coarse = 0
    else:
        mixed, taps = given.mixed.data_ptr(), given.taps.pointers()
        channels, first, coarse = given.shape
    made.attend(
        qkv.data_ptr(), mixed, b, channels, first, heads, coarse, tokens, width // heads, *taps,
        0 if logits is None else logits.data_ptr(), attended.data_ptr(), torch.get_num_threads(),
    )  # fmt: skip
    return attended, logits


class NativeRelations:
    """`RelationReuse.mixed`: all blocks' attention logits through two 1 × 1 convolutions with a GELU between."""

    def __init__(self, mix: RelationReuse, upsample: Upsample) -> None:
        self._mix = mix
        self._taps = Memo([upsample], lambda: InterpolationWeights.of(upsample))
        self._packed = Memo([mix.conv1, mix.conv2], self._pack)

    def __call__(self, relations: list[Tensor]) -> list[CoarseLogits]:
        """L × (b, H, T, T) -> what L blocks are given."""
        made = loaded_library()
        b, heads, t, _ = relations[0].shape
        strides = relations[0].stride()
        if strides[2:] != (t, 1) or any(one.stride() != strides for one in relations):
            relations = [one.contiguous() for one in relations]
            strides = relations[0].stride()
        depth, taps = len(relations), self._taps()
        channels = depth * heads
        first, bias, second, last, hidden = self._packed()
        mixed = relations[0].new_empty(b * channels * t * t + VECTOR_PADDING * (t + 1))
        maps = (ctypes.c_void_p * depth)(*[one.data_ptr() for one in relations])
        made.mix(
            maps, *strides[:2], b, depth, heads, t * t, hidden, first.data_ptr(), bias.data_ptr(), second.data_ptr(),
            last.data_ptr(), mixed.data_ptr(), torch.get_num_threads(),
        )  # fmt: skip
        return [CoarseLogits(mixed, (channels, number * heads, t), taps) for number in range(depth)]

    def _pack(self) -> tuple[Tensor, Tensor, Tensor, Tensor, int]:
        one, two = self._mix.conv1, self._mix.conv2
        assert one.bias is not None
        assert two.bias is not None
        first, bias = _packed(one.weight.flatten(1), one.bias)
        second, last = _packed(F.pad(two.weight.flatten(1), (0, len(bias) - two.in_channels)), two.bias)
        return first, bias, second, last, len(bias)


class CoarseContext(NamedTuple):
    """One block's context on the coarse grid, upsampled only where it is used."""

    context: Tensor  # (b, T - 1, out), with room behind it
    taps: InterpolationWeights

    def norm_concatenated(self, x: Tensor, scale: Tensor, shift: Tensor, eps: float) -> Tensor:
        """Tokens x (b, T', width) -> the layer norm of x beside the upsampled context (b, T', width + out)."""
        made = loaded_library()
        x = x.contiguous()
        b, fine, width = x.shape
        _, image_tokens, out = self.context.shape
        normed = x.new_empty(b, fine, width + out)
        made.norm_concatenated(
            x.data_ptr(), self.context.data_ptr(), b, fine, image_tokens + 1, width, out,
            *self.taps.pointers(), scale.data_ptr(), shift.data_ptr(), eps, normed.data_ptr(),
            torch.get_num_threads(),
        )  # fmt: skip
        return normed


class NativeContexts:
    """`AllContexts`, but still on the coarse grid: all blocks' feature reuse of the same features."""

    def __init__(self, reuses: Sequence[FeatureReuse], upsample: Upsample) -> None:
        self._reuses = list(reuses)
        self._taps = Memo([upsample], lambda: InterpolationWeights.of(upsample))
        self._packed = Memo([layer for one in reuses for layer in (one.norm, one.fc1, one.fc2)], self._pack)

    def __call__(self, features: Tensor) -> Iterator[CoarseContext]:
        """Features (b, T, width) of the coarse grid -> L contexts."""
        made = loaded_library()
        features = features.contiguous()
        b, t, width = features.shape
        depth, out = len(self._reuses), self._reuses[0].fc2.out_features
        first, bias, second, last, hidden = self._packed()
        numbers = depth * b * (t - 1) * out
        contexts = features.new_empty(numbers + VECTOR_PADDING)
        made.contexts(
            features.data_ptr(), b, t, width, self._reuses[0].norm.eps, depth,
            hidden, out, first.data_ptr(), bias.data_ptr(), second.data_ptr(), last.data_ptr(), contexts.data_ptr(),
            torch.get_num_threads(),
        )  # fmt: skip
        taps = self._taps()
        return (CoarseContext(one, taps) for one in contexts[:numbers].view(depth, b, t - 1, out).unbind())

    def _pack(self) -> tuple[Tensor, Tensor, Tensor, Tensor, int]:
        """First layers and second layers of all blocks, packed one behind the other; and the rows of a first one."""
        first, bias, second, last = join_weights(self._reuses)
        firsts = [_packed(weight, own) for weight, own in zip(first, bias, strict=True)]
        hidden = len(firsts[0][1])
        spare = (0, hidden - second.shape[1])
        seconds = [_packed(F.pad(weight.t(), spare), own[0]) for weight, own in zip(second, last, strict=True)]
        parts = [torch.cat(one) for one in (*zip(*firsts, strict=True), *zip(*seconds, strict=True))]
        return parts[0], parts[1], parts[2], parts[3], hidden


def _packed(weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Weight (rows, k) and bias (rows,) as the library's products read them, padded with rows of zeros.

    Blocks of as many rows as fit its registers, then blocks of a third of them, each block (k, rows).
    """
    made = loaded_library()
    most = made.rows_in_registers()
    least = most // 3
    spare = -len(weight) % least
    weight, bias = F.pad(weight.detach(), (0, 0, 0, spare)), F.pad(bias.detach(), (0, spare))
    whole = len(weight) // most * most
    blocks = [
        part.reshape(-1, rows, weight.shape[1]).transpose(1, 2).flatten()
        for part, rows in ((weight[:whole], most), (weight[whole:], least))
    ]
    return torch.cat(blocks), bias
