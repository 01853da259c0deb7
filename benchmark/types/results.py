"""What comes out of a run before it is measured: traces, costs and perturbed samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmark.types.samples import Sample

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Trace:
    """All exits' logits of N inputs run once to full depth."""

    logits: Tensor  # (N, E, C) float32 on the CPU
    labels: Tensor  # (N,) int64
    lengths: Tensor  # (N,) int64, the cost key of each sample
    truncated: int = 0
    extra: Tensor | None = None  # (N, E, X) float32, what the model yields after its logits; None where it yields none


@dataclass(frozen=True)
class Cost:
    """Cumulative MACs to each exit, batch 1, by sample length: `by_length[length][exit - 1]`."""

    by_length: dict[int, tuple[int, ...]]


@dataclass(frozen=True)
class Perturbed:
    """What a workload made of N samples.

    facts: per-sample columns of length N (queries, seconds, changed, depth_before, depth_after);
    empty for `clean`. settings: what the attack was run with, for the record.
    trails: per sample (queries spent, exit depth of the best found by then), from the clean input on.
    """

    samples: Sequence[Sample]
    facts: dict[str, list[float]] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    from_cache: bool = False
    trails: Sequence[Sequence[Sequence[int]]] = ()
