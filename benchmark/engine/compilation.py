"""Compiling before the clock: every stage in every shape that will be timed, and a count of what came too late."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException
from torch._dynamo.utils import counters

from benchmark.engine.placement import compile_stages
from benchmark.types import Batch, ExitbenchError
from benchmark.utils.progress import track

logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # it warns of a GPU that nobody asked for


def graph_count() -> int:
    """How many graphs torch has compiled in this process so far, those that it took from its disk included."""
    return counters["stats"]["unique_graphs"]


def needs_dynamic_shapes(batches: Sequence[Batch], shrinking: bool) -> bool:
    """Whether one compiled stage meets several shapes: batches that shrink, or texts of several lengths."""
    return shrinking or len({tuple(tuple(one.shape) for one in batch.inputs.values()) for batch in batches}) > 1


def compile_model(
    model: Any,
    batches: Sequence[Batch],
    runs: Sequence[Callable[[Any], Any]],
    units: Sequence[Any],
    *,
    shrinking: bool,
    synchronise: Callable[[], None] = lambda: None,
    backend: str = "inductor",
) -> dict[str, Any]:
    """Compile a model's stages in place by running everything once -> fields of `Latency`: compile_s and compiled.

    compile_s: what that took beyond running it again. runs, units: all that will be timed. shrinking: batches shrink.

    Raises:
        ExitbenchError: a stage that torch.compile cannot take whole, or not for all its shapes.
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
    facts = {
        "stages": stages,
        "dynamic": dynamic,
        "graphs": graph_count() - before,
        "graphs_from_disk": _from_disk() - from_disk,
    }
    return {"compile_s": max(0.0, seconds[0] - seconds[1]), "compiled": facts}


def compiled_late(before: int) -> list[str]:
    """Why not to trust a measurement in which graphs were compiled; `before` is what `graphs` said before it."""
    return [f"{graph_count() - before} graph(s) were compiled while the clock ran"] if graph_count() > before else []


def _from_disk() -> int:
    return counters["inductor"]["fxgraph_cache_hit"]


@contextmanager
def _compile_errors() -> Iterator[None]:
    """What torch.compile raises, as one line."""
    try:
        yield
    except FailOnRecompileLimitHit as error:
        raise ExitbenchError(
            "hardware.compiler: a stage needs more compiled forms than are allowed, one for each kind of input; "
            "try an eager profile such as hardware=cpu_1t"
        ) from error
    except TorchDynamoException as error:
        said = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise ExitbenchError(
            f"hardware.compiler: torch.compile cannot take a stage whole ({said[:200]}); "
            "try an eager profile such as hardware=cpu_1t"
        ) from error
