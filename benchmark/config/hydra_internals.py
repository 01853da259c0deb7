"""Every use of Hydra that its documentation does not cover, in one module: look here first when Hydra changes.

Documented, and called elsewhere too: `initialize_config_dir`, `compose`, `HydraConfig`, the grammar of overrides, the
plug-in interfaces of launchers and of search paths. Not documented, and called only here:

- `GlobalHydra.instance().hydra`, an object with `run`, `multirun` and `compose_config`. `hydra.main` calls the same
  methods, but it reads sys.argv, ends the interpreter on an error, and drops what the combinations return.
- `ConfigStore.repo`, the only way to remove what another package stored.
- `Plugins.class_name_to_class`, the launchers that are installed.

`missing` names what an installed Hydra lacks; tests/config/test_hydra_internals.py runs it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from benchmark.config.own_choices import searched
from benchmark.types import ExitbenchError

if TYPE_CHECKING:
    from hydra.core.utils import JobReturn
    from hydra.types import RunMode
    from omegaconf import DictConfig

VERSION_BASE = "1.3"  # of the behaviour that our yamls are written for
TaskFunction = Callable[["DictConfig"], object]
# Method of the application -> the arguments that are passed to it.
CALLS: Mapping[str, tuple[str, ...]] = {
    "run": ("config_name", "task_function", "overrides"),
    "multirun": ("config_name", "task_function", "overrides"),
    "compose_config": ("config_name", "overrides", "run_mode", "validate_sweep_overrides"),
}


class Application(Protocol):
    """What `hydra.main` runs: a search path of configurations, and the ways to run a task on them."""

    def run(self, config_name: str, task_function: TaskFunction, overrides: list[str]) -> JobReturn: ...

    def multirun(
        self, config_name: str, task_function: TaskFunction, overrides: list[str]
    ) -> Sequence[Sequence[JobReturn]]: ...

    def compose_config(
        self, config_name: str, overrides: list[str], run_mode: RunMode, validate_sweep_overrides: bool = True
    ) -> DictConfig: ...


def application(conf: Path, config_dir: str, name: str) -> Application:
    """Hydra initialised for the folders `conf` and `config_dir`, in place of an earlier initialisation of this process.

    Raises:
        ExitbenchError: a Hydra that lacks what is used here.
    """
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    if lacking := missing():
        raise ExitbenchError(f"hydra-core: {'; '.join(lacking)}; install a version that constraints.txt names")
    GlobalHydra.instance().clear()
    forget_stored_launchers()
    with searched(config_dir):
        initialize_config_dir(str(conf), job_name=name, version_base=VERSION_BASE)
    return cast(Application, GlobalHydra.instance().hydra)


@contextmanager
def initialized(conf: Path, config_dir: str) -> Iterator[None]:
    """Hydra initialised for the two folders inside the block; what was initialised before is back after it."""
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    before = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    forget_stored_launchers()
    try:
        with searched(config_dir), initialize_config_dir(str(conf), version_base=VERSION_BASE):
            yield
    finally:
        GlobalHydra.instance().hydra = before


def forget_stored_launchers() -> None:
    """Remove what hydra-submitit-launcher stores under the names of our yamls: Hydra would validate ours against it."""
    from hydra.core.config_store import ConfigStore
    from hydra.core.plugins import Plugins

    Plugins.instance()  # finds the plug-ins, which store their configurations on import
    stored = ConfigStore.instance().repo.get("hydra", {}).get("launcher", {})
    for name in ("submitit_local.yaml", "submitit_slurm.yaml"):
        stored.pop(name, None)


def installed(plugin: str) -> bool:
    """Whether Hydra knows a plug-in by the dotted name of its class."""
    from hydra.core.plugins import Plugins

    return plugin in Plugins.instance().class_name_to_class


def missing() -> list[str]:
    """One line for each undocumented part that the installed Hydra lacks; empty where nothing is missing."""
    import hydra
    from hydra.core.config_store import ConfigStore
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.plugins import Plugins

    if not hasattr(GlobalHydra.instance(), "hydra"):
        return [f"{hydra.__version__} has no GlobalHydra.hydra"]
    found = [
        f"{hydra.__version__} has no {owner.__name__}.{name}"
        for owner, name in ((ConfigStore, "repo"), (Plugins, "class_name_to_class"))
        if not hasattr(owner.instance(), name)
    ]
    kind = inspect.signature(GlobalHydra.initialize, eval_str=True).parameters["hydra"].annotation
    for method, arguments in CALLS.items():
        call = getattr(kind, method, None)
        taken = inspect.signature(call).parameters if callable(call) else {}
        if lacking := [name for name in arguments if name not in taken]:
            what = f"takes no {', '.join(lacking)}" if taken else "is not there"
            found.append(f"{hydra.__version__}: GlobalHydra.hydra.{method} {what}")
    return found
