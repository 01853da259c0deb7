"""The attack section of a record: depth, cost and accuracy before and after, by clean answer, and against queries.

Depths, costs and answers are those of the measured model under the measured rule, replayed from its traces. The
columns of `Perturbed.facts` come from the search, which in a transfer attack ran on another model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from benchmark.attacks.examples import examples
from benchmark.records import attack_intervals, metrics
from benchmark.types import Perturbed, Sample, Trace

# Numbers of queries at which the loss of gain is reported, up to the most that a sample spent.
BUDGETS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000, 1500, 2000, 3000, 5000, 10000)


@dataclass(frozen=True, eq=False)
class Side:
    """The clean or attacked side: the trace of N samples, cumulative MACs (N, E), exit depths (N,)."""

    trace: Trace
    macs: Tensor
    depth: Tensor

    @property
    def answers(self) -> np.ndarray:
        """Answers of the exits taken (N,)."""
        rows = np.arange(len(self.depth))
        return self.trace.logits.numpy()[rows, self.depth.numpy() - 1].argmax(-1)

    @property
    def last_answers(self) -> np.ndarray:
        """Answers of the last exit (N,)."""
        return self.trace.logits[:, -1].argmax(-1).numpy()

    @property
    def spent(self) -> np.ndarray:
        """MACs up to the exits taken (N,)."""
        return self.macs.numpy()[np.arange(len(self.depth)), self.depth.numpy() - 1]

    @property
    def full(self) -> np.ndarray:
        """MACs of all exits (N,)."""
        return self.macs.numpy()[:, -1]


def section(perturbed: Perturbed, clean: Sequence[Sample], before: Side, after: Side) -> dict[str, Any]:
    """The attack section; empty for the clean workload.

    Means of all per-sample columns (`<name>_mean`) and the measures of `_measures` over all samples; the same under
    `right` and `wrong`, for the samples whose clean answer was right or wrong; `against_queries`; `examples`.
    `<name>_lo` and `<name>_hi`: 95% intervals of gain lost and queries, by `interval_method`; `per_sample`: the columns
    that they are computed from.
    """
    if not perturbed.facts:
        return {}
    labels = before.trace.labels.numpy()
    right = before.answers == labels
    every = np.ones(len(right), dtype=bool)
    return {
        "settings": dict(perturbed.settings),
        "from_cache": perturbed.from_cache,
        **_measures(perturbed, before, after, every),
        **intervals(perturbed, before, after),
        "right": _measures(perturbed, before, after, right),
        "wrong": _measures(perturbed, before, after, ~right),
        "against_queries": against_queries(perturbed, before.trace.logits.shape[1]),
        "examples": examples(perturbed, clean, before.depth, after.depth, before.answers, after.answers),
        "per_sample": per_sample(perturbed, before, after),
    }


def intervals(perturbed: Perturbed, before: Side, after: Side) -> dict[str, float | str]:
    """`<name>_lo` and `<name>_hi` of the gains lost and of `queries_mean`, without those that are not defined."""
    num_exits, old, new = before.macs.shape[1], before.depth.numpy(), after.depth.numpy()
    sides = ((before.spent, before.full), (after.spent, after.full))
    found = {
        "gain_lost": attack_intervals.gain_lost(old, new, num_exits),
        "gain_lost_layers": attack_intervals.gain_lost_layers(old, new, num_exits),
        "gain_lost_macs": attack_intervals.gain_lost_macs(*sides, cheapest=float(after.macs[:, 0].double().mean())),
        "queries_mean": attack_intervals.mean(perturbed.facts["queries"]) if "queries" in perturbed.facts else None,
    }
    known = {name: ends for name, ends in found.items() if ends is not None}
    lows = {f"{name}_lo": lo for name, (lo, _) in known.items()}
    highs = {f"{name}_hi": hi for name, (_, hi) in known.items()}
    return {**lows, **highs, "interval_method": attack_intervals.METHOD}


def per_sample(perturbed: Perturbed, before: Side, after: Side) -> dict[str, list[float]]:
    """Columns of N numbers: index, depth, MACs spent and full before and after, queries."""
    columns = {
        "index": np.array([sample.index for sample in perturbed.samples]),
        **{f"depth_{name}": side.depth.numpy() for name, side in (("before", before), ("after", after))},
        **{f"macs_{name}": side.spent for name, side in (("before", before), ("after", after))},
        **{f"macs_full_{name}": side.full for name, side in (("before", before), ("after", after))},
        "queries": np.asarray(perturbed.facts.get("queries", [])),
    }
    return {name: [int(value) if float(value).is_integer() else float(value) for value in column.tolist()]
            for name, column in columns.items() if len(column)}  # fmt: skip


def _measures(perturbed: Perturbed, before: Side, after: Side, mask: np.ndarray) -> dict[str, float | None]:
    """Figures over the samples of a mask (N,); only their number, 0, for an empty one."""
    n = int(mask.sum())
    if not n:
        return {"n": 0}
    facts: dict[str, float | None] = {
        f"{name}_mean": float(np.mean(np.asarray(column)[mask])) for name, column in perturbed.facts.items()
    }
    if (mse := facts.get("changed_mse_mean")) is not None:
        facts["psnr_db"] = float(-10 * np.log10(mse)) if mse > 0 else None
    num_exits = before.trace.logits.shape[1]
    old, new = _side(before, mask), _side(after, mask)
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
        "answer_kept": float((before.last_answers == after.last_answers)[mask].mean()),
    }


def _side(side: Side, mask: np.ndarray) -> dict[str, float]:
    depth, labels, macs = side.depth.numpy()[mask], side.trace.labels.numpy()[mask], side.macs.numpy()[mask]
    return {
        "depth": float(depth.mean()),
        "share_full_depth": float((depth == macs.shape[1]).mean()),
        "mac_speedup": metrics.mac_speedup(side.spent[mask], side.full[mask]),
        "efficacy": metrics.efficacy(metrics.exit_histogram(depth, macs.shape[1]), macs.mean(0)),
        "accuracy": float((side.answers[mask] == labels).mean()),
        "accuracy_full": float((side.last_answers[mask] == labels).mean()),
    }


def against_queries(perturbed: Perturbed, num_exits: int) -> list[dict[str, float | None]]:
    """Loss of gain if every sample's search had ended after so many queries, by the depths that the search saw.

    queries: the budget of each sample; queries_mean: the mean spent, as a search ends when it succeeds.
    """
    if not perturbed.trails:
        return []
    spent = np.asarray(perturbed.facts["queries"])
    rows = []
    before = [trail[0][1] for trail in perturbed.trails]
    clean = float(np.mean(before))
    for budget in sorted({*(b for b in BUDGETS if b < spent.max()), int(spent.max())}):
        reached = [[depth for queries, depth in trail if queries <= budget][-1] for trail in perturbed.trails]
        depth = float(np.mean(reached))
        lo, hi = attack_intervals.gain_lost(before, reached, num_exits) or (None, None)
        rows.append(
            {
                "queries": budget,
                "queries_mean": float(np.minimum(spent, budget).mean()),
                "depth": depth,
                "gain_lost": metrics.gain_lost(num_exits / clean, num_exits / depth),
                "gain_lost_lo": lo,
                "gain_lost_hi": hi,
                "gain_lost_layers": metrics.gain_lost_layers(clean, depth, num_exits),
            }
        )
    return rows
