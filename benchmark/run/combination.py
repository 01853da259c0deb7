"""One combination of choices made concrete: what `exitbench run` and the Python API build of a configuration."""

from __future__ import annotations

import functools
import json
from functools import cached_property
from typing import Any

from benchmark.config.compose import build
from benchmark.types import Dataset, Hardware


class Combination:
    """The objects that a composed configuration `cfg` names, each built when it is first asked for and then kept.

    config_dir: the folder of a user's own choices that `cfg` was composed with, for an attack's source.
    Torch's global random numbers stay as they are: model and workload are built under a stream seeded by `cfg.seed`.

    Every property raises ExitbenchError for a value that does not fit.
    """

    def __init__(self, cfg: Any, config_dir: str | None = None) -> None:
        self._cfg, self._config_dir = cfg, config_dir

    @cached_property
    def hardware(self) -> Hardware:
        """The profile, checked against this machine; cheap, so ask for it before anything is loaded."""
        return build(self._cfg.hardware)

    @cached_property
    def dataset(self) -> Dataset:
        """The three splits; datasets never change, so a process decodes each once."""
        return _dataset(json.dumps(_plain(self._cfg.dataset)))

    @cached_property
    def model(self) -> Any:
        """The model, weights loaded, checked against the dataset."""
        from benchmark.training.train import check_fit
        from benchmark.utils.library_logging import quiet_libraries

        quiet_libraries()
        model = _seeded(self._cfg.model, self._cfg.seed)
        check_fit(model, self.dataset)
        return model

    @cached_property
    def model_config(self) -> dict[str, Any]:
        """What `model` was made of, plain data: enough for another process to build it again."""
        return _plain(self._cfg.model)

    @cached_property
    def workload(self) -> Any:
        """Clean, or an attack with the source it is made against."""
        from benchmark.run import transfer

        workload = _seeded(self._cfg.workload, self._cfg.seed)
        measured = None if getattr(workload, "source_model", None) else self.model
        return transfer.bring(workload, self._cfg, self.dataset, self.hardware, self._config_dir, measured)

    @cached_property
    def rule(self) -> Any:
        """The exit rule as configured: at threshold 0 where one has yet to be chosen; see `settings.choose`."""
        node = _plain(self._cfg.policy)
        threshold, _ = node.pop("threshold"), node.pop("max_drop")
        return build(node, threshold=0 if threshold == "auto" else threshold)

    @cached_property
    def settings(self) -> Any:
        """`run.Settings`: what is asked for beside the five choices."""
        from benchmark.run.pipeline import Settings

        cfg = self._cfg
        return Settings(cfg.policy.threshold == "auto", cfg.policy.max_drop, cfg.limit, cfg.seed, cfg.batch_size,
                        cfg.timing.samples, str(cfg.scenario), cfg.offline.batch, cfg.offline.refill)  # fmt: skip

    @cached_property
    def limits(self) -> Any:
        """`timing.Limits` of the stopwatch."""
        from benchmark.timing.stopwatch import Limits

        return Limits(time_limit_s=self._cfg.timing.time_limit_s)


def _plain(node: Any) -> dict[str, Any]:
    from omegaconf import OmegaConf

    plain: Any = OmegaConf.to_container(node, resolve=True)
    return plain


def _seeded(node: Any, seed: int) -> Any:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # a model without weights is random, and the timing worker draws the same
        return build(node)


@functools.lru_cache(maxsize=4)
def _dataset(config: str) -> Dataset:
    return build(json.loads(config))
