"""Linear weights laid out anew are the same weights: to values, checkpoints, hashes and answers."""

from __future__ import annotations

import copy

import pytest
import torch
from safetensors.torch import load_file, save_model
from small_models import FAMILIES
from torch import nn

from benchmark.engine.execute import run_full
from benchmark.engine.placement import _transpose_storage, place
from benchmark.models.pretrained.weights import load_weights, save_weights
from benchmark.types import Hardware

EAGER = Hardware("cpu_1t", "cpu", "float32", 1)
both = pytest.mark.parametrize("family", FAMILIES)


def linears(model):
    return [one for one in model.modules() if type(one) is nn.Linear]


def layout(model):
    return [(one.weight.stride(), one.weight.data_ptr()) for one in linears(model)]


def same_weights(model, wanted) -> bool:
    """Whether a model holds exactly the tensors `wanted`, by name, shape and value."""
    held = model.state_dict()
    return held.keys() == wanted.keys() and all(
        held[name].shape == value.shape and torch.equal(held[name], value) for name, value in wanted.items()
    )


@both
def test_storage_turns_and_nothing_else(family):
    make, samples = FAMILIES[family]
    model = make()
    before, parameters = copy.deepcopy(model.state_dict()), [id(one) for one in model.parameters()]
    hash_before, batch = model.weights_hash, model.collate(samples(4))
    wanted = run_full(model, batch)
    assert place(model, EAGER) is model
    assert all(one.weight.t().is_contiguous() for one in linears(model))
    assert same_weights(model, before)
    assert [id(one) for one in model.parameters()] == parameters
    assert model.weights_hash == hash_before
    assert torch.allclose(run_full(model, batch), wanted, atol=1e-5)


def test_a_layout_that_changes_weights_is_caught():
    """The broken double turns the weight itself where it should turn its storage: no shape gives it away."""
    model = nn.Sequential(nn.Linear(6, 6))
    before = copy.deepcopy(model.state_dict())
    assert same_weights(_transpose_storage(copy.deepcopy(model), EAGER), before)
    broken = copy.deepcopy(model)
    broken[0].weight.data = broken[0].weight.data.t()
    assert not same_weights(broken, before)


@both
def test_twice_is_once(family):
    model = place(FAMILIES[family][0](), EAGER)
    before = layout(model)
    assert layout(place(model, EAGER)) == before  # not even a copy


def test_a_checkpoint_is_the_same_to_the_byte(tmp_path):
    model = FAMILIES["dvt"][0]()
    before = save_weights(model.trainable_state(), tmp_path / "before.safetensors")
    place(model, EAGER)
    assert save_weights(model.trainable_state(), tmp_path / "after.safetensors") == before
    save_model(model, str(tmp_path / "whole.safetensors"))
    assert same_weights(model, load_file(tmp_path / "whole.safetensors"))
    other = FAMILIES["dvt"][0](width=12)
    for parameter in other.parameters():
        parameter.data.zero_()
    place(other, EAGER)
    assert load_weights(other, str(tmp_path / "before.safetensors")) == before
    assert same_weights(other, model.state_dict())


@pytest.mark.parametrize(
    "hardware",
    [
        Hardware("compiled", "cpu", "float32", 1, "inductor"),
        Hardware("bf16", "cpu", "bfloat16", 1),
        Hardware("int8", "cpu", "float32", 1, quantise="int8_dynamic"),
    ],
    ids=lambda one: one.name,
)
def test_other_profiles_leave_the_callers_model_alone(hardware):
    model = FAMILIES["bert"][0]()
    before, state = layout(model), copy.deepcopy(model.state_dict())
    assert place(model, hardware) is not model
    assert layout(model) == before
    assert same_weights(model, state)


def test_off_the_processor_nothing_turns():
    model = FAMILIES["dvt"][0]()
    before = layout(model)
    _transpose_storage(model, Hardware("cuda", "cuda", "float32", 1))
    assert layout(model) == before


def test_a_model_that_is_no_module_is_left_as_it_is():
    class Bare:
        def to(self, device):
            return self

        def eval(self):
            return self

    bare = Bare()
    assert place(bare, EAGER) is bare
