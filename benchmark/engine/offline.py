"""The `offline` scenario (MLPerf's name): all samples are available at once, and batches shrink as samples exit.

If the model is a `types.StagedModel`, batches are refilled: samples of several batches continue together, so that deep
exits, which few samples reach, still run on full batches. Samples that have exited are never computed on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmark.engine.execute import run_early, run_full
from benchmark.policies.base import live_columns
from benchmark.types import Batch, EarlyExitModel, Policy, StagedModel

WINDOW = 8  # neighbouring batches whose samples may be regrouped; they are timed as one unit
MIN_LENGTH_RATIO = (
    0.85  # shortest over longest text in a refilled batch; below it, padding costs more than a full batch gains
)

Window = Sequence[Batch]


def sort_into_batches(lengths: Sequence[int], size: int) -> list[list[int]]:
    """Positions in batches of `size`, sorted from longest to shortest, so that batches hold little padding.

    Samples of equal length keep their order; the last batch may be smaller.
    """
    order = sorted(range(len(lengths)), key=lambda position: -lengths[position])
    return [order[start : start + size] for start in range(0, len(order), size)]


def windows(batches: Sequence[Batch], refill: bool) -> list[Window]:
    """The units that are run and timed: WINDOW neighbouring batches if they may be regrouped, else single batches."""
    step = WINDOW if refill else 1
    return [batches[start : start + step] for start in range(0, len(batches), step)]


@torch.inference_mode()
def full_window(model: EarlyExitModel, window: Window) -> list[Tensor]:
    """Logits (b, C) of the last exit for each batch."""
    return [run_full(model, batch) for batch in window]


@torch.inference_mode()
def early_window(model: EarlyExitModel, policy: Policy, window: Window, refill: bool = True) -> tuple[Tensor, Tensor]:
    """Logits (n, C) of the exits taken and exit depths (n,), in the order of the batches' rows."""
    if refill and len(window) > 1 and isinstance(model, StagedModel):
        return _RefilledRun(model, policy, window).run()
    parts = [run_early(model, policy, batch) for batch in window]
    return torch.cat([logits for logits, _ in parts]), torch.cat([depths for _, depths in parts])


@dataclass(frozen=True)
class _Group:
    """Samples that continue together: their positions (g,), the model's running state, and the policy's state.

    lengths (g,): on the CPU; 0 where inputs are never padded.
    """

    positions: Tensor
    running: Any
    policy_state: Tensor  # (g, …)
    lengths: Tensor

    @property
    def longest(self) -> int:
        return int(self.lengths.max())

    def __len__(self) -> int:
        return len(self.positions)


class _RefilledRun:
    """One run over a window. Samples that do not exit wait until there are enough of them for a full batch."""

    def __init__(self, model: Any, policy: Policy, window: Window) -> None:
        self.model, self.policy, self.window = model, policy, window
        self.columns_read = live_columns(policy, model)
        self.size = max(map(len, window))
        total, self.device = sum(map(len, window)), window[0].lengths.device
        self.depths = torch.full((total,), model.num_exits, device=self.device)
        self.answers = torch.empty(0)
        self.waiting: list[list[_Group]] = [[] for _ in range(model.num_exits)]  # by the number of exits computed

    def run(self) -> tuple[Tensor, Tensor]:
        """Logits (n, C) of the exits taken and exit depths (n,)."""
        start = 0
        for batch in self.window:
            positions = torch.arange(start, start + len(batch), device=self.device)
            policy_state = self.policy.start(len(batch), str(self.device))
            self._advance(_Group(positions, self.model.begin(batch), policy_state, batch.lengths.cpu()), 1)
            start += len(batch)
        for depth in range(1, self.model.num_exits):
            while self.waiting[depth]:
                self._advance(self._next_batch(depth), depth + 1)
        return self.answers, self.depths

    def _advance(self, group: _Group, depth: int) -> None:
        """Compute exit `depth` for a group; samples that do not exit join the queue, and full batches are run on."""
        columns, running = self.model.stage(group.running, depth)  # (g, C + X)
        logits = columns[:, : self.model.num_classes]
        if not len(self.answers):
            self.answers = logits.new_empty(len(self.depths), logits.shape[1])
        self.answers[group.positions] = logits  # overwritten by deeper exits
        if depth == self.model.num_exits:
            return
        stop, policy_state = self.policy.step(columns[:, self.columns_read], group.policy_state)
        rows = (~stop).nonzero().flatten()  # the only wait for the device
        if len(rows) < len(stop):
            self.depths[group.positions[stop]] = depth
        if not len(rows):
            return
        waiting = self.waiting[depth]
        remaining = self._select(_Group(group.positions, running, policy_state, group.lengths), rows)
        while waiting and not _similar(remaining.longest, waiting[0].longest):
            self._advance(self._next_batch(depth), depth + 1)
        waiting.append(remaining)
        while sum(map(len, waiting)) >= self.size:
            self._advance(self._next_batch(depth), depth + 1)

    def _next_batch(self, depth: int) -> _Group:
        """At most a full batch of the samples that wait after exit `depth`, in order of arrival."""
        batch, room, waiting = [], self.size, self.waiting[depth]
        while room and waiting:
            group = waiting.pop(0)
            if len(group) > room:
                rows = torch.arange(len(group), device=self.device)
                waiting.insert(0, self._select(group, rows[room:]))
                group = self._select(group, rows[:room])
            batch.append(group)
            room -= len(group)
        if len(batch) == 1:
            return batch[0]
        return _Group(
            torch.cat([group.positions for group in batch]),
            self.model.join([group.running for group in batch]),
            torch.cat([group.policy_state for group in batch]),
            torch.cat([group.lengths for group in batch]),
        )

    def _select(self, group: _Group, rows: Tensor) -> _Group:
        if len(rows) == len(group):
            return group
        running = self.model.select(group.running, rows)
        return _Group(group.positions[rows], running, group.policy_state[rows], group.lengths[rows.cpu()])


def _similar(length: int, other_length: int) -> bool:
    return min(length, other_length) >= MIN_LENGTH_RATIO * max(length, other_length)
