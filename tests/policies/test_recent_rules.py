"""The rules of 2023 to 2025: each against its definition by hand, at the ends where it becomes another, and broken."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.policies.beem import AgreeingExperts
from benchmark.policies.confidence import Confidence
from benchmark.policies.flexible_patience import FlexiblePatience
from benchmark.policies.product_anytime import ProductAnytime
from benchmark.policies.replay import replay, signals
from benchmark.types import ExitbenchError

many = given(seed=st.integers(0, 10_000))
few_examples = settings(max_examples=15, deadline=None)


def case(seed: int, exits: int = 6, classes: int = 3, n: int = 40) -> torch.Tensor:
    """Logits (N, E, C) in double precision that drift from exit to exit, so that neighbours often agree."""
    draw = torch.Generator().manual_seed(seed)
    steps = torch.randn(n, exits, classes, generator=draw, dtype=torch.float64)
    return steps.cumsum(1)


def distances_by_hand(row: list[list[float]]) -> list[float]:
    """Jensen–Shannon divergences of neighbouring exits, from the definition by Kullback and Leibler."""

    def kl(p, q):
        return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))

    found = []
    for p, q in itertools.pairwise(row):
        middle = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
        found.append(kl(p, middle) / 2 + kl(q, middle) / 2)
    return found


def counted(row: list[list[float]], limit: float, patience: int) -> int:
    """The exit by the paper's counter: one more where the distance is below the limit, else 0."""
    count = 0
    for depth, distance in enumerate(distances_by_hand(row), 2):
        count = count + 1 if distance < limit else 0
        if count == patience:
            return depth
    return len(row)


def wrong_exits(rule: FlexiblePatience, logits: torch.Tensor) -> int:
    wanted = [counted(row, rule.threshold, rule.patience) for row in logits.softmax(-1).tolist()]
    return int((replay(rule, logits) != torch.tensor(wanted)).sum())


@many
@few_examples
def test_flexible_patience_counts_similar_exits_in_a_row(seed):
    logits = case(seed)
    for patience in (1, 2, 4):
        for limit in (0.01, 0.1, 0.4):
            assert wrong_exits(FlexiblePatience(limit, patience), logits) == 0
        assert (replay(FlexiblePatience(1.0, patience), logits) == min(patience + 1, 6)).all()  # above ln 2
        assert (replay(FlexiblePatience(0.0, patience), logits) == 6).all()
    assert (replay(FlexiblePatience(1.0, 9), logits) == 6).all()


def test_equal_exits_have_distance_zero_and_opposite_ones_ln_2():
    sure = torch.tensor([[[50.0, 0.0]] * 2 + [[0.0, 50.0]]])
    assert signals(FlexiblePatience(0.1), sure)[0].tolist() == pytest.approx([math.inf, 0, math.log(2)])


class NeverResets(FlexiblePatience):
    """A broken double: similar exits need not follow each other."""

    def signal(self, logits, state):
        distances = state[:, : self.patience]
        _, after = super().signal(logits, state)
        kept = torch.cat([distances, after[:, self.patience - 1 : self.patience]], 1).sort(1).values
        after = torch.cat([kept[:, : self.patience], after[:, self.patience :]], 1)
        return after[:, : self.patience].amax(-1), after


def test_a_counter_that_never_resets_is_caught():
    assert wrong_exits(NeverResets(0.1, 2), case(0)) > 0


def sums_by_hand(row: list[list[float]]) -> list[float]:
    found: list[float] = []
    for depth, p in enumerate(row):
        agrees = depth > 0 and p.index(max(p)) == row[depth - 1].index(max(row[depth - 1]))
        found.append(max(p) + (found[-1] if agrees else 0))
    return found


def wrong_sums(rule: AgreeingExperts, logits: torch.Tensor) -> int:
    wanted = torch.tensor([sums_by_hand(row) for row in logits.softmax(-1).tolist()], dtype=torch.float64)
    return int(((signals(rule, logits) - wanted).abs() > 1e-5).sum())


@many
@few_examples
def test_agreeing_confidences_add_up_and_others_start_again(seed):
    logits = case(seed)
    assert wrong_sums(AgreeingExperts(0.0), logits) == 0
    assert (replay(AgreeingExperts(1 / 3), logits) == 1).all()
    assert (replay(AgreeingExperts(6.01), logits) == 6).all()
    for threshold in (0.5, 0.8, 1.0):
        assert (replay(AgreeingExperts(threshold), logits) <= replay(Confidence(threshold), logits)).all()


class AddsUpAll(AgreeingExperts):
    """A broken double: exits that disagree add up too."""

    def signal(self, logits, state):
        confidence = logits.softmax(-1).amax(-1)
        total = confidence + state[:, 1].to(confidence.dtype)
        return total, torch.stack([state[:, 0], total.to(state.dtype)], 1)


def test_experts_that_add_up_without_agreeing_are_caught():
    assert wrong_sums(AddsUpAll(0.0), case(0)) > 0


def products_by_hand(logits: torch.Tensor, experts: str) -> torch.Tensor:
    """Largest probability (N, E) of the normalised products, multiplied out."""
    each = logits.softmax(-1) if experts == "softmax" else logits.clamp(min=0)
    product = each.cumprod(1)
    total = product.sum(-1, keepdim=True)
    return torch.where(total > 0, product / total.clamp(min=1e-300), logits.softmax(-1)).amax(-1)


def wrong_products(rule: ProductAnytime, logits: torch.Tensor) -> int:
    return int(((signals(rule, logits) - products_by_hand(logits, rule.experts)).abs() > 1e-9).sum())


@many
@few_examples
def test_a_product_of_experts_is_multiplied_out(seed):
    logits = case(seed)
    for experts in ("softmax", "relu"):
        assert wrong_products(ProductAnytime(0.5, experts), logits) == 0
    depth = replay(ProductAnytime(0.9), logits)
    first = logits[:, :1]
    assert torch.equal(replay(ProductAnytime(0.9), first), replay(Confidence(0.9), first))
    same = first.expand(-1, 6, -1)  # exits that repeat themselves make the product surer
    assert (signals(ProductAnytime(0.9), same).diff(dim=1) >= -1e-12).all()
    assert depth.min() >= 1


def test_relu_experts_that_leave_no_class_fall_back_to_the_exit():
    nothing = torch.tensor([[[-1.0, -2.0], [3.0, 1.0]]])
    wanted = signals(Confidence(0.5), nothing)
    assert torch.equal(signals(ProductAnytime(0.5, "relu"), nothing), wanted)


class ForgetsEarlierExits(ProductAnytime):
    """A broken double: the last two exits only."""

    def signal(self, logits, state):
        signal, _ = super().signal(logits, state)
        return signal, logits.log_softmax(-1)


def test_a_product_that_forgets_is_caught():
    assert wrong_products(ForgetsEarlierExits(0.5), case(0)) > 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FlexiblePatience(0.5, patience=0), "whole number of exits from 1"),
        (lambda: FlexiblePatience(0.5, patience=1.5), "whole number of exits from 1"),
        (lambda: ProductAnytime(0.5, experts="votes"), "expected one of softmax, relu"),
        (lambda: AgreeingExperts(math.nan), "got nan"),
    ],
)
def test_impossible_knobs_are_one_line(make, message):
    with pytest.raises(ExitbenchError, match=message):
        make()
