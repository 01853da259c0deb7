"""The `offline` scenario: all samples are there at once, and batches shrink as samples leave.

Where a model can set running samples aside (`types.StagedModel`), those of several batches go on together, so that
deep exits, which few samples reach, still run on full batches. Nothing that left is ever computed on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmark.engine.execute import run_early, run_full
from benchmark.policies.base import read_live
from benchmark.types import Batch, EarlyExitModel, Policy, StagedModel

WINDOW = 8  # batches whose samples may be regrouped, and which a round times together
MIN_LENGTH_RATIO = (
    0.85  # shortest over longest of what may be joined: more padding than that costs more than a full batch gains
)

Window = Sequence[Batch]


def sort_into_batches(lengths: Sequence[int], size: int) -> list[list[int]]:
    """Positions in batches of `size`, the longest together, so that batches hold little padding.

    Equal lengths keep their order; the last batch may be smaller.
    """
    order = sorted(range(len(lengths)), key=lambda position: -lengths[position])
    return [order[start : start + size] for start in range(0, len(order), size)]


def windows(batches: Sequence[Batch], refill: bool) -> list[Window]:
    """What is run, and timed, as one: neighbouring batches where they may be regrouped, else each batch alone."""
    step = WINDOW if refill else 1
    return [batches[start : start + step] for start in range(0, len(batches), step)]


@torch.inference_mode()
def full_window(model: EarlyExitModel, window: Window) -> list[Tensor]:
    """Logits (b, C) of the last exit for each batch."""
    return [run_full(model, batch) for batch in window]


@torch.inference_mode()
def early_window(model: EarlyExitModel, policy: Policy, window: Window, refill: bool = True) -> tuple[Tensor, Tensor]:
    """Answered logits (n, C) and exit depths (n,), in the order of the batches' rows."""
    if refill and len(window) > 1 and isinstance(model, StagedModel):
        return _RefilledRun(model, policy, window).run()
    parts = [run_early(model, policy, batch) for batch in window]
    return torch.cat([logits for logits, _ in parts]), torch.cat([depths for _, depths in parts])


@dataclass(frozen=True)
class _Group:
    """Samples that go on together: their positions (g,), what the model and what the rule remember of them.

    lengths (g,), on the processor wherever the rest is: 0 where nothing is ever padded.
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
    """One run over a window. Samples that an exit keeps wait there until as many as a full batch go on together."""

    def __init__(self, model: Any, policy: Policy, window: Window) -> None:
        self.model, self.policy, self.window = model, policy, window
        self.seen = read_live(policy, model)
        self.size = max(map(len, window))
        total, self.device = sum(map(len, window)), window[0].lengths.device
        self.depths = torch.full((total,), model.num_exits, device=self.device)
        self.answers = torch.empty(0)
        self.waiting: list[list[_Group]] = [[] for _ in range(model.num_exits)]  # by exits already computed

    def run(self) -> tuple[Tensor, Tensor]:
        """Answered logits (n, C) and exit depths (n,)."""
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
        """Compute exit `depth` for a group; those that stay wait behind it, and fill a batch or go on waiting."""
        columns, running = self.model.stage(group.running, depth)  # (g, C + X)
        logits = columns[:, : self.model.num_classes]
        if not len(self.answers):
            self.answers = logits.new_empty(len(self.depths), logits.shape[1])
        self.answers[group.positions] = logits  # those that go on are answered again
        if depth == self.model.num_exits:
            return
        stop, policy_state = self.policy.step(columns[:, self.seen], group.policy_state)
        rows = (~stop).nonzero().flatten()  # the one wait for the device
        if len(rows) < len(stop):
            self.depths[group.positions[stop]] = depth
        if not len(rows):
            return
        waiting = self.waiting[depth]
        staying = self._select(_Group(group.positions, running, policy_state, group.lengths), rows)
        while waiting and not _similar(staying.longest, waiting[0].longest):
            self._advance(self._next_batch(depth), depth + 1)
        waiting.append(staying)
        while sum(map(len, waiting)) >= self.size:
            self._advance(self._next_batch(depth), depth + 1)

    def _next_batch(self, depth: int) -> _Group:
        """At most a full batch of those that wait at an exit, first come first served."""
        taken, room, waiting = [], self.size, self.waiting[depth]
        while room and waiting:
            group = waiting.pop(0)
            if len(group) > room:
                rows = torch.arange(len(group), device=self.device)
                waiting.insert(0, self._select(group, rows[room:]))
                group = self._select(group, rows[:room])
            taken.append(group)
            room -= len(group)
        if len(taken) == 1:
            return taken[0]
        return _Group(
            torch.cat([one.positions for one in taken]),
            self.model.join([one.running for one in taken]),
            torch.cat([one.policy_state for one in taken]),
            torch.cat([one.lengths for one in taken]),
        )

    def _select(self, group: _Group, rows: Tensor) -> _Group:
        if len(rows) == len(group):
            return group
        running = self.model.select(group.running, rows)
        return _Group(group.positions[rows], running, group.policy_state[rows], group.lengths[rows.cpu()])


def _similar(one: int, other: int) -> bool:
    return min(one, other) >= MIN_LENGTH_RATIO * max(one, other)
