"""Run a combination or a sweep with Hydra, and return what every combination returned, from whichever process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.config.compose import composition_errors
from benchmark.config.hydra_internals import application
from benchmark.sweep.outcome import Outcome
from benchmark.types import ExitbenchError

if TYPE_CHECKING:
    from hydra.core.utils import JobReturn
    from omegaconf import DictConfig

Task = Callable[["DictConfig"], Outcome]
Finished = tuple[Outcome, list[str]]  # an outcome, and the overrides that select its combination alone
CONFIG = "config"  # conf/config.yaml
EXTRAS = {"hydra_plugins.hydra_submitit_launcher": "slurm", "hydra_plugins.exitbench": "ray"}


@dataclass(frozen=True)
class LauncherInfo:
    """A launcher's name and class, the folder of a sweep's logs, and how many jobs it receives at once."""

    name: str
    target: str
    folder: str
    batch: int | None

    @property
    def in_other_processes(self) -> bool:
        """Whether combinations run in processes other than this one."""
        return not self.target.endswith(".BasicLauncher")


class Launch:
    """Commands on the configurations under `conf` and in a folder of the user's own.

    Raises:
        ExitbenchError: a folder that does not exist; a Hydra that is not supported.
    """

    def __init__(self, conf: Path, config_dir: str = "") -> None:
        from benchmark.sweep import ray_launcher

        ray_launcher.register()
        self._composed: dict[tuple[str, ...], DictConfig] = {}
        self._hydra = application(conf, config_dir, "exitbench")

    def multirun(self, task: Task, overrides: Sequence[str]) -> list[Finished]:
        """The outcome of every combination of a sweep, in order.

        Raises:
            ExitbenchError: a launcher that is not installed; whatever stops a sweep.
        """
        with composition_errors():
            words = [*_as_sweep_values(overrides), *self._batch_limit(overrides), "hydra.mode=MULTIRUN"]
        try:
            batches = self._hydra.multirun(CONFIG, _ReturnErrors(task), words)
        except RuntimeError as error:
            raise _launcher_error(error) from error
        settings = [word for word in overrides if word.lstrip("+~").startswith("hydra")]
        return [(_outcome(job), [*(job.overrides or []), *settings]) for batch in batches for job in batch]

    def single(self, task: Task, overrides: Sequence[str]) -> list[Finished]:
        """The outcome of a single combination, as a list of one."""
        with composition_errors():  # the task's own errors are returned
            job = self._hydra.run(CONFIG, _ReturnErrors(task), list(overrides))
        return [(_outcome(job), list(overrides))]

    def is_sweep(self, overrides: Sequence[str]) -> bool:
        """Whether the configuration itself asks for a sweep (hydra.mode); False where it does not compose."""
        from hydra.types import RunMode

        try:
            return self._sweep_config(tuple(overrides)).hydra.mode == RunMode.MULTIRUN
        except ExitbenchError:  # reported where it is run
            return False

    def launcher(self, overrides: Sequence[str]) -> LauncherInfo:
        """The launcher that a sweep would use."""
        hydra = self._sweep_config(tuple(overrides)).hydra
        name = hydra.runtime.choices["hydra/launcher"]
        return LauncherInfo(name, str(hydra.launcher._target_), str(hydra.sweep.dir), hydra.sweeper.max_batch_size)

    def _sweep_config(self, overrides: tuple[str, ...]) -> DictConfig:
        from hydra.types import RunMode

        if overrides not in self._composed:
            with composition_errors():
                words = _as_sweep_values(overrides)
                self._composed[overrides] = self._hydra.compose_config(
                    CONFIG, words, RunMode.MULTIRUN, validate_sweep_overrides=False
                )
        return self._composed[overrides]

    def _batch_limit(self, overrides: Sequence[str]) -> list[str]:
        """submitit starts all local jobs of a batch at once, so a batch is limited to twice the cores."""
        from benchmark.hardware.machine import usable_cores

        launcher = self.launcher(overrides)
        if not launcher.target.endswith(".LocalLauncher") or launcher.batch is not None:
            return []
        return [f"hydra.sweeper.max_batch_size={2 * usable_cores()}"]


def _as_sweep_values(overrides: Sequence[str]) -> list[str]:
    """Each `group.key=value` as a sweep over that single value.

    Hydra composes the sweep's own configuration from the default choices and all overrides that are not swept. A key
    that only the swept choices have does not exist there; swept overrides are left to each combination.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser

    words = []
    for word, override in zip(overrides, OverridesParser.create().parse_overrides(list(overrides)), strict=True):
        key, _, value = word.partition("=")
        keep = override.is_delete() or override.is_sweep_override() or override.is_hydra_override()
        keep = keep or not value or override.value() is None  # `choice` has no spelling for these
        words.append(word if keep or "@" in key or "." not in key else f"{key}=choice({value})")
    return words


@dataclass(frozen=True)
class _ReturnErrors:
    """A task that returns its errors: Hydra prints more than a line about an error that is raised."""

    task: Task

    def __call__(self, cfg: DictConfig) -> Outcome | Exception:
        try:
            return self.task(cfg)
        except Exception as error:
            return error


def _outcome(job: JobReturn) -> Outcome:
    if isinstance(job.return_value, Exception):
        raise job.return_value
    return job.return_value


def _launcher_error(error: RuntimeError) -> ExitbenchError:
    """What to install where Hydra does not know a launcher; else the launcher's own message."""
    for module, extra in EXTRAS.items():
        if "Unknown plugin" in str(error) and module in str(error):
            return ExitbenchError(f"hydra/launcher: not installed; pip install 'exitbench[{extra}]'")
    return ExitbenchError(f"hydra/launcher: {' '.join(str(error).split())}")
