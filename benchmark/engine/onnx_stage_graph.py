"""One stage of a staged model as an ONNX graph: which arrays go in, and how its outputs become what runs after it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from benchmark.engine import onnx_graphs
from benchmark.types import Batch, ExitbenchError


@dataclass(frozen=True, eq=False)
class Started:
    """What runs of a batch before exit 1: the batch as collated, since the first graph begins with it."""

    batch: Batch


class Lengths:
    """Stands for `Batch.lengths` during export, where `begin` may ask how many there are and whether they differ."""

    def __init__(self, single: bool) -> None:
        self._count = 1 if single else 2

    def __len__(self) -> int:
        return self._count

    def min(self) -> int:
        """Shorter than any text, so that a batch of several lengths counts as padded."""
        return 0


@dataclass(frozen=True)
class StageGraph:
    """One exported stage: its file, names of its inputs, and how its outputs become what runs after it.

    sources: for each array of the next state, the number of an output of the graph, or −1 − i for input i as it is,
    or None where there is none. spec: the structure of the next state; None after the last exit.
    """

    path: Path
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    sources: tuple[int | None, ...]
    spec: Any


def is_unpadded(batch: Batch) -> bool:
    """Whether nothing of a batch is padded."""
    return len(batch) == 1 or int(batch.lengths.min()) == int(batch.lengths.max())


def input_arrays(batch: Batch) -> list[Tensor]:
    return list(batch.inputs.values())


class Stage:
    """One stage of a model as a function from arrays to arrays, by an example of what runs before it."""

    def __init__(self, model: Any, running: Any, depth: int) -> None:
        self.model, self.depth = model, depth
        if isinstance(running, Started):
            self.batch: Batch | None = running.batch
            self.leaves, self.spec = pytree.tree_flatten(input_arrays(running.batch))
            self.names = tuple(running.batch.inputs)
            self.single = is_unpadded(running.batch)
        else:
            self.batch = None
            self.leaves, self.spec = pytree.tree_flatten(running)
            self.names = tuple(f"carried_{n}" for n, leaf in enumerate(self.leaves) if leaf is not None)
            self.single = False
        self.free_axes = 9 if model.kind == "text" else 1  # texts differ in length, images do not
        self.arrays = [_widened(leaf) for leaf in self.leaves if leaf is not None]
        fixed = [one.dim() if self.free_axes > 1 else tuple(one.shape[1:]) for one in self.arrays]
        absent = [leaf is None for leaf in self.leaves]
        self.shapes = [self.single, absent, [str(one.dtype) for one in self.arrays], fixed]
        with torch.inference_mode(False), torch.no_grad():
            self.after = self._run(*self.arrays)[1]
        self.sources, self.next_spec = self._followed()
        self.outputs = ("columns", *(f"next_{n}" for n, s in enumerate(self.sources) if s is not None and s >= 0))

    def _run(self, *arrays: Tensor) -> tuple[Tensor, Any]:
        if self.batch is not None:
            inputs = dict(zip(self.names, arrays, strict=True))
            lengths: Any = Lengths(self.single)
            return self.model.stage(self.model.begin(Batch(inputs, lengths)), self.depth)
        given = iter(arrays)
        leaves = [None if leaf is None else next(given) for leaf in self.leaves]
        return self.model.stage(pytree.tree_unflatten(leaves, self.spec), self.depth)

    def _followed(self) -> tuple[tuple[int | None, ...], Any]:
        if self.depth == self.model.num_exits:
            return (), None
        leaves, spec = pytree.tree_flatten(self.after)
        sources: list[int | None] = []
        outputs = 0
        for leaf in leaves:
            same = next((n for n, one in enumerate(self.arrays) if one is leaf), None)
            if leaf is None or same is not None:
                sources.append(None if leaf is None else -1 - int(same or 0))
            elif isinstance(leaf, Tensor):
                outputs += 1
                sources.append(outputs)
            else:
                raise ExitbenchError(
                    f"hardware.compiler: stage {self.depth}: expected tensors in what runs after it, "
                    f"got {type(leaf).__name__}"
                )
        return tuple(sources), spec

    def export(self, path: Path) -> None:
        def function(*arrays: Tensor) -> tuple[Tensor, ...]:
            columns, after = self._run(*arrays)
            leaves = pytree.tree_flatten(after)[0] if self.sources else []
            handed_on = [
                leaf for leaf, source in zip(leaves, self.sources, strict=True) if source is not None and source >= 0
            ]
            return (columns, *handed_on)

        onnx_graphs.export(
            self.model, function, self.arrays, (self.names, self.outputs), path,
            free_axes=self.free_axes, what=f"stage {self.depth}",
        )  # fmt: skip

    def described(self, path: Path) -> StageGraph:
        return StageGraph(path, self.names, self.outputs, self.sources, self.next_spec)

    def handed_on(self) -> dict[str, str]:
        """Name of each input of the next stage -> the output or input of this one that it is."""
        return {
            f"carried_{n}": self.outputs[source] if source >= 0 else self.names[-1 - source]
            for n, source in enumerate(self.sources)
            if source is not None
        }


def _widened(array: Tensor) -> Tensor:
    """The same array with at least two rows, since a size of 1 would be taken as fixed; its second axis differs."""
    rows = 3 if array.dim() > 1 and array.shape[1] == 2 else 2
    with torch.inference_mode(False):
        return array[:1].repeat(rows, *[1] * (array.dim() - 1)).clone()
