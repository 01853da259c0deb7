"""A staged model whose stages run in ONNX Runtime: one session per stage, with the loop over exits outside the graphs.

`StageSessions` is a `types.StagedModel`, so early exit, compaction and regrouping work on it as on the torch model.
A stage is exported when it is first called and kept in the cache, so run everything once before timing it.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from benchmark.engine import onnx_graphs
from benchmark.engine.onnx_stage_graph import Stage, StageGraph, Started, input_arrays, is_unpadded
from benchmark.types import Batch, EarlyExitModel, ExitbenchError, StagedModel
from benchmark.utils.cache import cached_folder
from benchmark.utils.files import sha256_file
from benchmark.utils.identity import content_hash, model_identity

CACHED = "stage.onnx"
SOURCES = [Path(__file__).parents[1] / "models", Path(__file__).parent]  # what decides what a graph computes


class StageSessions:
    """A staged torch model, run stage by stage by ONNX Runtime on this processor.

    quantise: int8 matrix products by ONNX Runtime's dynamic quantiser. threads: of one operator; operators run one
    after another. Waiting threads spin unless OMP_WAIT_POLICY is PASSIVE, as torch's own do.

    Raises:
        ExitbenchError: a model that is not a `StagedModel` of torch modules, or a package that is missing.
    """

    def __init__(self, model: EarlyExitModel, threads: int = 1, quantise: bool = False) -> None:
        if not isinstance(model, nn.Module):
            raise ExitbenchError(
                f"hardware.compiler: onnxruntime wants a torch module to export, got {type(model).__name__}"
            )
        if not isinstance(model, StagedModel):
            raise ExitbenchError(
                f"hardware.compiler: onnxruntime wants a model with begin, stage, select and join, which "
                f"{type(model).__name__} lacks; see docs/add_model.md"
            )
        self.model: Any = model
        self.versions = onnx_graphs.versions()
        self.num_exits, self.num_classes, self.kind = model.num_exits, model.num_classes, model.kind
        self.extra_columns: int = getattr(model, "extra_columns", 0)
        self.collate, self.probe, self.closed_form_macs = model.collate, model.probe, model.closed_form_macs
        self.threads, self.quantise = threads, quantise
        self.spinning = threads > 1 and os.environ.get("OMP_WAIT_POLICY", "").upper() != "PASSIVE"
        self.exported, self.loaded = 0, 0
        self._facts: dict[str, Any] = {}
        self._sessions: dict[tuple[Any, ...], tuple[StageGraph, Any]] = {}

    def exits(self, batch: Batch) -> Generator[Tensor, Tensor | None, None]:
        """See `EarlyExitModel.exits`."""
        running: Any = self.begin(batch)
        for depth in range(1, self.num_exits + 1):
            columns, running = self.stage(running, depth)
            keep = yield columns
            if keep is not None and depth < self.num_exits:
                running = self.select(running, keep)

    def begin(self, batch: Batch) -> Started:
        """See `StagedModel`."""
        return Started(batch)

    def stage(self, running: Any, depth: int) -> tuple[Tensor, Any]:
        """See `StagedModel`; what runs after the last exit is None."""
        key: tuple[Any, ...]
        if isinstance(running, HandedOn):
            arrays, key = running.arrays, (depth, running.absent)
        elif isinstance(running, Started):
            batch = running.batch
            arrays, key = _numpy(input_arrays(batch)), (1, is_unpadded(batch), tuple(batch.inputs))
        else:
            leaves = pytree.tree_flatten(running)[0]
            arrays = _numpy([leaf for leaf in leaves if leaf is not None])
            key = (depth, tuple(leaf is None for leaf in leaves))
        found = self._sessions.get(key)
        if found is None:
            found = self._sessions[key] = self._load(_torch(running), depth)
        graph, session = found
        feeds = {name: one for name, one in zip(graph.inputs, arrays, strict=False) if name}
        try:
            results = session.run(None, feeds)
        except Exception as error:  # onnxruntime's own classes are not public
            reason = " ".join(str(error).split())[:300]
            raise ExitbenchError(f"hardware.compiler: stage {depth} fails in ONNX Runtime: {reason}") from error
        return torch.from_numpy(results[0]), None if graph.spec is None else HandedOn(graph, results, arrays)

    def select(self, running: Any, rows: Tensor) -> Any:
        """See `StagedModel`; by the torch model."""
        return self.model.select(_torch(running), rows)

    def join(self, parts: Sequence[Any]) -> Any:
        """See `StagedModel`; by the torch model."""
        return self.model.join([_torch(part) for part in parts])

    def counts(self) -> dict[str, Any]:
        """What a record says of its graphs: how many, how many of them from the cache, and how they are run."""
        return {
            "stages": self.num_exits,
            "graphs": self.loaded,
            "graphs_from_disk": self.loaded - self.exported,
            "runtime": f"onnxruntime {self.versions['onnxruntime']}",
            "spinning": self.spinning,
        }

    def bytes(self) -> int:
        """Size of the files of the graphs that were loaded, one for each stage."""
        files = {key[0]: graph.path for key, (graph, _) in self._sessions.items()}
        return sum(file.stat().st_size for path in files.values() for file in path.parent.glob("stage.onnx*"))

    def graph(self, running: Any, depth: int) -> StageGraph:
        """The exported graph of a stage, from the cache or made now. running: an example of what runs before it."""
        stage = Stage(self.model, running, depth)
        facts = self._facts = self._facts or {
            **model_identity(self.model), "versions": self.versions, "code": _code_hash(),
        }  # fmt: skip
        name = f"onnx/{content_hash([facts, depth, stage.names, stage.shapes])[:24]}"

        def build(folder: Path) -> None:
            self.exported += 1
            stage.export(folder / CACHED)

        self.loaded += 1
        if not self.quantise:
            return stage.described(cached_folder(name, build) / CACHED)

        def quantised(folder: Path) -> None:
            onnx_graphs.quantise_int8(cached_folder(name, build) / CACHED, folder / CACHED)

        return stage.described(cached_folder(f"{name}-int8", quantised) / CACHED)

    def _load(self, running: Any, depth: int) -> tuple[StageGraph, Any]:
        graph = self.graph(running, depth)
        session = open_session(graph.path, self.threads, self.spinning)
        used = {one.name for one in session.get_inputs()}
        graph = StageGraph(
            graph.path, tuple(name if name in used else "" for name in graph.inputs), graph.outputs, graph.sources,
            graph.spec,
        )  # fmt: skip
        return graph, session


def open_session(path: Path, threads: int, spinning: bool) -> Any:
    """A session on this processor: all optimisations, operators one after another."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3  # errors
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning)))
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


@functools.cache
def _code_hash() -> str:
    """The sources of models and exporter: graphs made by other ones are made again."""
    files = [path for folder in SOURCES for path in sorted(folder.rglob("*.py"))]
    return content_hash([sha256_file(path) for path in files])


def prepare(model: StageSessions, runs: Sequence[Callable[[Any], object]], units: Sequence[Any]) -> dict[str, Any]:
    """Export and load all stages by running everything once, before the clock; fields of `Latency`.

    compile_s: the time of the first run minus that of a second one.
    """
    seconds = []
    for _ in range(2):
        started = time.perf_counter()
        with torch.inference_mode():
            for run in runs:
                for unit in units:
                    run(unit)
        seconds.append(time.perf_counter() - started)
    return {"compile_s": max(0.0, seconds[0] - seconds[1]), "compiled": model.counts(), "weight_bytes": model.bytes()}


class HandedOn:
    """What one session hands on to the next: arrays, made into the torch model's own state only to select or to join.

    At one small image, making that state costs a tenth of a stage.
    """

    def __init__(self, graph: StageGraph, results: Sequence[Any], inputs: Sequence[Any]) -> None:
        self._graph, self._results, self._inputs = graph, results, inputs
        self.absent = tuple(source is None for source in graph.sources)
        self.arrays = [self._array(source) for source in graph.sources if source is not None]

    def _array(self, source: int) -> Any:
        return self._results[source] if source >= 0 else self._inputs[-1 - source]

    def state(self) -> Any:
        """The same as the torch model's state."""
        given = iter(self.arrays)
        leaves = [None if absent else torch.from_numpy(next(given)) for absent in self.absent]
        return pytree.tree_unflatten(leaves, self._graph.spec)


def _torch(running: Any) -> Any:
    return running.state() if isinstance(running, HandedOn) else running


def _numpy(arrays: Sequence[Tensor]) -> list[Any]:
    return [one.numpy() for one in arrays]
