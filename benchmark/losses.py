"""How the exits' cross-entropies become one training loss: per-exit mean losses (E,) -> scalar."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def exit_losses(logits: Sequence[Tensor], labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy of every exit: E × (b, C) and labels (b,) -> (E,), mean over the batch."""
    return torch.stack([F.cross_entropy(exit_logits, labels, label_smoothing=smoothing) for exit_logits in logits])


def plain_sum(losses: Tensor) -> Tensor:
    """Σ CE_i: DVT (section 3.4), DeeBERT's second stage, ElasticBERT."""
    return losses.sum()


def depth_weighted(losses: Tensor) -> Tensor:
    """Σ i·CE_i / Σ i: PABEE (section 3.3)."""
    weight = torch.arange(1, len(losses) + 1, device=losses.device, dtype=losses.dtype)
    return (weight * losses).sum() / weight.sum()


def last_only(losses: Tensor) -> Tensor:
    """CE of the last exit: an ordinary network, the baseline beside the others."""
    return losses[-1]
