"""What runs without gradients is another form of what trains: the same numbers, and never those of older weights."""

import pytest
import torch
from small_models import small_dvt

from benchmark.benches.reuse_overhead import main, usual_exits
from benchmark.models.layers.reuse import FeatureReuse, RelationReuse, StackedFeatureReuse, Upsample
from benchmark.models.layers.tokens import ConvStem
from benchmark.run.trace import full_depth
from benchmark.types import Batch, ExitbenchError

GRIDS = [(4, 6), (6, 8), (7, 10), (10, 14), (7, 14), (3, 3)]


def batch(count: int) -> Batch:
    torch.manual_seed(count)
    return Batch({"pixels": torch.rand(count, 1, 14, 14)}, torch.zeros(count, dtype=torch.int64))


@pytest.mark.parametrize("reuse", [(True, True), (True, False), (False, True), (False, False)], ids=str)
@pytest.mark.parametrize("count", [1, 3])
def test_logits_without_gradients_are_those_with(reuse, count):
    model = small_dvt(feature_reuse=reuse[0], relation_reuse=reuse[1])
    trained = full_depth(model, batch(count)).detach()
    with torch.no_grad():
        torch.testing.assert_close(full_depth(model, batch(count)), trained, atol=1e-5, rtol=1e-5)


def test_both_are_the_usual_form():
    model = small_dvt()
    with torch.no_grad():
        usual = torch.stack(usual_exits(model, batch(3)), 1)
        torch.testing.assert_close(full_depth(model, batch(3)), usual, atol=1e-5, rtol=1e-5)
    model.transformers[1].blocks[0].feature_reuse.norm.bias.data.add_(1.0)
    with torch.no_grad():  # the broken double: the twin must notice what the fast form joins into its weights
        assert not torch.allclose(torch.stack(usual_exits(model, batch(3)), 1), usual, atol=1e-3)


@pytest.mark.parametrize(("coarse", "fine"), GRIDS)
@pytest.mark.parametrize("count", [1, 40])
def test_all_blocks_at_once_are_block_by_block(coarse, fine, count):
    upsample, t = Upsample(coarse, fine), coarse**2 + 1
    reuses = [FeatureReuse(12, 6, 4, 1e-6) for _ in range(3)]
    for parameter in torch.nn.ModuleList(reuses).parameters():
        torch.nn.init.normal_(parameter)
    features = torch.randn(count, t, 12)
    relations, mix = [torch.randn(count, 2, t, t) for _ in range(3)], RelationReuse(3, 2)
    with torch.no_grad():
        for got, reuse in zip(StackedFeatureReuse(reuses)(features, upsample), reuses, strict=True):
            torch.testing.assert_close(got, reuse(features, upsample), atol=1e-4, rtol=1e-4)
        wanted = mix(relations, upsample)
        for got, one in zip(mix.biases(relations, upsample), wanted, strict=True):
            torch.testing.assert_close(got, one, atol=1e-5, rtol=1e-5)


def test_tables_grow_and_shrink_with_the_batch_and_follow_the_dtype():
    upsample = Upsample(4, 6)
    for count, dtype in ((2, torch.float32), (5, torch.float32), (1, torch.float32), (3, torch.float64)):
        x = torch.randn(count, 16, 3, dtype=dtype)
        wanted = upsample.tokens(torch.nn.functional.pad(x, (0, 0, 1, 0)))
        torch.testing.assert_close(upsample.image_tokens(x), wanted, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("change", ["in place", "replaced", "loaded"])
def test_joined_weights_follow_the_blocks(change):
    reuses = [FeatureReuse(12, 6, 4, 1e-6) for _ in range(2)]
    contexts, upsample, features = StackedFeatureReuse(reuses), Upsample(2, 3), torch.randn(2, 5, 12)
    with torch.no_grad():
        before = contexts(features, upsample)
        if change == "in place":
            reuses[0].norm.bias.add_(1)
        elif change == "replaced":
            reuses[0].fc1.weight = torch.nn.Parameter(torch.randn(6, 12))
        else:
            reuses[0].load_state_dict(FeatureReuse(12, 6, 4, 1e-6).state_dict())
        after = contexts(features, upsample)
        assert not torch.allclose(before[0], after[0])
        torch.testing.assert_close(after[0], reuses[0](features, upsample), atol=1e-5, rtol=1e-5)
        assert torch.equal(before[1], after[1])


@pytest.mark.parametrize("grid", [4, 6, 8])
def test_one_image_alone_gets_the_same_tokens(grid):
    stem, pixels = ConvStem(1, 32, grid, 12), torch.rand(1, 1, 32, 32)
    with torch.no_grad():
        alone = stem(pixels)
    torch.testing.assert_close(alone, stem(pixels).detach(), atol=1e-5, rtol=1e-5)


def test_the_bench_prints_its_table_and_refuses_other_words(capsys):
    assert main(["rounds=1", "large=0"]) == 0
    shown = capsys.readouterr().out
    assert "both, usual form" in shown
    assert shown.count("none ") == 2
    assert main(["rounds=1", "large=0", "products=0"]) == 0
    rows = [
        row for row in capsys.readouterr().out.splitlines() if row.startswith(("none", "features", "relations", "both"))
    ]
    assert len(rows) >= 10
    assert all(" – " in row for row in rows)
    with pytest.raises(ExitbenchError, match="expected whole numbers"):
        main(["rounds=many"])
