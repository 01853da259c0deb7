"""Authors' checkpoints: small synthetic ones in each released layout load, and answer as released."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from attack_doubles import sentences
from released_checkpoints import CLASSES, LAYOUTS, by_hand, folder_of, release
from small_encoders import CONFIGS, backbone, tokenizer
from torch import Tensor

from benchmark.models.multi_exit_bert import build
from benchmark.models.pretrained.released_bert import layout
from benchmark.models.pretrained.weights import save_weights
from benchmark.run.trace import full_depth
from benchmark.types import ExitbenchError


def load(kind: str, checkpoint: Path | str, **changed: Any) -> Any:
    pooler = "shared" if kind.startswith("pabee") else "own"
    fixed = {"pooling": "cls", "pooler": pooler, "max_length": 32, "learn_to_exit": kind == "berxit"}
    return build("nowhere", CLASSES, checkpoint=str(checkpoint), **{**fixed, **changed})


def check(kind: str, model: Any, made: Any, state: dict[str, Tensor]) -> None:
    batch = model.collate(sentences())
    with torch.no_grad():
        yielded = full_depth(model, batch)
    torch.testing.assert_close(yielded[..., :CLASSES], by_hand(kind, made, state, batch.inputs), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", LAYOUTS)
@pytest.mark.parametrize("form", ["safetensors", "bin"])
def test_a_released_checkpoint_answers_as_released(kind, form, tmp_path):
    made, state = folder_of(kind, tmp_path / "released", form)
    model = load(kind, tmp_path / "released")
    check(kind, model, made, state)
    assert model.weights_hash != "untrained"
    model.heads[1].classifier.weight.data.neg_()
    with pytest.raises(AssertionError):  # the check sees a wrong head
        check(kind, model, made, state)


def test_a_released_uncertainty_is_our_certainty_negated(tmp_path):
    made, state = folder_of("berxit", tmp_path / "released")
    model = load("berxit", tmp_path / "released")
    batch = model.collate(sentences())
    with torch.no_grad():
        first = made(**batch.inputs, output_hidden_states=True).hidden_states[1][:, 0]
        dense, lte = "bert.encoder.highway.0.pooler.dense", "bert.encoder.lte_classifier"
        pooled = torch.tanh(first @ state[f"{dense}.weight"].T + state[f"{dense}.bias"])
        wrong = torch.sigmoid(pooled @ state[f"{lte}.weight"].T + state[f"{lte}.bias"])[:, 0]
        right = torch.sigmoid(full_depth(model, batch)[:, 0, CLASSES])
    torch.testing.assert_close(right, 1 - wrong, atol=1e-5, rtol=1e-4)
    assert load("berxit", tmp_path / "released", learn_to_exit=False).extra_columns == 0


def test_exits_may_be_fewer_than_were_released(tmp_path):
    made, state = folder_of("deebert", tmp_path / "released")
    model = load("deebert", tmp_path / "released", layers=(1, 3))
    batch = model.collate(sentences())
    with torch.no_grad():
        wanted = by_hand("deebert", made, state, batch.inputs)[:, [0, 2]]
        torch.testing.assert_close(full_depth(model, batch), wanted, atol=1e-4, rtol=1e-4)


def test_a_file_alone_takes_configuration_and_words_from_the_backbone(tmp_path):
    made, state = folder_of("pabee", tmp_path / "released")
    (tmp_path / "alone").mkdir()
    file = (tmp_path / "released" / "model.safetensors").rename(tmp_path / "alone" / "pabee.safetensors")
    model = build(
        str(tmp_path / "released"), CLASSES, checkpoint=str(file), pooling="cls", pooler="shared", max_length=32
    )
    check("pabee", model, made, state)


def test_keys_that_are_missing_unknown_or_misshapen_are_named(tmp_path):
    _, state = folder_of("deebert", tmp_path / "released")
    file = tmp_path / "released" / "model.safetensors"
    odd = {key: value for key, value in state.items() if "highway.1.classifier" not in key}
    save_weights({**odd, "bert.encoder.layer.9.surplus": torch.zeros(1)}, file)
    with pytest.raises(ExitbenchError, match=r"2 missing \(heads.1.classifier.weight.*1 unknown .*layer.9.surplus"):
        load("deebert", file.parent)
    save_weights({**state, "classifier.weight": torch.zeros(2, 16), "classifier.bias": torch.zeros(2)}, file)
    with pytest.raises(
        ExitbenchError, match=r"of another shape \(heads.2.classifier.weight \(2, 16\), expected \(3, 16"
    ):
        load("deebert", file.parent)


def test_mistakes_about_checkpoints_are_one_line(tmp_path):
    folder_of("deebert", tmp_path / "released")
    with pytest.raises(ExitbenchError, match=r"model.low_rank: expected 0, .* got 8"):
        load("deebert", tmp_path / "released", low_rank=8)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ExitbenchError, match=r"model.checkpoint: expected model.safetensors or pytorch_model.bin in"):
        load("deebert", tmp_path / "empty")
    (tmp_path / "released" / "config.json").write_text("{")
    with pytest.raises(ExitbenchError, match=r"expected the encoder's configuration in .*config.json"):
        load("deebert", tmp_path / "released")


def test_a_torch_file_with_code_in_it_is_refused_and_not_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    folder_of("deebert", tmp_path / "released", "bin")
    torch.save({"bert.encoder.highway.0": Bomb()}, tmp_path / "released" / "pytorch_model.bin")
    with pytest.raises(ExitbenchError, match="not a whole file of tensors alone"):
        load("deebert", tmp_path / "released")
    assert not (tmp_path / "ran").exists()


def test_layouts_are_told_by_their_keys():
    assert [layout(release(kind)[1]) for kind in LAYOUTS] == [
        "deebert", "deebert", "deebert", "pabee", "pabee", "elasticbert",
    ]  # fmt: skip
    assert layout(["backbone.encoder.layer.0", "heads.0.classifier.weight"]) == "ours"
    assert layout(["bert.encoder.layer.0.x"]) == layout([]) == ""


@pytest.mark.parametrize("typed", ["elasticbert", "bert"])
def test_elasticbert_is_a_backbone_with_a_pooler_for_each_exit(typed, tmp_path):
    made, state = folder_of("elasticbert", tmp_path / "backbone", "bin")
    config = json.loads((tmp_path / "backbone" / "config.json").read_text()) | {"model_type": typed}
    (tmp_path / "backbone" / "config.json").write_text(json.dumps(config))
    model = build(str(tmp_path / "backbone"), 2, pooling="cls", max_length=32, pretrained_pooler=True)
    for n, head in enumerate(model.heads):
        assert torch.equal(head.dense.weight, state[f"elasticbert.encoder.pooler.{n}.dense.weight"])
    for name, value in model.backbone.named_parameters():
        assert torch.equal(value, made.state_dict()[name]), name


@pytest.mark.parametrize("family", ["bert", "roberta", "albert", "distilbert", "electra"])
def test_every_family_is_a_backbone_from_a_folder_and_trains_and_loads_again(family, tmp_path):
    made = backbone(family)
    made.save_pretrained(tmp_path / "backbone")
    tokenizer(CONFIGS[family]().pad_token_id).save_pretrained(tmp_path / "backbone")
    torch.manual_seed(0)
    fixed = {"num_classes": 3, "max_length": 32, "low_rank": 2, "learn_to_exit": True, "pooler": "shared"}
    model = build(str(tmp_path / "backbone"), **fixed)
    for value in model.trainable_state().values():
        value.data.add_(0.1 * torch.randn_like(value))
    save_weights(model.trainable_state(), tmp_path / "trained.safetensors")
    again = build(str(tmp_path / "backbone"), checkpoint=str(tmp_path / "trained.safetensors"), **fixed)
    batch = model.collate(sentences())
    with torch.no_grad():
        torch.testing.assert_close(full_depth(again, batch), full_depth(model, batch), atol=2e-5, rtol=1e-4)
    with pytest.raises(ExitbenchError, match=r"model.pretrained_pooler: expected a pooler, got none in the backbone"):
        build(str(tmp_path / "backbone"), pretrained_pooler=True, **fixed)


def test_a_backbone_without_its_weights_is_refused(tmp_path):
    made = backbone("bert")
    made.save_pretrained(tmp_path / "backbone")
    tokenizer().save_pretrained(tmp_path / "backbone")
    state = {name: value for name, value in made.state_dict().items() if "layer.1" not in name}
    save_weights(state, tmp_path / "backbone" / "model.safetensors")
    with pytest.raises(ExitbenchError, match=r"lacks 16 of the encoder's weights \(encoder.layer.1"):
        build(str(tmp_path / "backbone"), 2, max_length=32)
