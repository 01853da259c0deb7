"""A filter over a leaderboard's rows, such as `model == 'dvt_fashion' and n > 100`: comparisons, and nothing that runs.

The expression is Python's grammar, read by hand: columns, numbers, texts and lists of them; == != < <= > >= in, not in,
is None; and, or, not, brackets; + - * / between numbers. Names that are no column, calls, attributes and all else are
refused, so an expression from anywhere does no harm. A comparison with what a row lacks does not hold, but `is None`
does.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

import pandas as pd

from benchmark.records.schema import Section
from benchmark.types import ExitbenchError

Row = Section
Value = str | float | list[object] | None
Term = Callable[[Row], Value]  # what a part of the expression is for a row

_COMPARE: dict[type, Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda left, right: left in right,
    ast.NotIn: lambda left, right: left not in right,
}
_CALCULATE: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_KINDS = {"text": "a text", "number": "a number", "count": "a number", "lists": "a list"}


class _Refused(Exception):
    """What is wrong with an expression."""


def where(table: pd.DataFrame, expression: str, columns: dict[str, str]) -> pd.DataFrame:
    """The rows for which an expression over the columns holds.

    columns: name -> kind of those that may be named. Raises ExitbenchError, one line, for an expression that cannot be
    read, names no column, or is not true or false for each row.
    """
    if not expression.strip():
        return table
    try:
        if len(expression) > 10_000:
            raise _Refused("longer than 10,000 characters")
        tree = ast.parse(expression.strip(), mode="eval").body
        names = sorted({node.id for node in ast.walk(tree) if isinstance(node, ast.Name)})
        holds = _condition(tree, columns)
        if not names:
            raise _Refused("it names no column")
        selected = [holds(row) for row in _rows(table, names)]
    except (_Refused, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else " ".join(str(error).split()) or "too deep"
        known = ", ".join(name for name, kind in columns.items() if kind in _KINDS)
        raise ExitbenchError(f"where: cannot read {expression[:200]!r} ({reason}); columns: {known}") from error
    return table.loc[pd.Series(selected, index=table.index, dtype=bool)].reset_index(drop=True)


def _rows(table: pd.DataFrame, names: list[str]) -> list[Row]:
    """The named columns as plain values, None for what is absent."""
    columns = [table[name].astype(object).where(table[name].notna(), None).tolist() for name in names]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def _condition(node: ast.expr, columns: dict[str, str]) -> Term:
    """A part that is true or false for each row."""
    if isinstance(node, ast.BoolOp):
        parts = [_condition(part, columns) for part in node.values]
        every = all if isinstance(node.op, ast.And) else any
        return lambda row: every(part(row) for part in parts)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitAnd | ast.BitOr):
        sides = [_condition(node.left, columns), _condition(node.right, columns)]
        every = all if isinstance(node.op, ast.BitAnd) else any
        return lambda row: every(part(row) for part in sides)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.Invert):
        part = _condition(node.operand, columns)
        return lambda row: not part(row)
    if isinstance(node, ast.Compare):
        return _comparison(node, columns)
    raise _Refused(f"expected a condition such as model == 'dvt_fashion', got {ast.unparse(node)[:60]}; "
                   "join conditions with and, or, not")  # fmt: skip


def _comparison(node: ast.Compare, columns: dict[str, str]) -> Term:
    operands = [node.left, *node.comparators]
    links = [_link(*link, columns) for link in zip(operands, node.ops, operands[1:], strict=False)]
    return lambda row: all(link(row) for link in links)


def _link(left: ast.expr, op: ast.cmpop, right: ast.expr, columns: dict[str, str]) -> Term:
    """One comparison of two values."""
    (one, kind), (other, other_kind) = _value(left, columns), _value(right, columns)
    if isinstance(op, ast.Is | ast.IsNot):
        if other_kind != "nothing":
            raise _Refused("after is and is not, expected None")
        return lambda row: (one(row) is None) == isinstance(op, ast.Is)
    if "nothing" in (kind, other_kind):
        raise _Refused("expected is None or is not None")
    compare, holds_many = _COMPARE[type(op)], isinstance(op, ast.In | ast.NotIn)
    fit = other_kind in ("list", "text") if holds_many else kind == other_kind
    if not fit or (holds_many and other_kind == "text" and kind != "text"):
        raise _Refused(f"{ast.unparse(left)[:40]} is a {kind}, {ast.unparse(right)[:40]} a {other_kind}")

    def link(row: Row) -> bool:
        here, there = one(row), other(row)
        return here is not None and there is not None and bool(compare(here, there))

    return link


def _value(node: ast.expr, columns: dict[str, str]) -> tuple[Term, str]:
    """What a part is for a row, and its kind: number, text, list or nothing."""
    if isinstance(node, ast.Name):
        if columns.get(node.id) not in _KINDS:
            raise _Refused(f"no column {node.id}")
        name, kind = node.id, _KINDS[columns[node.id]].split()[-1]
        return (lambda row: row[name]), kind
    if isinstance(node, ast.Constant):
        constant = node.value
        if constant is None:
            return (lambda row: None), "nothing"
        if isinstance(constant, str):
            return (lambda row: constant), "text"
        if isinstance(constant, int | float) and not isinstance(constant, bool):
            return (lambda row: constant), "number"
    if isinstance(node, ast.List | ast.Tuple):
        parts = [_value(part, columns)[0] for part in node.elts]
        return (lambda row: [part(row) for part in parts]), "list"
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return _calculated(operator.mul, ast.Constant(-1), node.operand, columns)
    if isinstance(node, ast.BinOp) and type(node.op) in _CALCULATE:
        return _calculated(_CALCULATE[type(node.op)], node.left, node.right, columns)
    raise _Refused(f"expected a column, a number, a text or a list, got {ast.unparse(node)[:60]}")


def _calculated(
    calculate: Callable[[Any, Any], Any], left: ast.expr, right: ast.expr, columns: dict[str, str]
) -> tuple[Term, str]:
    (one, kind), (other, other_kind) = _value(left, columns), _value(right, columns)
    if kind != "number" or other_kind != "number":
        raise _Refused(f"can calculate with numbers only, got {ast.unparse(left)[:40]} and {ast.unparse(right)[:40]}")

    def value(row: Row) -> Any:
        here, there = one(row), other(row)
        try:
            return None if here is None or there is None else calculate(here, there)
        except (ZeroDivisionError, OverflowError):
            return None  # not defined, as what is absent

    return value, "number"
