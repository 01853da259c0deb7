"""Ranks of exit rules: areas are those of records, a rule does not part from itself, and noise comes last."""

import numpy as np
import pytest

from benchmark.benches import exit_rules_ranks as ranks
from benchmark.benches import exit_rules_sweep
from benchmark.benches.support.traces import Traces
from benchmark.policies.calibration.accuracy_drop import area
from benchmark.policies.confidence import Confidence
from benchmark.types import ExitbenchError, Trace


def made(metric="accuracy", n=500):
    trace, macs = exit_rules_sweep.synthetic(2 * n, 4, 2)
    halves = []
    for part in (slice(n), slice(n, None)):
        extra = trace.extra[part] if trace.extra is not None else None
        halves += [Trace(trace.logits[part], trace.labels[part], trace.lengths[part], extra=extra), macs[part]]
    return Traces("made", "made", *halves, metric=metric)


@pytest.mark.parametrize("metric", ["accuracy", "f1", "matthews"])
def test_equal_weights_give_the_area_of_records(metric):
    traces, even = made(metric), np.full((1, 500), 1 / 500)
    for name in ("entropy", "patience", "beem"):
        rule = ranks.RULES[name]
        wanted = area(rule, traces.calibration, traces.test, traces.test_macs, metric)
        assert ranks.areas(traces, rule, even) == pytest.approx([wanted])


def test_weights_of_two_are_samples_that_occur_twice():
    traces = made(n=100)
    weights = np.repeat([[2.0, 1.0]], 50, 0).reshape(1, -1) / 150
    rows = [row for row in range(100) for _ in range(2 - row % 2)]
    twice = Trace(*(column[rows] for column in (traces.test.logits, traces.test.labels, traces.test.lengths)))
    wanted = area(Confidence(0.5), traces.calibration, twice, traces.test_macs[rows], "accuracy")
    assert ranks.areas(traces, Confidence(0.5), weights) == pytest.approx([wanted])


def test_ranks_are_shared_where_draws_do_not_part_rules(monkeypatch):
    rules = {"one": Confidence(0.5), "same": Confidence(0.7), "noise": ranks.RULES["learned"]}
    monkeypatch.setattr(ranks, "RULES", rules)
    rows = ranks.ranked(made(), 60)
    assert [row.policy for row in rows[:2]] == ["one", "same"]
    assert [row.rank for row in rows] == [1, 1, 3]
    assert rows[2].behind_lo > 0
    assert rows[1].behind == rows[1].behind_hi == 0
    assert "| 3 | made | noise |" in ranks.markdown(rows)


@pytest.mark.parametrize("word", ["draws=0", "speed=3"])
def test_mistakes_are_one_line(word):
    with pytest.raises(ExitbenchError, match="exit_rules_ranks"):
        ranks.main([word])


def test_a_metric_of_ones_own_is_refused_in_one_line():
    with pytest.raises(ExitbenchError, match="metric of its own"):
        ranks.areas(made(lambda answers, labels: 0.0), Confidence(0.5), np.full((1, 500), 1 / 500))
