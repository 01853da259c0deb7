"""Transfer: what an attack is made against, where that is another model or another rule than what is measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmark.types import Dataset, ExitbenchError, Hardware, Source


def bring(
    workload: Any, cfg: Any, dataset: Dataset, hardware: Hardware, config_dir: str | None = None, measured: Any = None
) -> Any:
    """The workload with the source that its `source_model`, `source_policy` and `source_threshold` name.

    config_dir: a folder of one's own choices; None for the one that `exitbench run` was given. measured: the model of
    `cfg` where it is built already, which is the source unless another is named.

    A workload that names none comes back as it is. What is not named is what `cfg` measures. The threshold `auto` is
    chosen for the source, on the calibration split, at its policy's max_drop.

    Raises:
        ExitbenchError: a choice that is not there; a model that does not fit the dataset or the measured model.
    """
    named = getattr(workload, "source_model", None), getattr(workload, "source_policy", None)
    if not any(named):
        return workload
    import torch

    from benchmark.config.compose import build
    from benchmark.training.train import check_fit

    rule = _choice("policy", named[1], cfg, config_dir)
    if workload.source_threshold != "auto":
        rule["threshold"] = workload.source_threshold
    known = None if named[0] else measured
    model = build(_choice("model", named[0], cfg, config_dir)) if known is None else known
    check_fit(model, dataset)
    model = model.to(hardware.device, torch.float32).eval()
    return replace(workload, source=Source(model, settled(rule, model, dataset, hardware)))


def settled(rule: Mapping[str, Any], model: Any, dataset: Dataset, hardware: Hardware) -> Any:
    """The policy of a plain `conf/policy` node on a model: at the node's threshold, or where `auto` puts it."""
    from benchmark.config.compose import build
    from benchmark.cost.macs import cost, table
    from benchmark.hardware.profiles import applied
    from benchmark.policies.calibration import operating_point
    from benchmark.run.trace_cache import traced

    said = {name: value for name, value in rule.items() if name not in ("threshold", "max_drop")}
    choose = rule["threshold"] == "auto"
    policy = build(said, threshold=0 if choose else rule["threshold"])
    with applied(hardware):
        seen = traced(model, dataset.calibration, 64, hardware.device, "float32", "trace calibration")
        macs = table(cost(model, seen.lengths.tolist()), seen.lengths)
    return operating_point.settle(policy, model, seen, macs, choose, rule["max_drop"])[0]


def weights(cfg: Any) -> str | None:
    """sha256 of the checkpoint of the source model that a workload's plain configuration names, None where none is."""
    name = cfg["workload"].get("source_model")
    if not name:
        return None
    from benchmark.models.pretrained.checkpoints import checkpoint_file
    from benchmark.utils.files import sha256_file

    checkpoint = _choice("model", name, cfg).get("checkpoint")
    return sha256_file(checkpoint_file(checkpoint)) if checkpoint else None


def _choice(group: str, name: str | None, cfg: Any, config_dir: str | None = None) -> dict[str, Any]:
    """The plain configuration of a choice by name, or the one in `cfg` where no name is given."""
    from hydra.core.global_hydra import GlobalHydra
    from omegaconf import OmegaConf

    from benchmark.config.compose import compose

    if name is None:
        node = cfg[group]
        return dict(OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node)  # type: ignore[arg-type]
    running = GlobalHydra.instance().hydra
    own = _own_choices() if config_dir is None else config_dir
    try:
        composed = _alone(name, own) if group == "policy" else None
        composed = composed or compose("config", [f"{group}={name}"], own)
    except ExitbenchError as error:
        raise ExitbenchError(f"workload.source_{group}: {error}") from error
    finally:
        GlobalHydra.instance().hydra = running  # composing by the way replaces it
    return dict(OmegaConf.to_container(composed[group], resolve=True))  # type: ignore[arg-type]


def _alone(policy: str, own: str) -> Any:
    """A policy's yaml composed by itself, a tenth of the work; None where it needs the rest, or is not there."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from benchmark.config.compose import compose

    try:
        composed = compose(f"policy/{policy}", [], own)
        OmegaConf.resolve(composed)
    except (ExitbenchError, OmegaConfBaseException):
        return None
    return composed if "policy" in composed else None


def _own_choices() -> str:
    """The folder given by --config-dir, where there is one."""
    from hydra.core.hydra_config import HydraConfig

    sources = HydraConfig.get().runtime.config_sources if HydraConfig.initialized() else []
    found = [source.path for source in sources if source.provider == "command-line"]
    return str(Path(found[0])) if found else ""
