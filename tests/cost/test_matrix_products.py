"""Products taken out of a call are all of them: run by themselves, they cost what the call cost."""

import pytest
import torch
from small_models import FAMILIES

from benchmark.benches.products import shares, speedup
from benchmark.cost.macs import count_call
from benchmark.cost.matrix_products import products_of, run_in_order


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("inference", [True, False])
def test_they_cost_what_the_call_costs(family, inference):
    build, samples = FAMILIES[family]
    model = build()
    batch = model.collate(samples(2))
    with torch.inference_mode(inference), torch.set_grad_enabled(False):
        calls = products_of(lambda: list(model.exits(batch)))
        whole = count_call(lambda: list(model.exits(batch)))
        assert whole > 0
        assert count_call(run_in_order(calls)) == whole
        assert count_call(run_in_order(calls[1:])) < whole  # one that is missed is seen


def test_a_product_gives_the_same_again():
    x, layer = torch.randn(3, 4), torch.nn.Linear(4, 5)
    with torch.inference_mode():
        (call,) = products_of(lambda: torch.relu(layer(x)))
        torch.testing.assert_close(call(), layer(x))


def test_what_is_no_product_is_left_out():
    assert products_of(lambda: torch.relu(torch.randn(3)) + 1) == []


def test_shares_and_speedup():
    seconds = [[1.0, 3.0], [2.0, 2.0]]
    assert shares(seconds) == [3 / 8, 1.0]
    assert speedup(seconds, [1, 1]) == pytest.approx(8 / 3)
    assert speedup(seconds, [2, 2]) == 1.0
    assert speedup(seconds, [1, 2]) == pytest.approx(8 / 5)
