"""The ways in which `bench runtimes` runs one model: runtimes times full depth, early exit and static rivals."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from benchmark.benches.support.setup import Family, load_family
from benchmark.config.compose import build, compose
from benchmark.engine.execute import run_early, run_full
from benchmark.engine.placement import place
from benchmark.hardware.profiles import applied
from benchmark.models.fixed_exit import FixedExit
from benchmark.policies.calibration.static_exit import early_score, exit_scores, static_exit
from benchmark.records import metrics
from benchmark.run.trace_cache import traced
from benchmark.timing.rounds import Run
from benchmark.timing.side_by_side import time_side_by_side
from benchmark.timing.timed_section import timed_section
from benchmark.timing.timed_task import TimedTask, compile_placed
from benchmark.types import ExitbenchError, Hardware
from benchmark.utils.library_logging import silence_libraries

RUNTIMES = {"torch": "eager", "compile": "inductor", "onnxruntime": "onnxruntime"}
FULL, EARLY, STATIC, TWIN, WHOLE = "full", "early", "static", "twin", "whole"


class Facts(NamedTuple):
    """What does not depend on the clock; scores are on the whole test split. None where there is no such rival."""

    model: str
    metric: str
    mac_speedup: float  # of the timed samples
    early_score: float
    full_score: float
    static_exit: int | None
    static_score: float | None
    twin_score: float | None
    differ: int  # timed samples whose answer or exit is not eager torch's, over all runtimes


class Measured(NamedTuple):
    """What one process measured: facts, and milliseconds (n, m) by "runtime way"."""

    facts: Facts
    times: dict[str, Any]


class WholeGraph(FixedExit):
    """All exits in one stage: the logits of every exit side by side, as one graph without a break between stages."""

    def stage(self, running: Any, depth: int) -> tuple[Tensor, Any]:
        """See `StagedModel`."""
        found = []
        for before in range(1, self.exit + 1):
            columns, running = self.model.stage(running, before)
            found.append(columns)
        return torch.cat(found, 1), running


def measure(name: str, runtimes: Sequence[str], samples: int, threads: int, seconds: float, process: int) -> Measured:
    """Everything that one process measures of one model; called in a fresh process."""
    silence_libraries()
    torch.set_num_threads(threads)
    one = load_family(name, samples)
    twin = _twin(name)
    fixed = None if one.calibration is None else static_exit(one.policy, one.calibration, _metric(one))
    ways: dict[str, Run] = {}
    for runtime in runtimes:
        hardware = Hardware(runtime, "cpu", "float32", threads, RUNTIMES[runtime])
        with applied(hardware):
            ways |= _ways(one, runtime, hardware, fixed, twin)
    differ = _differ(one, runtimes, ways)
    hardware = Hardware("side by side", "cpu", "float32", threads)
    with timed_section(hardware) as (clock, headline, _), torch.inference_mode():
        times = time_side_by_side(ways, one.batches, clock, headline, seconds, seed=process)
    return Measured(_facts(name, one, fixed, twin, differ), times)


def _ways(one: Family, runtime: str, hardware: Hardware, fixed: int | None, twin: Any) -> dict[str, Run]:
    placed = ready(one.model, one, hardware)
    ways: dict[str, Run] = {
        FULL: partial(run_full, placed),
        EARLY: partial(run_early, placed, one.policy),
    }
    if fixed is not None:
        ways[STATIC] = partial(run_full, ready(FixedExit(one.model, fixed).eval(), one, hardware))
    if twin is not None:
        ways[TWIN] = partial(run_full, ready(twin, one, hardware))
    if hardware.compiler == "onnxruntime":
        ways[WHOLE] = partial(run_full, ready(WholeGraph(one.model, one.model.num_exits).eval(), one, hardware))
    return {f"{runtime} {way}": run for way, run in ways.items()}


def ready(model: Any, one: Family, hardware: Hardware) -> Any:
    """The model on a runtime, compiled for the batches that will be timed."""
    placed = place(model, hardware)
    if hardware.compiler != "eager":
        compile_placed(placed, TimedTask(one.policy, one.samples, hardware), one.batches, [[b] for b in one.batches])
    return placed


def _differ(one: Family, runtimes: Sequence[str], ways: dict[str, Run]) -> int:
    """How many timed samples leave at another exit or with another answer than in eager torch, in some runtime."""
    found = set()
    for row, batch in enumerate(one.batches):
        logits, depth = run_early(one.model, one.policy, batch)
        for runtime in runtimes:
            other, other_depth = _pair(ways[f"{runtime} {EARLY}"](batch))
            if int(other.argmax()) != int(logits.argmax()) or int(other_depth) != int(depth):
                found.add(row)
    return len(found)


def _pair(answer: Any) -> tuple[Tensor, Tensor]:
    return answer


def _facts(name: str, one: Family, fixed: int | None, twin: Any, differ: int) -> Facts:
    assert one.dataset is not None
    test = traced(one.model, one.dataset.test, 64, "cpu", "float32", "trace test")
    alone = exit_scores(test, _metric(one))
    own = None if twin is None else traced(twin, one.dataset.test, 64, "cpu", "float32", "trace twin")
    return Facts(
        name,
        metrics.metric_name(_metric(one)),
        one.mac_speedup,
        early_score(one.policy, test, _metric(one)),
        alone[-1],
        fixed,
        None if fixed is None else alone[fixed - 1],
        None if own is None else exit_scores(own, _metric(one))[-1],
        differ,
    )


def _metric(one: Family) -> Any:
    assert one.dataset is not None
    return one.dataset.metric


def _twin(name: str) -> Any:
    """The static twin of a cascade, `<name>_static`; None where no yaml of that name exists."""
    try:
        configured = compose("config", [f"model={name}_static"]).model
    except ExitbenchError:
        return None
    return build(configured).eval()
