"""What each attack takes and leaves: gain, accuracy, answers and meaning, for each model, rule and budget."""

from __future__ import annotations

from typing import Any

import pandas as pd

FACTS = {
    "accuracy_before": "accuracy_before",
    "accuracy_after": "accuracy_after",
    "depth_before": "depth_before",
    "depth_after": "depth_after",
    "gain_lost": "gain_lost",
    "gain_lost_layers": "gain_lost_layers",
    "gain_lost_macs": "gain_lost_macs",
    "efficacy_before": "efficacy_before",
    "efficacy_after": "efficacy_after",
    "share_full_depth": "share_full_depth",
    "answer_kept": "answer_kept",
    "meaning": "meaning_mean",
    "changed": "changed_mean",
    "psnr_db": "psnr_db",
    "queries": "queries_mean",
    "seconds": "seconds_mean",
}
SPELLING = {
    **dict.fromkeys(("accuracy_before", "accuracy_after", "answer_kept", "meaning"), "{:.3f}"),
    **dict.fromkeys(("efficacy_before", "efficacy_after"), "{:.3f}"),
    **dict.fromkeys(("gain_lost", "gain_lost_layers", "gain_lost_macs", "gain_lost_latency"), "{:.1%}"),
    **dict.fromkeys(("gain_lost_right", "gain_lost_wrong", "share_full_depth"), "{:.1%}"),
    **dict.fromkeys(("depth_before", "depth_after", "changed", "seconds"), "{:.2f}"),
    **dict.fromkeys(("queries", "psnr_db"), "{:.1f}"),
    "threshold": "{:.4g}",
    "n": "{:.0f}",
}
PLACE = ["model", "dataset", "policy", "threshold", "workload", "budget", "n"]


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per attacked record, then the mean over models and rules of each attack at each budget.

    gain_lost: of the layer speed-up; gain_lost_layers: the share of skipped layers won back; gain_lost_latency where
    the clock held on both sides. right, wrong: the clean answer was. meaning: cosine of a sentence encoder.
    """
    rows = [_row(said) for said in frame.to_dict("records") if isinstance(said["attack"], dict) and said["attack"]]
    columns = [*PLACE, *FACTS, "gain_lost_latency", "gain_lost_right", "gain_lost_wrong", "status"]
    made = pd.DataFrame(rows, columns=columns)
    if made.empty:
        return made
    figures = [name for name in columns if name not in (*PLACE, "status")]
    made[figures] = made[figures].apply(pd.to_numeric)
    groups: Any = made.groupby(["workload", "budget"], sort=False)
    means: pd.DataFrame = groups[figures].mean().reset_index()
    means = means.assign(model="mean", dataset="", policy="", status="")
    return pd.concat([made, means.reindex(columns=columns)], ignore_index=True)


def _row(said: dict[str, Any]) -> dict[str, Any]:
    attack = said["attack"]
    place = {name: said[name] for name in ("model", "dataset", "policy", "threshold", "workload", "n", "status")}
    sides = {f"gain_lost_{side}": attack.get(side, {}).get("gain_lost") for side in ("right", "wrong")}
    facts = {column: attack.get(name) for column, name in FACTS.items()}
    return {**place, **facts, **sides, "budget": budget(attack), "gain_lost_latency": said["gain_lost_latency"]}


def budget(attack: dict[str, Any]) -> str:
    """What an attack was allowed, as people say it."""
    search = attack.get("settings", {}).get("search", {})
    if "epsilon" in search:
        norm = search.get("norm", "linf")
        return f"ε {search['epsilon'] * 255:.3g}/255" if norm == "linf" else f"ε {search['epsilon']:.3g} in {norm}"
    if not search:
        return ""
    words, share = search.get("least", 0), search.get("share", 0)
    return f"{words} words" if not share else f"{share:.0%}" if not words else f"max({words}, {share:.0%})"
