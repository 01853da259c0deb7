"""Hydra launcher for Ray: every combination is a task of a Ray cluster, or of this machine where there is no cluster.

Ours instead of hydra-ray-launcher 1.2.2, because that one requires boto3 and an old cloudpickle, which no longer
install beside current packages, and because with it one lost worker ends the whole sweep. A worker receives plain data
and composes its configuration itself, so no object of Hydra is pickled. Hydra's callbacks are not called in workers.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher

from benchmark.config.own_choices import config_dir_of
from benchmark.sweep.outcome import Outcome
from benchmark.types import ExitbenchError

if TYPE_CHECKING:
    from hydra.types import HydraContext, TaskFunction
    from omegaconf import DictConfig

PACKAGE = "hydra_plugins.exitbench"  # Hydra takes launchers from the name space hydra_plugins alone


@dataclass(frozen=True)
class Request:
    """One combination for a worker: plain data, and the environment of the process that launched it."""

    config_name: str
    config_dir: str
    overrides: list[str]
    number: int
    folder: str
    import_paths: list[str]
    environment: dict[str, str]


class RayLauncher(Launcher):
    """init, remote: keyword arguments of `ray.init` and of `ray.remote`."""

    __module__ = PACKAGE

    def __init__(self, init: Mapping[str, object], remote: Mapping[str, object]) -> None:
        self.init, self.remote = dict(init), dict(remote)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """What Hydra passes to every launcher before `launch`."""
        self.task, self.config = task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """The jobs' results in order; a lost job's is an outcome that says so.

        Raises:
            ExitbenchError: Ray is not installed, or no cluster answers.
        """
        ray = _ray()
        hydra = self.config.hydra
        Path(str(hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
        if not ray.is_initialized():
            _start(ray, self.init)
        begin = ray.remote(**self.remote)(_job)
        shared = (str(Path.cwd()), [path for path in sys.path if path], _forwarded_variables())
        jobs = []
        for number, overrides in enumerate(job_overrides, initial_job_idx):
            words = [*hydra.overrides.hydra, *overrides]
            jobs.append(
                begin.remote(self.task, Request(hydra.job.config_name, config_dir_of(hydra), words, number, *shared))
            )
        return [_result(ray, job, list(words)) for job, words in zip(jobs, job_overrides, strict=True)]


def register() -> None:
    """Make the launcher known to Hydra, which looks it up by its name."""
    from hydra.core.plugins import Plugins

    plugins = Plugins.instance()  # searches the installed plug-ins, so it comes first
    parent = sys.modules.setdefault("hydra_plugins", ModuleType("hydra_plugins"))
    package = sys.modules.setdefault(PACKAGE, ModuleType(PACKAGE))
    vars(parent)["exitbench"] = package
    vars(package)["RayLauncher"] = RayLauncher
    plugins.register(RayLauncher)


def _ray() -> ModuleType:
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise ExitbenchError("hydra/launcher=ray: ModuleType is not installed; pip install 'exitbench[ray]'") from error


def _start(ray: ModuleType, options: Mapping[str, object]) -> None:
    try:
        ray.init(**options)
    except (ConnectionError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ExitbenchError(f"hydra/launcher=ray: expected a cluster at init.address or none, got {reason}") from error


def _forwarded_variables() -> dict[str, str]:
    """The suite's own variables and the hub's: a cluster's workers have the environment that it was started in."""
    return {name: value for name, value in os.environ.items() if name.startswith(("EXITBENCH_", "HF_"))}


def _result(ray: ModuleType, job: object, overrides: list[str]) -> JobReturn:
    try:
        value = ray.get(job)
    except ray.exceptions.RayError as error:
        reason = f"Ray lost it: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
        value = Outcome("lost", " ".join(overrides), reason, failed=True)
    return JobReturn(overrides=overrides, status=JobStatus.COMPLETED, _return_value=value)


def _job(task: TaskFunction, request: Request) -> object:
    """Run one combination in a worker of Ray, with Hydra in the state that its own launchers leave it in."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import open_dict

    from benchmark.config.compose import compose

    if Path(request.folder).is_dir():  # relative paths, such as that of the records, keep their meaning
        os.chdir(request.folder)
    sys.path.extend(path for path in request.import_paths if path not in sys.path)
    os.environ.update(request.environment)
    cfg = compose(request.config_name, request.overrides, request.config_dir, return_hydra_config=True)
    with open_dict(cfg):
        cfg.hydra.job.id, cfg.hydra.job.num = f"ray-{request.number}", request.number
        cfg.hydra.runtime.output_dir = str(Path(str(cfg.hydra.sweep.dir)).resolve())
    os.environ.update({name: str(value) for name, value in cfg.hydra.job.env_set.items()})
    HydraConfig.instance().set_config(cfg)
    own = cfg.copy()
    with open_dict(own):
        del own["hydra"]
    return task(own)
