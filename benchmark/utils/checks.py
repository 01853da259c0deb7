"""Argument checks that raise ExitbenchError with one wording: "field: expected …, got …"."""

from __future__ import annotations

import math
from collections.abc import Collection

from benchmark.types import ExitbenchError


def whole_number(field: str, value: object, least: int) -> None:
    """Raise ExitbenchError unless `value` is an int of at least `least`; a bool does not count as one."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ExitbenchError(f"{field}: expected a whole number of at least {least}, got {value!r}")


def share(field: str, value: object, zero: bool = False) -> None:
    """Raise ExitbenchError unless `value` is a number in (0, 1], or in [0, 1] if `zero` is allowed."""
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else -1
    if not 0 <= number <= 1 or (number == 0 and not zero):
        raise ExitbenchError(f"{field}: expected a number in {'[0' if zero else '(0'}, 1], got {value!r}")


def positive(field: str, value: object) -> None:
    """Raise ExitbenchError unless `value` is a finite number above 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ExitbenchError(f"{field}: expected a number above 0, got {value!r}")


def choice(field: str, value: object, choices: Collection[str]) -> None:
    """Raise ExitbenchError unless `value` is one of `choices`."""
    if value not in choices:
        raise ExitbenchError(f"{field}: expected one of {', '.join(choices)}, got {value!r}")
