"""The user's own folder of choices (--config-dir) on Hydra's search path, by a search-path plug-in.

A plug-in, because the override `hydra.searchpath` is read anew in every job, and in a job of submitit Hydra would then
validate our launchers against those that hydra-submitit-launcher stores under the same names.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from benchmark.types import ExitbenchError

if TYPE_CHECKING:
    from hydra.conf import HydraConf

PROVIDER = "exitbench --config-dir"  # what Hydra calls the folder in its messages


@contextmanager
def searched(config_dir: str) -> Iterator[None]:
    """Hydra, where it is initialised inside the block, finds choices in this folder too, after those of conf/.

    config_dir: "" for no folder.

    Raises:
        ExitbenchError: a folder that does not exist.
    """
    folder = Path(config_dir).resolve()
    if config_dir and not folder.is_dir():
        raise ExitbenchError(f"config-dir: expected a folder laid out as conf/, got {config_dir}, which does not exist")
    plugin = _plugin()
    plugin.folder = str(folder) if config_dir else ""
    try:
        yield
    finally:
        plugin.folder = ""


def config_dir_of(hydra: HydraConf) -> str:
    """The folder that a composed configuration was found in beside conf/; "" where there is none."""
    return next((source.path for source in hydra.runtime.config_sources if source.provider == PROVIDER), "")


@cache
def _plugin() -> type:
    """The plug-in, known to Hydra; a class because Hydra creates its object itself."""
    from hydra.core.config_search_path import ConfigSearchPath
    from hydra.core.plugins import Plugins
    from hydra.plugins.search_path_plugin import SearchPathPlugin

    class OwnChoices(SearchPathPlugin):
        folder: ClassVar[str] = ""

        def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
            if self.folder:
                search_path.append(PROVIDER, self.folder)

    Plugins.instance().register(OwnChoices)
    return OwnChoices
