"""Pixel search: norm balls, the image kept, samples that need no attack."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import pytest
import torch
from attack_doubles import Pictures, pictures
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from benchmark.attacks import forward, objectives
from benchmark.attacks.pixels.norm_balls import Linf, linf_bounds
from benchmark.attacks.pixels.search import PixelSearch
from benchmark.policies import replay as exit_depths
from benchmark.policies.confidence import Confidence
from benchmark.policies.patience import Patience
from benchmark.types import Batch, EarlyExitModel, ExitbenchError, ImageSample, Objective, Perturbed, Policy

MODEL, POLICY = Pictures(), Confidence(0.6)


class Overstepping(PixelSearch):
    """A broken search: it returns twice the change it found."""

    def run(
        self, model: EarlyExitModel, policy: Policy, objective: Objective, samples: Sequence[ImageSample], seed: int
    ) -> Perturbed:  # type: ignore[override]
        result = super().run(model, policy, objective, samples, seed)
        wide = [
            replace(after, pixels=before.pixels + 2 * (after.pixels - before.pixels))
            for before, after in zip(samples, result.samples, strict=True)
        ]
        return replace(result, samples=wide)


def assert_bounds(
    before: Sequence[ImageSample], after: Sequence[ImageSample], epsilon: float, norm: str = "linf"
) -> None:
    """Pixels in [0, 1] and exactly within epsilon, in double precision; shapes, labels and indices unchanged."""
    for clean, perturbed in zip(before, after, strict=True):
        assert (clean.index, clean.label, clean.pixels.shape) == (
            perturbed.index,
            perturbed.label,
            perturbed.pixels.shape,
        )
        assert float(perturbed.pixels.min()) >= 0
        assert float(perturbed.pixels.max()) <= 1
        change = (perturbed.pixels.double() - clean.pixels.double()).flatten()
        assert float(change.abs().max() if norm == "linf" else change.norm()) <= epsilon


def depths(samples: Sequence[ImageSample]) -> list[float]:
    with torch.no_grad():
        return exit_depths.replay(POLICY, forward.all_exits(MODEL, MODEL.collate(samples))).double().tolist()


@settings(max_examples=30, deadline=None)
@given(
    epsilon=st.floats(1e-7, 1),
    step=st.floats(1e-3, 0.5),
    norm=st.sampled_from(["linf", "l2"]),
    keep=st.sampled_from(["deepest", "loss", "last"]),
    direction=st.sampled_from(["gradient", "random"]),
    seed=st.integers(0, 99),
)
def test_bounds_hold(epsilon: float, step: float, norm: str, keep: str, direction: str, seed: int):
    search = PixelSearch(epsilon, norm, step, "cosine", 4, 2, keep, batch_size=5, direction=direction)
    samples = pictures(8)
    assert_bounds(samples, search.run(MODEL, POLICY, objectives.same, samples, seed).samples, epsilon, norm)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_same_check_catches_a_search_that_oversteps(norm: str):
    samples, search = pictures(8), Overstepping(epsilon=0.05, norm=norm, step=0.02)
    with pytest.raises(AssertionError):
        assert_bounds(samples, search.run(MODEL, POLICY, objectives.same, samples, 0).samples, 0.05, norm)


def test_keeping_the_last_with_deepsloth_s_loss_is_deepsloth():
    """The released loop in a few lines: signs of the gradient of CE to uniform, summed over the internal exits."""
    samples, even = pictures(6), torch.full((6, 3), 1 / 3)
    search = PixelSearch(epsilon=0.1, step=0.02, iterations=7, keep="last")
    deepsloth = partial(objectives.uniform, weighted=False, last=False)
    result = search.run(MODEL, Confidence(0.0), deepsloth, samples, 3)
    clean = torch.stack([sample.pixels for sample in samples])
    noise = [Linf(clean, 0.1).random_step(random.Random(f"3/{sample.index}"), sample.pixels) for sample in samples]
    pixels = (clean + 0.02 * torch.stack(noise)).clamp(0, 1)
    for _ in range(7):
        pixels.requires_grad_()
        exits = list(MODEL.exits(Batch({"pixels": pixels}, torch.zeros(6, dtype=torch.long))))[:-1]
        loss = sum(F.cross_entropy(logits, even, reduction="sum") for logits in exits)
        (slope,) = torch.autograd.grad(loss, pixels)
        pixels = (pixels - 0.02 * slope.sign()).detach()
        pixels = pixels.maximum(clean - 0.1).minimum(clean + 0.1).clamp(0, 1)
    torch.testing.assert_close(torch.stack([sample.pixels for sample in result.samples]), pixels)


def test_an_attack_on_accuracy_moves_away_from_the_clean_answer():
    samples = pictures(24)
    search = PixelSearch(epsilon=0.2, step=0.02, keep="loss")
    flips = {
        objective: 24 - sum(search.run(MODEL, POLICY, objective, samples, 0).facts["prediction_kept"])
        for objective in (objectives.accuracy, objectives.accuracy_all, objectives.uniform)
    }
    assert flips[objectives.accuracy] >= 20
    assert flips[objectives.accuracy_all] > flips[objectives.uniform]


def test_trails_end_at_the_depth_found_and_never_fall():
    result = PixelSearch(epsilon=0.05, restarts=2).run(MODEL, POLICY, objectives.same, pictures(24), 0)
    for trail, *(before, after, queries) in zip(
        result.trails, *(result.facts[name] for name in ("depth_before", "depth_after", "queries")), strict=True
    ):
        assert trail[0] == (1, before)
        assert trail[-1][1] == after
        assert trail[-1][0] <= queries <= 63
        assert [depth for _, depth in trail] == sorted({depth for _, depth in trail})


def test_restarts_and_small_balls_go_no_shallower():
    one, three = (
        PixelSearch(epsilon=0.03, iterations=6, restarts=count).run(MODEL, POLICY, objectives.uniform, pictures(24), 0)
        for count in (1, 3)
    )
    assert all(a <= b for a, b in zip(one.facts["depth_after"], three.facts["depth_after"], strict=True))


@given(st.floats(0, 1, width=32), st.floats(1e-4, 1))
def test_limits_hold_exactly(pixel: float, epsilon: float):
    clean = torch.tensor([pixel])
    for bound in linf_bounds(clean, epsilon):
        assert 0 <= float(bound) <= 1
        assert float((bound.double() - clean.double()).abs()) <= epsilon


@pytest.mark.parametrize("direction", ["gradient", "random"])
def test_facts_are_true_and_never_shallower(direction: str):
    samples = pictures(24)
    result = PixelSearch(epsilon=0.05, direction=direction).run(MODEL, POLICY, objectives.same, samples, 0)
    assert result.facts["depth_before"] == depths(samples)
    assert result.facts["depth_after"] == depths(result.samples)
    assert all(after >= before for before, after in zip(depths(samples), depths(result.samples), strict=True))
    assert max(result.facts["changed"]) <= 0.05 + 1e-8  # measured in float32
    assert {len(column) for column in result.facts.values()} == {24}


@pytest.mark.parametrize(
    ("policy", "objective"), [(Patience(1), objectives.same), (POLICY, objectives.uniform)], ids=["same", "uniform"]
)
def test_the_gradient_goes_deeper_than_random_steps(policy: Policy, objective: Objective):
    guided, random_steps = (
        PixelSearch(epsilon=0.1, step=0.01, direction=direction).run(MODEL, policy, objective, pictures(24), 0).facts
        for direction in ("gradient", "random")
    )
    assert sum(guided["depth_after"]) > sum(random_steps["depth_after"]) >= sum(random_steps["depth_before"])


def test_samples_at_full_depth_cost_one_forward_and_stay():
    samples = pictures(6)
    result = PixelSearch().run(MODEL, Confidence(1.1), objectives.same, samples, 0)
    assert result.facts["queries"] == [1.0] * 6
    assert all(torch.equal(a.pixels, b.pixels) for a, b in zip(samples, result.samples, strict=True))
    assert result.facts["prediction_kept"] == [1.0] * 6


def test_no_more_forwards_than_promised_and_no_gradients_left():
    result = PixelSearch(iterations=3).run(MODEL, Confidence(0.0), objectives.same, pictures(6), 0)
    assert result.facts["queries"] == [5.0] * 6  # clean, three steps, and the last step's result
    assert all(parameter.grad is None for parameter in MODEL.parameters())


def test_a_sample_does_not_depend_on_its_batch():
    samples = pictures(9)
    one, many = (
        PixelSearch(epsilon=0.05, batch_size=size, iterations=5).run(MODEL, POLICY, objectives.same, samples, 4)
        for size in (1, 9)
    )
    assert all(torch.allclose(a.pixels, b.pixels) for a, b in zip(one.samples, many.samples, strict=True))


def test_a_model_that_resizes_is_refused():
    class Resizing(Pictures):
        def collate(self, samples):
            batch = super().collate(samples)
            return batch.with_inputs(pixels=batch.inputs["pixels"][..., :4])

    with pytest.raises(ExitbenchError, match=r"model\.collate: expected pixels of the sample's shape"):
        PixelSearch().run(Resizing(), POLICY, objectives.same, pictures(2), 0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epsilon", 0),
        ("epsilon", 1.1),
        ("norm", "l1"),
        ("schedule", "up"),
        ("restarts", 0),
        ("keep", "best"),
        ("epsilon", "8/255"),
        ("step", -1),
        ("iterations", 0),
        ("direction", "up"),
    ],
)
def test_arguments_outside_their_range(field: str, value: object):
    with pytest.raises(ExitbenchError, match=rf"search\.{field}: expected .*, got "):
        PixelSearch(**{field: value})  # type: ignore[arg-type]


def test_an_l2_ball_wider_than_all_images_is_refused():
    with pytest.raises(ExitbenchError, match=r"search\.epsilon: expected at most 5 in the L2 norm"):
        PixelSearch(epsilon=5.1, norm="l2").run(MODEL, POLICY, objectives.same, pictures(2), 0)
