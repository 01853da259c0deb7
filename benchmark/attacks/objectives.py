"""Attack objectives: losses on the logits of all exits and the current exit depths, minimised by the searches.

Every objective takes logits (b, E, C) and exit_depth (b,) in 1 … E and returns a loss (b,). Targets and weights are
constants to the gradient. No objective needs labels; the model's own clean answers replace them.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmark.types import ExitbenchError

PASSED_WEIGHT = 0.1  # of exits before the current one
GROWTH = 1.2  # factor from each exit's weight to the next one's, from the current exit on


def same(logits: Tensor, exit_depth: Tensor, lam: float = 0.8) -> Tensor:
    """SAME: lam × cross-prediction (breaks patience) + (1 − lam) × uniform (breaks confidence and entropy) -> (b,).

    Source: SAME (arXiv 2305.12228). Raises ExitbenchError for lam outside [0, 1] or wrong shapes.
    """
    if isinstance(lam, bool) or not isinstance(lam, int | float) or not 0 <= lam <= 1:
        raise ExitbenchError(f"objective.lam: expected a number from 0 to 1, got {lam!r}")
    _check(logits, exit_depth)
    weights = exit_weights(exit_depth, logits.shape[1])
    return lam * cross_prediction(logits, weights) + (1 - lam) * uniform_cross_entropy(logits, weights)


def uniform(logits: Tensor, exit_depth: Tensor, weighted: bool = True, last: bool = True) -> Tensor:
    """The uniform half of SAME alone -> (b,).

    With weighted=False and last=False it is DeepSloth's loss up to a factor: unit weights, internal exits only.
    Source: DeepSloth (arXiv 2010.02432). Raises ExitbenchError if that leaves no exit.
    """
    _check(logits, exit_depth)
    num_exits = logits.shape[1]
    weights = exit_weights(exit_depth, num_exits) if weighted else torch.ones(logits.shape[:2], device=logits.device)
    if last:
        return uniform_cross_entropy(logits, weights)
    if num_exits < 2:
        raise ExitbenchError("objective.last: expected true for a model of one exit, got false")
    return uniform_cross_entropy(logits[:, :-1], weights[:, :-1])


def accuracy(logits: Tensor, exit_depth: Tensor, answers: Tensor | None = None) -> Tensor:
    """The usual attack on accuracy: minus the last exit's cross-entropy to its clean answer (b,) -> (b,).

    answers: the last exit's on the clean inputs, used as labels; by default its present answers.
    """
    _check(logits, exit_depth)
    answers = logits[:, -1].argmax(-1) if answers is None else answers
    return -F.cross_entropy(logits[:, -1], answers, reduction="none")


def accuracy_all(logits: Tensor, exit_depth: Tensor, answers: Tensor | None = None) -> Tensor:
    """`accuracy` on all exits: minus the mean cross-entropy of all exits to the last exit's clean answer -> (b,)."""
    _check(logits, exit_depth)
    answers = logits[:, -1].argmax(-1) if answers is None else answers
    return -_cross_entropy(logits, answers[:, None].expand(logits.shape[:2])).mean(-1)


def exit_weights(exit_depth: Tensor, num_exits: int) -> Tensor:
    """Weights of the exits (b, E): 0.1 before the current exit e, 1.2^(i − e) from it on (i and e count from 1)."""
    ahead = torch.arange(1, num_exits + 1, device=exit_depth.device) - exit_depth[:, None]  # (b, E)
    return torch.where(ahead < 0, PASSED_WEIGHT, GROWTH ** ahead.clamp(min=0).float())


def cross_targets(logits: Tensor) -> Tensor:
    """Target classes (b, E) that make neighbouring exits disagree.

    Exit 1 keeps its prediction. The target of a later exit is its second-best class if it agrees with the exit before.
    """
    best_two = logits.detach().topk(2, -1).indices  # (b, E, 2)
    first, second = best_two.unbind(-1)
    agrees = first[:, 1:] == first[:, :-1]
    return torch.cat([first[:, :1], torch.where(agrees, second[:, 1:], first[:, 1:])], 1)


def cross_prediction(logits: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean over exits of the cross-entropy to `cross_targets` -> (b,); weights (b, E)."""
    return (weights * _cross_entropy(logits, cross_targets(logits))).mean(-1)


def uniform_cross_entropy(logits: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean over exits of the cross-entropy of the uniform distribution, divided by C -> (b,)."""
    return (weights * -logits.log_softmax(-1).mean(-1)).mean(-1) / logits.shape[-1]


def _cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Logits (b, E, C) and classes (b, E) -> (b, E)."""
    return F.cross_entropy(logits.transpose(1, 2), target, reduction="none")


def _check(logits: Tensor, exit_depth: Tensor) -> None:
    if logits.dim() != 3 or logits.shape[-1] < 2:
        raise ExitbenchError(f"logits: expected (b, E, C) with C of at least 2, got {tuple(logits.shape)}")
    if exit_depth.shape != logits.shape[:1]:
        raise ExitbenchError(f"exit_depth: expected ({len(logits)},), got {tuple(exit_depth.shape)}")
