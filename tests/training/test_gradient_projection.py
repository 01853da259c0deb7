"""Who depends on what: freezing for the last exit, equilibrium against its formula, projection of gradients."""

import pytest
import torch
from separable import sentences, student
from torch import nn

from benchmark.training.gradient_projection import (
    balance_gradients,
    exit_dependencies,
    freeze_parameters,
    project_gradients,
    shared_parameters,
)
from benchmark.types import Batch, ExitbenchError

pytestmark = pytest.mark.filterwarnings("ignore")  # peft's own


class Ladder(nn.Module):
    """Five linear stages with a head each; `rescale` writes gradient equilibrium out as its authors do."""

    num_exits, num_classes, kind = 5, 3, "image"

    def __init__(self, rescale: bool = False, shared: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.rescale = rescale
        self.stages = nn.ModuleList(nn.Linear(6, 6) for _ in range(5))
        if shared:
            self.stages = nn.ModuleList([self.stages[0]] * 5)
        self.heads = nn.ModuleList(nn.Linear(6, 3) for _ in range(5))

    def exits(self, batch: Batch):
        hidden = batch.inputs["pixels"]
        for depth, (stage, head) in enumerate(zip(self.stages, self.heads, strict=True)):
            hidden = torch.tanh(stage(hidden))
            left = self.num_exits - depth  # exits from here on, this one included
            if self.rescale:
                hidden = Scaled.apply(hidden, 1 / left)
            yield head(hidden)
            if self.rescale:
                hidden = Scaled.apply(hidden, left - 1)


class Scaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, hidden, scale):
        ctx.scale = scale
        return hidden.clone()

    @staticmethod
    def backward(ctx, slope):
        return slope * ctx.scale, None


def batch() -> Batch:
    draw = torch.Generator().manual_seed(1)
    return Batch({"pixels": torch.randn(4, 6, generator=draw)}, torch.zeros(4, dtype=torch.long))


def gradients(model: nn.Module) -> dict[str, torch.Tensor]:
    model.zero_grad()
    sum(logits.square().sum() for logits in model.exits(batch())).backward()
    return {name: value.grad.clone() for name, value in model.named_parameters()}


def test_each_exit_reaches_what_is_before_it():
    found = exit_dependencies(Ladder(), batch())
    for depth, names in enumerate(found):
        stages = {f"stages.{k}.{part}" for k in range(depth + 1) for part in ("weight", "bias")}
        assert names == stages | {f"heads.{depth}.weight", f"heads.{depth}.bias"}


def test_equilibrium_is_the_gradient_its_authors_write_out():
    ours, theirs = Ladder(), Ladder(rescale=True)
    plain = gradients(ours)
    with balance_gradients(ours, batch()) as counts:
        found = gradients(ours)
    for name, expected in gradients(theirs).items():
        torch.testing.assert_close(found[name], expected, msg=name)
        assert found[name].norm() == pytest.approx(float(plain[name].norm()) / counts[name], rel=1e-5)
    assert counts["stages.0.weight"] == 5
    assert counts["heads.2.bias"] == 1
    after = gradients(ours)  # and nothing stays behind
    assert all(torch.equal(after[name], value) for name, value in plain.items())
    # The comparison sees a wrong scale.
    assert not torch.allclose(plain["stages.0.weight"], gradients(theirs)["stages.0.weight"])


def test_equilibrium_refuses_layers_that_several_depths_share():
    with pytest.raises(ExitbenchError, match=r"stages\.0 is shared"), balance_gradients(Ladder(shared=True), batch()):
        pass
    model = student(pooler="shared")
    with pytest.raises(ExitbenchError, match="dense is shared"), balance_gradients(model, probe(model)):
        pass


def probe(model) -> Batch:
    return model.collate(sentences().train[:2])


@pytest.mark.parametrize("low_rank", [0, 2])
@pytest.mark.parametrize("pooler", ["own", "shared", "none"])
def test_keeping_the_last_exit_leaves_the_other_heads(low_rank, pooler):
    model = student(low_rank, pooler, learn_to_exit=True)
    before = [value.requires_grad for value in model.parameters()]
    with freeze_parameters(model, (), True, probe(model)) as asleep:
        left = {name for name, value in model.named_parameters() if value.requires_grad}
        assert model.backbone in asleep
    denses = {"own": 2, "shared": 0, "none": 0}[pooler]
    certainty = {"heads.0.certainty.weight", "heads.0.certainty.bias"}
    assert certainty < left
    assert all(name.startswith(("heads.0", "heads.1", "heads.2")) for name in left)
    assert len(left) == 3 * (2 + denses) + len(certainty)
    assert [value.requires_grad for value in model.parameters()] == before


def test_only_names_what_trains():
    model = student()
    with freeze_parameters(model, [r"^heads\.1\.", "classifier.bias"], False, probe(model)):
        left = {name for name, value in model.named_parameters() if value.requires_grad}
    assert left == {"heads.1.dense.weight", "heads.1.dense.bias", "heads.1.classifier.weight"} | {
        f"heads.{n}.classifier.bias" for n in range(4)
    }
    with (
        pytest.raises(ExitbenchError, match="'head_s' finds none"),
        freeze_parameters(model, ["head_s"], False, probe(model)),
    ):
        pass
    with (
        pytest.raises(ExitbenchError, match="expected a trainable parameter"),
        freeze_parameters(model, ["backbone"], True, probe(model)),
    ):
        pass
    assert all(value.requires_grad for value in model.parameters())


def test_projection_takes_away_only_what_opposes():
    kept, other = [torch.tensor([1.0, 0.0]), torch.tensor([0.0])], [torch.tensor([-3.0, 2.0]), torch.tensor([5.0])]
    first, second = project_gradients(kept, other)
    assert first.tolist() == [1.0, 2.0]
    assert second.tolist() == [5.0]
    agreeing = project_gradients(kept, kept)
    assert agreeing[0].tolist() == [2.0, 0.0]
    assert [value.shape for value in shared_parameters(Ladder(), batch())] == [(6, 6), (6,)] * 4
