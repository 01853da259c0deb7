"""Tokenizers of images: plain patches, convolution stems, or tokens-to-token."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from benchmark.types import ExitbenchError


def patch_geometry(size: int, grid: int) -> tuple[int, int]:
    """Kernel (= stride) and padding of patches that cover size + 2·padding pixels in grid steps exactly.

    Raises:
        ExitbenchError: where no kernel and padding give that grid; the message names grids that work.
    """
    for padding in range(size):
        kernel, rest = divmod(size + 2 * padding, grid)
        if rest == 0 and kernel > 0 and padding <= kernel // 2:
            return kernel, padding
    works = [g for g in range(1, size + 1) if any((size + 2 * p) % g == 0 and p <= (size + 2 * p) // g // 2
                                                  for p in range(size))]  # fmt: skip
    raise ExitbenchError(f"grids: expected sizes that patches of {size} pixels can make, got {grid}; {works} work")


class Patches(nn.Module):
    """One convolution with kernel = stride: DeiT's patch embedding, padded if the grid needs it."""

    def __init__(self, channels: int, size: int, grid: int, width: int) -> None:
        super().__init__()
        kernel, padding = patch_geometry(size, grid)
        self.proj = nn.Conv2d(channels, width, kernel, kernel, padding)
        self.macs = grid**2 * kernel**2 * channels * width

    def forward(self, pixels: Tensor) -> Tensor:
        """(b, c, S, S) -> (b, grid², width)."""
        return self.proj(pixels).flatten(2).transpose(1, 2)


class ConvStem(nn.Module):
    """3 × 3 convolution of stride 2 to 32 channels, ReLU, then a convolution to the grid; for small images."""

    def __init__(self, channels: int, size: int, grid: int, width: int, hidden: int = 32) -> None:
        super().__init__()
        half = size // 2
        stride, padding = patch_geometry(half, grid)
        kernel = max(3, stride)  # overlapping if the stride is small
        if kernel > stride:
            padding = 1
        self.conv1 = nn.Conv2d(channels, hidden, 3, 2, 1)
        self.conv2 = nn.Conv2d(hidden, width, kernel, stride, padding)
        self.macs = half**2 * 9 * channels * hidden + grid**2 * kernel**2 * hidden * width

    def forward(self, pixels: Tensor) -> Tensor:
        """(b, c, S, S) -> (b, grid², width)."""
        return _to_grid(self.conv2, torch.relu(self.conv1(pixels)))


def _to_grid(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """A convolution's output positions as tokens: x (b, c, s, s) -> (b, grid², width).

    For one image on a CPU, patches that do not overlap are a matrix product, which takes half of the kernel's time.
    """
    if x.shape[0] == 1 and conv.kernel_size == conv.stride and x.device.type == "cpu" and not torch.is_grad_enabled():
        patches = nn.functional.unfold(x, conv.kernel_size, padding=conv.padding, stride=conv.stride)[0]  # type: ignore[arg-type]
        assert conv.bias is not None
        return torch.addmm(conv.bias[:, None], conv.weight.flatten(1), patches).t()[None]
    return conv(x).flatten(2).transpose(1, 2)


class _Residual(nn.Module):
    """Two 3 × 3 convolutions with batch norm and a shortcut (ResNet, CVPR 2016, section 3.3)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """(b, width, S, S) -> the same shape."""
        return torch.relu(x + self.norm2(self.conv2(torch.relu(self.norm1(self.conv1(x))))))


class ResidualStem(nn.Module):
    """Two convolutions, a residual block, a convolution to the grid: early convolutions for short training.

    Source: Early Convolutions Help Transformers See Better (NeurIPS 2021). Full resolution is used only where
    the grid has at least a quarter of the image's side, so that a coarse grid stays cheap.
    """

    def __init__(self, channels: int, size: int, grid: int, width: int, hidden: int = 32) -> None:
        super().__init__()
        side = size
        while side // 2 >= 2 * grid:
            side //= 2
        first = 1 if size <= 4 * grid else 2
        first = min(first, size // side)
        second = size // first // side
        stride, padding = patch_geometry(side, grid)
        kernel = max(3, stride)  # overlapping if the stride is small
        if kernel > stride:
            padding = 1
        self.conv1 = nn.Conv2d(channels, hidden, 3, first, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(hidden)
        self.conv2 = nn.Conv2d(hidden, 2 * hidden, 3, second, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(2 * hidden)
        self.block = _Residual(2 * hidden)
        self.conv3 = nn.Conv2d(2 * hidden, width, kernel, stride, padding)
        self.macs = (
            (size // first) ** 2 * 9 * channels * hidden
            + side**2 * 9 * (hidden * 2 * hidden + 2 * (2 * hidden) ** 2)
            + grid**2 * kernel**2 * 2 * hidden * width
        )

    def forward(self, pixels: Tensor) -> Tensor:
        """(b, c, S, S) -> (b, grid², width)."""
        x = torch.relu(self.norm1(self.conv1(pixels)))
        x = self.block(torch.relu(self.norm2(self.conv2(x))))
        return _to_grid(self.conv3, x)


class Performer(nn.Module):
    """One layer of linear attention with fixed random features, as in tokens-to-token (T2T-ViT, section 3.1)."""

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        self.features = width // 2
        self.width = width
        self.norm1 = nn.LayerNorm(dim)
        self.kqv = nn.Linear(dim, 3 * width)
        self.w = nn.Parameter(torch.empty(self.features, width), requires_grad=False)
        nn.init.orthogonal_(self.w)
        self.w.data.mul_(math.sqrt(self.features))
        self.proj = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, width)
        self.fc2 = nn.Linear(width, width)

    def _kernel(self, x: Tensor) -> Tensor:
        """Positive random features of the softmax kernel: (b, T, width) -> (b, T, features)."""
        square = (x * x).sum(-1, keepdim=True) / 2
        return torch.exp(x @ self.w.t() - square) / math.sqrt(self.features)

    def forward(self, x: Tensor) -> Tensor:
        """(b, T, dim) -> (b, T, width)."""
        k, q, v = self.kqv(self.norm1(x)).chunk(3, -1)
        k, q = self._kernel(k), self._kernel(q)
        norm = q @ k.sum(1).unsqueeze(-1)  # (b, T, 1)
        summary = v.transpose(1, 2) @ k  # (b, width, features)
        x = v + self.proj(q @ summary.transpose(1, 2) / (norm + 1e-8))
        return x + self.fc2(nn.functional.gelu(self.fc1(self.norm2(x))))

    def closed_form_macs(self, t: int, dim: int) -> int:
        """MACs over t tokens."""
        w, m = self.width, self.features
        return t * (3 * w * dim + 2 * w * m + m + 2 * w * m + 3 * w * w)


# First unfold of the released models at 224 px: kernel, stride, padding (DVT release).
_FIRST_UNFOLD = {(224, 7): (14, 8, 3), (224, 10): (11, 6, 5), (224, 14): (7, 4, 2)}


def unfold_geometry(size: int, grid: int) -> tuple[int, int, int]:
    """Kernel, stride and padding of the first unfold so that two more (3 × 3, stride 2) end at `grid`.

    Raises:
        ExitbenchError: where none does; the message names grids that work.
    """
    if (size, grid) in _FIRST_UNFOLD:
        return _FIRST_UNFOLD[size, grid]
    found = {}
    for stride in range(max(1, size // 4), 0, -1):
        kernel = stride + max(1, (3 * stride) // 4)
        for padding in range(kernel // 2 + 1):
            if size + 2 * padding >= kernel:
                found.setdefault(_output_size(size, kernel, stride, padding), (kernel, stride, padding))
    if grid in found:
        return found[grid]
    raise ExitbenchError(
        f"grids: expected sizes that tokens-to-token makes of {size} pixels, got {grid}; {sorted(found)} work"
    )


def _output_size(size: int, kernel: int, stride: int, padding: int) -> int:
    for k, s, p in ((kernel, stride, padding), (3, 2, 1), (3, 2, 1)):
        size = (size + 2 * p - k) // s + 1
    return size


class TokensToToken(nn.Module):
    """Unfold, attend, unfold, attend, unfold, project (T2T-ViT, section 3.1), with performer attention."""

    def __init__(self, channels: int, size: int, grid: int, width: int, token_width: int = 64) -> None:
        super().__init__()
        kernel, stride, padding = unfold_geometry(size, grid)
        self.unfold0 = nn.Unfold(kernel, padding=padding, stride=stride)
        self.unfold1 = nn.Unfold(3, padding=1, stride=2)
        self.attention1 = Performer(channels * kernel**2, token_width)
        self.attention2 = Performer(token_width * 9, token_width)
        self.project = nn.Linear(token_width * 9, width)
        side1 = (size + 2 * padding - kernel) // stride + 1
        side2 = (side1 - 1) // 2 + 1
        self.macs = (
            self.attention1.closed_form_macs(side1**2, channels * kernel**2)
            + self.attention2.closed_form_macs(side2**2, token_width * 9)
            + grid**2 * token_width * 9 * width
        )

    def _fold(self, x: Tensor) -> Tensor:
        """(b, T, d) -> (b, d, √T, √T)."""
        b, t, d = x.shape
        side = math.isqrt(t)
        return x.transpose(1, 2).reshape(b, d, side, side)

    def forward(self, pixels: Tensor) -> Tensor:
        """(b, c, S, S) -> (b, grid², width)."""
        x = self.attention1(self.unfold0(pixels).transpose(1, 2))
        x = self.attention2(self.unfold1(self._fold(x)).transpose(1, 2))
        return self.project(self.unfold1(self._fold(x)).transpose(1, 2))


def sinusoids(positions: int, width: int) -> Tensor:
    """Fixed position embeddings (1, positions, width), sine at even and cosine at odd channels."""
    channel = torch.arange(width)
    angle = torch.arange(positions)[:, None] / torch.pow(10000.0, 2 * (channel // 2) / width)
    return torch.where(channel % 2 == 0, angle.sin(), angle.cos())[None].float()


TOKENIZERS = {
    "patches": Patches,
    "conv_stem": ConvStem,
    "residual_stem": ResidualStem,
    "tokens_to_token": TokensToToken,
}
