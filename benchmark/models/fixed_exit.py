"""A model cut off behind one exit, with the heads of the exits before it left out: early exit's static rival."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from torch import Tensor, nn

from benchmark.cost.macs import count
from benchmark.models.layers.staged import staged_exits
from benchmark.types import Batch, ExitbenchError, StagedModel


class FixedExit(nn.Module):
    """The network up to exit `exit` of a staged model, with that one exit; it shares the model's weights.

    A model with a method `advance(running, depth)`, a stage without its head, skips the heads of the exits before.
    Without one they are computed in eager torch; exporters and compilers drop them, as no output depends on them.

    Raises:
        ExitbenchError: a model that is not a `StagedModel` of torch modules; an exit that it does not have.
    """

    num_exits = 1

    def __init__(self, model: Any, exit: int) -> None:
        super().__init__()
        if not isinstance(model, nn.Module) or not isinstance(model, StagedModel):
            raise ExitbenchError(
                f"fixed exit: expected a torch module with begin, stage, select and join, got {type(model).__name__}; "
                "see docs/add_model.md"
            )
        self.model: Any = model
        if not 1 <= exit <= self.model.num_exits:
            raise ExitbenchError(f"fixed exit: expected an exit from 1 to {self.model.num_exits}, got {exit}")
        self.exit = exit
        self.num_classes: int = self.model.num_classes
        self.kind: str = self.model.kind
        self.extra_columns: int = getattr(model, "extra_columns", 0)
        self.settings = {**getattr(model, "settings", {}), "fixed_exit": exit}
        self._skips = hasattr(model, "advance")
        self.weights_hash: str = getattr(model, "weights_hash", "untrained")

    def collate(self, samples: Sequence[Any]) -> Batch:
        """See `EarlyExitModel`."""
        return self.model.collate(samples)

    def probe(self, length: int) -> Batch:
        """See `EarlyExitModel`."""
        return self.model.probe(length)

    def exits(self, batch: Batch) -> Generator[Tensor, Tensor | None, None]:
        """See `EarlyExitModel.exits`: one exit."""
        return staged_exits(self, batch)

    def begin(self, batch: Batch) -> Any:
        """See `StagedModel`."""
        return self.model.begin(batch)

    def stage(self, running: Any, depth: int) -> tuple[Tensor, Any]:
        """See `StagedModel`: everything up to the exit."""
        for before in range(1, self.exit):
            running = self.model.advance(running, before) if self._skips else self.model.stage(running, before)[1]
        return self.model.stage(running, self.exit)

    def select(self, running: Any, rows: Tensor) -> Any:
        """See `StagedModel`."""
        return self.model.select(running, rows)

    def join(self, parts: Sequence[Any]) -> Any:
        """See `StagedModel`."""
        return self.model.join(parts)

    def closed_form_macs(self, length: int) -> tuple[int, ...]:
        """Counted, as no formula says which heads a model leaves out."""
        return count(self, length)
