"""A leaderboard as CSV: numbers read back exactly as written, and absent values are empty."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from benchmark.records.columns import ADDED_COLUMNS, COLUMNS, CSV_COLUMNS, OBJECTS
from benchmark.records.frame import typed
from benchmark.records.record import Record
from benchmark.types import ExitbenchError


def to_csv(table: pd.DataFrame) -> str:
    """CSV text; floats in their shortest exact form, lists as JSON, absent values empty."""
    columns = [_spelled(table[name], COLUMNS[name]) for name in CSV_COLUMNS]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    writer.writerows(zip(*columns, strict=True))
    return text.getvalue()


def _spelled(column: Any, kind: str) -> list[Any]:
    if kind == "lists":
        return [json.dumps(value) if isinstance(value, list) else None for value in column]
    if kind == "text":
        return column.tolist()
    if kind == "number":
        return [None if value != value else value for value in column.tolist()]  # only NaN is not itself
    return [None if value is pd.NA else value for value in column.tolist()]


def cells(path: Path) -> dict[str, list[str]]:
    """A written leaderboard as text cells, column by column.

    Raises ExitbenchError for a file that is not there or not a leaderboard.
    """
    try:
        head, *lines = csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline=""), strict=True)
    except OSError as error:
        raise ExitbenchError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, csv.Error) as error:  # no line, bad UTF-8, bad quotes
        raise ExitbenchError(f"{path}: not a CSV file ({' '.join(str(error).split())})") from error
    for name in CSV_COLUMNS:
        if name not in head and name not in ADDED_COLUMNS:
            raise ExitbenchError(f"{path}: expected a leaderboard with the column {name}, got none")
    for number, line in enumerate(lines, start=2):
        if len(line) != len(head):
            raise ExitbenchError(f"{path}: line {number}: expected {len(head)} cells, got {len(line)}")
    found = {name: [line[place] for line in lines] for place, name in enumerate(head)}
    return {name: [""] * len(lines) for name in ADDED_COLUMNS} | found


def read_csv(path: Path, records: Sequence[Record] = ()) -> pd.DataFrame:
    """A written leaderboard as `frame` gives it; whole sections are filled from `records` of the same ids.

    Raises ExitbenchError for a file that is not there or not a leaderboard.
    """
    found, known = cells(path), {one.record_id: one for one in records}
    try:
        columns = {
            name: typed([_parse(cell, kind) for cell in found[name]], kind)
            for name, kind in COLUMNS.items()
            if kind != "object"
        }
    except ValueError as error:
        raise ExitbenchError(f"{path}: {error}") from error
    for name in OBJECTS:
        empty: list | dict = [] if name in ("exits", "curve") else {}
        columns[name] = typed([getattr(known.get(one), name, empty) for one in found["record_id"]], "object")
    return pd.DataFrame(columns)


def _parse(cell: str, kind: str) -> object:
    if kind == "text":
        return cell
    readers = {"number": float, "count": int, "lists": json.loads}
    return readers[kind](cell) if cell else None
