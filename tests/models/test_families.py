"""What every family promises at the seam: shapes, compaction, gradients, costs."""

import pytest
import torch
from small_models import FAMILIES, small_dvt

from benchmark.cost import macs
from benchmark.policies.confidence import Confidence
from benchmark.policies.entropy import Entropy
from benchmark.policies.patience import Patience
from benchmark.policies.replay import live, replay
from benchmark.run.trace import full_depth, trace
from benchmark.types import ExitbenchError

both = pytest.mark.parametrize("family", FAMILIES)


@both
def test_exits_are_logits_of_the_samples(family):
    make, samples = FAMILIES[family]
    model = make()
    with torch.inference_mode():
        logits = full_depth(model, model.collate(samples(5)))
    assert logits.shape == (5, model.num_exits, model.num_classes)
    assert torch.isfinite(logits).all()


@both
def test_compaction_gives_the_same_logits_as_none(family):
    make, samples = FAMILIES[family]
    model = make()
    batch = model.collate(samples(6))
    with torch.inference_mode():
        whole = full_depth(model, batch)  # (6, E, C)
        running, generator = torch.arange(6), model.exits(batch)
        logits = next(generator)
        for depth in range(1, model.num_exits):
            torch.testing.assert_close(logits, whole[running, depth - 1], atol=1e-5, rtol=1e-4)
            keep = torch.ones(len(running), dtype=torch.bool)
            keep[depth % len(running)] = False
            running = running[keep]
            logits = generator.send(keep)
        torch.testing.assert_close(logits, whole[running, -1], atol=1e-5, rtol=1e-4)


@both
@pytest.mark.parametrize("policy", [Confidence(0.45), Confidence(2), Confidence(0), Entropy(0.6), Entropy(0),
                                    Patience(1), Patience(2)], ids=str)  # fmt: skip
def test_live_equals_replay(family, policy):
    make, samples = FAMILIES[family]
    model, many = make(), samples(12)
    traced = trace(model, many, batch_size=5)
    with torch.inference_mode():
        for first in range(0, 12, 4):
            answers, depths = live(policy, model, model.collate(many[first : first + 4]))
            expected = replay(policy, traced.logits[first : first + 4])
            assert depths.tolist() == expected.tolist()
            wanted = traced.logits[torch.arange(first, first + 4), expected - 1]
            torch.testing.assert_close(answers, wanted, atol=1e-5, rtol=1e-4)


@both
def test_closing_the_generator_computes_nothing_deeper(family):
    make, samples = FAMILIES[family]
    model = make()
    stages = model.transformers if family == "dvt" else model.backbone.encoder.layer
    calls = []
    for depth, stage in enumerate(stages, 1):
        stage.register_forward_hook(lambda *_, depth=depth: calls.append(depth))
    with torch.inference_mode():
        generator = model.exits(model.collate(samples(2)))
        next(generator)
        generator.close()
    assert calls == [1]


@both
@pytest.mark.parametrize("length", [3, 17])
def test_counted_macs_equal_the_closed_form(family, length):
    model = FAMILIES[family][0]()
    assert macs.count(model, length) == model.closed_form_macs(length)


@pytest.mark.parametrize("changed", [{"feature_reuse": False}, {"relation_reuse": False}, {"tokenizer": "patches"},
                                     {"feature_reuse": False, "relation_reuse": False}, {"grids": (2, 4)},
                                     {"grids": (4,)},
                                     {"image_size": 64, "tokenizer": "tokens_to_token"}], ids=str)  # fmt: skip
def test_closed_form_of_every_variant(changed):
    model = small_dvt(**changed)
    assert macs.count(model, 0) == model.closed_form_macs(0)


def test_a_wrong_closed_form_is_an_error():
    model = small_dvt()
    model.closed_form_macs = lambda length: (1, 2, 3)
    with pytest.raises(ExitbenchError, match="closed form"):
        macs.cost(model, [0, 0])


def test_an_operator_of_unknown_cost_is_an_error_not_a_zero():
    model = small_dvt()
    plain = model.exits

    def with_cdist(batch):
        torch.cdist(torch.rand(4, 3), torch.rand(5, 3))  # products inside, and no formula for them
        yield from plain(batch)

    model.exits = with_cdist
    with pytest.raises(ExitbenchError, match="neither counted nor known"):
        macs.count(model, 0)


def test_the_small_dvt_of_the_reference():
    model = small_dvt(num_classes=10, grids=(4, 6, 8), width=96, depth=4, image_size=32, mean=[0.5] * 3,
                      std=[0.5] * 3, reuse_hidden=48, reuse_width=16)  # fmt: skip
    assert sum(parameter.numel() for parameter in model.parameters()) == 1_091_742
    assert [round(one / 1e6, 3) for one in macs.count(model, 0)] == [6.244, 20.473, 47.634]


def test_reuse_reaches_the_later_exits():
    samples = FAMILIES["dvt"][1](2)
    for reuse in ("feature_reuse", "relation_reuse"):
        model = small_dvt(**{"feature_reuse": False, "relation_reuse": False, reuse: True})
        logits = full_depth(model, model.collate(samples))
        first = model.transformers[0].blocks[0].attn.qkv.weight
        (gradient,) = torch.autograd.grad(logits[:, 1].sum(), first)
        assert gradient.abs().sum() > 0, reuse


@pytest.mark.parametrize(("changed", "message"), [({"grids": (4, 3)}, "grids"), ({"heads": 5}, "heads"),
                                                  ({"tokenizer": "none"}, "tokenizer"),
                                                  ({"num_classes": 1}, "num_classes")])  # fmt: skip
def test_impossible_architectures_are_one_line(changed, message):
    with pytest.raises(ExitbenchError, match=message):
        small_dvt(**changed)
