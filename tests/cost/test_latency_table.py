"""A latency table predicts what it was made of, between its lengths too, and is read back whole."""

import numpy as np
import pytest

from benchmark.cost import latency_table
from benchmark.cost.latency_table import LatencyTable, mean_and_half
from benchmark.types import ExitbenchError


def _table(lengths, to_exit, **changed):
    rows = {"to_exit": to_exit, "to_exit_half": to_exit, "alone": to_exit, "alone_half": to_exit}
    about = {"model": "m", "weights": "w", "hardware": "cpu_1t", "machine": "x", "batch": 1, "processes": 3}
    return LatencyTable(**about, lengths=lengths, **{**rows, **changed})


TEXTS = _table([10, 20, 40], [[1.0, 3.0], [2.0, 6.0], [4.0, 12.0]])


def test_the_mean_of_a_policy_is_that_of_its_exits():
    images = _table([0], [[1.0, 3.0, 9.0]])
    assert images.predict([0, 0, 0, 0], [1, 1, 2, 3]) == pytest.approx((1 + 1 + 3 + 9) / 4)
    assert TEXTS.predict([10, 40], [1, 2]) == pytest.approx((1 + 12) / 2)


def test_lengths_between_and_beyond_are_on_the_lines():
    found = TEXTS.milliseconds([10, 15, 20, 30, 40, 50, 5])
    assert found[:, 0].tolist() == pytest.approx([1, 1.5, 2, 3, 4, 5, 0.5])
    assert found[:, 1].tolist() == pytest.approx([3, 4.5, 6, 9, 12, 15, 1.5])


def test_the_network_alone_is_another_table():
    other = _table([0], [[1.0, 3.0]], alone=[[0.9, 2.5]])
    assert other.milliseconds([0], alone=True).tolist() == [[0.9, 2.5]]
    assert other.between() == [[1.0, 2.0]]


def test_a_table_of_images_refuses_lengths():
    with pytest.raises(ExitbenchError, match="expected length 0, got 12"):
        _table([0], [[1.0]]).predict([12], [1])


def test_it_is_read_back_whole_and_a_torn_file_is_refused(tmp_path):
    path = tmp_path / "latency" / "table.json"
    latency_table.write(TEXTS, path)
    assert latency_table.read(path) == TEXTS
    path.write_text(path.read_text()[:-40])
    with pytest.raises(ExitbenchError, match="measure it again"):
        latency_table.read(path)


def test_intervals_are_students_over_processes():
    rng, held = np.random.default_rng(0), 0
    for _ in range(400):
        mean, half = mean_and_half([rng.normal(5, 1, size=3) for _ in range(4)])
        held += int((abs(mean - 5) <= half).sum())
    assert 0.92 < held / 1200 < 0.98  # of 95%; four values and a normal quantile would hold 0.85
