"""`exitbench run`: one combination, or every one of a sweep, carried by Hydra's launcher."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from benchmark.types import ExitbenchError, NotApplicable

# What changes where or how fast a run goes, but no figure of it.
NOT_IDENTITY = ("records", "force", "retry", "batch_size")
failures: list[str] = []  # combinations of this process that failed


def run(arguments: argparse.Namespace) -> int:
    """Hand the overrides to Hydra; 0 when all is well, 1 when a combination of a sweep failed.

    Raises:
        ExitbenchError: a mistake in what was asked; in a sweep only one that concerns all of it.
    """
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from benchmark.compose import one_line
    from benchmark.house import house

    options = ["--multirun"] if arguments.multirun else []
    options += ["--config-dir", str(Path(arguments.config_dir).resolve())] if arguments.config_dir else []
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come here instead of being printed and exited on
    before, sys.argv = sys.argv, ["exitbench run", *options, *arguments.overrides]
    failures.clear()
    try:
        hydra.main(config_path=str(house() / "conf"), config_name="config", version_base="1.3")(combination)()
    except (HydraException, OmegaConfBaseException) as error:
        raise ExitbenchError(one_line(error)) from error
    finally:
        sys.argv = before
    if failures:
        print(f"exitbench: {len(failures)} combination(s) failed: {'; '.join(failures)}", file=sys.stderr)
    return 1 if failures else 0


def combination(cfg: Any) -> None:
    """One point of the sweep: skipped where its record exists, else measured and written."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from benchmark.records import record

    identity = _identity(cfg)
    folder = _writable(Path(cfg.records))
    label = " ".join(f"{group}={choice}" for group, choice in identity["choices"].items() if group != "scenario")
    known = record.find(identity["record_id"], folder)
    if known and not cfg.force and not (known.status == "failed" and cfg.retry == "failed"):
        failed = f" (it failed: {'; '.join(known.reasons)}; retry=failed runs it again)"
        print(f"skip {label}: record {known.record_id} exists{failed if known.status == 'failed' else ''}", flush=True)
        if known.status == "failed":
            failures.append(label)
        return
    print(f"run  {label}", flush=True)
    in_sweep = HydraConfig.get().mode == RunMode.MULTIRUN
    try:
        made = _measure(cfg, identity)
    except NotApplicable as error:
        if not in_sweep:
            raise
        print(f"pass {label}: {error}", flush=True)
        return
    except Exception as error:
        if not in_sweep:
            raise
        made = _failed(identity, error)
    path = record.write(made, folder, force=True)
    if made.status == "failed":
        failures.append(label)
        print(f"exitbench: {label}: {'; '.join(made.reasons)}", file=sys.stderr)
    print(f"     {summary(made)} -> {path}", flush=True)


def _writable(folder: Path) -> Path:
    """The folder, made if need be: a result that could not be written is refused before it is measured."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExitbenchError(f"records: cannot make {folder} ({error.strerror}); choose a writable folder") from error
    if not os.access(folder, os.W_OK):
        raise ExitbenchError(f"records: cannot write in {folder}; choose a writable folder")
    return folder


def _identity(cfg: Any) -> dict[str, Any]:
    """record_id, choices and config: what a record carries of what was asked."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    from benchmark import __version__, transfer
    from benchmark.backbones.checkpoints import checkpoint_file
    from benchmark.files import sha256_file
    from benchmark.hardware import fingerprint
    from benchmark.records.record import record_id

    picked = HydraConfig.get().runtime.choices
    groups = ("model", "dataset", "workload", "policy", "hardware")
    choices = {**{group: str(picked[group]) for group in groups}, "scenario": str(cfg.scenario)}
    config: Any = OmegaConf.to_container(cfg, resolve=True)
    decides = {key: value for key, value in config.items() if key not in NOT_IDENTITY}
    if cfg.scenario != "offline":
        del decides["offline"]
    checkpoint = config["model"].get("checkpoint")
    weights = sha256_file(checkpoint_file(checkpoint)) if checkpoint else None
    parts = {"config": decides, "choices": choices, "weights": weights, "version": __version__}
    if source := transfer.weights(config):
        parts["source_weights"] = source
    if local := _local_folders(config):
        parts["folders"] = local
    return {
        "record_id": record_id({**parts, "machine": fingerprint()["id"]}),
        "choices": choices,
        "config": config,
    }


def _local_folders(config: dict[str, Any]) -> dict[str, str]:
    """The state of the user's own folders that a run reads: a name alone does not say what is in them."""
    from benchmark.files import folder_state

    named = {"dataset.path": config["dataset"].get("path"), "model.backbone": config["model"].get("backbone")}
    folders = {key: Path(name).expanduser() for key, name in named.items() if isinstance(name, str) and name}
    return {key: folder_state(folder) for key, folder in folders.items() if folder.is_dir()}


def _measure(cfg: Any, identity: dict[str, Any]) -> Any:
    from benchmark.combination import Combination

    chosen = Combination(cfg)
    hardware = chosen.hardware  # refuses what is not there before anything is loaded
    import torch

    from benchmark.run import run

    torch.manual_seed(cfg.seed)
    rule, settings, limits = chosen.rule, chosen.settings, chosen.limits
    dataset, model, workload = chosen.dataset, chosen.model, chosen.workload
    alone = chosen.model_config if cfg.timing.worker else None
    return run(model, dataset, workload, rule, hardware, settings, limits, model_config=alone, **identity)


def _failed(identity: dict[str, Any], error: Exception) -> Any:
    """A record of what went wrong, so that a sweep goes on and the leaderboard shows the gap."""
    from benchmark.hardware import fingerprint
    from benchmark.records.record import Record, utc_now

    if not isinstance(error, ExitbenchError) and os.environ.get("EXITBENCH_DEBUG"):
        traceback.print_exception(error)
    reason = str(error) if isinstance(error, ExitbenchError) else f"{type(error).__name__}: {error}"
    return Record(status="failed", reasons=[reason], created=utc_now(), machine=fingerprint(), **identity)


def summary(made: Any) -> str:
    """One line about a record."""
    if not made.results:
        return made.status
    results = made.results
    return (
        f"{made.status}: accuracy {results['accuracy']['value']:.3f} of {results['accuracy_full']['value']:.3f}, "
        f"mean exit {results['mean_exit_depth']:.2f} of {len(made.exits)}, MAC speed-up {results['mac_speedup']:.2f}, "
        + _clocked(made.latency)
    )


def _clocked(latency: dict[str, Any]) -> str:
    if not latency:
        return "not timed"
    return f"measured {latency['speedup']:.2f} [{latency['speedup_lo']:.2f}, {latency['speedup_hi']:.2f}]"
