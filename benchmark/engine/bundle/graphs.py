"""The graphs of a bundle: one a stage, and the exit rule's signal after each exit but the last."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmark.engine import onnx_graphs
from benchmark.engine.onnx_stage_graph import Stage, Started
from benchmark.policies.base import ThresholdPolicy
from benchmark.policies.calibration.per_exit import PerExit
from benchmark.types import Batch, ExitbenchError

LARGEST = 3e38  # stands for infinity, which JSON does not have


def export_stages(model: Any, batch: Batch, folder: Path, quantise: bool) -> list[dict[str, Any]]:
    """Write stage_1.onnx … stage_E.onnx; for each its file, and `next`: input of the next stage -> where it is from.

    batch: an example; if texts in it differ in length, the graphs take padded batches. They take batches of any size.

    Raises:
        ExitbenchError: a stage that cannot become a graph.
    """
    running: Any = Started(batch)
    stages = []
    for depth in range(1, model.num_exits + 1):
        stage, file = Stage(model, running, depth), folder / f"stage_{depth}.onnx"
        plain = folder / f"stage_{depth}.float32.onnx" if quantise else file
        stage.export(plain)
        if quantise:
            onnx_graphs.quantise_int8(plain, file)
            for leftover in folder.glob(f"{plain.name}*"):
                leftover.unlink()
        stages.append({"file": file.name, "next": stage.handed_on()})
        running = stage.after
    return stages


def export_rule(policy: ThresholdPolicy, columns: int, exits: int, folder: Path) -> list[dict[str, Any]]:
    """Write rule_1.onnx … for the exits but the last, each needed form once; for each exit its file and threshold.

    columns: how many the rule reads. A graph maps columns (b, ·) and the rule's state to its signal (b,), before it is
    compared with the threshold, and the next state.

    Raises:
        ExitbenchError: a rule that draws random numbers, or that cannot become a graph.
    """
    state = _start(policy)
    signal = policy.certainty if isinstance(policy, PerExit) else policy.signal
    example = torch.linspace(-1, 1, 2 * columns).view(2, columns)
    rules, made = [], dict[object, str]()
    for depth, threshold in enumerate(thresholds(policy, exits), 1):
        with torch.no_grad():
            after = signal(example, state)[1]
        outputs = ("signal",) if after is state else ("signal", "next_state")

        def function(*arrays: Tensor, parts: int = len(outputs)) -> tuple[Tensor, ...]:
            return signal(*arrays)[:parts]

        kind = state.shape, state.dtype  # what a graph of the same rule can depend on
        if kind not in made:
            made[kind] = f"rule_{depth}.onnx"
            names = ("columns", "state"), outputs
            onnx_graphs.export(
                None, function, [example, state], names, folder / made[kind], what=f"policy {policy.name}"
            )
        rules.append({"rule": made[kind], "threshold": threshold})
        state = after
    return rules


def thresholds(policy: ThresholdPolicy, exits: int) -> list[float | None]:
    """The threshold at each exit but the last; None where no sample may stop."""
    own: Sequence[float] = policy.thresholds if isinstance(policy, PerExit) else [policy.threshold] * (exits - 1)
    never = float("inf") if policy.rising else float("-inf")
    return [None if value == never else max(-LARGEST, min(LARGEST, value)) for value in own]


def start_row(policy: ThresholdPolicy) -> tuple[list[float], str]:
    """The rule's state before exit 1, of one sample, and its NumPy type."""
    row = (
        _start(policy)[0].clamp(-LARGEST, LARGEST) if policy.start(1, "cpu").is_floating_point() else _start(policy)[0]
    )
    return row.tolist(), str(row.dtype).removeprefix("torch.")


def _start(policy: ThresholdPolicy) -> Tensor:
    """The state (2, …) before exit 1."""
    state = policy.start(2, "cpu")
    if not torch.equal(state, policy.start(2, "cpu")) or not torch.equal(state[0], state[1]):
        raise ExitbenchError(f"policy {policy.name}: expected a rule that starts all samples alike, got one that draws")
    return state
