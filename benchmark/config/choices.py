"""The yaml files of each config group, and the comment that describes each. Imports nothing heavy."""

from __future__ import annotations

from pathlib import Path

from benchmark.types import ExitbenchError
from benchmark.utils.project_root import project_root

# Folders below `conf`, in the order that `exitbench ls` shows them.
GROUPS = ("model", "dataset", "workload", "workload/objective", "policy", "hardware", "recipe", "experiment",
          "hydra/launcher")  # fmt: skip


def roots(config_dir: str) -> list[Path]:
    """The folders that contain choices: conf/, then the user's own, which Hydra searches after it.

    Raises:
        ExitbenchError: a folder that does not exist, or that contains no group of choices.
    """
    own = [Path(config_dir)] if config_dir else []
    for folder in own:
        if not folder.is_dir():
            raise ExitbenchError(
                f"config-dir: expected a folder laid out as conf/, got {config_dir}, which does not exist"
            )
        if not any((folder / group).is_dir() for group in GROUPS):
            raise ExitbenchError(
                f"config-dir: expected a folder with one of {', '.join(GROUPS)} in it, got {config_dir}"
            )
    return [project_root() / "conf", *own]


def files(group: str, folders: list[Path]) -> dict[str, Path]:
    """Name -> yaml of a group's choices, sorted; of two with the same name the earlier folder's, as in a run."""
    found = {file.stem: file for folder in reversed(folders) for file in (folder / group).glob("*.yaml")}
    return dict(sorted(found.items()))


def describe(file: Path) -> str:
    """The first comment line of a yaml, after the line `# @package` that Hydra requires first in an experiment."""
    with file.open(encoding="utf-8") as stream:
        first = next((line.strip() for line in stream if not line.startswith("# @package")), "")
    return first.removeprefix("#").strip() if first.startswith("#") else ""
