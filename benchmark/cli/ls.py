"""`exitbench ls`: list all choices and where their files are. Imports nothing heavy; no network without --check."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmark.config import availability, choices
from benchmark.config.requirements import requirements
from benchmark.types import ExitbenchError

WITH_FILES = ("model", "dataset", "workload")  # groups whose choices require files from elsewhere


def run(arguments: argparse.Namespace) -> int:
    """Print each group's choices, where their files are, and the first comment line of their yamls.

    Raises:
        ExitbenchError: a group or a folder that does not exist.
    """
    if arguments.group and arguments.group not in choices.GROUPS:
        raise ExitbenchError(f"ls: expected one of {', '.join(choices.GROUPS)}, got {arguments.group!r}")
    roots = choices.roots(arguments.config_dir)
    groups = [arguments.group] if arguments.group else choices.GROUPS
    listed = {group: found for group in groups if (found := choices.files(group, roots))}
    states = {(group, name): [availability.locate(need) for need in requirements(group, name, found)]
              for group, found in listed.items() if group in WITH_FILES for name in found}  # fmt: skip
    if arguments.check:
        answers = availability.probe(state for found in states.values() for state in found)
        states = {choice: [availability.responding(state, answers) for state in found]
                  for choice, found in states.items()}  # fmt: skip
    statuses = {choice: availability.status(found) for choice, found in states.items()}
    for group, found in listed.items():
        print(group)
        print("\n".join(_lines(group, found, statuses)))
    return 0


def _lines(group: str, found: dict[str, Path], statuses: dict[tuple[str, str], str]) -> list[str]:
    width = max(map(len, found))
    if group not in WITH_FILES:
        return [f"  {name:<{width}}  {choices.describe(file)}" for name, file in found.items()]
    column = max(len(statuses[group, name]) for name in found)
    return [
        f"  {name:<{width}}  {statuses[group, name] or '-':<{column}}  {choices.describe(file)}"
        for name, file in found.items()
    ]
