"""Old `_target_` paths and where each object is now: yamls written for exitbench 0.3 and earlier keep working."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cache

# Module before the move -> module now. Objects keep their names; modules that are not here did not move.
MOVED = {
    "benchmark.hardware": "benchmark.hardware.profiles",
    "benchmark.objectives": "benchmark.attacks.objectives",
    "benchmark.searches.pixels": "benchmark.attacks.pixels.search",
    "benchmark.searches.words": "benchmark.attacks.words.search",
    "benchmark.train": "benchmark.training.train",
    "benchmark.workloads.adversarial": "benchmark.attacks.adversarial",
    "benchmark.workloads.clean": "benchmark.attacks.clean",
}


def current(target: str) -> str:
    """The path of a target today. The first use of an old path prints one line on stderr that names both."""
    module, _, name = target.rpartition(".")
    if module not in MOVED:
        return target
    moved = f"{MOVED[module]}.{name}"
    _announce(target, moved)
    return moved


def with_current_targets(node: Mapping[str, object]) -> dict[str, object]:
    """A copy of a plain node with the paths of today at every depth."""
    renewed = {key: _renewed(value) for key, value in node.items()}
    if isinstance(target := renewed.get("_target_"), str):
        renewed["_target_"] = current(target)
    return renewed


def _renewed(value: object) -> object:
    if isinstance(value, dict):
        return with_current_targets(value)
    return [_renewed(item) for item in value] if isinstance(value, list) else value


@cache
def _announce(old: str, new: str) -> None:
    print(f"exitbench: _target_: {old} is deprecated, it is {new} now; change the yaml that names it", file=sys.stderr)
