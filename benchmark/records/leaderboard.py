"""Leaderboard: records -> one table, as a DataFrame, CSV, Markdown or terminal text. Without torch, in seconds.

`columns.py` says what each column holds. Rows that are `unreliable` or `failed` are shown and not ranked;
milliseconds of different machines never share a table.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmark import metrics
from benchmark.files import whole_file
from benchmark.records.columns import COLUMNS, COMPARABLE, CSV_COLUMNS, OBJECTS, rows
from benchmark.records.record import Record
from benchmark.types import ExitbenchError

__all__ = [
    "COLUMNS",
    "CSV_COLUMNS",
    "ExitbenchError",
    "frame",
    "read_csv",
    "render",
    "to_csv",
    "to_markdown",
    "validate",
    "where",
    "whole_file",
    "write",
]  # ExitbenchError and whole_file are passed on to figures, which see no lower floor

_DTYPES = {"text": "str", "number": "float64", "count": "Int64", "lists": "object", "object": "object"}


def frame(records: Sequence[Record]) -> pd.DataFrame:
    """One row per record, stably sorted, `clean` before attacks; the columns of `columns.COLUMNS`, typed.

    The last ones, from `exits` on, hold sections of the record for figures and derived tables; the CSV leaves them out.
    `rank` is by accuracy, then fewer GMACs, among `ok` rows that share everything in `columns.COMPARABLE`; a bound that
    knows the labels has none.
    """
    said = rows(records)
    columns = {name: [one.get(name) for one in said] for name in COLUMNS}
    table = pd.DataFrame({name: _typed(values, COLUMNS[name]) for name, values in columns.items()})
    bounds = pd.Series([bool(one.get("bound")) for one in table["results"]], index=table.index, dtype=bool)
    ok = table[(table["status"] == "ok") & ~bounds]
    best_first = ok.iloc[np.lexsort((ok["gmacs_mean"], -ok["accuracy"]))]
    ranks = best_first.groupby(COMPARABLE, dropna=False, sort=False).cumcount() + 1
    table["rank"] = ranks.reindex(table.index).astype("Int64")
    return table


def _typed(values: list, kind: str) -> pd.Series:
    if kind == "text":
        values = ["" if value is None else value for value in values]
    return pd.Series(values, dtype=_DTYPES[kind])


def where(table: pd.DataFrame, expression: str) -> pd.DataFrame:
    """The rows for which an expression over the columns holds, such as `model == 'dvt_fashion' and n > 100`.

    Raises ExitbenchError, one line, for an expression that cannot be read or is not true or false for each row.
    """
    if not expression.strip():
        return table
    try:
        kept = table.eval(expression, engine="python", local_dict={}, global_dict={})
    except Exception as error:  # pandas raises a dozen kinds for a bad expression
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ExitbenchError(f"where: cannot read {expression!r} ({reason}); columns: {', '.join(COLUMNS)}") from error
    if not isinstance(kept, pd.Series) or not pd.api.types.is_bool_dtype(kept):
        raise ExitbenchError(f"where: expected a condition such as \"model == 'dvt_fashion'\", got {expression!r}")
    return table.loc[kept.fillna(False).astype(bool)].reset_index(drop=True)


def to_csv(table: pd.DataFrame) -> str:
    """CSV text; floats by their shortest spelling that reads back to the bit, lists as JSON, nothing for absent."""
    cells = table[CSV_COLUMNS].copy()
    cells["exit_histogram"] = [json.dumps(value) if isinstance(value, list) else None for value in cells.exit_histogram]
    return cells.to_csv(index=False, lineterminator="\n")


def write(table: pd.DataFrame, path: Path) -> list[Path]:
    """Write the CSV at `path` and the same as Markdown beside it (`.md`), each whole; returns both paths."""
    markdown = path.with_suffix(".md")
    for target, text in ((path, to_csv(table)), (markdown, to_markdown(table))):
        with whole_file(target) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return [path, markdown]


def _cells(path: Path) -> pd.DataFrame:
    """A leaderboard CSV as text cells."""
    try:
        cells = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except OSError as error:
        raise ExitbenchError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:  # parser errors and bad UTF-8
        raise ExitbenchError(f"{path}: not a CSV file ({' '.join(str(error).split())})") from error
    for name in CSV_COLUMNS:
        if name not in cells:
            raise ExitbenchError(f"{path}: expected a leaderboard with the column {name}, got none")
    return cells


def read_csv(path: Path, records: Sequence[Record] = ()) -> pd.DataFrame:
    """A written leaderboard as `frame` gives it; whole sections are filled from `records` of the same ids.

    Raises ExitbenchError for a file that is not there or not a leaderboard.
    """
    cells = _cells(path)
    known = {one.record_id: one for one in records}
    try:
        columns = {
            name: _typed([_parse(cell, kind) for cell in cells[name]], kind)
            for name, kind in COLUMNS.items()
            if kind != "object"
        }
    except ValueError as error:
        raise ExitbenchError(f"{path}: {error}") from error
    for name in OBJECTS:
        empty: list | dict = [] if name in ("exits", "curve") else {}
        columns[name] = _typed([getattr(known.get(one), name, empty) for one in cells["record_id"]], "object")
    return pd.DataFrame(columns)


def _parse(cell: str, kind: str) -> object:
    if kind == "text":
        return cell
    readers = {"number": float, "count": int, "lists": json.loads}
    return readers[kind](cell) if cell else None


def validate(path: Path, records: Sequence[Record]) -> list[str]:
    """What in a written leaderboard does not follow from the records: one line each, none if all is well.

    Every cell is computed again from the records, and each record's own means from its histogram.
    """
    differences = [line for one in records for line in _inconsistent(one)]
    found, wanted = _cells(path), pd.read_csv(io.StringIO(to_csv(frame(records))), dtype=str, keep_default_na=False)
    for name in found.loc[found["record_id"].duplicated(), "record_id"]:
        differences.append(f"{name}: twice in the leaderboard")
    found, wanted = found.drop_duplicates("record_id").set_index("record_id"), wanted.set_index("record_id")
    differences += [
        f"{name}: in the leaderboard, not among the records" for name in found.index.difference(wanted.index)
    ]
    differences += [
        f"{name}: among the records, not in the leaderboard" for name in wanted.index.difference(found.index)
    ]
    shared = wanted.index.intersection(found.index)
    for column in wanted.columns:
        here, there = found.loc[shared, column], wanted.loc[shared, column]
        for name in shared[(here != there).to_numpy()]:
            if not _same(here[name], there[name]):
                differences.append(f"{name}: {column} is {here[name] or 'empty'}, expected {there[name] or 'empty'}")
    return differences


def _same(left: str, right: str) -> bool:
    try:
        return math.isclose(float(left), float(right), rel_tol=1e-9)
    except ValueError:
        return False


def _inconsistent(record: Record) -> Iterator[str]:
    """Where a record's own means are not those of its histogram and GMACs."""
    if record.status == "failed":
        return
    results = record.results
    again = {
        "mean_exit_depth": metrics.mean_depth_of(results["exit_histogram"]),
        "mac_speedup": results["gmacs_full"] / results["gmacs_mean"],
    }
    for name, value in again.items():
        if not math.isclose(results[name], value, rel_tol=1e-6):
            yield f"{record.record_id}: the record says {name} {results[name]}, its own figures give {value}"


_MAIN = {
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


def _tables(table: pd.DataFrame) -> Iterator[tuple[str, list[list[str]]]]:
    """Title and text cells, header first, for each machine, dataset and scenario."""
    head = [label for label, _ in _MAIN.values()]
    columns = [[_cell(value, spelling) for value in table[name]] for name, (_, spelling) in _MAIN.items()]
    groups = zip(table["fingerprint"], table["dataset"], table["scenario"], strict=True)
    parts: dict[tuple[str, str, str], list[list[str]]] = {}
    for group, *line in zip(groups, *columns, strict=True):
        parts.setdefault(group, [head]).append(line)
    for machine, dataset, scenario in sorted(parts):
        yield f"{dataset}, {scenario}, machine {machine}", parts[machine, dataset, scenario]


def _cell(value: object, spelling: str) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return "–"
    return spelling.format(value)


def render(table: pd.DataFrame) -> str:
    """The main columns for a terminal of 120 characters, one table per dataset and machine.

    MAC×: speed-up in MACs. time×: measured, with its interval in the CSV. real: time× / MAC×. lost: gain_lost.
    """
    blocks = []
    for title, cells in _tables(table):
        # Long names are cut as little as the width allows.
        tries = (_align(cells, longest, gap) for longest, gap in ((24, 2), (24, 1), (16, 1), (12, 1), (8, 1)))
        fitting = (text for text in tries if max(map(len, text.splitlines())) <= 120)
        blocks.append(f"{title}\n{next(fitting, '') or _align(cells, 8, 1)}")
    return "\n\n".join(blocks) or "no records"


def _align(cells: list[list[str]], longest: int, gap: int) -> str:
    cut = [[cell if len(cell) <= longest else f"{cell[: longest - 1]}…" for cell in line] for line in cells]
    widths = [max(map(len, column)) for column in zip(*cut, strict=True)]
    sides = ["<" if COLUMNS[name] == "text" else ">" for name in _MAIN]
    lines = ((f"{cell:{side}{width}}" for cell, side, width in zip(line, sides, widths, strict=True)) for line in cut)
    return "\n".join((" " * gap).join(line).rstrip() for line in lines)


def to_markdown(table: pd.DataFrame) -> str:
    """The same tables as Markdown."""
    parts = []
    for title, (head, *body) in _tables(table):
        lines = [f"**{title}**", "", f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
        parts.append("\n".join(lines + [f"| {' | '.join(line)} |" for line in body]))
    return "\n\n".join(parts or ["No records."]) + "\n"
