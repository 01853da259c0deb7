"""What a trace tells of its exits for nothing: thinking too long or too little, what is left to an oracle, leaks.

N samples, E exits, C classes; logits (N, E, C), labels (N,), and depths (N,) in 1 … E, the exits taken. The *answer* of
a sample is the class of the largest logit at the exit taken. All figures are shares of the N samples, in [0, 1].
"""

from __future__ import annotations

from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike

from benchmark.types import ExitbenchError


class ExitBehaviour(TypedDict):
    """The section `results.exit_behaviour`; each figure is explained in the function that computes it."""

    overthinking: float
    underthinking: float
    oracle_accuracy: float
    oracle_gap: float
    nonmonotone_25: float
    nonmonotone_50: float
    exit_leak: float
    exit_leak_chance: float


def exit_behaviour(logits: ArrayLike, labels: ArrayLike, depths: ArrayLike) -> ExitBehaviour:
    """All figures of this module for logits (N, E, C), labels (N,) and depths (N,).

    Raises:
        ExitbenchError: shapes that do not fit each other, labels outside 0 … C − 1, or depths outside 1 … E.
    """
    values, true, taken = _checked(logits, labels, depths)
    answers = values.argmax(-1)  # (N, E)
    right = answers == true[:, None]
    oracle = float(right.any(1).mean())
    answered_right = right[np.arange(len(taken)), taken - 1]
    chosen = answers[np.arange(len(taken)), taken - 1]  # (N,)
    loss = largest_loss(true_class_probability(values, true))
    return {
        "overthinking": overthinking(right, taken),
        "underthinking": underthinking(right, taken),
        "oracle_accuracy": oracle,
        "oracle_gap": oracle - float(answered_right.mean()),
        "nonmonotone_25": float((loss > 0.25).mean()),
        "nonmonotone_50": float((loss > 0.5).mean()),
        "exit_leak": exit_leak(chosen, taken),
        "exit_leak_chance": exit_leak_chance(chosen, taken),
    }


def overthinking(right: np.ndarray, depths: np.ndarray) -> float:
    """Share of samples whose answer is wrong although an earlier exit was right; right (N, E), depths (N,).

    The destructive overthinking of Kaya, Hong and Dumitras (Shallow-Deep Networks, ICML 2019), measured at the exit
    taken: with all depths E it is theirs, of the whole network. A right answer that an earlier exit also had costs time
    and no answer; it is not counted.
    """
    exits = np.arange(1, right.shape[1] + 1)
    return float((_wrong(right, depths) & (right & (exits < depths[:, None])).any(1)).mean())


def underthinking(right: np.ndarray, depths: np.ndarray) -> float:
    """Share of samples whose answer is wrong although a later exit would be right; right (N, E), depths (N,).

    The counterpart of `overthinking`, and 0 where all run to the last exit. A sample may count in both.
    """
    exits = np.arange(1, right.shape[1] + 1)
    return float((_wrong(right, depths) & (right & (exits > depths[:, None])).any(1)).mean())


def true_class_probability(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Softmax probability of the true class at every exit: logits (N, E, C) and labels (N,) -> (N, E)."""
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    chosen = np.take_along_axis(shifted, labels[:, None, None], -1)[..., 0]
    return chosen / shifted.sum(-1)


def largest_loss(probability: np.ndarray) -> np.ndarray:
    """How much of the probability (N, E) is lost at most from an exit to a later one: max over i < j of p_i − p_j.

    (N,), never below 0; 0 for a curve that never falls. The share of samples above a limit is how Jazbec et al.
    (Towards Anytime Classification in Early-Exit Architectures, NeurIPS 2023, arXiv 2306.02652) judge conditional
    monotonicity. It depends on the model alone, not on the exit rule.
    """
    return (np.maximum.accumulate(probability, 1) - probability).max(1)


def exit_leak(answers: np.ndarray, depths: np.ndarray) -> float:
    """How much more often the answer is guessed by who sees the exit taken than by who sees nothing; both (N,).

    The best guess from exit d is the most frequent answer there:

        Σ_d max_c n(d, c) / N  −  max_c Σ_d n(d, c) / N,   n(d, c) samples that leave at exit d with answer c.

    An observer of time or energy knows the exit, and so learns this much of the answer: Kannan, Feamster and Hoffmann
    (Prediction Privacy in Distributed Multi-Exit Neural Networks, CCS 2023) show the channel and the guess. 0 where all
    leave at one exit, never below 0. Guesses are judged on the samples they are made from, so some leak is chance:
    see `exit_leak_chance`.
    """
    table = np.zeros((int(depths.max()) + 1, int(answers.max()) + 1), dtype=np.int64)
    np.add.at(table, (depths, answers), 1)
    return float((table.max(1).sum() - table.sum(0).max()) / len(depths))


def exit_leak_chance(answers: np.ndarray, depths: np.ndarray, draws: int = 100) -> float:
    """`exit_leak` where the exit tells nothing: its mean over seeded shuffles of the exits; answers and depths (N,).

    What of `exit_leak` these samples would show without a leak; the smaller N, the more.
    """
    draw = np.random.default_rng(0)
    return float(np.mean([exit_leak(answers, draw.permutation(depths)) for _ in range(draws)]))


def _wrong(right: np.ndarray, depths: np.ndarray) -> np.ndarray:
    return ~right[np.arange(len(depths)), depths - 1]


def _checked(logits: ArrayLike, labels: ArrayLike, depths: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    # In double precision: softmax of float32 would move a sample that lies near a limit.
    values, true, taken = np.asarray(logits, dtype=np.float64), np.asarray(labels), np.asarray(depths)
    if values.ndim != 3 or 0 in values.shape or true.shape != values.shape[:1] or taken.shape != values.shape[:1]:
        wanted = "logits (N, E, C), labels (N,) and depths (N,) of at least one sample"
        raise ExitbenchError(f"exit_behaviour: expected {wanted}, got {values.shape}, {true.shape} and {taken.shape}")
    _, exits, classes = values.shape
    for name, column, low, high in (("labels", true, 0, classes - 1), ("depths", taken, 1, exits)):
        if column.min() < low or column.max() > high:
            found = f"{column.min()} … {column.max()}"
            raise ExitbenchError(f"exit_behaviour: expected {name} in {low} … {high}, got {found}")
    return values, true.astype(np.int64), taken.astype(np.int64)
