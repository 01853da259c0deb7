"""Evidence made on the spot for threshold solvers, their slow definition, and solvers that are broken on purpose."""

import itertools

import torch

from benchmark.policies.calibration import geometric_sweep
from benchmark.policies.calibration.evidence import Evidence, outcomes
from benchmark.policies.calibration.solver import solve


def made_up(seed: int, n: int = 60, exits: int = 3, ties: bool = False, lengths: bool = False) -> Evidence:
    """Samples of different hardness; deeper exits are right more often, and surer where they are."""
    draw = torch.Generator().manual_seed(seed)
    skill = torch.linspace(0.3, 1.5, exits) - torch.randn(n, 1, generator=draw)
    skill = skill + 0.5 * torch.randn(n, exits, generator=draw)
    right = torch.rand(n, exits, generator=draw) < torch.sigmoid(2 * skill)
    certainty = torch.sigmoid(skill + 0.7 * torch.randn(n, exits, generator=draw))
    certainty = (8 * certainty).round() / 8 if ties else certainty
    macs = (1e6 * torch.arange(1, exits + 1) ** 1.5).round().double().repeat(n, 1)
    if lengths:
        macs = (macs * (1 + torch.rand(n, 1, generator=draw))).round()
    return Evidence(certainty, right, macs)


def brute_force(evidence: Evidence, budget: float) -> float:
    """The most accuracy that any thresholds among the values seen give within a budget."""
    values = [[*column.unique().tolist(), float("inf")] for column in evidence.certainty[:, :-1].T]
    found = outcomes(evidence, torch.tensor(list(itertools.product(*values))))
    return float(found.accuracy[found.macs <= budget * (1 + 1e-12)].max())


def overspender(evidence, budgets, estimate="isotonic"):
    """Broken: spends a tenth more than it may."""
    last = float(evidence.macs[:, -1].mean())
    return solve(evidence, [min(last, 1.1 * budget) for budget in budgets], estimate)


def one_for_all(evidence, budgets, estimate="isotonic"):
    """Broken: the same share leaves at each exit, which is cheap enough and no more."""
    sweep = geometric_sweep.sweep(evidence)
    costs = outcomes(evidence, sweep).macs
    cheap = [int((costs <= budget).nonzero().max()) // 2 if (costs <= budget).any() else 0 for budget in budgets]
    return sweep[cheap]
