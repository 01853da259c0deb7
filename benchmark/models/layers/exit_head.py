"""An exit of a text encoder: pool the tokens, optionally through a dense tanh layer, then classify."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from benchmark.types import ExitbenchError

POOLINGS = ("cls", "mean")
POOLERS = ("none", "own", "shared")


def pool(hidden: Tensor, mask: Tensor | None, pooling: str) -> Tensor:
    """Hidden states (b, T, d) and mask (b, T), None without padding -> (b, d)."""
    if pooling == "cls":
        return hidden[:, 0]
    if mask is None:
        return hidden.mean(1)
    weight = mask.to(hidden.dtype).unsqueeze(-1)  # (b, T, 1)
    return (hidden * weight).sum(1) / weight.sum(1)


class ExitHead(nn.Module):
    """Pool, dense + tanh unless `dense` is None, dropout in training, linear.

    certainty: a linear layer from the pooled state to one number, the learned certainty that the answer is right,
    before the sigmoid (BERxiT, EACL 2021, section 3.3); it becomes a column after the logits.
    """

    def __init__(
        self,
        width: int,
        num_classes: int,
        pooling: str,
        dense: nn.Module | None,
        dropout: float,
        certainty: nn.Module | None = None,
    ) -> None:
        super().__init__()
        if pooling not in POOLINGS:
            raise ExitbenchError(f"model.pooling: expected one of {POOLINGS}, got {pooling!r}")
        self.pooling = pooling
        self.dense = dense
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(width, num_classes)
        self.certainty = certainty

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """(b, T, d), (b, T) or None -> logits (b, C), or (b, C + 1) with a certainty."""
        pooled = pool(hidden, mask, self.pooling)
        if self.dense is not None:
            pooled = torch.tanh(self.dense(pooled))
        pooled = self.dropout(pooled)
        logits = self.classifier(pooled)
        return logits if self.certainty is None else torch.cat([logits, self.certainty(pooled)], -1)

    def closed_form_macs(self) -> int:
        """MACs of one sample, by a formula."""
        width, columns = self.classifier.in_features, self.classifier.out_features + (self.certainty is not None)
        return width * columns + (width * width if self.dense is not None else 0)


def make_heads(
    exits: int,
    width: int,
    num_classes: int,
    pooling: str,
    pooler: str,
    dropout: float,
    learn_to_exit: bool = False,
) -> nn.ModuleList:
    """The heads of all exits, with no dense layer, one each, or a shared one; a learned certainty is shared by all.

    Raises:
        ExitbenchError: an unknown pooler.
    """
    if pooler not in POOLERS:
        raise ExitbenchError(f"model.pooler: expected one of {POOLERS}, got {pooler!r}")
    shared = nn.Linear(width, width) if pooler == "shared" else None
    denses = [nn.Linear(width, width) if pooler == "own" else shared for _ in range(exits)]
    certainty = nn.Linear(width, 1) if learn_to_exit else None
    return nn.ModuleList(ExitHead(width, num_classes, pooling, dense, dropout, certainty) for dense in denses)


def init_poolers(
    heads: Iterable[nn.Module], layers: Sequence[int], poolers: Mapping[int, Mapping[str, Tensor]]
) -> None:
    """Start the dense layers of the exits after `layers` from pre-trained poolers by layer; 0 stands for any.

    Raises:
        ExitbenchError: there are none, or the exits have no dense layer.
    """
    for layer, head in zip(layers, heads, strict=True):
        found, dense = poolers.get(layer, poolers.get(0)), head.dense
        if found is None or not isinstance(dense, nn.Module):
            lacking = "the backbone's weights" if found is None else "the exits"
            raise ExitbenchError(f"model.pretrained_pooler: expected a pooler, got none in {lacking}; set it to false")
        dense.load_state_dict(dict(found))
