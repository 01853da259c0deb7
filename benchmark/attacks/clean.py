"""The workload that changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.types import EarlyExitModel, Perturbed, Policy, Sample


@dataclass(frozen=True)
class Clean:
    """The identity: what an attack is compared with."""

    name: str = "clean"

    def apply(self, model: EarlyExitModel, policy: Policy, samples: Sequence[Sample]) -> Perturbed:
        """The samples as they are, without facts."""
        return Perturbed(samples)
