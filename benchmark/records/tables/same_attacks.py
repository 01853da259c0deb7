"""Effect of each attack with 95% intervals: gain lost, accuracy, answers and meaning, by model, rule and budget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from benchmark.records.attack_seeds import FIGURES, Pooled, pooled, shared_ranks
from benchmark.records.schema import Section

# column -> figure of the attack section; those with an interval are followed by their ends.
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
    **dict.fromkeys(("gain_lost", "gain_lost_layers", "gain_lost_macs"), "{:.1%} ±"),
    **dict.fromkeys(("gain_lost_latency", "gain_lost_right", "gain_lost_wrong", "share_full_depth"), "{:.1%}"),
    **dict.fromkeys(("depth_before", "depth_after", "changed", "seconds"), "{:.2f}"),
    "queries": "{:.1f} ±",
    "psnr_db": "{:.1f}",
    "threshold": "{:.4g}",
    **dict.fromkeys(("n", "seeds", "rank"), "{:.0f}"),
}
CHOICES = ["model", "dataset", "policy", "threshold", "workload"]
KEYS = [*CHOICES, "budget", "n", "seeds", "rank"]
ENDS = [f"{column}_{end}" for column, name in FACTS.items() if name in FIGURES for end in ("lo", "hi")]
OTHERS = ["gain_lost_latency", "gain_lost_right", "gain_lost_wrong"]


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per attack, its seeds pooled, then the mean over models and rules of each attack at each budget.

    gain_lost: of the layer speed-up; gain_lost_layers: the share of skipped layers won back; gain_lost_latency where
    the clock held on both sides. right, wrong: the clean answer was. meaning: cosine of a sentence encoder.
    _lo, _hi: ends of the 95% interval, in text ± half its width; `interval` says whether samples were paired, or the
    record is older and this is a bound. rank: 1 + the attacks of the same model, rule and budget that take more beyond
    doubt. A mean's interval is the mean of the ends, which holds however its rows depend on each other.
    """
    attacks = pooled(frame.to_dict("records"))
    rows = [_row(attack) for attack in attacks]
    for row, rank in zip(rows, _ranks(attacks), strict=True):
        row["rank"] = rank
    columns = [*KEYS, *FACTS, *ENDS, *OTHERS, "interval", "status"]
    attacked = pd.DataFrame(rows, columns=columns)
    if attacked.empty:
        return attacked
    figures = [*FACTS, *OTHERS]
    numbers = [*figures, *ENDS, "rank"]
    attacked[numbers] = attacked[numbers].apply(pd.to_numeric)
    groups: Any = attacked.groupby(["workload", "budget"], sort=False)
    means: pd.DataFrame = groups[figures].mean().join(groups[ENDS].agg(lambda ends: ends.mean(skipna=False)))
    means = means.reset_index().assign(model="mean", dataset="", policy="", interval="", status="")
    return pd.concat([attacked, means.reindex(columns=columns)], ignore_index=True)


def _row(attack: Pooled) -> Section:
    first = attack.first
    row = {name: first[name] for name in (*CHOICES, "n")}
    row |= {column: attack.mean(name) for column, name in FACTS.items()}
    for column, name in FACTS.items():
        if name in attack.intervals:
            row[f"{column}_lo"], row[f"{column}_hi"] = attack.intervals[name]
    for side in ("right", "wrong"):
        row[f"gain_lost_{side}"] = _mean([one["attack"].get(side, {}).get("gain_lost") for one in attack.rows])
    row["gain_lost_latency"] = _mean([one["gain_lost_latency"] for one in attack.rows])
    sound = all(one["status"] == "ok" for one in attack.rows)
    row |= {"budget": budget(first["attack"]), "seeds": len(attack.rows), "interval": attack.kind}
    return row | {"status": "ok" if sound else next(one["status"] for one in attack.rows if one["status"] != "ok")}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None


def _ranks(attacks: Sequence[Pooled]) -> list[int | None]:
    """Ranks within each model, rule and budget; balls count as equal to the nearest 255th."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for place, attack in enumerate(attacks):
        search = attack.first["attack"].get("settings", {}).get("search", {})
        ball = (search.get("norm"), round(search["epsilon"] * 255)) if search.get("norm") == "linf" else None
        same = tuple(attack.first[name] for name in ("model", "dataset", "policy", "threshold", "n", "hardware"))
        groups.setdefault((*same, ball or budget(attack.first["attack"])), []).append(place)
    ranks: list[int | None] = [None] * len(attacks)
    for positions in groups.values():
        for place, rank in zip(positions, shared_ranks([attacks[place] for place in positions]), strict=True):
            ranks[place] = rank
    return ranks


def budget(attack: Section) -> str:
    """A label for an attack's budget."""
    search = attack.get("settings", {}).get("search", {})
    if "epsilon" in search:
        norm = search.get("norm", "linf")
        return f"ε {search['epsilon'] * 255:.3g}/255" if norm == "linf" else f"ε {search['epsilon']:.3g} in {norm}"
    if not search:
        return ""
    words, share = search.get("least", 0), search.get("share", 0)
    return f"{words} words" if not share else f"{share:.0%}" if not words else f"max({words}, {share:.0%})"
