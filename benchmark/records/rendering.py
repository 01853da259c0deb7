"""A leaderboard's main columns for people: a table per machine, dataset and scenario, as terminal text and Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pandas as pd

from benchmark.records.columns import COLUMNS

WIDTH = 120
# column -> what it is called, and how its values are spelled
_MAIN = {
    "rank": ("#", "{}"),
    "model": ("model", "{}"),
    "workload": ("workload", "{}"),
    "policy": ("policy", "{}"),
    "threshold": ("thresh", "{:.4g}"),
    "hardware": ("hw", "{}"),
    "n": ("n", "{}"),
    "accuracy": ("acc", "{:.3f}"),
    "accuracy_full": ("full", "{:.3f}"),
    "gmacs_mean": ("GMACs", "{:.4f}"),
    "mac_speedup": ("MAC×", "{:.2f}"),
    "mean_exit_depth": ("depth", "{:.2f}"),
    "latency_ms_p50": ("p50 ms", "{:.2f}"),
    "speedup": ("time×", "{:.2f}"),
    "realized": ("real", "{:.2f}"),
    "gain_lost": ("lost", "{:.0%}"),
    "status": ("status", "{}"),
}
_SIDES = ["<" if COLUMNS[name] == "text" else ">" for name in _MAIN]


class Part(NamedTuple):
    """A table of one machine, dataset and scenario: its title, and lines of text cells, the header first."""

    title: str
    lines: list[list[str]]


def parts(table: pd.DataFrame) -> list[Part]:
    """The tables of a leaderboard, machine by machine: milliseconds of two machines share none."""
    head = [label for label, _ in _MAIN.values()]
    columns = [_spelled(table[name], spelling) for name, (_, spelling) in _MAIN.items()]
    groups = zip(table["fingerprint"], table["dataset"], table["scenario"], strict=True)
    found: dict[tuple[str, str, str], list[list[str]]] = {}
    for group, *line in zip(groups, *columns, strict=True):
        found.setdefault(group, [head]).append(line)
    return [Part(f"{place[1]}, {place[2]}, machine {place[0]}", found[place]) for place in sorted(found)]


def _spelled(column: Any, spelling: str) -> list[str]:
    values = column.tolist()
    if column.dtype == "float64":
        return ["–" if value != value else spelling.format(value) for value in values]  # only NaN is not itself
    return ["–" if value is None or value is pd.NA else str(value) for value in values]


def render(shown: Sequence[Part]) -> str:
    """The main columns for a terminal of 120 characters, one table per dataset and machine.

    MAC×: speed-up in MACs. time×: measured, with its interval in the CSV. real: time× / MAC×. lost: gain_lost.
    """
    return "\n\n".join(f"{title}\n{_align(lines)}" for title, lines in shown) or "no records"


def _align(lines: list[list[str]]) -> str:
    """Columns under each other; long names are cut as little as the width allows."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for longest, gap in ((24, 2), (24, 1), (16, 1), (12, 1), (8, 1)):
        widths = [min(width, longest) for width in widths]
        if sum(widths) + gap * (len(widths) - 1) <= WIDTH:
            break
    spelling = (" " * gap).join(f"{{:{side}{width}.{width}}}" for side, width in zip(_SIDES, widths, strict=True))
    long = [place for place, (side, width) in enumerate(zip(_SIDES, widths, strict=True)) if side == "<" and width >= 8]
    return "\n".join(spelling.format(*_cut(line, long, widths)).rstrip() for line in lines)


def _cut(line: list[str], long: list[int], widths: list[int]) -> list[str]:
    """The cells, those too long for their column ending in an ellipsis."""
    line = list(line)
    for place in long:
        if len(line[place]) > widths[place]:
            line[place] = f"{line[place][: widths[place] - 1]}…"
    return line


def to_markdown(shown: Sequence[Part]) -> str:
    """The same tables as Markdown."""
    return "\n\n".join(map(_markdown, shown)) + "\n" if shown else "No records.\n"


def _markdown(part: Part) -> str:
    def lines() -> Iterator[str]:
        head, *body = ([cell.replace("|", "\\|") for cell in line] for line in part.lines)
        yield from (f"**{part.title}**", "", f"| {' | '.join(head)} |")
        yield f"|{'|'.join('---' if side == '<' else '---:' for side in _SIDES)}|"
        yield from (f"| {' | '.join(line)} |" for line in body)

    return "\n".join(lines())
