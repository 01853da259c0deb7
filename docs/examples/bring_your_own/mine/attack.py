"""An attack's objective: what the suite's searches make small."""

from __future__ import annotations

from torch import Tensor


def least_margin(logits: Tensor, exit_depth: Tensor, power: float = 1.0) -> Tensor:
    """How far the best class is ahead at the exit where a sample leaves now: (b, E, C), (b,) -> (b,).

    power: 2 gives confident samples more weight.
    """
    rows = range(len(logits))
    best, second = logits[rows, exit_depth - 1].softmax(-1).topk(2, -1).values.unbind(-1)
    return (best - second) ** power
