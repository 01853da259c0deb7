"""The points of an experiment's sweep, and a few of them that between them hold all that must compose."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from benchmark.types import ExitbenchError

Point = tuple[str, ...]  # overrides


def axes(params: Mapping[str, Any]) -> dict[str, list[str]]:
    """Each parameter of a sweeper with its values, read as Hydra reads them.

    Raises:
        ExitbenchError: values that Hydra cannot read.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import OverrideParseException

    found = {}
    for key, value in params.items():
        try:
            (override,) = OverridesParser.create().parse_overrides([f"{key}={value}"])
        except OverrideParseException as error:
            reason = error.message.splitlines()[0]  # the rest is advice
            raise ExitbenchError(f"hydra.sweeper.params.{key}: cannot read {value!r}: {reason}") from error
        found[key] = list(override.sweep_string_iterator()) if override.is_sweep_override() else [str(value)]
    return found


def points(found: Mapping[str, Sequence[str]]) -> list[Point]:
    """All points: the product of the axes."""
    return [tuple(f"{key}={value}" for key, value in zip(found, values, strict=True))
            for values in itertools.product(*found.values())]  # fmt: skip


def cover(found: Mapping[str, Sequence[str]]) -> list[Point]:
    """As few points as hold every value of every axis: as many as the longest axis has.

    What composes at these composes at all. Whether a choice is there depends on no other choice; whether a setting is
    there depends on the choices, and every point has every setting.
    """
    longest = max(map(len, found.values()), default=1)
    return [tuple(f"{key}={values[turn % len(values)]}" for key, values in found.items()) for turn in range(longest)]
