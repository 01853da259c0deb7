"""The identity of a record: its choices, its configuration, and an id hashed over all that decides the figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.config.compose import plain
from benchmark.sweep.hydra_job import HydraJob
from benchmark.types import ExitbenchError

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from benchmark.run.settings import Identity

# Settings that change where or how fast a run goes, but no figure: not hashed.
NOT_HASHED = ("records", "force", "retry", "batch_size", "isolate", "cache")
# Of these, the settings of one machine and one command: not recorded either.
NOT_RECORDED = ("records", "force", "retry", "isolate", "cache")
GROUPS = ("model", "dataset", "workload", "policy", "hardware")


def identity(cfg: DictConfig, job: HydraJob) -> Identity:
    """record_id, choices and config: what a record carries of the command."""
    from benchmark import __version__
    from benchmark.hardware.machine import fingerprint
    from benchmark.records.record import record_id
    from benchmark.utils.user_code import config_code_hashes

    choices = {**{group: job.choices[group] for group in GROUPS}, "scenario": str(cfg.scenario)}
    config = plain(cfg)
    hashed = {key: value for key, value in config.items() if key not in NOT_HASHED}
    if not config["policy"].get("guarantee"):  # without one, the id is that of before there were guarantees
        hashed["policy"] = {key: value for key, value in config["policy"].items() if key not in ("guarantee", "bound")}
    if cfg.scenario != "offline":
        del hashed["offline"]
    parts = {"config": hashed, "choices": choices, "version": __version__, **_weights(config, job.config_dir)}
    if folders := local_folders(config):
        parts["folders"] = folders
    if code := config_code_hashes(config):
        parts["code"] = code
    return {
        "record_id": record_id({**parts, "machine": fingerprint()["id"]}),
        "choices": choices,
        "config": recorded(config),
    }


def recorded(config: dict[str, Any]) -> dict[str, Any]:
    """A plain configuration without the folders that a run wrote to and the settings of one command."""
    shared = {key: value for key, value in config.items() if key not in NOT_RECORDED}
    return shared | {"workload": {key: value for key, value in config["workload"].items() if key != "cache"}}


def label(choices: dict[str, str]) -> str:
    """What is printed for a combination."""
    return " ".join(f"{group}={choice}" for group, choice in choices.items() if group != "scenario")


def _weights(config: dict[str, Any], config_dir: str) -> dict[str, Any]:
    """Hashes of the checkpoints. A missing checkpoint is hashed as absent, so that its failure has a record too."""
    from benchmark.models.pretrained.checkpoints import checkpoint_file
    from benchmark.run import transfer
    from benchmark.utils.files import sha256_file

    checkpoint = config["model"].get("checkpoint")
    try:
        hashes: dict[str, Any] = {"weights": sha256_file(checkpoint_file(checkpoint)) if checkpoint else None}
        if source := transfer.source_weights_hash(config, config_dir):
            hashes["source_weights"] = source
    except ExitbenchError:
        return {"weights": None, "absent": True}
    return hashes


def local_folders(config: dict[str, Any]) -> dict[str, str]:
    """The state of the user's own folders that a run reads: a name alone does not say what they contain."""
    from benchmark.utils.files import folder_fingerprint

    named = {"dataset.path": config["dataset"].get("path"), "model.backbone": config["model"].get("backbone")}
    folders = {key: Path(name).expanduser() for key, name in named.items() if isinstance(name, str) and name}
    return {key: folder_fingerprint(folder) for key, folder in folders.items() if folder.is_dir()}
