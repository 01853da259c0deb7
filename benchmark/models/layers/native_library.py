"""Compiled kernels of DVT's reuse: C++, compiled at first use for this processor and cached.

With torch's operators DVT's reuse passes through memory a dozen times, and its fused attention neither interpolates the
logits it is given nor hands out its own. Where there is no compiler they do the work alone.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

from benchmark.hardware.compilers import native_compiler
from benchmark.hardware.machine import instruction_set
from benchmark.types import ExitbenchError, Unwritable
from benchmark.utils.cache import cached_folder

SOURCE = Path(__file__).with_name("reuse_kernels.cpp")
FLAGS = ("-std=c++17", "-O3", "-ffp-contract=fast", "-shared", "-fPIC")
# Tried in order: a compiler may lack OpenMP, as Apple's does, or not know the processor.
FLAG_SETS = (("-fopenmp", "-march=native"), ("-march=native",), ("-mcpu=native",), ())
# The functions' arguments: pointers, longs, floats, ints (how many threads).
KINDS = {"p": ctypes.c_void_p, "l": ctypes.c_long, "f": ctypes.c_float, "i": ctypes.c_int}
FUNCTIONS = {
    "attend": "pplllllllppppi",
    "mix": "plllllllpppppi",
    "contexts": "plllflllpppppi",
    "norm_concatenated": "pplllllppppfpi",
}
TENSOR_TYPES = (Tensor, nn.Parameter)
_allowed = True
DISK_FULL_MESSAGES = ("No space left", "File size limit", "Disk quota")  # in compilers' messages about a full disk
VECTOR_PADDING = 32  # numbers that a vector load may read after the last one


@functools.cache
def library() -> ctypes.CDLL | None:
    """The compiled functions of reuse_kernels.cpp; None without a C++ compiler, or where EXITBENCH_NATIVE is 0.

    Raises:
        ExitbenchError: a compiler is there and cannot compile it.
    """
    compiler = native_compiler()
    return None if compiler is None else _load(*compiler)


def loaded_library() -> ctypes.CDLL:
    """The compiled functions, where `can_run_native` says that they can be used."""
    loaded = library()
    assert loaded is not None
    return loaded


@contextmanager
def torch_operators_only() -> Iterator[None]:
    """Inside the block torch's operators are used, for comparison."""
    global _allowed
    before, _allowed = _allowed, False
    try:
        yield
    finally:
        _allowed = before


def can_run_native(*tensors: Tensor) -> bool:
    """Whether the library can process these tensors: float32 on the processor, without gradients or tracing.

    Compilers, counters of operators and half precision see torch's own operators instead.
    """
    return (
        _allowed
        and not torch.is_grad_enabled()
        and not _traced()
        and all(one.dtype == torch.float32 and one.is_cpu and type(one) in TENSOR_TYPES for one in tensors)
        and library() is not None
    )


def _traced() -> bool:
    jit: Any = torch.jit
    return (
        torch.compiler.is_compiling()
        or is_in_torch_dispatch_mode()
        or torch.is_autocast_enabled("cpu")
        or jit.is_tracing()
    )


def _load(compiler: str, version: str) -> ctypes.CDLL:
    """Load the library, compiled now or cached from the same compiler, source and processor."""
    key = "\n".join([SOURCE.read_text(), version, platform.machine(), instruction_set(), repr((FLAGS, FLAG_SETS))])
    name = f"native-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    loaded = ctypes.CDLL(str(cached_folder(name, functools.partial(_compile, compiler)) / "reuse_kernels.so"))
    for name, kinds in FUNCTIONS.items():
        function = getattr(loaded, name)
        function.argtypes, function.restype = [KINDS[kind] for kind in kinds], None
    return loaded


def _compile(compiler: str, folder: Path) -> None:
    said, output = "", ""
    for chosen in FLAG_SETS:
        command = [compiler, *FLAGS, *chosen, str(SOURCE), "-o", str(folder / "reuse_kernels.so")]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"})
        if done.returncode == 0:
            return
        output += done.stderr
        said = said or next((line for line in done.stderr.splitlines() if "error" in line), f"status {done.returncode}")
    if any(words in output for words in DISK_FULL_MESSAGES):
        raise Unwritable(
            f"cannot write the cache {folder.parent}: {said.strip()}; is the disk full? Set EXITBENCH_CACHE to a "
            "writable folder with enough space"
        )
    raise ExitbenchError(
        f"compiler: expected {compiler} to compile {SOURCE.name}, got {said.strip()}; name another in CXX, "
        "or set EXITBENCH_NATIVE=0 to let torch's operators do its work"
    )
