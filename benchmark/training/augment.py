"""Data augmentation of image batches: random shift and horizontal flip."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def flip_and_shift(pixels: Tensor, shift: int, flip: bool) -> Tensor:
    """Shift each image of (b, c, h, w) by up to `shift` pixels with zero padding; mirror half of them if `flip`."""
    b, _, h, w = pixels.shape
    if shift:
        padded = F.pad(pixels, (shift,) * 4)
        top = torch.randint(0, 2 * shift + 1, (b, 1)) + torch.arange(h)  # (b, h)
        left = torch.randint(0, 2 * shift + 1, (b, 1)) + torch.arange(w)  # (b, w)
        pixels = padded[torch.arange(b)[:, None, None], :, top[:, :, None], left[:, None, :]].permute(0, 3, 1, 2)
    if flip:
        mirrored = torch.rand(b) < 0.5
        pixels = torch.where(mirrored[:, None, None, None], pixels.flip(-1), pixels)
    return pixels.contiguous()
