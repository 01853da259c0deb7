"""The sweep of all rules runs at any size, and its synthetic trace lets every rule tell samples apart."""

import pytest

from benchmark.benches import exit_rules_sweep
from benchmark.policies.replay import trace_depths
from benchmark.types import ExitbenchError


def test_every_rule_has_a_line(capsys):
    assert exit_rules_sweep.main(["samples=200", "exits=4", "classes=3", "thresholds=20", "rounds=1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {rule.name for rule in exit_rules_sweep.RULES} < {line.split()[0] for line in lines}


def test_rules_leave_at_several_exits_of_the_synthetic_trace():
    trace, macs = exit_rules_sweep.synthetic(300, 6, 2)
    assert macs.shape == (300, 6)
    for rule in exit_rules_sweep.RULES:
        assert len(trace_depths(rule, trace).unique()) > 1 or not rule.tunable, rule


@pytest.mark.parametrize("word", ["samples=none", "speed=3", "exits=1", "rounds=0"])
def test_mistakes_are_one_line(word):
    with pytest.raises(ExitbenchError, match="expected whole numbers such as samples=10000"):
        exit_rules_sweep.main([word])
