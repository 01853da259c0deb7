"""A combination's configuration carried through the corridor, in whichever process this is called."""

from __future__ import annotations

from typing import Any

from benchmark import shared_work
from benchmark.shared_work import Piece


def measured(cfg: Any, identity: dict[str, Any]) -> tuple[Any, tuple[Piece, ...]]:
    """The record of `run.run`, and what it took from caches and made."""
    from benchmark.combination import Combination

    chosen = Combination(cfg)
    hardware = chosen.hardware  # refuses what is not there before anything is loaded
    import torch

    from benchmark.run import run

    shared_work.told()
    torch.manual_seed(cfg.seed)
    rule, settings, limits = chosen.rule, chosen.settings, chosen.limits
    dataset, model, workload = chosen.dataset, chosen.model, chosen.workload
    alone = chosen.model_config if cfg.timing.worker else None
    made = run(model, dataset, workload, rule, hardware, settings, limits, model_config=alone, **identity)
    return made, tuple(shared_work.told())
