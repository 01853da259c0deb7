"""What Hydra knows of the running job beside its configuration, as plain data that another process can receive."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.config.own_choices import config_dir_of


@dataclass(frozen=True)
class HydraJob:
    """choices: the yaml chosen in each config group. config_dir: the folder of the user's own choices, or ""."""

    choices: dict[str, str]
    in_sweep: bool
    config_dir: str


def running_job() -> HydraJob:
    """The job that Hydra runs in this process."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    hydra = HydraConfig.get()
    choices = {str(group): str(choice) for group, choice in hydra.runtime.choices.items()}
    return HydraJob(choices, hydra.mode == RunMode.MULTIRUN, config_dir_of(hydra))
