"""Setup shared by the timing benches: a model at its default operating point, and a few collated samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from benchmark.config.compose import build, compose
from benchmark.cost.macs import cost, table
from benchmark.policies.base import ThresholdPolicy
from benchmark.policies.calibration import operating_point
from benchmark.policies.replay import trace_depths
from benchmark.run.pipeline import take
from benchmark.run.settings import rule_arguments
from benchmark.run.trace_cache import traced
from benchmark.types import Batch, Dataset, ExitbenchError, Hardware, Sample, Trace

CPU = Hardware("bench", "cpu", "float32", 1)  # what benches time on: one thread


@dataclass(frozen=True, eq=False)
class Family:
    """A trained model, its default rule at its chosen threshold, and test samples to time."""

    model: Any
    policy: ThresholdPolicy
    samples: Sequence[Sample]
    batches: Sequence[Batch]  # of one sample each
    mac_speedup: float  # of these samples, by replay
    config: dict[str, Any] = field(default_factory=dict)  # what `model` is built from, for worker processes
    dataset: Dataset | None = None
    calibration: Trace | None = None  # what the threshold was chosen on


def load_family(name: str, samples: int, seed: int = 0) -> Family:
    """The model that `conf/model/<name>.yaml` describes, on `samples` test samples of its dataset."""
    from omegaconf import OmegaConf

    cfg = compose("config", [f"model={name}"])
    rule: Any = OmegaConf.to_container(cfg.policy)
    config: Any = OmegaConf.to_container(cfg.model, resolve=True)
    max_drop = rule["max_drop"]
    dataset, model = build(cfg.dataset), build(cfg.model).eval()
    clean = traced(model, dataset.calibration, 64, "cpu", "float32", "trace calibration")
    macs = table(cost(model, clean.lengths.tolist()), clean.lengths)
    policy = build(rule_arguments(rule), threshold=0)
    policy, _ = operating_point.find_operating_point(policy, model, clean, macs, True, max_drop, dataset.metric)
    chosen = take(dataset.test, samples, seed)
    trace = traced(model, chosen, 64, "cpu", "float32", "trace")
    spent, depth = table(cost(model, trace.lengths.tolist()), trace.lengths), trace_depths(policy, trace)
    promise = float(spent[:, -1].sum() / spent[torch.arange(len(depth)), depth - 1].sum())
    return Family(
        model, policy, chosen, [model.collate([sample]) for sample in chosen], promise, config, dataset, clean
    )


def parse_options(bench: str, defaults: Mapping[str, Any], arguments: Sequence[str]) -> dict[str, Any]:
    """Arguments key=value over the defaults, numbers as their default's kind.

    Raises:
        ExitbenchError: an argument that no default names, or one that cannot be read as its default's kind.
    """
    options = dict(defaults)
    for argument in arguments:
        key, _, value = argument.partition("=")
        if key not in defaults or not value:
            raise ExitbenchError(
                f"bench {bench}: expected {' '.join(f'{k}={v}' for k, v in defaults.items())}, got {argument!r}"
            )
        try:
            options[key] = type(defaults[key])(value)
        except ValueError as error:
            raise ExitbenchError(f"bench {bench}: expected {key}={defaults[key]} or such, got {argument!r}") from error
        if not isinstance(options[key], str) and options[key] <= 0:
            raise ExitbenchError(f"bench {bench}: expected {key} above 0, got {argument!r}")
    return options
