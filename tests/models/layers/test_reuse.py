"""The hand-over between grids is the released code's interpolation, written as a weighted gather."""

import pytest
import torch
from torch.nn import functional as F

from benchmark.models.layers.reuse import RelationReuse, Upsample, upsampling

GRIDS = [(4, 6), (6, 8), (7, 10), (10, 14), (7, 14), (3, 3)]


def nearest_then_pool(x, coarse, fine):
    """(b, coarse², d) -> (b, fine², d) as the DVT release does it."""
    image = x.transpose(1, 2).reshape(x.shape[0], x.shape[2], coarse, coarse)
    doubled = F.interpolate(image, size=2 * coarse, mode="nearest")
    return F.adaptive_avg_pool2d(doubled, fine).flatten(2).transpose(1, 2)


@pytest.mark.parametrize(("coarse", "fine"), GRIDS)
def test_tokens_are_interpolated_and_the_class_token_carried(coarse, fine):
    x = torch.randn(2, coarse**2 + 1, 5)
    out = Upsample(coarse, fine).tokens(x)
    assert torch.equal(out[:, 0], x[:, 0])
    torch.testing.assert_close(out[:, 1:], nearest_then_pool(x[:, 1:], coarse, fine))


@pytest.mark.parametrize(("coarse", "fine"), GRIDS)
def test_relations_are_interpolated_in_both_token_axes(coarse, fine):
    x = torch.randn(2, 3, coarse**2 + 1, coarse**2 + 1)
    out = Upsample(coarse, fine).relations(x)
    rows = nearest_then_pool(x[:, :, 1:, 1:].flatten(0, 1), coarse, fine)
    both = nearest_then_pool(rows.transpose(1, 2), coarse, fine).transpose(1, 2)
    torch.testing.assert_close(out[:, :, 1:, 1:].flatten(0, 1), both)
    torch.testing.assert_close(out[:, :, 0, 0], x[:, :, 0, 0])
    row = nearest_then_pool(x[:, :, 0, 1:].flatten(0, 1)[..., None], coarse, fine)[..., 0]
    torch.testing.assert_close(out[:, :, 0, 1:].flatten(0, 1), row)


@pytest.mark.parametrize(("coarse", "fine"), GRIDS)
def test_the_operator_averages(coarse, fine):
    operator = upsampling(coarse, fine)
    torch.testing.assert_close(operator.sum(1), torch.ones(fine**2))
    assert (operator >= 0).all()


def test_gradients_flow_through_both_reuses():
    upsample, x = Upsample(4, 6), torch.randn(1, 17, 3, requires_grad=True)
    upsample.tokens(x).square().sum().backward()
    assert x.grad is not None
    assert (x.grad.abs().sum((0, 2)) > 0).all()  # every token is read


def test_relation_mixing_is_a_pointwise_convolution():
    reuse, relations = RelationReuse(2, 3), [torch.randn(2, 3, 5, 5) for _ in range(2)]
    expected = reuse.conv2(F.gelu(reuse.conv1(torch.cat(relations, 1))))
    torch.testing.assert_close(reuse.mixed(relations), expected)
