"""The C++ compiler of this machine, which torch.compile needs."""

from __future__ import annotations

import os
import shutil


def compiler_path() -> str:
    """Path of the C++ compiler: CXX if it is set, else g++ or clang++; empty if there is none."""
    cxx = os.environ.get("CXX")
    return next((path for tool in ([cxx] if cxx else ["g++", "clang++"]) if (path := shutil.which(tool))), "")
