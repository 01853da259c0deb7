"""torch.compile, stage by stage, before anything is timed; and a check that nothing is compiled during timing."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypedDict, TypeVar

import torch
from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException
from torch._dynamo.utils import counters

from benchmark.engine.placement import compile_stages
from benchmark.types import Batch, EarlyExitModel, ExitbenchError
from benchmark.utils.progress import track

logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # it warns that no CUDA compiler is there

Unit = TypeVar("Unit")


class StageCounts(TypedDict):
    """How many stages were compiled, into how many graphs, and how many of these came from torch's cache on disk."""

    stages: int
    dynamic: bool
    graphs: int
    graphs_from_disk: int


class Compilation(TypedDict):
    """Fields of `Latency`."""

    compile_s: float
    compiled: StageCounts


def graph_count() -> int:
    """Number of graphs that torch has compiled in this process so far, including those loaded from its disk cache."""
    return counters["stats"]["unique_graphs"]


def needs_dynamic_shapes(batches: Sequence[Batch], shrinking: bool) -> bool:
    """Whether a stage sees inputs of several shapes: batches that shrink, or texts of several lengths."""
    return shrinking or len({tuple(tuple(one.shape) for one in batch.inputs.values()) for batch in batches}) > 1


def compile_model(
    model: EarlyExitModel,
    batches: Sequence[Batch],
    runs: Sequence[Callable[[Unit], object]],
    units: Sequence[Unit],
    *,
    shrinking: bool,
    synchronise: Callable[[], None] = lambda: None,
    backend: str = "inductor",
) -> Compilation:
    """Compile a model's stages in place by running everything once; returns how long it took and what was compiled.

    runs, units: everything that will be timed. shrinking: whether batches shrink. compile_s in the result: the time of
    the first run minus that of a second one.

    Raises:
        ExitbenchError: torch.compile cannot compile a stage as one graph, or not for all its shapes.
    """
    dynamic, before, from_disk = needs_dynamic_shapes(batches, shrinking), graph_count(), _from_disk()
    stages = compile_stages(model, dynamic, backend)
    seconds = []
    with _compile_errors(), torch.inference_mode():
        for again in (False, True):
            started = time.perf_counter()
            if not again:
                with track(model.exits(batches[0]), "compile", total=model.num_exits, unit="exit") as bar:
                    for _ in bar:
                        pass
            for run in runs:
                for unit in units:
                    run(unit)
            synchronise()
            seconds.append(time.perf_counter() - started)
    counts: StageCounts = {
        "stages": stages,
        "dynamic": dynamic,
        "graphs": graph_count() - before,
        "graphs_from_disk": _from_disk() - from_disk,
    }
    return {"compile_s": max(0.0, seconds[0] - seconds[1]), "compiled": counts}


def compiled_late(graphs: int) -> list[str]:
    """The reason to call a measurement unreliable if graphs were compiled during it; empty for none."""
    return [f"{graphs} graph(s) were compiled while the clock ran"] if graphs > 0 else []


def _from_disk() -> int:
    return counters["inductor"]["fxgraph_cache_hit"]


@contextmanager
def _compile_errors() -> Iterator[None]:
    """Turns the errors of torch.compile into one line for the user."""
    try:
        yield
    except (TorchDynamoException, FailOnRecompileLimitHit) as error:
        # Torch 2.6 has no error of its own for the limit.
        if isinstance(error, FailOnRecompileLimitHit) or "_limit reached" in str(error):
            raise ExitbenchError(
                "hardware.compiler: a stage needs more compiled forms than are allowed, one for each kind of input; "
                "try an eager profile such as hardware=cpu_1t"
            ) from error
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise ExitbenchError(
            f"hardware.compiler: torch.compile cannot take a stage whole ({reason[:200]}); "
            "try an eager profile such as hardware=cpu_1t"
        ) from error
