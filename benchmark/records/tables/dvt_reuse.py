"""Ablation of DVT's reuse (the paper's Table 6): accuracy and MACs by exit (dvt_ablation_* records)."""

from __future__ import annotations

import pandas as pd

SPELLING = {"macs_over_none": "{:.3f}"}
VARIANTS = {"none": ("–", "–"), "feature": ("yes", "–"), "relation": ("–", "yes"), "both": ("yes", "yes")}


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """Four rows, as the paper prints them; `macs_over_none`: MACs to the last exit over those without reuse.

    Time is not here: four records were not timed side by side. `exitbench bench reuse_overhead` does that.
    """
    rows = []
    for variant, (feature, relation) in VARIANTS.items():
        found = frame[(frame["model"] == f"dvt_ablation_{variant}") & (frame["status"] != "failed")]
        if found.empty:
            continue
        last = found.iloc[-1]
        cells = {"feature_reuse": feature, "relation_reuse": relation, "n": last["n"]}
        for place in last["exits"]:
            depth = place["exit_depth"]
            cells[f"accuracy_{depth}"] = f"{place['accuracy']:.4f} ± {place['accuracy_stderr']:.4f}"
            cells[f"mmacs_{depth}"] = f"{place['gmacs'] * 1e3:.2f}"
        rows.append({**cells, "gmacs_full": last["gmacs_full"]})
    made = pd.DataFrame(rows)
    if made.empty:
        return made
    none = made.loc[(made["feature_reuse"] == "–") & (made["relation_reuse"] == "–"), "gmacs_full"]
    made["macs_over_none"] = made.pop("gmacs_full").astype(float) / (float(none.iloc[0]) if len(none) else float("nan"))
    return made
