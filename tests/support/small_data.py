"""Datasets made on the spot, for running whole commands without any source."""

import torch
from attack_doubles import TEXTS

from benchmark.types import Dataset, ImageSample, TextSample


def _dataset(name: str, kind: str, samples: list, num_classes: int) -> Dataset:
    names = tuple(map(str, range(num_classes)))
    return Dataset(name, 1, kind, num_classes, names, samples[:60], samples[60:90], samples[90:], f"{name}-made-up")


def images() -> Dataset:
    """120 pictures of 14 × 14; the class is the bright quarter."""
    draw = torch.Generator().manual_seed(0)
    samples = []
    for n in range(120):
        pixels, label = torch.rand(1, 14, 14, generator=draw) / 2, n % 4
        top, left = 7 * (label // 2), 7 * (label % 2)
        pixels[:, top : top + 7, left : left + 7] += 0.4
        samples.append(ImageSample(n, label, pixels))
    return _dataset("quarters", "image", samples, 4)


def texts() -> Dataset:
    """120 sentences from a few."""
    samples = [TextSample(n, n % 2, (" ".join(TEXTS[n % 6].split()[: 3 + n % 5]),)) for n in range(120)]
    return _dataset("sentences", "text", samples, 2)
