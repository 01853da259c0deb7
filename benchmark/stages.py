"""A staged model as the generator of exits that every model is."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from torch import Tensor

from benchmark.types import Batch


def staged_exits(model: Any, batch: Batch) -> Generator[Tensor, Tensor | None, None]:
    """`EarlyExitModel.exits` of a model that is a `StagedModel` as well."""
    running = model.begin(batch)
    for depth in range(1, model.num_exits + 1):
        columns, running = model.stage(running, depth)
        keep = yield columns
        if keep is not None and depth < model.num_exits:
            running = model.select(running, keep)
