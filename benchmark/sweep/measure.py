"""Measure one combination from its configuration, in whichever process calls this."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.utils import cache_usage
from benchmark.utils.cache_usage import CacheUse

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from benchmark.records.record import Record
    from benchmark.run.settings import Identity


def measure(cfg: DictConfig, identity: Identity, config_dir: str) -> tuple[Record, tuple[CacheUse, ...]]:
    """The record of `run.pipeline.run`, and what it took from caches or computed.

    config_dir: the folder of the user's own choices, for an attack's source. The profile's thread count holds from the
    loading of weights on: threads beyond it would spin and cost as much CPU time as the work.
    """
    from benchmark.hardware.profiles import applied
    from benchmark.run.combination import Combination

    parts = Combination(cfg, config_dir)
    hardware = parts.hardware  # first of all: refuses a device that is not there before torch is imported
    import torch

    from benchmark.run.pipeline import run

    cache_usage.reported()
    with applied(hardware):
        torch.manual_seed(cfg.seed)
        rule, settings, limits = parts.rule, parts.settings, parts.limits
        dataset, model, workload = parts.dataset, parts.model, parts.workload
        model_config = parts.model_config if cfg.timing.worker else None
        record = run(model, dataset, workload, rule, hardware, settings, limits, model_config=model_config, **identity)
    return record, tuple(cache_usage.reported())
