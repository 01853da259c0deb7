"""What an attack did, as a record holds it: before and after on what is measured, by rightness, against queries.

Depths, costs and answers are those of the measured model under the measured rule, replayed from its traces; facts are
what the search noted about its own work, which under transfer was another model's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from benchmark.attacks.examples import examples
from benchmark.records import metrics
from benchmark.types import Perturbed, Sample, Trace

# Queries at which the loss of gain is noted, as far as the search went.
BUDGETS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000, 1500, 2000, 3000, 5000, 10000)


@dataclass(frozen=True, eq=False)
class Side:
    """One side of an attack: the trace of N samples, their cumulative MACs (N, E), where they left (N,)."""

    trace: Trace
    macs: Tensor
    depth: Tensor

    @property
    def answers(self) -> np.ndarray:
        """What the exits taken answered (N,)."""
        rows = np.arange(len(self.depth))
        return self.trace.logits.numpy()[rows, self.depth.numpy() - 1].argmax(-1)

    @property
    def last_answers(self) -> np.ndarray:
        """What the last exit answers (N,)."""
        return self.trace.logits[:, -1].argmax(-1).numpy()


def section(perturbed: Perturbed, clean: Sequence[Sample], before: Side, after: Side) -> dict[str, Any]:
    """The attack section; empty for a workload that has no facts.

    Means of all facts (`<fact>_mean`) and the measures of `_measures` over all samples; the same under `right` and
    `wrong`, for the samples whose clean answer was; `against_queries`; `examples`.
    """
    if not perturbed.facts:
        return {}
    labels = before.trace.labels.numpy()
    right = before.answers == labels
    everything = np.ones(len(right), dtype=bool)
    return {
        "settings": dict(perturbed.settings),
        "from_cache": perturbed.from_cache,
        **_measures(perturbed, before, after, everything),
        "right": _measures(perturbed, before, after, right),
        "wrong": _measures(perturbed, before, after, ~right),
        "against_queries": against_queries(perturbed, before.trace.logits.shape[1]),
        "examples": examples(perturbed, clean, before.depth, after.depth, before.answers, after.answers),
    }


def _measures(perturbed: Perturbed, before: Side, after: Side, chosen: np.ndarray) -> dict[str, Any]:
    """Figures over the samples `chosen` (N,) bool; only their number where there are none."""
    n = int(chosen.sum())
    if not n:
        return {"n": 0}
    facts = {f"{name}_mean": float(np.mean(np.asarray(column)[chosen])) for name, column in perturbed.facts.items()}
    if "changed_mse_mean" in facts:
        mse = facts["changed_mse_mean"]
        facts["psnr_db"] = float(-10 * np.log10(mse)) if mse > 0 else None  # type: ignore[assignment]
    num_exits = before.trace.logits.shape[1]
    old, new = _side(before, chosen), _side(after, chosen)
    m, worse = old["depth"], new["depth"]
    return {
        "n": n,
        **facts,
        **{f"{name}_before": value for name, value in old.items()},
        **{f"{name}_after": value for name, value in new.items()},
        "share_full_depth": new["share_full_depth"],
        "gain_lost": metrics.gain_lost(num_exits / m, num_exits / worse),
        "gain_lost_layers": metrics.gain_lost_layers(m, worse, num_exits),
        "gain_lost_macs": metrics.gain_lost(old["mac_speedup"], new["mac_speedup"]),
        "answer_kept": float((before.last_answers == after.last_answers)[chosen].mean()),
    }


def _side(side: Side, chosen: np.ndarray) -> dict[str, float]:
    depth, labels, macs = side.depth.numpy()[chosen], side.trace.labels.numpy()[chosen], side.macs.numpy()[chosen]
    spent, full = macs[np.arange(len(depth)), depth - 1], macs[:, -1]
    return {
        "depth": float(depth.mean()),
        "share_full_depth": float((depth == macs.shape[1]).mean()),
        "mac_speedup": metrics.mac_speedup(spent, full),
        "efficacy": metrics.efficacy(metrics.exit_histogram(depth, macs.shape[1]), macs.mean(0)),
        "accuracy": float((side.answers[chosen] == labels).mean()),
        "accuracy_full": float((side.last_answers[chosen] == labels).mean()),
    }


def against_queries(perturbed: Perturbed, num_exits: int) -> list[dict[str, float | None]]:
    """Loss of gain had every sample's search ended after so many queries, as the search itself saw depths.

    queries: the budget of each sample; queries_mean: what of it was spent, as searches end when they have won.
    """
    if not perturbed.trails:
        return []
    spent = np.asarray(perturbed.facts["queries"])
    rows = []
    clean = float(np.mean([trail[0][1] for trail in perturbed.trails]))
    for budget in sorted({*(b for b in BUDGETS if b < spent.max()), int(spent.max())}):
        reached = [[depth for queries, depth in trail if queries <= budget][-1] for trail in perturbed.trails]
        depth = float(np.mean(reached))
        rows.append(
            {
                "queries": budget,
                "queries_mean": float(np.minimum(spent, budget).mean()),
                "depth": depth,
                "gain_lost": metrics.gain_lost(num_exits / clean, num_exits / depth),
                "gain_lost_layers": metrics.gain_lost_layers(clean, depth, num_exits),
            }
        )
    return rows
