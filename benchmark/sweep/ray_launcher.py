"""Hydra's launcher for Ray: every combination a task of a cluster, or of this machine where there is none.

Ours, because hydra-ray-launcher 1.2.2 wants boto3 and an old cloudpickle, which no longer install beside current
packages, and because with it one lost worker is the end of the sweep.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from hydra.plugins.launcher import Launcher

from benchmark.sweep.outcome import Outcome
from benchmark.types import ExitbenchError

HOME = "hydra_plugins.exitbench"  # the one name space that Hydra takes launchers from, and by that name


class RayLauncher(Launcher):
    """init, remote: keyword arguments of `ray.init` and of `ray.remote`."""

    __module__ = HOME

    def __init__(self, init: Mapping[str, Any], remote: Mapping[str, Any]) -> None:
        self.init, self.remote = dict(init), dict(remote)

    def setup(self, *, hydra_context: Any, task_function: Any, config: Any) -> None:
        """What Hydra tells every launcher before it launches."""
        self.context, self.task, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[Any]:
        """The jobs' returns in order; a lost one's holds an outcome that says so.

        Raises:
            ExitbenchError: Ray is not installed, or no cluster answers.
        """
        ray = _ray()
        from hydra.core.singleton import Singleton
        from omegaconf import open_dict

        Path(str(self.config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
        if not ray.is_initialized():
            _start(ray, self.init)
        begin = ray.remote(**self.remote)(_job)
        state = ray.put(Singleton.get_state())
        surroundings = (str(Path.cwd()), [path for path in sys.path if path], _passed_on())
        jobs = []
        for number, overrides in enumerate(job_overrides, initial_job_idx):
            sweep = self.context.config_loader.load_sweep_config(self.config, list(overrides))
            with open_dict(sweep):
                sweep.hydra.job.id, sweep.hydra.job.num = f"ray-{number}", number
            jobs.append(begin.remote(self.context, sweep, self.task, state, surroundings))
        return [_result(ray, job, list(said)) for job, said in zip(jobs, job_overrides, strict=True)]


def register() -> None:
    """Make the launcher known to Hydra, which looks it up by its name."""
    from hydra.core.plugins import Plugins

    known = Plugins.instance()  # looks through the plug-ins that are installed, so it comes first
    parent = sys.modules.setdefault("hydra_plugins", ModuleType("hydra_plugins"))
    home = sys.modules.setdefault(HOME, ModuleType(HOME))
    vars(parent)["exitbench"] = home
    vars(home)["RayLauncher"] = RayLauncher
    known.register(RayLauncher)


def _ray() -> Any:
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise ExitbenchError("hydra/launcher=ray: Ray is not installed; pip install 'exitbench[ray]'") from error


def _start(ray: Any, options: Mapping[str, Any]) -> None:
    try:
        ray.init(**options)
    except (ConnectionError, ValueError, RuntimeError) as error:
        said = " ".join(str(error).split())[:300]
        raise ExitbenchError(f"hydra/launcher=ray: expected a cluster at init.address or none, got {said}") from error


def _passed_on() -> dict[str, str]:
    """The suite's own settings, and those of the hub: a cluster's workers have the environment it was started in."""
    return {name: value for name, value in os.environ.items() if name.startswith(("EXITBENCH_", "HF_"))}


def _result(ray: Any, job: Any, overrides: list[str]) -> Any:
    from hydra.core.utils import JobReturn, JobStatus

    try:
        return ray.get(job)
    except ray.exceptions.RayError as error:
        said = f"Ray lost it: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
        lost = Outcome("lost", " ".join(overrides), said, failed=True)
        return JobReturn(overrides=overrides, status=JobStatus.COMPLETED, _return_value=lost)


def _job(context: Any, config: Any, task: Any, state: Any, surroundings: tuple[str, list[str], dict[str, str]]) -> Any:
    """One task, in a worker of Ray: Hydra set up as it is in the process that launched it."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.core.singleton import Singleton
    from hydra.core.utils import run_job, setup_globals

    folder, paths, environment = surroundings
    if Path(folder).is_dir():  # relative folders, such as that of the records, mean what they mean there
        os.chdir(folder)
    sys.path.extend(path for path in paths if path not in sys.path)
    os.environ.update(environment)
    setup_globals()
    Singleton.set_state(state)
    HydraConfig.instance().set_config(config)
    return run_job(
        hydra_context=context, task_function=task, config=config,
        job_dir_key="hydra.sweep.dir", job_subdir_key="hydra.sweep.subdir",
    )  # fmt: skip
