"""Pixel search: the ball, the best kept, the samples left alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from attack_doubles import Pictures, pictures
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark import decide, forward, objectives
from benchmark.policies.confidence import Confidence
from benchmark.policies.patience import Patience
from benchmark.searches.pixels import PixelSearch, ball
from benchmark.types import EarlyExitModel, ExitbenchError, ImageSample, Objective, Perturbed, Policy

MODEL, POLICY = Pictures(), Confidence(0.6)


class Overstepping(PixelSearch):
    """A broken search: it answers twice the change it found."""

    def run(
        self, model: EarlyExitModel, policy: Policy, objective: Objective, samples: Sequence[ImageSample], seed: int
    ) -> Perturbed:  # type: ignore[override]
        made = super().run(model, policy, objective, samples, seed)
        wide = [
            replace(after, pixels=before.pixels + 2 * (after.pixels - before.pixels))
            for before, after in zip(samples, made.samples, strict=True)
        ]
        return replace(made, samples=wide)


def assert_bounds(before: Sequence[ImageSample], after: Sequence[ImageSample], epsilon: float) -> None:
    """Pixels in [0, 1] and exactly within epsilon, in double precision; shapes, labels and indices untouched."""
    for clean, found in zip(before, after, strict=True):
        assert (clean.index, clean.label, clean.pixels.shape) == (found.index, found.label, found.pixels.shape)
        assert float(found.pixels.min()) >= 0
        assert float(found.pixels.max()) <= 1
        assert float((found.pixels.double() - clean.pixels.double()).abs().max()) <= epsilon


def depths(samples: Sequence[ImageSample]) -> list[float]:
    with torch.no_grad():
        return decide.replay(POLICY, forward.all_exits(MODEL, MODEL.collate(samples))).double().tolist()


@settings(max_examples=20, deadline=None)
@given(
    epsilon=st.floats(1e-3, 1),
    step=st.floats(1e-3, 0.5),
    direction=st.sampled_from(["gradient", "random"]),
    seed=st.integers(0, 99),
)
def test_bounds_hold(epsilon: float, step: float, direction: str, seed: int):
    search = PixelSearch(epsilon, step, iterations=4, batch_size=5, direction=direction)
    samples = pictures(8)
    assert_bounds(samples, search.run(MODEL, POLICY, objectives.same, samples, seed).samples, epsilon)


def test_the_same_check_catches_a_search_that_oversteps():
    samples, search = pictures(8), Overstepping(epsilon=0.05, step=0.02)
    with pytest.raises(AssertionError):
        assert_bounds(samples, search.run(MODEL, POLICY, objectives.same, samples, 0).samples, 0.05)


@given(st.floats(0, 1, width=32), st.floats(1e-4, 1))
def test_ball_holds_exactly(pixel: float, epsilon: float):
    clean = torch.tensor([pixel])
    for bound in ball(clean, epsilon):
        assert 0 <= float(bound) <= 1
        assert float((bound.double() - clean.double()).abs()) <= epsilon


@pytest.mark.parametrize("direction", ["gradient", "random"])
def test_facts_are_true_and_never_shallower(direction: str):
    samples = pictures(24)
    made = PixelSearch(epsilon=0.05, direction=direction).run(MODEL, POLICY, objectives.same, samples, 0)
    assert made.facts["depth_before"] == depths(samples)
    assert made.facts["depth_after"] == depths(made.samples)
    assert all(after >= before for before, after in zip(depths(samples), depths(made.samples), strict=True))
    assert max(made.facts["changed"]) <= 0.05 + 1e-8  # measured in float32
    assert {len(column) for column in made.facts.values()} == {24}


@pytest.mark.parametrize(
    ("policy", "objective"), [(Patience(1), objectives.same), (POLICY, objectives.uniform)], ids=["same", "uniform"]
)
def test_the_gradient_goes_deeper_than_random_steps(policy: Policy, objective: Objective):
    guided, blind = (
        PixelSearch(epsilon=0.1, step=0.01, direction=direction).run(MODEL, policy, objective, pictures(24), 0).facts
        for direction in ("gradient", "random")
    )
    assert sum(guided["depth_after"]) > sum(blind["depth_after"]) >= sum(blind["depth_before"])


def test_samples_at_full_depth_cost_one_forward_and_stay():
    samples = pictures(6)
    made = PixelSearch().run(MODEL, Confidence(1.1), objectives.same, samples, 0)
    assert made.facts["queries"] == [1.0] * 6
    assert all(torch.equal(a.pixels, b.pixels) for a, b in zip(samples, made.samples, strict=True))
    assert made.facts["prediction_kept"] == [1.0] * 6


def test_no_more_forwards_than_promised_and_no_gradients_left():
    made = PixelSearch(iterations=3).run(MODEL, Confidence(0.0), objectives.same, pictures(6), 0)
    assert made.facts["queries"] == [5.0] * 6  # clean, three steps, and the last step's result
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
    [("epsilon", 0), ("epsilon", 1.1), ("epsilon", "8/255"), ("step", -1), ("iterations", 0), ("direction", "up")],
)
def test_arguments_outside_their_range(field: str, value: object):
    with pytest.raises(ExitbenchError, match=rf"search\.{field}: expected .*, got "):
        PixelSearch(**{field: value})  # type: ignore[arg-type]
