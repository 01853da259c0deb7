"""Objectives against the released functions' values, and against their definitions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from benchmark.attacks import objectives
from benchmark.types import ExitbenchError

COPIED = Path(__file__).parent / "same_objective_few.json"
SHARED = Path(__file__).parents[3] / "shared" / "reference" / "same_objective.json"


def close_to_released(path: Path, lam: float = 0.8) -> int:
    """How many cases of a file `same` matches; raises at the first it misses."""
    cases = json.loads(path.read_text())["cases"]
    for case in cases:
        logits = torch.tensor([case["logits"]], requires_grad=True)  # (1, E, C)
        depth = torch.tensor([case["exit_depth"]])
        weights = objectives.exit_weights(depth, case["num_exits"])
        loss = objectives.same(logits, depth, lam)
        (slope,) = torch.autograd.grad(loss.sum(), logits)
        got = [
            objectives.cross_prediction(logits, weights),
            objectives.uniform_cross_entropy(logits, weights),
            loss,
            slope.norm(),
        ]
        wanted = [case[name] for name in ("cross_prediction", "uniform", "total", "grad_norm")]
        assert [float(value.detach()) for value in got] == pytest.approx(wanted, abs=1e-5, rel=1e-5)
    return len(cases)


def test_same_matches_the_released_values_kept_here():
    assert close_to_released(COPIED) == 5


def test_a_wrong_lam_is_seen_by_the_same_check():
    with pytest.raises(AssertionError):
        close_to_released(COPIED, lam=0.7)


@pytest.mark.skipif(not SHARED.exists(), reason="the full reference file is not beside this checkout")
def test_same_matches_all_released_values():
    assert close_to_released(SHARED) == 23


def test_samples_of_a_batch_do_not_meet():
    torch.manual_seed(0)
    logits, depth = torch.randn(7, 5, 3), torch.randint(1, 6, (7,))
    for objective in (objectives.same, objectives.uniform, objectives.accuracy, objectives.accuracy_all):
        together = objective(logits, depth)
        alone = torch.cat([objective(logits[n : n + 1], depth[n : n + 1]) for n in range(7)])
        assert together.shape == (7,)
        torch.testing.assert_close(together, alone)


@pytest.mark.parametrize(
    ("depth", "weights"),
    [(2, [0.1, 1, 1.2, 1.44]), (1, [1, 1.2, 1.44, 1.728]), (4, [0.1, 0.1, 0.1, 1])],
)
def test_importance(depth: int, weights: list[float]):
    assert objectives.exit_weights(torch.tensor([depth]), 4)[0].tolist() == pytest.approx(weights)


def ranked(first: list[int], second: list[int], classes: int) -> torch.Tensor:
    """Logits (1, E, C) with these best and second-best classes."""
    logits = torch.zeros(1, len(first), classes)
    for exit_, (best, next_) in enumerate(zip(first, second, strict=True)):
        logits[0, exit_, next_], logits[0, exit_, best] = 1, 2
    return logits


def test_cross_targets():
    assert objectives.cross_targets(ranked([0, 0, 1, 1], [1, 1, 0, 0], 2)).tolist() == [[0, 1, 1, 0]]
    assert objectives.cross_targets(ranked([0, 0, 0, 0], [1, 1, 1, 1], 3)).tolist() == [[0, 1, 1, 1]]


def test_lam_mixes_the_two_halves():
    logits, depth = torch.randn(3, 4, 3), torch.tensor([1, 2, 4])
    weights = objectives.exit_weights(depth, 4)
    torch.testing.assert_close(objectives.same(logits, depth, lam=0), objectives.uniform(logits, depth))
    torch.testing.assert_close(objectives.same(logits, depth, lam=1), objectives.cross_prediction(logits, weights))


def test_uniform_with_unit_weights_and_without_the_last_exit_is_deepsloth():
    logits = torch.randn(5, 4, 3)
    even = torch.full((5, 3), 1 / 3)
    deepsloth = sum(F.cross_entropy(logits[:, exit_], even, reduction="none") for exit_ in range(3))
    ours = objectives.uniform(logits, torch.ones(5, dtype=torch.long), weighted=False, last=False)
    torch.testing.assert_close(ours * 3 * 3, deepsloth)  # ours is the mean over 3 exits, divided by 3 classes


def test_uniform_is_least_where_every_exit_is_unsure():
    flat, sure = torch.zeros(1, 3, 2), torch.tensor([[[4.0, 0.0]] * 3])
    depth = torch.tensor([1])
    assert objectives.uniform(flat, depth) < objectives.uniform(sure, depth)


def test_accuracy_falls_as_the_answer_loses_its_certainty():
    sure, unsure = torch.tensor([[[0.0, 1.0], [3.0, 0.0]]]), torch.tensor([[[0.0, 1.0], [0.5, 0.0]]])
    depth = torch.tensor([1])
    assert objectives.accuracy(unsure, depth) < objectives.accuracy(sure, depth)
    assert objectives.accuracy_all(unsure, depth) < objectives.accuracy_all(sure, depth)


@pytest.mark.parametrize("lam", [-0.1, 1.1, "0.8", True, float("nan")])
def test_lam_outside_its_range(lam: object):
    with pytest.raises(ExitbenchError, match=r"objective\.lam: expected a number from 0 to 1, got"):
        objectives.same(torch.zeros(1, 2, 2), torch.tensor([1]), lam)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(2, 2), (1, 3, 1)])
def test_shapes_that_do_not_fit(shape: tuple[int, ...]):
    with pytest.raises(ExitbenchError, match="logits: expected"):
        objectives.same(torch.zeros(shape), torch.tensor([1]))
    with pytest.raises(ExitbenchError, match="exit_depth: expected"):
        objectives.same(torch.zeros(2, 2, 2), torch.tensor([1]))
