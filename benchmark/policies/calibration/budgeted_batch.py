"""The budgeted-batch protocol of MSDNet and DVT with its controls: accuracy against budget, as a record holds it."""

from __future__ import annotations

from torch import Tensor

from benchmark.policies.calibration import geometric_sweep
from benchmark.policies.calibration.evidence import Evidence, outcomes
from benchmark.policies.calibration.protocol_points import (
    evidence_by_draw,
    evidence_by_measure,
    random_exit_thresholds,
    sweep_costs,
)
from benchmark.policies.calibration.solver import solve
from benchmark.records.schema import Section
from benchmark.types import Trace


def section(clean: Trace, clean_macs: Tensor, test: Trace, macs: Tensor, estimate: str = "isotonic") -> Section:
    """Columns of 59 points: `p`, `budget_gmacs`, and for each method `gmacs_mean` and `accuracy` on test data.

    The methods: `budget`, the solver on confidence; `geometric`, the released sweep; `entropy`, the solver on entropy;
    `random`, exits drawn with budget's shares. clean: the calibration trace, where thresholds are found;
    `calibration_accuracy` shows how much of a result is overfitting. macs (N, E) cumulative.
    """
    confident, entropic, drawn = (
        _both(clean, clean_macs, test, macs, kind) for kind in ("confidence", "entropy", "draw")
    )
    sweep, budgets = geometric_sweep.sweep(confident[0]), sweep_costs(confident[0])
    best = solve(confident[0], budgets, estimate)
    ways = {
        "budget": (confident, best),
        "geometric": (confident, sweep),
        "entropy": (entropic, solve(entropic[0], budgets, estimate)),
        "random": (drawn, random_exit_thresholds(confident[0], drawn[0], budgets, estimate, best)),
    }
    points: Section = {"p": list(geometric_sweep.POINTS), "budget_gmacs": [budget / 1e9 for budget in budgets]}
    return points | {name: _columns(*both, thresholds) for name, (both, thresholds) in ways.items()}


def _both(clean: Trace, clean_macs: Tensor, test: Trace, macs: Tensor, kind: str) -> tuple[Evidence, Evidence]:
    if kind == "draw":
        return evidence_by_draw(clean, clean_macs, 0), evidence_by_draw(test, macs, 0)
    return evidence_by_measure(clean, clean_macs, kind), evidence_by_measure(test, macs, kind)


def _columns(clean: Evidence, test: Evidence, thresholds: Tensor) -> dict[str, list[float]]:
    found, there = outcomes(test, thresholds), outcomes(clean, thresholds)
    return {
        "gmacs_mean": (found.macs / 1e9).tolist(),
        "accuracy": found.accuracy.tolist(),
        "calibration_accuracy": there.accuracy.tolist(),
    }
