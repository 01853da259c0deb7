"""Confidence against accuracy: bins hold every sample once, and a sure and right exit has no error."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.records import metrics
from benchmark.types import ExitbenchError


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1), st.integers(1, 20))
def test_bins_share_out_all_samples(pairs, bins):
    confidence, right = map(np.array, zip(*pairs, strict=True))
    seen = metrics.reliability(confidence, right, bins)
    counts = np.array(seen["count"])
    assert counts.sum() == len(pairs)
    assert counts @ seen["accuracy"] == pytest.approx(right.sum())
    assert counts @ seen["confidence"] == pytest.approx(confidence.sum())
    assert abs(right.mean() - confidence.mean()) <= seen["ece"] + 1e-9
    assert seen["ece"] <= 1


def test_the_error_of_known_bins():
    seen = metrics.reliability([0.95, 0.95, 0.95, 0.95, 0.05], [1, 1, 1, 0, 0], bins=10)
    assert seen["count"] == [1, 4]
    assert seen["ece"] == pytest.approx(4 / 5 * 0.20 + 1 / 5 * 0.05)


def test_edges_belong_to_the_bin_below():
    assert metrics.reliability([0.0, 0.5, 1.0], [1, 1, 1], bins=2)["count"] == [2, 1]


@pytest.mark.parametrize("bad", [([1.5], [1], 3), ([-0.1], [1], 3), ([0.5], [1], 0), ([0.5, 0.5], [1], 3)])
def test_what_is_no_confidence_is_named(bad):
    with pytest.raises(ExitbenchError, match="reliability"):
        metrics.reliability(*bad)


def brute_force(signal, right):
    pairs = [(a, b) for a, is_right in zip(signal, right, strict=True) if is_right
             for b, other in zip(signal, right, strict=True) if not other]  # fmt: skip
    return sum((a > b) + 0.5 * (a == b) for a, b in pairs) / len(pairs)


@pytest.mark.parametrize("seed", range(5))
def test_auroc_is_the_share_of_pairs_in_order(seed):
    draw = np.random.default_rng(seed)
    signal = draw.integers(0, 6, 40) / 5  # with ties
    right = draw.random(40) < 0.3 + 0.5 * signal
    found = metrics.auroc(signal, right)
    assert found == pytest.approx(brute_force(signal, right))
    assert metrics.auroc(np.exp(3 * signal) - 7, right) == pytest.approx(found)
    assert metrics.auroc(-signal, right) == pytest.approx(1 - found)


def test_auroc_of_nothing_known_and_of_nothing_to_tell():
    assert metrics.auroc(np.ones(10), np.arange(10) < 4) == 0.5
    assert metrics.auroc(np.arange(10), np.ones(10, dtype=bool)) is None
    assert metrics.auroc(np.array([1.0, np.inf]), np.array([True, False])) is None
