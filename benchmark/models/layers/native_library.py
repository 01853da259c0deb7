"""Our one piece of C++, compiled at its first use for the processor at hand and kept in the cache.

Torch's operators move DVT's hand-over through memory a dozen times, and its fused attention neither interpolates the
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

SOURCE = Path(__file__).with_name("hand_over.cpp")
FLAGS = ("-std=c++17", "-O3", "-ffp-contract=fast", "-shared", "-fPIC")
# Tried in turn: a compiler may lack OpenMP, as Apple's does, or not know its processor.
CHOICES = (("-fopenmp", "-march=native"), ("-march=native",), ("-mcpu=native",), ())
# The functions' arguments: pointers, longs, floats, ints (how many threads).
KINDS = {"p": ctypes.c_void_p, "l": ctypes.c_long, "f": ctypes.c_float, "i": ctypes.c_int}
FUNCTIONS = {
    "attend": "pplllllllppppi",
    "mix": "plllllllpppppi",
    "contexts": "plllflllpppppi",
    "normed_beside": "pplllllppppfpi",
}
PLAIN = (Tensor, nn.Parameter)
_allowed = True
FULL = ("No space left", "File size limit", "Disk quota")  # what compilers say of disks
SLACK = 32  # numbers that a vector may read behind the last one


@functools.cache
def library() -> ctypes.CDLL | None:
    """The compiled functions of hand_over.cpp; None without a C++ compiler, or where EXITBENCH_NATIVE is 0.

    Raises:
        ExitbenchError: a compiler is there and cannot compile it.
    """
    compiler = native_compiler()
    return None if compiler is None else _load(*compiler)


@contextmanager
def operators_alone() -> Iterator[None]:
    """Inside the block torch's operators do all the work, to compare with."""
    global _allowed
    before, _allowed = _allowed, False
    try:
        yield
    finally:
        _allowed = before


def fits(*tensors: Tensor) -> bool:
    """Whether these are numbers the library works on: float32 on the processor, without gradients or an onlooker.

    Compilers, counters of operators and half precision see torch's own operators instead.
    """
    return (
        _allowed
        and not torch.is_grad_enabled()
        and not _traced()
        and all(one.dtype == torch.float32 and one.is_cpu and type(one) in PLAIN for one in tensors)
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
    """Compile, or take what the same compiler made of the same source for the same processor."""
    key = "\n".join([SOURCE.read_text(), version, platform.machine(), instruction_set(), repr((FLAGS, CHOICES))])
    name = f"native-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    loaded = ctypes.CDLL(str(cached_folder(name, functools.partial(_compile, compiler)) / "hand_over.so"))
    for name, kinds in FUNCTIONS.items():
        function = getattr(loaded, name)
        function.argtypes, function.restype = [KINDS[kind] for kind in kinds], None
    return loaded


def _compile(compiler: str, folder: Path) -> None:
    said, output = "", ""
    for chosen in CHOICES:
        command = [compiler, *FLAGS, *chosen, str(SOURCE), "-o", str(folder / "hand_over.so")]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"})
        if done.returncode == 0:
            return
        output += done.stderr
        said = said or next((line for line in done.stderr.splitlines() if "error" in line), f"status {done.returncode}")
    if any(words in output for words in FULL):
        raise Unwritable(
            f"cannot write the cache {folder.parent}: {said.strip()}; is the disk full? Set EXITBENCH_CACHE to a "
            "writable folder with enough space"
        )
    raise ExitbenchError(
        f"compiler: expected {compiler} to compile {SOURCE.name}, got {said.strip()}; name another in CXX, "
        "or set EXITBENCH_NATIVE=0 to let torch's operators do its work"
    )
