"""Transfer attacks: build the source model and exit rule where they differ from what is measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, cast

from benchmark.config.compose import plain
from benchmark.types import Dataset, ExitbenchError, Hardware, Source, Workload

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from benchmark.policies.base import ThresholdPolicy
    from benchmark.run.model import LoadedModel


class _Transferable(Workload, Protocol):
    """A workload with the fields of `attacks.adversarial.Adversarial` that name a source."""

    source_model: str | None
    source_policy: str | None
    source_threshold: float | str
    source: Source | None


def with_source(
    workload: Workload,
    cfg: DictConfig,
    dataset: Dataset,
    hardware: Hardware,
    config_dir: str = "",
    target: LoadedModel | None = None,
) -> Workload:
    """The workload with the source that its `source_model`, `source_policy` and `source_threshold` name.

    config_dir: the folder of the user's own choices. target: the model of `cfg` where it is built already; it is the
    source unless another model is named.

    A workload that names no source comes back unchanged. What is not named is what `cfg` measures. The threshold `auto`
    is chosen for the source, on the calibration split, at its policy's max_drop.

    Raises:
        ExitbenchError: a choice that does not exist; a model that does not fit the dataset or the measured model.
    """
    if not (getattr(workload, "source_model", None) or getattr(workload, "source_policy", None)):
        return workload
    import torch

    from benchmark.config.compose import build
    from benchmark.training.train import check_fit

    attack = cast(_Transferable, workload)
    rule = _choice("policy", attack.source_policy, cfg, config_dir)
    if attack.source_threshold != "auto":
        rule["threshold"] = attack.source_threshold
    own = None if attack.source_model else target
    model: LoadedModel = build(_choice("model", attack.source_model, cfg, config_dir)) if own is None else own
    check_fit(model, dataset)
    model = model.to(hardware.device, torch.float32).eval()
    source = Source(model, policy_at_operating_point(rule, model, dataset, hardware))
    return replace(attack, source=source)  # type: ignore[type-var]


def policy_at_operating_point(
    node: Mapping[str, Any], model: LoadedModel, dataset: Dataset, hardware: Hardware
) -> ThresholdPolicy:
    """The policy of a plain `conf/policy` node on a model: at the node's threshold, or at the one `auto` chooses."""
    from benchmark.config.compose import build
    from benchmark.cost.macs import cost, table
    from benchmark.hardware.profiles import applied
    from benchmark.policies.calibration import operating_point
    from benchmark.policies.calibration.guarantee import Guarantee
    from benchmark.run.settings import rule_arguments
    from benchmark.run.trace_cache import traced

    choose = node["threshold"] == "auto"
    policy = build(rule_arguments(node), threshold=0 if choose else node["threshold"])
    with applied(hardware):
        trace = traced(model, dataset.calibration, 64, hardware.device, "float32", "trace calibration")
        macs = table(cost(model, trace.lengths.tolist()), trace.lengths)
    guarantee = Guarantee.from_config(node)
    return operating_point.find_operating_point(
        policy, model, trace, macs, choose, node["max_drop"], dataset.metric, guarantee
    )[0]


def source_weights_hash(config: Mapping[str, Any], config_dir: str = "") -> str | None:
    """sha256 of the checkpoint of the source model that a plain configuration's workload names; None without one."""
    name = config["workload"].get("source_model")
    if not name:
        return None
    from benchmark.models.pretrained.checkpoints import checkpoint_file
    from benchmark.utils.files import sha256_file

    checkpoint = _choice("model", name, config, config_dir).get("checkpoint")
    return sha256_file(checkpoint_file(checkpoint)) if checkpoint else None


def _choice(group: str, name: str | None, cfg: DictConfig | Mapping[str, Any], config_dir: str) -> dict[str, Any]:
    """The plain configuration of a choice by name; the one in `cfg` where no name is given."""
    from benchmark.config.compose import compose

    if name is None:
        return plain(cfg[group])
    try:
        composed = _compose_alone(name, config_dir) if group == "policy" else None
        return plain((composed or compose("config", [f"{group}={name}"], config_dir))[group])
    except ExitbenchError as error:
        raise ExitbenchError(f"workload.source_{group}: {error}") from error


def _compose_alone(policy: str, config_dir: str) -> DictConfig | None:
    """A policy's yaml composed by itself, a tenth of the work; None where it refers to others or does not exist."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from benchmark.config.compose import compose

    try:
        composed = compose(f"policy/{policy}", [], config_dir)
        OmegaConf.resolve(composed)
    except (ExitbenchError, OmegaConfBaseException):
        return None
    return composed if "policy" in composed else None
