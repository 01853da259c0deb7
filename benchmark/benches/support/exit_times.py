"""Milliseconds to each exit of one model by input length, measured in one process, and a policy's own time beside."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch

from benchmark.benches.support.runtime_ways import ready
from benchmark.benches.support.setup import load_family
from benchmark.config.compose import build, compose
from benchmark.engine.execute import run_early, run_full
from benchmark.models.fixed_exit import FixedExit
from benchmark.policies.base import ThresholdPolicy
from benchmark.policies.replay import trace_depths
from benchmark.run.trace_cache import traced
from benchmark.timing.rounds import Run
from benchmark.timing.side_by_side import Times, time_side_by_side
from benchmark.timing.timed_section import timed_section
from benchmark.types import Batch, Hardware, StagedModel
from benchmark.utils.library_logging import silence_libraries

TURNS = 5  # of the table and the samples, so that both see the same drift of the machine
SAMPLES = 10  # that the table is made of


class ExitTimes(NamedTuple):
    """One process's times, milliseconds: to_exit and alone (L, E), and early exit's and full depth's mean on samples.

    lengths, depths (n,): of the timed samples; the rule's exits, for a prediction of those means.
    """

    weights: str
    grid: list[int]
    to_exit: Any
    alone: Any
    lengths: list[int]
    depths: list[int]
    early_ms: float
    full_ms: float


def measure(name: str, profile: str, samples: int, batch: int, seconds: float, process: int) -> ExitTimes:
    """Everything that one process measures of one model; called in a fresh process."""
    silence_libraries()
    hardware: Hardware = build(compose("config", [f"hardware={profile}"]).hardware)
    torch.set_num_threads(hardware.threads)
    one = load_family(name, samples)
    trace = traced(one.model, one.samples, 64, "cpu", "float32", "trace")
    rows = _spread(trace.lengths.tolist())
    grid = sorted({int(trace.lengths[row]) for row in rows})
    units = [_repeated(one.batches[row], batch) for row in rows]
    exits, weights = range(1, one.model.num_exits + 1), str(one.model.weights_hash)
    placed = ready(one.model, one, hardware)
    ways: dict[str, Run] = {f"to {exit}": partial(run_early, placed, UpTo(one.policy, exit)) for exit in exits}
    if isinstance(one.model, StagedModel):
        ways |= {f"alone {exit}": partial(run_full, ready(FixedExit(one.model, exit).eval(), one, hardware))
                 for exit in exits}  # fmt: skip
    tables: list[Times] = []
    lives: list[Times] = []
    own: dict[str, Run] = {"early": partial(run_early, placed, one.policy), "full": partial(run_full, placed)}
    with timed_section(hardware) as (clock, headline, _), torch.inference_mode():
        share = seconds / 2 / TURNS
        for turn in range(TURNS):
            seed = TURNS * process + turn
            tables.append(time_side_by_side(ways, units, clock, headline, share, seed=seed))
            lives.append(time_side_by_side(own, one.batches, clock, headline, share, 1, seed=seed))
    middle, live = _medians(tables), _medians(lives)
    middle = {way: _by_length(found, [int(trace.lengths[row]) for row in rows]) for way, found in middle.items()}
    to_exit = np.stack([middle[f"to {exit}"] for exit in exits], 1)
    alone = np.stack([middle.get(f"alone {exit}", middle[f"to {exit}"]) for exit in exits], 1)
    early_ms, full_ms = (float(live[way].mean()) for way in ("early", "full"))
    depths = trace_depths(one.policy, trace).tolist()
    return ExitTimes(weights, grid, to_exit, alone, trace.lengths.tolist(), depths, early_ms, full_ms)


class UpTo:
    """An exit rule that computes another one's step and stops every sample at one exit all the same."""

    name: ClassVar[str] = "up_to"

    def __init__(self, policy: ThresholdPolicy, exit: int) -> None:
        self.policy, self.exit, self.passed = policy, exit, 0
        self.reads, self.threshold = policy.reads, policy.threshold

    def start(self, size: int, device: str) -> torch.Tensor:
        """The rule's own state."""
        self.passed = 0
        return self.policy.start(size, device)

    def step(self, logits: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The rule's own step, its decision replaced."""
        self.passed += 1
        stop, state = self.policy.step(logits, state)
        return torch.full_like(stop, self.passed >= self.exit), state


def _medians(turns: Sequence[Times]) -> dict[str, Any]:
    """Median milliseconds of each unit (n,) by way, over all turns."""
    return {way: np.median(np.concatenate([turn[way] for turn in turns], 1), axis=1) for way in turns[0]}


def _spread(lengths: list[int]) -> list[int]:
    """Rows of the samples to time: some pictures, or texts from the shortest to the longest."""
    order = sorted(range(len(lengths)), key=lambda row: lengths[row])
    return sorted({order[round(place)] for place in np.linspace(0, len(order) - 1, SAMPLES)})


def _by_length(values: Any, lengths: list[int]) -> Any:
    """Means (L,) of values (n,) of samples of the same length, by growing length."""
    found = np.array(lengths)
    return np.array([values[found == length].mean() for length in sorted(set(lengths))])


def _repeated(one: Batch, count: int) -> Batch:
    """A batch of one sample repeated."""
    inputs = {name: value.repeat(count, *[1] * (value.dim() - 1)) for name, value in one.inputs.items()}
    return Batch(inputs, one.lengths.repeat(count))
