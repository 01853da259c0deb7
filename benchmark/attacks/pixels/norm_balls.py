"""Norm balls around images in [0, 1], before normalisation: projection, step directions and random steps.

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
    """Images in [0, 1] within `epsilon` of clean ones; `rows` (r,) selects the clean images."""

    def project(self, pixels: Tensor, rows: Tensor) -> Tensor:
        """Project images (r, …) onto the ball; the result is within epsilon exactly, in double precision."""
        ...

    def direction(self, gradient: Tensor) -> Tensor:
        """Gradients (r, …) as steps of length 1 in this norm."""
        ...

    def random_step(self, rng: random.Random, like: Tensor) -> Tensor:
        """A random step of length at most 1 in this norm, with the shape and device of one image."""
        ...


class Linf:
    """No pixel moves by more than epsilon."""

    def __init__(self, clean: Tensor, epsilon: float) -> None:
        self.low, self.high = linf_bounds(clean, epsilon)

    def project(self, pixels: Tensor, rows: Tensor) -> Tensor:
        """See `Ball`."""
        return pixels.maximum(self.low[rows]).minimum(self.high[rows])

    def direction(self, gradient: Tensor) -> Tensor:
        """The signs."""
        return gradient.sign()

    def random_step(self, rng: random.Random, like: Tensor) -> Tensor:
        """Uniform in ± 1."""
        return (torch.rand(like.shape, generator=_generator(rng)) * 2 - 1).to(like.device)


class L2:
    """The length of the whole change is at most epsilon."""

    def __init__(self, clean: Tensor, epsilon: float) -> None:
        self.clean, self.epsilon = clean, epsilon
        if epsilon > (most := math.sqrt(clean[0].numel())):
            raise ExitbenchError(
                f"search.epsilon: expected at most {most:.4g} in the L2 norm, which spans all images, got {epsilon}"
            )

    def project(self, pixels: Tensor, rows: Tensor) -> Tensor:
        """See `Ball`. Shrinking a change of an image in [0, 1] towards the clean image keeps it in [0, 1]."""
        clean = self.clean[rows].double()
        change = pixels.double().clamp(0, 1) - clean
        length = change.flatten(1).norm(dim=1)
        # Slightly below epsilon, as float32 rounds each pixel by less than 1e-7.
        margin = 1 - 1e-7 * math.sqrt(clean[0].numel()) / self.epsilon
        shrunk = (max(margin, 0) * self.epsilon / length.clamp(min=1e-30)).clamp(max=1)
        return (clean + change * shrunk.view(-1, *[1] * (clean.dim() - 1))).float().clamp(0, 1)

    def direction(self, gradient: Tensor) -> Tensor:
        """The gradient scaled to length 1."""
        length = gradient.flatten(1).norm(dim=1).clamp(min=1e-30)
        return gradient / length.view(-1, *[1] * (gradient.dim() - 1))

    def random_step(self, rng: random.Random, like: Tensor) -> Tensor:
        """Uniform on the sphere of length 1."""
        noise = torch.randn(like.shape, generator=_generator(rng)).to(like.device)
        return noise / noise.norm()


BALLS: dict[str, type[Linf] | type[L2]] = {"linf": Linf, "l2": L2}


def linf_bounds(clean: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """Lower and upper bounds of pixels around `clean`, same shape: within [0, 1] and epsilon.

    A bound that float32 rounds outwards is moved one step inwards, so that the bound is exact.
    """
    low, high = (clean.double() - epsilon).float(), (clean.double() + epsilon).float()
    low = torch.where(clean.double() - low.double() > epsilon, low.nextafter(clean), low)
    high = torch.where(high.double() - clean.double() > epsilon, high.nextafter(clean), high)
    return low.clamp(min=0), high.clamp(max=1)


def _generator(rng: random.Random) -> torch.Generator:
    return torch.Generator().manual_seed(rng.getrandbits(63))
