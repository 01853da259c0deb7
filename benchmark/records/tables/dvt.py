"""DVT beside its static twin: accuracy, MACs and latency of each, at each rule (dvt_* and their _static records)."""

from __future__ import annotations

import pandas as pd

SPELLING = {
    **dict.fromkeys(("accuracy", "accuracy_full", "static_accuracy"), "{:.4f}"),
    **dict.fromkeys(("gmacs_mean", "gmacs_full", "static_gmacs"), "{:.5f}"),
    **dict.fromkeys(("mac_speedup", "speedup", "macs_under_static", "p50_under_static"), "{:.2f}"),
    **dict.fromkeys(("latency_ms_p50", "static_ms_p50"), "{:.2f}"),
}
_PLACE = ["dataset", "workload", "hardware", "scenario", "n", "fingerprint"]
TWIN = "_static"


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per dynamic record with a static twin on the same machine.

    macs_under_static: MACs of the static twin over mean MACs with early exit; p50_under_static: the same of p50
    latencies, of two records of one machine, which were not interleaved: an indication, not a paired ratio.
    """
    held = frame.loc[frame["status"] != "failed"]
    twins = held.loc[[name.endswith(TWIN) for name in held["model"]]].copy()
    twins["model"] = [name.removesuffix(TWIN) for name in twins["model"]]
    cells = {"accuracy_full": "static_accuracy", "gmacs_full": "static_gmacs", "latency_ms_p50": "static_ms_p50"}
    twins = twins.rename(columns=cells).drop_duplicates(["model", *_PLACE], keep="last")
    columns = ["model", *_PLACE, "static_accuracy", "static_gmacs", "static_ms_p50"]
    rows = held.merge(twins[columns], on=["model", *_PLACE], how="inner")
    for name in ("latency_ms_p50", "static_ms_p50", "static_gmacs", "gmacs_mean"):
        rows[name] = pd.to_numeric(rows[name])
    rows["macs_under_static"] = rows["static_gmacs"] / rows["gmacs_mean"]
    rows["p50_under_static"] = rows["static_ms_p50"] / rows["latency_ms_p50"]
    columns = [
        *("model", "workload", "policy", "threshold", "hardware", "n", "accuracy", "accuracy_full"),
        *("gmacs_mean", "gmacs_full", "mac_speedup", "latency_ms_p50", "speedup"),
        *("static_accuracy", "static_gmacs", "static_ms_p50", "macs_under_static", "p50_under_static", "status"),
    ]
    return rows.reindex(columns=columns)
