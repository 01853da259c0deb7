"""A dataset made on the spot: is the bright bar upright or lying?"""

from __future__ import annotations

import hashlib

import torch

from benchmark.types import Dataset, ImageSample


def bars(name: str, version: int, noise: float, train: int, calibration: int, test: int, seed: int) -> Dataset:
    """Pictures (1, 16, 16) in [0, 1] of a bar among noise, class 1 where it is upright; easy and hard ones mixed."""
    draw = torch.Generator().manual_seed(seed)
    samples = []
    for index in range(train + calibration + test):
        label, at = index % 2, int(torch.randint(2, 14, (1,), generator=draw))
        pixels = noise * torch.rand(1, 16, 16, generator=draw)
        brightness = float(torch.rand(1, generator=draw))  # faint bars are the hard ones
        bar = (slice(None), slice(None), at) if label else (slice(None), at)
        pixels[bar] += brightness * (1 - noise)
        samples.append(ImageSample(index, label, pixels))
    fingerprint = hashlib.sha256(b"".join(sample.pixels.numpy().tobytes() for sample in samples)).hexdigest()
    splits = samples[:train], samples[train : train + calibration], samples[train + calibration :]
    return Dataset(name, version, "image", 2, ("lying", "upright"), *splits, fingerprint)
