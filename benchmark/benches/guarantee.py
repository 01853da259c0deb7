"""Guaranteed thresholds on each shipped checkpoint and rule: test loss and price, by the mean and by the three bounds.

    exitbench bench guarantee [models=all] [max_drop=0.01] [guarantee=0.95] [draws=200] [out=results/guarantee]

A threshold is chosen on the calibration split in four ways: by its mean (`policy.guarantee=0`) and by each
`policy.bound`. Shown are its MAC speed-up and the accuracy it loses on the test split, and its price, the MACs over
those of the threshold chosen by the mean. How often a promise is broken is counted with known truth: calibration and
test split together are taken as the whole population, `draws` calibration sets of the usual size are drawn from it with
replacement, and a promise is broken where the chosen threshold loses more than max_drop on the population. All figures
are replays of traces, without a clock. A checkpoint whose data cannot be had is left out with a line.
"""

from __future__ import annotations

from pathlib import Path

import torch

from benchmark.benches.support.guarantee_report import Row, table, write
from benchmark.benches.support.setup import parse_options
from benchmark.benches.support.traces import Traces, load
from benchmark.config.choices import files, roots
from benchmark.models.pretrained.weights import WEIGHTS
from benchmark.policies.base import ThresholdPolicy
from benchmark.policies.calibration import operating_point
from benchmark.policies.calibration.guarantee import (
    BOUNDS,
    Guarantee,
    exit_losses,
    loss_sequence,
    safe_confidence,
)
from benchmark.policies.calibration.risk_bounds import Bound, LossSequence
from benchmark.policies.confidence import Confidence
from benchmark.policies.entropy import Entropy
from benchmark.policies.learned import Learned
from benchmark.policies.patience import Patience
from benchmark.policies.pcee import PatientConfident
from benchmark.policies.replay import trace_depths, trace_signals
from benchmark.policies.vote import Vote
from benchmark.types import ExitbenchError
from benchmark.utils.progress import track

DEFAULTS = {"models": "all", "max_drop": 0.01, "guarantee": 0.95, "draws": 200, "out": ""}
RULES = (Confidence(0.5), Entropy(0.5), PatientConfident(0.5), Patience(1), Vote(1), Learned(0.5))


def main(arguments: list[str]) -> int:
    """Print the table and, with `out`, write guarantee.csv and guarantee.md into that folder.

    Raises:
        ExitbenchError: an argument that is not one of DEFAULTS, or a value out of its range; a model that is not there.
    """
    options = parse_options("guarantee", DEFAULTS, arguments)
    Guarantee(options["guarantee"])
    torch.set_num_threads(1)
    rows: list[Row] = []
    for name in (bar := track(checkpoints(options["models"]), "guarantee", unit="checkpoint")):
        bar.set_postfix_str(name)
        try:
            traces = load(name)
        except ExitbenchError as error:
            if options["models"] != "all":
                raise
            print(f"left out: {name}: {error}")
            continue
        for rule in RULES if traces.test.logits.shape[1] > 1 else ():
            if rule.reads == "logits" or traces.test.extra is not None:
                rows += compare(traces, rule, options["max_drop"], options["guarantee"], options["draws"])
    print(table(rows))
    if options["out"]:
        settings = " ".join(f"{key}={value}" for key, value in options.items())
        for path in write(rows, f"exitbench bench guarantee {settings}", options, Path(options["out"])):
            print(f"wrote {path}")
    return 0


def checkpoints(wanted: str) -> list[str]:
    """The named models, or all with weights in this repository."""
    if wanted != "all":
        return wanted.split(",")
    return sorted({path.stem for path in WEIGHTS.glob("*.safetensors")} & set(files("model", roots(""))))


def compare(traces: Traces, rule: ThresholdPolicy, max_drop: float, probability: float, draws: int) -> list[Row]:
    """One row per way to choose the threshold, the mean first."""
    rows: list[Row] = []
    for choice, (bound, kind) in {"mean": (by_mean, "signed"), **BOUNDS}.items():
        guarantee = Guarantee(0.0 if choice == "mean" else probability, choice if choice in BOUNDS else "wsr")
        settled, point = operating_point.find_operating_point(
            rule, None, traces.calibration, traces.calibration_macs, True, max_drop, "accuracy", guarantee
        )
        loss, macs = on_test(settled, traces)
        cheapest = rows[0].gmacs if rows else macs / 1e9
        rows.append(
            Row(
                traces.model,
                traces.dataset,
                rule.name,
                choice,
                len(traces.calibration.labels),
                len(traces.test.labels),
                point.section()["threshold"],
                point.calibration_accuracy_full - point.calibration_accuracy,
                loss,
                macs / 1e9,
                float(traces.test_macs[:, -1].mean()) / macs,
                macs / 1e9 / cheapest - 1,
                *broken(traces, rule, bound, kind, max_drop, 1 - probability, draws),
            )
        )
    return rows


def on_test(policy: ThresholdPolicy, traces: Traces) -> tuple[float, float]:
    """The accuracy that a rule at its threshold loses on the test split, and its mean MACs."""
    chosen = (trace_depths(policy, traces.test) - 1)[:, None]
    right = traces.test.logits.argmax(-1) == traces.test.labels[:, None]
    lost = right[:, -1].double().mean() - right.gather(1, chosen).double().mean()
    return float(lost), float(traces.test_macs.gather(1, chosen).mean())


def broken(
    traces: Traces, rule: ThresholdPolicy, bound: Bound, kind: str, max_drop: float, error: float, draws: int
) -> tuple[float, float]:
    """The share of draws whose threshold loses more than max_drop on the population, and the mean loss over draws."""
    parts = (traces.calibration, traces.test)
    right = torch.cat([part.logits.argmax(-1) == part.labels[:, None] for part in parts])
    signal = torch.cat([trace_signals(rule, part)[:, :-1].float() for part in parts])
    confidence = signal if rule.rising else -signal
    losses = exit_losses(right)
    value, population = loss_sequence(confidence, losses["signed"])
    truth = population.totals() / len(right)  # if samples exit from each confidence on
    size, draw = len(traces.calibration.labels), torch.Generator().manual_seed(0)
    lost = []
    for _ in range(draws):
        drawn = torch.randint(len(right), (size,), generator=draw)
        above = safe_confidence(confidence[drawn], losses[kind][drawn], bound, max_drop, error)
        # Values descend; those before this position are above `above`, and there are none if no sample may exit.
        over = int(torch.searchsorted(-value, torch.tensor(-above, dtype=value.dtype)))
        lost.append(float(truth[max(0, over - 1)]))
    return sum(loss > max_drop + 1e-9 for loss in lost) / draws, sum(lost) / draws


def by_mean(losses: LossSequence, limit: float, error: float) -> int:
    """The choice without a guarantee: the cheapest threshold whose mean loss is allowed."""
    allowed = losses.totals() / losses.n <= limit + 1e-9
    return int(allowed.nonzero().max()) + 1
