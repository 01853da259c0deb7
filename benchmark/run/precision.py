"""How the arithmetic of a hardware profile (bfloat16, int8) changes answers and exits, compared with float32."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TypedDict

import torch

from benchmark.engine.placement import is_reference_precision, place
from benchmark.policies.replay import trace_depths
from benchmark.records import metrics
from benchmark.run.model import LoadedModel
from benchmark.run.trace_cache import traced
from benchmark.types import EarlyExitModel, Hardware, Latency, Policy, Sample, Trace

# How close a signal may be to its threshold, or two classes to each other, for either decision to pass the audit. A
# live sample runs in other kernels than a traced one (shapes, compaction), which round differently; in int8 the other
# samples of its batch matter too.
TIES = {"float32": 1e-4, "bfloat16": 3e-2, "float16": 5e-3, "int8_dynamic": 5e-2}


def tie(hardware: Hardware) -> float:
    """The tolerance of the audit on a profile."""
    return TIES[hardware.dtype if hardware.quantise == "none" else hardware.quantise]


class Tracer:
    """Traces of one model: in float32, for thresholds and attacks, and in the precision of the profile.

    batch_size: of float32 traces; changes no figure. live_batch: of traces in another precision, where the batch size
    does change figures: the batch size that is timed.
    """

    def __init__(self, model: LoadedModel, hardware: Hardware, batch_size: int, live_batch: int) -> None:
        self.model, self.hardware = model.to(hardware.device).eval(), hardware
        self.batch_size, self.live_batch = batch_size, live_batch

    def exact(self, samples: Sequence[Sample], description: str) -> Trace:
        """In float32."""
        return traced(self.model, samples, self.batch_size, self.hardware.device, "float32", description)

    def as_run(self, samples: Sequence[Sample], description: str) -> Trace:
        """In the precision of the profile, not compiled."""
        if is_reference_precision(self.hardware):
            return self.exact(samples, description)
        kind = f"{self.hardware.dtype}, {self.hardware.quantise}, batches of {self.live_batch}"
        if self.hardware.compiler == "onnxruntime":  # its own quantiser: other answers than torch's
            kind += ", onnxruntime"
        what = f"{description}, {self.hardware.name}"
        return traced(self._placed, samples, self.live_batch, self.hardware.device, kind, what, weights_of=self.model)

    @cached_property
    def _placed(self) -> EarlyExitModel:
        return place(self.model, self.hardware)


class PrecisionShift(TypedDict):
    """Differences from float32 over n samples; the last two are shares of samples."""

    against: str
    n: int
    accuracy_diff: float
    mean_exit_depth_diff: float
    exits_changed: float
    answers_changed: float


def shift(policy: Policy, exact: Trace, profile: Trace, latency: Latency | None, hardware: Hardware) -> PrecisionShift:
    """How accuracy, mean depth and exits differ from float32, over all samples; where only compiling can change them,
    over the timed samples.

    exact: in float32. profile: the same samples in the profile's precision.
    """
    depth = trace_depths(policy, exact)
    answers, labels = _answers(exact, depth), exact.labels
    if is_reference_precision(hardware) and hardware.compiler != "eager" and latency is not None:
        n = latency.n
        new_depth, depth = torch.tensor(latency.exit_depths), depth[:n]
        new_answers, answers, labels = torch.tensor(latency.predictions), answers[:n], labels[:n]
    else:
        new_depth = trace_depths(policy, profile)
        new_answers = _answers(profile, new_depth)
    accuracy = metrics.accuracy(answers.numpy(), labels.numpy())["value"]
    new_accuracy = metrics.accuracy(new_answers.numpy(), labels.numpy())["value"]
    return {
        "against": "float32, eager, same device and threshold",
        "n": len(labels),
        "accuracy_diff": new_accuracy - accuracy,
        "mean_exit_depth_diff": float((new_depth - depth).double().mean()),
        "exits_changed": float((new_depth != depth).double().mean()),
        "answers_changed": float((new_answers != answers).double().mean()),
    }


def _answers(trace: Trace, depth: torch.Tensor) -> torch.Tensor:
    return trace.logits[torch.arange(len(depth)), depth - 1].argmax(-1)
