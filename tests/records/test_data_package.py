"""The leaderboard's data package: all columns described, and CSV, Parquet and frame say the same."""

from __future__ import annotations

import json

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from make_records import make_failed, make_record

from benchmark.records import data_package, leaderboard
from benchmark.records.columns import COLUMNS, CSV_COLUMNS

READERS = {"string": "string", "number": "float64", "integer": "Int64", "array": "object"}


@pytest.fixture
def written(tmp_path):
    table = leaderboard.frame([make_record(), make_record("minilm_exits", workload="same"), make_failed()])
    csv, _ = leaderboard.write(table, tmp_path / "leaderboard.csv")
    parquet, package = data_package.write(table, csv)
    return table, csv, parquet, json.loads(package.read_text())


def test_every_column_of_the_csv_has_a_type_and_a_meaning(written):
    _, csv, _, package = written
    fields = package["resources"][0]["schema"]["fields"]
    assert [field["name"] for field in fields] == csv.read_text().splitlines()[0].split(",") == CSV_COLUMNS
    assert [field["name"] for field in fields if not field["description"]] == []


def test_the_schema_reads_the_csv_with_right_types(written):
    table, csv, _, package = written
    types = {field["name"]: field["type"] for field in package["resources"][0]["schema"]["fields"]}
    read = pd.read_csv(csv, dtype={name: READERS[kind] for name, kind in types.items()}, keep_default_na=False,
                       na_values=package["resources"][0]["schema"]["missingValues"])  # fmt: skip
    for name in CSV_COLUMNS:
        if COLUMNS[name] == "number":
            pd.testing.assert_series_equal(read[name], table[name], check_exact=True)
        elif COLUMNS[name] == "lists":
            lists = [None if pd.isna(cell) else json.loads(cell) for cell in read[name]]
            assert lists == [cell if isinstance(cell, list) else None for cell in table[name]]
        elif COLUMNS[name] == "count":
            pd.testing.assert_series_equal(read[name], table[name])


def test_parquet_holds_what_the_csv_holds(written):
    table, _, parquet, _ = written
    read = pq.read_table(parquet)
    assert read.column_names == CSV_COLUMNS
    assert read.schema.field("exit_histogram").type == pa.list_(pa.int64())
    assert read.column("exit_histogram").to_pylist()[0] == table["exit_histogram"][0]
    for name in CSV_COLUMNS:
        absent = [value is pd.NA or value is None or value == "" or value != value
                  for value in table[name].astype(object)]  # fmt: skip
        assert [value is None for value in read.column(name).to_pylist()] == absent, name


def test_files_are_named_with_their_size_and_hash(written):
    _, csv, parquet, package = written
    for resource, path in zip(package["resources"], (csv, parquet), strict=True):
        assert resource["path"] == path.name
        assert resource["bytes"] == path.stat().st_size
        assert resource["hash"].startswith("sha256:")
