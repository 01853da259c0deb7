"""The leaderboard's rows and columns as the board's page reads them: plain values, grouped columns, facets."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from benchmark.records.columns import COLUMNS

Cell = str | int | float | None

# What a reader filters by; the values are offered in the page's form.
FACETS = ("modality", "dataset", "workload", "policy", "scenario", "machine")
# The groups of columns that can be switched on; the first is always shown.
GROUPS: dict[str, tuple[str, ...]] = {
    "what": ("rank", "model", "dataset", "workload", "policy", "hardware", "n", "accuracy", "gmacs_mean",
             "mac_speedup", "speedup", "realized", "gain_lost", "status"),
    "quality": ("accuracy_full", "metric", "score", "score_full", "accuracy_diff"),
    "cost": ("gmacs_full", "mean_exit_depth", "num_exits", "threshold"),
    "clock": ("scenario", "batch", "latency_ms_p50", "latency_ms_p90", "latency_ms_p99", "full_ms_p50", "canary",
              "samples_per_s"),
    "attack": ("gain_lost_macs", "queries_mean", "changed_mean", "share_full_depth"),
    "provenance": ("machine", "created", "record_id", "twin_id"),
}  # fmt: skip
# Columns that are printed with their uncertainty: name -> (kind, columns it is read from).
UNCERTAIN: dict[str, tuple[str, ...]] = {
    "accuracy": ("accuracy_stderr",),
    "accuracy_full": ("accuracy_full_stderr",),
    "speedup": ("speedup_lo", "speedup_hi"),
    "gain_lost": ("gain_lost_lo", "gain_lost_hi"),
}
_NEEDED = ("speedup_lo", "speedup_hi", "accuracy_stderr", "accuracy_full_stderr", "gain_lost_lo", "gain_lost_hi")
_STATIC = "_static"


def modality(config: object) -> str:
    """ "vision" or "text", read from the dataset that the record's configuration names."""
    target = str(config.get("dataset", {}).get("_target_", "")) if isinstance(config, dict) else ""
    return "text" if ".texts." in target else "vision" if ".images." in target or ".photos." in target else "other"


def board_rows(frame: pd.DataFrame) -> list[dict[str, Cell]]:
    """One flat dict for each row of the leaderboard frame, in its order; absent values are None, never NaN."""
    wanted = dict.fromkeys([*sum(GROUPS.values(), ()), *_NEEDED])
    names = [name for name in wanted if name in frame.columns and COLUMNS[name] not in ("object", "lists")]
    kinds = {name: COLUMNS[name] for name in names}
    rows: list[dict[str, Cell]] = []
    for source in frame.to_dict("records"):
        row = {name: cell(source[name], kinds[name]) for name in names}
        row["modality"] = modality(source.get("config"))
        row["machine"] = str(source["fingerprint"])
        row["reasons"] = str(source.get("reasons") or "")
        row["static"] = int(str(source["model"]).endswith(_STATIC))
        rows.append(row)
    return rows


def cell(value: Any, kind: str) -> Cell:
    """A frame's value as JSON holds it: at most six significant digits, and None where there is nothing."""
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return None
    if kind == "text":
        return str(value) or None
    if kind == "count":
        return int(value)
    return float(f"{float(value):.6g}")


def facets(rows: list[dict[str, Cell]]) -> dict[str, list[str]]:
    """Facet -> its values, sorted."""
    return {name: sorted({str(row[name]) for row in rows if row.get(name) is not None}) for name in FACETS}
