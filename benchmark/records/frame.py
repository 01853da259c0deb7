"""Records -> one typed table, ranked: the leaderboard as a DataFrame.

Rows that are `unreliable` or `failed` are in it and have no rank; rows of different machines are ranked apart.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from benchmark.records.columns import COLUMNS, COMPARABLE, rows
from benchmark.records.record import Record
from benchmark.records.schema import Section

_DTYPES = {"text": "str", "number": "float64", "count": "Int64", "lists": "object", "object": "object"}


def frame(records: Sequence[Record]) -> pd.DataFrame:
    """One row per record, machine by machine, `clean` before attacks; the columns of `columns.COLUMNS`, typed.

    The same table whatever the order of the records. The last columns, from `exits` on, hold sections of the record for
    figures and derived tables; the CSV leaves them out. `rank` is by accuracy, then fewer GMACs, among `ok` rows that
    share everything in `columns.COMPARABLE`; equals share a rank, and a bound that knows the labels has none.
    """
    all_cells = rows(records)
    _rank(all_cells)
    return pd.DataFrame({name: typed([row.get(name) for row in all_cells], kind) for name, kind in COLUMNS.items()})


def typed(values: list[object], kind: str) -> pd.Series:
    """A typed column of a kind in `COLUMNS`; absent values are None, and "" for texts."""
    if kind == "text":
        values = ["" if value is None else value for value in values]
    return pd.Series(values, dtype=_DTYPES[kind])


def _rank(all_cells: Sequence[Section]) -> None:
    """Fill `rank` in rows that are ranked."""
    groups: dict[tuple[object, ...], list[tuple[tuple[float, float], Section]]] = {}
    for row in all_cells:
        if row["status"] == "ok" and not row["results"].get("bound"):
            place = groups.setdefault(tuple(row.get(name) for name in COMPARABLE), [])
            place.append(((-row["accuracy"], row["gmacs_mean"]), row))
    for group in groups.values():
        group.sort(key=lambda pair: pair[0])
        for position, (figures, row) in enumerate(group, start=1):
            equal = position > 1 and figures == group[position - 2][0]
            row["rank"] = group[position - 2][1]["rank"] if equal else position
