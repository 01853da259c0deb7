"""One style for all figures: 84 mm wide, fonts of 7 points and more, colours safe for colour-blind readers.

Figures are made and saved without pyplot and without a display. `paper` sets them in STIX, which sits well
beside LaTeX's text and needs no LaTeX.
"""

from __future__ import annotations

import functools
import hashlib
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import matplotlib
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis, XAxis
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from benchmark.records.leaderboard import ExitbenchError, atomic_write

Row = dict[str, Any]
MatplotlibOptions = dict[str, Any]  # keyword arguments of matplotlib
GroupKey = tuple[Any, ...]  # values of the columns that rows are grouped by
T = TypeVar("T")

COLUMN_MM = 84
# Okabe and Ito's palette, black and its palest yellow left out; grey marks unreliable clocks.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
MAX_IDS = 500  # record ids that a figure's metadata holds one by one
GREY = "#9A9A9A"
INK = "#333333"

_LOOK: MatplotlibOptions = {
    "font.family": "DejaVu Sans",
    "font.size": 7.5,
    "axes.titlesize": 7.5,
    "axes.labelsize": 7.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "legend.columnspacing": 1.2,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.edgecolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.1,
    "lines.markersize": 4.5,
    "errorbar.capsize": 1.5,
    "pdf.fonttype": 42,  # embedded as text: searchable, and accepted by publishers
}
_PAPER: MatplotlibOptions = {
    "font.family": "STIXGeneral",
    "mathtext.fontset": "stix",
    "font.size": 8.5,
} | dict.fromkeys(("axes.titlesize", "axes.labelsize", "xtick.labelsize", "ytick.labelsize", "legend.fontsize"), 8)


class NothingToDraw(ExitbenchError):
    """The leaderboard has no rows for a figure; the message says which rows it needs."""


class Draw(Protocol):
    """A figure's one function."""

    def __call__(self, frame: pd.DataFrame, *, paper: bool = False) -> Figure: ...


@contextmanager
def look(paper: bool = False) -> Iterator[None]:
    """Context with the figure style; the previous settings are restored afterwards."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_LOOK | (_PAPER if paper else {}))  # pyright: ignore
        yield


def styled(draw: Callable[[pd.DataFrame], Figure]) -> Draw:
    """Make `draw(frame)` use the style and accept `paper`."""

    @functools.wraps(draw)
    def inside(frame: pd.DataFrame, *, paper: bool = False) -> Figure:
        with look(paper):
            return draw(frame)

    return inside


def panels(
    count: int, height_mm: float, extra_mm: float = 12, sharex: bool = False, columns: int = 1
) -> tuple[Figure, list[Axes]]:
    """A figure one column of a paper wide, its panels height_mm high, under each other or in `columns` of their own,
    and room for a legend. Panels come line by line."""
    lines = -(-count // columns)
    layout = ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.03, hspace=0.04)
    figure = Figure(figsize=(COLUMN_MM / 25.4, (lines * height_mm + extra_mm) / 25.4), layout=layout)
    grid = figure.subplots(lines, columns, squeeze=False, sharex=sharex)
    axes = list(grid.flat)
    for unused in axes[count:]:
        unused.remove()
    return figure, axes[:count]


def first_panels(figure: str, found: Sequence[tuple[GroupKey, T]], limit: int) -> list[tuple[GroupKey, T]]:
    """The first `limit` panels of (names, rows); the names of the others are printed to stderr."""
    report_omitted(figure, [", ".join(str(name) for name in names) for names, _ in found[limit:]])
    return list(found[:limit])


def report_omitted(figure: str, names: Sequence[str]) -> None:
    """Print to stderr the names of the panels that a figure omits."""
    if names:
        print(f"{figure}: no room for {len(names)} panel(s): {'; '.join(names)}", file=sys.stderr)


def outer_labels(axes: Sequence[Axes], columns: int, x: str, y: str) -> None:
    """Label only the left and the bottom axes; all panels share these labels."""
    for index, axis in enumerate(axes):
        if index % columns == 0:
            axis.set_ylabel(y)
        if index + columns >= len(axes):
            axis.set_xlabel(x)


def height_ratios(axes: Sequence[Axes], heights: Sequence[float]) -> None:
    """Share a figure's height among its panels."""
    subplot_spec = axes[0].get_subplotspec()
    if subplot_spec is not None:
        subplot_spec.get_gridspec().set_height_ratios(list(heights))


def legend(figure: Figure, handles: Sequence[Artist], columns: int = 2) -> None:
    """A legend above all panels, outside the data."""
    figure.legend(handles=list(handles), loc="outside upper left", ncols=columns, borderaxespad=0.2)


def key(label: str, colour: str = INK, marker: str = "", line: str = "", hollow: bool = False) -> Line2D:
    """A legend entry; attacked samples are hollow in all figures."""
    face = "white" if hollow else colour
    look: MatplotlibOptions = {"color": colour, "marker": marker, "linestyle": line, "markerfacecolor": face}
    return Line2D([], [], label=label, **look)


def colours(names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """A colour and a marker for each name, the same for the same set of names; both repeat after 42."""
    ordered = sorted(set(names))
    return {name: (COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]) for i, name in enumerate(ordered)}


def log_axis(axis: Axis, low: float, high: float, narrow: bool = False) -> None:
    """Make an axis logarithmic, a little wider than low … high, its ticks printed as plain numbers; few if `narrow`."""
    name = "x" if isinstance(axis, XAxis) else "y"
    getattr(axis.axes, f"set_{name}scale")("log")
    low, high = low / (high / low) ** 0.06 / 1.03, high * (high / low) ** 0.06 * 1.03
    getattr(axis.axes, f"set_{name}lim")(low, high)
    decades = math.log10(high / low)
    dense = (1.0, 2.0, 4.0) if narrow and decades > 0.6 else (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)
    steps = (1.0,) if decades > (1.6 if narrow else 3) else (1.0, 2.0, 5.0) if decades > 0.9 else dense
    axis.set_major_locator(LogLocator(subs=steps, numticks=99))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def percent(axis: Axis) -> None:
    """Print an axis of fractions in per cent, its unit in the label."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{round(100 * value, 6):g}"))


def rows_with(frame: pd.DataFrame, *needed: str) -> list[Row]:
    """The rows of a frame in which all the needed columns hold something, as dicts with None for absent values.

    Raises NothingToDraw, naming the columns, where there are none.
    """
    rows = [
        {name: None if not isinstance(value, list) and pd.isna(value) else value for name, value in row.items()}
        for row in frame.to_dict("records")
    ]
    rows = [row for row in rows if all(row[name] is not None for name in needed)]
    if not rows:
        raise NothingToDraw(f"needs rows with {' and '.join(needed)}")
    return rows


def one_slice(rows: Sequence[Row], key: str) -> list[Row]:
    """The rows with one number of samples: that with the most values of `key`, or the largest of these.

    Results on different samples differ by the draw of samples, so a figure should not mix them.
    """
    values_by_n: dict[float, set[object]] = {}
    for row in rows:
        values_by_n.setdefault(row["n"] or 0, set()).add(row[key])
    best = max(values_by_n, key=lambda n: (len(values_by_n[n]), n), default=0)
    return [row for row in rows if (row["n"] or 0) == best]


def groups(rows: Iterable[Row], *names: str) -> dict[GroupKey, list[Row]]:
    """Rows by the values of some columns, in the order of their first appearance."""
    found: dict[GroupKey, list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(row[name] for name in names), []).append(row)
    return found


def shade(row: Row, colour: str) -> str:
    """The colour of a row in figures of time: grey if its clock is unreliable."""
    return colour if row["status"] == "ok" else GREY


def is_bound(row: Row) -> bool:
    """Whether a row is an upper bound that knows the labels."""
    return bool((row.get("results") or {}).get("bound"))


def attacked_key(rows: Iterable[Row], label: str = "attacked") -> list[Line2D]:
    """The legend entry for hollow marks, if there are any."""
    return [key(label, marker="o", hollow=True)] if any(row["workload"] != "clean" for row in rows) else []


def unreliable_key(rows: Iterable[Row], marker: str = "o") -> list[Line2D]:
    """The legend entry for grey marks, if a row's clock is unreliable."""
    return [key("unreliable", GREY, marker)] if any(row["status"] != "ok" for row in rows) else []


def save(figure: Figure, name: str, out: Path, record_ids: Sequence[str], paper: bool = False) -> list[Path]:
    """Write `<out>/<name>.png` (300 dpi) and `.pdf`, each whole, with the record ids in their metadata.

    Of more than MAX_IDS records, the metadata holds their number and a hash, and `<name>.records.txt` the ids.
    """
    paths = []
    ids = "records: " + ", ".join(record_ids)
    if len(record_ids) > MAX_IDS:
        lines = "".join(f"{one}\n" for one in sorted(record_ids))
        digest = hashlib.sha256(lines.encode()).hexdigest()
        ids = f"records: {len(record_ids)}, listed in {name}.records.txt, which has sha256 {digest}"
        with atomic_write(out / f"{name}.records.txt") as temporary:
            temporary.write_text(lines, encoding="utf-8")
        paths.append(out / f"{name}.records.txt")
    metadata = {
        "png": {"Title": name, "Description": ids, "Software": "exitbench"},
        "pdf": {"Title": name, "Subject": ids, "Creator": "exitbench", "CreationDate": None},
    }
    for kind, facts in metadata.items():
        path = out / f"{name}.{kind}"
        with look(paper), atomic_write(path) as temporary:
            figure.savefig(temporary, format=kind, dpi=300, metadata=facts)
        paths.append(path)
    return paths
