"""Derived tables: found by name, written whole as CSV and Markdown, and mistakes are one line."""

import math

import pandas as pd
import pytest
from make_records import make_sweep

from benchmark.records import derived_tables, leaderboard
from benchmark.types import ExitbenchError

TABLE = pd.DataFrame({"model": ["a", "b"], "score": [0.8999, math.nan], "n": pd.Series([3, None], dtype="Int64")})


def test_every_table_says_what_it_is_and_takes_a_leaderboard():
    frame = leaderboard.frame(make_sweep())
    for name, line in derived_tables.described().items():
        assert len(line) > 20, name
        try:
            table, spelling = derived_tables.derive(name, frame)
        except ExitbenchError as error:  # records of other kinds are refused in one line
            assert "\n" not in str(error)  # noqa: PT017
        else:
            assert len(table)
            assert set(spelling) <= set(table.columns)


def test_numbers_are_spelled_and_absent_ones_are_dashes():
    assert derived_tables.markdown(TABLE, {"score": "{:.1%}"}).splitlines() == [
        "| model | score | n |", "| --- | ---: | ---: |", "| a | 90.0% | 3 |", "| b | – | – |",
    ]  # fmt: skip
    assert derived_tables.render(TABLE, {}).splitlines() == ["model  score  n", "a      0.900  3", "b          –  –"]


def test_a_table_is_written_as_csv_and_markdown(tmp_path):
    csv, markdown = derived_tables.write(TABLE, {}, tmp_path / "out.csv")
    assert csv.read_text() == "model,score,n\na,0.8999,3\nb,,\n"
    assert markdown.read_text() == derived_tables.markdown(TABLE, {})


def test_an_unknown_table_is_refused_with_those_there_are():
    with pytest.raises(ExitbenchError, match="table: expected one of"):
        derived_tables.derive("nowhere", TABLE)
