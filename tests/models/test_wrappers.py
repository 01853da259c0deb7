"""Well-known wrappers come off weights and are named; of several sets of weights one is chosen, never guessed."""

import logging

import pytest
import torch
from safetensors.torch import save_file

from benchmark.models.dvt import build as build_dvt
from benchmark.models.pretrained.weights import check_state, load_weights, read_tensors, weights_id
from benchmark.models.pretrained.wrappers import split_choice, unwrapped
from benchmark.types import ExitbenchError

STATE = {"layer.weight": torch.ones(2, 2), "layer.bias": torch.zeros(2)}


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 2)


def prefixed(prefix, state=STATE):
    return {prefix + key: value for key, value in state.items()}


@pytest.mark.parametrize(
    "content",
    [STATE, {"state_dict": STATE}, {"model": STATE, "epoch": 3}, {"net": prefixed("module.")}, prefixed("_orig_mod."),
     {"state_dict": prefixed("module._orig_mod.")}, {"model": {"state_dict": STATE}}, {"model_state_dict": STATE},
     prefixed("model."), {"ema": STATE}],
    ids=lambda content: "+".join(content)[:40],
)  # fmt: skip
def test_wrappers_and_prefixes_come_off(content, tmp_path, caplog):
    torch.save(content, tmp_path / "some.pt")
    with caplog.at_level(logging.WARNING):
        state = read_tensors(tmp_path / "some.pt")
    check_state(STATE, state, "some.pt")
    said = " ".join(record.getMessage() for record in caplog.records)
    assert ("took" in said) == (content is not STATE)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "state_dict.module.", "model."])
def test_prefixes_come_off_safetensors_too(prefix, tmp_path):
    save_file(prefixed(prefix), tmp_path / "some.safetensors")
    model = Net()
    load_weights(model, str(tmp_path / "some.safetensors"))
    assert torch.equal(model.layer.weight, STATE["layer.weight"])


SEVERAL = {"model": STATE, "model_ema": {key: value + 1 for key, value in STATE.items()}, "epoch": 7}


def test_a_model_and_its_average_are_a_choice(tmp_path):
    file = tmp_path / "two.pt"
    torch.save(SEVERAL, file)
    with pytest.raises(ExitbenchError, match=r"several sets of weights: model, model_ema; choose one.*two\.pt#model"):
        load_weights(Net(), str(file))
    model, average = Net(), Net()
    first, second = load_weights(model, f"{file}#model"), load_weights(average, f"{file}#model_ema")
    assert torch.equal(average.layer.weight, model.layer.weight + 1)
    assert len({first, second, weights_id(file, str(file))}) == 3  # traces of the two never mix
    with pytest.raises(ExitbenchError, match=r"expected one of model, model_ema after #.*got 'teacher'"):
        load_weights(Net(), f"{file}#teacher")


def test_two_sets_in_one_safetensors_file_are_a_choice(tmp_path):
    file = tmp_path / "two.safetensors"
    ema = {key: value.clone() for key, value in STATE.items()}
    save_file({**prefixed("model."), **prefixed("ema.", ema)}, file)
    with pytest.raises(ExitbenchError, match="several sets of weights: ema, model"):
        read_tensors(file)
    check_state(STATE, read_tensors(file, "ema"), "two")


def test_a_dvt_takes_wrapped_weights_of_either_format(tmp_path):
    small = {"num_classes": 3, "grids": [2, 3], "width": 12, "depth": 1, "heads": 2, "mlp_ratio": 2, "image_size": 16,
             "mean": [0.5], "std": [0.5], "tokenizer": "patches", "reuse_hidden": 6, "reuse_width": 4,
             "feature_reuse": True, "relation_reuse": True}  # fmt: skip
    state = build_dvt(**small).state_dict()
    save_file(prefixed("module.", state), tmp_path / "a.safetensors")
    loaded = build_dvt(checkpoint=str(tmp_path / "a.safetensors"), **small)
    assert all(torch.equal(loaded.state_dict()[key], value) for key, value in state.items())


@pytest.mark.parametrize("content", [{"epoch": 3}, [1, 2], {"state_dict": {"a": 1}}, {}])
def test_no_tensors_by_name_is_one_line(content):
    with pytest.raises(ExitbenchError, match=r"expected tensors by name in some\.pt") as refused:
        unwrapped(content, "some.pt")
    assert "\n" not in str(refused.value)


def test_keys_that_only_look_wrapped_stay():
    """A model may have a part named `model`: a prefix is one only where all keys share it."""
    state = {"model.weight": torch.ones(1), "head.weight": torch.ones(1)}
    assert unwrapped(state, "some.pt") == state


def test_a_choice_is_what_follows_the_last_part():
    assert split_choice("a/b.pt#model_ema") == ("a/b.pt", "model_ema")
    assert split_choice("dvt_fashion") == ("dvt_fashion", "")
