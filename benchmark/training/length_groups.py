"""Sampler that puts texts of similar length into one batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import Sampler


class LengthGroups(Sampler[int]):
    """Sample indices in random order, sorted by length within chunks of 50 batches; the batches are then shuffled.

    The Trainer's own sampler leaves the batches of a chunk sorted from long to short, so the lengths of consecutive
    steps are correlated. The order depends only on seed and epoch, so a resumed run repeats it.

    Args:
        lengths: tokens of each sample.
    """

    CHUNK = 50

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int = 0) -> None:
        self.lengths, self.batch_size, self.seed, self.epoch = lengths, batch_size, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the trainer before each epoch, from 0."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(1_000_003 * self.seed + self.epoch)
        order = torch.randperm(len(self.lengths), generator=generator).tolist()
        chunk = self.CHUNK * self.batch_size
        batches = []
        for start in range(0, len(order), chunk):
            part = sorted(order[start : start + chunk], key=self.lengths.__getitem__)
            batches += [part[n : n + self.batch_size] for n in range(0, len(part), self.batch_size)]
        odd = [batches.pop(n) for n in range(len(batches) - 1, -1, -1) if len(batches[n]) < self.batch_size]
        shuffled = [batches[n] for n in torch.randperm(len(batches), generator=generator).tolist()]
        # A short batch comes last; otherwise the trainer would cut other batches from this order.
        yield from (position for batch in [*shuffled, *odd] for position in batch)
