"""The table of runtimes as rows, text, CSV and Markdown; files are written atomically."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmark.benches.support.runtime_ways import EARLY, FULL, STATIC, TWIN, WHOLE, Facts
from benchmark.timing.side_by_side import Times, mean_ms, ratio
from benchmark.timing.statistics import Interval
from benchmark.utils.files import atomic_write

RATIOS = ("speedup", "realized", "over_static", "over_twin", "over_eager", "staging")
WAYS = (FULL, EARLY, STATIC, TWIN)


class Row(NamedTuple):
    """One model on one runtime.

    ms: mean milliseconds by way. ratios: of total times, by name of RATIOS, those that there are. speedup: full depth
    over early exit. realized: that over what MACs promise. over_static, over_twin: the rival's time over early exit's,
    so above 1 early exit is quicker. over_eager: full depth in eager torch over full depth here. staging: full depth in
    stages over all exits in one graph.
    """

    facts: Facts
    runtime: str
    ms: dict[str, float]
    ratios: dict[str, Interval]
    n: int
    processes: int

    def flat(self) -> dict[str, object]:
        """As a line of the CSV file; None where there is nothing."""
        intervals: dict[str, object] = {}
        for name in RATIOS:
            value, lo, hi = self.ratios.get(name, (None, None, None))
            intervals |= {name: value, f"{name}_lo": lo, f"{name}_hi": hi}
        facts = self.facts._asdict()
        times = {f"{way}_ms": self.ms.get(way) for way in WAYS}
        return {"model": facts.pop("model"), "runtime": self.runtime, **times, **intervals, **facts,
                "n": self.n, "processes": self.processes}  # fmt: skip


def rows(facts: Facts, processes: Sequence[Times], runtimes: Sequence[str], eager: str) -> list[Row]:
    """One row a runtime; processes: the times of each by "runtime way"."""
    return [_row(facts, processes, runtime, eager) for runtime in runtimes]


def _row(facts: Facts, processes: Sequence[Times], runtime: str, eager: str) -> Row:
    full, early, whole = (f"{runtime} {way}" for way in (FULL, EARLY, WHOLE))
    pairs = {
        "speedup": (full, early),
        "over_static": (f"{runtime} {STATIC}", early),
        "over_twin": (f"{runtime} {TWIN}", early),
        "over_eager": (f"{eager} {FULL}", full),
        "staging": (full, whole),
    }
    there = {name: pair for name, pair in pairs.items() if all(way in processes[0] for way in pair)}
    if runtime == eager:
        del there["over_eager"]
    ratios = {name: ratio(processes, *pair) for name, pair in there.items()}
    ratios["realized"] = Interval(*(value / facts.mac_speedup for value in ratios["speedup"]))
    ms = {way: mean_ms(processes, name) for way in WAYS if (name := f"{runtime} {way}") in processes[0]}
    return Row(facts, runtime, ms, ratios, len(processes[0][full]), len(processes))


HEAD = ("model", "runtime", "full ms", "early ms", "speed-up", "MACs", "realized", "static exit: ms",
        "static over early", "twin ms", "twin over early", "eager over this", "stages over one graph")  # fmt: skip
SCORES = ("model", "metric", "early exit", "full depth", "static exit", "its score", "static twin", "other answers")


def cells(found: Sequence[Row]) -> list[tuple[str, ...]]:
    """Rows as text under HEAD."""
    return [
        (
            row.facts.model,
            row.runtime,
            f"{row.ms[FULL]:.2f}",
            f"{row.ms[EARLY]:.2f}",
            _ratio(row, "speedup"),
            f"{row.facts.mac_speedup:.2f}",
            _ratio(row, "realized"),
            f"{row.facts.static_exit}: {row.ms[STATIC]:.2f}" if STATIC in row.ms else "none",
            _ratio(row, "over_static"),
            f"{row.ms[TWIN]:.2f}" if TWIN in row.ms else "",
            _ratio(row, "over_twin"),
            _ratio(row, "over_eager"),
            _ratio(row, "staging"),
        )
        for row in found
    ]


def score_cells(found: Sequence[Row]) -> list[tuple[str, ...]]:
    """One line a model under SCORES."""
    return [
        (
            facts.model,
            facts.metric,
            f"{facts.early_score:.4f}",
            f"{facts.full_score:.4f}",
            "none" if facts.static_exit is None else str(facts.static_exit),
            "" if facts.static_score is None else f"{facts.static_score:.4f}",
            "" if facts.twin_score is None else f"{facts.twin_score:.4f}",
            f"{facts.differ} of {row.n}",
        )
        for row in {row.facts.model: row for row in found}.values()
        for facts in (row.facts,)
    ]


def _ratio(row: Row, name: str) -> str:
    found = row.ratios.get(name)
    return "" if found is None else f"{found.value:.2f} [{found.lo:.2f}, {found.hi:.2f}]"


def text(found: Sequence[Row]) -> str:
    """For a terminal."""
    parts = []
    for head, lines in ((HEAD, cells(found)), (SCORES, score_cells(found))):
        widths = [max(map(len, column)) for column in zip(head, *lines, strict=True)]
        parts.append("\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in (head, *lines)))
    return "\n\n".join(parts)


def markdown(found: Sequence[Row], command: str, about: str) -> str:
    """A page: the command, where and when, what the columns are, and both tables."""
    columns = (
        "Milliseconds a sample at batch 1, means. `speed-up`: full depth over early exit; `MACs`: what MACs promise; "
        "`realized`: one over the other. `static exit`: the first exit that alone scores at least as well as early "
        "exit on the calibration split, with the other heads off; `static over early`, `twin over early`: that rival's "
        "time over early exit's, so above 1 early exit is quicker. `eager over this`: how much quicker this "
        "runtime is at full depth. `stages over one graph`: what cutting the network into stages costs. All ratios are "
        "of times measured in turns in the same processes, with 95% intervals over samples and processes. Scores are "
        "on the whole test split. Made by the command; not edited."
    )
    parts = ["# Three runtimes", f"    {command}", about, columns]
    parts += [_lines(HEAD, cells(found)), "## Scores", _lines(SCORES, score_cells(found))]
    return "\n\n".join(parts) + "\n"


def _lines(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *lines))


def write(found: Sequence[Row], command: str, about: str, folder: Path) -> list[Path]:
    """runtimes.csv, with all digits, and runtimes.md in a folder.

    Raises:
        Unwritable: it cannot be written.
    """
    lines, flat = io.StringIO(), [row.flat() for row in found]
    writer = csv.DictWriter(lines, list(flat[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    files = {folder / "runtimes.csv": lines.getvalue(), folder / "runtimes.md": markdown(found, command, about)}
    for path, content in files.items():
        with atomic_write(path) as temporary:
            temporary.write_text(content, encoding="utf-8")
    return list(files)
