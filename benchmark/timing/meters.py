"""Bytes and joules: what a process held, what a model weighs, and what a meter counted where the machine has one."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

RAPL = Path("/sys/class/powercap")


def resident_bytes() -> int:
    """Bytes of memory this process holds now."""
    import psutil

    return psutil.Process().memory_info().rss


def peak_resident_bytes() -> int:
    """The most bytes this process has held since it began to run its program.

    On Linux from the memory's own high-water mark: `getrusage` begins with the parent's peak in a child.
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
    seen: dict[int, int] = {}
    for tensor in [*model.parameters(), *model.buffers(), *_packed(model)]:
        seen[id(tensor)] = tensor.numel() * tensor.element_size()
    return sum(seen.values())


def _packed(model: torch.nn.Module) -> list[torch.Tensor]:
    """Weights that quantised modules keep outside their parameters."""
    found: list[torch.Tensor] = []
    for module in model.modules():
        packed: Any = getattr(module, "_weight_bias", None)
        if callable(packed) and not list(module.children()):  # a layer passes on what the module in it holds
            held: Any = packed()
            found += [tensor for tensor in held if tensor is not None]
    return found


def peak_device_bytes(device: str) -> int | None:
    """The most bytes torch has allocated on a CUDA device; None elsewhere."""
    return torch.cuda.max_memory_allocated(device) if device.startswith("cuda") else None


@dataclass(frozen=True)
class Meter:
    """A counter of joules that only grows, and what it counts."""

    source: str
    joules: Callable[[], float]


def energy_meter(device: str) -> Meter | None:
    """The machine's own energy meter for a device, or None: nothing here estimates.

    The processor's is RAPL (whole packages, idle power included), readable by root or where the system allows it;
    a GPU's is NVML's total, through the library nvidia-ml-py where it is installed.
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


def energy(
    counter: Meter, full: Callable[[Any], Any], early: Callable[[Any], Any], units: Sequence[Any], samples: int,
    synchronise: Callable[[], None], passes: int = 3,
) -> dict[str, Any]:  # fmt: skip
    """Joules per sample over whole passes, full depth and early exit in turns: meters tick too slowly for one unit."""
    spent = {"energy_full_j": 0.0, "energy_j": 0.0}
    for _ in range(passes):
        for name, run in (("energy_full_j", full), ("energy_j", early)):
            synchronise()
            before = counter.joules()
            for unit in units:
                run(unit)
            synchronise()
            spent[name] += counter.joules() - before
    return {"energy_source": counter.source, **{name: joules / passes / samples for name, joules in spent.items()}}
