"""Build the objects of one combination from its composed configuration, for `exitbench run` and the Python API."""

from __future__ import annotations

import functools
import json
from functools import cached_property
from typing import TYPE_CHECKING, Any

from benchmark.config.compose import build, plain
from benchmark.types import Dataset, Hardware, Workload

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from benchmark.policies.base import ThresholdPolicy
    from benchmark.run.model import LoadedModel
    from benchmark.run.settings import Settings
    from benchmark.timing.stopwatch import Limits


class Combination:
    """The objects that a composed configuration `cfg` names, each built on first use and then reused.

    config_dir: the folder of the user's own choices that `cfg` was composed with, for an attack's source.
    Torch's global random numbers are left alone: model and workload are built under a stream seeded by `cfg.seed`.

    Every property raises ExitbenchError for a value that does not fit.
    """

    def __init__(self, cfg: DictConfig, config_dir: str = "") -> None:
        self._cfg, self._config_dir = cfg, config_dir

    @cached_property
    def hardware(self) -> Hardware:
        """The profile, checked against this machine; cheap, so ask for it before anything is loaded."""
        return build(self._cfg.hardware)

    @cached_property
    def dataset(self) -> Dataset:
        """The three splits; datasets never change, so a process decodes each once."""
        return _dataset(json.dumps(plain(self._cfg.dataset)))

    @cached_property
    def model(self) -> LoadedModel:
        """The model, weights loaded, checked against the dataset."""
        from benchmark.training.train import check_fit
        from benchmark.utils.library_logging import silence_libraries

        silence_libraries()
        model = _seeded(self._cfg.model, self._cfg.seed)
        check_fit(model, self.dataset)
        return model

    @cached_property
    def model_config(self) -> dict[str, Any]:
        """The configuration of `model`, plain data: enough for another process to build it again."""
        return plain(self._cfg.model)

    @cached_property
    def workload(self) -> Workload:
        """Clean, or an attack with the source that it is made against."""
        from benchmark.run import transfer

        workload = _seeded(self._cfg.workload, self._cfg.seed)
        target = None if getattr(workload, "source_model", None) else self.model
        return transfer.with_source(workload, self._cfg, self.dataset, self.hardware, self._config_dir, target)

    @cached_property
    def rule(self) -> ThresholdPolicy:
        """The exit rule as configured; at threshold 0 where `settings.choose` says that one is still to be chosen."""
        from benchmark.run.settings import rule_arguments

        node = plain(self._cfg.policy)
        threshold = node["threshold"]
        return build(rule_arguments(node), threshold=0 if threshold == "auto" else threshold)

    @cached_property
    def settings(self) -> Settings:
        """The settings beside the five choices."""
        from benchmark.policies.calibration.guarantee import Guarantee
        from benchmark.run.settings import Settings

        cfg = self._cfg
        return Settings(cfg.policy.threshold == "auto", cfg.policy.max_drop, cfg.limit, cfg.seed, cfg.batch_size,
                        cfg.timing.samples, str(cfg.scenario), cfg.offline.batch, cfg.offline.refill,
                        Guarantee.from_config(plain(cfg.policy)))  # fmt: skip

    @cached_property
    def limits(self) -> Limits:
        """The stopwatch's limits."""
        from benchmark.timing.stopwatch import Limits

        timing = self._cfg.timing
        return Limits(time_limit_s=timing.time_limit_s, processes=timing.processes)


def _seeded(node: DictConfig, seed: int) -> Any:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # a model without weights is random, and the timing worker draws the same
        return build(node)


@functools.lru_cache(maxsize=4)
def _dataset(config: str) -> Dataset:
    return build(json.loads(config))
