"""Our clock, our counter and our offline engine beside what people use today. One thread, CPU, interleaved.

`exitbench bench peers passes=15 samples=64 batch=32 seconds=20`. Latency: MiniLM to full depth and timm's ViT-Ti/16
(random weights, 32 px) against torch.utils.benchmark on the same call, in turns; both by the CPU clock, medians with
95% intervals. GMACs: ours against torch's counter and, where it is installed, fvcore, with the reason for a difference.
Offline: our engine against masking without compaction and against one sample at a time, at the default threshold.
"""

from __future__ import annotations

import importlib.util
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.utils import benchmark as torch_benchmark
from torch.utils.flop_counter import FlopCounterMode

from benchmark import macs, offline
from benchmark.bench_setup import Family, family, options
from benchmark.clock.rounds import Clock, observe
from benchmark.clock.timed import Task, collated
from benchmark.clock.timing import Limits, host_lock, measure
from benchmark.execute import run_early, run_full
from benchmark.hardware import applied
from benchmark.types import Hardware

DEFAULTS = {"passes": 15, "samples": 64, "batch": 32, "seconds": 20}
CPU = Hardware("bench", "cpu", "float32", 1)


def main(arguments: list[str]) -> int:
    """Print three tables.

    Raises:
        ExitbenchError: an argument that is not one of DEFAULTS.
    """
    asked = options("peers", DEFAULTS, arguments)
    text, image = family("minilm_exits", asked["samples"]), family("dvt_fashion", asked["samples"])
    vit, pixels = _vit()
    calls: dict[str, Callable[[], Any]] = {
        "minilm_exits, full depth": lambda: run_full(text.model, text.batches[0]),
        "vit_tiny_patch16, 32 px": lambda: _forward(vit, pixels),
    }
    with applied(CPU), host_lock():
        print(f"{'latency, CPU ms':26}{'ours':>8}{'interval':>18}{'torch':>8}{'interval':>18}  agree")
        for name, call in calls.items():
            _latency(name, call, asked["passes"])
        print(f"\n{'GMACs':26}{'ours':>9}{'torch':>9}{'fvcore':>9}  why")
        _counts(text, vit, pixels)
        head = ("ours", "masked", "single", "masked/ours", "single/ours")
        print(f"\n{'offline, CPU ms a sample':26}" + "".join(f"{name:>12}" for name in head))
        for name, one in (("minilm_exits", text), ("dvt_fashion", image)):
            _offline(name, one, asked["batch"], Limits(time_limit_s=asked["seconds"], min_passes=5))
    return 0


def _vit() -> tuple[Any, torch.Tensor]:
    import timm

    torch.manual_seed(0)
    vit = timm.create_model("vit_tiny_patch16_224", pretrained=False, img_size=32, num_classes=10).eval()
    return vit, torch.rand(1, 3, 32, 32)


@torch.inference_mode()
def _forward(module: Any, pixels: torch.Tensor) -> torch.Tensor:
    return module(pixels)


def _latency(name: str, call: Callable[[], Any], passes: int) -> None:
    """Blocks of one and of the other in turns: neither is measured in better weather."""
    timer = torch_benchmark.Timer("call()", globals={"call": call}, timer=time.process_time, num_threads=1)
    timer.timeit(3)
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(passes):
        ours += [observe(lambda unit: call(), None, Clock())[1] / 1e6 for _ in range(5)]
        theirs.append(timer.timeit(5).mean * 1e3)
    blocks = [statistics.fmean(ours[start : start + 5]) for start in range(0, len(ours), 5)]
    (low, high), (their_low, their_high) = _interval(blocks), _interval(theirs)
    agree = "yes" if low <= their_high and their_low <= high else "no"
    print(
        f"{name:26}{statistics.median(blocks):8.3f}{f'[{low:.3f}, {high:.3f}]':>18}"
        f"{statistics.median(theirs):8.3f}{f'[{their_low:.3f}, {their_high:.3f}]':>18}  {agree}"
    )


def _interval(values: list[float]) -> tuple[float, float]:
    """95% interval of the median, by bootstrap."""
    drawn = np.random.default_rng(0).choice(values, size=(1000, len(values)))
    low, high = np.quantile(np.median(drawn, axis=1), [0.025, 0.975])
    return float(low), float(high)


def _counts(text: Family, vit: Any, pixels: torch.Tensor) -> None:
    model: Any = text.model
    length = int(text.batches[0].lengths[0])
    ours = macs.count(model, length)[-1]
    probe = model.probe(length)
    torch_says = _torch_count(lambda: run_full(model, probe))
    _count_row(
        f"minilm_exits, {length} tokens", ours, torch_says, _fvcore(_FullDepth(model), probe.inputs["input_ids"])
    )
    counted = macs.tally(lambda: _forward(vit, pixels))
    _count_row("vit_tiny_patch16, 32 px", counted, _torch_count(lambda: _forward(vit, pixels)),
               _fvcore(vit, pixels))  # fmt: skip


class _FullDepth(torch.nn.Module):
    """All exits of a text of one length as one module, which a tracing counter can take."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return list(self.model.exits(self.model.probe(ids.shape[1])))[-1]


def _torch_count(run: Callable[[], Any]) -> int:
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def _fvcore(module: Any, given: torch.Tensor) -> float | None:
    if importlib.util.find_spec("fvcore") is None:
        return None
    from fvcore.nn import FlopCountAnalysis  # type: ignore[import-not-found]

    with torch.no_grad():
        counted = FlopCountAnalysis(module, given).unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        return float(counted.total())


def _count_row(name: str, ours: int, torch_says: int, fvcore: float | None) -> None:
    why = [f"torch counts {torch_says / ours:.3f} flops per MAC of ours"]
    if fvcore is not None:
        why.append(f"fvcore {fvcore / ours - 1:+.1%}: norms and pooling in, fused attention out, MACs called flops")
    third = "absent" if fvcore is None else f"{fvcore / 1e9:.4f}"
    print(f"{name:26}{ours / 1e9:9.4f}{torch_says / 1e9:9.4f}{third:>9}  {'; '.join(why)}")


def _offline(name: str, one: Family, size: int, limits: Limits) -> None:
    task = Task(one.policy, one.samples, CPU, scenario="offline", batch=size)
    _, batches = collated(one.model, task)
    windows = offline.windows(batches, refill=True)

    def ours(unit: int) -> tuple[int, int]:
        for window in windows:
            offline.early_window(one.model, one.policy, window)
        return 0, 1

    def masked(unit: int) -> tuple[int, int]:
        """Every sample through every stage, answers taken where the rule would have stopped."""
        for window in windows:
            offline.full_window(one.model, window)
        return 0, 1

    def single(unit: int) -> tuple[int, int]:
        for batch in one.batches:
            run_early(one.model, one.policy, batch)
        return 0, 1

    # Columns of a round: full is "masked", early is ours, and the canary's place is taken by the third peer.
    seen = measure(masked, ours, [0], read=lambda answer: answer, canary=single, limits=limits, over="rounds",
                   samples=len(one.samples))  # fmt: skip
    n = len(one.samples)
    times = [statistics.median(column) / n for column in (seen.early_cpu_ms, seen.full_cpu_ms, seen.canary_cpu_ms)]
    shown = [*(f"{one:12.3f}" for one in times), f"{times[1] / times[0]:12.2f}", f"{times[2] / times[0]:12.2f}"]
    print(f"{name:26}" + "".join(shown))
