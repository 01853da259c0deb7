"""What each attack needs: queries and words (or radius) to take half and four fifths of the gain, beside random's."""

from __future__ import annotations

from typing import Any

import pandas as pd

GOALS = {"half": 0.5, "80": 0.8}
RIVAL = "random"
SPELLING = {"gain_lost": "{:.1%}"}


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per model, rule and attack.

    queries_to_half, queries_to_80: the least budget of queries a sample noted at which so much of the layer gain was
    gone, at the attack's widest allowance; size_to_…: the fewest words, or 255ths of the pixel range, of its runs that
    took as much. Empty where none did. fewer_queries, smaller_size: whether that is less than random's for the same
    loss, at 80 or else at half; "–" where one of the two did not get there.
    """
    held = [one for one in frame.to_dict("records") if isinstance(one["attack"], dict) and one["attack"]]
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for said in held:
        groups.setdefault((said["model"], said["dataset"], said["policy"], said["workload"]), []).append(said)
    rows = [_row(place, same) for place, same in groups.items()]
    rivals = {tuple(row[name] for name in ("model", "dataset", "policy")): row for row in rows if _is_rival(row)}
    for row in rows:
        rival = rivals.get(tuple(row[name] for name in ("model", "dataset", "policy")))
        row["fewer_queries"] = _less(row, rival, "queries")
        row["smaller_size"] = _less(row, rival, "size")
    return pd.DataFrame(rows)


def _is_rival(row: dict[str, Any]) -> bool:
    return row["workload"] == RIVAL


def _row(place: tuple[Any, ...], same: list[dict[str, Any]]) -> dict[str, Any]:
    widest = max(same, key=lambda said: _size(said["attack"], beyond=1000.0))
    curve = widest["attack"].get("against_queries", [])
    row = dict(zip(("model", "dataset", "policy", "workload"), place, strict=True))
    row |= {"n": widest["n"], "gain_lost": widest["attack"].get("gain_lost")}
    for name, goal in GOALS.items():
        reached = [point["queries"] for point in curve if (point["gain_lost"] or 0) >= goal]
        row[f"queries_to_{name}"] = min(reached, default=None)
        sizes = [_size(said["attack"]) for said in same if (said["attack"].get("gain_lost") or 0) >= goal]
        row[f"size_to_{name}"] = min((size for size in sizes if size is not None), default=None)
    return row


def _size(attack: dict[str, Any], beyond: float | None = None) -> Any:
    """Words or 255ths; `beyond` for a share of the words, which is no one number."""
    search = attack.get("settings", {}).get("search", {})
    if "epsilon" in search:
        return round(search["epsilon"] * 255, 3)
    return beyond if search.get("share") else search.get("least", 0)


def _less(row: dict[str, Any], rival: dict[str, Any] | None, what: str) -> str:
    if rival is None or _is_rival(row):
        return ""
    for name in reversed(GOALS):
        own, other = row[f"{what}_to_{name}"], rival[f"{what}_to_{name}"]
        if own is not None and other is not None:
            return "yes" if own < other else "equal" if own == other else "no"
        if own is not None:
            return "yes, random did not get there"
    return "–"
