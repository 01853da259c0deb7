"""Upper bound of the realized speed-up: matrix products timed alone. One thread, batch 1.

`exitbench bench products models=dvt_fashion,dvt_cifar10,minilm_exits samples=12 rounds=15`. Each stage of each sample
runs as it is, and beside it the products, convolutions and attention it executes are run by themselves on the same
tensors; medians over the rounds, CPU clock, random order. Few rows make a product slow for its MACs: an exit on a small
grid has its share of the MACs at more than that share of the time, whatever the engine around it. `ceiling` is the
`realized` of the products alone at the model's default rule and threshold, `stages` that of the whole stages; the
exit rule itself is in neither.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from benchmark.benches.support.setup import CPU, Family, load_family, parse_options
from benchmark.cost.macs import cost, table
from benchmark.cost.matrix_products import Call, products_of, run_in_order
from benchmark.engine.execute import run_early
from benchmark.hardware.profiles import applied
from benchmark.timing.timed_section import host_lock
from benchmark.types import Batch
from benchmark.utils.progress import track

DEFAULTS = {"models": "dvt_fashion,dvt_cifar10,minilm_exits", "samples": 12, "rounds": 15, "seed": 0}


class Shares(NamedTuple):
    """Cumulative to each exit (E,), as shares of the last: MACs, time of whole stages, time of their products."""

    macs: list[float]
    stages: list[float]
    products: list[float]


def main(arguments: list[str]) -> int:
    """Print the shares by exit, and a row per model.

    Raises:
        ExitbenchError: an argument that is not one of DEFAULTS; a model that is not there.
    """
    options = parse_options("products", DEFAULTS, arguments)
    random.seed(options["seed"])
    for name in options["models"].split(","):
        one = load_family(name, options["samples"], options["seed"])
        with applied(CPU), host_lock():
            stages, products = _times(one, options["rounds"])
        _report(name, one, stages, products)
    return 0


@torch.inference_mode()
def _times(one: Family, rounds: int) -> tuple[list[list[float]], list[list[float]]]:
    """Median seconds of each sample (n) and stage (E), whole and of its products alone."""
    whole = [_stages(one.model, batch) for batch in one.batches]
    alone = [[run_in_order(products_of(stage)) for stage in stages] for stages in whole]
    for calls in (*whole, *alone):  # warm-up
        for call in calls:
            call()
    times: dict[Call, list[float]] = {call: [] for calls in (*whole, *alone) for call in calls}
    for _ in track(range(rounds), "rounds", unit="round"):
        for call in random.sample(list(times), len(times)):
            started = time.process_time_ns()
            call()
            times[call].append((time.process_time_ns() - started) / 1e9)
    middle = {call: statistics.median(values) for call, values in times.items()}
    return [[middle[call] for call in calls] for calls in whole], [[middle[call] for call in calls] for calls in alone]


def _stages(model: Any, batch: Batch) -> list[Call]:
    """Each stage of one sample alone, on the output of the stages before; the first includes `begin`."""
    running = model.begin(batch)
    calls: list[Call] = [lambda: model.stage(model.begin(batch), 1)]
    for depth in range(1, model.num_exits):
        running = model.stage(running, depth)[1]
        calls.append(lambda running=running, depth=depth: model.stage(running, depth + 1))
    return calls


def shares(seconds: Sequence[Sequence[float]]) -> list[float]:
    """Seconds (n, E) by stage -> cumulative over stages, summed over samples, as shares of the last (E,)."""
    total = torch.tensor(seconds, dtype=torch.float64).sum(0).cumsum(0)
    return (total / total[-1]).tolist()


def speedup(seconds: Sequence[Sequence[float]], depths: Sequence[int]) -> float:
    """Total over total: full depth against exits at depths (n,) in 1 … E, from seconds (n, E) by stage."""
    left = sum(sum(row[:depth]) for row, depth in zip(seconds, depths, strict=True))
    return sum(sum(row) for row in seconds) / left


def _report(name: str, one: Family, stages: list[list[float]], products: list[list[float]]) -> None:
    depths = [int(run_early(one.model, one.policy, batch)[1]) for batch in one.batches]
    lengths = torch.tensor([int(batch.lengths[0]) for batch in one.batches])
    macs = table(cost(one.model, lengths.tolist()), lengths).double()  # (n, E)
    of_macs = (macs.sum(0) / macs.sum(0)[-1]).tolist()
    found = Shares(of_macs, shares(stages), shares(products))
    print(f"\n{name}: share of full depth at each exit, cumulative")
    for label, row in found._asdict().items():
        print(f"  {label:10}" + "".join(f"{value:8.3f}" for value in row))
    whole, ceiling = (speedup(seconds, depths) / one.mac_speedup for seconds in (stages, products))
    print(
        f"  leaving at {statistics.mean(depths):.2f} of {one.model.num_exits} exits in the mean: "
        f"MACs x{one.mac_speedup:.2f}, stages {whole:.2f}, ceiling {ceiling:.2f}"
    )
