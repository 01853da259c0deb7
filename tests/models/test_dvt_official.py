"""Our DVT against the authors' released code, to the digit, on synthetic weights that a formula gives."""

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.cost import macs
from benchmark.models.dvt import DVT, from_official
from benchmark.models.pretrained.released_dvt import ARCHITECTURES, architecture, renamed
from benchmark.types import Batch, ExitbenchError

OWN = json.loads((Path(__file__).parent / "dvt_t2t_vit_12.json").read_text())
SHARED = Path(__file__).parents[2].parent / "shared" / "reference" / "dvt_official.json"
NAMES = ["DVT_Deit_small", "DVT_T2t_vit_12", "DVT_T2t_vit_14"]


def reference(name: str) -> dict:
    """Expected figures and the released keys: our own copy of one model, the shared file for the others."""
    if name == OWN["name"]:
        return OWN
    if not SHARED.is_file():
        pytest.skip("the reference of this model is not on this machine")
    shared = json.loads(SHARED.read_text())
    return {**shared["models"][name], "keys": shared["keys"][name], "seed": shared["seed"]}


def synthetic(keys: dict[str, list[int]], seed: int) -> dict[str, torch.Tensor]:
    """The reference's own weights: 1 + 0.1 r for norms, 0.05 r else, r drawn by the key's crc."""
    state = {}
    for key, shape in keys.items():
        r = np.random.RandomState((zlib.crc32(key.encode()) + seed) % 2**32).standard_normal(shape)
        norm = len(shape) == 1 and key.endswith(".weight")
        state[key] = torch.from_numpy((1 + 0.1 * r if norm else 0.05 * r).astype(np.float32))
    return state


@pytest.mark.parametrize("name", NAMES)
def test_logits_parameters_and_macs_are_the_released_codes(name):
    expected = reference(name)
    model = from_official(name, synthetic(expected["keys"], expected["seed"]))
    assert sum(parameter.numel() for parameter in model.parameters()) == expected["num_params"]
    pixels = np.random.RandomState(7 + expected["seed"]).standard_normal((2, 3, 224, 224)).astype(np.float32)
    # The reference's input is what the network sees after normalising.
    raw = torch.from_numpy(pixels) * model.std + model.mean
    with torch.inference_mode():
        logits = list(model.exits(Batch({"pixels": raw}, torch.zeros(2, dtype=torch.int64))))
    print()
    for depth, (got, wanted) in enumerate(zip(logits, expected["logits"], strict=True), 1):
        first, norm = torch.tensor(wanted["first8"]), torch.tensor(wanted["norm"])
        off = float((got[:, :8] - first).abs().max() / norm.max())
        print(f"{name} exit {depth}: norm {got.norm(dim=1).tolist()}, expected {norm.tolist()}, first 8 off {off:.1e}")
        assert off < 1e-3
        torch.testing.assert_close(got.norm(dim=1), norm, rtol=1e-3, atol=0)
        assert got.argmax(1).tolist() == wanted["argmax"]
    counted = [one / 1e9 for one in macs.count(model, 0)]
    print(f"{name} GMACs {counted}, expected {expected['gmacs_cumulative']}")
    assert counted == pytest.approx(expected["gmacs_cumulative"], rel=0.005)
    assert model.closed_form_macs(0) == macs.count(model, 0)


def test_a_changed_weight_is_noticed():
    """The parity check's broken double: without feature reuse's input the logits are others."""
    state = synthetic(OWN["keys"], OWN["seed"])
    state["normal_token.blocks.0.feature_resuse_mlp.1.fc2.weight"].zero_()
    model = from_official(OWN["name"], state)
    pixels = np.random.RandomState(7 + OWN["seed"]).standard_normal((2, 3, 224, 224)).astype(np.float32)
    raw = torch.from_numpy(pixels) * model.std + model.mean
    with torch.inference_mode():
        logits = list(model.exits(Batch({"pixels": raw}, torch.zeros(2, dtype=torch.int64))))
    wanted = torch.tensor(OWN["logits"][2]["first8"])
    assert float((logits[2][:, :8] - wanted).abs().max() / max(OWN["logits"][2]["norm"])) > 1e-3


def test_other_names_and_keys_are_one_line():
    with pytest.raises(ExitbenchError, match="expected one of DVT_Deit_small"):
        from_official("DVT_large", {})
    state = synthetic(OWN["keys"], OWN["seed"])
    state.pop("less_token.head.bias")
    with pytest.raises(ExitbenchError, match=r"1 missing \(transformers\.1\.head\.bias\)"):
        from_official(OWN["name"], state)


def test_renaming_is_one_to_one():
    assert len(renamed(dict.fromkeys(OWN["keys"]))) == len(OWN["keys"])
    assert set(ARCHITECTURES) == set(NAMES)
    assert set(renamed(dict.fromkeys(OWN["keys"]))) == set(DVT(1000, **architecture(OWN["name"])).state_dict())
