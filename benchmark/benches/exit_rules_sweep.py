"""All exit rules at 1,000 thresholds each, scored by Matthews, on 10,000 samples, beside one replay. One thread.

`exitbench bench exit_rules_sweep samples=10000 exits=12 classes=2 thresholds=1000 rounds=3`; the trace is random
logits that grow surer with depth. A rule's sweep is its signals and the whole curve: accuracy, MACs, depth.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch

from benchmark.policies.always_first import AlwaysFirst
from benchmark.policies.base import ThresholdPolicy
from benchmark.policies.beem import AgreeingExperts
from benchmark.policies.calibration.operating_point import curve
from benchmark.policies.calibration.threshold_grid import thresholds
from benchmark.policies.confidence import Confidence
from benchmark.policies.entropy import Entropy
from benchmark.policies.flexible_patience import FlexiblePatience
from benchmark.policies.learned import Learned
from benchmark.policies.never import Never
from benchmark.policies.oracle import Oracle
from benchmark.policies.patience import Patience
from benchmark.policies.pcee import PatientConfident
from benchmark.policies.product_anytime import ProductAnytime
from benchmark.policies.replay import trace_depths, trace_signals
from benchmark.policies.vote import Vote
from benchmark.types import ExitbenchError, Trace
from benchmark.utils.progress import track

DEFAULTS = {"samples": 10_000, "exits": 12, "classes": 2, "thresholds": 1000, "rounds": 3}
RULES: list[ThresholdPolicy] = [
    *(Never(), AlwaysFirst(), Confidence(0.9), Entropy(0.3), Patience(2), Learned(0.8)),
    *(PatientConfident(0.3), Vote(3), FlexiblePatience(0.05), AgreeingExperts(1.5), ProductAnytime(0.9), Oracle()),
]


def main(arguments: list[str]) -> int:
    """Print CPU seconds per rule, medians over interleaved rounds, and the sum.

    Raises:
        ExitbenchError: an argument that is not one of DEFAULTS or no whole number above 0.
    """
    options = settings(arguments)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        sweeps, replays = measure(options)
    finally:
        torch.set_num_threads(threads)
    count = options["thresholds"]
    size = f"{options['samples']:,} samples × {options['exits']} exits × {options['classes']} classes"
    print(f"{size}, {count:,} thresholds")
    print(f"{'rule':14} {'sweep s':>8} {'one replay s':>13} {'sweep / replay':>15}")
    for name, sweep in sweeps.items():
        print(f"{name:14} {sweep:8.3f} {replays[name]:13.4f} {sweep / replays[name]:15.1f}")
    all_sweeps, all_replays = sum(sweeps.values()), sum(replays.values())
    print(f"{'all':14} {all_sweeps:8.3f} {all_replays:13.4f} {all_sweeps / all_replays:15.1f}")
    print(f"{count:,} replays would take {count * all_replays / all_sweeps:.0f} times as long as the sweeps")
    return 0


def settings(arguments: list[str]) -> dict[str, int]:
    """`key=value` words over DEFAULTS."""
    options = dict(DEFAULTS)
    for word in arguments:
        key, _, value = word.partition("=")
        if key not in DEFAULTS or not value.isdigit() or int(value) < 1 + (key in ("exits", "classes")):
            wanted = " ".join(f"{name}={number}" for name, number in DEFAULTS.items())
            raise ExitbenchError(f"exit_rules_sweep: expected whole numbers such as {wanted}, got {word!r}")
        options[key] = int(value)
    return options


def measure(options: dict[str, int]) -> tuple[dict[str, float], dict[str, float]]:
    """Median seconds of a sweep and of one replay, by rule."""
    trace, macs = synthetic(options["samples"], options["exits"], options["classes"])
    at = {rule.name: asked_thresholds(rule, trace, options["thresholds"]) for rule in RULES}
    sweeps: dict[str, list[float]] = {rule.name: [] for rule in RULES}
    replays: dict[str, list[float]] = {rule.name: [] for rule in RULES}
    for _ in track(range(options["rounds"]), "rounds", unit="round"):
        for rule in RULES:
            sweeps[rule.name].append(_seconds(lambda rule=rule: curve(rule, trace, macs, at[rule.name], "matthews")))
            replays[rule.name].append(_seconds(lambda rule=rule: trace_depths(rule, trace)))
    medians = [{name: statistics.median(times) for name, times in kind.items()} for kind in (sweeps, replays)]
    return medians[0], medians[1]


def synthetic(samples: int, exits: int, classes: int) -> tuple[Trace, torch.Tensor]:
    """A trace with a certainty, whose logits favour the label more with depth, and cumulative MACs (N, E)."""
    draw = torch.Generator().manual_seed(0)
    labels = torch.randint(0, classes, (samples,), generator=draw)
    right = torch.nn.functional.one_hot(labels, classes)[:, None]  # (N, 1, C)
    depth = torch.arange(1, exits + 1)
    logits = torch.randn(samples, exits, classes, generator=draw) * depth[:, None] ** 0.5 + right * depth[:, None] / 3
    extra = torch.randn(samples, exits, 1, generator=draw) + depth[:, None] / 6
    lengths = torch.randint(8, 64, (samples,), generator=draw)
    macs = lengths[:, None].double() * depth
    return Trace(logits, labels, lengths, extra=extra), macs


def asked_thresholds(rule: ThresholdPolicy, trace: Trace, count: int) -> torch.Tensor:
    """`count` thresholds evenly over all that separate this trace, even if the rule distinguishes fewer."""
    apart = thresholds(trace_signals(rule, trace), rule.rising, count)
    return torch.linspace(float(apart[0]), float(apart[-1]), count, dtype=torch.float64)


def _seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started
