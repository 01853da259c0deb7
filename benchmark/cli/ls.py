"""`exitbench ls`: the choices there are, and whether what they need is here. Imports nothing heavy, asks nobody."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmark.config import availability
from benchmark.config import choices as folders
from benchmark.config.requirements import needs
from benchmark.types import ExitbenchError

NEEDING = ("model", "dataset", "workload")  # groups whose choices need something from elsewhere


def run(arguments: argparse.Namespace) -> int:
    """Print each group's choices with where their assets are and the first comment line of their files.

    Raises:
        ExitbenchError: a group or a folder that is not there.
    """
    if arguments.group and arguments.group not in folders.GROUPS:
        raise ExitbenchError(f"ls: expected one of {', '.join(folders.GROUPS)}, got {arguments.group!r}")
    roots = folders.roots(arguments.config_dir)
    groups = [arguments.group] if arguments.group else folders.GROUPS
    listed = {group: found for group in groups if (found := folders.files(group, roots))}
    states = {(group, name): [availability.where(need) for need in needs(group, name, found)]
              for group, found in listed.items() if group in NEEDING for name in found}  # fmt: skip
    if arguments.check:
        answers = availability.ask(state for found in states.values() for state in found)
        states = {choice: [availability.asked(state, answers) for state in found] for choice, found in states.items()}
    shown = {choice: availability.spelled(found) for choice, found in states.items()}
    for group, found in listed.items():
        print(group)
        print("\n".join(_lines(group, found, shown)))
    return 0


def _lines(group: str, found: dict[str, Path], shown: dict[tuple[str, str], str]) -> list[str]:
    width = max(map(len, found))
    if group not in NEEDING:
        return [f"  {name:<{width}}  {folders.describe(file)}" for name, file in found.items()]
    column = max(len(shown[group, name]) for name in found)
    return [
        f"  {name:<{width}}  {shown[group, name] or '-':<{column}}  {folders.describe(file)}"
        for name, file in found.items()
    ]
