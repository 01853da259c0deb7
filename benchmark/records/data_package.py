"""The leaderboard for data tools: a Parquet twin of the CSV, and a data package that describes both.

The description is a Data Package with a Table Schema (Frictionless Data, specs.frictionlessdata.io): the type and
meaning of each column, in the CSV's order. pandas, DuckDB, R and `frictionless validate` read it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmark import __version__
from benchmark.records.column_meanings import meanings, source
from benchmark.records.columns import COLUMNS, CSV_COLUMNS
from benchmark.utils.files import atomic_write

# kind of column -> type of a Table Schema, and of Arrow
TYPES = {
    "text": ("string", pa.string()),
    "number": ("number", pa.float64()),
    "count": ("integer", pa.int64()),
    "lists": ("array", pa.list_(pa.int64())),
}


def write(table: pd.DataFrame, csv: Path) -> list[Path]:
    """Write NAME.parquet and NAME.datapackage.json beside NAME.csv, which is there already; returns both paths."""
    parquet, package = csv.with_suffix(".parquet"), csv.with_suffix(".datapackage.json")
    with atomic_write(parquet) as temporary:
        pq.write_table(arrow(table), temporary)
    with atomic_write(package) as temporary:
        text = json.dumps(describe(csv, parquet), indent=2, ensure_ascii=False)
        temporary.write_text(f"{text}\n", encoding="utf-8")
    return [parquet, package]


def arrow(table: pd.DataFrame) -> pa.Table:
    """The CSV's columns with their types; what is absent is null."""
    columns = {
        name: pa.array(_values(table[name], COLUMNS[name]), type=TYPES[COLUMNS[name]][1]) for name in CSV_COLUMNS
    }
    return pa.table(columns)


def _values(column: Iterable[object], kind: str) -> list[object]:
    if kind == "text":
        return [value or None for value in column]
    if kind == "lists":
        return [value if isinstance(value, list) else None for value in column]
    return [
        None if value is None or value is pd.NA or value != value else value for value in column
    ]  # NaN is not itself


def describe(csv: Path, parquet: Path) -> dict[str, object]:
    """The data package of a written CSV and its Parquet twin."""
    meaning = meanings(source())
    fields = [
        {"name": name, "type": TYPES[COLUMNS[name]][0], "description": meaning.get(name, "")} for name in CSV_COLUMNS
    ]
    name = "".join(letter if letter.isalnum() else "-" for letter in csv.stem.lower())
    schema = {"fields": fields, "missingValues": [""]}
    facts = {"profile": "tabular-data-resource", "format": "csv", "mediatype": "text/csv", "encoding": "utf-8"}
    return {
        "profile": "tabular-data-package",
        "name": name,
        "title": "exitbench leaderboard, one row per record",
        "version": __version__,
        "resources": [
            {"name": name, **_file(csv), **facts, "schema": schema},
            {"name": f"{name}-parquet", **_file(parquet), "format": "parquet",
             "mediatype": "application/vnd.apache.parquet"},
        ],
    }  # fmt: skip


def _file(path: Path) -> dict[str, object]:
    content = path.read_bytes()
    return {"path": path.name, "bytes": len(content), "hash": f"sha256:{hashlib.sha256(content).hexdigest()}"}
