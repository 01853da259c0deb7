"""The progress bar of all commands (tqdm on stderr): redrawn on a terminal, a line every ten seconds in a log."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def track(items: Iterable[T], description: str, total: int | None = None, unit: str = "it") -> tqdm[T]:
    """Iterate with a progress bar; `.set_postfix_str` adds running figures."""
    interval = 0.2 if sys.stderr.isatty() else 10.0
    return tqdm(items, desc=description, total=total, unit=unit, mininterval=interval, file=sys.stderr, leave=True)
