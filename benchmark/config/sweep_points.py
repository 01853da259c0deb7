"""The points of a sweep, and a small subset of them that contains every value of every axis."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from benchmark.config.compose import one_line
from benchmark.types import ExitbenchError

Point = tuple[str, ...]  # overrides


def axes(params: Mapping[str, object]) -> dict[str, list[str]]:
    """Each parameter of a sweeper with its values, read as Hydra reads them.

    Raises:
        ExitbenchError: values that Hydra cannot read.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import OverrideParseException

    values = {}
    for key, text in params.items():
        try:
            (override,) = OverridesParser.create().parse_overrides([f"{key}={text}"])
        except OverrideParseException as error:
            raise ExitbenchError(f"hydra.sweeper.params.{key}: {one_line(error)}") from error
        values[key] = list(override.sweep_string_iterator()) if override.is_sweep_override() else [str(text)]
    return values


def points(values: Mapping[str, Sequence[str]]) -> list[Point]:
    """All points: the product of the axes."""
    return [tuple(f"{key}={value}" for key, value in zip(values, combination, strict=True))
            for combination in itertools.product(*values.values())]  # fmt: skip


def cover(values: Mapping[str, Sequence[str]]) -> list[Point]:
    """The fewest points that contain every value of every axis: as many as the longest axis has values.

    If these compose, all points do. Whether a choice exists depends on no other choice; whether a setting exists
    depends on the choices, and every point has every setting.
    """
    longest = max(map(len, values.values()), default=1)
    return [tuple(f"{key}={axis[turn % len(axis)]}" for key, axis in values.items()) for turn in range(longest)]
