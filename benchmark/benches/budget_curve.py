"""The 59-point budget curve over 50,000 samples, 3 exits and 1,000 classes: seconds, and accuracy against the sweep.

    exitbench bench budget_curve [samples=50000] [classes=1000] [rounds=3] [seed=0]

Synthetic logits, in which samples are of different hardness and deeper exits see more. Timed, on one thread: reading
confidences and answers off the logits, once for any number of curves; the released sweep; and the curve, which holds
the smoothing, its own sweep, the solver and the outcomes of the 59 points. Not timed: making the logits, the test half.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

from benchmark.policies.calibration import geometric_sweep, solver
from benchmark.policies.calibration.certainty import confidence
from benchmark.policies.calibration.evidence import Evidence, Outcomes, outcomes, read
from benchmark.policies.calibration.protocol_points import sweep_costs
from benchmark.types import ExitbenchError
from benchmark.utils.progress import track

EXITS = 3
GMACS = (0.468, 1.446, 3.455)  # DVT (T2T-ViT-12)
T = TypeVar("T")
DEFAULTS = {"samples": 50_000, "classes": 1000, "rounds": 3, "seed": 0}


def main(arguments: list[str]) -> int:
    """Print the table; raises ExitbenchError for an unknown argument."""
    options = _parse(arguments)
    torch.set_num_threads(1)
    n, macs = options["samples"], torch.tensor(GMACS).double().mul(1e9).round().repeat(options["samples"], 1)
    trace = synthetic(n, options["classes"], options["seed"])
    seconds: dict[str, list[float]] = {"read": [], "sweep": [], "isotonic": [], "counted": []}
    curves: dict[str, tuple[Tensor, Outcomes]] = {}
    evidence = read(*trace, macs, confidence)
    for _ in track(range(options["rounds"]), "rounds", unit="round"):
        evidence = _timed(seconds["read"], partial(read, *trace, macs, confidence))
        curves["sweep"] = _timed(seconds["sweep"], partial(_sweep, evidence))
        for kind in solver.ESTIMATES:
            curves[kind] = _timed(seconds[kind], partial(_curve, evidence, kind))
    del trace  # to free memory for the test half
    test = read(*synthetic(n, options["classes"], options["seed"] + 1), macs, confidence)
    print(
        f"{n:,} samples, {EXITS} exits, {options['classes']:,} classes, 59 points, one thread, CPU seconds, best round"
    )
    print(f"{'':28}{'seconds':>9}{'calibration':>13}{'test':>9}{'test GMACs':>12}   means over the 59 points")
    print(f"{'read logits, once':28}{min(seconds['read']):9.2f}")
    for name, (thresholds, there) in curves.items():
        fresh = outcomes(test, thresholds)
        label = "released geometric sweep" if name == "sweep" else f"budget curve, {name}"
        print(
            f"{label:28}{min(seconds[name]):9.2f}{100 * float(there.accuracy.mean()):12.3f}%"
            f"{100 * float(fresh.accuracy.mean()):8.3f}%{float(fresh.macs.mean()) / 1e9:12.4f}"
        )
    sweep = curves["sweep"][1].accuracy
    behind = {kind: int((curves[kind][1].accuracy < sweep - 1e-12).sum()) for kind in solver.ESTIMATES}
    alone = evidence.right.double().mean(0)
    print("each exit for all, calibration:", *(f"{100 * float(share):.2f}%" for share in alone))
    print(f"points where calibration accuracy is below the sweep's: {behind}")
    return 0


def synthetic(n: int, classes: int, seed: int) -> tuple[Tensor, Tensor]:
    """Logits (n, 3, classes) float32 and labels (n,): noise that the exits mostly share, and a margin for the label
    that falls with the sample's hardness and grows with depth."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, classes, (n,), generator=draw)
    hardness = torch.randn(n, generator=draw)
    logits = torch.empty(n, EXITS, classes).normal_(generator=draw)
    logits[:, 1:] = 0.5 * logits[:, 1:] + 0.87 * logits[:, :1]
    for exit_, margin in enumerate((4.4, 4.8, 5.2)):
        signal = margin - 1.6 * hardness + 0.3 * torch.randn(n, generator=draw)
        logits[torch.arange(n), exit_, labels] += signal
    return 1.6 * logits, labels


def _sweep(evidence: Evidence) -> tuple[Tensor, Outcomes]:
    thresholds = geometric_sweep.sweep(evidence)
    return thresholds, outcomes(evidence, thresholds)


def _curve(evidence: Evidence, estimate: str) -> tuple[Tensor, Outcomes]:
    thresholds = solver.solve(evidence, sweep_costs(evidence), estimate)
    return thresholds, outcomes(evidence, thresholds)


def _timed(seconds: list[float], what: Callable[[], T]) -> T:
    """CPU seconds of this process: other work on the machine is not in them."""
    start = time.process_time()
    made = what()
    seconds.append(time.process_time() - start)
    return made


def _parse(arguments: list[str]) -> dict[str, int]:
    options = dict(DEFAULTS)
    for word in arguments:
        name, _, value = word.partition("=")
        if name not in DEFAULTS or not value.isdigit():
            raise ExitbenchError(
                f"bench budget_curve: expected {', '.join(f'{n}=<whole number>' for n in DEFAULTS)}, got {word!r}"
            )
        options[name] = int(value)
    return options
