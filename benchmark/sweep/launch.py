"""Overrides handed to Hydra and its launcher; what every combination came to handed back, whichever process ran it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.config.compose import keep_our_launchers
from benchmark.sweep.outcome import Outcome
from benchmark.types import ExitbenchError

Task = Callable[[Any], Outcome]
EXTRAS = {"hydra_plugins.hydra_submitit_launcher": "slurm", "hydra_plugins.exitbench": "ray"}


@dataclass(frozen=True)
class Launcher:
    """A launcher by name and class, the folder of a sweep's logs, and how many jobs it is handed at once."""

    name: str
    target: str
    folder: str
    batch: int | None

    @property
    def elsewhere(self) -> bool:
        """Whether combinations run in other processes than this one."""
        return not self.target.endswith(".BasicLauncher")


class Launch:
    """The configurations under `conf` (and a folder of one's own) and what Hydra makes of overrides.

    Raises:
        ExitbenchError: a folder that is not there.
    """

    def __init__(self, conf: Path, config_dir: str = "") -> None:
        from hydra import version
        from hydra._internal.hydra import Hydra
        from hydra._internal.utils import create_config_search_path
        from hydra.core.config_search_path import SearchPathQuery
        from hydra.core.global_hydra import GlobalHydra

        from benchmark.sweep import ray_launcher

        version.setbase("1.3")
        search = create_config_search_path(str(conf))
        if config_dir:
            own = Path(config_dir).resolve()
            if not own.is_dir():
                raise ExitbenchError(f"--config-dir: expected a folder with your own choices, got {config_dir}")
            search.prepend(provider="command-line", path=str(own), anchor=SearchPathQuery(provider="schema"))
        ray_launcher.register()
        keep_our_launchers()
        # `hydra.main` is this and parsing, but it drops what the combinations return.
        GlobalHydra.instance().clear()  # of an earlier run in this process
        self._seen: dict[tuple[str, ...], Any] = {}
        self._hydra = Hydra.create_main_hydra2("exitbench", search)

    def multirun(self, task: Task, overrides: Sequence[str]) -> list[tuple[Outcome, list[str]]]:
        """Every combination's outcome, and the overrides that ask for it alone, in order.

        Raises:
            ExitbenchError: a launcher that is not installed; whatever stops a sweep.
        """
        try:
            asked = [*_late(overrides), *self._bounds(overrides), "hydra.mode=MULTIRUN"]
            batches = self._hydra.multirun("config", _Caught(task), asked)
        except RuntimeError as error:
            raise _missing(error) from error
        engine = [one for one in overrides if one.lstrip("+~").startswith("hydra")]
        return [(_value(job), [*job.overrides, *engine]) for batch in batches for job in batch]

    def single(self, task: Task, overrides: Sequence[str]) -> list[tuple[Outcome, list[str]]]:
        """The same of one combination."""
        return [(_value(self._hydra.run("config", _Caught(task), list(overrides))), list(overrides))]

    def many(self, overrides: Sequence[str]) -> bool:
        """Whether the configuration asks for a sweep by itself."""
        from hydra.types import RunMode

        return self._hydra.get_mode("config", list(overrides)) == RunMode.MULTIRUN

    def launcher(self, overrides: Sequence[str]) -> Launcher:
        """What a sweep would be carried by."""
        hydra = self._composed(tuple(overrides)).hydra
        name = hydra.runtime.choices["hydra/launcher"]
        return Launcher(name, str(hydra.launcher._target_), str(hydra.sweep.dir), hydra.sweeper.max_batch_size)

    def _composed(self, overrides: tuple[str, ...]) -> Any:
        from hydra.types import RunMode

        if overrides not in self._seen:
            self._seen[overrides] = self._hydra.compose_config(
                "config", _late(overrides), RunMode.MULTIRUN, validate_sweep_overrides=False
            )
        return self._seen[overrides]

    def _bounds(self, overrides: Sequence[str]) -> list[str]:
        """submitit starts all local jobs of a batch at once: no more of them than the cores can soon take."""
        from benchmark.hardware.machine import usable_cores

        launcher = self.launcher(overrides)
        if not launcher.target.endswith(".LocalLauncher") or launcher.batch is not None:
            return []
        return [f"hydra.sweeper.max_batch_size={2 * usable_cores()}"]


def _late(overrides: Sequence[str]) -> list[str]:
    """Each `group.key=value` as a sweep over that one value.

    Hydra composes a sweep's own configuration with plain overrides and the default choices, of which a key that only
    the swept choices have is no part; what is swept it leaves to each combination.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser

    late = []
    for given, override in zip(overrides, OverridesParser.create().parse_overrides(list(overrides)), strict=True):
        key, _, value = given.partition("=")
        plain = override.is_delete() or override.is_sweep_override() or override.is_hydra_override()
        plain = plain or not value or override.value() is None  # of which `choice` knows nothing
        late.append(given if plain or "@" in key or "." not in key else f"{key}=choice({value})")
    return late


@dataclass(frozen=True)
class _Caught:
    """A task whose errors come back as what it returns: of one that raises, Hydra says more than a line by itself."""

    task: Task

    def __call__(self, cfg: Any) -> Outcome | Exception:
        try:
            return self.task(cfg)
        except Exception as error:
            return error


def _value(job: Any) -> Outcome:
    if isinstance(job.return_value, Exception):
        raise job.return_value
    return job.return_value


def _missing(error: RuntimeError) -> ExitbenchError:
    """What to install, where Hydra does not know a launcher; else the launcher's own complaint."""
    for module, extra in EXTRAS.items():
        if "Unknown plugin" in str(error) and module in str(error):
            return ExitbenchError(f"hydra/launcher: not installed; pip install 'exitbench[{extra}]'")
    return ExitbenchError(f"hydra/launcher: {' '.join(str(error).split())}")
