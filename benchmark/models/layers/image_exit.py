"""An exit of a vision transformer: pool the tokens, normalise, classify."""

from __future__ import annotations

from torch import Tensor, nn

from benchmark.types import ExitbenchError

POOLINGS = ("class", "mean")


class ImageExit(nn.Module):
    """Class token or mean of the patch tokens, norm, linear.

    prefix: how many tokens before the patches (class, distillation, registers); the mean leaves them out.

    Raises:
        ExitbenchError: an unknown pooling.
    """

    def __init__(self, norm: nn.Module, classifier: nn.Linear, pooling: str, prefix: int) -> None:
        super().__init__()
        if pooling not in POOLINGS:
            raise ExitbenchError(f"model.pooling: expected one of {POOLINGS}, got {pooling!r}")
        self.pooling, self.prefix = pooling, prefix
        self.norm, self.classifier = norm, classifier

    def forward(self, tokens: Tensor) -> Tensor:
        """(b, T, d) -> logits (b, C)."""
        pooled = tokens[:, 0] if self.pooling == "class" else tokens[:, self.prefix :].mean(1)  # (b, d)
        return self.classifier(self.norm(pooled))

    def closed_form_macs(self) -> int:
        """MACs of one image, by a formula."""
        return self.classifier.in_features * self.classifier.out_features
