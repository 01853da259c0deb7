"""Hydra at the door: configurations composed and objects built, with every mistake as one clear line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.house import house
from benchmark.types import ExitbenchError


def compose(primary: str, overrides: Sequence[str], config_dir: str = "") -> Any:
    """The resolved configuration `conf/<primary>.yaml` under overrides such as `model=dvt_fashion`.

    Raises:
        ExitbenchError: a choice or a key that is not there, with those that are.
    """
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    search = [f"hydra.searchpath=[{Path(config_dir).resolve().as_uri()}]"] if config_dir else []
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(house() / "conf"), version_base="1.3"):
            return hydra_compose(primary, [*overrides, *search])
    except (HydraException, OmegaConfBaseException) as error:
        raise ExitbenchError(one_line(error)) from error


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
