"""The rows of the guarantee bench as text, CSV and Markdown, each file whole or not at all."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmark.utils.files import atomic_write


class Row(NamedTuple):
    """One way to choose a threshold for one rule of one checkpoint; losses are of accuracy, as fractions."""

    model: str
    dataset: str
    policy: str
    choice: str  # "mean", or the bound
    calibration_n: int
    test_n: int
    threshold: float | None  # None if no sample exits early
    calibration_loss: float
    test_loss: float
    gmacs: float
    mac_speedup: float
    price: float  # GMACs over those by the mean, minus 1
    broken: float  # share of draws
    mean_loss: float  # over draws


HEAD = ("model", "policy", "n", "by", "MAC speed-up", "price in MACs", "test loss", "broken in draws", "mean of draws")


def cells(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """Rows as text under HEAD, losses in points."""
    return [
        (
            row.model,
            row.policy,
            f"{row.calibration_n}",
            row.choice,
            f"{row.mac_speedup:.2f}",
            "" if row.choice == "mean" else f"{row.price:+.0%}",
            f"{100 * row.test_loss:+.2f}",
            f"{row.broken:.0%}",
            f"{100 * row.mean_loss:+.2f}",
        )
        for row in rows
    ]


def table(rows: Sequence[Row]) -> str:
    """For a terminal."""
    lines = [HEAD, *cells(rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)


def write(rows: Sequence[Row], command: str, options: Mapping[str, float], folder: Path) -> list[Path]:
    """guarantee.csv, with all digits, and guarantee.md in a folder.

    Raises:
        Unwritable: it cannot be written.
    """
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(Row._fields)
    writer.writerows(rows)
    written = []
    for name, content in (("guarantee.csv", lines.getvalue()), ("guarantee.md", markdown(rows, command, options))):
        path = folder / name
        with atomic_write(path) as temporary:
            temporary.write_text(content, encoding="utf-8")
        written.append(path)
    return written


def markdown(rows: Sequence[Row], command: str, options: Mapping[str, float]) -> str:
    """A page: the command, what the columns are, a summary by choice, and all rows."""
    about = (
        f"At most {100 * options['max_drop']:g} point(s) of accuracy lost, with probability "
        f"{options['guarantee']:g} over the draw of the calibration data (`crc`: in the mean over draws). `n`: "
        "calibration samples. `by`: the threshold is chosen by its mean there, without a guarantee, or by a bound. "
        "`price in MACs`: on test data, over the choice by the mean. `test loss`: points of accuracy lost on the test "
        f"split. `broken in draws`: share of {options['draws']:g} calibration sets, drawn from calibration and test "
        "split together, whose threshold loses more than was promised there; `mean of draws`: what they lose in the "
        "mean. Replays of traces, without a clock. Made by the command; not edited."
    )
    parts = [
        "# Guaranteed thresholds: promise, test loss and price",
        f"    {command}",
        about,
        _lines(summary(rows, options)),
    ]
    return "\n\n".join([*parts, _lines([HEAD, *cells(rows)])]) + "\n"


def summary(rows: Sequence[Row], options: Mapping[str, float]) -> list[tuple[str, ...]]:
    """Summary per choice over all checkpoints and rules: losses above the promise, worst share of draws, price."""
    found: list[tuple[str, ...]] = [("by", "test data lost more", "worst share of draws", "median price", "full depth")]
    for choice in dict.fromkeys(row.choice for row in rows):
        chosen = [row for row in rows if row.choice == choice]
        over = sum(row.test_loss > options["max_drop"] + 1e-9 for row in chosen)
        price = sorted(row.price for row in chosen)[len(chosen) // 2]
        full = sum(row.mac_speedup < 1 + 1e-9 for row in chosen)
        worst = max(row.broken for row in chosen)
        found.append((choice, f"{over} of {len(chosen)}", f"{worst:.0%}", f"{price:+.0%}", f"{full} of {len(chosen)}"))
    return found


def _lines(cells_: Sequence[Sequence[str]]) -> str:
    head, *rest = cells_
    rows = [head, ["---"] * len(head), *rest]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
