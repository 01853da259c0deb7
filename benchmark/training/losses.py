"""Losses of exits: the loss of each exit, and how they are combined.

`EachLoss`: (logits E × (b, C), labels (b,), smoothing) -> E scalars. `JointLoss`: losses of the exits (E,) -> scalar.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmark.types import ExitbenchError

EachLoss = Callable[[Sequence[Tensor], Tensor, float], Sequence[Tensor]]
JointLoss = Callable[[Tensor], Tensor]


def exit_losses(logits: Sequence[Tensor], labels: Tensor, smoothing: float = 0.0) -> list[Tensor]:
    """Cross-entropy of every exit: E × (b, C) and labels (b,) -> E scalars, means over the batch."""
    return [F.cross_entropy(exit_logits, labels, label_smoothing=smoothing) for exit_logits in logits]


def distilled(
    logits: Sequence[Tensor], labels: Tensor, smoothing: float = 0.0, share: float = 1.0, temperature: float = 1.0
) -> list[Tensor]:
    """Self-distillation from the last exit: earlier exits minimise share · T² · KL(last ‖ exit) + (1 - share) · CE.

    FastBERT (ACL 2020, section 3.3.2): share 1, T 1. RomeBERT (2021): share 0.9, T 3; its code also averages
    over the classes, while KL here is a sum, by definition. The teacher is detached and gets no gradient.

    Raises:
        ExitbenchError: a share outside [0, 1], a temperature not above 0.
    """
    if not 0 <= share <= 1 or not temperature > 0:
        raise ExitbenchError(
            f"recipe.each: expected share in [0, 1] and temperature above 0, got {share!r} and {temperature!r}"
        )
    teacher = (logits[-1].detach() / temperature).log_softmax(-1)
    hard = exit_losses(logits, labels, smoothing)
    soft = [
        F.kl_div((answer / temperature).log_softmax(-1), teacher, reduction="batchmean", log_target=True)
        for answer in logits[:-1]
    ]
    mixed = [share * temperature**2 * kl + (1 - share) * ce for kl, ce in zip(soft, hard, strict=False)]
    return [*mixed, hard[-1]]


def certainty_loss(certainty: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
    """Mean squared error of sigmoid(certainty) (b,) against 1 if the logits (b, C) predict the label, else 0.

    BERxiT (EACL 2021, section 3.3) predicts the complement, "is it wrong"; the error is the same.
    """
    right = (logits.argmax(-1) == labels).to(certainty.dtype)  # no gradient: a comparison
    return F.mse_loss(certainty.sigmoid(), right)


def plain_sum(losses: Tensor) -> Tensor:
    """Σ CE_i: DVT (section 3.4), ElasticBERT."""
    return losses.sum()


def depth_weighted(losses: Tensor) -> Tensor:
    """Σ i·CE_i / Σ i: PABEE (section 3.3)."""
    weight = torch.arange(1, len(losses) + 1, device=losses.device, dtype=losses.dtype)
    return (weight * losses).sum() / weight.sum()


def last_only(losses: Tensor) -> Tensor:
    """CE of the last exit: an ordinary network, the baseline, and DeeBERT's first stage."""
    return losses[-1]


def all_but_last(losses: Tensor) -> Tensor:
    """Σ CE_i without the last exit: DeeBERT's second stage (ACL 2020, section 3.2)."""
    return losses[:-1].sum()


def trained_exits(loss: JointLoss, num_exits: int) -> list[bool]:
    """The exits (E,) that a joint loss trains: those whose losses change it."""
    losses = torch.ones(num_exits, requires_grad=True)
    (gradient,) = torch.autograd.grad(loss(losses), losses, allow_unused=True)
    return [False] * num_exits if gradient is None else (gradient != 0).tolist()
