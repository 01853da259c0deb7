"""The two families at their smallest, for tests that must hold for both."""

import torch
from attack_doubles import TEXTS, reader

from benchmark.models.dvt import DVT
from benchmark.models.pretrained.weights import load_weights
from benchmark.types import ImageSample, TextSample


def small_dvt(checkpoint: str = "", **changed) -> DVT:
    """A random DVT of 16 × 16 pixels with three exits and both reuses."""
    arguments = {"num_classes": 4, "grids": (2, 3, 4), "width": 12, "depth": 2, "heads": 3, "mlp_ratio": 2,
                 "image_size": 16, "mean": [0.5], "std": [0.5], "tokenizer": "conv_stem", "reuse_hidden": 6,
                 "reuse_width": 4}  # fmt: skip
    torch.manual_seed(0)
    model = DVT(**{**arguments, **changed}).eval()
    for parameter in model.parameters():  # far from the first weights, so that every mechanism matters
        parameter.data.add_(0.3 * torch.randn_like(parameter))
    if checkpoint:
        load_weights(model, checkpoint)
    return model


def image_samples(count: int) -> list[ImageSample]:
    """Random 14 × 14 images, which the model pads."""
    draw = torch.Generator().manual_seed(3)
    return [ImageSample(n, n % 4, torch.rand(1, 14, 14, generator=draw)) for n in range(count)]


def text_samples(count: int) -> list[TextSample]:
    """Sentences of several lengths, repeated with their ends cut."""
    return [TextSample(n, n % 2, (TEXTS[n % len(TEXTS)][: 60 - n],)) for n in range(count)]


FAMILIES = {"dvt": (small_dvt, image_samples), "bert": (reader, text_samples)}
