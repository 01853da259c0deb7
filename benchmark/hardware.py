"""Hardware profiles made concrete, and the facts of this machine. Torch is imported only where a device needs it."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from benchmark.compilers import compiler_path, native_compiler
from benchmark.types import ExitbenchError, Hardware

DTYPES = ("float32", "bfloat16", "float16")
COMPILERS = ("eager", "inductor")
QUANTISERS = ("none", "int8_dynamic")
# What a fingerprint's `id` is made of: a kernel update leaves it, another chip or torch does not.
DECIDES_SPEED = ("cpu_model", "machine", "cores", "cores_physical", "cores_usable", "memory_gib", "gpus", "torch")


def resolve(
    name: str, device: str, dtype: str, threads: int | str, compiler: str = "eager", quantise: str = "none"
) -> Hardware:
    """A profile checked against this machine.

    device: "cpu", "cuda", "cuda:1" or "mps"; dtype: a torch dtype's name; threads: torch's threads within one
    operator, "all" for every core this process may use; compiler: "eager" or "inductor" (torch.compile by stages);
    quantise: "none" or "int8_dynamic", which is float32 between the linear layers and on the processor only.
    Raises ExitbenchError, one line, for values that do not exist and for what this machine lacks.
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
    if compiler != "eager":
        _check_compiler(name, device)
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


def _check_compiler(name: str, device: str) -> None:
    if device == "cpu":
        wanted = os.environ.get("CXX")
        if not (compiler_path() or shutil.which("cl")):
            raise ExitbenchError(
                f"hardware {name}: wants a C++ compiler, but {wanted or 'neither g++ nor clang++'} is there; "
                "install one, or try hardware=cpu_1t"
            )
    elif device.startswith("cuda") and importlib.util.find_spec("triton") is None:
        raise ExitbenchError(f"hardware {name}: wants Triton to compile for a GPU, but it is not installed")


def usable_cores() -> int:
    """Cores this process may use: its affinity, and its container's quota where there is one."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, _, period = _read("/sys/fs/cgroup/cpu.max").partition(" ")
    if quota.isdecimal() and period.isdecimal():
        return max(1, min(affinity, math.ceil(int(quota) / int(period))))
    return affinity


@contextmanager
def applied(hardware: Hardware) -> Iterator[None]:
    """Torch uses the profile's threads inside the block, and what it used before after it.

    float32 means float32: torch would let convolutions on a GPU round their inputs to TensorFloat-32.
    """
    import torch

    before, convolutions = torch.get_num_threads(), torch.backends.cudnn.allow_tf32
    torch.set_num_threads(hardware.threads)
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.set_num_threads(before)
        torch.backends.cudnn.allow_tf32 = convolutions


def wait_asleep() -> None:
    """Let idle threads sleep instead of spin; call it before anything imports torch, which reads it once.

    A choice for busy machines, not a default. 12 small matrix products on two threads and two cores (median wall
    time): on busy cores 490 ms spinning and 1 ms asleep, because a spinning thread holds the core that the thread
    it waits for needs, and the CPU clock counts that as work; on idle cores 0.5 ms spinning and 2.7 ms asleep.
    Ratios held within 2% asleep in both. A policy that the user has set stays.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def fingerprint() -> dict[str, Any]:
    """Facts of this machine, and `id`, twelve hex digits over those that determine speed. Takes milliseconds."""
    facts: dict[str, Any] = {
        "cpu_model": _cpu_model(),
        "machine": platform.machine(),
        "cores": psutil.cpu_count() or 1,
        "cores_physical": psutil.cpu_count(logical=False) or 0,
        "cores_usable": usable_cores(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "gpus": _gpus(),
        "os": _os_name(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        **{package: _version(package) for package in ("torch", "transformers", "numpy")},
        "native": (native_compiler() or ("", "none"))[1],  # what compiled our own functions; see layers/native.py
    }
    # Whether torch's operators do all of DVT's work decides its speed; which compiler spares it them hardly does.
    alone = ["operators alone"] if facts["native"] == "none" else []
    decisive = json.dumps([facts[key] for key in DECIDES_SPEED] + alone).encode()
    return {"id": hashlib.sha256(decisive).hexdigest()[:12], **facts}


def noise(seconds: float = 0.2) -> dict[str, Any]:
    """What could disturb a measurement, watched for `seconds`: load, cores, fractions busy and stolen, governor,
    and whether waiting threads sleep (`wait_asleep`).

    busy, steal: fractions in [0, 1] of all cores' time; steal is what the hypervisor gave to other guests.
    """
    times = psutil.cpu_times_percent(interval=seconds)
    load_1m, load_5m, _ = psutil.getloadavg()
    return {
        "load_1m": round(load_1m, 2),
        "load_5m": round(load_5m, 2),
        "cores": usable_cores(),
        "busy": round(max(0.0, 1 - times.idle / 100), 3),
        "steal": round(getattr(times, "steal", 0.0) / 100, 3),
        "omp_wait_policy": os.environ.get("OMP_WAIT_POLICY", "unset"),
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") or "unknown",
    }


def _read(path: str) -> str:
    """A system file's text, empty where this system has none."""
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def instruction_set() -> str:
    """What this processor can do, as Linux lists it; elsewhere its model."""
    lines = _read("/proc/cpuinfo").splitlines()
    return next((line for line in lines if line.startswith(("flags", "Features"))), _cpu_model())


def _cpu_model() -> str:
    for line in _read("/proc/cpuinfo").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _os_name() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "absent"


def _gpus() -> list[str]:
    """Names of NVIDIA GPUs by the driver's own tool, which is quicker than importing torch."""
    if not (tool := shutil.which("nvidia-smi")):
        return []
    command = [tool, "--query-gpu=name", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in answer.stdout.splitlines() if line.strip()]
