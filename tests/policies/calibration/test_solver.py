"""The solver keeps its budgets, is never behind the released sweep, and finds the best where that is known."""

import math

import pytest
import torch
from budgets import brute_force, made_up, one_for_all, overspender
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.policies.calibration import geometric_sweep, solver
from benchmark.policies.calibration.evidence import Evidence, isotonic_accuracy, outcomes
from benchmark.types import ExitbenchError

KINDS = [{"exits": 3}, {"exits": 2}, {"exits": 3, "ties": True}, {"exits": 3, "lengths": True}, {"exits": 5, "n": 40}]


def check_against_the_sweep(solve, evidence, estimate):
    """At the cost of each of the 59 released points: as many right answers, for no more MACs."""
    sweep = outcomes(evidence, geometric_sweep.sweep(evidence))
    kept = (sweep.macs >= evidence.macs[:, 0].mean()) & (sweep.macs <= evidence.macs[:, -1].mean())
    found = outcomes(evidence, solve(evidence, sweep.macs[kept].tolist(), estimate))
    assert (found.macs <= sweep.macs[kept] * (1 + 1e-9)).all()
    assert (found.accuracy >= sweep.accuracy[kept] - 1e-12).all()


@pytest.mark.parametrize("estimate", solver.ESTIMATES)
@pytest.mark.parametrize("kind", KINDS, ids=str)
@given(seed=st.integers(0, 10_000))
@settings(max_examples=3, deadline=None)
def test_never_behind_the_released_sweep_at_its_cost(kind, estimate, seed):
    check_against_the_sweep(solver.solve, made_up(seed, **kind), estimate)


@pytest.mark.parametrize("broken", [overspender, one_for_all])
def test_broken_solvers_are_caught(broken):
    with pytest.raises(AssertionError):
        check_against_the_sweep(broken, made_up(0, n=200), "isotonic")


@pytest.mark.parametrize("kind", KINDS[:4], ids=str)
@given(seed=st.integers(0, 10_000), share=st.floats(0, 1))
@settings(max_examples=6, deadline=None)
def test_counted_is_the_best_of_all_thresholds(kind, seed, share):
    evidence = made_up(seed, n=25, **kind)
    low, high = float(evidence.macs[:, 0].mean()), float(evidence.macs[:, -1].mean())
    budget = low + share * (high - low)
    found = outcomes(evidence, solver.solve(evidence, [budget], "counted"))
    assert float(found.macs) <= budget * (1 + 1e-9)
    assert float(found.accuracy) == pytest.approx(brute_force(evidence, budget))


def test_many_exits_are_nearly_the_best():
    evidence = made_up(3, n=14, exits=4)
    low, high = float(evidence.macs[:, 0].mean()), float(evidence.macs[:, -1].mean())
    for share in (0.2, 0.5, 0.8):
        budget = low + share * (high - low)
        found = float(outcomes(evidence, solver.solve(evidence, [budget], "counted")).accuracy)
        assert found >= brute_force(evidence, budget) - 1.5 / 14


def test_isotonic_does_not_take_luck_for_skill():
    """On fresh samples of the same kind the counted optimum falls further below its promise than the isotonic one."""
    promise = dict.fromkeys(solver.ESTIMATES, 0.0)
    for seed in range(4):
        seen, fresh = made_up(seed, n=400), made_up(100 + seed, n=4000)
        budgets = outcomes(seen, geometric_sweep.sweep(seen)).macs[5:40:7].tolist()
        for name in promise:
            found = solver.solve(seen, budgets, name)
            promise[name] += float((outcomes(seen, found).accuracy - outcomes(fresh, found).accuracy).mean())
    assert promise["counted"] > promise["isotonic"]


def test_smoothing_keeps_what_was_counted():
    evidence = made_up(1, n=500, ties=True)
    fit = isotonic_accuracy(evidence)
    torch.testing.assert_close(fit.sum(0), evidence.right.double().sum(0))
    for sure, column in zip(evidence.certainty.T, fit.T, strict=True):
        assert (column[sure.argsort(stable=True)].diff() >= -1e-12).all()


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_ends_of_the_range_are_taken(share):
    evidence = made_up(2)
    ends = [float(evidence.macs[:, 0].mean()), float(evidence.macs[:, -1].mean())]
    found = outcomes(evidence, solver.solve(evidence, [ends[int(share)]]))
    assert float(found.macs) <= ends[int(share)] * (1 + 1e-9)


@pytest.mark.parametrize("gmacs", [0.0009, 0.0053])
def test_a_budget_outside_the_range_names_it_and_the_named_ends_are_taken(gmacs):
    evidence = made_up(2)  # 0.001 to 0.005196 GMACs
    with pytest.raises(ExitbenchError, match=r"from 0\.001 .* to 0\.005196 .*got 0\.00") as refused:
        solver.solve(evidence, [gmacs * 1e9])
    assert "\n" not in str(refused.value)
    solver.check(evidence, [0.001e9, 0.005196e9])


def test_one_exit_leaves_nothing_to_solve():
    evidence = made_up(2)
    one = Evidence(evidence.certainty[:, :1], evidence.right[:, :1], evidence.macs[:, :1])
    with pytest.raises(ExitbenchError, match="at least two exits"):
        solver.solve(one, [1e6])


def test_outcomes_are_those_of_each_sample():
    evidence = made_up(4, n=50, exits=4, lengths=True)
    thresholds = torch.rand(7, 3, generator=torch.Generator().manual_seed(0))
    thresholds[0] = math.inf
    found = outcomes(evidence, thresholds)
    for row, (accuracy, macs, leaving) in enumerate(zip(found.accuracy, found.macs, found.leaving, strict=True)):
        at = [next((k for k in range(3) if sure[k] >= thresholds[row, k]), 3) for sure in evidence.certainty]
        samples = torch.arange(50)
        assert float(accuracy) == pytest.approx(float(evidence.right[samples, at].double().mean()))
        assert float(macs) == pytest.approx(float(evidence.macs[samples, at].mean()))
        assert leaving.tolist() == pytest.approx([at.count(k) / 50 for k in range(4)])
        assert float(found.depth[row]) == pytest.approx(1 + sum(at) / 50)


def slow_sweep(evidence, p):
    """The released protocol, sample by sample."""
    n, exits = len(evidence), evidence.num_exits
    weights = [(p / 20) ** k for k in range(1, exits + 1)]
    gone, found = set(), []
    for k in range(exits - 1):
        wanted, threshold, count = math.floor(n * weights[k] / sum(weights) + 1e-6), math.inf, 0
        for sample in sorted(range(n), key=lambda s: -float(evidence.certainty[s, k])):
            if sample not in gone:
                count += 1
                if count == wanted:
                    threshold = float(evidence.certainty[sample, k])
                    break
        gone |= {s for s in range(n) if float(evidence.certainty[s, k]) >= threshold}
        found.append(threshold)
    return found


@pytest.mark.parametrize("kind", [{"exits": 3}, {"exits": 3, "ties": True}, {"exits": 4}], ids=str)
def test_the_geometric_sweep_is_the_released_one(kind):
    evidence = made_up(5, n=70, **kind)
    sweep = geometric_sweep.sweep(evidence)
    assert sweep.shape == (59, kind["exits"] - 1)
    for p in (1, 7, 20, 33, 59):
        released = torch.tensor(slow_sweep(evidence, p))
        # The same samples reach the threshold, which lies below the released one: that is a sample's own value.
        reached = evidence.certainty[:, :-1] >= released
        assert torch.equal(evidence.certainty[:, :-1] >= sweep[p - 1], reached)
        assert ((sweep[p - 1] < released) | released.isinf()).all()


def test_thresholds_lie_between_the_values_seen():
    evidence = made_up(6)
    for row in solver.solve(evidence, [2e6, 3e6]):
        for exit_, value in enumerate(row.tolist()):
            gap = (evidence.certainty[:, exit_] - value).abs().min()
            assert gap > 0 or value <= float(evidence.certainty[:, exit_].min())
