"""Hydra at the door: configurations composed and objects built, with every mistake as one clear line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.types import ExitbenchError
from benchmark.utils.project_root import project_root


def compose(primary: str, overrides: Sequence[str], config_dir: str = "", hydra_too: bool = False) -> Any:
    """The resolved configuration `conf/<primary>.yaml` under overrides such as `model=dvt_fashion`.

    config_dir: a folder of one's own choices. hydra_too: with the node `hydra`, which says what an experiment sweeps.

    Raises:
        ExitbenchError: a choice or a key that is not there, with those that are.
    """
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    if config_dir and not Path(config_dir).is_dir():
        raise ExitbenchError(f"config-dir: expected a folder laid out as conf/, got {config_dir}, which is not there")
    # Quoted and no URI: Hydra takes it for a path as it is.
    own = str(Path(config_dir).resolve()).replace("'", "\\'")
    search = [f"hydra.searchpath=['{own}']"] if config_dir else []
    GlobalHydra.instance().clear()
    keep_our_launchers()
    try:
        with initialize_config_dir(str(project_root() / "conf"), version_base="1.3"):
            return hydra_compose(primary, [*overrides, *search], return_hydra_config=hydra_too)
    except (HydraException, OmegaConfBaseException, YAMLError) as error:
        raise ExitbenchError(one_line(error)) from error


def keep_our_launchers() -> None:
    """Forget what hydra-submitit-launcher stores under the names of our yamls: Hydra would hold ours against it."""
    from hydra.core.config_store import ConfigStore
    from hydra.core.plugins import Plugins

    Plugins.instance()  # finds the plug-ins, which store their own
    stored = ConfigStore.instance().repo.get("hydra", {}).get("launcher", {})
    for name in ("submitit_local.yaml", "submitit_slurm.yaml"):
        stored.pop(name, None)


def one_line(error: BaseException) -> str:
    """Hydra's message without its search path and its advice, the choices kept."""
    text = re.split(r"\n\s*(?:Config search path|Set the environment|To append|full_key)", str(error).strip())[0]
    text = re.sub(r"\s+", " ", text.replace("\n\t", " ")).strip()
    return text if len(text) < 600 else text[:600] + " …"


def build(node: Any, **extra: Any) -> Any:
    """The object that a node's `_target_` names.

    Raises:
        ExitbenchError: the object's own complaint, or an argument of the wrong name or type.
    """
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    try:
        return instantiate(node, **extra, _convert_="all")
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, ExitbenchError):
            raise cause from error
        if isinstance(cause, TypeError | ValueError | ImportError | AttributeError) or cause is None:
            raise ExitbenchError(one_line(cause or error)) from error
        raise cause from error
