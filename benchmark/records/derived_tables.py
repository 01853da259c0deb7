"""Derived tables: the leaderboard's rows through one module of `records.tables`, as CSV, Markdown and text."""

from __future__ import annotations

import ast
import importlib
import math
from pathlib import Path

import pandas as pd

from benchmark.records import tables
from benchmark.types import ExitbenchError
from benchmark.utils.files import atomic_write


def described() -> dict[str, str]:
    """Name -> first docstring line of each table, read without importing it."""
    files = sorted(Path(tables.__path__[0]).glob("[!_]*.py"))
    docs = {file.stem: ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "" for file in files}
    return {name: doc.split("\n")[0] for name, doc in docs.items()}


def derive(name: str, frame: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, str]]:
    """The table of that name from a leaderboard's frame, and how its columns are spelled.

    Raises:
        ExitbenchError: no table of that name, or no row it could be made from.
    """
    known = described()
    if name not in known:
        raise ExitbenchError(f"table: expected one of {', '.join(known) or 'none, there is none yet'}, got {name!r}")
    module = importlib.import_module(f"benchmark.records.tables.{name}")
    derived = module.table(frame)
    if derived.empty:
        raise ExitbenchError(f"table {name}: expected records it can be made from, got none: {known[name]}")
    return derived, getattr(module, "SPELLING", {})


def write(table: pd.DataFrame, spelling: dict[str, str], path: Path) -> list[Path]:
    """Write the CSV at `path`, figures to the bit, and Markdown beside it (`.md`), each whole; returns both paths."""
    texts = {path: table.to_csv(index=False, lineterminator="\n"), path.with_suffix(".md"): markdown(table, spelling)}
    for target, text in texts.items():
        with atomic_write(target) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return list(texts)


def markdown(table: pd.DataFrame, spelling: dict[str, str]) -> str:
    """The table as Markdown, numbers to the right."""
    head, *body = _cells(table, spelling)
    rule = ["---:" if right else "---" for right in _right(table, spelling)]
    return "".join(f"| {' | '.join(line)} |\n" for line in (head, rule, *body))


def render(table: pd.DataFrame, spelling: dict[str, str]) -> str:
    """The table for a terminal, numbers to the right."""
    cells, right = _cells(table, spelling), _right(table, spelling)
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = (zip(line, widths, right, strict=True) for line in cells)
    return "\n".join("  ".join(f"{cell:{'>' if r else '<'}{w}}" for cell, w, r in line).rstrip() for line in lines)


def _cells(table: pd.DataFrame, spelling: dict[str, str]) -> list[list[str]]:
    """Header and rows as text. A spelling that ends in ± adds half the width of the column's interval."""
    columns = [_column(table, str(name), spelling.get(str(name), "")) for name in _printed(table, spelling)]
    return [[str(name) for name in _printed(table, spelling)], *map(list, zip(*columns, strict=True))]


def _printed(table: pd.DataFrame, spelling: dict[str, str]) -> list[str]:
    """The columns of the text, without the ends of intervals that stand behind a ±."""
    ends = {f"{name}_{end}" for name, spelled in spelling.items() if spelled.endswith(" ±") for end in ("lo", "hi")}
    return [str(name) for name in table.columns if name not in ends]


def _column(table: pd.DataFrame, name: str, spelling: str) -> list[str]:
    plain = spelling.removesuffix(" ±")
    cells = [_cell(value, plain) for value in table[name]]
    if plain == spelling:
        return cells
    halves = [_cell(half, plain).rstrip("%") for half in (table[f"{name}_hi"] - table[f"{name}_lo"]) / 2]
    return [cell if half == "–" else f"{cell} ± {half}" for cell, half in zip(cells, halves, strict=True)]


def _cell(value: object, spelling: str) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return "–"
    return (spelling or ("{:.3f}" if isinstance(value, float) else "{}")).format(value)


def _right(table: pd.DataFrame, spelling: dict[str, str]) -> list[bool]:
    return [pd.api.types.is_numeric_dtype(table[name]) for name in _printed(table, spelling)]
