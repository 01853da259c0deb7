"""Exit rules ranked where the test samples part them: areas of score–MACs curves with paired intervals.

    exitbench bench exit_rules_ranks [models=minilm_exits,minilm_learned] [draws=500] [out=results/exit_rules]

The area is `metrics.score_area`, as in the table of exit rules: thresholds from the calibration split, scores by the
task's own metric on the test split. A paired Bayesian bootstrap weights the test samples anew in each draw, with the
same weights for all rules of a checkpoint, so that what rules share cancels. `behind` is the area of the best rule less
this one's, with the 95% interval over draws. A rule's rank is 1 + the number of rules whose area is larger in at least
97.5% of draws, pair by pair: rules that the samples do not part share it. `out` receives ranks.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.benches.support.setup import parse_options
from benchmark.benches.support.traces import Traces, load
from benchmark.policies.base import ThresholdPolicy
from benchmark.policies.beem import AgreeingExperts
from benchmark.policies.calibration.threshold_grid import candidates
from benchmark.policies.confidence import Confidence
from benchmark.policies.entropy import Entropy
from benchmark.policies.flexible_patience import FlexiblePatience
from benchmark.policies.learned import Learned
from benchmark.policies.patience import Patience
from benchmark.policies.pcee import PatientConfident
from benchmark.policies.product_anytime import ProductAnytime
from benchmark.policies.replay import first_exit, trace_signals
from benchmark.policies.vote import Vote
from benchmark.records import metrics
from benchmark.types import ExitbenchError
from benchmark.utils.files import atomic_write
from benchmark.utils.progress import track

Floats = NDArray[np.float64]
DEFAULTS = {"models": "minilm_exits,minilm_learned", "draws": 500, "out": ""}
RULES: dict[str, ThresholdPolicy] = {
    "confidence": Confidence(0.5),
    "entropy": Entropy(0.5),
    "patience": Patience(1),
    "pcee": PatientConfident(0.5),
    "vote": Vote(1),
    "learned": Learned(0.5),
    "flexible_patience": FlexiblePatience(0.1),
    "beem": AgreeingExperts(1.0),
    "product_anytime": ProductAnytime(0.5),
    "product_anytime relu": ProductAnytime(0.5, "relu"),
}
POINTS = 200  # thresholds of an area, as in records
PARTED = 0.975  # share of draws


class Row(NamedTuple):
    """One rule of one checkpoint; areas are mean scores, as fractions."""

    rank: int
    model: str
    policy: str
    area: float
    behind: float
    behind_lo: float
    behind_hi: float
    n: int


def main(arguments: list[str]) -> int:
    """Print the table and, with `out`, write ranks.md into that folder.

    Raises:
        ExitbenchError: an argument that is not one of DEFAULTS, a model that is not there or has a metric of one's own.
    """
    options = parse_options("exit_rules_ranks", DEFAULTS, arguments)
    torch.set_num_threads(1)
    rows: list[Row] = []
    for name in track(options["models"].split(","), "ranks", unit="checkpoint"):
        rows += ranked(load(name), options["draws"])
    text = markdown(rows)
    print(text)
    if options["out"]:
        path = Path(options["out"]) / "ranks.md"
        settings = " ".join(f"{key}={value}" for key, value in options.items())
        head = "# Exit rules, ranked where the test samples part them\n\n"
        with atomic_write(path) as temporary:
            temporary.write_text(f"{head}    exitbench bench exit_rules_ranks {settings}\n\n{text}\n", encoding="utf-8")
        print(f"wrote {path}")
    return 0


def ranked(traces: Traces, draws: int) -> list[Row]:
    """The rows of one checkpoint, the largest area first; rules that it has no columns for are left out."""
    rng, n = np.random.default_rng(0), len(traces.test.labels)
    weights = np.vstack([np.ones(n), rng.standard_exponential((draws, n))])  # row 0 is the sample itself
    weights /= weights.sum(1, keepdims=True)
    rules = {name: rule for name, rule in RULES.items() if rule.reads == "logits" or traces.test.extra is not None}
    found = {name: areas(traces, rule, weights) for name, rule in rules.items()}
    order = sorted(found, key=lambda name: -found[name][0])
    best, rows = found[order[0]], []
    for name in order:
        ahead = [other for other in order if (found[other][1:] > found[name][1:]).mean() >= PARTED]
        behind = best - found[name]
        low, high = np.quantile(behind[1:], [1 - PARTED, PARTED]).tolist()
        rows.append(Row(1 + len(ahead), traces.model, name, float(found[name][0]), float(behind[0]), low, high, n))
    return rows


def areas(traces: Traces, rule: ThresholdPolicy, weights: Floats) -> Floats:
    """The rule's area (B,) under each weighting of the test samples (B, N), whose rows sum to 1.

    Raises:
        ExitbenchError: a metric of one's own, which no weights can be given to.
    """
    if not isinstance(traces.metric, str):
        raise ExitbenchError(
            f"bench exit_rules_ranks: expected accuracy, f1 or matthews of {traces.dataset}, got a metric of its own"
        )
    signal, (n, exits, classes) = trace_signals(rule, traces.test), traces.test.logits.shape
    at = candidates(rule, traces.calibration, POINTS).tolist()
    taken = [first_exit(rule.at(threshold).stops(signal)) for threshold in at]
    taken += [torch.full((n,), depth) for depth in (1, exits)]  # the ends of the scale, last
    answers, labels = traces.test.logits.argmax(-1), traces.test.labels.numpy()
    true = weights @ np.eye(classes)[labels]  # (B, C)
    macs, scores = [], []
    for depth in taken:
        chosen = (depth - 1)[:, None]
        answer = answers.gather(1, chosen)[:, 0].numpy()
        macs.append(weights @ traces.test_macs.gather(1, chosen)[:, 0].numpy())
        right, answered = weights @ (answer == labels), weights @ np.eye(classes)[answer]
        scores.append([float(metrics.score_of_counts(traces.metric, right[b : b + 1], answered[b : b + 1], true[b])[0])
                       for b in range(len(weights))])  # fmt: skip
    costs, values = np.array(macs).T, np.array(scores).T  # (B, K + 2)
    pairs = zip(costs, values, strict=True)
    return np.array([metrics.score_area(c[:-2], v[:-2], c[-2:], v[-2:]) for c, v in pairs], dtype=float)


def markdown(rows: list[Row]) -> str:
    """The table, areas in points of the metric."""
    lines = [
        "| rank | model | policy | area | behind the best (95%) | n |",
        "| ---: | --- | --- | ---: | ---: | ---: |",
    ]
    for row in rows:
        behind = (
            "–"
            if row.behind == 0
            else f"{100 * row.behind:.2f} ({100 * row.behind_lo:.2f} … {100 * row.behind_hi:.2f})"
        )
        lines.append(f"| {row.rank} | {row.model} | {row.policy} | {100 * row.area:.2f} | {behind} | {row.n} |")
    return "\n".join(lines)
