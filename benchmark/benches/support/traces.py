"""Traces of checkpoints on their own datasets, for benches that replay rules on them."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from benchmark.config.compose import build, compose
from benchmark.cost.macs import cost
from benchmark.cost.macs import table as macs_table
from benchmark.run.trace_cache import traced
from benchmark.types import Metric, Trace


class Traces(NamedTuple):
    """A checkpoint's traces of the calibration and the test split with their cumulative MACs (N, E)."""

    model: str
    dataset: str
    calibration: Trace
    calibration_macs: Tensor
    test: Trace
    test_macs: Tensor
    metric: Metric = "accuracy"


def load(name: str) -> Traces:
    """A checkpoint on its own dataset, traced in float32 or read from the cache."""
    cfg = compose("config", [f"model={name}"])
    dataset, model = build(cfg.dataset), build(cfg.model).eval()
    both = []
    for samples, description in ((dataset.calibration, "trace calibration"), (dataset.test, "trace clean")):
        trace = traced(model, samples, 64, "cpu", "float32", description)
        both += [trace, macs_table(cost(model, trace.lengths.tolist()), trace.lengths)]
    return Traces(name, dataset.name, *both, metric=dataset.metric)
