"""The `clean` workload: samples without any attack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.types import EarlyExitModel, Perturbed, Policy, Sample


@dataclass(frozen=True)
class Clean:
    """The identity, which attacks are compared with."""

    name: str = "clean"

    def apply(self, model: EarlyExitModel, policy: Policy, samples: Sequence[Sample]) -> Perturbed:
        """The samples unchanged, without facts."""
        return Perturbed(samples)
