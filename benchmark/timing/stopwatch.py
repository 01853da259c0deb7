"""The stopwatch: paired, interleaved rounds of full depth, early exit and a canary, in one process.

Several processes: `processes.time_in_processes`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor

from benchmark.engine import offline
from benchmark.engine.execute import run_early, run_full
from benchmark.timing import summary
from benchmark.timing.rounds import Clock, ClockName, Observations, Run, Runs, pass_order, run_round, warm_up
from benchmark.timing.timed_section import REAL_CLOCK, timed_section
from benchmark.types import Batch, EarlyExitModel, ExitbenchError, Hardware, Latency, Policy, StagedModel
from benchmark.utils.progress import track

Answer = tuple[Any, Any]  # prediction and exit depth of a sample, or lists of them of a window
Read = Callable[[Any], Answer]


@dataclass(frozen=True)
class Limits:
    """When to stop. Passes are whole: each sample is timed equally often.

    time_limit_s: of all processes together, warm-up and, with several, start-up included. Two passes in a single
    process, and one in each of several, are always finished. Another one is begun only if it fits into the time left,
    so a limit that is too short is exceeded, and the record says that it was the limit that stopped it.
    processes: fresh interpreters that each time all samples; the interval contains the variance between them.
    """

    time_limit_s: float = 60.0
    min_passes: int = 3  # of all processes, before precision may stop it: one burst can move a median of two
    max_passes: int = 200  # of one process
    half_width: float = 0.02  # relative: the noise of rounds that may be left in the speed-up
    processes: int = 1

    def __post_init__(self) -> None:
        seconds = self.time_limit_s
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0:
            raise ExitbenchError(f"timing.time_limit_s: expected seconds above 0, got {seconds!r}")
        if isinstance(self.processes, bool) or not isinstance(self.processes, int) or not 1 <= self.processes <= 100:
            raise ExitbenchError(f"timing.processes: expected a whole number from 1 to 100, got {self.processes!r}")
        if not 2 <= self.min_passes <= self.max_passes:
            raise ExitbenchError(
                f"min_passes, max_passes: expected 2 <= min <= max, got {self.min_passes} and {self.max_passes}"
            )

    @property
    def passes_before_precision(self) -> int:
        """Passes of one process before its precision may stop it."""
        return math.ceil(self.min_passes / self.processes)

    @property
    def passes_before_time(self) -> int:
        """Passes of one process before the time limit may stop it."""
        return 2 if self.processes == 1 else 1


DEFAULT_LIMITS = Limits()


def stopwatch(
    model: EarlyExitModel,
    policy: Policy,
    batches: Sequence[Batch],
    hardware: Hardware,
    *,
    limits: Limits = DEFAULT_LIMITS,
    seed: int = 0,
) -> Latency:
    """Time a model with and without early exit, one sample at a time (scenario `single_stream`, MLPerf's name).

    batches: collated batches of one sample, already on the device and in the dtype of `hardware`, as is the model.
    Waits while another timed run of this user is under way on this host. Raises ExitbenchError on larger batches.
    """
    if any(len(batch) != 1 for batch in batches):
        raise ExitbenchError(f"single_stream: expected batches of 1, got {sorted({len(b) for b in batches})}")
    with timed_section(hardware) as (clock, headline, disturbed):
        found = measure(
            partial(run_full, model),
            partial(run_early, model, policy),
            batches,
            read=read_one,
            clock=clock,
            headline=headline,
            limits=limits,
            seed=seed,
            warm_up_units=one_of_each_shape(batches),
        )
    return replace(found, noise=dict(disturbed))


def one_of_each_shape(batches: Sequence[Batch]) -> list[Batch]:
    """The first batch of each combination of input shapes: what a warm-up has to run, where nothing shrinks."""
    first: dict[Hashable, Batch] = {}
    for batch in batches:
        first.setdefault(tuple(tuple(tensor.shape) for tensor in batch.inputs.values()), batch)
    return list(first.values())


def read_one(answer: tuple[Tensor, Tensor]) -> tuple[int, int]:
    """Logits (1, C) and depth (1,) as `run_early` returns them for one sample -> prediction and exit depth."""
    return int(answer[0].argmax(-1)), int(answer[1])


def stopwatch_offline(
    model: EarlyExitModel,
    policy: Policy,
    batches: Sequence[Batch],
    hardware: Hardware,
    *,
    refill: bool = True,
    limits: Limits = DEFAULT_LIMITS,
    seed: int = 0,
) -> Latency:
    """Time whole sets (scenario `offline`): full depth against early exit over the same windows of the same batches.

    batches: as for `stopwatch`, of any size. refill: let samples of several batches continue together, if the model is
    a `StagedModel`. Answers are in the order of the batches' rows. A sample has no latency of its own here, so
    percentiles are None; intervals are those of timing the same set again.
    """
    refill = refill and isinstance(model, StagedModel)
    units = offline.windows(batches, refill)
    samples = sum(map(len, batches))
    passes = max(limits.min_passes, math.ceil(summary.FEWEST_SAMPLES / max(1, len(units))))
    limits = replace(limits, min_passes=passes, max_passes=max(passes, limits.max_passes))
    with timed_section(hardware) as (clock, headline, disturbed):
        found = measure(
            partial(offline.full_window, model),
            partial(offline.early_window, model, policy, refill=refill),
            units,
            read=lambda answer: (answer[0].argmax(-1).tolist(), answer[1].tolist()),
            clock=clock,
            headline=headline,
            limits=limits,
            seed=seed,
            over="rounds",
            samples=samples,
        )
    flat: dict[str, Any] = {
        name: [one for unit in getattr(found, name) for one in unit] for name in ("predictions", "exit_depths")
    }
    size = max(map(len, batches))
    return replace(found, scenario="offline", batch=size, refilled=refill, noise=dict(disturbed), **flat)


def measure(
    full: Run,
    early: Run,
    units: Sequence[object],
    *,
    read: Read,
    canary: Run | None = None,
    clock: Clock = REAL_CLOCK,
    headline: ClockName = "cpu",
    limits: Limits = DEFAULT_LIMITS,
    seed: int = 0,
    over: summary.Over = "samples",
    samples: int | None = None,
    warm_up_units: Sequence[object] | None = None,
) -> Latency:
    """Time `early` against `full` on each unit, in rounds with a `canary` (another run of `full` unless given).

    read: turns what `early` returned into (prediction, exit depth); called once per unit, outside the timed windows.
    headline: the clock for `speedup`, the canary and the stopping rule. over: what the intervals allow for.
    samples: how many samples all units hold, by default one each. warm_up_units: by default all units.

    Raises:
        ExitbenchError: no units.
    """
    if not units:
        raise ExitbenchError("timing: expected at least one sample, got none")
    started = clock.wall()
    runs: Runs = (full, early, canary or full)
    warm = units if warm_up_units is None else warm_up_units
    warmup_rounds, capped = warm_up(runs, warm, clock, headline, limits.time_limit_s / 4)
    observations, answers, stopped_by = _watch(runs, units, read, clock, headline, limits, started, seed, over)
    n = len(units) if samples is None else samples
    return Latency(
        scenario="single_stream",
        clock=headline,
        n=n,
        units=len(units),
        rounds=len(observations.sample_of),
        warmup_rounds=warmup_rounds,
        warmup_capped=capped,
        **summary.raw_observations(observations),
        **summary.summarise(observations, headline, seed, over),
        **summary.percentiles(observations, len(units) if over == "samples" else 0),
        **summary.throughput(observations, n),
        stopped_by=stopped_by,
        timed_s=(clock.wall() - started) / 1e9,
        predictions=[answers[unit][0] for unit in range(len(units))],
        exit_depths=[answers[unit][1] for unit in range(len(units))],
    )


def _watch(
    runs: Runs,
    units: Sequence[object],
    read: Read,
    clock: Clock,
    headline: ClockName,
    limits: Limits,
    started: int,
    seed: int,
    over: summary.Over,
) -> tuple[Observations, dict[int, Answer], str]:
    """Whole passes until the ratios are precise, the time is up, or the passes are spent; and the first answers."""
    observations, answers, rng = Observations(), {}, np.random.default_rng(seed)
    with track((), "timing", total=limits.passes_before_precision * len(units), unit="round") as bar:
        for passes in range(1, limits.max_passes + 1):
            pass_started = clock.wall()
            for sample, order in pass_order(len(units), rng):
                wall, cpu, answer = run_round(runs, units[sample], order, clock)
                observations.add(sample, wall, cpu)
                if passes == 1:
                    answers[sample] = read(answer)
                bar.update()
            if passes >= limits.passes_before_precision and _precise(observations, headline, limits, seed, over):
                return observations, answers, "interval"
            now = clock.wall()
            late = (now - started) + (now - pass_started) > limits.time_limit_s * 1e9
            if passes >= limits.passes_before_time and late:
                return observations, answers, "time_limit"
    return observations, answers, "rounds"


def _precise(observations: Observations, headline: ClockName, limits: Limits, seed: int, over: summary.Over) -> bool:
    if limits.processes > 1:
        return summary.is_precise_for(limits.processes, observations, headline, limits.half_width, seed, over)
    return summary.is_precise(observations, headline, limits.half_width, seed, over)
