"""Warnings about a run that has collapsed: all samples leave at one exit, or one class is answered for all."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmark.policies.base import ThresholdPolicy
from benchmark.types import Trace


def warnings(policy: ThresholdPolicy, trace: Trace, depths: Tensor) -> list[str]:
    """What a reader must know before believing a saving; empty for a run that uses its exits and its classes.

    depths (N,): the exits taken, 1 … E. A rule that always leaves at one exit, such as `never`, gets no warning.
    """
    found = []
    exits = trace.logits.shape[1]
    if policy.tunable and exits > 1 and len(depths) > 1 and bool((depths == depths[0]).all()):
        found.append(f"all samples leave at exit {int(depths[0])} of {exits}")
    answers = trace.logits[torch.arange(len(depths)), depths - 1].argmax(-1)
    if len(answers) > 1 and bool((answers == answers[0]).all()) and not bool((trace.labels == trace.labels[0]).all()):
        found.append(f"class {int(answers[0])} is answered for all samples")
    return found
