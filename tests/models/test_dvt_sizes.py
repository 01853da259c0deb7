"""The published DVT models in every combination of cascade and reuse: they build, run, and cost what they say."""

import pytest
import torch

from benchmark.config.compose import build, compose
from benchmark.cost import macs
from benchmark.run.trace import full_depth
from benchmark.types import ExitbenchError, ImageSample

MODELS = ["dvt_deit_small", "dvt_t2t_vit_12", "dvt_t2t_vit_14"]


def made(name: str, *changed: str):
    """The model at its published width on 224 pixels, two blocks deep so that tests stay quick."""
    torch.manual_seed(0)
    return build(compose("config", [f"model={name}", "model.depth=2", "model.num_classes=7", *changed]).model)


@pytest.mark.parametrize("feature", [True, False], ids=["feature", "no feature"])
@pytest.mark.parametrize("relation", [True, False], ids=["relation", "no relation"])
@pytest.mark.parametrize(("name", "grids"), [("dvt_deit_small", "[7,10,14]"), ("dvt_t2t_vit_12", "[7,14]"),
                                             ("dvt_t2t_vit_14", "[7,14]")])  # fmt: skip
def test_every_combination_runs_and_costs_its_closed_form(name, grids, feature, relation):
    model = made(name, f"model.grids={grids}", f"model.feature_reuse={feature}", f"model.relation_reuse={relation}")
    counted = macs.count(model, 0)
    assert counted == model.closed_form_macs(0)
    assert len(counted) == model.num_exits == grids.count(",") + 1
    with torch.inference_mode():
        logits = full_depth(model, model.collate([ImageSample(0, 1, torch.rand(3, 224, 224))]))
    assert logits.shape == (1, model.num_exits, 7)
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize(("name", "grids"), [("dvt_t2t_vit_12", "[7,60]"), ("dvt_deit_small", "[7,300]")])
def test_an_impossible_grid_names_sizes_that_work(name, grids):
    with pytest.raises(ExitbenchError, match=r"grids: expected sizes .* got \d+; .*7.* work") as raised:
        made(name, f"model.grids={grids}")
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 300
