"""Batches of like length: every sample once, the same order for the same seed and epoch, little padding."""

import torch

from benchmark.training.length_groups import LengthGroups

LENGTHS = torch.randint(1, 100, (997,), generator=torch.Generator().manual_seed(0)).tolist()


def padding(order: list[int], batch: int = 16) -> int:
    parts = [order[n : n + batch] for n in range(0, len(order), batch)]
    return sum(max(LENGTHS[i] for i in part) * len(part) - sum(LENGTHS[i] for i in part) for part in parts)


def test_every_sample_comes_once_with_little_padding():
    order = list(LengthGroups(LENGTHS, 16))
    assert sorted(order) == list(range(997))
    assert padding(order) < 0.1 * padding(list(range(997)))


def test_order_depends_on_seed_and_epoch_alone():
    groups = LengthGroups(LENGTHS, 16, seed=1)
    first = list(groups)
    torch.randn(5)
    assert list(groups) == first
    assert list(LengthGroups(LENGTHS, 16, seed=2)) != first
    groups.set_epoch(1)
    second = list(groups)
    assert second != first
    groups.set_epoch(0)
    assert list(groups) == first


def test_lengths_of_neighbouring_batches_are_unrelated():
    order = list(LengthGroups(LENGTHS, 16))
    means = torch.tensor([LENGTHS[i] for i in order[:992]]).double().view(-1, 16).mean(1)
    assert abs(float(torch.corrcoef(torch.stack([means[:-1], means[1:]]))[0, 1])) < 0.4
    # The library's order, long to short, is what this would catch.
    falling = means.sort(descending=True).values
    assert float(torch.corrcoef(torch.stack([falling[:-1], falling[1:]]))[0, 1]) > 0.9
