"""An exit of a text encoder: pool the tokens, optionally through a dense tanh layer, then classify."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmark.types import ExitbenchError

POOLINGS = ("cls", "mean")
POOLERS = ("none", "own", "shared")


def pool(hidden: Tensor, mask: Tensor | None, pooling: str) -> Tensor:
    """Hidden states (b, T, d) and mask (b, T), None where nothing is padded -> (b, d)."""
    if pooling == "cls":
        return hidden[:, 0]
    if mask is None:
        return hidden.mean(1)
    weight = mask.to(hidden.dtype).unsqueeze(-1)  # (b, T, 1)
    return (hidden * weight).sum(1) / weight.sum(1)


class ExitHead(nn.Module):
    """Pool, dense + tanh unless `dense` is None, dropout in training, linear."""

    def __init__(self, width: int, num_classes: int, pooling: str, dense: nn.Module | None, dropout: float) -> None:
        super().__init__()
        if pooling not in POOLINGS:
            raise ExitbenchError(f"model.pooling: expected one of {POOLINGS}, got {pooling!r}")
        self.pooling = pooling
        self.dense = dense
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(width, num_classes)

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """(b, T, d), (b, T) or None -> logits (b, C)."""
        pooled = pool(hidden, mask, self.pooling)
        if self.dense is not None:
            pooled = torch.tanh(self.dense(pooled))
        return self.classifier(self.dropout(pooled))

    def closed_form_macs(self) -> int:
        """MACs of one sample, by arithmetic."""
        width, num_classes = self.classifier.in_features, self.classifier.out_features
        return width * num_classes + (width * width if self.dense is not None else 0)


def make_heads(exits: int, width: int, num_classes: int, pooling: str, pooler: str, dropout: float) -> nn.ModuleList:
    """The heads of all exits, with no dense layer, one each, or one for all.

    Raises:
        ExitbenchError: an unknown pooler.
    """
    if pooler not in POOLERS:
        raise ExitbenchError(f"model.pooler: expected one of {POOLERS}, got {pooler!r}")
    shared = nn.Linear(width, width) if pooler == "shared" else None
    denses = [nn.Linear(width, width) if pooler == "own" else shared for _ in range(exits)]
    return nn.ModuleList(ExitHead(width, num_classes, pooling, dense, dropout) for dense in denses)
