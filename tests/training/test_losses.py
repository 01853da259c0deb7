"""How exits are taught: distillation spares its teacher, certainty learns what is right, joints name who is taught."""

import pytest
import torch
from torch.nn import functional as F

from benchmark.training import losses
from benchmark.types import ExitbenchError


def answers(exits: int = 3, count: int = 5) -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(count, 3, requires_grad=True) for _ in range(exits)]


LABELS = torch.tensor([0, 1, 2, 1, 0])


def test_distillation_teaches_the_others_and_not_the_teacher():
    logits = answers()
    *students, _ = losses.distilled(logits, LABELS)
    sum(students).backward()
    assert logits[-1].grad is None
    assert all(one.grad.abs().sum() > 0 for one in logits[:-1])
    # A student that answers as the teacher does has nothing to learn.
    same = losses.distilled([logits[-1].detach(), logits[-1]], LABELS)
    assert same[0] == pytest.approx(0, abs=1e-6)


def test_distillation_is_its_formula_and_without_share_cross_entropy():
    logits = answers()
    for one, plain in zip(losses.distilled(logits, LABELS, share=0.0), losses.exit_losses(logits, LABELS), strict=True):
        torch.testing.assert_close(one, plain)
    teacher, student = (logits[-1] / 3).softmax(-1), (logits[0] / 3).softmax(-1)
    divergence = (teacher * (teacher / student).log()).sum(-1).mean()
    expected = 0.9 * 9 * divergence + 0.1 * F.cross_entropy(logits[0], LABELS)
    torch.testing.assert_close(losses.distilled(logits, LABELS, share=0.9, temperature=3.0)[0], expected)
    for wrong in ({"share": 1.5}, {"temperature": 0.0}):
        with pytest.raises(ExitbenchError, match=r"recipe\.each"):
            losses.distilled(logits, LABELS, **wrong)


def test_certainty_is_least_where_it_knows_what_is_right():
    logits = answers()[0].detach()
    right = logits.argmax(-1) == LABELS
    knows = torch.where(right, 20.0, -20.0)
    assert losses.certainty_loss(knows, logits, LABELS) < 1e-6
    assert losses.certainty_loss(-knows, logits, LABELS) > 0.99
    assert losses.certainty_loss(torch.zeros(5), logits, LABELS) == 0.25


def test_joints_name_who_is_taught():
    assert losses.trained_exits(losses.plain_sum, 4) == [True] * 4
    assert losses.trained_exits(losses.depth_weighted, 4) == [True] * 4
    assert losses.trained_exits(losses.last_only, 4) == [False, False, False, True]
    assert losses.trained_exits(losses.all_but_last, 4) == [True, True, True, False]
    assert losses.trained_exits(lambda losses: torch.tensor(1.0, requires_grad=True), 2) == [False, False]
