"""Errors of one combination, told apart: what concerns it, what concerns the disk, and how each is said."""

from __future__ import annotations

import os
import traceback

from benchmark.types import ExitbenchError, NotApplicable, Unwritable
from benchmark.utils.files import no_space

KINDS = {kind.__name__: kind for kind in (ExitbenchError, NotApplicable, Unwritable)}


def said(error: BaseException) -> str:
    """One line: an ExitbenchError's own, another error's with its kind."""
    if isinstance(error, ExitbenchError):
        return str(error)
    if os.environ.get("EXITBENCH_DEBUG"):
        traceback.print_exception(error)
    return " ".join(f"{type(error).__name__}: {error}".split())


def sorted_out(error: Exception) -> Exception:
    """The same error, as Unwritable where it is a disk that is full."""
    if not isinstance(error, Unwritable) and no_space(error):
        return Unwritable(f"{said(error)}; is a disk full?")
    return error
