"""Errors of one combination: which kind each is, and the line that reports it."""

from __future__ import annotations

import os
import traceback

from benchmark.types import ExitbenchError, NotApplicable, Unwritable
from benchmark.utils.files import is_disk_full

ERROR_TYPES = {error_type.__name__: error_type for error_type in (ExitbenchError, NotApplicable, Unwritable)}


def message(error: BaseException) -> str:
    """One line: the error's own where it is an ExitbenchError, else its type and text."""
    if isinstance(error, ExitbenchError):
        return str(error)
    if os.environ.get("EXITBENCH_DEBUG"):
        traceback.print_exception(error)
    return " ".join(f"{type(error).__name__}: {error}".split())


def classified(error: Exception) -> Exception:
    """The same error; an Unwritable in its place where the disk is full."""
    if not isinstance(error, Unwritable) and is_disk_full(error):
        return Unwritable(f"{message(error)}; is a disk full?")
    return error


def as_strings(error: Exception) -> tuple[str, str]:
    """The name of an error's type, one of ERROR_TYPES, and its message: all that another process needs of it."""
    error = classified(error)
    name = type(error).__name__
    return name if name in ERROR_TYPES else ExitbenchError.__name__, message(error)
