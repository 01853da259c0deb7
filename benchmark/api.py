"""The Python API, for notebooks: load a combination, trace it, decide exits, measure, and read records as a table.

    from benchmark import api

    chosen = api.load("model=minilm_exits", "workload=same", "limit=100")
    trace = api.trace(chosen.model, chosen.samples)
    depths = api.decide(chosen.policy, trace)
    latency = api.measure(chosen.model, chosen.policy, chosen.samples, hardware="cpu_1t")
    frame = api.records("results/demo/records")

`load` takes the overrides of `exitbench run` and gives the same figures. Importing this module imports nothing heavy.
Every mistake is an `ExitbenchError` of one line; see docs/python.md.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.types import (
    Dataset,
    EarlyExitModel,
    ExitbenchError,
    Hardware,
    Latency,
    Perturbed,
    Policy,
    Sample,
    Trace,
)

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

    from benchmark.policies.base import ThresholdPolicy
    from benchmark.policies.calibration.operating_point import OperatingPoint
    from benchmark.run.model import LoadedModel

__all__ = ["Chosen", "ExitbenchError", "costs", "decide", "load", "measure", "records", "results", "trace"]


class Chosen:
    """The objects that some overrides choose. Each property is built on first use and then reused.

    overrides: as on the command line, such as "model=dvt_fashion" or "policy.threshold=0.9".
    """

    def __init__(self, overrides: Sequence[str], config_dir: str = "") -> None:
        from benchmark.config.compose import compose
        from benchmark.run.combination import Combination

        self.overrides, self._config_dir = tuple(overrides), config_dir
        self._parts = Combination(compose("config", self.overrides, config_dir), config_dir)

    def __repr__(self) -> str:
        return f"Chosen({', '.join(map(repr, self.overrides))})"

    @property
    def model(self) -> LoadedModel:
        """The model, an `EarlyExitModel`, on the profile's device and ready to run."""
        from benchmark.hardware.profiles import applied

        with applied(self.hardware):
            return self._parts.model.to(self.hardware.device).eval()

    @property
    def model_config(self) -> dict[str, Any]:
        """The configuration of the model, from which `measure` builds it again in a worker process."""
        return self._parts.model_config

    @property
    def dataset(self) -> Dataset:
        """The `Dataset`: train, calibration and test."""
        return self._parts.dataset

    @property
    def hardware(self) -> Hardware:
        """The profile, checked against this machine."""
        return self._parts.hardware

    @cached_property
    def clean_samples(self) -> Sequence[Sample]:
        """The test samples: `limit` of them, chosen by `seed`."""
        from benchmark.run.pipeline import take

        return take(self.dataset.test, self._parts.settings.limit, self._parts.settings.seed)

    @cached_property
    def perturbed(self) -> Perturbed:
        """`clean_samples` under the workload, with facts per sample; an attack runs once and is then cached."""
        from benchmark.hardware.profiles import applied

        with applied(self.hardware):
            return self._parts.workload.apply(self.model, self.policy, self.clean_samples)

    @property
    def samples(self) -> Sequence[Sample]:
        """The samples to measure: `clean_samples` under the workload."""
        return self.perturbed.samples

    @property
    def policy(self) -> ThresholdPolicy:
        """The exit rule at its operating point; `policy.at(0.9)` is the same rule at another threshold."""
        return self._settled[0]

    @property
    def operating_point(self) -> dict[str, Any]:
        """The threshold and how it was chosen, as a record holds it."""
        return self._settled[1].section()

    def rule(self, *overrides: str) -> ThresholdPolicy:
        """Another exit rule at its operating point on the same model, for example `rule("policy=patience")`.

        Raises:
            ExitbenchError: a rule or a setting that does not exist; a rule that reads what this model does not yield.
        """
        other = Chosen([*self.overrides, *overrides], self._config_dir)
        if other.model_config != self.model_config:
            raise ExitbenchError(f"rule: expected overrides of the policy alone, got {' '.join(overrides)}")
        return self._settle(other)[0]

    @cached_property
    def _settled(self) -> tuple[ThresholdPolicy, OperatingPoint]:
        return self._settle(self)

    def _settle(self, other: Chosen) -> tuple[ThresholdPolicy, OperatingPoint]:
        from benchmark.hardware.profiles import applied
        from benchmark.policies.calibration import operating_point

        settings = other._parts.settings
        with applied(self.hardware):
            return operating_point.find_operating_point(
                other._parts.rule, self.model, *self._calibration, settings.choose, settings.max_drop,
                self.dataset.metric, settings.guarantee,
            )  # fmt: skip

    @cached_property
    def _calibration(self) -> tuple[Trace, Tensor]:
        """The calibration split's trace, cached on disk as `exitbench run` caches it, and its cumulative MACs."""
        from benchmark.hardware.profiles import applied
        from benchmark.run.trace_cache import traced

        with applied(self.hardware):
            trace = traced(self.model, self.dataset.calibration, self._parts.settings.batch_size,
                          self.hardware.device, "float32", "trace calibration")  # fmt: skip
            return trace, costs(self.model, trace)


def load(*overrides: str, config_dir: str = "") -> Chosen:
    """The combination that `exitbench run` would measure with these overrides; composed now, built when needed.

    config_dir: a folder with your own choices, as in `exitbench run --config-dir`.

    Raises:
        ExitbenchError: a choice or a key that does not exist, with those that do.
    """
    return Chosen(overrides, config_dir)


def trace(model: EarlyExitModel, samples: Sequence[Sample], batch_size: int = 64, cache: bool = False) -> Trace:
    """The logits (N, E, C) of all exits for `samples`, in float32 on the model's own device; with a progress bar.

    cache: store the trace on disk and read it from there next time, as `exitbench run` does. The key is made of the
    weights, the inputs, the model's settings and the file of its class, but not of the code of a class in a notebook.

    Raises:
        ExitbenchError: exits other than the model declares; no samples; a model whose weights cannot be hashed.
    """
    from benchmark.attacks.forward import device_and_dtype
    from benchmark.run import trace as tracing
    from benchmark.run.trace_cache import traced

    if not len(samples):
        raise ExitbenchError("trace: expected at least one sample, got none")
    device = str(device_and_dtype(model)[0])
    if cache:
        return traced(model, samples, batch_size, device, "float32", "trace")
    return tracing.trace(model, samples, batch_size, device)


def decide(policy: Policy, trace: Trace) -> Tensor:
    """Exit depths (N,) in 1 … E of a rule on a trace: a replay, exact and nearly free.

    Raises:
        ExitbenchError: the rule reads what the trace does not contain.
    """
    from benchmark.policies.replay import trace_depths

    return trace_depths(policy, trace)


def costs(model: EarlyExitModel, trace: Trace) -> Tensor:
    """Cumulative MACs (N, E) of every sample at every exit, counted at batch 1 and checked against the closed form."""
    from benchmark.cost import macs

    return macs.table(macs.cost(model, trace.lengths.tolist()), trace.lengths)


def results(model: Any, trace: Trace, depths: Tensor, metric: str = "accuracy") -> dict[str, Any]:
    """A record's section `results` for samples that exit at `depths` (N,): accuracy, MACs, histogram.

    metric: the task's own metric besides accuracy, as `dataset.metric` names it.
    """
    from benchmark.run.pipeline import replayed

    return replayed(trace, costs(model, trace), depths, metric)


def measure(
    model: EarlyExitModel | Mapping[str, Any],
    policy: Policy,
    samples: Sequence[Sample],
    hardware: str | Hardware = "cpu_1t",
    *,
    scenario: str = "single_stream",
    batch: int = 32,
    refill: bool = True,
    time_limit_s: float = 60.0,
    processes: int = 5,
    seed: int = 0,
) -> Latency:
    """Time early exit beside full depth, paired and interleaved, until the ratio is precise enough or time is up.

    model: a model, which is timed in this process, or a configuration such as `chosen.model_config`, which worker
    processes build and time, `processes` of them as in `exitbench run`. An interval from this process alone
    (`result.processes` is 1) does not contain the variance between processes.
    hardware: a choice of conf/hardware, or a `Hardware`. batch, refill: of the scenario `offline`. Where
    `unreliable` of the result is not empty, it lists the reasons.

    Raises:
        ExitbenchError: a profile that this machine lacks; no samples, or fewer than a batch; a rule that needs labels.
    """
    from benchmark.hardware.profiles import applied
    from benchmark.timing.processes import time_in_processes
    from benchmark.timing.stopwatch import Limits
    from benchmark.timing.timed_task import TimedTask, time_task

    if not len(samples):
        raise ExitbenchError("measure: expected at least one sample, got none")
    profile = _profile(hardware)
    limits = Limits(time_limit_s=time_limit_s, processes=processes if isinstance(model, Mapping) else 1)
    task = TimedTask(policy, samples, profile, limits, seed, scenario, batch, refill)
    if isinstance(model, Mapping):
        return time_in_processes(dict(model), task)
    with applied(profile):
        return time_task(model, task)


def _profile(hardware: str | Hardware) -> Hardware:
    from benchmark.config.compose import build, compose

    return hardware if isinstance(hardware, Hardware) else build(compose("config", [f"hardware={hardware}"]).hardware)


def records(*folders: str | Path, where: str = "") -> pd.DataFrame:
    """The records of some folders as the leaderboard's table, one row each; without torch.

    where: keep only rows such as "model == 'dvt_fashion' and n > 100". A file that is no valid record is left out,
    with a warning that names it. The last columns (`exits`, `curve`, `results`, …) contain whole sections.

    Raises:
        ExitbenchError: a folder that does not exist; a condition that cannot be read.
    """
    from benchmark.records import leaderboard, record

    found, problems = record.read_all([Path(folder) for folder in folders or ("results/records",)])
    for problem in problems:
        warnings.warn(f"left out: {problem}", stacklevel=2)
    return leaderboard.where(leaderboard.frame(found), where)
