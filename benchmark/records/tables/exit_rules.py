"""Every exit rule on every model: score, mean exit depth, MACs saved at a drop of 0, 1, 2 points, area of the curve.

A row is one clean record; of several of one model, dataset, rule and sample count the latest `ok` one counts. score is
the task's own metric on the test split, at the threshold of the record; drop_k: mac_speedup on the test split at the
cheapest threshold that lost at most k points of accuracy on the calibration split, and lost_k the points of score it
really lost there. area: `metrics.score_area`. rule_ops: scalar operations of the rule itself for a sample, in no MACs.
auroc: how well the rule's signal tells right answers from wrong ones, mean over all exits but the last; only where
records hold it, as those from 0.4.0 on do.
bound: what is no rule to choose: never and always_first are the ends of the scale, and oracle knows the labels.
"""

from __future__ import annotations

import math

import pandas as pd

from benchmark.records.schema import Section

BOUNDS = {"never": "full depth", "always_first": "first exit", "oracle": "knows labels"}
SPELLING = {
    **dict.fromkeys(("threshold", "rule_ops"), "{:.4g}"),
    **dict.fromkeys(("mean_exit_depth", "mac_speedup", "drop_0", "drop_1", "drop_2"), "{:.2f}"),
    **dict.fromkeys(("lost_0", "lost_1", "lost_2"), "{:+.1f}"),
    "auroc": "{:.3f}",
}
KEY = ["model", "dataset", "policy", "n"]


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """The leaderboard's clean rows with results over a rule's range: best area first, bounds last."""
    selected = [
        row
        for row in frame.to_dict("records")
        if row["workload"] == "clean" and row["results"].get("at_drop") is not None
    ]
    if not selected:
        return pd.DataFrame()
    selected.sort(key=lambda row: (row["status"] == "ok", row["created"]))
    rows = pd.DataFrame([_row(row) for row in selected])
    rows = rows.drop_duplicates(KEY, keep="last")
    order = rows.assign(is_bound=rows["bound"] != "").sort_values(
        ["dataset", "model", "is_bound", "area"], ascending=[True, True, True, False], kind="stable"
    )
    order = order.drop(columns="is_bound").reset_index(drop=True)
    has_auroc = not all(math.isnan(value) for value in order["auroc"].tolist())
    return order if has_auroc else order.drop(columns="auroc")


def _row(row: Section) -> Section:
    results = row["results"]
    cells = {
        **{name: row[name] for name in ("model", "dataset", "policy")},
        "bound": BOUNDS.get(row["policy"], ""),
        **{name: row[name] for name in ("metric", "score", "score_full")},
        **{name: row[name] for name in ("threshold", "mean_exit_depth", "mac_speedup")},
        **dict.fromkeys(("drop_0", "lost_0", "drop_1", "lost_1", "drop_2", "lost_2"), math.nan),
    }
    for point in results["at_drop"]:
        points = round(100 * point["max_drop"])
        cells[f"drop_{points}"] = point["mac_speedup"]
        cells[f"lost_{points}"] = 100 * (row["score_full"] - point["score"])
    cells["auroc"] = _mean_auroc(row["exits"])
    return cells | {"area": results["area"], "rule_ops": (results.get("rule_ops") or {}).get("mean"), "n": row["n"]}


def _mean_auroc(exits: list[Section]) -> float:
    values = [value for place in exits[:-1] if (value := place.get("auroc")) is not None]
    return sum(values) / len(values) if values else math.nan
