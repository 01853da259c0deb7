"""Leaderboard: records -> one table, as a DataFrame, CSV, Markdown or terminal text. Without torch, in seconds.

Front of these modules: `columns` computes, `frame` types and ranks, `row_filter` filters, `csv_files` and `rendering`
format, `validation` compares a written leaderboard with the records.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from benchmark.records import rendering
from benchmark.records import row_filter as filters
from benchmark.records.columns import COLUMNS, CSV_COLUMNS
from benchmark.records.csv_files import read_csv, to_csv
from benchmark.records.frame import frame
from benchmark.records.validation import validate, validate_folders
from benchmark.types import ExitbenchError
from benchmark.utils.files import atomic_write

__all__ = [
    "COLUMNS",
    "CSV_COLUMNS",
    "ExitbenchError",
    "atomic_write",
    "frame",
    "read_csv",
    "render",
    "to_csv",
    "to_markdown",
    "validate",
    "validate_folders",
    "where",
    "write",
]  # ExitbenchError and atomic_write are re-exported for figures, which import no lower room


def where(table: pd.DataFrame, expression: str) -> pd.DataFrame:
    """The rows for which a condition over the columns holds, such as `model == 'dvt_fashion' and n > 100`.

    Raises ExitbenchError, one line, for an expression that cannot be read or is not true or false for each row.
    """
    return filters.where(table, expression, COLUMNS)


def render(table: pd.DataFrame, shown: Sequence[rendering.Part] = ()) -> str:
    """The main columns for a terminal, as `rendering.render` makes them; of `shown`, the table's parts, if known."""
    return rendering.render(shown or rendering.parts(table))


def to_markdown(table: pd.DataFrame, shown: Sequence[rendering.Part] = ()) -> str:
    """The same as Markdown."""
    return rendering.to_markdown(shown or rendering.parts(table))


def write(table: pd.DataFrame, path: Path, shown: Sequence[rendering.Part] = ()) -> list[Path]:
    """Write the CSV at `path` and the same as Markdown beside it (`.md`), each whole; returns both paths."""
    markdown = path.with_suffix(".md")
    for target, text in ((path, to_csv(table)), (markdown, to_markdown(table, shown))):
        with atomic_write(target) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return [path, markdown]
