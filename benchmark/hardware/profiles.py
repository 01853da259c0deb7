"""Hardware profiles (device, dtype, threads, compiler, quantisation), validated against this machine.

Torch is imported only when a check needs it.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from benchmark.hardware.compilers import compiler_path
from benchmark.hardware.machine import usable_cores
from benchmark.types import ExitbenchError, Hardware

DTYPES = ("float32", "bfloat16", "float16")
COMPILERS = ("eager", "inductor", "onnxruntime")
QUANTISERS = ("none", "int8_dynamic")


def resolve(
    name: str, device: str, dtype: str, threads: int | str, compiler: str = "eager", quantise: str = "none"
) -> Hardware:
    """A profile, validated against this machine.

    device: "cpu", "cuda", "cuda:1" or "mps". dtype: name of a torch dtype. threads: intra-op threads, or "all" for
    every core this process may use. compiler: "eager", or stage by stage "inductor" (torch.compile) or
    "onnxruntime". quantise: "none" or "int8_dynamic" (int8 linear layers, float32 between them, CPU only).

    Raises:
        ExitbenchError: a value that does not exist, or something this machine lacks.
    """
    for field, value, known in (
        ("dtype", dtype, DTYPES),
        ("compiler", compiler, COMPILERS),
        ("quantise", quantise, QUANTISERS),
    ):
        if value not in known:
            raise ExitbenchError(f"hardware.{field}: expected one of {', '.join(known)}, got {value!r}")
    cores = usable_cores()
    threads = cores if threads == "all" else threads
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise ExitbenchError(f"hardware.threads: expected a whole number from 1 or all, got {threads!r}")
    if threads > cores:
        raise ExitbenchError(
            f"hardware {name}: wants {threads} threads, but this process may use {cores} core(s); "
            "try hardware=cpu_all, which takes what there is"
        )
    _check_device(name, device)
    if quantise != "none":
        _check_quantising(name, device, dtype)
    if compiler == "inductor":
        _check_compiler(name, device)
    if compiler == "onnxruntime":
        _check_onnxruntime(name, device, dtype)
    return Hardware(name, device, dtype, threads, compiler, quantise)


def _check_device(name: str, device: str) -> None:
    if device == "cpu":
        return
    kind, _, index = device.partition(":")
    if device != "mps" and (kind != "cuda" or not (index == "" or index.isdecimal()) or device.endswith(":")):
        raise ExitbenchError(f"hardware.device: expected cpu, mps, cuda or cuda:<number>, got {device!r}")
    import torch

    if device == "mps":
        if not torch.backends.mps.is_available():
            raise ExitbenchError(f"hardware {name}: wants mps, but torch finds no Apple GPU; try hardware=cpu_1t")
        return
    if not torch.cuda.is_available():
        raise ExitbenchError(f"hardware {name}: wants {device}, but torch finds no CUDA device; try hardware=cpu_1t")
    if int(index or 0) >= (count := torch.cuda.device_count()):
        raise ExitbenchError(f"hardware {name}: wants {device}, but torch finds {count} CUDA device(s)")


def _check_quantising(name: str, device: str, dtype: str) -> None:
    import torch

    if device != "cpu" or dtype != "float32":
        raise ExitbenchError(f"hardware {name}: int8_dynamic wants device cpu and dtype float32, got {device}, {dtype}")
    if torch.backends.quantized.engine == "none":
        raise ExitbenchError(f"hardware {name}: wants int8 kernels, but this torch has none for this processor")


def _check_onnxruntime(name: str, device: str, dtype: str) -> None:
    if device != "cpu" or dtype != "float32":
        raise ExitbenchError(f"hardware {name}: onnxruntime wants device cpu and dtype float32, got {device}, {dtype}")
    for package in ("onnxruntime", "onnx", "onnxscript"):
        if importlib.util.find_spec(package) is None:
            raise ExitbenchError(
                f"hardware {name}: wants {package}, which is not installed; pip install 'exitbench[onnx]'"
            )


def _check_compiler(name: str, device: str) -> None:
    if device == "cpu":
        cxx = os.environ.get("CXX")
        if not (compiler_path() or shutil.which("cl")):
            raise ExitbenchError(
                f"hardware {name}: wants a C++ compiler, but {cxx or 'neither g++ nor clang++'} is there; "
                "install one, or try hardware=cpu_1t"
            )
    elif device.startswith("cuda") and importlib.util.find_spec("triton") is None:
        raise ExitbenchError(f"hardware {name}: wants Triton to compile for a GPU, but it is not installed")


@contextmanager
def applied(hardware: Hardware) -> Iterator[None]:
    """Set torch's thread count to the profile's inside the block and restore it afterwards.

    TensorFloat-32 is switched off for convolutions as well, so that float32 means float32 on a GPU.
    """
    import torch

    threads, allow_tf32 = torch.get_num_threads(), torch.backends.cudnn.allow_tf32
    torch.set_num_threads(hardware.threads)
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.backends.cudnn.allow_tf32 = allow_tf32


def sleep_while_waiting() -> None:
    """Let waiting OpenMP threads sleep instead of spin. Call it before torch is imported, which reads it once.

    Meant for busy machines; not a default. 12 small matrix products on two threads and two cores, median wall time:
    490 ms spinning and 1 ms sleeping on busy cores, because a spinning thread occupies the core that another thread
    needs, and the CPU clock counts spinning as work; 0.5 ms spinning and 2.7 ms sleeping on idle cores. With sleeping
    threads, ratios agreed within 2% in both cases. OMP_WAIT_POLICY is left alone if the user has set it.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
