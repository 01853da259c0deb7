"""A combination's configuration carried through the corridor, in whichever process this is called."""

from __future__ import annotations

from typing import Any

from benchmark.utils import cache_usage
from benchmark.utils.cache_usage import Piece


def measured(cfg: Any, identity: dict[str, Any]) -> tuple[Any, tuple[Piece, ...]]:
    """The record of `run.run`, and what it took from caches and made; all of it on the profile's threads.

    Threads that a profile does not want would spin beside the work, weights loaded included, and cost as much CPU time.
    """
    from benchmark.hardware.profiles import applied
    from benchmark.run.combination import Combination

    chosen = Combination(cfg)
    hardware = chosen.hardware  # refuses what is not there before anything is loaded
    import torch

    from benchmark.run.pipeline import run

    cache_usage.told()
    with applied(hardware):
        torch.manual_seed(cfg.seed)
        rule, settings, limits = chosen.rule, chosen.settings, chosen.limits
        dataset, model, workload = chosen.dataset, chosen.model, chosen.workload
        alone = chosen.model_config if cfg.timing.worker else None
        made = run(model, dataset, workload, rule, hardware, settings, limits, model_config=alone, **identity)
    return made, tuple(cache_usage.told())
