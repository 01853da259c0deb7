"""What figures of attacks share: one row per attack and budget, and how a budget is named."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from plots import style

ORDER = ("same", "same_tuned", "same_characters", "released", "uniform", "deepsloth", "random", "constrained")


def attacks(frame: pd.DataFrame) -> list[style.Row]:
    """Rows of attacked records that know what they took of the gain; `ok` rows before `unreliable` ones.

    Raises NothingToDraw where there are none.
    """
    rows = [row for row in style.rows_with(frame, "attack") if row["attack"].get("gain_lost") is not None]
    if not rows:
        raise style.NothingToDraw("needs rows of attacks with gain_lost")
    return sorted(rows, key=lambda row: (row["status"] != "ok", rank(row["workload"])))


def rank(workload: str) -> tuple[int, str]:
    """Where an attack stands among others: SAME and its kin first, attacks on accuracy last."""
    return (ORDER.index(workload) if workload in ORDER else len(ORDER), workload)


def looks(rows: Iterable[style.Row]) -> dict[str, tuple[str, str, str]]:
    """A colour, a marker and a line for each attack, in their order; lines are dashed where colours come again."""
    names = sorted({row["workload"] for row in rows}, key=rank)
    return {
        name: (
            style.COLOURS[i % len(style.COLOURS)],
            style.MARKERS[i % len(style.MARKERS)],
            "-" if i < len(style.COLOURS) else "--",
        )
        for i, name in enumerate(names)
    }


def search(row: style.Row) -> dict[str, Any]:
    """The settings of the search behind a row; empty where a record does not say."""
    return row["attack"].get("settings", {}).get("search", {})


def size(row: style.Row) -> float:
    """How much an attack was allowed: its ball's radius, or its words, a share of them beyond any number."""
    said = search(row)
    return said["epsilon"] if "epsilon" in said else said.get("least", 0) + 1000 * said.get("share", 0)


def widest(rows: Iterable[style.Row]) -> list[style.Row]:
    """Of each model, dataset, policy and attack the row that was allowed most; `ok` ones count first."""
    kept: list[style.Row] = []
    for same in style.groups(rows, "model", "dataset", "policy", "workload").values():
        sound = [row for row in same if row["status"] == same[0]["status"]]
        kept.append(max(sound, key=size))
    return kept


def budget(row: style.Row) -> str:
    """What a row's attack was allowed, in a figure's few words; "" where its record does not say."""
    said = search(row)
    if "epsilon" in said:
        radius = said["epsilon"] * 255
        return f"{radius:.3g}/255" if said.get("norm") == "linf" else f"{said.get('norm')} {said['epsilon']:.3g}"
    if "least" not in said:
        return ""
    share = f"{100 * said['share']:.3g} %" if said.get("share") else ""
    return " or ".join(filter(None, [f"{said['least']} words", share]))
