"""Shared by the figures of attacks: one row per attack and budget with its seeds pooled, order, looks, budgets."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from benchmark.records.attack_seeds import Pooled, pooled
from plots import style

ORDER = ("same", "same_tuned", "same_characters", "released", "uniform", "deepsloth", "random", "constrained")


def attacks(frame: pd.DataFrame) -> list[style.Row]:
    """One row per attack with a gain lost, its seeds pooled; `ok` rows before `unreliable` ones, SAME first.

    Besides the columns of its first seed a row holds `gain_lost`, the mean over seeds; `interval`, its 95% interval or
    None; `curves`, each seed's loss against queries. Raises NothingToDraw if there are none.
    """
    found = [_row(attack) for attack in pooled(style.rows_with(frame, "attack"))]
    rows = [row for row in found if row["gain_lost"] is not None]
    if not rows:
        raise style.NothingToDraw("needs rows of attacks with gain_lost")
    return sorted(rows, key=lambda row: (row["status"] != "ok", rank(row["workload"])))


def _row(attack: Pooled) -> style.Row:
    unsound = [row for row in attack.rows if row["status"] != "ok"]
    return {
        **(unsound or attack.rows)[0],
        "gain_lost": attack.mean("gain_lost"),
        "interval": attack.intervals.get("gain_lost"),
        "curves": [row["attack"].get("against_queries", []) for row in attack.rows],
    }


def rank(workload: str) -> tuple[int, str]:
    """Sort key of an attack: SAME and its variants first, attacks on accuracy last."""
    return (ORDER.index(workload) if workload in ORDER else len(ORDER), workload)


def looks(rows: Iterable[style.Row]) -> dict[str, tuple[str, str, str]]:
    """A colour, a marker and a line style for each attack, in order; lines are dashed once colours repeat."""
    names = sorted({row["workload"] for row in rows}, key=rank)
    return {
        name: (
            style.COLOURS[i % len(style.COLOURS)],
            style.MARKERS[i % len(style.MARKERS)],
            "-" if i < len(style.COLOURS) else "--",
        )
        for i, name in enumerate(names)
    }


def search(row: style.Row) -> style.Row:
    """The settings of a row's search; empty if its record has none."""
    return row["attack"].get("settings", {}).get("search", {})


def size(row: style.Row) -> float:
    """The budget of an attack: the radius of its ball, or its words; a share of the words is larger than any number."""
    settings = search(row)
    return settings.get("epsilon", settings.get("least", 0) + 1000 * settings.get("share", 0))


def widest(rows: Iterable[style.Row]) -> list[style.Row]:
    """The row with the largest budget of each model, dataset, policy and attack; `ok` rows take precedence."""
    largest: list[style.Row] = []
    for same in style.groups(rows, "model", "dataset", "policy", "workload").values():
        sound = [row for row in same if row["status"] == same[0]["status"]]
        largest.append(max(sound, key=size))
    return largest


def budget(row: style.Row) -> str:
    """A short label of an attack's budget; "" if its record has none."""
    settings = search(row)
    if "epsilon" in settings:
        epsilon, norm = settings["epsilon"], settings.get("norm")
        return f"{255 * epsilon:.3g}/255" if norm == "linf" else f"{norm} {epsilon:.3g}"
    if "least" not in settings:
        return ""
    share = f"{100 * settings['share']:.3g} %" if settings.get("share") else ""
    return " or ".join(filter(None, [f"{settings['least']} words", share]))
