"""Sampler that puts texts of similar length into one batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import Sampler


class LengthGroups(Sampler[int]):
    """Positions, shuffled, sorted by length within chunks of 50 batches, then the batches shuffled.

    The library's own sampler leaves each chunk's batches sorted from long to short, so that neighbouring steps see
    lengths that are anything but random. The order depends on seed and epoch alone, so a resumed run has the same.

    Args:
        lengths: of each sample, in tokens where padding is to be least.
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
        draw = torch.Generator().manual_seed(1_000_003 * self.seed + self.epoch)
        order = torch.randperm(len(self.lengths), generator=draw).tolist()
        chunk = self.CHUNK * self.batch_size
        batches = []
        for start in range(0, len(order), chunk):
            part = sorted(order[start : start + chunk], key=self.lengths.__getitem__)
            batches += [part[n : n + self.batch_size] for n in range(0, len(part), self.batch_size)]
        odd = [batches.pop(n) for n in range(len(batches) - 1, -1, -1) if len(batches[n]) < self.batch_size]
        shuffled = [batches[n] for n in torch.randperm(len(batches), generator=draw).tolist()]
        # A short batch comes last; otherwise the trainer would cut other batches from this order.
        yield from (position for batch in [*shuffled, *odd] for position in batch)
