"""Memory and energy meters: resident memory of a process, size of a model's weights, RAPL and NVML energy counters."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, TypeVar

import torch

RAPL = Path("/sys/class/powercap")
Unit = TypeVar("Unit")


def resident_bytes() -> int:
    """Resident memory of this process in bytes."""
    import psutil

    return psutil.Process().memory_info().rss


def process_age_s() -> float:
    """Seconds since this process was started, interpreter and imports included."""
    import psutil

    return max(0.0, time.time() - psutil.Process().create_time())


def peak_resident_bytes() -> int:
    """Peak resident memory of this process in bytes, since its program started.

    On Linux from VmHWM, because in a child `getrusage` starts at the parent's peak.
    """
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def weight_bytes(model: object) -> int | None:
    """Bytes of parameters and buffers, quantised ones included and shared ones once; None if it is no `nn.Module`."""
    if not isinstance(model, torch.nn.Module):
        return None
    sizes: dict[int, int] = {}
    for tensor in [*model.parameters(), *model.buffers(), *_packed(model)]:
        sizes[id(tensor)] = tensor.numel() * tensor.element_size()
    return sum(sizes.values())


def _packed(model: torch.nn.Module) -> list[torch.Tensor]:
    """Weights of quantised modules, which are not parameters."""
    tensors: list[torch.Tensor] = []
    for module in model.modules():
        weight_and_bias: Callable[[], Sequence[torch.Tensor | None]] | None = getattr(module, "_weight_bias", None)
        if weight_and_bias is not None and not list(module.children()):  # a wrapper returns its child's weights
            tensors += [tensor for tensor in weight_and_bias() if tensor is not None]
    return tensors


def peak_device_bytes(device: str) -> int | None:
    """Peak bytes that torch has allocated on a CUDA device; None on other devices."""
    return torch.cuda.max_memory_allocated(device) if device.startswith("cuda") else None


@dataclass(frozen=True)
class Meter:
    """A monotonic energy counter and the name of its source."""

    source: str
    joules: Callable[[], float]


def energy_meter(device: str) -> Meter | None:
    """The hardware energy meter of a device, or None; energy is never estimated.

    CPU: RAPL (whole packages, idle power included), readable by root or if the system allows it. GPU: NVML's total
    energy, if the package nvidia-ml-py is installed.
    """
    if device.startswith("cuda"):
        return _nvml(torch.device(device).index or 0)
    return _rapl() if device == "cpu" else None


def _rapl() -> Meter | None:
    packages = sorted(RAPL.glob("intel-rapl:[0-9]*"))
    zones = [zone for zone in packages if zone.name.count(":") == 1]
    try:
        limits = [int((zone / "max_energy_range_uj").read_text()) for zone in zones]
        last = [int((zone / "energy_uj").read_text()) for zone in zones]
    except (OSError, ValueError):
        return None
    if not zones:
        return None
    total = 0

    def joules() -> float:
        nonlocal total
        for position, zone in enumerate(zones):
            now = int((zone / "energy_uj").read_text())
            total += (now - last[position]) % (limits[position] + 1)  # the counter wraps
            last[position] = now
        return total / 1e6

    return Meter(f"rapl, {len(zones)} package(s)", joules)


def _nvml(index: int) -> Meter | None:
    try:
        import pynvml  # type: ignore[import-not-found]

        pynvml.nvmlInit()
        uuid = f"GPU-{torch.cuda.get_device_properties(index).uuid}"  # NVML counts devices that torch may not see
        handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except Exception:  # no library, no driver, or a device without a counter
        return None
    return Meter("nvml, whole device", lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3)


class Energy(TypedDict):
    """Joules per sample, and the meter."""

    energy_source: str
    energy_full_j: float
    energy_j: float


def energy(
    counter: Meter, full: Callable[[Unit], object], early: Callable[[Unit], object], units: Sequence[Unit],
    samples: int, synchronise: Callable[[], None], passes: int = 3,
) -> Energy:  # fmt: skip
    """Joules per sample over whole passes, alternating full depth and early exit: meters are too slow for one unit."""
    spent = {"energy_full_j": 0.0, "energy_j": 0.0}
    for _ in range(passes):
        for name, run in (("energy_full_j", full), ("energy_j", early)):
            synchronise()
            before = counter.joules()
            for unit in units:
                run(unit)
            synchronise()
            spent[name] += counter.joules() - before
    full_j, early_j = (spent[name] / passes / samples for name in ("energy_full_j", "energy_j"))
    return {"energy_source": counter.source, "energy_full_j": full_j, "energy_j": early_j}
