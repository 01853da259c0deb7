"""A timm ViT with exits: its last exit is timm's own answer, and the seam's promises hold for its variants."""

import pytest
import small_data
import timm
import torch
from safetensors.torch import save_file

from benchmark.cost import macs
from benchmark.models.pretrained.weights import save_weights
from benchmark.models.timm_exits import build
from benchmark.run.trace import full_depth
from benchmark.types import Batch, ExitbenchError, ImageSample, StagedModel
from benchmark.utils.files import sha256_file

TINY = {"img_size": 16, "patch_size": 4, "embed_dim": 24, "depth": 4, "num_heads": 3, "in_chans": 1}
VARIANTS = {
    "vit": ("vit_tiny_patch16_224", {}),
    "distilled": ("deit_tiny_distilled_patch16_224", {}),
    "registers": ("vit_small_patch14_reg4_dinov2", {}),
    "deit3": ("deit3_small_patch16_224", {}),
    "no class token": ("vit_tiny_patch16_224", {"class_token": False, "global_pool": "avg"}),
    "other width": ("vit_tiny_patch16_224", {"qk_norm": True, "mlp_ratio": 2, "drop_path_rate": 0.2}),
}


def tiny(variant="vit", **changed):
    backbone, arguments = VARIANTS[variant]
    given = {"num_classes": 4, "blocks": [1, 2, 4], "mean": [0.5], "std": [0.25], "pooling": "mean", "fit": "pad"}
    torch.manual_seed(0)
    model = build(backbone, **{**given, "backbone_args": {**TINY, **arguments}, **changed})
    for parameter in model.parameters():
        parameter.data.add_(0.2 * torch.randn_like(parameter))
    return model


def images(count: int, side: int = 14) -> list[ImageSample]:
    draw = torch.Generator().manual_seed(3)
    return [ImageSample(n, n % 4, torch.rand(1, side, side, generator=draw)) for n in range(count)]


@pytest.mark.parametrize("variant", VARIANTS)
def test_counted_macs_are_the_closed_form_and_costs_grow(variant):
    model = tiny(variant)
    counted = macs.count(model, 0)
    assert counted == model.closed_form_macs(0)
    assert counted[0] < counted[1] < counted[2]


@pytest.mark.parametrize("pool", ["token", "avg"])
def test_the_last_exit_is_timms_own_answer(pool):
    torch.manual_seed(1)
    timms = timm.create_model("vit_tiny_patch16_224", num_classes=4, global_pool=pool, **TINY).eval()
    ours = build("vit_tiny_patch16_224", 4, [1, 4], mean=[0.5], std=[0.25], backbone_args={**TINY, "global_pool": pool},
                 pooling="class" if pool == "token" else "mean")  # fmt: skip
    state, last = timms.state_dict(), ours.heads[1]
    ours.backbone.load_state_dict({key: value for key, value in state.items() if key in ours.backbone.state_dict()})
    norm = timms.norm if pool == "token" else timms.fc_norm
    last.norm.load_state_dict(norm.state_dict())
    last.classifier.load_state_dict(timms.head.state_dict())
    pixels = torch.rand(3, 1, 16, 16)
    with torch.inference_mode():
        logits = full_depth(ours, Batch({"pixels": pixels}, torch.zeros(3)))
        torch.testing.assert_close(logits[:, 1], timms((pixels - 0.5) / 0.25))
        assert not torch.allclose(logits[:, 0], logits[:, 1], atol=1e-3)


@pytest.mark.parametrize("variant", ["vit", "distilled", "no class token"])
def test_compaction_gives_the_same_logits_as_none(variant):
    model = tiny(variant)
    batch = model.collate(images(5))
    with torch.inference_mode():
        whole = full_depth(model, batch)
        generator = model.exits(batch)
        next(generator)
        keep = torch.tensor([True, False, True, True, False])
        torch.testing.assert_close(generator.send(keep), whole[keep, 1], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(
            generator.send(torch.tensor([False, True, False])), whole[[2], 2], atol=1e-5, rtol=1e-4
        )


def test_batches_joined_between_exits_answer_as_each_alone():
    model = tiny()
    assert isinstance(model, StagedModel)
    batches = [model.collate(images(3)), model.collate(images(5)[3:])]
    with torch.inference_mode():
        running = model.join([model.stage(model.begin(batch), 1)[1] for batch in batches])
        joined, _ = model.stage(model.select(running, torch.tensor([4, 0])), 2)
        torch.testing.assert_close(joined, full_depth(model, model.collate(images(5)))[[4, 0], 1], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("fit", "side"), [("pad", 14), ("resize", 14), ("resize", 30), ("pad", 16)])
def test_gradients_reach_every_pixel_at_the_images_own_size(fit, side):
    model = tiny(fit=fit)
    batch = model.collate(images(2, side))
    pixels = batch.inputs["pixels"].requires_grad_()
    assert pixels.shape == (2, 1, side, side)
    (slope,) = torch.autograd.grad(full_depth(model, batch)[:, 0].square().sum(), pixels)
    assert (slope != 0).double().mean() > (0.99 if side < 20 else 0.5)  # shrinking by bilinear taps skips pixels


def _weights(tmp_path):
    torch.manual_seed(2)
    source = timm.create_model("vit_tiny_patch16_224", num_classes=4, **TINY)
    save_file(source.state_dict(), tmp_path / "vit.safetensors")
    return source.eval(), tmp_path / "vit.safetensors"


def _from(file, **changed):
    given = {"num_classes": 4, "blocks": [2, 4], "mean": [0.5], "std": [0.25], "backbone_args": TINY}
    return build("vit_tiny_patch16_224", pretrained=str(file), **{**given, **changed})


def test_pretrained_weights_come_from_a_file_and_answer_as_timm_does(tmp_path):
    source, file = _weights(tmp_path)
    model = _from(file)
    pixels = torch.rand(2, 1, 16, 16)
    with torch.inference_mode():
        logits = full_depth(model, Batch({"pixels": pixels}, torch.zeros(2)))
        torch.testing.assert_close(logits[:, 1], source((pixels - 0.5) / 0.25))
    larger = _from(file, backbone_args={**TINY, "img_size": 24}, num_classes=3)
    assert larger.backbone.pos_embed.shape[1] == 37


def test_a_frozen_backbone_trains_and_keeps_heads_only(tmp_path):
    _, file = _weights(tmp_path)
    model = _from(file, freeze_backbone=True)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained == set(model.trainable_state())
    assert all(name.startswith("heads.") for name in trained)
    model.train()
    assert model.heads.training
    assert not model.backbone.training
    for head in model.heads:
        head.classifier.weight.data.normal_()
    save_weights(model.trainable_state(), tmp_path / "heads.safetensors")
    loaded = _from(file, freeze_backbone=True, checkpoint=str(tmp_path / "heads.safetensors"))
    batch = loaded.collate(images(3))
    with torch.inference_mode():
        torch.testing.assert_close(full_depth(loaded, batch), full_depth(model.eval(), batch))
    assert loaded.weights_hash not in ("untrained", sha256_file(tmp_path / "heads.safetensors"))
    other = save_file({**model.backbone.state_dict()}, tmp_path / "other.safetensors")  # another file, same tensors
    assert other is None
    assert _from(tmp_path / "vit.safetensors", freeze_backbone=True).weights_hash == "untrained"


def test_a_whole_checkpoint_needs_no_pretrained_weights(tmp_path):
    model = tiny()
    save_weights(model.trainable_state(), tmp_path / "whole.safetensors")
    loaded = tiny(checkpoint=str(tmp_path / "whole.safetensors"), pretrained="nowhere.safetensors")
    assert loaded.weights_hash == sha256_file(tmp_path / "whole.safetensors")


def test_frozen_heads_on_other_weights_have_another_hash(tmp_path):
    _, file = _weights(tmp_path)
    save_weights(_from(file, freeze_backbone=True).trainable_state(), tmp_path / "heads.safetensors")
    again = timm.create_model("vit_tiny_patch16_224", num_classes=4, **TINY)
    save_file(again.state_dict(), tmp_path / "again.safetensors")
    hashes = {
        _from(one, freeze_backbone=True, checkpoint=str(tmp_path / "heads.safetensors")).weights_hash
        for one in (file, tmp_path / "again.safetensors")
    }
    assert len(hashes) == 2


def test_a_hub_that_does_not_answer_is_one_line(monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(
        ExitbenchError, match=r"model\.pretrained: expected the weights timm/.* pretrained=false"
    ) as raised:
        build("vit_tiny_patch16_224.augreg_in21k_ft_in1k", 10, pretrained=True)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"blocks": [2, 1]}, r"model\.blocks: expected growing blocks within 1 … 4"),
        ({"blocks": [5]}, r"model\.blocks"),
        ({"pooling": "max"}, r"model\.pooling: expected one of"),
        ({"fit": "crop"}, r"model\.fit"),
        ({"mean": [0.5, 0.5]}, r"model\.mean, model\.std: expected 1 numbers"),
        ({"freeze_backbone": True}, r"model\.freeze_backbone: expected pretrained weights"),
        ({"pretrained": "nowhere.pth"}, r"model\.pretrained: expected true, false or a weights file"),
        ({"backbone_args": {"heads": 3}}, r"model\.backbone: timm cannot make"),
        ({"backbone_args": {"embed_dim": 25, "num_heads": 3}}, r"model\.backbone: timm cannot make"),
        ({"backbone_args": {"dynamic_img_size": True}, "mean": [0.5] * 3, "std": [1] * 3}, "dynamic_img_size"),
    ],
)
def test_mistakes_are_one_line(changed, message):
    with pytest.raises(ExitbenchError, match=message):
        tiny(**changed)


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16", "vit_tiny_r_s16_p8_224"])
def test_what_is_no_plain_vit_is_refused_with_names_that_are(name):
    with pytest.raises(ExitbenchError, match=r"model\.backbone: expected"):
        build(name, 10)


def test_a_class_token_that_is_not_there_cannot_be_pooled():
    with pytest.raises(ExitbenchError, match="no class token"):
        tiny("no class token", pooling="class")


def test_images_that_do_not_fit_are_refused():
    with pytest.raises(ExitbenchError, match=r"set model\.fit=resize"):
        tiny().collate(images(1, 20))
    with pytest.raises(ExitbenchError, match="expected 1 channels, got 3"):
        tiny().collate([ImageSample(0, 0, torch.rand(3, 16, 16))])


@pytest.mark.filterwarnings("ignore")  # the trainer's own
def test_it_learns_by_the_same_recipe(tmp_path):
    from benchmark.training import losses
    from benchmark.training.train import Recipe, train

    model, dataset = build("vit_tiny_patch16_224", 4, [1, 2], mean=[0.5], std=[0.25], fit="pad", pooling="mean",
                           backbone_args={**TINY, "depth": 2}), small_data.images()  # fmt: skip
    train(model, dataset, Recipe(losses.plain_sum, 8, 20, 0.01, 0.0), tmp_path / "run")
    with torch.inference_mode():
        logits = full_depth(model, model.collate(dataset.test))
    labels = torch.tensor([sample.label for sample in dataset.test])
    assert ((logits.argmax(-1) == labels[:, None]).double().mean(0) > 0.6).all()


def test_code_in_a_weights_file_is_refused(tmp_path):
    class Code:
        def __reduce__(self):
            return print, ("ran",)

    torch.save({"state_dict": Code()}, tmp_path / "code.pth")
    with pytest.raises(ExitbenchError, match="holds no weights that are safe to read"):
        _from(tmp_path / "code.pth")


def test_weights_of_another_width_are_one_line(tmp_path):
    _, file = _weights(tmp_path)
    with pytest.raises(ExitbenchError, match=r"model\.backbone: timm cannot make"):
        _from(file, backbone_args={**TINY, "embed_dim": 48})
