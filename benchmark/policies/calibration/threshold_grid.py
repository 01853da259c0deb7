"""Candidate thresholds: midway between neighbouring values of the calibration split, never on a value.

If a threshold is a sample's own value, rounding decides that sample: another batch, processor or GPU moves a logit by
about 1e-5 of its size, and the sample exits elsewhere. Values that rounding could exchange are not separated.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from benchmark.policies.base import ThresholdPolicy
from benchmark.policies.replay import signals
from benchmark.types import Trace

ROUNDING = 2e-5  # of a sample's largest logit: twice what batched and single runs differ by
END = 1e-3  # of the signals' span: how far beyond all values the two ends lie


def signal_margins(policy: ThresholdPolicy, trace: Trace) -> Tensor:
    """How far rounding can move the rule's signal at every exit (N, E); 0 if it cannot, or only by whole steps."""
    if policy.reads == "hindsight":
        return torch.zeros(trace.logits.shape[:2])
    extra = None if trace.extra is None else trace.extra + ROUNDING * trace.extra.abs().clamp(min=1)
    moved = signals(policy, perturbed(trace.logits), extra, trace.labels)
    return (moved - signals(policy, trace.logits, trace.extra, trace.labels)).abs().float().nan_to_num(0, 0, 0)


def perturbed(logits: Tensor) -> Tensor:
    """Logits (…, C) with the worst rounding that keeps the answer: the best class up and the others down."""
    size = ROUNDING * logits.abs().amax(-1, keepdim=True)
    up = torch.nn.functional.one_hot(logits.argmax(-1), logits.shape[-1])
    return logits + size * (2 * up - 1)


def gap_midpoints(values: Tensor, margins: Tensor, at_most: int = 0) -> Tensor:
    """Ascending midpoints (K,) float32 of gaps between values (n,) that rounding by their margins (n,) cannot close.

    at_most: number of midpoints, spread evenly over the values, the widest gap of each neighbourhood; 0 for all. If
    values are so dense that most neighbourhoods have no open gap, their widest gaps are used.
    """
    finite = values.isfinite()
    ordered, order = values[finite].float().sort()
    margins = margins[finite].float()[order]
    low, high = ordered[:-1], ordered[1:]
    middle = ((low.double() + high.double()) / 2).float()
    # In float32, as the rule compares: the midpoint of two neighbouring numbers is one of them.
    inside = (low < middle) & (middle < high)
    openness = ((high - low) / (margins[:-1] + margins[1:]).clamp(min=1e-38))[inside]
    middle = middle[inside]
    if not len(middle):
        return middle
    keep = _widest(openness, at_most) if at_most and len(middle) > at_most else torch.arange(len(middle))
    is_open = openness[keep] >= 1
    return middle[keep[is_open] if 2 * int(is_open.sum()) >= len(keep) else keep]


def _widest(openness: Tensor, bins: int) -> Tensor:
    """The position of the widest gap in each of some bins of equally many gaps, ascending."""
    place = torch.arange(len(openness)) * bins // len(openness)
    best = torch.full((bins,), -math.inf).scatter_reduce(0, place, openness, "amax")
    is_best = openness == best[place]
    return torch.full((bins,), len(openness)).scatter_reduce(0, place[is_best], is_best.nonzero()[:, 0], "amin")


def thresholds(signal: Tensor, rising: bool, at_most: int = 1000, margins: Tensor | None = None) -> Tensor:
    """Thresholds (K,) float64 that separate the signals (N, E), from one that stops none early to one that stops all.

    margins (N, E): how far rounding moves each signal; 0 by default. The last exit's signals are not used, nor are
    infinite ones, which no threshold changes.
    """
    early = signal[:, :-1].float()
    margins = torch.zeros_like(early) if margins is None else margins[:, :-1]
    finite = early[early.isfinite()]
    if not len(finite):
        return torch.zeros(1, dtype=torch.float64)
    low, high = float(finite.min()), float(finite.max())
    beyond = max(END * (high - low or 1.0), 2 * float(margins.max()))
    inner = gap_midpoints(early.flatten(), margins.flatten(), max(1, at_most - 2)).double()
    return torch.cat([torch.tensor([low - beyond], dtype=torch.float64), inner, torch.tensor([high + beyond]).double()])


def candidates(policy: ThresholdPolicy, trace: Trace, at_most: int = 1000) -> Tensor:
    """The thresholds (K,) from which one is chosen for a rule on a calibration trace."""
    signal = signals(policy, trace.logits, trace.extra, trace.labels)
    return thresholds(signal, policy.rising, at_most, signal_margins(policy, trace))


def measure_margins(logits: Tensor, measure: Callable[[Tensor], Tensor]) -> Tensor:
    """How far rounding can move a measure of logits (…, C) -> (…,)."""
    return (measure(perturbed(logits)) - measure(logits)).abs().float()


def lowered_to_midpoints(values: Tensor, margins: Tensor) -> Tensor:
    """Values (n,) lowered to the midpoint below each, so that a threshold chosen among them lies between values.

    Values below all midpoints get a value below all of them.
    """
    at = gap_midpoints(values, margins)
    lowest = values.min() - max(END * float(values.max() - values.min()), 1e-6)
    steps = torch.cat([lowest.float()[None], at])
    return steps[torch.searchsorted(at, values.contiguous(), right=True)]
