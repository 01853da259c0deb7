"""What a hardware profile's arithmetic does to answers and exits, held against float32 at the same threshold."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch

from benchmark.engine.placement import is_reference_precision, place
from benchmark.policies.base import trace_depths
from benchmark.records import metrics
from benchmark.run.trace_cache import traced
from benchmark.types import Hardware, Latency, Policy, Sample, Trace

# How near a signal may be to its threshold, or two classes to each other, for either side to be right. A live sample
# meets other kernels than a traced one (shapes, compaction), which round differently; in int8 its neighbours count.
TIES = {"float32": 1e-4, "bfloat16": 3e-2, "float16": 5e-3, "int8_dynamic": 5e-2}


def tie(hardware: Hardware) -> float:
    """The tolerance of the audit on a profile."""
    return TIES[hardware.dtype if hardware.quantise == "none" else hardware.quantise]


class Tracer:
    """Traces of one model: in float32, which thresholds and attacks go by, and as the profile computes it.

    batch_size: of float32 traces, changes no figure. live_batch: what a profile of another precision is traced with,
    because there it does change figures: the batch it is timed with.
    """

    def __init__(self, model: Any, hardware: Hardware, batch_size: int, live_batch: int) -> None:
        self.model, self.hardware = model.to(hardware.device).eval(), hardware
        self.batch_size, self.live_batch = batch_size, live_batch

    def exact(self, samples: Sequence[Sample], description: str) -> Trace:
        """In float32."""
        return traced(self.model, samples, self.batch_size, self.hardware.device, "float32", description)

    def as_run(self, samples: Sequence[Sample], description: str) -> Trace:
        """As the profile computes, uncompiled."""
        if is_reference_precision(self.hardware):
            return self.exact(samples, description)
        kind = f"{self.hardware.dtype}, {self.hardware.quantise}, batches of {self.live_batch}"
        what = f"{description}, {self.hardware.name}"
        return traced(self._placed, samples, self.live_batch, self.hardware.device, kind, what, weights_of=self.model)

    @cached_property
    def _placed(self) -> Any:
        return place(self.model, self.hardware)


def shift(policy: Policy, exact: Trace, lived: Trace, latency: Latency | None, hardware: Hardware) -> dict[str, Any]:
    """How far accuracy, mean depth and exits moved from float32: over all samples, or where only compiling could move
    them over those that were timed."""
    depth = trace_depths(policy, exact)
    answers, labels = _answers(exact, depth), exact.labels
    if is_reference_precision(hardware) and hardware.compiler != "eager" and latency is not None:
        n = latency.n
        now, then = torch.tensor(latency.exit_depths), depth[:n]
        answers_now, answers, labels = torch.tensor(latency.predictions), answers[:n], labels[:n]
    else:
        now, then = trace_depths(policy, lived), depth
        answers_now = _answers(lived, now)
    right = metrics.accuracy(answers.numpy(), labels.numpy())["value"]
    right_now = metrics.accuracy(answers_now.numpy(), labels.numpy())["value"]
    return {
        "against": "float32, eager, same device and threshold",
        "n": len(labels),
        "accuracy_diff": right_now - right,
        "mean_exit_depth_diff": float((now - then).double().mean()),
        "exits_changed": float((now != then).double().mean()),
        "answers_changed": float((answers_now != answers).double().mean()),
    }


def _answers(seen: Trace, depth: torch.Tensor) -> torch.Tensor:
    return seen.logits[torch.arange(len(depth)), depth - 1].argmax(-1)
