"""The comparison as CSV, Markdown and text, one table each; files are written atomically."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from benchmark.benches.support.peer_row import Row
from benchmark.utils.files import atomic_write

TITLES = {
    "latency": "Latency of one call, medians with 95% intervals",
    "gmacs": "What one call costs, counted",
    "offline": "Early exit in batches, medians; ratios with 95% intervals over rounds",
}
HEAD = ("case", "tool", "measured", "interval", "over ours", "note")


def cells(rows: Sequence[Row]) -> dict[str, list[tuple[str, ...]]]:
    """Rows by comparison as text under HEAD."""
    found: dict[str, list[tuple[str, ...]]] = {name: [] for name in TITLES}
    for row in rows:
        measured = "" if row.value is None else f"{row.value:.4g} {row.unit}"
        ratio = "" if row.to_ours is None else f"{row.to_ours:.3f}"
        ratio_interval = _interval(row.to_ours_lo, row.to_ours_hi)
        found[row.comparison].append(
            (row.case, row.tool, measured, _interval(row.lo, row.hi), f"{ratio} {ratio_interval}".strip(), row.note)
        )
    return {name: lines for name, lines in found.items() if lines}


def text(rows: Sequence[Row]) -> str:
    """For a terminal."""
    parts = []
    for name, lines in cells(rows).items():
        widths = [max(map(len, column)) for column in zip(HEAD, *lines, strict=True)]
        parts.append(f"{TITLES[name]}\n" + "\n".join(_padded(line, widths) for line in (HEAD, *lines)))
    return "\n\n".join(parts)


def markdown(rows: Sequence[Row], about: str) -> str:
    """A page; `about` says with which command, when and where."""
    parts = [f"# Beside what people use today\n\n{about}"]
    for name, lines in cells(rows).items():
        table = [HEAD, ("---",) * len(HEAD), *lines]
        parts.append(f"## {TITLES[name]}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in table))
    return "\n\n".join(parts) + "\n"


def write(rows: Sequence[Row], about: str, folder: Path) -> list[Path]:
    """peers.csv, with all digits, and peers.md in a folder.

    Raises:
        Unwritable: it cannot be written.
    """
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(Row._fields)
    writer.writerows(rows)
    files = {folder / "peers.csv": lines.getvalue(), folder / "peers.md": markdown(rows, about)}
    for path, content in files.items():
        with atomic_write(path) as temporary:
            temporary.write_text(content, encoding="utf-8")
    return list(files)


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"[{low:.4g}, {high:.4g}]"


def _padded(line: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
