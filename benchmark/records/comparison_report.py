"""A comparison of two sets of records as text, CSV and a page."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path

from benchmark.records.comparison import BETTER_HIGH, Comparison, Difference
from benchmark.utils.files import atomic_write

COLUMNS = Difference._fields
HEAD = ("combination", "figure", "A", "B", "change", "95% interval", "verdict")
STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; text-align: right; }
tr { border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent); }
th:first-child, td:first-child, th:nth-child(2), td:nth-child(2), td:last-child, th:last-child { text-align: left; }
.worse td:last-child::before { content: "▼ "; } .better td:last-child::before { content: "▲ "; }
.worse { background: color-mix(in srgb, #d55e00 22%, transparent); font-weight: 600; }
.better { background: color-mix(in srgb, #0072b2 18%, transparent); }
.unjudged { opacity: .65; }
div { overflow-x: auto; }
"""


def summary(found: Comparison) -> str:
    """One line: how many combinations and figures, and how many are better and worse."""
    cells = len({difference.cell for difference in found.differences})
    judged = [difference for difference in found.differences if difference.p is not None]
    better = sum(difference.verdict == "better" for difference in judged)
    return (
        f"{cells} combinations in both, {len(found.only_before)} only in A, {len(found.only_after)} only in B; "
        f"of {len(judged)} figures tested {len(found.worse)} are worse and {better} better, "
        "the others cannot be told apart"
    )


def render(found: Comparison, everything: bool = False) -> str:
    """Text for a terminal: what is better or worse, or everything that was compared, and the summary."""
    shown = [difference for difference in found.differences if everything or difference.verdict in ("better", "worse")]
    lines = [HEAD, *map(_cells, shown)] if shown else []
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))] if lines else []
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([*text, summary(found)])


def write(found: Comparison, before: str, after: str, folder: Path) -> list[Path]:
    """compare.csv and compare.html, each whole; before, after: what A and B are."""
    folder.mkdir(parents=True, exist_ok=True)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerows([COLUMNS, *found.differences])
    paths = [folder / "compare.csv", folder / "compare.html"]
    for path, text in zip(paths, (table.getvalue(), _page(found, before, after)), strict=True):
        with atomic_write(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return paths


def _page(found: Comparison, before: str, after: str) -> str:
    """What got worse stands first, then what got better, then the rest by combination."""
    order = {"worse": 0, "better": 1}
    ordered = sorted(found.differences, key=lambda difference: order.get(difference.verdict, 2))
    lines = "\n".join(_line(difference) for difference in ordered)
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in HEAD)
    missing = "".join(
        f"<h2>Only in {side}</h2><ul>{''.join(f'<li>{escape(name)}</li>' for name in names)}</ul>"
        for side, names in (("A", found.only_before), ("B", found.only_after))
        if names
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>exitbench compare</title><style>{STYLE}</style></head><body>
<h1>Two sets of records</h1>
<p>A: {escape(before)}<br>B: {escape(after)}</p><p>{escape(summary(found))}.</p>
<p>An interval is the 95% interval of one change. Verdicts hold a false discovery rate of 5% over all figures, so that a
comparison of two equal sets flags something at most once in twenty times.</p>
<div><table><thead><tr>{head}</tr></thead><tbody>
{lines}
</tbody></table></div>{missing}
</body></html>
"""


def _line(difference: Difference) -> str:
    kind = difference.verdict if difference.p is not None else "unjudged"
    cells = "".join(f"<td>{escape(cell)}</td>" for cell in _cells(difference))
    return f'<tr class="{kind}">{cells}</tr>'


def _cells(difference: Difference) -> Sequence[str]:
    relative = difference.figure in ("speedup", "gmacs_mean")
    change = interval = "–"
    if difference.change is not None and difference.low is not None and difference.high is not None:
        change = _spelled(difference.change, relative)
        interval = f"{_spelled(difference.low, relative)} to {_spelled(difference.high, relative)}"
    direction = "higher" if BETTER_HIGH[difference.figure] else "lower"
    return (
        difference.cell, f"{difference.figure} ({direction} is better)", f"{difference.before:.4g}",
        f"{difference.after:.4g}", change, interval, difference.verdict,
    )  # fmt: skip


def _spelled(value: float, relative: bool) -> str:
    return f"{value:+.2%}" if relative else f"{value:+.4f}"
