"""Balls around images, in [0, 1] before normalisation: where a search starts, how it steps, how it stays inside.

Source: projected gradient descent (Madry et al., ICLR 2018) in L∞ and L2.
"""

from __future__ import annotations

import math
import random
from typing import Protocol

import torch
from torch import Tensor

from benchmark.types import ExitbenchError


class Ball(Protocol):
    """Images within `epsilon` of clean ones, and in [0, 1]. Rows say which of the clean images are meant."""

    def inside(self, pixels: Tensor, rows: Tensor) -> Tensor:
        """The nearest images (r, …) of the ball, exactly within epsilon in double precision."""
        ...

    def direction(self, slope: Tensor) -> Tensor:
        """Slopes (r, …) as steps of length 1 in this norm."""
        ...

    def noise(self, draw: random.Random, like: Tensor) -> Tensor:
        """A random step of length at most 1 in this norm, in the shape and place of one image."""
        ...


class Linf:
    """No pixel moves by more than epsilon."""

    def __init__(self, clean: Tensor, epsilon: float) -> None:
        self.low, self.high = limits(clean, epsilon)

    def inside(self, pixels: Tensor, rows: Tensor) -> Tensor:
        """See `Ball`."""
        return pixels.maximum(self.low[rows]).minimum(self.high[rows])

    def direction(self, slope: Tensor) -> Tensor:
        """Signs."""
        return slope.sign()

    def noise(self, draw: random.Random, like: Tensor) -> Tensor:
        """Uniform in ± 1."""
        return (torch.rand(like.shape, generator=_generator(draw)) * 2 - 1).to(like.device)


class L2:
    """The length of the whole change is at most epsilon."""

    def __init__(self, clean: Tensor, epsilon: float) -> None:
        self.clean, self.epsilon = clean, epsilon
        if epsilon > (most := math.sqrt(clean[0].numel())):
            raise ExitbenchError(
                f"search.epsilon: expected at most {most:.4g} in the L2 norm, which spans all images, got {epsilon}"
            )

    def inside(self, pixels: Tensor, rows: Tensor) -> Tensor:
        """See `Ball`; towards the clean image from inside [0, 1], one stays in [0, 1]."""
        clean = self.clean[rows].double()
        change = pixels.double().clamp(0, 1) - clean
        length = change.flatten(1).norm(dim=1)
        # A hair shorter than allowed: float32 rounds each pixel, by less than 1e-7.
        spare = 1 - 1e-7 * math.sqrt(clean[0].numel()) / self.epsilon
        shrunk = (max(spare, 0) * self.epsilon / length.clamp(min=1e-30)).clamp(max=1)
        return (clean + change * shrunk.view(-1, *[1] * (clean.dim() - 1))).float().clamp(0, 1)

    def direction(self, slope: Tensor) -> Tensor:
        """Of length 1."""
        length = slope.flatten(1).norm(dim=1).clamp(min=1e-30)
        return slope / length.view(-1, *[1] * (slope.dim() - 1))

    def noise(self, draw: random.Random, like: Tensor) -> Tensor:
        """Of length 1, all directions alike."""
        noise = torch.randn(like.shape, generator=_generator(draw)).to(like.device)
        return noise / noise.norm()


BALLS: dict[str, type[Linf] | type[L2]] = {"linf": Linf, "l2": L2}


def limits(clean: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """Lowest and highest pixels allowed around `clean`, same shape: in [0, 1] and nowhere farther than epsilon.

    Bounds that float32 rounded outwards are moved one step inwards, so that the ball holds exactly.
    """
    low, high = (clean.double() - epsilon).float(), (clean.double() + epsilon).float()
    low = torch.where(clean.double() - low.double() > epsilon, low.nextafter(clean), low)
    high = torch.where(high.double() - clean.double() > epsilon, high.nextafter(clean), high)
    return low.clamp(min=0), high.clamp(max=1)


def _generator(draw: random.Random) -> torch.Generator:
    return torch.Generator().manual_seed(draw.getrandbits(63))
