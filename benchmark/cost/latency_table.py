"""Milliseconds to each exit on one machine, by input length: what a policy costs by the clock, without running it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from benchmark.types import ExitbenchError
from benchmark.utils.files import atomic_write

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LatencyTable:
    """Mean milliseconds of one batch, with 95% intervals over processes; rows are lengths, columns exits 1 … E.

    lengths (L,): growing; [0] for images, which all cost the same. to_exit (L, E): stages and heads up to an exit.
    alone (L, E): the network cut off behind an exit, the heads before it left out.
    """

    model: str
    weights: str
    hardware: str
    machine: str
    batch: int
    processes: int
    lengths: list[int]
    to_exit: list[list[float]]
    to_exit_half: list[list[float]]
    alone: list[list[float]]
    alone_half: list[list[float]]

    def milliseconds(self, lengths: ArrayLike, alone: bool = False) -> Floats:
        """Lengths (N,) -> milliseconds (N, E), linear between the table's lengths and beyond them.

        Raises:
            ExitbenchError: a length for a table of images, or several lengths and a table of one.
        """
        table = np.array(self.alone if alone else self.to_exit)
        wanted, known = np.asarray(lengths, dtype=float), np.array(self.lengths, dtype=float)
        if len(known) == 1:
            if np.any(wanted != known[0]):
                raise ExitbenchError(f"latency table: expected length {known[0]:.0f}, got {wanted.max():.0f}")
            return np.repeat(table, len(wanted), 0)
        left = np.clip(np.searchsorted(known, wanted, side="right") - 1, 0, len(known) - 2)
        share = ((wanted - known[left]) / (known[left + 1] - known[left]))[:, None]
        return (1 - share) * table[left] + share * table[left + 1]

    def predict(self, lengths: ArrayLike, depths: ArrayLike) -> float:
        """Mean milliseconds of samples of lengths (N,) that leave at exits (N,), 1 … E, one batch each."""
        chosen = np.asarray(depths, dtype=int) - 1
        return float(self.milliseconds(lengths)[np.arange(len(chosen)), chosen].mean())

    def between(self) -> list[list[float]]:
        """Milliseconds from each exit to the next (L, E): the first column is that to exit 1."""
        return np.diff(np.array(self.to_exit), axis=1, prepend=0.0).tolist()


def mean_and_half(processes: Sequence[Floats]) -> tuple[Floats, Floats]:
    """Means and 95% half-widths (…,) of P ≥ 2 processes' values (…,), by Student's t."""
    stacked = np.stack(list(processes))
    return stacked.mean(0), float(stdtrit(len(stacked) - 1, 0.975)) * stacked.std(0, ddof=1) / len(stacked) ** 0.5


def write(table: LatencyTable, path: Path) -> None:
    """As JSON, whole or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(asdict(table), indent=1) + "\n", encoding="utf-8")


def read(path: Path) -> LatencyTable:
    """What `write` wrote.

    Raises:
        ExitbenchError: a file that is not there or is something else.
    """
    try:
        return LatencyTable(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ExitbenchError(f"latency table: cannot read {path} ({error}); measure it again") from error
