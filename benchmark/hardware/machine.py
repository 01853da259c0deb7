"""System information: machine fingerprint, usable cores, and background load during a measurement. Without torch."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import shutil
import subprocess
from importlib import metadata
from pathlib import Path
from typing import TypedDict

import psutil

# The facts that a fingerprint's `id` hashes: it survives a kernel update, but not another CPU or torch version.
IDENTIFYING_FACTS = ("cpu_model", "machine", "cores", "cores_physical", "cores_usable", "memory_gib", "gpus", "torch")


Fact = str | int | list[str]


class Noise(TypedDict):
    """Background activity of the machine; see `noise`."""

    load_1m: float
    load_5m: float
    cores: int
    busy: float
    steal: float
    omp_wait_policy: str
    governor: str


def usable_cores() -> int:
    """Number of cores this process may use, by CPU affinity and by the container's quota."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, _, period = _read("/sys/fs/cgroup/cpu.max").partition(" ")
    if quota.isdecimal() and period.isdecimal():
        return max(1, min(affinity, math.ceil(int(quota) / int(period))))
    return affinity


def fingerprint() -> dict[str, Fact]:
    """Facts of this machine, and `id`: twelve hex digits, a hash of those that determine speed. Takes milliseconds."""
    facts: dict[str, Fact] = {
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
    }
    decisive = json.dumps([facts[key] for key in IDENTIFYING_FACTS]).encode()
    return {"id": hashlib.sha256(decisive).hexdigest()[:12], **facts}


def noise(seconds: float = 0.2) -> Noise:
    """Background activity observed for `seconds`: load, busy and stolen time, CPU governor, OpenMP wait policy.

    busy, steal: fractions in [0, 1] of all cores' time; steal is time that the hypervisor gave to other guests.
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
    """The text of a system file, or an empty string if it does not exist."""
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


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
