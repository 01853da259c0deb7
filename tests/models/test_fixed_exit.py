"""A model cut off behind an exit answers as that exit does, and pays for no other head."""

import pytest
import torch
from small_models import FAMILIES
from torch import nn

from benchmark.cost.macs import cost, count
from benchmark.models.fixed_exit import FixedExit
from benchmark.models.timm_exits import build
from benchmark.types import ExitbenchError, ImageSample


def _timm():
    torch.manual_seed(0)
    small = {"img_size": 16, "patch_size": 4, "embed_dim": 24, "depth": 3, "num_heads": 3, "in_chans": 1}
    return build("vit_tiny_patch16_224", 4, (1, 2, 3), mean=[0.5], std=[0.5], backbone_args=small)


def _pictures(number):
    return [ImageSample(n, 0, torch.rand(1, 14, 14)) for n in range(number)]


ALL = {**FAMILIES, "timm": (_timm, _pictures)}


@pytest.mark.parametrize("family", ALL)
@pytest.mark.parametrize("exit", [1, 2, 3])
def test_its_answer_is_that_exits(family, exit):
    make, samples = ALL[family]
    model = make().eval()
    batch = model.collate(samples(5))
    with torch.inference_mode():
        wanted = list(model.exits(batch))[exit - 1]
        (alone,) = FixedExit(model, exit).exits(batch)
    torch.testing.assert_close(alone, wanted)


@pytest.mark.parametrize("family", ALL)
def test_the_heads_before_cost_nothing(family):
    make, samples = ALL[family]
    model = make().eval()
    length = int(model.collate(samples(1)).lengths[0])
    staged = model.closed_form_macs(length)
    for exit in range(1, 4):
        alone = cost(FixedExit(model, exit), [length]).by_length[length]
        assert len(alone) == 1
        assert (alone[0] < staged[exit - 1]) == (exit > 1)


class WithHeads(nn.Module):
    """A user's own staged model, without `advance`."""

    def __init__(self, model):
        super().__init__()
        self.model, self.num_exits, self.num_classes, self.kind = model, 3, 4, "image"
        self.begin, self.stage, self.select, self.join, self.probe = (
            model.begin, model.stage, model.select, model.join, model.probe
        )  # fmt: skip


def test_a_model_without_advance_pays_for_its_heads_in_eager_torch():
    model = _timm().eval()
    assert count(FixedExit(WithHeads(model), 3), 0)[0] == model.closed_form_macs(0)[-1]
    assert count(FixedExit(model, 3), 0)[0] < model.closed_form_macs(0)[-1]


@pytest.mark.parametrize("exit", [0, 4])
def test_an_exit_that_is_not_there_is_refused(exit):
    with pytest.raises(ExitbenchError, match=f"expected an exit from 1 to 3, got {exit}"):
        FixedExit(ALL["timm"][0](), exit)
