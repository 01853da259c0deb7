"""Files in the authors' format: loaded safely, their facts kept, and every fault one line."""

import argparse
import pickle
import re

import numpy as np
import pytest
import torch
from test_dvt_official import OWN, synthetic

from benchmark.config.compose import build, compose
from benchmark.models import dvt
from benchmark.models.pretrained.released_dvt import ARCHITECTURES, architecture, read_released, renamed
from benchmark.types import Batch, ExitbenchError
from benchmark.utils.files import sha256_file

FACTS = {
    "flops": [0.468, 1.446, 3.455],
    "anytime_classification": [torch.tensor(69.04), np.float64(75.65), 80.0],
    "dynamic_threshold": torch.tensor([[0.9, 0.8, -1e8]] * 59),
    "budgeted_batch_classification": [[np.float32(0.5), 1.0], [70.0, 76.2]],
}
YAMLS = {"DVT_Deit_small": "dvt_deit_small", "DVT_T2t_vit_12": "dvt_t2t_vit_12", "DVT_T2t_vit_14": "dvt_t2t_vit_14"}


@pytest.fixture(scope="module")
def released_state():
    return synthetic(OWN["keys"], OWN["seed"])


def small(**changed):
    """A model of the released kind that is quick to make; and its state under the released keys."""
    arguments = {"width": 16, "depth": 1, "heads": 2, "num_classes": 5, "image_size": 32, "grids": (1, 2, 3)}
    arguments = {**architecture("DVT_Deit_small"), **arguments, **changed}
    return arguments, _released_keys(dvt.build(**arguments).state_dict())


def _released_keys(state):
    words = [("transformers.0.", "less_less_token."), ("transformers.1.", "less_token."),
             ("transformers.2.", "normal_token."), (".tokens.proj.", ".patch_embed.proj."),
             (".feature_reuse.norm.", ".feature_resuse_mlp.0."), (".feature_reuse.fc", ".feature_resuse_mlp.1.fc"),
             (".relation_reuse.conv1.", ".relation_reuse_conv.0."),
             (".relation_reuse.conv2.", ".relation_reuse_conv.2.")]  # fmt: skip
    found = {}
    for key, value in state.items():
        new = key
        for ours, theirs in words:
            new = new.replace(ours, theirs)
        if "feature_resuse" not in new:
            new = re.sub(r"(blocks\.\d+)\.(fc\d)\.", r"\1.mlp.\2.", new)
        found[new] = value
    assert set(renamed(found)) == set(state)
    return found


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "torch 1.3's own format"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_released_file_is_loaded_with_its_facts(tmp_path, zipped, prefix):
    arguments, state = small()
    state = {prefix + key: torch.randn_like(value) for key, value in state.items()}
    file = tmp_path / "DVT.pth.tar"
    torch.save({"model_state_dict": state, **FACTS}, file, _use_new_zipfile_serialization=zipped)
    model = dvt.build(checkpoint=str(file), **arguments)
    ours = renamed({key.removeprefix("module."): value for key, value in state.items()})
    for key, value in model.state_dict().items():
        assert torch.equal(value, ours[key])
    assert model.weights_hash == sha256_file(file)
    official = model.official
    assert torch.equal(official["dynamic_threshold"], FACTS["dynamic_threshold"])
    assert official["flops"] == FACTS["flops"]
    assert official["anytime_classification"] == pytest.approx([69.04, 75.65, 80.0])
    assert official["budgeted_batch_classification"] == [[0.5, 1.0], [70.0, 76.2]]


def test_the_released_size_gives_the_released_logits(tmp_path, released_state):
    torch.save({"model_state_dict": released_state, **FACTS}, tmp_path / "T2T.pth.tar")
    model = build(compose("config", ["model=dvt_t2t_vit_12"]).model, checkpoint=str(tmp_path / "T2T.pth.tar"))
    pixels = np.random.RandomState(7 + OWN["seed"]).standard_normal((2, 3, 224, 224)).astype(np.float32)
    raw = torch.from_numpy(pixels) * model.std + model.mean
    with torch.inference_mode():
        logits = list(model.exits(Batch({"pixels": raw}, torch.zeros(2, dtype=torch.int64))))
    for got, wanted in zip(logits, OWN["logits"], strict=True):
        first, norm = torch.tensor(wanted["first8"]), torch.tensor(wanted["norm"])
        assert float((got[:, :8] - first).abs().max() / norm.max()) < 1e-3


def test_a_file_of_weights_alone_has_no_facts(tmp_path):
    arguments, state = small()
    torch.save(state, tmp_path / "bare.pth")
    assert dvt.build(checkpoint=str(tmp_path / "bare.pth"), **arguments).official == {}
    assert dvt.build(**arguments).official == {}


class Code:
    ran: list[int] = []  # noqa: RUF012 – what the test looks at

    def __reduce__(self):
        return Code.ran.append, (1,)


@pytest.mark.parametrize("smuggled", [Code(), argparse.Namespace(lr=1), np.array([object()])], ids=["code", "namespace",
                                                                                                 "array"])  # fmt: skip
def test_anything_but_tensors_and_numbers_is_refused_and_not_run(tmp_path, smuggled):
    Code.ran.clear()
    _, state = small()
    torch.save({"model_state_dict": state, "args": smuggled}, tmp_path / "code.pth.tar")
    with pytest.raises(
        ExitbenchError, match=r"expected tensors and numbers alone in .*nothing of it was run"
    ) as raised:
        read_released(tmp_path / "code.pth.tar")
    assert "\n" not in str(raised.value)
    assert not Code.ran


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_plain_pickle_with_code_is_refused(tmp_path):
    Code.ran.clear()
    (tmp_path / "plain.pth").write_bytes(pickle.dumps({"model_state_dict": Code()}))
    with pytest.raises(ExitbenchError, match=r"model\.checkpoint: "):
        read_released(tmp_path / "plain.pth")
    assert not Code.ran


def test_missing_unknown_and_misshapen_keys_are_named_and_counted(tmp_path):
    arguments, state = small()
    for key in [key for key in state if key.startswith("less_token.blocks.0.attn")]:
        del state[key]
    state["extra.weight"] = torch.zeros(1)
    state["normal_token.head.bias"] = torch.zeros(6)
    torch.save({"model_state_dict": state}, tmp_path / "odd.pth.tar")
    with pytest.raises(ExitbenchError) as raised:
        dvt.build(checkpoint=str(tmp_path / "odd.pth.tar"), **arguments)
    line = str(raised.value)
    assert "4 missing (transformers.1.blocks.0.attn.qkv.weight;" in line
    assert "…)" in line
    assert "1 unknown (extra.weight)" in line
    assert "1 of another shape (transformers.2.head.bias (6,), expected (5,))" in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"weights": 3}, "expected tensors by name in .* got weights"),
        ([1, 2], "got list"),
        ({"model_state_dict": {"a": 1}}, "expected tensors by name"),
        ({"model_state_dict": {"a": torch.zeros(1)}, "flops": ["many"]}, "expected numbers in .*flops"),
        ({"model_state_dict": {"a": torch.zeros(1)}, "dynamic_threshold": [[1], [1, 2]]}, "dynamic_threshold"),
    ],
)
def test_files_of_another_content_are_one_line(tmp_path, content, message):
    torch.save(content, tmp_path / "other.pth.tar")
    with pytest.raises(ExitbenchError, match=message):
        read_released(tmp_path / "other.pth.tar")


def test_facts_of_another_number_of_exits_are_refused(tmp_path):
    arguments, state = small()
    torch.save({"model_state_dict": state, "dynamic_threshold": torch.zeros(59, 2)}, tmp_path / "two.pth.tar")
    with pytest.raises(ExitbenchError, match=r"expected dynamic_threshold of 3 exits in two\.pth\.tar"):
        dvt.build(checkpoint=str(tmp_path / "two.pth.tar"), **arguments)


def test_a_cut_file_is_one_line(tmp_path):
    _, state = small()
    torch.save({"model_state_dict": state}, tmp_path / "cut.pth.tar")
    (tmp_path / "cut.pth.tar").write_bytes((tmp_path / "cut.pth.tar").read_bytes()[:4000])
    with pytest.raises(ExitbenchError, match="is not a whole torch file"):
        read_released(tmp_path / "cut.pth.tar")


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_yaml_and_released_architecture_are_one(name):
    given = dict(compose("config", [f"model={YAMLS[name]}"]).model)
    assert given.pop("num_classes") == 1000
    defaults = {"tokenizer": "patches", "qkv_bias": True, "eps": 1e-6, "learned_position": True, "reuse_hidden": 128,
                "reuse_width": 48, "feature_reuse": True, "relation_reuse": True}  # fmt: skip
    expected = {**defaults, **architecture(name)}
    assert {key: tuple(value) if key in ("grids", "mean", "std") else value for key, value in given.items()
            if key not in ("_target_", "checkpoint")} == expected  # fmt: skip
