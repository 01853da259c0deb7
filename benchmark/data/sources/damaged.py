"""One message for all damaged pictures of a data set, so that they are mended in one go."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.types import ExitbenchError

NAMED = 5


def damaged_error(faults: Sequence[str], checked: int) -> ExitbenchError:
    """The error for some unreadable pictures of `checked`; each fault begins with the picture's name."""
    more = f"; and {len(faults) - NAMED} more" if len(faults) > NAMED else ""
    return ExitbenchError(
        f"dataset: {len(faults)} of {checked} pictures cannot be read: {'; '.join(faults[:NAMED])}{more}; "
        "mend or remove them"
    )
