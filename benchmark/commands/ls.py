"""`exitbench ls`: the choices there are. Reads the yaml files' first lines and imports nothing heavy."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmark.house import house
from benchmark.types import ExitbenchError

GROUPS = ("model", "dataset", "workload", "policy", "hardware", "recipe", "experiment", "launcher")


def run(arguments: argparse.Namespace) -> int:
    """Print each group's choices with the first comment line of their files.

    Raises:
        ExitbenchError: a group that is not there.
    """
    if arguments.group and arguments.group not in GROUPS:
        raise ExitbenchError(f"ls: expected one of {', '.join(GROUPS)}, got {arguments.group!r}")
    roots = [house() / "conf"] + ([Path(arguments.config_dir)] if arguments.config_dir else [])
    for group in [arguments.group] if arguments.group else GROUPS:
        found = choices(group, roots)
        if not found:
            continue
        width = max(map(len, found))
        print(group)
        for name, line in found.items():
            print(f"  {name:<{width}}  {line}")
    return 0


def choices(group: str, roots: list[Path]) -> dict[str, str]:
    """Name -> description of a group's choices, sorted."""
    files = [file for root in roots for file in (root / group).glob("*.yaml")]
    return {file.stem: describe(file) for file in sorted(files, key=lambda file: file.stem)}


def describe(file: Path) -> str:
    """The first comment line of a yaml, after the package that Hydra wants on the very first line of an experiment."""
    with file.open(encoding="utf-8") as stream:
        first = next((line.strip() for line in stream if not line.startswith("# @package")), "")
    return first.removeprefix("#").strip() if first.startswith("#") else ""
