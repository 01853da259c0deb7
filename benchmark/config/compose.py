"""Compose configurations with Hydra and build their objects; every mistake is one line."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from benchmark.config.hydra_internals import initialized
from benchmark.config.moved_targets import with_current_targets
from benchmark.types import ExitbenchError
from benchmark.utils.project_root import project_root

if TYPE_CHECKING:
    from hydra.errors import OverrideParseException
    from omegaconf import DictConfig


def compose(
    primary: str, overrides: Sequence[str], config_dir: str = "", return_hydra_config: bool = False
) -> DictConfig:
    """The configuration `conf/<primary>.yaml` under overrides such as `model=dvt_fashion`.

    config_dir: a folder with the user's own choices. return_hydra_config: keep the node `hydra`, which holds what an
    experiment sweeps. A Hydra that is initialised already stays as it was.

    Raises:
        ExitbenchError: a choice or a key that does not exist, with those that do.
    """
    from hydra import compose as hydra_compose

    with composition_errors(), initialized(project_root() / "conf", config_dir):
        return hydra_compose(primary, list(overrides), return_hydra_config)


@contextmanager
def composition_errors() -> Iterator[None]:
    """Whatever Hydra raises inside the block about yamls and overrides becomes an ExitbenchError of one line."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    try:
        yield
    except (HydraException, OmegaConfBaseException, YAMLError) as error:
        raise ExitbenchError(one_line(error)) from error
    except ValueError as error:  # a number in place of a choice's name, for one
        raise ExitbenchError(f"configuration: {one_line(error)}") from error


def one_line(error: BaseException) -> str:
    """Hydra's message without its search path and its advice, the choices kept."""
    from hydra.errors import OverrideParseException

    if isinstance(error, OverrideParseException):
        return _grammar_line(error)
    text = re.split(r"\n\s*(?:Config search path|Set the environment|To append|full_key)", str(error).strip())[0]
    text = re.sub(r"\s+", " ", text.replace("\n\t", " ")).strip()
    return text if len(text) < 600 else text[:600] + " …"


def _grammar_line(error: OverrideParseException) -> str:
    """What to write in place of an override that Hydra's grammar cannot read: usually its value in quotes."""
    key, _, value = error.override.partition("=")
    line = f"expected key=value, got {error.override!r}, which Hydra's grammar cannot read"
    quoted = '{}="{}"'.format(key, value.replace('"', '\\"'))
    if not value or _value(quoted) != value:
        hint = "a value with spaces, '=', ',', quotes or brackets needs quotes inside the shell's"
        return f"{line}; {hint}: 'key=\"value\"'"
    return f"{line}; put the value in quotes: {shlex.quote(quoted)}"


def _value(override: str) -> object:
    """The value of an override as Hydra reads it; None where it cannot."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import OverrideParseException

    try:
        return OverridesParser.create().parse_overrides([override])[0].value()
    except OverrideParseException:
        return None


def build(node: DictConfig | Mapping[str, object], **extra: object) -> Any:
    """The object that a node's `_target_` names.

    Raises:
        ExitbenchError: the object's own complaint, or an argument of the wrong name or type.
    """
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    try:
        return instantiate(with_current_targets(plain(node)), **extra, _convert_="all")
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, ExitbenchError):
            raise cause from error
        if isinstance(cause, TypeError | ValueError | ImportError | AttributeError) or cause is None:
            raise ExitbenchError(one_line(cause or error)) from error
        raise cause from error


def plain(node: DictConfig | Mapping[str, object]) -> dict[str, Any]:
    """A node as dicts, lists and values, interpolations resolved; a plain mapping is only copied.

    Raises:
        OmegaConfBaseException: a value that is missing or an interpolation that leads nowhere.
    """
    from omegaconf import DictConfig, OmegaConf

    if not isinstance(node, DictConfig):
        return dict(node)
    content = OmegaConf.to_container(node, resolve=True)
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items()}
