"""What a combination is called: its choices, its configuration, and the id hashed from all that decides its outcome."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmark.types import ExitbenchError

# What changes where or how fast a run goes, but no figure of it.
NOT_IDENTITY = ("records", "force", "retry", "batch_size", "isolate", "cache")
# Of these, what says how and where one machine was asked: no part of a record, which others read.
ASKED = ("records", "force", "retry", "isolate", "cache")
GROUPS = ("model", "dataset", "workload", "policy", "hardware")


def identity(cfg: Any) -> dict[str, Any]:
    """record_id, choices and config: what a record carries of what was asked."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    from benchmark import __version__
    from benchmark.hardware.machine import fingerprint
    from benchmark.records.record import record_id
    from benchmark.utils.user_code import code_in

    picked = HydraConfig.get().runtime.choices
    choices = {**{group: str(picked[group]) for group in GROUPS}, "scenario": str(cfg.scenario)}
    config: Any = OmegaConf.to_container(cfg, resolve=True)
    decides = {key: value for key, value in config.items() if key not in NOT_IDENTITY}
    if cfg.scenario != "offline":
        del decides["offline"]
    parts = {"config": decides, "choices": choices, "version": __version__, **_weights(config)}
    if local := local_folders(config):
        parts["folders"] = local
    if code := code_in(config):
        parts["code"] = code
    return {
        "record_id": record_id({**parts, "machine": fingerprint()["id"]}),
        "choices": choices,
        "config": published(config),
    }


def published(config: dict[str, Any]) -> dict[str, Any]:
    """A plain configuration without the folders a run wrote to and how it was asked."""
    kept = {key: value for key, value in config.items() if key not in ASKED}
    return kept | {"workload": {key: value for key, value in config["workload"].items() if key != "cache"}}


def label(choices: dict[str, str]) -> str:
    """What is printed of a combination."""
    return " ".join(f"{group}={choice}" for group, choice in choices.items() if group != "scenario")


def _weights(config: dict[str, Any]) -> dict[str, Any]:
    """Hashes of the checkpoints; of one that is not there that it is not, so that its failure has a record."""
    from benchmark.models.pretrained.checkpoints import checkpoint_file
    from benchmark.run import transfer
    from benchmark.utils.files import sha256_file

    checkpoint = config["model"].get("checkpoint")
    try:
        found: dict[str, Any] = {"weights": sha256_file(checkpoint_file(checkpoint)) if checkpoint else None}
        if source := transfer.weights(config):
            found["source_weights"] = source
    except ExitbenchError:
        return {"weights": None, "absent": True}
    return found


def local_folders(config: dict[str, Any]) -> dict[str, str]:
    """The state of the user's own folders that a run reads: a name alone does not say what is in them."""
    from benchmark.utils.files import folder_state

    named = {"dataset.path": config["dataset"].get("path"), "model.backbone": config["model"].get("backbone")}
    folders = {key: Path(name).expanduser() for key, name in named.items() if isinstance(name, str) and name}
    return {key: folder_state(folder) for key, folder in folders.items() if folder.is_dir()}
