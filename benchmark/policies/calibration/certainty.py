"""Certainty of an answer from one exit's logits: the measures that rules and threshold solvers share."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def confidence(logits: Tensor) -> Tensor:
    """Logits (…, C) -> largest softmax probability (…,); larger is more certain. Costs 6C − 3 operations a row."""
    return logits.softmax(-1).amax(-1)


def entropy(logits: Tensor) -> Tensor:
    """Logits (…, C) -> entropy of the softmax in nats (…,), 0 to ln C; smaller is more certain. Costs 8C − 2 a row."""
    log_p = logits.log_softmax(-1)
    return torch.special.entr(log_p.exp()).sum(-1)


# name -> measure, +1 if larger is more certain or −1 if smaller is, and operations of a step with C classes
SIGNALS: dict[str, tuple[Callable[[Tensor], Tensor], int, Callable[[int], int]]] = {
    "confidence": (confidence, 1, lambda num_classes: 6 * num_classes - 1),
    "entropy": (entropy, -1, lambda num_classes: 8 * num_classes),
}
