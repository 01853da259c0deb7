"""Metrics against closed forms, published examples and their undefined cases."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.records import metrics
from benchmark.types import ExitbenchError


def test_accuracy_has_the_binomial_standard_error():
    share = metrics.accuracy([1, 0, 1, 1], [1, 1, 1, 1])
    assert share == {"value": 0.75, "stderr": math.sqrt(0.75 * 0.25 / 4), "n": 4}
    assert all(type(value) in (int, float) for value in share.values())


@given(st.lists(st.integers(1, 6), min_size=1))
def test_histogram_and_depths_tell_the_same_mean(depths):
    histogram = metrics.exit_histogram(depths, 6)
    assert len(histogram) == 6
    assert sum(histogram) == len(depths)
    assert metrics.mean_depth_of(histogram) == pytest.approx(metrics.mean_exit_depth(depths))


@given(st.lists(st.integers(1, 12), min_size=1))
def test_efficacy_of_equal_layers_is_its_closed_form(depths):
    m = metrics.mean_exit_depth(depths)
    assert metrics.efficacy(metrics.exit_histogram(depths, 12)) == pytest.approx(1 - (m - 0.5) / 12)


def test_efficacy_counts_real_costs():
    # All leave at exit 1, which costs a tenth: only the triangle before it is missing.
    assert metrics.efficacy([5, 0], costs=[1, 10]) == pytest.approx(1 - 0.05)


def test_the_two_readings_of_the_headline_differ_as_published():
    clean, attacked = metrics.layer_speedup(6, 12), metrics.layer_speedup(10.8, 12)
    assert metrics.gain_lost(clean, attacked) == pytest.approx(0.889, abs=5e-4)
    assert metrics.gain_lost_layers(6, 10.8, 12) == pytest.approx(0.8)


def test_no_gain_cannot_be_lost():
    assert metrics.gain_lost(1.0, 0.9) is None
    assert metrics.gain_lost(0.95, 0.9) is None
    assert metrics.gain_lost_layers(6, 6, 6) is None


def test_an_attack_can_take_more_than_the_gain():
    assert metrics.gain_lost(2.0, 0.9) == pytest.approx(1.1)


def test_speedup_and_saving_are_one_fact():
    macs, full = np.array([1.0, 3.0]), np.array([4.0, 4.0])
    assert metrics.mac_speedup(macs, full) == 2.0
    assert metrics.mac_saving(macs, full) == pytest.approx(1 - 1 / metrics.mac_speedup(macs, full))


def test_curve_area_is_a_mean_score():
    assert metrics.curve_area([3, 1, 2], [0.8, 0.8, 0.8]) == pytest.approx(0.8)
    assert metrics.curve_area([1, 3], [0.5, 1.0]) == pytest.approx(0.75)
    assert metrics.curve_area([1, 3, 3], [0.5, 1.0, 0.2]) == pytest.approx(0.75)
    assert metrics.curve_area([2, 2], [0.5, 1.0]) is None


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: metrics.accuracy([], []), "at least one"),
        (lambda: metrics.accuracy([1], [1, 2]), "1 and 2"),
        (lambda: metrics.exit_histogram([0, 1], 3), "1 … 3"),
        (lambda: metrics.exit_histogram([1, 4], 3), "1 … 3"),
        (lambda: metrics.mean_exit_depth([[1, 2]]), r"shape \(1, 2\)"),
    ],
)
def test_wrong_columns_are_named(call, words):
    with pytest.raises(ExitbenchError, match=words):
        call()
