"""The C++ compiler of this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import lru_cache

from benchmark.types import ExitbenchError


def compiler_path() -> str:
    """Path of the C++ compiler: CXX if it is set, else g++ or clang++; empty if there is none."""
    cxx = os.environ.get("CXX")
    return next((path for tool in ([cxx] if cxx else ["g++", "clang++"]) if (path := shutil.which(tool))), "")


def native_compiler() -> tuple[str, str] | None:
    """Path and version of the compiler for the C++ kernels; None without a compiler, or if EXITBENCH_NATIVE is 0.

    Raises:
        ExitbenchError: EXITBENCH_NATIVE is neither 0 nor 1.
    """
    switch = os.environ.get("EXITBENCH_NATIVE", "1")
    if switch not in ("0", "1"):
        raise ExitbenchError(f"EXITBENCH_NATIVE: expected 0 or 1, got {switch!r}")
    path = compiler_path() if switch == "1" and os.name == "posix" else ""
    return (path, _compiler_version(path)) if path else None


@lru_cache
def _compiler_version(path: str) -> str:
    try:
        answer = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=20).stdout
    except (OSError, subprocess.SubprocessError):
        answer = ""
    return answer.partition("\n")[0].strip() or "unknown"
