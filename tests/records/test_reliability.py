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
