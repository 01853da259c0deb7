"""Realized speed-up (measured over MACs) per model, hardware profile, scenario and batch.

A row is one clean, timed record; of several alike the latest `ok` one counts. realized = speedup / the MAC speed-up of
the samples on the stopwatch; its interval is the speed-up's. Records that are not `ok` are shown, and say so.
"""

from __future__ import annotations

import pandas as pd

KEY = ["model", "dataset", "policy", "hardware", "scenario", "batch", "fingerprint"]
SHOWN = [
    *("n", "mac_speedup", "speedup", "realized", "realized_lo", "realized_hi"),
    *("samples_per_s", "full_samples_per_s", "padding_share", "exits_changed", "accuracy_shift", "status"),
]
SPELLING = {
    **dict.fromkeys(("mac_speedup", "speedup", "realized", "realized_lo", "realized_hi"), "{:.2f}"),
    **dict.fromkeys(("samples_per_s", "full_samples_per_s"), "{:.1f}"),
    **dict.fromkeys(("padding_share", "exits_changed"), "{:.1%}"),
    "accuracy_shift": "{:+.4f}",
}


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """The leaderboard's clean rows that were timed, without `never`, which saves nothing."""
    selected = frame[(frame["workload"] == "clean") & frame["realized"].notna() & (frame["policy"] != "never")]
    if selected.empty:
        return pd.DataFrame()
    latest = selected.assign(sound=selected["status"] == "ok").sort_values(["sound", "created"], kind="stable")
    rows = latest.drop_duplicates(KEY, keep="last")
    promise = rows["speedup"] / rows["realized"]
    rows = rows.assign(realized_lo=rows["speedup_lo"] / promise, realized_hi=rows["speedup_hi"] / promise)
    rows = rows.assign(mac_speedup=promise)
    return rows.sort_values(KEY, kind="stable", ignore_index=True).reindex(columns=[*KEY, *SHOWN])
