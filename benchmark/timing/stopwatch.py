"""The stopwatch: paired, interleaved rounds of full depth, early exit and a canary, which judge themselves."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from benchmark.engine import offline
from benchmark.engine.execute import run_early, run_full
from benchmark.timing import statistics as bootstrap
from benchmark.timing import summary
from benchmark.timing.rounds import Clock, ClockName, Observations, Runs, pass_order, run_round, warm_up
from benchmark.timing.timed_section import REAL_CLOCK, timed_section
from benchmark.types import Batch, EarlyExitModel, ExitbenchError, Hardware, Latency, Policy, StagedModel
from benchmark.utils.progress import track


@dataclass(frozen=True)
class Limits:
    """When to stop. Passes are whole: each sample is timed equally often.

    Two are always finished; another is begun only if it fits into what is left of `time_limit_s` seconds (warm-up
    included), so a limit too short for two is exceeded, and the record says that it was the limit that stopped it.
    """

    time_limit_s: float = 60.0
    min_passes: int = 3  # before the interval may stop it: a median of two is a mean, which one burst can move
    max_passes: int = 200
    half_width: float = 0.02  # relative, of what more rounds can still remove: bootstrap.repeat_half_width

    def __post_init__(self) -> None:
        seconds = self.time_limit_s
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0:
            raise ExitbenchError(f"timing.time_limit_s: expected seconds above 0, got {seconds!r}")
        if not 2 <= self.min_passes <= self.max_passes:
            raise ExitbenchError(
                f"min_passes, max_passes: expected 2 <= min <= max, got {self.min_passes} and {self.max_passes}"
            )


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
    """Time a model with and without early exit, one sample at a time (scenario `single_stream`).

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
        )
    return replace(found, noise=disturbed)


def read_one(answer: tuple[Any, Any]) -> tuple[int, int]:
    """What `run_early` says of one sample, logits (1, C) and depth (1,) -> prediction and exit depth."""
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

    batches: as for `stopwatch`, of any size. refill: let samples of several batches go on together, where the model
    can. Answers are in the order of the batches' rows. A sample has no latency of its own here, so percentiles are
    None; intervals allow for more rounds over the same set.
    """
    refill = refill and isinstance(model, StagedModel)
    units = offline.windows(batches, refill)
    samples = sum(map(len, batches))
    least = max(limits.min_passes, math.ceil(summary.FEWEST_SAMPLES / max(1, len(units))))
    limits = replace(limits, min_passes=least, max_passes=max(least, limits.max_passes))
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
    return replace(found, scenario="offline", batch=size, refilled=refill, noise=disturbed, **flat)


def measure(
    full: Callable[[Any], Any],
    early: Callable[[Any], Any],
    units: Sequence[Any],
    *,
    read: Callable[[Any], tuple[Any, Any]],
    canary: Callable[[Any], Any] | None = None,
    clock: Clock = REAL_CLOCK,
    headline: ClockName = "cpu",
    limits: Limits = DEFAULT_LIMITS,
    seed: int = 0,
    over: summary.Over = "samples",
    samples: int | None = None,
) -> Latency:
    """Time `early` against `full` on each unit, in rounds with a `canary` (another run of `full` unless given).

    read: makes (prediction, exit depth) of what `early` returned; called once per unit, outside the timed windows.
    headline: the clock `speedup`, the canary and the stop go by. over: what the intervals allow for.
    samples: how many samples all units hold, one each unless given. Raises ExitbenchError without units.
    """
    if not units:
        raise ExitbenchError("timing: expected at least one sample, got none")
    started = clock.wall()
    runs: Runs = (full, early, canary or full)
    answers, warmup_rounds, capped = warm_up(runs, units, clock, headline, limits.time_limit_s / 4)
    seen, stopped_by = _watch(runs, units, clock, headline, limits, started, seed, over)
    answered = [read(answer) for answer in answers]
    n = len(units) if samples is None else samples
    return Latency(
        scenario="single_stream",
        clock=headline,
        n=n,
        units=len(units),
        rounds=len(seen.sample_of),
        warmup_rounds=warmup_rounds,
        warmup_capped=capped,
        **summary.raw_observations(seen),
        **summary.summarise(seen, headline, seed, over),
        **summary.percentiles(seen, len(units) if over == "samples" else 0),
        **summary.throughput(seen, n),
        stopped_by=stopped_by,
        predictions=[prediction for prediction, _ in answered],
        exit_depths=[depth for _, depth in answered],
    )


def _watch(
    runs: Runs,
    units: Sequence[Any],
    clock: Clock,
    headline: ClockName,
    limits: Limits,
    started: int,
    seed: int,
    over: summary.Over,
) -> tuple[Observations, str]:
    """Whole passes until the interval is narrow enough, the time is up, or the passes are spent."""
    seen, rng = Observations(), np.random.default_rng(seed)
    with track((), "timing", total=limits.min_passes * len(units), unit="round") as bar:
        for passes in range(1, limits.max_passes + 1):
            pass_started = clock.wall()
            for sample, order in pass_order(len(units), rng):
                wall, cpu = run_round(runs, units[sample], order, clock)
                seen.sample_of.append(sample)
                seen.wall_ns.append(wall)
                seen.cpu_ns.append(cpu)
                bar.update()
            if passes >= limits.min_passes and _narrow(seen, headline, limits.half_width, seed, over):
                return seen, "interval"
            now = clock.wall()
            if passes >= 2 and (now - started) + (now - pass_started) > limits.time_limit_s * 1e9:
                return seen, "time_limit"
    return seen, "rounds"


def _narrow(seen: Observations, headline: ClockName, half_width: float, seed: int, over: summary.Over) -> bool:
    """Whether more rounds have little left to improve, in the speedup and in the canary.

    It looks at widths alone, never at where the canary's interval lies: that would be stopping on a wanted answer.
    """
    full, early, canary = seen.tables(headline)
    if summary.INTERVALS[over](full, canary, seed, draws=500).width > summary.CANARY_WIDTH:
        return False
    return bootstrap.repeat_half_width(full, early, seed) <= half_width
