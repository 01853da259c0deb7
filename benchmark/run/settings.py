"""The settings of a run beside its five choices, and the identity that its record carries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

from benchmark.policies.calibration.guarantee import NO_GUARANTEE, Guarantee
from benchmark.timing.timed_task import check_scenario
from benchmark.types import ExitbenchError

# Keys of a `conf/policy` node that say how the threshold is found; the others are the rule's own arguments.
THRESHOLD_KEYS = ("threshold", "max_drop", "guarantee", "bound")


def rule_arguments(node: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of the rule itself in a plain `conf/policy` node, its threshold left out."""
    return {name: value for name, value in node.items() if name not in THRESHOLD_KEYS}


class Identity(TypedDict):
    """record_id: 16 hex digits. choices: the yaml chosen in each group. config: the plain configuration."""

    record_id: str
    choices: dict[str, str]
    config: dict[str, Any]


@dataclass(frozen=True)
class Settings:
    """The settings of a run beside its five choices.

    limit: test samples measured, a seeded choice; 0 for all. timed: at most so many of them are timed; 0 gives an
    untimed record, whose latency and audit are empty. batch, refill: of the scenario `offline`.
    choose: choose the threshold on the calibration split instead of taking the policy's. guarantee: how surely the
    threshold chosen loses at most max_drop on new data.
    """

    choose: bool
    max_drop: float
    limit: int = 0
    seed: int = 0
    batch_size: int = 64
    timed: int = 256
    scenario: str = "single_stream"
    batch: int = 32
    refill: bool = True
    guarantee: Guarantee = NO_GUARANTEE

    def __post_init__(self) -> None:
        for name, least in (("limit", 0), ("seed", 0), ("batch_size", 1), ("timed", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ExitbenchError(f"{name}: expected a whole number from {least}, got {value!r}")
        check_scenario(self.scenario, self.batch, self.timed or self.batch)
